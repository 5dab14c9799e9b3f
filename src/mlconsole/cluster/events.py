"""An Event for each operation, so that `kubectl describe service` tells the story too."""

from __future__ import annotations

import datetime

from mlconsole.cluster import objects, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import NotFound
from mlconsole.domain.history import Outcome, Record

COMPONENT = "mlconsole"


async def tell(connection: Connection, record: Record) -> None:
    """Write the Event of an operation that ended. Raises ClusterError when it could not be written."""
    moment = datetime.datetime.fromtimestamp(record.ended_at or record.at, datetime.UTC)
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    fine = record.outcome is Outcome.VERIFIED
    source, target = (
        _place(record.from_color, record.from_release.label),
        _place(record.to_color, record.to_release.label),
    )
    message = f"{record.kind} from {source} to {target} by {record.user}: {record.outcome}; {record.message}"
    if record.reason:
        message += f"; reason: {record.reason}"
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{record.service}.{record.id}.{record.outcome}", "namespace": record.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "name": record.service,
            "namespace": record.namespace,
            **await _uid(connection, record),
        },
        "type": "Normal" if fine else "Warning",
        "reason": record.kind.capitalize(),
        "message": message[:1024],
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
    }
    await writes.create(connection, f"/api/v1/namespaces/{record.namespace}/events", body)


async def _uid(connection: Connection, record: Record) -> dict[str, str]:
    """The Service's uid: `kubectl describe` shows only events that name it."""
    try:
        data = await connection.get(f"/api/v1/namespaces/{record.namespace}/services/{record.service}")
    except NotFound:
        return {}
    found = objects.ItemDecoder(objects.Service).decode(data)
    return {} if isinstance(found, objects.Malformed) else {"uid": found.metadata.uid}


def _place(color: str, release: str) -> str:
    return f"{color} {release}".strip()
