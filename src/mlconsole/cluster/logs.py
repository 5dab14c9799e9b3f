"""The end of a pod's log, bounded in lines and bytes, once or as it grows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

from mlconsole.cluster import objects
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Invalid
from mlconsole.cluster.pods import main_container

LINES = 500
BYTES = 512 * 1024
LINE_BYTES = 16 * 1024
"""Of one line that are kept when a log is followed."""


async def tail(
    connection: Connection, namespace: str, pod: str, *, previous: bool = False, lines: int = LINES, container: str = ""
) -> str:
    """The last `lines` of a pod's container: the named one, or the one that serves. Raises ClusterError."""
    params = {"tailLines": lines, "limitBytes": BYTES, "previous": previous}
    try:
        data = await connection.get(_path(namespace, pod), {**params, **_named(container)})
    except Invalid:
        # 400: it has several containers, and one has to be named.
        chosen = "" if container else await _main(connection, namespace, pod)
        if not chosen:
            raise
        data = await connection.get(_path(namespace, pod), {**params, **_named(chosen)})
    return data.decode(errors="replace")


async def follow(
    connection: Connection,
    namespace: str,
    pod: str,
    *,
    lines: int = LINES,
    container: str = "",
    read_timeout: float = 3600.0,
) -> AsyncIterator[str]:
    """The last `lines`, then each new line, until the container ends. Raises ClusterError.

    A log may be silent for long: only `read_timeout` seconds without a line end it.
    """
    chosen = container or await _main(connection, namespace, pod)
    params: dict[str, str | int | bool] = {"tailLines": lines, "follow": True, **_named(chosen)}
    first = True
    async for line in connection.stream(_path(namespace, pod), params, read_timeout):
        if not first:
            yield line[:LINE_BYTES].decode(errors="replace")
        first = False


def _path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"


def _named(container: str) -> dict[str, str]:
    return {"container": container} if container else {}


async def _main(connection: Connection, namespace: str, pod: str) -> str:
    data = await connection.get(f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}")
    found = objects.ItemDecoder(objects.Pod).decode(data)
    if isinstance(found, objects.Malformed):
        return ""
    return main_container(found.metadata.annotations, (item.name for item in found.spec.containers or ()))
