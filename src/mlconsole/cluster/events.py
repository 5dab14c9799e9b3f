"""An Event for each operation, so that `kubectl describe service` tells the story too."""

from __future__ import annotations

import datetime

from mlconsole.cluster import decoding, objects, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Conflict, NotFound
from mlconsole.domain.history import Outcome, Record

COMPONENT = "mlconsole"
TAKEN = "BreakGlass"
"""The reason of an Event that says that a lock was taken by force."""


async def tell(connection: Connection, record: Record) -> None:
    """Write the Event of an operation that ended, or stopped. Raises ClusterError when it could not be written."""
    fine = record.outcome is Outcome.VERIFIED
    source, target = (
        _place(record.from_color, record.from_release.label),
        _place(record.to_color, record.to_release.label),
    )
    message = f"{record.kind} from {source} to {target} by {record.user}: {record.outcome}; {record.message}"
    if record.reason:
        message += f"; reason: {record.reason}"
    name = str(record.outcome)
    if record.outcome is Outcome.OPEN:
        name += f".{record.ended_at * 1000:.0f}"  # it may stop more than once
    await _write(connection, record, name, record.kind.capitalize(), message, fine=fine)


async def tell_taken(connection: Connection, record: Record, holder: str) -> None:
    """Write the Event of a service that was taken from somebody at work on it. Raises as `tell` does."""
    message = (
        f"{record.user} took {record.service} from {holder} for a {record.kind}; reason: {record.reason or 'none'}"
    )
    await _write(connection, record, "taken", TAKEN, message, fine=False)


async def _write(connection: Connection, record: Record, name: str, reason: str, message: str, *, fine: bool) -> None:
    moment = datetime.datetime.fromtimestamp(record.ended_at or record.at, datetime.UTC)
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{record.service}.{record.id}.{name}", "namespace": record.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "name": record.service,
            "namespace": record.namespace,
            **await _uid(connection, record),
        },
        "type": "Normal" if fine else "Warning",
        "reason": reason,
        "message": message[:1024],
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
    }
    try:
        await writes.create(connection, f"/api/v1/namespaces/{record.namespace}/events", body)
    except Conflict:
        return  # told already, by an executor that ended before it could know


async def _uid(connection: Connection, record: Record) -> dict[str, str]:
    """The Service's uid: `kubectl describe` shows only events that name it."""
    try:
        data = await connection.get(f"/api/v1/namespaces/{record.namespace}/services/{record.service}")
    except NotFound:
        return {}
    found = decoding.ItemDecoder(objects.Service).decode(data)
    return {} if isinstance(found, decoding.Malformed) else {"uid": found.metadata.uid}


def _place(color: str, release: str) -> str:
    return f"{color} {release}".strip()
