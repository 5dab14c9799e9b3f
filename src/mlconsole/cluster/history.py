"""The history of a service's operations, in a ConfigMap beside it (format: `domain.history`)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from mlconsole.cluster import objects, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Conflict, NotFound
from mlconsole.domain.history import Record, config_map_name, decode, encode, foreign_lines

KEY = "records"
TRIES = 10
PAUSE = 0.02
"""Seconds, times the tries so far."""


class Past(Struct, frozen=True):
    """What is on record, and the version of the ConfigMap that says so; empty for one that does not exist."""

    records: tuple[Record, ...] = ()
    resource_version: str = ""
    complaints: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    """Lines that are no record to this version; they are written back as they are."""

    @property
    def known(self) -> bool:
        """Whether the records could be read at all; a line that could not is in `complaints` too."""
        return bool(self.resource_version) or not self.complaints


async def read(connection: Connection, namespace: str, service: str) -> Past:
    """The records of a service, oldest first. Raises ClusterError when they cannot be read."""
    try:
        data = await connection.get(_path(namespace, config_map_name(service)))
    except NotFound:
        return Past()
    found = objects.ItemDecoder(objects.ConfigMap).decode(data)
    if isinstance(found, objects.Malformed):
        return Past(complaints=(f"ConfigMap {found.name} cannot be read: {found.why}",))
    return _past(found)


def _past(found: objects.ConfigMap) -> Past:
    text = (found.data or {}).get(KEY, "")
    records, complaints = decode(text)
    return Past(tuple(records), found.metadata.resource_version, tuple(complaints), tuple(foreign_lines(text)))


async def append(connection: Connection, record: Record, past: Past) -> Past:
    """Add `record` to what is on record; when somebody else wrote meanwhile, to what they left (never a lost update).

    Raises ClusterError when it could not be written.
    """
    for attempt in range(TRIES):
        try:
            return await _write(connection, record, past)
        except Conflict:
            if attempt == TRIES - 1:
                raise
            # Somebody else's write came first. Those who wait differently do not meet again.
            await asyncio.sleep(random.uniform(0.0, PAUSE * attempt))
            past = await read(connection, record.namespace, record.service)
    raise AssertionError("unreachable")


async def _write(connection: Connection, record: Record, past: Past) -> Past:
    name = config_map_name(record.service)
    records: Sequence[Record] = (*past.records, record)
    metadata = {
        "name": name,
        "namespace": record.namespace,
        "labels": {"app.kubernetes.io/managed-by": "mlconsole", "mlconsole.io/service": record.service},
    }
    if past.resource_version:
        metadata["resourceVersion"] = past.resource_version
    data = {KEY: encode(records, foreign=past.foreign)}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    if past.resource_version:
        written = await writes.replace(connection, _path(record.namespace, name), body)
    else:
        written = await writes.create(connection, _path(record.namespace, ""), body)
    return _past(msgspec.json.decode(written, type=objects.ConfigMap))


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")
