"""Requests to model servers through the API server's proxy: a bastion reaches no pod network.

Protocol: https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
"""

from __future__ import annotations

from urllib.parse import quote

from msgspec import Struct

from mlconsole.cluster.connection import Connection

BODY_LIMIT = 2 * 2**20


class Reply(Struct, frozen=True):
    """What a model server, or the proxy in its place, answered."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


async def service_get(
    connection: Connection, namespace: str, service: str, port: str, path: str, timeout: float = 5.0
) -> Reply:
    """GET `path` of a Service; the API server picks one of its ready endpoints."""
    return await _get(connection, namespace, "services", service, port, path, timeout)


async def pod_get(
    connection: Connection, namespace: str, pod: str, port: str, path: str, timeout: float = 5.0
) -> Reply:
    """GET `path` of one pod."""
    return await _get(connection, namespace, "pods", pod, port, path, timeout)


async def _get(
    connection: Connection, namespace: str, kind: str, name: str, port: str, path: str, timeout: float
) -> Reply:
    target = f"{name}:{port}" if port else name
    url = f"/api/v1/namespaces/{quote(namespace)}/{kind}/{quote(target, safe=':')}/proxy/{path.lstrip('/')}"
    return Reply(*await connection.exchange("GET", url, timeout=timeout, limit=BODY_LIMIT))
