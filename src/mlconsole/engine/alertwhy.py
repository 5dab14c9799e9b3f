"""Deploy or data, for one alert: its series, what happened around it, and what the worker makes of both.

The series are Prometheus' over the hours before, where there is one; else what the console saw since it began to look,
and what the charts hold. Of a short time first, which has the finer points; of a longer one where nothing is found.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace

from mlconsole.config import Settings
from mlconsole.domain.alerts import Alert
from mlconsole.domain.attribution import Cause, Happening, Shift, Verdict, span
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.history import Record
from mlconsole.domain.registry import AliasMove
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Glance, Telemetry
from mlconsole.engine import alertcause, alertlooks, view
from mlconsole.engine.alertcause import Memory, Points
from mlconsole.engine.alertdrift import Asks
from mlconsole.engine.alertlooks import Drift
from mlconsole.engine.alertpast import HOUR, Found, Past
from mlconsole.engine.scope import Scope
from mlconsole.metrics.asking import Worker

FRESH = 30.0
"""Seconds for which a cause stands as it was found."""
SPANS = (HOUR, 6 * HOUR, 24 * HOUR)
"""How far back it is looked, the next where nothing is found. The moment is then looked for in the hour around it."""
LEAD = 2.0
"""An alert's age must be in the span this many times: what was before it is half of what a change is found by."""
FINE = 15.0
"""Seconds between two points that are near enough."""
SLOW = ("accuracy",)
"""Figures that come late and seldom: of an hour there is too little."""
KEPT = 200


class Feeds(Protocol):
    """What is asked of the engine's feeds."""

    def glances(self, key: str) -> Sequence[Glance]:
        """The figures of a service's colours now."""

    def drift(self, key: str) -> DriftTable | None:
        """The drift table of a service, where there is one."""

    def telemetry(self, key: str) -> Telemetry | None:
        """The panels of a service, where they are read."""

    def alias_moves(self, service: ModelService) -> Sequence[AliasMove]:
        """The aliases of its model that were seen to move."""


class Causes:
    """Finds what alerts are likely of, and remembers the figures that this rests on."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        feeds: Feeds,
        asks: Asks,
        drift: Drift,
        clock: Callable[[], float],
    ) -> None:
        self._worker = worker
        self._feeds = feeds
        self._drift = drift
        self._clock = clock
        self._past = Past(settings, asks, clock)
        self._turn = asyncio.Semaphore(1)
        """One search at a time, though many alerts fire at once: each asks Prometheus for hours of figures."""
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        self._past.forget()
        self._memories: dict[str, Memory] = {}
        self._known: dict[str, tuple[float, Cause]] = {}

    def retain(self, services: Container[str]) -> None:
        """Forget the services that are no more."""
        for key in [key for key in self._memories if key not in services]:
            del self._memories[key]

    def remember(self, services: Iterable[ModelService]) -> None:
        """Keep the figures of now: the live colour's, and the traffic of all colours."""
        for service in services:
            color, glances = service.live_color, self._feeds.glances(service.key)
            glance = view.glance_of(glances, color.name) if color else None
            if color is None or glance is None:
                continue
            rates = [item.requests_per_second for item in glances if item.requests_per_second is not None]
            memory = self._memories.setdefault(service.key, Memory())
            memory.add("p95", glance.at, glance.p95)
            memory.add("error_share", glance.at, glance.error_share)
            memory.add("rate", glance.at, sum(rates) if rates else None)
            share, _, _ = alertlooks.drifted(self._drift(service.key), color.name)
            memory.add("drift.share", glance.at, share)

    async def of(self, scope: Scope, alert: Alert) -> tuple[Cause, Record | None]:
        """What an alert is likely of, and the operation that the words name; the cause is kept for a moment."""
        service = scope.cache.services.get(alert.service) if scope.cache else None
        if service is None or scope.cache is None:
            return Cause(Verdict.UNKNOWN, "it is about no service here"), None
        inventory = scope.cache.inventory
        records, _ = view.records_of(inventory.configmaps.get(service.namespace, f"mlconsole-history-{service.name}"))
        async with self._turn:
            made, found = self._known.get(alert.id, (float("-inf"), Cause(Verdict.UNKNOWN, "")))
            if self._clock() - made >= FRESH:
                moves = self._feeds.alias_moves(service)
                happened = alertcause.happenings(service, records, view.events_of(service, inventory), moves)
                found = await self._found(service, alert, happened)
                self._keep(alert.id, found)
        return found, next((record for record in records if record.id == found.operation), None)

    def _keep(self, ident: str, found: Cause) -> None:
        self._known.pop(ident, None)
        self._known[ident] = (self._clock(), found)
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]

    async def _found(self, service: ModelService, alert: Alert, happened: Sequence[Happening]) -> Cause:
        about = alertcause.about_of(alert.condition, alert.panel)
        best, most = Cause(Verdict.UNKNOWN, "nothing was looked at"), -1
        for seconds in self._spans(alert, about):
            past = await self._past.series(service, seconds) if seconds else Found()
            series, basis = self._series(service, past, seconds)
            shifts = await self._shifts(series)
            if isinstance(shifts, str):
                return Cause(Verdict.UNKNOWN, shifts, basis=basis)
            known = alertcause.known(series, about)
            found = replace(alertcause.judged(about, shifts, happened, known, alert.fired_at), basis=basis)
            if found.verdict is not Verdict.UNKNOWN:
                return await self._nearer(service, about, found, shifts, past.step, happened)
            if known > most:
                best, most = found, known
            if past.problem and not past.series:
                break
        return best

    async def _nearer(
        self,
        service: ModelService,
        about: str,
        found: Cause,
        shifts: Sequence[Shift],
        step: float,
        happened: Sequence[Happening],
    ) -> Cause:
        """The same change by finer points, where it was found in coarse ones; beside what only those show."""
        if found.shift is None or step <= FINE:
            return found
        near = await self._past.series(service, HOUR, found.shift.change.at + HOUR / 2)
        if not near.series or near.step >= step:
            return found
        finer = await self._shifts(near.series)
        if isinstance(finer, str):
            return found
        seen = {item.series for item in finer}
        both = [*finer, *(item for item in shifts if item.series not in seen)]
        made = alertcause.judged(about, both, happened, alertcause.known(near.series, about))
        if made.verdict is Verdict.UNKNOWN or found.shift.series not in seen:
            return found
        return replace(made, basis=f"{found.basis}, and the hour around it by {span(near.step)}")

    async def _shifts(self, series: Sequence[Points]) -> list[Shift] | str:
        """The changes of each, by the worker; why there are none, where it gives no answer."""
        try:
            return await self._worker.run(alertcause.shifts, series, timeout=alertcause.SECONDS)
        except TimeoutError:
            return "the worker gave no answer in time"
        except (OSError, RuntimeError) as error:
            return f"the worker failed: {type(error).__name__}: {error}"

    def _spans(self, alert: Alert, about: str) -> Sequence[float]:
        """How far back to look: 0 for what is known here, where there is no Prometheus."""
        if not self._past.wanted:
            return (0.0,)
        age = self._clock() - (alert.fired_at or alert.since)
        least = SPANS[1] if about in SLOW else min(LEAD * age, SPANS[-1])
        return [seconds for seconds in SPANS if seconds >= least]

    def _series(self, service: ModelService, past: Found, seconds: float) -> tuple[list[Points], str]:
        """The series, and whose they are, in words."""
        memory = self._memories.get(service.key, Memory())
        charted = alertcause.points_of(self._feeds.telemetry(service.key), service.live)
        told = alertcause.accuracy_of(self._drift(service.key), service.live)
        series = alertcause.longest(past.series, memory.series(service.live), charted, told)
        if past.series:
            words = f"Prometheus, the last {seconds / HOUR:.0f} h by {span(past.step)}"
            return series, f"{words}; {past.problem}" if past.problem else words
        here = "what this console saw"
        if memory.since < self._clock():
            here += f" since {time.strftime('%H:%MZ', time.gmtime(memory.since))}"
        return series, f"{here}; Prometheus cannot be asked: {past.problem}" if past.problem else here
