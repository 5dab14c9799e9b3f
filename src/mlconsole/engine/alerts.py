"""The alerts of the place that is looked at: rules judged, others' alerts read, what people did kept, and who is told.

Made by the engine of a console and by `mlconsole watch --headless`. What a rule needs is read by the feeds anyway; only
its own queries, and drift where nobody reads it, are asked here. A source that is away leaves what it said last
standing, and is said to be away (I29).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from mlconsole.cluster.errors import redact
from mlconsole.config import Settings
from mlconsole.domain import alerts
from mlconsole.domain.alerts import Alert, Rule, State, Track
from mlconsole.domain.attribution import Cause, Verdict
from mlconsole.domain.history import Record
from mlconsole.domain.telemetry import Mark
from mlconsole.engine import protocol
from mlconsole.engine.alertdrift import FleetDrift
from mlconsole.engine.alerthands import Hands, context
from mlconsole.engine.alertjudging import Judging
from mlconsole.engine.alertkeeping import Keeping
from mlconsole.engine.alertlooks import Looks
from mlconsole.engine.alertnotify import Notifier
from mlconsole.engine.alertothers import OthersAlerts
from mlconsole.engine.alertsources import AlertSources
from mlconsole.engine.alertstate import AlertState
from mlconsole.engine.alertwhy import Causes, Feeds
from mlconsole.engine.scope import Scope
from mlconsole.metrics.asking import Worker

__all__ = ["Alerts", "Feeds"]

PULSE = 5.0
"""Seconds between two looks at the rules."""
QUERY_PULSE = 15.0
"""Between two looks at those with queries of their own, and at others' alerts."""
MARKS = 100
log = logging.getLogger(__name__)


class Alerts:
    """Knows them all. `run` is its life; `changed` is called when `publication` says something else than before."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        searcher: Worker,
        feeds: Feeds,
        sources: AlertSources,
        scope: Callable[[], Scope | None],
        changed: Callable[[], None],
        state: AlertState,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`searcher` looks for causes, which takes long: nobody else is to wait for it."""
        self._settings = settings
        self._sources = sources
        self._scope = scope
        self._changed = changed
        self._clock = clock
        self._drift = FleetDrift(feeds, sources, worker, clock)
        self._looks = Looks(feeds.glances, self._drift.of, sources.ask, clock)
        self._keeping = Keeping(state)
        self._judging = Judging(settings, self._keeping, clock)
        self._causes = Causes(settings, searcher, feeds, sources, self._drift.of, clock)
        self._hands = Hands(settings, sources, state, clock)
        self.notifier = Notifier(settings.notify, lambda what: state.claim(what, clock()))
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None
        """For drift: that takes its time, and no rule waits for it."""
        self._known: Scope | None = None
        self.happened: Callable[[Alert], None] = lambda _: None
        """Called with each alert that fires or is over."""
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        if self._asking is not None:
            self._asking.cancel()
        for part in (self._drift, self._judging, self._keeping, self._causes):
            part.forget()
        self._others = OthersAlerts()
        self._marks: deque[tuple[str, Mark]] = deque(maxlen=MARKS)
        self._broken = ""
        self._queried = float("-inf")
        self._alerts: tuple[Alert, ...] = ()
        self._published = self._make()

    def leave(self) -> None:
        """The place is left now: until the new one was looked at there is nothing to say."""
        self._known = None
        self.forget()

    # ---- life

    async def run(self) -> None:
        """Look until cancelled; what breaks a look is in the log, and the next one comes."""
        try:
            while True:
                try:
                    await self.look()
                    self._broken = ""
                except Exception as error:
                    # A fault of ours: said where the alerts are, for rules that nobody judges must not read as quiet.
                    log.exception("a look at the alerts failed")
                    self._broken = f"the rules are not judged: {redact(repr(error))}; see the log file"
                self._renew()
                await asyncio.sleep(PULSE)
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("what an alert asks for failed", exc_info=error)

    async def look(self) -> None:
        """One look at everything that is due.

        It waits for nobody as long as rules wait between two looks (`alerts.LONGEST_GAP`): time that nobody looked at
        does not count for one that holds.
        """
        scope = self._scope()
        if scope is not self._known:
            self._known = scope
            self.forget()
        if scope is None or scope.cache is None:
            return
        services, now = dict(scope.cache.services), self._clock()
        queries = now - self._queried >= QUERY_PULSE
        if queries:
            self._queried = now
        due = self._judging.due(services.values(), queries=queries)
        if self._asking is None or self._asking.done():
            self._asking = self._spawn(self._drift.renew(due))
        self._causes.remember(services.values())
        looks = await self._looks.look(due)
        others = await self._sources.others() if queries else None
        if self._scope() is not scope:
            return
        await self._judging.take(scope, due, looks, lambda alert: self._tell_of(scope, alert))
        if queries:
            self._judging.drop(scope, due)
            if scope.state.usable(self._clock()):
                self._causes.retain(services)
        if others is not None:
            for alert in self._others.take(others, services.values(), self._clock()):
                self._mark(alert)
        await self._settle()

    # ---- what fires

    def _tell_of(self, scope: Scope, alert: Alert) -> None:
        """An alert fires, or is over: a mark, and a word to whoever is to be told."""
        fires = alert.state is State.FIRING
        if fires:
            self._mark(alert)
        self.happened(alert)
        in_hand = fires and self._handled(scope, alert).quiet(self._clock())
        if self.notifier.concerns(alert) and not in_hand:
            self._spawn(self._tell(scope, alert))

    def _mark(self, alert: Alert) -> None:
        self._marks.append((alert.service, Mark(alert.fired_at, "alert", f"{alert.name} fires")))

    async def _tell(self, scope: Scope, alert: Alert) -> None:
        async def why() -> str:
            if not alert.service or alert.state is not State.FIRING:
                return ""
            found, _ = await self._causes.of(scope, alert)
            return found.words

        await self.notifier.tell(alert, context(scope), why)

    # ---- what is so

    async def _settle(self) -> None:
        """The look is over: read what people did meanwhile, and say what changed."""
        scope = self._known
        await self._keeping.renew(self._judging.firing(scope) if scope else (), self._clock())
        self._renew()

    def _renew(self) -> None:
        made = self._make()
        if made != self._published:
            self._published = made
            self._changed()

    def _make(self) -> protocol.Alerts:
        scope = self._known
        found = alerts.merged([*self._judging.alerts(), *self._others.alerts])
        self._alerts = tuple(self._handled(scope, item) for item in found) if scope else tuple(found)
        notify = self._settings.notify
        problems = (self._broken, *self._others.failures, self._keeping.problem, self.notifier.problem)
        return protocol.Alerts(
            self._alerts,
            self._others.silences,
            "; ".join(filter(None, problems)),
            self._hands.no_silence(scope),
            protocol.Calling(notify.severity, notify.bell, notify.title, notify.terminal),
            self._judging.unjudged(),
        )

    def _handled(self, scope: Scope, alert: Alert) -> Alert:
        """An alert with what was done about it."""
        return replace(alert, handled=self._hands.of(scope, alert, self._keeping.kept.handled))

    def rules(self) -> list[tuple[str, Rule, Track]]:
        """Every rule on every service, and where it stands."""
        return self._judging.rules(self._known)

    def publication(self) -> protocol.Alerts:
        """What the screen shows."""
        return self._published

    def marks(self, key: str) -> tuple[Mark, ...]:
        """The moments at which alerts of a service began, for its charts."""
        return tuple(mark for service, mark in self._marks if service == key)

    # ---- what people do

    async def handle(self, asked: protocol.HandleAlert) -> protocol.Notice:
        """Acknowledge, snooze, take back, silence."""
        alert, scope = self._find(asked.id), self._known
        if alert is None or scope is None:
            return protocol.Notice("warning", "that alert is over")
        notice = await self._hands.handle(scope, alert, asked)
        if asked.verb == "silence":
            self._queried = float("-inf")  # Alertmanager's word for it is read with the next look
        else:
            await self._settle()
        return notice

    async def cause(self, ident: str) -> tuple[Cause, Record | None]:
        """What an alert is likely of, and the operation that the words name."""
        alert, scope = self._find(ident), self._known
        if alert is None or scope is None:
            return Cause(Verdict.UNKNOWN, "that alert is over"), None
        return await self._causes.of(scope, alert)

    def _find(self, ident: str) -> Alert | None:
        return next((item for item in self._alerts if item.id == ident), None)
