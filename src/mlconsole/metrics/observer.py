"""Prometheus as a source: what is asked of it each round, and what its answers make of the panels."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar, TypeVarTuple

from msgspec import Struct

from mlconsole.cluster.backoff import Backoff
from mlconsole.cluster.errors import redact
from mlconsole.config import Settings
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.telemetry import Glance, Telemetry
from mlconsole.domain.text import visible
from mlconsole.metrics import features, queries
from mlconsole.metrics.chart import Chart, compared, nice_step
from mlconsole.metrics.fleet import FleetFigures
from mlconsole.metrics.prometheus import Endpoint, Failure, Question, Reply, address, ask

WINDOWS = (30, 60, 120, 240, 300)
"""Seconds that a rate looks back over: the first that holds four scrapes."""
DRIFT_SECONDS = 30.0
INTERVAL_SECONDS = 60.0
SURE_COUNT = 12
ROUND_SECONDS = 25.0
OWN_IN_TURN = 4
"""Services whose own queries are asked in a round, besides the selected one's."""
log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Worker(Protocol):
    """The engine's way to run a function in a worker process."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout: float) -> T:
        """`function(*args)` there, within `timeout` seconds."""


class _Asked(Struct, frozen=True):
    """A question, and what its answer is for: handed the reply when it is there."""

    question: Question
    take: Callable[[Reply], None]


class Observer:
    """Asks one Prometheus. `run` is its life."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        changed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings.metrics.prometheus_url or "", settings.metrics.auth)
        self._worker = worker
        self._changed = changed
        self._clock = clock
        self._wake = asyncio.Event()
        self._backoff = Backoff(1.0, 30.0)
        self.charting = False
        self._range = settings.metrics.range
        self._until = self._compare = 0.0
        self._window = WINDOWS[1]
        self._condition, self._since = Condition.STARTING, clock()
        self._failure: Failure | None = None
        self._last_contact = 0.0
        self._warning = ""
        self._services: dict[str, ModelService] = {}
        self._selected = ""
        self.forget()

    def forget(self) -> None:
        """Another cluster: nothing of the one before counts."""
        self._services = {}
        self._figures = FleetFigures()
        self._own_turn = 0
        self._interval_due = -math.inf
        self._anything = False
        """Whether Prometheus has such metrics under whatever labels."""
        self._fleet_problem = ""
        self._clear_selected()

    def _clear_selected(self) -> None:
        self._chart: Chart | None = None
        self._earlier: Chart | None = None
        """The same time earlier, where that was asked for."""
        self._panel_queries: dict[str, str] = {}
        self._panel_problems: dict[str, str] = {}
        self._telemetry: Telemetry | None = None
        self._drift: DriftTable | None = None
        self._drift_asked = -math.inf

    # ---- what is looked at

    def fleet(self, services: Sequence[ModelService]) -> None:
        """Every service."""
        first = not self._services
        self._services = {service.key: service for service in services}
        self._figures.retain(self._services)
        if first:
            self._wake.set()

    def select(self, service: ModelService | None) -> None:
        """The service whose panels are on the screen."""
        if service is not None:
            before = self._services.get(service.key)
            self._services[service.key] = service
            if before is not None and [color.name for color in before.colors] != [
                color.name for color in service.colors
            ]:
                self._chart = self._earlier = None
        key = service.key if service else ""
        if key != self._selected:
            self._selected = key
            self._clear_selected()
            self._wake.set()

    def show_range(self, seconds: float, until: float = 0.0, compare: float = 0.0) -> None:
        """Show `seconds` until `until` (0: now), and the same time `compare` seconds earlier."""
        if (seconds, until, compare) == (self._range, self._until, self._compare):
            return
        if seconds != self._range:
            self._chart = None
        if (seconds, compare) != (self._range, self._compare):
            self._earlier = None
        self._range, self._until, self._compare = seconds, until, compare
        chart = self._chart
        if chart is not None and chart.last is not None and not compare and not chart.missing(until or self._clock()):
            chart.finish(range(0))
            self._telemetry = None
            self._changed(self._selected)
        self._wake.set()

    def hurry(self) -> None:
        """Ask now."""
        self._backoff.reset()
        self._wake.set()

    # ---- life

    async def run(self) -> None:
        """Ask round after round, until cancelled. A Prometheus that is down or slow is asked less often."""
        while True:
            self._wake.clear()
            started = time.monotonic()
            answered = await self._round()
            took = time.monotonic() - started
            pause = max(self._settings.metrics.refresh, 3 * took) if answered else self._backoff.pause()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _round(self) -> bool:
        asked = self._questions()
        try:
            replies = await self._worker.run(
                ask, self._endpoint, [item.question for item in asked], timeout=ROUND_SECONDS
            )
        except TimeoutError as error:
            self._down(Failure("down", f"{address(self._endpoint.url)}: {error}", "it is tried again by itself"))
            return False
        except Exception as error:
            # The worker broke, not the question: the source is down until the next round, and the log says why.
            log.exception("asking Prometheus failed")
            self._down(
                Failure("down", f"the metrics worker failed: {type(error).__name__}: {error}", "see the log file")
            )
            return False
        failures = [reply.failure for reply in replies if reply.failure is not None]
        total = [failure for failure in failures if failure.kind != "query"]
        if len(total) == len(replies):
            self._down(total[0])
            return False
        self._up()
        self._warning = visible(next((text for reply in replies for text in reply.warnings), ""), 300)
        for item, reply in zip(asked, replies, strict=True):
            item.take(reply)
        self._settle()
        return True

    def _down(self, failure: Failure) -> None:
        self._failure = failure
        self._become(Condition.DENIED if failure.kind == "denied" else Condition.DOWN)

    def _up(self) -> None:
        self._failure = None
        self._backoff.reset()
        self._last_contact = self._clock()
        self._become(Condition.LIVE)

    def _become(self, condition: Condition) -> None:
        changed = condition is not self._condition
        if changed:
            self._condition, self._since = condition, self._clock()
        if changed or self._failure is not None:
            self._telemetry = None
            self._changed(self._selected)

    @property
    def up(self) -> bool:
        """Whether it answers."""
        return self._condition is Condition.LIVE

    @property
    def known_down(self) -> bool:
        """Whether it was asked and did not answer as it should."""
        return self._failure is not None

    @property
    def state(self) -> SourceState:
        """How it answers."""
        failure = self._failure
        message = redact(failure.why) if failure else self._fleet_problem or self._warning
        hint = failure.hint if failure else ""
        where = address(self._endpoint.url)
        return SourceState("prom", self._condition, self._since, self._last_contact, message, hint, where)

    # ---- what is asked

    def _questions(self) -> list[_Asked]:
        asked = self._fleet_questions()
        service = self._services.get(self._selected)
        if service is not None:
            if self.charting:
                asked += self._chart_questions(service)
            if self._clock() - self._drift_asked >= DRIFT_SECONDS:
                self._drift_asked = self._clock()
                asked += self._drift_questions(service)
        # Nobody to ask about: still asked whether it is there.
        return asked or [_Asked(Question(queries.ANYTHING), self._take_anything)]

    def _fleet_questions(self) -> list[_Asked]:
        services = [service for service in self._services.values() if service.colors]
        if not services:
            return []
        scope, window = queries.Scope(services), f"{self._window}s"
        asked = []
        if self._clock() >= self._interval_due:
            self._interval_due = self._clock() + INTERVAL_SECONDS
            asked.append(_Asked(Question(queries.interval_query(scope)), self._take_interval))
            asked.append(_Asked(Question(queries.ANYTHING), self._take_anything))
        places = {
            (service.namespace, color.deployment): (service.key, color.name)
            for service in services
            for color in service.colors
        }
        for stat in queries.STATS:
            query = queries.panel_query(stat, scope, window)
            asked.append(_Asked(Question(query), partial(self._figures.take, stat, places)))
        return asked + self._own_questions(services, window)

    def _own_questions(self, services: Sequence[ModelService], window: str) -> list[_Asked]:
        """The configuration's own queries: of the selected service each round, of the others in turn."""
        asked = []
        selected = [service for service in services if service.key == self._selected]
        others = [service for service in services if service.key != self._selected and self._queries(service)]
        turn = self._own_turn % max(1, len(others))
        chosen = (others[turn:] + others[:turn])[:OWN_IN_TURN]
        self._own_turn = turn + len(chosen)
        for service in (*selected, *chosen):
            for stat in queries.STATS:
                own = queries.override(service, stat, self._queries(service), window)
                if own is not None:
                    asked.append(_Asked(Question(own), partial(self._figures.take_own, stat, service)))
        return asked

    def _queries(self, service: ModelService) -> dict[str, str]:
        return self._settings.service(service.namespace, service.name).queries

    def _chart_questions(self, service: ModelService) -> list[_Asked]:
        metrics = self._settings.metrics
        step = nice_step(self._range, max(1.0, metrics.refresh))
        if self._chart is None:
            self._chart = Chart(service.key, self._range, step, [color.name for color in service.colors])
        until = self._until or self._clock()
        asked = self._points_questions(service, self._chart, until)
        if self._compare:
            if self._earlier is None:
                self._earlier = Chart(service.key, self._range, step, [color.name for color in service.colors])
            asked += self._points_questions(service, self._earlier, until - self._shift(step))
        return asked

    def _shift(self, step: float) -> float:
        """By how much the earlier time is earlier: whole steps, so that its points lie under those of the present."""
        return round(self._compare / step) * step

    def _points_questions(self, service: ModelService, chart: Chart, until: float) -> list[_Asked]:
        step = round(chart.step)
        due = chart.missing(until)
        window = f"{max(self._window, step)}s"
        scope = queries.Scope([service])
        asked: list[_Asked] = []
        texts: dict[str, list[str]] = {}
        problems: dict[str, str] = {}
        if not due:
            chart.finish(due)
            return asked
        for stat, panel in queries.PANELS.items():
            query = queries.override(service, stat, self._queries(service), window) or queries.panel_query(
                stat, scope, window
            )
            texts.setdefault(panel, []).append(query)
            question = Question(query, due[0] * step, due[-1] * step, step)
            asked.append(_Asked(question, partial(self._take_points, chart, service, due, stat, problems)))
        self._panel_queries = {panel: "\n".join(found) for panel, found in texts.items()}
        return asked

    def _drift_questions(self, service: ModelService) -> list[_Asked]:
        scope = queries.Scope([service])
        counted: list[Reply] = []

        def take_references(reply: Reply) -> None:
            self._take_drift(service, counted[0], reply)

        return [
            _Asked(Question(queries.feature_query(scope)), counted.append),
            _Asked(Question(queries.reference_query(scope)), take_references),
        ]

    # ---- what is made of the answers

    def _take_interval(self, reply: Reply) -> None:
        counts = [row.values[-1] for row in reply.rows if row.values and row.values[-1] > 0]
        if counts:
            interval = 60.0 / max(counts)
            self._window = next((window for window in WINDOWS if window >= 4 * interval), WINDOWS[-1])
            if max(counts) < SURE_COUNT:
                # Scraped that seldom, or only since a moment: look again soon.
                self._interval_due = self._clock() + INTERVAL_SECONDS / 6

    def _take_anything(self, reply: Reply) -> None:
        self._anything = bool(reply.rows)

    def _take_points(
        self, chart: Chart, service: ModelService, due: range, stat: str, problems: dict[str, str], reply: Reply
    ) -> None:
        panel = queries.PANELS[stat]
        found: dict[str, dict[int, float]] = {}
        lost = 0
        for row in reply.rows:
            color = queries.color_of(row.labels, service)
            if color is None:
                lost += 1
                continue
            into = found.setdefault(color, {})
            into.update({round(at / chart.step): value for at, value in zip(row.times, row.values, strict=True)})
        failure = reply.failure
        if failure is not None:
            problems[panel] = redact(failure.why) + (f" ({failure.hint})" if failure.hint else "")
        elif reply.warnings:
            problems.setdefault(panel, visible(reply.warnings[0], 300))
        elif lost and not found:
            problems[panel] = f"{lost} series without a label that names a colour of {service.name}"
        chart.put(due, stat, found)
        if stat == queries.STATS[-1]:
            chart.finish(due)
            if chart is self._chart:
                self._panel_problems = problems

    def _take_drift(self, service: ModelService, counts: Reply, references: Reply) -> None:
        now = self._clock()
        failure = counts.failure or references.failure
        if failure is not None:
            self._drift = DriftTable(service.key, now, problem=redact(failure.why))
            return
        seen = features.seen_by_prometheus(service, counts.rows, references.rows, now)
        self._drift = features.table(service, now, seen)

    def _settle(self) -> None:
        """The round is over: say what changed."""
        now = self._clock()
        self._fleet_problem = ""
        if self._services and self._figures.empty and self._anything:
            self._fleet_problem = (
                "it has ml_predictions_total, but none with the labels namespace and pod of these services: "
                "give them `queries` in mlconsole.toml"
            )
        for key, service in self._services.items():
            self._figures.settle(service, self._window, now)
            self._changed(key)
        self._telemetry = None

    # ---- what it says

    def glances(self, key: str) -> tuple[Glance, ...]:
        """The figures of a service's colours now."""
        return self._figures.glances.get(key, ())

    def telemetry(self, key: str) -> Telemetry | None:
        """The panels of the selected service."""
        if key != self._selected or self._chart is None or (self._chart.last is None and self._failure is None):
            return None
        if self._telemetry is None:
            problem = redact(self._failure.why) if self._failure else self._fleet_problem or self._warning
            self._telemetry = self._chart.telemetry(
                self._last_contact, "prometheus", self._panel_queries, self._panel_problems, problem
            )
            if self._earlier is not None and self._earlier.last is not None:
                before = self._earlier.telemetry(self._last_contact, "prometheus", {}, {}, "")
                self._telemetry = compared(self._telemetry, before, self._shift(self._chart.step))
        return self._telemetry

    def drift(self, key: str) -> DriftTable | None:
        """The drift table of the selected service."""
        return self._drift if key == self._selected else None
