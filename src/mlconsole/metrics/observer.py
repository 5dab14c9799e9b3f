"""Prometheus as a source: round after round of questions, and how it answers.

What is asked for, and what the answers make of it, is the fleet's rows (`fleet`), the selected service's panels
(`board`) and its drift.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from mlconsole.cluster.backoff import Backoff
from mlconsole.cluster.errors import redact
from mlconsole.config import Settings
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.telemetry import Glance, Telemetry
from mlconsole.domain.text import visible
from mlconsole.metrics import features, queries, seen
from mlconsole.metrics.answers import Failure, Question, Reply, address
from mlconsole.metrics.asking import Asked, Asker, Proxy, Worker
from mlconsole.metrics.board import Board
from mlconsole.metrics.fleet import Fleet
from mlconsole.metrics.prometheus import Endpoint, Row
from mlconsole.metrics.scrape import Bring, nothing_brought

__all__ = ["Observer", "Worker"]

DRIFT_SECONDS = 30.0
PAST_SECONDS = 300.0
LABEL_SECONDS = 120.0
EARLIER_SECONDS = 15.0
"""For the worker to judge the windows before."""
ROUND_SECONDS = 25.0
SKEW = 5.0
"""Seconds by which two clocks may differ before it matters, and is said."""
log = logging.getLogger(__name__)


class Observer:
    """Asks one Prometheus. `run` is its life."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        changed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        proxy: Proxy | None = None,
        bring: Bring = nothing_brought,
    ) -> None:
        self._settings = settings
        self._bring = bring
        self._endpoint = Endpoint(settings.metrics.prometheus_url or "", settings.metrics.auth)
        self._worker = worker
        self._asker = Asker(worker, proxy)
        self._judging: asyncio.Task[None] | None = None
        """Of the windows before: many at once, which the loop has no time for."""
        self._changed = changed
        self._clock = clock
        self._wake = asyncio.Event()
        self._backoff = Backoff(1.0, 30.0)
        self.charting = False
        self._shown = settings.metrics.range, 0.0, 0.0, ""
        """Seconds, until when, how much earlier as well, and which panel."""
        self._condition, self._since = Condition.STARTING, clock()
        self._failure: Failure | None = None
        self._last_contact = 0.0
        self._ahead = 0.0
        """By how many seconds its clock is ahead of ours; 0 where it does not matter."""
        self._warning = ""
        self._services: dict[str, ModelService] = {}
        self._selected = ""
        self.forget()

    def forget(self) -> None:
        """Another cluster: nothing of the one before counts."""
        self._services = {}
        self._fleet = Fleet(self._settings)
        self._clear_selected()

    def _clear_selected(self) -> None:
        if self._judging is not None:
            self._judging.cancel()
        self._board: Board | None = None
        self._telemetry: Telemetry | None = None
        self._drift: DriftTable | None = None
        self._drift_asked = self._past_asked = self._labels_asked = -math.inf
        self._labels: Sequence[Row] = ()
        self._past = features.Past()
        self._references: Sequence[Row] = ()
        self.earlier: tuple[DriftTable, ...] = ()
        """The drift of windows before the selected service was looked at."""
        self._earlier_asked = False

    # ---- what is looked at

    def fleet(self, services: Sequence[ModelService]) -> None:
        """Every service."""
        first = not self._services
        self._services = {service.key: service for service in services}
        self._fleet.figures.retain(self._services)
        if first:
            self._wake.set()

    def select(self, service: ModelService | None) -> None:
        """The service whose panels are on the screen."""
        key = service.key if service else ""
        if service is not None:
            self._services[key] = service
        if key != self._selected:
            self._selected = key
            self._clear_selected()
            self._wake.set()
        elif service is not None and self._board is not None:
            self._board.update(service)

    def show_range(self, seconds: float, until: float = 0.0, compare: float = 0.0) -> None:
        """Show `seconds` until `until` (0: now), and the same time `compare` seconds earlier."""
        self._show(seconds, until, compare, self._shown[3])

    def show_panel(self, panel: str) -> None:
        """The panel on the screen: no range query for the others. Empty for the first three."""
        self._show(*self._shown[:3], panel)

    def _show(self, seconds: float, until: float, compare: float, panel: str) -> None:
        if (seconds, until, compare, panel) == self._shown:
            return
        self._shown = seconds, until, compare, panel
        if self._board is not None and self._board.show(*self._shown):
            self._telemetry = None
            self._changed(self._selected)
        self._wake.set()

    def hurry(self) -> None:
        """Ask now."""
        self._backoff.reset()
        self._wake.set()

    def judge_again(self) -> None:
        """Ask for what drift is judged of with the next round, which is now."""
        self._drift_asked = -math.inf
        self._wake.set()

    # ---- life

    async def run(self) -> None:
        """Ask round after round, until cancelled. A Prometheus that is down or slow is asked less often."""
        try:
            await self._rounds()
        finally:
            if self._judging is not None:
                self._judging.cancel()
                await asyncio.gather(self._judging, return_exceptions=True)

    async def _rounds(self) -> None:
        while True:
            self._wake.clear()
            started = time.monotonic()
            answered = await self._round()
            took = time.monotonic() - started
            pause = max(self._settings.metrics.refresh, 3 * took) if answered else self._backoff.pause()
            if answered and self.charting and self._board is not None and self._board.hungry:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _round(self) -> bool:
        asked = self._questions()
        try:
            replies = await self._asker.ask(self._endpoint, [item.question for item in asked], ROUND_SECONDS)
        except TimeoutError as error:
            why = f"{address(self._endpoint.url)}: {error or f'no answer within {ROUND_SECONDS:g} s'}"
            self._down(Failure("down", why, "it is tried again by itself"))
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
        self._compare_clocks(replies)
        self._warning = visible(next((text for reply in replies for text in reply.warnings), ""), 300)
        for item, reply in zip(asked, replies, strict=True):
            item.take(reply)
        self._settle()
        return True

    def _compare_clocks(self, replies: Sequence[Reply]) -> None:
        known = [reply.ahead for reply in replies if reply.ahead is not None]
        ahead = statistics.median(known) if known else 0.0
        before = self._ahead
        self._ahead = ahead if abs(ahead) >= SKEW else 0.0
        if abs(self._ahead - before) >= SKEW:
            # What was asked for by the wrong time has its gaps where there is something.
            self._board = None
            self._wake.set()

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
        message = redact(failure.why) if failure else self._problem
        hint = failure.hint if failure else ""
        where = address(self._endpoint.url)
        return SourceState("prom", self._condition, self._since, self._last_contact, message, hint, where)

    @property
    def _problem(self) -> str:
        """What is to be said of a source that answers."""
        return self._fleet.problem or self._warning or self._clock_words

    @property
    def _clock_words(self) -> str:
        if not self._ahead:
            return ""
        seconds = abs(self._ahead)
        size = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
        way = "ahead of" if self._ahead > 0 else "behind"
        return f"its clock is {size} {way} this machine's: charts are by its clock"

    # ---- what is asked

    def _questions(self) -> list[Asked]:
        now = self._clock() + self._ahead
        asked = self._fleet.questions(list(self._services.values()), self._selected, now)
        service = self._services.get(self._selected)
        if service is not None:
            if self.charting:
                asked += self._board_of(service).questions(now, self._fleet.window)
            if now - self._drift_asked >= DRIFT_SECONDS:
                self._drift_asked = now
                asked += self._drift_questions(service, now)
        # Nobody to ask about: still asked whether it is there.
        return asked or [Asked(Question(queries.ANYTHING), self._fleet.take_anything)]

    def _board_of(self, service: ModelService) -> Board:
        if self._board is None:
            own = self._settings.service(service.namespace, service.name)
            self._board = Board(service, own, self._settings.metrics.refresh)
            self._board.show(*self._shown)
        return self._board

    def _drift_questions(self, service: ModelService, now: float) -> list[Asked]:
        scope = queries.Scope([service])
        asked = self._past_questions(service, scope, now) if features.wants_past(self._drift) else []
        asked += self._label_questions(scope, now) + self._earlier_questions(service, scope, now)
        counted: list[Reply] = []

        def take_references(reply: Reply) -> None:
            self._take_drift(service, counted[0], reply)

        asked += [
            Asked(Question(queries.feature_query(scope)), counted.append),
            Asked(Question(queries.reference_query(scope)), take_references),
        ]
        return [Asked(item.question, partial(self._take_of, service.key, item.take)) for item in asked]

    def _take_of(self, key: str, take: Callable[[Reply], None], reply: Reply) -> None:
        """An answer about a service, which counts while it is the selected one."""
        if key == self._selected:
            take(reply)

    def _label_questions(self, scope: queries.Scope, now: float) -> list[Asked]:
        """The labels that came, in whole steps of which the last has not ended: asked for seldom, as they come late."""
        if now - self._labels_asked < LABEL_SECONDS:
            return []
        self._labels_asked = now
        step = queries.LABEL_STEP
        end = math.ceil(now / step) * step

        def take(reply: Reply) -> None:
            if reply.failure is None:
                self._labels = reply.rows

        question = Question(queries.label_query(scope), end - (queries.LABEL_STEPS - 1) * step, end, step)
        return [Asked(question, take)]

    def _past_questions(self, service: ModelService, scope: queries.Scope, now: float) -> list[Asked]:
        """An earlier window, where nothing better is known: it changes slowly, and is asked for seldom."""
        ago = self._settings.metrics.drift_past
        if not ago:
            self._past = features.Past(problem="metrics.drift_past is 0: no earlier window is looked at")
            return []
        if now - self._past_asked < PAST_SECONDS:
            return []
        self._past_asked = now

        def take(reply: Reply) -> None:
            if reply.failure is not None:
                self._past = features.Past(ago, problem=f"the earlier window: {redact(reply.failure.why)}")
            else:
                found = seen.seen_by_prometheus(service, reply.rows, (), now - ago)
                self._past = features.Past(ago, found, problem="")

        return [Asked(Question(queries.feature_query(scope, queries.PAST_WINDOW, ago)), take)]

    def _earlier_questions(self, service: ModelService, scope: queries.Scope, now: float) -> list[Asked]:
        """The windows before this one, once: they say since when it is as it is."""
        table, window = self._drift, round(queries.DRIFT_WINDOW)
        if self._earlier_asked or table is None or all(row.effect is None for row in table.features):
            return []
        self._earlier_asked = True
        end = int(now) - window

        def take(reply: Reply) -> None:
            if reply.failure is None and service.key == self._selected:
                self._judging = asyncio.create_task(self._judge_earlier(service, reply.rows), name="earlier drift")

        question = Question(queries.feature_query(scope), end - (queries.EARLIER - 1) * window, end, window)
        return [Asked(question, take)]

    async def _judge_earlier(self, service: ModelService, rows: Sequence[Row]) -> None:
        bare = replace(service, colors=tuple(replace(color, pods=()) for color in service.colors))
        asked = bare, rows, self._references, self._bring(service), self._past
        try:
            found = await self._worker.run(features.earlier, *asked, timeout=EARLIER_SECONDS)
        except Exception:
            # What is now is judged all the same; only since when it is so stays unknown.
            log.exception("the drift before now of %s could not be judged", service.key)
            return
        self.earlier = found
        self._changed(service.key)

    # ---- what is made of the answers

    def _take_drift(self, service: ModelService, counts: Reply, references: Reply) -> None:
        now = self._clock()
        failure = counts.failure or references.failure
        if failure is not None:
            self._drift = DriftTable(service.key, now, problem=redact(failure.why))
            return
        found = seen.seen_by_prometheus(service, counts.rows, references.rows, now, self._labels)
        first, self._references = self._drift is None, references.rows
        self._drift = features.table(service, now, found, self._bring(service), self._past)
        if first:
            self._drift_asked = -math.inf  # at once: now it is known what else there is to ask

    def _settle(self) -> None:
        """The round is over: say what changed."""
        self._fleet.settle(self._services, self._clock(), self._ahead)
        for key in self._services:
            self._changed(key)
        self._telemetry = None

    # ---- what it says

    def glances(self, key: str) -> tuple[Glance, ...]:
        """The figures of a service's colours now."""
        return self._fleet.figures.glances.get(key, ())

    def telemetry(self, key: str) -> Telemetry | None:
        """The panels of the selected service."""
        if key != self._selected or self._board is None:
            return None
        if self._telemetry is None:
            problem = redact(self._failure.why) if self._failure else self._problem
            self._telemetry = self._board.telemetry(self._last_contact, self._failure is not None, problem)
        return self._telemetry

    def drift(self, key: str) -> DriftTable | None:
        """The drift table of the selected service."""
        return self._drift if key == self._selected else None
