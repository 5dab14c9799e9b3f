"""Who owns what: owner references, label matching, and pods counted the way the controllers count them."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping

from mlconsole.demo.apiserver.resources import BY_KEY
from mlconsole.demo.apiserver.store import Key, Object, Store
from mlconsole.demo.follow import key_of

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names: no vowels, so that no words come out."""
MANAGER = "kube-controller-manager"
"""Who all of them are in managedFields: one process, as in a real cluster."""


def reference(resource: str, owner: Object) -> Object:
    """The ownerReference of a controller."""
    kind = BY_KEY[resource]
    meta = owner["metadata"]
    return {
        "apiVersion": kind.group_version,
        "kind": kind.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owner_of(item: Object) -> Object | None:
    """The ownerReference of the controller of an object."""
    return next((ref for ref in item["metadata"].get("ownerReferences") or () if ref.get("controller")), None)


def owner_key(item: Object, kind: str) -> list[Key]:
    """The key of the controller of an object, when it is of this kind."""
    ref = owner_of(item)
    return [(key_of(item)[0], ref["name"])] if ref and ref["kind"] == kind else []


def matches(selector: Mapping[str, str], item: Object) -> bool:
    """Whether an object's labels match; an empty selector matches nothing."""
    labels = item["metadata"].get("labels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def owned(store: Store, resource: str, owner: Object) -> list[Object]:
    """The objects that `owner` controls."""
    items, _ = store.list(resource, owner["metadata"].get("namespace", ""))
    uid = owner["metadata"]["uid"]
    return [item for item in items if (owner_of(item) or {}).get("uid") == uid]


def adopted(store: Store, resource: str, owner_resource: str, owner: Object) -> list[Object]:
    """The objects that `owner` controls, those taken in that match and have no controller; others are let go."""
    selector = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
    items, _ = store.list(resource, owner["metadata"].get("namespace", ""))
    found = []
    for item in items:
        ref = owner_of(item)
        if ref is not None and ref["uid"] != owner["metadata"]["uid"]:
            continue
        if ref is None and matches(selector, item) and not item["metadata"].get("deletionTimestamp"):
            refs = [*(item["metadata"].get("ownerReferences") or ()), reference(owner_resource, owner)]
            found.append(store.update(resource, {**item, "metadata": {**item["metadata"], "ownerReferences": refs}}))
        elif ref is not None and not matches(selector, item):
            refs = [other for other in item["metadata"]["ownerReferences"] if other["uid"] != ref["uid"]]
            store.update(resource, {**item, "metadata": {**item["metadata"], "ownerReferences": refs}})
        elif ref is not None:
            found.append(item)
    return found


def ready(pod: Object) -> bool:
    """Whether the pod says Ready."""
    return ready_since(pod) is not None


def ready_since(pod: Object) -> float | None:
    """Since when the pod is Ready, in epoch seconds; None when it is not."""
    for item in (pod.get("status") or {}).get("conditions") or ():
        if item["type"] == "Ready" and item["status"] == "True":
            return seconds(item["lastTransitionTime"])
    return None


def seconds(stamp: str) -> float:
    """A Kubernetes time as epoch seconds."""
    return datetime.datetime.fromisoformat(stamp).timestamp()


def active(pod: Object) -> bool:
    """Whether the pod counts as a replica: not ended and not on its way out."""
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and not pod["metadata"].get("deletionTimestamp")


def safe_hash(value: object) -> str:
    """A short name for a value, in the letters of generated names."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    letters = ""
    for _ in range(10):
        number, rest = divmod(number, len(ALPHABET))
        letters += ALPHABET[rest]
    return letters
