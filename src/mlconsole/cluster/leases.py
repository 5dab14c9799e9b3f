"""The lock of a service: a Lease beside it, whose leaseTransitions is the fencing token (I7).

Every write of it has the resourceVersion that was read as its precondition, so that of two consoles one is first and
the other is told. Times in it are the API server's, as far as they are known, not this machine's: two machines whose
clocks disagree must not break each other's locks. What others put on the Lease (requests to whoever holds it, labels)
is written back as it was found.
"""

from __future__ import annotations

import asyncio
import datetime
import email.utils
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from mlconsole.cluster import objects, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Conflict, NotFound, ServerError

REQUESTS = "mlconsole.io/requests"
"""What is asked of whoever holds the lock: a JSON list, the oldest first."""
TAKEN = "mlconsole.io/taken"
"""Why the lock was taken from somebody who held it."""
CLAIM = "mlconsole.io/claim"
"""Which process took the lock: two that go on with one operation have the same holder."""
MOST_REQUESTS = 20
MOST_BYTES = 16_384
"""Of the requests; the oldest are left out."""
DATE_SLACK = 2.0
"""The server's Date header is exact to a second, and took its time."""
DURATION = 15.0
"""Seconds, for a Lease that names none."""
TRIES = 10
PAUSE = 0.02
"""Seconds, times the tries so far."""


class Held(Struct, frozen=True):
    """A lock as the server has it."""

    holder: str
    """`ann@bastion/<operation>`; empty for one that is free."""
    token: int
    duration: float
    """Seconds after its renewal at which it counts as given up."""
    renewed_at: float
    """Seconds since the epoch, by the server's clock."""
    resource_version: str
    annotations: dict[str, str]
    whole: dict[str, Any]
    """The Lease as it was sent: what others put there is written back."""
    said_at: float = 0.0
    """The server's clock when it said so; 0 when unknown."""

    @property
    def free(self) -> bool:
        """Whether nobody holds it."""
        return not self.holder

    @property
    def operation(self) -> str:
        """The id of the operation that holds it."""
        return self.holder.rpartition("/")[2]

    def same_claim(self, other: Held) -> bool:
        """Whether both are one process's hold on it."""
        mine, its = self.annotations.get(CLAIM), other.annotations.get(CLAIM)
        return (self.holder, self.token, mine) == (other.holder, other.token, its) and bool(self.holder)


class Lost(ClusterError):
    """The lock is somebody else's by now. Nothing may be written any more."""

    def __init__(self, what: str, why: str = "", hint: str = "", holder: str = "") -> None:
        super().__init__(what, why, hint)
        self.holder = holder
        """Who has it; empty for nobody."""


class Expiry:
    """Whether the holder of a lock has given it up, as far as this machine can know.

    A lock is expired when its renewal was seen unchanged for its duration by this machine's own monotonic clock, as
    client-go has it. At once where the server's clock says the same: holders write its time, not their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: tuple[str, int, float] | None = None
        self._since = 0.0

    def expired(self, held: Held) -> bool:
        """Take in what was read, and say whether the lock may be taken."""
        return self.left(held) <= 0

    def left(self, held: Held) -> float:
        """Seconds until the lock may be taken, unless it is renewed; 0 when it may."""
        now, seen = self._clock(), (held.holder, held.token, held.renewed_at)
        if seen != self._seen:
            self._seen, self._since = seen, now
        if held.free:
            return 0.0
        if held.said_at and held.renewed_at and held.said_at > held.renewed_at + held.duration + DATE_SLACK:
            return 0.0
        return max(0.0, self._since + held.duration - now)


def name_of(service: str) -> str:
    """The Lease of a service."""
    return f"mlconsole-{service}"


def held_of(whole: Mapping[str, Any]) -> Held:
    """The lock in a Lease that was read before. Raises ServerError for what is none."""
    return _held(msgspec.json.encode(whole), "a Lease")


async def read(connection: Connection, namespace: str, service: str) -> Held | None:
    """The lock of a service; None where there never was one. Raises ClusterError."""
    path = _path(namespace, name_of(service))
    try:
        answer = await connection.answer("GET", path)
    except NotFound:
        return None
    said_at = _date(answer.headers.get("date", ""))
    return _held(answer.body, path, said_at)


async def acquire(
    connection: Connection,
    namespace: str,
    service: str,
    holder: str,
    duration: float,
    annotations: Mapping[str, str],
    seen: Held | None,
    *,
    least: int = 0,
) -> Held:
    """Take the lock that was `seen` (None: there was none); whether it may be taken is the caller's to know.

    The token is one more than any before: than `seen`'s, and than `least`, the token that the Service names, for a
    Lease that was deleted. Raises Conflict when somebody else was faster, ClusterError. A try whose answer was lost is
    recognised as this connection's own.
    """
    metadata: dict[str, Any] = (
        dict(seen.whole["metadata"]) if seen else {"name": name_of(service), "namespace": namespace}
    )
    kept = {key: value for key, value in (seen.annotations if seen else {}).items() if key == REQUESTS}
    claim = _claims.setdefault(connection, secrets.token_hex(8))
    metadata["annotations"] = {**kept, **annotations, CLAIM: claim}
    ours = {"app.kubernetes.io/managed-by": "mlconsole", "mlconsole.io/service": service}
    metadata["labels"] = {**(metadata.get("labels") or {}), **ours}
    now = stamp(connection)
    token = max(seen.token if seen else 0, least) + 1
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": max(1, round(duration)),
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": token,
    }
    try:
        return await _write(connection, namespace, service, {"metadata": metadata, "spec": spec}, new=seen is None)
    except Conflict:
        found = await read(connection, namespace, service)
        if found and (found.holder, found.token, found.annotations.get(CLAIM)) == (holder, token, claim):
            return found
        raise


async def renew(
    connection: Connection,
    namespace: str,
    service: str,
    held: Held,
    annotations: Mapping[str, str | None] | None = None,
) -> Held:
    """Say that the lock is still held, and set (None: remove) `annotations`; what others wrote meanwhile is kept.

    Raises Lost when it is somebody else's by now, or gone; ClusterError when that could not be found out.
    """
    changes = annotations or {}
    for attempt in range(TRIES):
        kept = {key: value for key, value in held.annotations.items() if changes.get(key, value) is not None}
        wanted = kept | {key: value for key, value in changes.items() if value is not None}
        metadata = {**held.whole["metadata"], "annotations": wanted}
        spec = {**held.whole["spec"], "renewTime": stamp(connection)}
        try:
            return await _write(connection, namespace, service, {"metadata": metadata, "spec": spec})
        except (Conflict, NotFound):
            await asyncio.sleep(random.uniform(0.0, PAUSE * attempt))
            held = await _still(connection, namespace, service, held)
    raise Conflict(f"cannot renew the lock of {namespace}/{service}", "it is written to all the time", "try again")


async def release(connection: Connection, namespace: str, service: str, held: Held) -> None:
    """Give the lock up, its token kept. Nothing where it is somebody else's by now. Raises ClusterError."""
    for attempt in range(TRIES):
        annotations = {key: value for key, value in held.annotations.items() if key not in (CLAIM, REQUESTS)}
        spec = {key: value for key, value in held.whole["spec"].items() if key != "holderIdentity"}
        spec |= {"renewTime": stamp(connection), "leaseDurationSeconds": 1}
        body = {"metadata": {**held.whole["metadata"], "annotations": annotations}, "spec": spec}
        try:
            await _write(connection, namespace, service, body)
            return
        except (Conflict, NotFound):
            await asyncio.sleep(random.uniform(0.0, PAUSE * attempt))
            try:
                held = await _still(connection, namespace, service, held)
            except Lost:
                return
    raise Conflict(f"cannot release the lock of {namespace}/{service}", "it is written to all the time", "try again")


async def ask(connection: Connection, namespace: str, service: str, request: str) -> None:
    """Leave a request, an object as JSON, for whoever holds the lock.

    Raises NotFound where there is no lock, ValueError for what is no JSON, ClusterError.
    """
    wanted = json.loads(request)
    for attempt in range(TRIES):
        held = await read(connection, namespace, service)
        if held is None:
            why, hint = "no operation ever had its lock", "is the name right? `mlconsole operations` lists what goes on"
            raise NotFound(f"cannot ask anything of {namespace}/{service}", why, hint)
        annotations = {**held.annotations, REQUESTS: _bounded([*requests(held), wanted])}
        body = {"metadata": {**held.whole["metadata"], "annotations": annotations}, "spec": held.whole["spec"]}
        try:
            await _write(connection, namespace, service, body)
            return
        except Conflict:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(random.uniform(0.0, PAUSE * (attempt + 1)))


def requests(held: Held) -> list[dict[str, Any]]:
    """What was asked of whoever holds the lock, the oldest first; what is no request is left out."""
    try:
        found = json.loads(held.annotations.get(REQUESTS) or "[]")
    except ValueError:
        return []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def ahead(connection: Connection) -> float:
    """Seconds by which the server's clock is ahead of this machine's, by its last answer.

    A difference that may be the header's own coarseness is none.
    """
    header, at = connection.heard
    said = _date(header)
    found = said + 0.5 - at if said else 0.0
    return found if abs(found) >= DATE_SLACK else 0.0


def stamp(connection: Connection) -> str:
    """The server's time, as far as it is known, as Kubernetes writes a MicroTime."""
    moment = datetime.datetime.fromtimestamp(time.time() + ahead(connection), datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def mirrored(lease: objects.Lease) -> Held:
    """The lock in a Lease that a watch brought: to look at, not to be written back."""
    spec = lease.spec
    return Held(
        holder=spec.holder_identity or "",
        token=spec.lease_transitions or 0,
        duration=float(spec.lease_duration_seconds or 0),
        renewed_at=spec.renew_time.timestamp() if spec.renew_time else 0.0,
        resource_version=lease.metadata.resource_version,
        annotations=lease.metadata.annotations or {},
        whole={},
    )


# ---- inside


class _Spec(Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime.datetime | None = None
    lease_transitions: int | None = None


class _Meta(Struct, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Lease(Struct):
    metadata: _Meta
    spec: _Spec | None = None


_claims: WeakKeyDictionary[Connection, str] = WeakKeyDictionary()


def _held(body: bytes, path: str, said_at: float = 0.0) -> Held:
    try:
        lease, whole = msgspec.json.decode(body, type=_Lease), msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(
            f"cannot read {path}", f"the answer is no Lease: {error}", "look at it with kubectl"
        ) from error
    spec = lease.spec or _Spec()
    whole["spec"] = whole.get("spec") or {}
    return Held(
        holder=spec.holder_identity or "",
        token=spec.lease_transitions or 0,
        duration=float(spec.lease_duration_seconds or DURATION),
        renewed_at=spec.renew_time.timestamp() if spec.renew_time else 0.0,
        resource_version=lease.metadata.resource_version,
        annotations=lease.metadata.annotations or {},
        whole=whole,
        said_at=said_at,
    )


async def _still(connection: Connection, namespace: str, service: str, held: Held) -> Held:
    """The lock as it is now. Raises Lost when it is not this process's any more."""
    found = await read(connection, namespace, service)
    if found is not None and found.same_claim(held):
        return found
    holder = found.holder if found else ""
    taken = found.annotations.get(TAKEN, "") if found else ""
    has = f"{holder} has it now" + (f" ({taken})" if taken else "")
    why = has if holder else "it was given up" if found else "its Lease was deleted"
    raise Lost(f"the lock of {namespace}/{service} is lost", why, "nothing more is written by this operation", holder)


async def _write(
    connection: Connection, namespace: str, service: str, body: dict[str, Any], *, new: bool = False
) -> Held:
    whole = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body}
    path = _path(namespace, "" if new else name_of(service))
    if new:
        return _held(await writes.create(connection, path, whole), path)
    return _held(await writes.replace(connection, path, whole), path)


def _bounded(wanted: list[dict[str, Any]]) -> str:
    kept = wanted[-MOST_REQUESTS:]
    while len(text := json.dumps(kept, separators=(",", ":"))) > MOST_BYTES and len(kept) > 1:
        kept = kept[1:]
    return text


def _date(header: str) -> float:
    try:
        return email.utils.parsedate_to_datetime(header).timestamp() if header else 0.0
    except ValueError:
        return 0.0


def _path(namespace: str, name: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases" + (f"/{name}" if name else "")
