"""The end of a pod's log, bounded in lines and bytes.

A server's `limitBytes` cuts off the end of what `tailLines` begins, the newest lines: what was cut is asked for again
with fewer lines, until its end is there.
"""

from __future__ import annotations

from urllib.parse import quote

from mlconsole.cluster import decoding, objects
from mlconsole.cluster.connection import Connection, Params
from mlconsole.cluster.errors import Invalid, NotFound
from mlconsole.cluster.pods import main_container
from mlconsole.domain.text import ELLIPSIS

LINES = 500
BYTES = 512 * 1024
_NONE = b"unable to retrieve container logs for "
"""What a kubelet answers, with 200, where the container and its log are gone already."""


async def tail(
    connection: Connection, namespace: str, pod: str, *, previous: bool = False, lines: int = LINES, container: str = ""
) -> str:
    """The last `lines` of a pod's container: the named one, or the one that serves. Raises ClusterError.

    They are fewer, and a first line says so, where they are too long together.
    """
    try:
        data, fitted = await _newest(connection, namespace, pod, previous, lines, container)
    except Invalid:
        # 400: it has several containers, and one has to be named.
        chosen = "" if container else await _main(connection, namespace, pod)
        if not chosen:
            raise
        data, fitted = await _newest(connection, namespace, pod, previous, lines, chosen)
    if data.startswith(_NONE) and len(data.splitlines()) == 1:
        raise NotFound("the container is gone already, and its log with it")
    text = data.decode(errors="replace")
    return text if fitted == lines else f"{ELLIPSIS} earlier lines are not shown: they are too long\n{text}"


async def _newest(
    connection: Connection, namespace: str, pod: str, previous: bool, lines: int, container: str
) -> tuple[bytes, int]:
    """The newest lines that fit into `BYTES`, and for how many was asked in the end."""
    while True:
        params: Params = {"tailLines": lines, "limitBytes": BYTES, "previous": previous, **_named(container)}
        data = await connection.get(_path(namespace, pod), params)
        if len(data) < BYTES or lines <= 1:
            return data, lines
        lines = max(1, min(lines // 2, data.count(b"\n")))


def _path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"


def _named(container: str) -> dict[str, str]:
    return {"container": container} if container else {}


async def _main(connection: Connection, namespace: str, pod: str) -> str:
    data = await connection.get(f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}")
    found = decoding.ItemDecoder(objects.Pod).decode(data)
    if isinstance(found, decoding.Malformed):
        return ""
    return main_container(found.metadata.annotations, (item.name for item in found.spec.containers or ()))
