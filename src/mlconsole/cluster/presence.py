"""Who looks at a namespace: each console keeps a small Lease there, so that the others see it (design, section 8).

A courtesy and no lock: nothing waits for it, nothing is decided by it. What is written there is what its own console
says of itself. It runs out by itself when its console is gone, and is swept when it is old.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.cluster import leases, objects, writes
from mlconsole.cluster.access import Check
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Conflict, NotFound
from mlconsole.domain.text import visible

LABEL = "mlconsole.io/presence"
DURATION = 60.0
"""Seconds after its last renewal at which a console counts as gone."""
GROUP = "coordination.k8s.io"
NAMES = ("user", "host", "service", "plans", "since")
"""What a mark says, in annotations `mlconsole.io/...`."""


class Mark(Struct, frozen=True):
    """A console that looks at a namespace."""

    user: str
    host: str
    service: str = ""
    """The one that is selected, `namespace/name`."""
    plans: str = ""
    """What is planned there while its plan is shown: `switch to blue v14`."""
    since: float = 0.0
    """When it came, seconds since the epoch, by its own clock."""


class Written(Struct, frozen=True):
    """A mark as the server has it: which one it is, and its version."""

    uid: str
    resource_version: str


def name_of(user: str, host: str, pid: int) -> str:
    """The Lease of one console."""
    return f"mlconsole-console-{hashlib.sha256(f'{user}@{host}/{pid}'.encode()).hexdigest()[:12]}"


def is_mark(lease: objects.Lease) -> bool:
    """Whether a Lease is a console's, and no lock."""
    return (lease.metadata.labels or {}).get(LABEL) == "true"


def mark_of(lease: objects.Lease) -> Mark:
    """What a console says of itself: somebody's words, made safe to show (I28)."""
    said = {name: (lease.metadata.annotations or {}).get(f"mlconsole.io/{name}", "") for name in NAMES}
    since = float(said["since"]) if said["since"].isascii() and said["since"].isdigit() else 0.0
    user, host = visible(said["user"], 60) or "somebody", visible(said["host"], 60)
    return Mark(user, host, visible(said["service"], 130), visible(said["plans"], 80), since)


def checks(namespace: str) -> list[Check]:
    """What a console has to be allowed to: who may not take a mark away again leaves none."""
    return [Check(verb, GROUP, "leases", "", namespace) for verb in ("create", "update", "delete")]


async def put(connection: Connection, namespace: str, name: str, mark: Mark, known: Written | None) -> Written:
    """Leave a mark, or renew it: `known` is how it was written last. Raises ClusterError."""
    try:
        if known is not None:
            return await _replace(connection, namespace, name, mark, known.resource_version)
        return await _create(connection, namespace, name, mark)
    except NotFound:
        return await _create(connection, namespace, name, mark)  # swept: this console had been stopped for long
    except Conflict:
        # This console's own: a write whose answer was lost.
        found = _written(await connection.get(_path(namespace, name)))
        return await _replace(connection, namespace, name, mark, found.resource_version)


async def withdraw(connection: Connection, namespace: str, name: str, known: Written) -> None:
    """Take a mark away; nothing where it is gone, or made anew. Raises ClusterError."""
    try:
        await writes.remove(connection, _path(namespace, name), known.uid)
    except (NotFound, Conflict):
        return


async def sweep(connection: Connection, lease: objects.Lease) -> None:
    """Take away the mark of a console that is long gone, unless it was renewed meanwhile. Raises ClusterError."""
    meta = lease.metadata
    try:
        await writes.remove(connection, _path(meta.namespace, meta.name), meta.uid, meta.resource_version)
    except (NotFound, Conflict):
        return


# ---- inside


async def _create(connection: Connection, namespace: str, name: str, mark: Mark) -> Written:
    body = _body(connection, namespace, name, mark)
    return _written(await writes.create(connection, _path(namespace), body))


async def _replace(connection: Connection, namespace: str, name: str, mark: Mark, version: str) -> Written:
    body = _body(connection, namespace, name, mark)
    body["metadata"]["resourceVersion"] = version
    return _written(await writes.replace(connection, _path(namespace, name), body))


def _body(connection: Connection, namespace: str, name: str, mark: Mark) -> dict[str, Any]:
    said = {"user": mark.user, "host": mark.host, "service": mark.service, "plans": mark.plans}
    said["since"] = f"{mark.since:.0f}"
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/managed-by": "mlconsole", LABEL: "true"},
        "annotations": {f"mlconsole.io/{key}": value for key, value in said.items() if value},
    }
    spec = {"holderIdentity": f"{mark.user}@{mark.host}", "leaseDurationSeconds": round(DURATION)}
    spec["renewTime"] = leases.stamp(connection)
    return {"apiVersion": f"{GROUP}/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _written(body: bytes) -> Written:
    meta = msgspec.json.decode(body, type=objects.Lease).metadata
    return Written(meta.uid, meta.resource_version)


def _path(namespace: str, name: str = "") -> str:
    return f"/apis/{GROUP}/v1/namespaces/{namespace}/leases" + (f"/{name}" if name else "")
