"""Keep one kind of object as the cluster has it: list in chunks, then watch, for as long as it takes.

The outside forces: a watch may end at any time and is taken up again from the last resourceVersion; that version may
be too old (410, as HTTP status or as an ERROR event), and then everything is listed again; a connection may die without
a word, so a watch that is silent past its time counts as dead until proven alive (I24). Bookmarks make silence rare.
Protocol: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from mlconsole.cluster import objects
from mlconsole.cluster.backoff import Backoff
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Expired, Forbidden, TooManyRequests, from_watch
from mlconsole.cluster.resources import Served
from mlconsole.domain.sources import Condition

CHUNK = 500
SILENCE = 75.0
"""Seconds: API servers send a bookmark about every minute."""
WATCH_SECONDS = (240, 300)
DENIED_PAUSE = 60.0
SLICE = 50
"""Objects decoded before other tasks get a turn."""

Kind = TypeVar("Kind")
Kind_contra = TypeVar("Kind_contra", contravariant=True)


class Sink(Protocol[Kind_contra]):
    """Where the objects go."""

    def put(self, item: Kind_contra) -> None:
        """An object is there, or changed."""

    def drop(self, key: tuple[str, str]) -> None:
        """The object (namespace, name) is gone."""

    def keys(self) -> Iterable[tuple[str, str]]:
        """What is there now."""

    def malformed(self, item: objects.Malformed) -> None:
        """Something that is no object of this kind."""


class Reflector(Generic[Kind]):
    """One kind in one namespace (or all), mirrored into a sink by `run`."""

    def __init__(
        self,
        connection: Connection,
        kind: Served,
        namespace: str,
        sink: Sink[Kind],
        moved: Callable[[], None],
        silence: float = SILENCE,
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._namespace = namespace
        self._sink = sink
        self._moved = moved
        self._silence = silence
        self._decoder: objects.ItemDecoder[Kind] = objects.ItemDecoder(kind.resource.type)
        self._events = msgspec.json.Decoder(objects.WatchEvent)
        self._retry = asyncio.Event()
        self.condition = Condition.STARTING
        self.since = time.time()
        self.last_contact = 0.0
        self.error: ClusterError | None = None
        self.complete = False
        """Whether a whole list has been taken in."""

    def retry(self) -> None:
        """End a back-off now."""
        self._retry.set()

    async def run(self) -> None:
        """Mirror until cancelled. Failures end in `condition` and `error`, never in an exception."""
        backoff = Backoff()
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                backoff.reset()
                version = await self._watch(version)
            except Expired:
                version = ""
                continue
            except ClusterError as error:
                version = "" if not self.complete else self._version
                self._failed(error)
                await self._wait(backoff, error)
            except msgspec.DecodeError as error:
                version = ""
                self._failed(ClusterError(f"{self._kind.resource.key} cannot be read", str(error)))
                await self._wait(backoff, None)

    async def _wait(self, backoff: Backoff, error: ClusterError | None) -> None:
        at_least = error.retry_after if isinstance(error, TooManyRequests) else 0.0
        pause = DENIED_PAUSE if isinstance(error, Forbidden) else backoff.pause(at_least)
        self._retry.clear()
        try:
            await asyncio.wait_for(self._retry.wait(), pause)
        except TimeoutError:
            return

    # ---- list

    async def _list(self) -> str:
        path = self._kind.path(self._namespace)
        seen: set[tuple[str, str]] = set()
        params: dict[str, str | int] = {"limit": CHUNK, **self._selector()}
        while True:
            data = await self._connection.get(path, params, timeout=60)
            page = msgspec.json.decode(data, type=objects.RawList)
            self._alive(Condition.STARTING if not self.complete else self.condition)
            items = page.items or ()
            for start in range(0, len(items), SLICE):
                for raw in items[start : start + SLICE]:
                    self._take(raw, seen)
                self._moved()
                await asyncio.sleep(0)
            if not page.metadata.continue_:
                break
            params["continue"] = page.metadata.continue_
        for key in [key for key in self._sink.keys() if key not in seen]  # noqa: SIM118:
            self._sink.drop(key)
        self._version = page.metadata.resource_version
        self.complete = True
        self._alive(Condition.LIVE)
        self._moved()
        return self._version

    def _take(self, raw: msgspec.Raw, seen: set[tuple[str, str]] | None = None) -> None:
        item: Any = self._decoder.decode(raw)
        if isinstance(item, objects.Malformed):
            self._sink.malformed(item)
            return
        if seen is not None:
            seen.add((item.metadata.namespace, item.metadata.name))
        self._sink.put(item)

    def _selector(self) -> dict[str, str]:
        selector = self._kind.resource.selector
        return {"labelSelector": selector} if selector else {}

    # ---- watch

    async def _watch(self, version: str) -> str:
        """Watch from `version` until the server ends it; the last version seen."""
        params: dict[str, str | int | bool] = {
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": version,
            "timeoutSeconds": random.randint(*WATCH_SECONDS),
            **self._selector(),
        }
        self._version = version
        what = f"watch of {self._kind.resource.key}"
        async for line in self._connection.stream(self._kind.path(self._namespace), params, self._silence):
            event = self._events.decode(line)
            if event.type == "ERROR":
                raise from_watch(bytes(event.object), what)
            self._apply(event)
            self._alive(Condition.LIVE)
        return self._version

    def _apply(self, event: objects.WatchEvent) -> None:
        item: Any = self._decoder.decode(event.object)
        if isinstance(item, objects.Malformed):
            self._sink.malformed(item)
            return
        meta = item.metadata
        if meta.resource_version:
            self._version = meta.resource_version
        if event.type == "BOOKMARK":
            return
        if event.type == "DELETED":
            self._sink.drop((meta.namespace, meta.name))
        else:
            self._sink.put(item)
        self._moved()

    # ---- state

    def _alive(self, condition: Condition) -> None:
        self.last_contact = time.time()
        self.error = None
        if condition is not self.condition:
            self.condition, self.since = condition, self.last_contact
            self._moved()

    def _failed(self, error: ClusterError) -> None:
        self.error = error
        condition = Condition.DENIED if isinstance(error, Forbidden) else Condition.DOWN
        if condition is Condition.DOWN and self.complete:
            condition = Condition.STALE
        if condition is not self.condition:
            self.condition, self.since = condition, time.time()
        self._moved()
