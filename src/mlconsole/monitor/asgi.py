"""The middleware of an ASGI application: times its predictions, counts how they end, and serves /metrics.

    app = MonitorMiddleware(app, monitor)  # Starlette, FastAPI: app.add_middleware(MonitorMiddleware, monitor=monitor)

Bodies pass through as they come and are not looked at, unless `extract` wants them. What the application raises is
raised on, and what goes wrong here does not reach it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any

from prometheus_client.exposition import choose_encoder

from mlconsole.monitor.block import CANCELLED, INVALID, Block
from mlconsole.monitor.export import scraped
from mlconsole.monitor.families import ERROR
from mlconsole.monitor.monitor import ModelMonitor

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Extract = Callable[[bytes, bytes], Iterable[tuple[Any, Any]]]
"""The features and the prediction of each row, of a request's body and its answer's."""

MOST_BODY = 1 << 20
"""As much of a body is kept for `extract`; of a longer one nothing is."""


class MonitorMiddleware:
    """Around an application."""

    def __init__(
        self,
        app: App,
        monitor: ModelMonitor,
        *,
        paths: Iterable[str] = ("/predict",),
        metrics: str = "/metrics",
        extract: Extract | None = None,
        most_body: int = MOST_BODY,
    ) -> None:
        """`paths` are those of the predictions; `metrics` is where to be scraped, "" for nowhere."""
        self._app = app
        self._monitor = monitor
        self._paths = frozenset(paths)
        self._metrics = metrics
        self._extract = extract
        self._most_body = most_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        path = str(scope.get("path", "")).removeprefix(str(scope.get("root_path", "")))
        if scope["type"] == "http" and path == self._metrics and path:
            await self._page(scope, send)
        elif scope["type"] == "http" and path in self._paths:
            await Exchange(self._monitor, self._extract, self._most_body).run(self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _page(self, scope: Scope, send: Send) -> None:
        accept = (value for name, value in scope.get("headers", ()) if name.lower() == b"accept")
        encode, kind = choose_encoder(b",".join(accept).decode("latin-1"))
        status = 200
        try:
            # In a thread: a page of many features takes milliseconds, of several processes more.
            body = await asyncio.to_thread(lambda: encode(scraped(self._monitor.registry)))
        except Exception as error:  # another collector's, or the files are gone
            self._monitor.figures.failed("scrape", error)
            status, kind = 500, "text/plain; charset=utf-8"
            body = f"the figures cannot be told: {type(error).__name__}: {error}\n".encode()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def heard(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                self._monitor.flush()
            await send(message)

        await self._app(scope, receive, heard)


class Exchange:
    """One request and its answer."""

    def __init__(self, monitor: ModelMonitor, extract: Extract | None, most_body: int) -> None:
        self._monitor = monitor
        self._extract = extract
        self._most_body = most_body
        self._asked = Kept(most_body)
        self._answered = Kept(most_body)
        self._status = 0
        self._block = Block(monitor)
        self._began = 0.0

    async def run(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """Have the application answer it."""

        async def heard() -> Message:
            message = await receive()
            if self._extract is not None and message["type"] == "http.request":
                self._asked.add(message.get("body", b""))
            return message

        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = int(message["status"])
            await send(message)
            if message["type"] == "http.response.body":
                if self._extract is not None:
                    self._answered.add(message.get("body", b""))
                if not message.get("more_body", False):
                    self._end()

        self._began = perf_counter()
        with self._block:
            try:
                await app(scope, heard, said)
            except Exception:
                self._end(ERROR)
                raise
            except BaseException:
                self._end(CANCELLED)
                raise
            self._end()  # an application that sent no last part

    def _end(self, status: str = "") -> None:
        """Count it with its last byte: what the application does in the background after that is no part of it."""
        block = self._block
        if not block.is_open:
            return
        latency = perf_counter() - self._began
        block.status = status or _status(self._status)
        try:
            if self._extract is not None and self._status < 400 and not status:
                self._describe(self._extract)
            block.end(latency)
        except Exception as error:
            self._monitor.figures.failed("asgi", error)

    def _describe(self, extract: Extract) -> None:
        if self._asked.too_long or self._answered.too_long:
            too_long = OverflowError(f"a body is over {self._most_body} bytes: its features are not counted")
            self._monitor.figures.failed("body_length", too_long)
            return
        try:
            for features, prediction in extract(self._asked.body, self._answered.body):
                self._monitor.log_prediction(features, prediction)
        except Exception as error:  # of whoever wrote `extract`
            self._monitor.figures.failed("extract", error)


class Kept:
    """The parts of a body, as long as they are not too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._length = 0

    @property
    def too_long(self) -> bool:
        """Whether it is not kept."""
        return self._length > self._most

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)

    def add(self, part: bytes) -> None:
        """Keep another part."""
        self._length += len(part)
        if self.too_long:
            self._parts.clear()
        else:
            self._parts.append(part)


def _status(code: int) -> str:
    """As the metric has it: whose fault it was."""
    if code >= 500 or code == 0:
        return ERROR
    return INVALID if code >= 400 else "success"
