"""One place that the console looks at: a connection, and what is read through it.

A change of context or namespace makes a new scope and ends the old one whole, so that nothing of one cluster can ever
be taken for another's (I8). A scope connects by itself, with back-off, for as long as it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from msgspec.structs import replace

from mlconsole.cluster.backoff import Backoff
from mlconsole.cluster.cache import ClusterCache
from mlconsole.cluster.colors import Hints
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, ConfigInvalid, Forbidden, Unauthorized
from mlconsole.cluster.namespaces import namespaces
from mlconsole.config import Settings
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.text import visible
from mlconsole.engine.hints import hints_of
from mlconsole.engine.offload import Offload
from mlconsole.engine.planner import Glances, Planner
from mlconsole.engine.presence import Presence

LONGEST_PAUSE = 30.0
log = logging.getLogger(__name__)


class Scope:
    """A context and a namespace. `run` is its life; everything else is None until it is connected."""

    def __init__(
        self,
        settings: Settings,
        context: str | None,
        namespace: str | None,
        glances: Glances,
        offload: Offload,
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._context = context
        self._namespace = namespace
        self._glances = glances
        self._offload = offload
        self._changed = changed
        self._retry = asyncio.Event()
        self._state = SourceState("k8s", Condition.STARTING, since=time.time())
        self.connection: Connection | None = None
        self.cache: ClusterCache | None = None
        self.planner: Planner | None = None
        self.user = ""
        self.namespaces: tuple[str, ...] = ()
        """Those of the cluster; empty while they are not known, or not for this user to list."""
        self.round_trip = 0.05
        """Seconds of one request to the API server, measured once it is connected."""
        self.presence = Presence(settings)

    @property
    def state(self) -> SourceState:
        """How the API server is doing: this scope's own word until it is connected, the cache's from then on."""
        return self.cache.state() if self.cache else self._state

    def settled(self, settings: Settings) -> Settings:
        """`settings` for somebody who is to look at this place, whatever is looked at later."""
        cluster = replace(settings.cluster, context=self._context or settings.cluster.context)
        return replace(settings, cluster=cluster)

    def reconnect(self) -> None:
        """Try again now, not at the end of a back-off."""
        self._retry.set()
        if self.cache:
            self.cache.reconnect()

    async def run(self) -> None:
        """Connect, and keep reading until cancelled."""
        backoff = Backoff(1.0, LONGEST_PAUSE)
        while True:
            try:
                await self._connect()
                await self._read()
            except* (ClusterError, TimeoutError) as group:
                if self.cache is not None and self.cache.complete:
                    backoff.reset()
                self._down(_first(group))
            finally:
                await self._close()
            if _left():
                raise asyncio.CancelledError
            self._retry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.pause()):
                    await self._retry.wait()
                    backoff.reset()

    async def _connect(self) -> None:
        cluster = self._settings.cluster
        self.connection = await Connection.open(
            context=self._context, namespace=self._namespace, kubeconfig=cluster.kubeconfig
        )
        self.planner = Planner(self.connection, self._settings, self._glances, offload=self._offload)
        self._changed()

    async def _read(self) -> None:
        assert self.connection is not None
        self.cache = ClusterCache(self.connection, self.connection.namespace, self._hints)
        self.cache.on_change(self._changed)
        async with asyncio.TaskGroup() as group:
            # Beside the first listing, not before it: the rows are waited for.
            group.create_task(self._enter(self.connection, self.cache))
            await self.cache.run()

    async def _enter(self, connection: Connection, cache: ClusterCache) -> None:
        """Say hello to the server, and let the other consoles see that this one is here."""
        await self._introduce(connection)
        await self.presence.run(connection, self.user or connection.identity.user, cache.inventory)

    async def _introduce(self, connection: Connection) -> None:
        """Ask who we are here, how far away the server is, and what namespaces there are."""
        try:
            self.user = visible(await connection.whoami())
            started = time.monotonic()
            await connection.get("/version")
            self.round_trip = time.monotonic() - started
            self.namespaces = await namespaces(connection)
        except ClusterError as error:
            log.warning("who am I at %s: %s", connection.identity.server, error)
        self._changed()

    def _hints(self, namespace: str, name: str) -> Hints:
        return hints_of(self._settings.service(namespace, name))

    async def _close(self) -> None:
        """Give up the connection. An operation under way has its own."""
        connection, self.connection = self.connection, None
        self.cache = self.planner = None
        if connection is not None:
            await connection.close()

    def _down(self, error: Exception) -> None:
        message = getattr(error, "message", "") or str(error) or "no answer in time"
        hint = getattr(error, "hint", "") or "change the context"
        condition = Condition.DENIED if isinstance(error, Unauthorized | Forbidden) else Condition.DOWN
        since = self._state.since if self._state.condition is condition else time.time()
        detail = "" if isinstance(error, ConfigInvalid) else (self._context or "")
        self._state = replace(self._state, condition=condition, since=since, message=message, hint=hint, detail=detail)
        self._changed()


def _left() -> bool:
    """Whether this place was left while it failed: a group of tasks tells of the failure alone then."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first of what failed at once."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
