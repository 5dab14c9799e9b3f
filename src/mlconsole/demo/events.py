"""Events as kubelet and the controllers write them: one object for the same news, with a count."""

from __future__ import annotations

import hashlib

from mlconsole.demo.apiserver.resources import BY_KEY
from mlconsole.demo.apiserver.store import Object, Store, now

KEEP = 500
"""Events that stay; the oldest go first."""


def record(
    store: Store, resource: str, about: Object, reason: str, message: str, kind: str = "Normal", by: str = ""
) -> None:
    """Record that something happened to an object."""
    meta = about["metadata"]
    namespace = meta.get("namespace") or "default"
    mark = hashlib.sha1(f"{meta['uid']}{reason}{message}{by}".encode(), usedforsecurity=False).hexdigest()[:16]
    name = f"{meta['name']}.{mark}"
    known = store.find("events", namespace, name)
    stamp = now()
    if known:
        store.update("events", {**known, "count": known.get("count", 1) + 1, "lastTimestamp": stamp})
        return
    store.create(
        "events",
        {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "kind": BY_KEY[resource].kind,
                "apiVersion": BY_KEY[resource].group_version,
                "namespace": namespace,
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion", ""),
            },
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": by},
            "reportingComponent": by,
        },
    )
    _bound(store)


def _bound(store: Store) -> None:
    items, _ = store.list("events")
    if len(items) > KEEP:
        oldest = min(items, key=lambda item: str(item.get("lastTimestamp") or ""))
        store.delete("events", oldest["metadata"].get("namespace", ""), oldest["metadata"]["name"])
