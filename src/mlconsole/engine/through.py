"""Prometheus behind the API server: a GET of its Service by a connection's own credentials."""

from __future__ import annotations

from mlconsole.cluster import proxy
from mlconsole.cluster.connection import Connection
from mlconsole.metrics.answers import MAX_ANSWER
from mlconsole.metrics.asking import Request


async def through(connection: Connection, request: Request) -> proxy.Reply:
    """The answer, read as far as one of Prometheus is. Raises ClusterError."""
    place = request.place
    return await proxy.service_query(
        connection,
        place.namespace,
        place.service,
        place.port,
        request.path,
        request.parameters,
        request.headers,
        MAX_ANSWER + 1,
        request.seconds,
    )
