"""Requests to model servers through the API server's proxy: a bastion reaches no pod network.

Protocol: https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/#manually-constructing-apiserver-proxy-urls
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import NotFound

BODY_LIMIT = 2 * 2**20
"""Bytes of an answer that are read."""


class Reply(Struct, frozen=True):
    """What a model server, or the proxy in its place, answered."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


async def service_get(
    connection: Connection, namespace: str, service: str, port: str, path: str, timeout: float = 5.0
) -> Reply:
    """GET `path` of a Service; the API server picks one of its ready endpoints. Raises ClusterError for no answer."""
    return await _get(connection, namespace, "services", service, port, path, timeout)


async def service_query(
    connection: Connection,
    namespace: str,
    service: str,
    port: str,
    path: str,
    parameters: Mapping[str, str],
    headers: Mapping[str, str],
    limit: int,
    timeout: float,
) -> Reply:
    """GET `path` of a Service with a query's parameters, `limit` bytes of the answer. Raises ClusterError for none."""
    url = _url(namespace, "services", service, port, quote(path))
    return Reply(
        *await connection.exchange("GET", url, params=parameters, headers=headers, timeout=timeout, limit=limit)
    )


async def pod_get(
    connection: Connection, namespace: str, pod: str, port: str, path: str, timeout: float = 5.0
) -> Reply:
    """GET `path` of one pod, at a port's number or at the name that its container gives it."""
    return await _get(
        connection, namespace, "pods", pod, await pod_port(connection, namespace, pod, port), path, timeout
    )


async def service_post(
    connection: Connection, namespace: str, service: str, port: str, path: str, body: Any, timeout: float = 5.0
) -> Reply:
    """POST `body` as JSON to `path` of a Service. Raises ClusterError for no answer."""
    return await _exchange("POST", connection, namespace, "services", service, port, path, timeout, body)


async def pod_post(
    connection: Connection, namespace: str, pod: str, port: str, path: str, body: Any, timeout: float = 5.0
) -> Reply:
    """POST `body` as JSON to `path` of one pod, at a port's number or name. Raises ClusterError for no answer."""
    number = await pod_port(connection, namespace, pod, port)
    return await _exchange("POST", connection, namespace, "pods", pod, number, path, timeout, body)


async def pod_port(connection: Connection, namespace: str, pod: str, port: str) -> str:
    """The number of a pod's port; asked for once where it is a name, so that who measures can ask before."""
    return await _number(connection, namespace, pod, port) if port and not port.isdigit() else port


async def _get(
    connection: Connection, namespace: str, kind: str, name: str, port: str, path: str, timeout: float
) -> Reply:
    return await _exchange("GET", connection, namespace, kind, name, port, path, timeout)


async def _exchange(
    method: str,
    connection: Connection,
    namespace: str,
    kind: str,
    name: str,
    port: str,
    path: str,
    timeout: float,
    body: Any = None,
) -> Reply:
    """One request through the proxy of a `services` or `pods` object. `path` may carry a query."""
    url = _url(namespace, kind, name, port, path)
    # The model server's own login is not ours: what is sent is the API server's, which takes it off on the way.
    return Reply(*await connection.exchange(method, url, body, timeout=timeout, limit=BODY_LIMIT))


def _url(namespace: str, kind: str, name: str, port: str, path: str) -> str:
    target = f"{name}:{port}" if port else name
    return f"/api/v1/namespaces/{quote(namespace)}/{kind}/{quote(target, safe=':')}/proxy/{path.lstrip('/')}"


# ---- named ports


class _Port(Struct, rename="camel"):
    container_port: int = 0
    name: str | None = None


class _Container(Struct):
    ports: list[_Port] | None = None


class _Spec(Struct):
    containers: list[_Container] | None = None


class _Pod(Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


_numbers: WeakKeyDictionary[Connection, dict[tuple[str, str, str], str]] = WeakKeyDictionary()
_KEPT = 10_000


async def _number(connection: Connection, namespace: str, pod: str, name: str) -> str:
    """The number of a pod's named port: the proxy of a pod, other than a Service's, takes numbers only."""
    known = _numbers.setdefault(connection, {})
    key = (namespace, pod, name)
    if key not in known:
        data = await connection.get(f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}")
        found = msgspec.json.decode(data, type=_Pod).spec.containers or []
        numbers = (port.container_port for item in found for port in item.ports or () if port.name == name)
        number = next(numbers, None)
        if number is None:
            raise NotFound(f"pod {namespace}/{pod} has no port named {name!r}", "", "correct the Service's targetPort")
        if len(known) >= _KEPT:
            known.clear()
        known[key] = str(number)
    return known[key]
