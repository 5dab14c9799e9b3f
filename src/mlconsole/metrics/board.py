"""The panels of the selected service as Prometheus answers them: what is asked for each, kept of it, and said.

Asked for is only what is on the screen, and of that only what is new. Which of its metrics there are is looked up once
a minute: a panel of which there are none is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from mlconsole.cluster.errors import redact
from mlconsole.config import ServiceSettings
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Panel, Series, Telemetry
from mlconsole.domain.text import visible
from mlconsole.metrics import panels, queries
from mlconsole.metrics.answers import Question, Reply
from mlconsole.metrics.asking import Asked
from mlconsole.metrics.chart import Chart, compared, nice_step
from mlconsole.metrics.plans import Plan, existing, plans

EXISTING_SECONDS = 60.0
SOON_SECONDS = 10.0
"""While nothing was found."""
MOST_LINES = 40
"""Lines of one colour on a panel: more classes than that tell nobody anything."""
FEW_SECONDS = 1.0
SETTLED_SECONDS = 30.0
"""After which a point is what it stays: what was late for it has come.

VictoriaMetrics gives younger ones the value of the last one before, or none if there is none in the range.
"""


class Board:
    """The panels of one service."""

    def __init__(
        self,
        service: ModelService,
        settings: ServiceSettings,
        refresh: float,
        unsure: float = SETTLED_SECONDS,
        anew: float | None = None,
    ) -> None:
        """Which metrics there are is looked up every `anew` seconds."""
        self._service = service
        self._unsure = unsure
        self._anew = anew
        self._settings = settings
        self._finest = max(FEW_SECONDS, refresh)
        self._seconds = self._until = self._compare = 0.0
        self._panel = ""
        self._window = 0
        """How far the rates that are on the charts look back."""
        self._names: dict[str, frozenset[str]] = {}
        self._existing_due = -math.inf
        self._plans = plans(settings, {})
        self._queries: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        self._clear()

    def _clear(self) -> None:
        self._charts: dict[str, Chart] = {}
        self._earlier: dict[str, Chart] = {}
        """The same time earlier, where that was asked for."""
        self._shown: range | None = None
        """The points on the screen."""

    # ---- what is looked at

    def update(self, service: ModelService) -> None:
        """The service as it is now."""
        if [color.name for color in service.colors] != [color.name for color in self._service.colors]:
            self._names = {}
            self._existing_due = -math.inf
            self._clear()
        self._service = service

    def show(self, seconds: float, until: float, compare: float, panel: str) -> bool:
        """Show a panel (empty: the first three) over `seconds` until `until` (0: now); whether all of it is known."""
        if seconds != self._seconds:
            self._clear()
        if compare != self._compare:
            self._earlier = {}
        self._seconds, self._until, self._compare, self._panel = seconds, until, compare, panel
        charts = [self._charts.get(plan.id) for plan in self._wanted()]
        known = [chart for chart in charts if chart is not None and chart.last is not None]
        if not until or compare or len(known) < len(charts) or any(chart.missing(until) for chart in known):
            return False
        for chart in known:
            chart.finish(range(0))
            self._shown = chart.window
        return True

    @property
    def _step(self) -> int:
        return nice_step(self._seconds, self._finest)

    @property
    def _shift(self) -> float:
        """By how much the earlier time is earlier: whole steps, so that its points lie under those of the present."""
        return round(self._compare / self._step) * self._step

    def _wanted(self) -> list[Plan]:
        return [
            plan for plan in self._plans if plan.id == self._panel or (not self._panel and plan.id in panels.ALWAYS)
        ]

    @property
    def hungry(self) -> bool:
        """Whether nothing was asked yet of what is on the screen: a panel that has just turned out to be there."""
        return any(plan.queries and plan.id not in self._charts for plan in self._wanted())

    # ---- what is asked

    def questions(self, now: float, window: int) -> list[Asked]:
        """What is to be asked now; `now` by the server's clock."""
        asked = self._existing_questions(now)
        until = self._until or now
        if max(window, self._step) != self._window:
            # Points of rates that look back otherwise do not belong on one line.
            self._window = max(window, self._step)
            self._charts, self._earlier = {}, {}
        for plan in self._wanted():
            asked += self._points_questions(plan, self._charts, until, now)
            if self._compare:
                asked += self._points_questions(plan, self._earlier, until - self._shift, now)
        return asked

    def _existing_questions(self, now: float) -> list[Asked]:
        if now < self._existing_due or not self._service.colors:
            return []
        self._existing_due = now + (EXISTING_SECONDS if self._anew is None else self._anew)
        scope = queries.Scope([self._service])
        found: list[dict[str, frozenset[str]]] = []

        def take(prefix: str, reply: Reply) -> None:
            if reply.failure is not None:
                self._existing_due = min(self._existing_due, now + SOON_SECONDS)
                return
            found.append(existing(self._service, reply.rows, prefix))
            if len(found) == 2:
                self._take_existing(found, now)

        return [
            Asked(Question(queries.existing_query(scope)), partial(take, "")),
            Asked(Question(queries.existing_query(scope, exported=True)), partial(take, panels.EXPORTED)),
        ]

    def _take_existing(self, found: Sequence[Mapping[str, frozenset[str]]], now: float) -> None:
        colors = [color.name for color in self._service.colors]
        names = {color: frozenset[str]().union(*(part.get(color, frozenset()) for part in found)) for color in colors}
        if not any(names.values()):
            self._existing_due = min(self._existing_due, now + SOON_SECONDS)
        if names == self._names:
            return
        self._names = names
        before, self._plans = self._plans, plans(self._settings, names)
        asked = {plan.id: plan.queries for plan in before}
        for plan in self._plans:
            if asked.get(plan.id, plan.queries) != plan.queries:
                # Other metrics are another thing to draw.
                self._charts.pop(plan.id, None)
                self._earlier.pop(plan.id, None)

    def _points_questions(self, plan: Plan, charts: dict[str, Chart], until: float, now: float) -> list[Asked]:
        chart = charts.get(plan.id)
        if chart is None:
            colors = [color.name for color in self._service.colors]
            chart = charts[plan.id] = Chart(self._service.key, self._seconds, self._step, colors)
        late = now - max(2 * SETTLED_SECONDS, 3 * self._step)
        due = chart.missing(until, settled=bool(self._until) and until < late, unsure=self._unsure)
        step, scope = self._step, queries.Scope([self._service])
        texts = {stat: panels.filled(text, scope, self._window, stat) for stat, text in plan.queries.items()}
        if charts is self._charts:
            self._queries[plan.id] = "\n".join(texts.values())
        if not due or not texts:
            chart.finish(due)
            if charts is self._charts:
                self._shown = chart.window
            return []
        told: list[str] = []
        last = list(texts)[-1]

        def take(stat: str, reply: Reply) -> None:
            told.append(self._take_points(plan, chart, due, stat, reply))
            if stat == last:
                chart.finish(due)
                if charts is self._charts and charts.get(plan.id) is chart:
                    self._shown = chart.window
                    self._problems[plan.id] = next(filter(None, told), "")

        return [
            Asked(Question(text, due[0] * step, due[-1] * step, step), partial(take, stat))
            for stat, text in texts.items()
        ]

    # ---- what is made of the answers

    def _take_points(self, plan: Plan, chart: Chart, due: range, stat: str, reply: Reply) -> str:
        """Keep the points of an answer; what is wrong with it, or empty."""
        found: dict[str, dict[str, dict[int, float]]] = {}
        lost, left = 0, set()
        for row in reply.rows:
            color = queries.color_of(row.labels, self._service)
            if color is None:
                lost += 1
                continue
            line = row.labels.get(plan.label, "") if plan.label else stat
            if line not in found and len(found) >= MOST_LINES and plan.label != "le":
                left.add(line)
                continue
            points = zip(row.times, row.values, strict=True)
            found.setdefault(line, {}).setdefault(color, {}).update(
                {round(at / chart.step): value for at, value in points}
            )
        for line in {*found, *(chart.lines if plan.label else (stat,))}:
            chart.put(due, line, found.get(line, {}))
        if reply.failure is not None:
            return redact(reply.failure.why) + (f" ({reply.failure.hint})" if reply.failure.hint else "")
        if reply.warnings:
            return visible(reply.warnings[0], 300)
        if left:
            return f"{MOST_LINES} lines of {MOST_LINES + len(left)} are shown"
        if lost and not found:
            return f"{lost} series without a label that names a colour of {self._service.name}"
        return ""

    # ---- what it says

    def telemetry(self, at: float, failed: bool, problem: str) -> Telemetry | None:
        """The panels as they stand; None while there is nothing to say. `problem` is the source's own."""
        if self._shown is None:
            if not failed or not self._seconds:
                return None
            end = math.floor(at / self._step)
            self._shown = range(end - max(2, math.ceil(self._seconds / self._step)) + 1, end + 1)
        told = self._told(self._charts, self._shown, at, problem)
        if self._earlier:
            shift = round(self._shift / self._step)
            before = range(self._shown.start - shift, self._shown.stop - shift)
            told = compared(told, self._told(self._earlier, before, at, ""), self._shift)
        return told if not self._until else replace(told, until=self._until)

    def _told(self, charts: Mapping[str, Chart], shown: range, at: float, problem: str) -> Telemetry:
        found = tuple(self._panel_of(plan, charts.get(plan.id), shown, problem) for plan in self._plans)
        step = self._step
        return Telemetry(
            self._service.key, at, shown[0] * step, shown[-1] * step, step, "prometheus", found, problem=problem
        )

    def _panel_of(self, plan: Plan, chart: Chart | None, shown: range, problem: str) -> Panel:
        series: tuple[Series, ...] = ()
        if chart is not None:
            series = chart.series(_ordered(plan, chart), shown, labelled=bool(plan.label))
        why = self._problems.get(plan.id, "")
        if not series and not why:
            why = problem or (plan.reads or "no samples yet" if chart is not None and chart.last is not None else "")
        return replace(plan.panel, series=series, query=self._queries.get(plan.id, ""), problem=why)


def _ordered(plan: Plan, chart: Chart) -> list[str]:
    """The lines of a panel from the first to the last."""
    if not plan.label:
        return list(plan.queries)
    return sorted(chart.lines, key=_edge if plan.label == "le" else lambda line: (0.0, line))


def _edge(line: str) -> tuple[float, str]:
    try:
        return float(line), line
    except ValueError:
        return math.inf, line
