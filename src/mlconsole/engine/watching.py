"""The alerts without a screen: what `mlconsole watch --headless` runs, and one look for `mlconsole alerts`.

The same scope, feeds and rules as a console's engine; what it has to say goes to whoever made it. A cluster or a source
that goes away is waited for, as in the console.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

from msgspec.structs import replace

from mlconsole.cluster.cache import ClusterCache
from mlconsole.config import Settings
from mlconsole.domain.alerts import Alert
from mlconsole.domain.sources import SourceState
from mlconsole.engine import alertstate
from mlconsole.engine.alerts import Alerts
from mlconsole.engine.alertsources import AlertSources
from mlconsole.engine.alertstate import AlertState
from mlconsole.engine.feeds import Feeds
from mlconsole.engine.scope import Scope

PULSE = 0.25
"""Seconds between two looks at what changed in the cluster."""


class Watching:
    """Looks at one place. Made by `Watching.open`."""

    def __init__(self, settings: Settings) -> None:
        # Nobody sits here: no mark for other consoles, and nothing is changed.
        settings = replace(settings, read_only=True, ui=replace(settings.ui, presence=False))
        self._wake = asyncio.Event()
        cluster = settings.cluster
        namespace = "" if cluster.all_namespaces else cluster.namespace
        self.feeds = Feeds(settings, self._wake.set, lambda: self.scope)
        self.scope = Scope(settings, cluster.context, namespace, self.feeds.glances, self.feeds.offload, self._wake.set)
        sources = AlertSources(settings, self.feeds.offload, self.feeds, self.feeds.service_get)
        state = AlertState(alertstate.folder(os.environ))
        offload = self.feeds.offload
        self.alerts = Alerts(
            settings, offload, offload.lane("causes"), self.feeds, sources, lambda: self.scope, self._wake.set, state
        )
        self.changed: Callable[[], None] = lambda: None
        """Called after every change of what the sources and the alerts say."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, settings: Settings, happened: Callable[[Alert], None] = lambda _: None, *, judging: bool = True
    ) -> AsyncIterator[Watching]:
        """Begin to look; all of it ends with the block, whatever ends that. Without `judging` whoever asks looks."""
        watching = cls(settings)
        watching.alerts.happened = happened
        # The registry for what is told of a cause; whoever looks once has no time for its moves.
        watching.feeds.start(registry=judging, docker=False)
        tasks = [asyncio.create_task(work) for work in (watching.scope.run(), watching.keep())]
        if judging:
            tasks.append(asyncio.create_task(watching.alerts.run()))
        owner = asyncio.current_task()

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None and owner is not None:
                owner.cancel()

        for task in tasks:
            task.add_done_callback(ended)
        try:
            yield watching
        except asyncio.CancelledError:
            for task in tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error from None
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await watching.feeds.stop()

    def sources(self) -> tuple[SourceState, ...]:
        """How the cluster and the figures are."""
        return (self.scope.state, *(state for state in self.feeds.states() if state.name in ("prom", "scrape")))

    @property
    def complete(self) -> bool:
        """Whether everything in the cluster was listed once."""
        return self.scope.cache is not None and self.scope.cache.complete

    async def keep(self) -> None:
        """Hand on what changes in the cluster, until cancelled."""
        seen: ClusterCache | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await self._wake.wait()
            self._wake.clear()
            connection, cache = self.scope.connection, self.scope.cache
            if connection is not None and cache is not None:
                place = (connection.identity.context, connection.namespace)
                if cache is not seen and not self.feeds.is_at(*place):
                    self.feeds.place_changed(*place, home=True)
                taken = cache.take()
                if taken.services or taken.removed or cache is not seen:
                    self.feeds.services_changed(list(cache.services.values()), None)
                seen = cache
            self.feeds.take_touched()
            self.changed()
            await asyncio.sleep(PULSE)
