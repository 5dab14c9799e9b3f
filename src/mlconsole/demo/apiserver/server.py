"""The server: authentication, faults, and errors as Status objects, around `handlers.Api`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import yaml
from aiohttp import web

from mlconsole.demo.apiserver.auth import User
from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.faults import Failure, Faults
from mlconsole.demo.apiserver.handlers import Api
from mlconsole.demo.apiserver.proxy import PodLogs
from mlconsole.demo.apiserver.store import Store

log = logging.getLogger(__name__)
CONTEXT = "demo"
NAMESPACE = "ml"


class RunningServer:
    """A server that listens."""

    def __init__(self, runner: web.AppRunner, api: Api, url: str, users: Mapping[str, User]) -> None:
        self._runner = runner
        self._api = api
        self._users = users
        self.url = url

    def kubeconfig(self, token: str | None = None, namespace: str = NAMESPACE) -> str:
        """A kubeconfig for the user of `token` (default: the first)."""
        token = token or next(iter(self._users))
        user = self._users[token].name
        context = {"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user, "namespace": namespace}}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": CONTEXT, "cluster": {"server": self.url}}],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [context],
                "current-context": CONTEXT,
            },
            sort_keys=False,
        )

    async def close(self) -> None:
        """Stop listening and end every connection."""
        await self._api.proxy.close()
        await self._runner.cleanup()


async def serve(
    store: Store,
    *,
    users: Mapping[str, User],
    host: str = "127.0.0.1",
    port: int = 0,
    logs: PodLogs | None = None,
    faults: Faults | None = None,
) -> RunningServer:
    """Listen on loopback. `users` maps bearer tokens to users. Raises OSError when the port is taken."""
    faults = faults or Faults()
    api = Api(store, logs, faults)

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            user = _authenticate(request, users)
            failure = faults.take(request.method, request.path)
            if failure is not None and not failure.after_write:
                await _fail(failure)
            answer = await api.handle(request, user)
            if failure is not None:
                await _fail(failure)
            return answer
        except ApiError as error:
            headers = {"Retry-After": "1"} if error.code == 429 else None
            return web.json_response(error.status(), status=error.code, headers=headers)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.exception("%s %s", request.method, request.path)
            return web.json_response(ApiError(500, f"{type(error).__name__}: {error}").status(), status=500)

    app = web.Application(client_max_size=8 * 2**20)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    address = runner.addresses[0]
    return RunningServer(runner, api, f"http://{address[0]}:{address[1]}", users)


def _authenticate(request: web.Request, users: Mapping[str, User]) -> User:
    if request.path in ("/healthz", "/livez", "/readyz", "/version"):
        return next(iter(users.values()))
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    user = users.get(token) if kind.lower() == "bearer" else None
    if user is None:
        raise ApiError(401, "Unauthorized")
    return user


async def _fail(failure: Failure) -> None:
    if failure.delay:
        await asyncio.sleep(failure.delay)
    if failure.status:
        raise ApiError(failure.status, "a fault that was asked for", details=_retry(failure))


def _retry(failure: Failure) -> dict[str, Any] | None:
    return {"retryAfterSeconds": failure.retry_after} if failure.retry_after else None
