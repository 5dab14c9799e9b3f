"""Follow a kind in the store: what is there, then every change; and loops that reconcile by key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace

from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.store import Change, Key, Object, Store

log = logging.getLogger(__name__)
RETRY = 0.2
"""Seconds until a key whose reconciliation met a conflict is tried again."""


def key_of(item: Object) -> Key:
    """Namespace and name."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


async def follow(store: Store, resource: str) -> AsyncIterator[Change]:
    """Every object as an ADDED change, then the changes; starts over when the history is gone."""
    while True:
        items, version = store.list(resource)
        for item in items:
            yield Change(version, "ADDED", item, None, b"")
        try:
            async for change in store.changes(resource, version):
                if change is not None:
                    yield replace(change, line=b"")
        except ApiError as error:
            if error.code != 410:
                raise


class Loop:
    """A level-triggered loop: changes name keys, a key is reconciled once however often it was named meanwhile."""

    def __init__(self, store: Store, name: str, reconcile: Callable[[Key], float | None]) -> None:
        """`reconcile` returns seconds after which the key is looked at again, or None."""
        self._store, self._name, self._reconcile = store, name, reconcile
        self._due: dict[Key, None] = {}
        self._awake = asyncio.Event()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._sources: list[tuple[str, Callable[[Change], Iterable[Key]]]] = []

    def on(self, resource: str, keys: Callable[[Change], Iterable[Key]]) -> Loop:
        """Reconcile `keys(change)` when a `resource` changes."""
        self._sources.append((resource, keys))
        return self

    def add(self, key: Key) -> None:
        """Reconcile a key soon."""
        self._due[key] = None
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource, keys in self._sources:
                group.create_task(self._listen(resource, keys), name=f"{self._name} on {resource}")
            group.create_task(self._work(), name=self._name)

    async def _listen(self, resource: str, keys: Callable[[Change], Iterable[Key]]) -> None:
        async for change in follow(self._store, resource):
            for key in keys(change):
                self.add(key)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._awake.wait()
            self._awake.clear()
            await asyncio.sleep(0)  # let the listeners hear all of what just happened
            due, self._due = self._due, {}
            for key in due:
                try:
                    again = self._reconcile(key)
                except ApiError as error:
                    log.info("%s %s: %s", self._name, key, error)
                    again = RETRY
                except (KeyError, TypeError, ValueError, AttributeError):
                    log.exception("%s: cannot reconcile %s", self._name, key)
                    again = None
                timer = self._timers.pop(key, None)
                if timer:
                    timer.cancel()
                if again is not None:
                    self._timers[key] = loop.call_later(again, self.add, key)
