"""The namespaces of a cluster, for choosing one. Many users may not list them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Forbidden
from mlconsole.domain.text import visible

MOST = 2000


class _Meta(Struct):
    name: str = ""


class _Item(Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _List(Struct):
    items: list[_Item] = []


async def namespaces(connection: Connection) -> tuple[str, ...]:
    """Their names, at most `MOST`; none where this user may not list them. Raises ClusterError for no answer."""
    try:
        body = await connection.get("/api/v1/namespaces", {"limit": MOST})
    except Forbidden:
        return ()
    return tuple(sorted(visible(item.metadata.name) for item in msgspec.json.decode(body, type=_List).items))
