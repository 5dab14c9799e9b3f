"""The pod and service proxies, and pod logs: the API server as the way into a network that the client cannot reach."""

from __future__ import annotations

import random
from typing import Any, Protocol

import aiohttp
from aiohttp import web

from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.store import Store

_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-authorization", "te", "trailer", "host"}
_PRIVATE = {"authorization", "content-length", "accept-encoding"}
_SECONDS = 60.0


class PodLogs(Protocol):
    """Where logs are kept: the node."""

    def log(self, namespace: str, pod: str, *, previous: bool = False, tail: int | None = None) -> bytes:
        """What a pod has written. Raises ApiError."""


class Proxy:
    """Forwards a request to a pod, or to a ready endpoint of a Service picked at random as the real one does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections to the pods."""
        if self._session:
            await self._session.close()

    async def forward(self, request: web.Request, address: tuple[str, int], path: str) -> web.StreamResponse:
        """Send the request on, and the answer back."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_SECONDS, sock_connect=5)
            self._session = aiohttp.ClientSession(auto_decompress=False, timeout=timeout)
        url = f"http://{address[0]}:{address[1]}/{path}"
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP | _PRIVATE}
        try:
            async with self._session.request(
                request.method, url, headers=headers, params=request.query, data=await request.read()
            ) as answer:
                kept = {key: value for key, value in answer.headers.items() if key.lower() not in _HOP}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(503, f"error trying to reach service: {error}") from error

    def pod_address(self, namespace: str, target: str) -> tuple[str, int]:
        """The address of `pod` or `pod:port`. Raises ApiError."""
        name, port = _split(target)
        pod = self._store.get("pods", namespace, name)
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise ApiError(503, f'pod "{name}" has no address yet')
        ports = [port for item in pod["spec"]["containers"] for port in item.get("ports") or ()]
        number = _number(port, ports) or (ports[0]["containerPort"] if ports else 80)
        return address, number

    def service_address(self, namespace: str, target: str) -> tuple[str, int]:
        """The address of a ready endpoint of `service` or `service:port`. Raises ApiError (503) where none is."""
        name, port = _split(target)
        service = self._store.get("services", namespace, name)
        ports = service["spec"].get("ports") or []
        wanted = next((item for item in ports if not port or port in (item.get("name"), str(item["port"]))), None)
        found = self._store.find("endpoints", namespace, name) or {}
        choices = [
            (address["ip"], item["port"])
            for subset in found.get("subsets") or ()
            for address in subset.get("addresses") or ()
            for item in subset.get("ports") or ()
            if wanted is not None and item.get("name", "") == wanted.get("name", "")
        ]
        if not choices:
            raise ApiError(503, f'no endpoints available for service "{name}"')
        return random.choice(choices)


def _split(target: str) -> tuple[str, str]:
    parts = target.split(":")
    if len(parts) == 3:
        return parts[1], parts[2]
    return parts[0], parts[1] if len(parts) == 2 else ""


def _number(port: str, ports: list[dict[str, Any]]) -> int:
    if port.isdigit():
        return int(port)
    return next((int(item["containerPort"]) for item in ports if port and item.get("name") == port), 0)
