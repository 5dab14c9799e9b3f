"""The end of a pod's log, bounded in lines and bytes."""

from __future__ import annotations

from mlconsole.cluster.connection import Connection

LINES = 500
BYTES = 512 * 1024


async def tail(connection: Connection, namespace: str, pod: str, *, previous: bool = False, lines: int = LINES) -> str:
    """The last `lines` of a pod's only or first container. Raises ClusterError."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
    params = {"tailLines": lines, "limitBytes": BYTES, "previous": previous}
    data = await connection.get(path, params)
    return data.decode(errors="replace")
