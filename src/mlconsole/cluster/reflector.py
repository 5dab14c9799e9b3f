"""Keep one kind of object as the cluster has it: list in chunks, then watch, for as long as it takes.

The outside forces: a watch may end at any time and is taken up again from the last resourceVersion; that version may
be too old (410, as HTTP status or as an ERROR event), and then everything is listed again; a connection may die without
a word, so a watch that is silent past its time counts as dead until proven alive (I24). Bookmarks make silence rare.
Protocol: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar, cast

import msgspec

from mlconsole.cluster import decoding
from mlconsole.cluster.backoff import Backoff
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import (
    ClusterError,
    Expired,
    Forbidden,
    ServerError,
    Silent,
    TooManyRequests,
    Unauthorized,
    from_watch,
)
from mlconsole.cluster.resources import Served
from mlconsole.domain.sources import Condition

CHUNK = 500
SILENCE = 75.0
"""Seconds: API servers send a bookmark about every minute."""
WATCH_SECONDS = (240, 300)
QUIET_WATCH_SECONDS = (45, 60)
"""For kinds without bookmarks: the watch's own end, within `SILENCE`, is the sign of life."""
DENIED_PAUSE = 60.0
SHORTEST_WATCH = 1.0
"""A watch that ended sooner and brought nothing is a failure: taken up again at once, it would be a busy loop."""
STEADY = 10.0
"""Seconds after which a watch counts as a success, and the next failure as the first."""
SLICE = 100
"""Objects taken in before other tasks get a turn: about a millisecond of pods."""
LIST_SECONDS = 60.0

log = logging.getLogger(__name__)
Kind_contra = TypeVar("Kind_contra", contravariant=True)


class Sink(Protocol[Kind_contra]):
    """Where the objects go."""

    def put(self, item: Kind_contra) -> None:
        """An object is there, or changed."""

    def drop(self, key: tuple[str, str]) -> None:
        """The object (namespace, name) is gone."""

    def keys(self) -> Iterable[tuple[str, str]]:
        """What is there now."""

    def malformed(self, item: decoding.Malformed) -> None:
        """Something that is no object of this kind."""


class Reflector(Generic[Kind_contra]):
    """One kind in one namespace (or all), mirrored into a sink by `run`."""

    def __init__(
        self,
        connection: Connection,
        kind: Served,
        namespace: str,
        sink: Sink[Kind_contra],
        moved: Callable[[], None],
        silence: float = SILENCE,
        clock: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._namespace = namespace
        self._sink = sink
        self._moved = moved
        self._silence = silence
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._decoder: decoding.ItemDecoder[Any] = decoding.ItemDecoder(kind.resource.type)
        self._retry = asyncio.Event()
        self._version = ""
        """Of the last thing taken in; empty when only a list can go on."""
        self._whole = False
        """List without chunks: the tokens of the last try ended before the list did."""
        self.condition = Condition.STARTING
        self.since = clock()
        self.last_contact = 0.0
        self.error: ClusterError | None = None
        self.complete = False
        """Whether a whole list has been taken in."""

    def retry(self) -> None:
        """End a back-off now."""
        self._retry.set()

    async def run(self) -> None:
        """Mirror until cancelled. Whatever fails ends in `condition` and `error`, and is tried again."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except Expired as error:
                # The version is too old, or the continue token was: list again, what is gone goes.
                self._version = ""
                log.info("%s: %s; listing again", self._kind.resource.key, error.why)
                await self._pause(error)
            except Silent as error:
                self._failed(error)
            except ClusterError as error:
                self._failed(error)
                await self._pause(error)
            except msgspec.DecodeError as error:
                self._version = ""
                what = f"cannot read the {self._kind.resource.key} of {self._connection.identity.server}"
                self._failed(ServerError(what, f"the answer is no Kubernetes list: {error}", "is this an API server?"))
                await self._pause(None)
            except Exception as error:
                # A fault of ours must not end the mirror without a word: it is said, logged, and tried again.
                log.exception("reflector %s", self._kind.resource.key)
                self._version = ""
                self._failed(ServerError(f"cannot mirror {self._kind.resource.key}", repr(error), "see the log file"))
                await self._pause(None)

    async def _pause(self, error: ClusterError | None) -> None:
        at_least = error.retry_after if isinstance(error, (TooManyRequests, ServerError)) else 0.0
        if isinstance(error, Unauthorized) and await self._renewed():
            return
        pause = self._backoff.pause(max(at_least, DENIED_PAUSE if isinstance(error, Forbidden) else 0.0))
        self._retry.clear()
        try:
            async with asyncio.timeout(pause):
                await self._retry.wait()
        except TimeoutError:
            return

    async def _renewed(self) -> bool:
        """Whether new credentials were loaded just now: then there is no need to wait."""
        try:
            return await self._connection.reload()
        except ClusterError as error:
            self._failed(error)
            return False

    # ---- list

    async def _list(self) -> None:
        path = self._kind.path(self._namespace)
        seen: set[tuple[str, str]] = set()
        params: dict[str, str | int] = {} if self._whole else {"limit": CHUNK}
        if self._kind.resource.selector:
            params["labelSelector"] = self._kind.resource.selector
        while True:
            try:
                data = await self._connection.get(path, params, timeout=LIST_SECONDS)
            except Expired:
                self._whole = "continue" in params
                raise
            meta, items = self._decoder.chunk(data)
            self._contact()
            for start in range(0, len(items), SLICE):
                for item in items[start : start + SLICE]:
                    seen.add(self._take(item))
                self._moved()
                await asyncio.sleep(0)
            if not meta.continue_:
                break
            params["continue"] = meta.continue_
        for key in [key for key in self._sink.keys() if key not in seen]:  # noqa: SIM118
            self._sink.drop(key)
        self._version = meta.resource_version
        self.complete, self._whole = True, False
        self._live()

    def _take(self, item: Any) -> tuple[str, str]:
        """Put an object where it belongs; its key. What is malformed keeps its place in the mirror, as it last was."""
        if isinstance(item, decoding.Malformed):
            self._sink.malformed(item)
            namespace, _, name = item.name.rpartition("/")
            return namespace, name
        meta = item.metadata
        self._sink.put(item)
        return meta.namespace, meta.name

    # ---- watch

    async def _watch(self) -> None:
        """Watch from the last version until the server ends it."""
        seconds = WATCH_SECONDS if self._kind.resource.bookmarks else QUIET_WATCH_SECONDS
        params: dict[str, str | int | bool] = {
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": self._version,
            "timeoutSeconds": random.randint(*seconds),
        }
        if self._kind.resource.selector:
            params["labelSelector"] = self._kind.resource.selector
        began, brought = time.monotonic(), False
        lines = self._connection.stream(self._kind.path(self._namespace), params, self._silence)
        try:
            async with aclosing(cast("AsyncGenerator[bytes, None]", lines)) as stream:
                async for line in stream:
                    # The first, empty one says that the server took the watch up: alive again.
                    if line:
                        brought = True
                        self._apply(_EVENTS.decode(line))
                    self._live()
        finally:
            if time.monotonic() - began > STEADY:
                self._backoff.reset()
        if not brought and time.monotonic() - began < SHORTEST_WATCH:
            what = f"the watch of {self._kind.resource.key} on {self._connection.identity.server} ends at once"
            raise ServerError(what, "", "it is opened again")

    def _apply(self, event: decoding.WatchEvent) -> None:
        if event.type == "ERROR":
            raise from_watch(bytes(event.object), f"watch of {self._kind.resource.key}")
        if event.type == "BOOKMARK":
            self._version = decoding.version_of(event.object) or self._version
            return
        item = self._decoder.decode(event.object)
        if event.type == "DELETED":
            self._sink.drop(decoding.key_of(event.object))
        else:
            self._take(item)
        self._version = (
            decoding.version_of(event.object)
            if isinstance(item, decoding.Malformed)
            else item.metadata.resource_version
        )
        self._moved()

    # ---- state

    def _contact(self) -> None:
        self.last_contact = self._clock()

    def _live(self) -> None:
        self.last_contact, self.error = self._clock(), None
        if self.condition is not Condition.LIVE:
            self.condition, self.since = Condition.LIVE, self.last_contact
            self._moved()

    def _failed(self, error: ClusterError) -> None:
        self.error = error
        if isinstance(error, Forbidden | Unauthorized):
            condition = Condition.DENIED
        else:
            condition = Condition.STALE if self.complete else Condition.DOWN
        if condition is not self.condition:
            self.condition, self.since = condition, self._clock()
        self._moved()


_EVENTS = msgspec.json.Decoder(decoding.WatchEvent)
