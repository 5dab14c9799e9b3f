"""One connection pool to one API server, pinned to what it was opened for (I8).

The kubernetes package gives configuration, credentials and the aiohttp session; requests are made on that session
directly, because its own client reads every answer whole, twice, and builds an object per field. Everything that goes
wrong leaves here as a `ClusterError`. Every wait has an end.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import aiohttp
import msgspec
from msgspec import Struct

from mlconsole import __version__
from mlconsole.cluster.credentials import Credentials, Identity, forget_files
from mlconsole.cluster.errors import (
    Answer,
    ClusterError,
    ConfigInvalid,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    Silent,
    Unreachable,
    explain,
)
from mlconsole.cluster.kube import load
from mlconsole.cluster.kubeconfig import ContextInfo, contexts
from mlconsole.cluster.streams import keep_alive, lines, read_body
from mlconsole.cluster.wire import encoded
from mlconsole.domain.text import visible

__all__ = ["Connection", "ContextInfo", "Identity", "Response", "Who", "contexts"]

CONNECT_SECONDS = 10.0
TIMEOUT = 15.0
CLOSED = "the connection was closed meanwhile"
"""What aiohttp's failed assertion means: its pool was closed under a request."""
RELOAD_PAUSE = 10.0
"""Credentials are loaded again at most this often, however many requests are refused."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
NAME_RULE = "lower-case letters, digits and dashes, at most 63"

Params = Mapping[str, str | int | bool]
"""Query parameters; a bool is written `true` or `false`."""


class Response(NamedTuple):
    """An HTTP answer, read whole or up to a limit."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


def is_name(text: str) -> bool:
    """Whether a namespace or a Service can be called so.

    Names become part of a request's path: `x/../y` would read, and show as its own, what is another's.
    """
    return _NAME.fullmatch(text) is not None


class Who(NamedTuple):
    """Who asks, as the server sees them."""

    user: str
    groups: tuple[str, ...] | None = None
    """None where the server does not say: it is too old to be asked, or refuses the question."""


class Connection:
    """Requests and streams to one API server. Made by `open`, ended by `close`."""

    def __init__(self, credentials: Credentials, namespace: str) -> None:
        self._credentials = credentials
        self._rest: Any = None
        self._retired: list[Any] = []
        self._reloading = asyncio.Lock()
        self._loaded_at = float("-inf")
        self._reviews: tuple[str, ...] = ("v1", "v1beta1", "v1alpha1")
        """Versions of the question who we are that this server may still know."""
        self.heard = "", 0.0
        """The server's clock as its last answer had it, and this machine's when that came."""
        self.namespace = namespace
        """Where to look; empty for all namespaces."""

    @classmethod
    async def open(
        cls, context: str | None = None, namespace: str | None = None, kubeconfig: str | None = None
    ) -> Connection:
        """Read the configuration and make the pool. Nothing is sent yet. Raises ConfigInvalid.

        `context` None is the current one, `namespace` None the context's own, empty all of them.
        """
        credentials = Credentials(context or None, kubeconfig)
        await credentials.load()
        where = credentials.namespace if namespace is None else namespace
        if where and not is_name(where):
            raise ConfigInvalid(f"{visible(where, 60)!r} cannot be a namespace's name", "", NAME_RULE)
        connection = cls(credentials, where)
        connection._make_session()
        return connection

    @property
    def identity(self) -> Identity:
        """Context, server, CA and user; the same for the connection's whole life."""
        return self._credentials.identity

    async def close(self) -> None:
        """End the pool and every stream on it."""
        rests, self._rest = [*self._retired, self._rest], None
        self._retired.clear()
        for rest in rests:
            if rest is not None:
                await rest.close()

    # ---- requests

    async def get(self, path: str, params: Params | None = None, timeout: float = TIMEOUT) -> bytes:
        """The body of a GET that succeeded. Raises ClusterError."""
        return await self.request("GET", path, params=params, timeout=timeout)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        params: Params | None = None,
        timeout: float = TIMEOUT,
    ) -> bytes:
        """The body of the answer to one request that has to succeed; `body` is sent as JSON. Raises ClusterError."""
        return (await self.answer(method, path, body, content_type, params, timeout)).body

    async def answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        params: Params | None = None,
        timeout: float = TIMEOUT,
    ) -> Response:
        """`request`, with the answer's headers.

        Raises ClusterError. A refused credential is renewed, and the request repeated, once.
        """
        response = await self.exchange(method, path, body, content_type, params, timeout)
        if response.status == 401 and await self.reload():
            response = await self.exchange(method, path, body, content_type, params, timeout)
        if 200 <= response.status < 300:
            return response
        raise self._refusal(method, path, response)

    async def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        params: Params | None = None,
        timeout: float = TIMEOUT,
        limit: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request, whatever the status of its answer; at most `limit` bytes of the body are read.

        `headers` are for who is behind the API server: none of them takes the place of one of ours. Raises ClusterError
        when there is no answer.
        """
        sent = {**(headers or {}), **await self._headers()}
        data = body if body is None or isinstance(body, bytes) else encoded(body)
        if data is not None:
            sent["Content-Type"] = content_type
        try:
            # Not aiohttp's total alone: it does not cover a proxy's handshake or a slow close.
            async with asyncio.timeout(timeout), self._send(method, path, sent, data, params, timeout) as response:
                received = await read_body(response, limit)
                self.heard = response.headers.get("Date", ""), time.time()
                return Response(response.status, _lower(response.headers), received)
        except _FAILURES as error:
            raise explain(error, self._what(method, path)) from error
        except AssertionError as error:
            raise Unreachable(self._what(method, path), CLOSED) from error

    async def stream(self, path: str, params: Params | None = None, read_timeout: float = 75.0) -> AsyncIterator[bytes]:
        """The lines of an answer that does not end: a watch, a log that is followed.

        The first item, sent when the server has accepted the request, is empty. Lines come without their newline, at
        any size. Raises `Silent` when nothing came for `read_timeout` seconds, ClusterError for everything else.
        """
        what = f"cannot follow {_resource(path)} on {self.identity.server}"
        sent = await self._headers()
        try:
            async with self._send("GET", path, sent, None, params, None, read_timeout) as response:
                if response.status != 200:
                    received = await read_body(response, 100_000)
                    raise self._refusal("GET", path, Response(response.status, _lower(response.headers), received))
                keep_alive(response)
                yield b""
                async for line in lines(response.content):
                    yield line
        except _FAILURES as error:
            if isinstance(error, TimeoutError):
                raise Silent(what, f"nothing came for {read_timeout:.0f} s", "it is opened again") from error
            raise explain(error, what) from error
        except AssertionError as error:
            raise Unreachable(what, CLOSED) from error

    async def reload(self) -> bool:
        """Load the credentials again; False when that was done just now. Raises ConfigInvalid."""
        async with self._reloading:
            if time.monotonic() - self._loaded_at < RELOAD_PAUSE:
                return False
            self._loaded_at = time.monotonic()
            await self._credentials.load()
            if self._rest is None:
                return False  # closed meanwhile
            # Streams on the old pool end by themselves; its idle connections must not keep a refused certificate.
            self._retired.append(self._rest)
            self._make_session()
            while len(self._retired) > 1:
                oldest = self._retired[0]
                await oldest.close()
                if oldest in self._retired:  # else all of them were closed meanwhile
                    self._retired.remove(oldest)
            return True

    # ---- who and where

    async def whoami(self) -> str:
        """The user as the server sees them, else as the kubeconfig names them. Raises ClusterError for no answer."""
        return (await self.whois()).user

    async def whois(self) -> Who:
        """`whoami`, and the user's groups where the server says who asks. Raises ClusterError for no answer."""
        while self._reviews:
            version = self._reviews[0]
            path = f"/apis/authentication.k8s.io/{version}/selfsubjectreviews"
            body = {"apiVersion": f"authentication.k8s.io/{version}", "kind": "SelfSubjectReview"}
            try:
                data = await self.request("POST", path, body)
                info = msgspec.json.decode(data, type=_Review).status.user_info
                return Who(info.username or self.identity.user, tuple(info.groups or ()))
            except (NotFound, Invalid):
                # Not served here: not asked for again.
                self._reviews = self._reviews[1:] if self._reviews[:1] == (version,) else self._reviews
            except (ServerError, Forbidden, msgspec.DecodeError):
                break
        return Who(self.identity.user)

    async def namespace_uid(self, namespace: str) -> str:
        """The uid of a namespace: it tells one made anew from the one planned for. Raises ClusterError."""
        body = await self.get(f"/api/v1/namespaces/{namespace}")
        return msgspec.json.decode(body, type=_Named).metadata.uid

    # ---- inside

    def _make_session(self) -> None:
        configuration = self._credentials.configuration
        # Python 3.13 asks more of a CA than kubectl does, and refuses many clusters' own.
        configuration.disable_strict_ssl_verification = True
        try:
            self._rest = load().RESTClientObject(configuration)
        except (OSError, ValueError) as error:
            raise explain(error, f"cannot use the certificates of context {self.identity.context}") from error
        finally:
            forget_files()

    async def _headers(self) -> dict[str, str]:
        return {
            "User-Agent": f"mlconsole/{__version__}",
            "Accept": "application/json",
            **await self._credentials.headers(),
        }

    def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        params: Params | None,
        total: float | None,
        silence: float | None = None,
    ) -> Any:
        rest = self._rest
        if rest is None:
            raise ConnectionError("this connection is closed")
        extra = {"server_hostname": rest.server_hostname} if rest.server_hostname else {}
        return rest.pool_manager.request(
            method,
            self.identity.server + path,
            headers=headers,
            data=body,
            params={name: _text(value) for name, value in params.items()} if params else None,
            proxy=rest.proxy,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_SECONDS, sock_read=silence),
            **extra,
        )

    def _refusal(self, method: str, path: str, response: Response) -> ClusterError:
        answer = Answer(response.status, response.body, response.headers, _verb(method, path), _resource(path))
        return explain(answer, self._what(method, path))

    def _what(self, method: str, path: str) -> str:
        where = path.split("?", maxsplit=1)[0]
        verb, resource = _VERBS.get(method, method), _resource(where)
        if not resource:
            return f"cannot {verb} {where} on {self.identity.server}"
        return f"cannot {verb} {resource} ({where} on {self.identity.server})"


_VERBS = {"GET": "read", "POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


class _UserInfo(Struct):
    username: str = ""
    groups: list[str] | None = None


class _ReviewStatus(Struct, rename="camel"):
    user_info: _UserInfo = msgspec.field(default_factory=_UserInfo)


class _Review(Struct):
    status: _ReviewStatus = msgspec.field(default_factory=_ReviewStatus)


class _Uid(Struct):
    uid: str = ""


class _Named(Struct):
    metadata: _Uid = msgspec.field(default_factory=_Uid)


_FAILURES = (OSError, TimeoutError, EOFError, ValueError, aiohttp.ClientError)
"""What a request can end in, besides its answer."""


def _verb(method: str, path: str) -> str:
    """The verb that a role has to name: reading one object is `get`, reading all of them is `list`."""
    if method != "GET":
        return _VERBS.get(method, "")
    return "list" if len(_parts(path)) == 1 else "get"


def _resource(path: str) -> str:
    """`pods` of `/api/v1/namespaces/ml/pods/x`, `deployments` of `/apis/apps/v1/deployments`."""
    parts = _parts(path)
    return parts[0] if parts else ""


def _parts(path: str) -> list[str]:
    """What of a path follows the group, the version and the namespace."""
    parts = [part for part in path.split("?", maxsplit=1)[0].split("/") if part]
    parts = parts[2:] if parts[:1] == ["api"] else parts[3:]
    return parts[2:] if len(parts) > 2 and parts[0] == "namespaces" else parts


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
