"""The history of a service's operations, in a ConfigMap beside it (format: `domain.history`).

The operation under way stands there too, whole, so that any console can show it, and take it up when its executor is
gone (I18). Whoever writes never overwrites what a later holder of the lock wrote (I7).
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import decoding, objects, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Conflict, NotFound
from mlconsole.domain.history import Record, config_map_name, decode, encode, foreign_lines
from mlconsole.domain.masking import masked
from mlconsole.domain.operation import Operation

KEY = "records"
OPERATION = "operation"
TEMPLATES = "templates"
"""The pod templates of the releases that were verified last (`domain.history.Template`)."""
TRIES = 10
PAUSE = 0.02
"""Seconds, times the tries so far."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""It names a folder on the machine that takes the operation up."""
NOTHING: Mapping[str, str] = MappingProxyType({})
"""No other keys."""


class Past(Struct, frozen=True):
    """What is on record, and the version of the ConfigMap that says so; empty for one that does not exist."""

    records: tuple[Record, ...] = ()
    resource_version: str = ""
    complaints: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    """Lines that are no record to this version; they are written back as they are."""
    operation: Operation | None = None
    """The one under way, or interrupted."""
    rest: dict[str, str] = {}
    """The other keys, as they are."""

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
    found = decoding.ItemDecoder(objects.ConfigMap).decode(data)
    if isinstance(found, decoding.Malformed):
        return Past(complaints=(f"ConfigMap {found.name} cannot be read: {found.why}",))
    return _past(found)


async def under_way(connection: Connection, namespace: str) -> list[tuple[str, str]]:
    """(namespace, service) of every history with an operation under way. Raises ClusterError."""
    where = f"/api/v1/namespaces/{namespace}/configmaps" if namespace else "/api/v1/configmaps"
    body = await connection.get(where, {"labelSelector": "app.kubernetes.io/managed-by=mlconsole"})
    decoder = decoding.ItemDecoder(objects.ConfigMap)
    found = [decoder.decode(item) for item in decoding.raw_list(body, where).items or ()]
    return [
        (item.metadata.namespace, (item.metadata.labels or {}).get("mlconsole.io/service", ""))
        for item in found
        if not isinstance(item, decoding.Malformed) and (item.data or {}).get(OPERATION)
    ]


def _past(found: objects.ConfigMap) -> Past:
    data = dict(found.data or {})
    text, under_way = data.pop(KEY, ""), data.pop(OPERATION, "")
    records, complaints = decode(text)
    operation = None
    if under_way:
        try:
            operation = _own(msgspec.json.decode(under_way, type=Operation), found)
        except (msgspec.DecodeError, ValueError) as error:
            complaints.append(f"the operation under way cannot be read: {error}")
            data[OPERATION] = under_way
    version = found.metadata.resource_version
    return Past(tuple(records), version, tuple(complaints), tuple(foreign_lines(text)), operation, data)


def _own(operation: Operation, found: objects.ConfigMap) -> Operation:
    """`operation`, if it is one of this ConfigMap's service: who may write here must not reach further by it.

    Raises ValueError.
    """
    plan, namespace = operation.plan, found.metadata.namespace
    if config_map_name(plan.service) != found.metadata.name or plan.target.namespace != namespace:
        raise ValueError("it is of another service")
    if any(write.namespace != namespace for write in (*plan.writes, *operation.inherited)):
        raise ValueError("it writes to another namespace")
    if not _ID.fullmatch(operation.id):
        raise ValueError("its id is none")
    return operation


async def append(
    connection: Connection,
    records: Sequence[Record],
    past: Past,
    operation: Operation | None = None,
    more: Mapping[str, str] = NOTHING,
) -> Past:
    """Add `records`, all of one service, and put `operation` in the place of what is under way; None leaves that.

    `more` are other keys to write. When somebody else wrote meanwhile, it is added to what they left (never a lost
    update); what a later holder of the lock said of the same operation stays. Raises Conflict when what is under way
    there is of a later holder of the lock, ClusterError when it could not be written.
    """
    return await _put(connection, records[0].namespace, records[0].service, past, records, operation, more)


async def keep(connection: Connection, operation: Operation, past: Past) -> Past:
    """Put `operation` in the place of what is under way; one that has ended is taken out. Raises as `append` does."""
    return await _put(connection, operation.plan.target.namespace, operation.plan.service, past, (), operation, NOTHING)


async def _put(
    connection: Connection,
    namespace: str,
    service: str,
    past: Past,
    added: Sequence[Record],
    operation: Operation | None,
    more: Mapping[str, str],
) -> Past:
    for attempt in range(TRIES):
        late = operation is not None and past.operation is not None and past.operation.token > operation.token
        if operation is not None and late and added and (not operation.token or all(item.ended_at for item in added)):
            operation = None  # the later one stays; that this one was, and how it ended, is on record all the same
        elif operation is not None and late:
            raise Conflict(
                f"operation {operation.id} on {service}", "another one holds the service by now", "look again"
            )
        try:
            return await _write(connection, namespace, service, past, added, operation, more)
        except Conflict:
            if attempt == TRIES - 1:
                raise
            # Somebody else's write came first. Those who wait differently do not meet again.
            await asyncio.sleep(random.uniform(0.0, PAUSE * attempt))
            past = await read(connection, namespace, service)
        except NotFound:
            if attempt == TRIES - 1 or not past.resource_version:
                raise
            # Removed meanwhile: what was known of it is written down anew.
            past = replace(past, resource_version="")
    raise AssertionError("unreachable")


async def _write(
    connection: Connection,
    namespace: str,
    service: str,
    past: Past,
    added: Sequence[Record],
    operation: Operation | None,
    more: Mapping[str, str],
) -> Past:
    name = config_map_name(service)
    later = {record.id: record.token for record in past.records}
    records = (*past.records, *(record for record in added if record.token >= later.get(record.id, 0)))
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/managed-by": "mlconsole", "mlconsole.io/service": service},
    }
    if past.resource_version:
        metadata["resourceVersion"] = past.resource_version
    data = {**past.rest, **more, KEY: encode(records, foreign=past.foreign)}
    under_way = past.operation if operation is None else operation
    if under_way is not None and not under_way.ended:
        data[OPERATION] = msgspec.json.encode(masked(under_way)).decode()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    if past.resource_version:
        written = await writes.replace(connection, _path(namespace, name), body)
    else:
        written = await writes.create(connection, _path(namespace, ""), body)
    return _past(msgspec.json.decode(written, type=objects.ConfigMap))


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")
