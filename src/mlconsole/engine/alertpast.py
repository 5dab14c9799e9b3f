"""What a service's figures were in the hours before anybody looked, out of Prometheus.

For "deploy or data?": the console may have been opened because of the page. One grid of points a service and a span,
kept, so that the next time only what is new is asked for. The metrics and the queries are those of the panels; drift is
the largest distance of a feature from its reference at a bucket's edge, which PromQL can tell by itself.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from mlconsole.cluster.errors import redact
from mlconsole.config import ServiceSettings, Settings
from mlconsole.domain.services import ModelService
from mlconsole.domain.text import visible
from mlconsole.engine.alertcause import Points
from mlconsole.engine.alertdrift import Asks
from mlconsole.metrics import panels, queries
from mlconsole.metrics.answers import Question, Reply
from mlconsole.metrics.chart import Chart, nice_step
from mlconsole.metrics.plans import existing, plans

HOUR = 3600.0
FINEST = 10.0
"""Seconds between two points, at least."""
STATS = {"p95": ("latency", "p95"), "error_share": ("errors", "errors"), "rate": ("rate", "rate")}
"""A figure of a condition, and its panel and statistic."""
STATS |= {"accuracy": ("accuracy", "accuracy")}
DRIFT = "drift.distance"
REFERENCE = "ml_feature_reference_share"
DRIFT_WINDOW = 120.0
"""Seconds of traffic of each distance, at least."""
LONGEST = 300
"""Seconds that a rate looks back over, at most."""
THERE = 120.0
"""Seconds for which it is known which metrics there are."""
KEPT = 40
"""Grids of points that are kept, the last used ones."""
SKEW = 5.0


class _There(Struct):
    at: float
    texts: dict[str, str]
    """By figure: its query, whose words are not filled in."""
    window: int
    drift: bool


class _Grid(Struct):
    texts: Mapping[str, str]
    charts: dict[str, Chart]


class Found(Struct, frozen=True):
    """The series of a span, and why some or all of them are missing."""

    series: tuple[Points, ...] = ()
    problem: str = ""
    step: float = 0.0


class Past:
    """Asks Prometheus for what was. Raises nothing that it can cause."""

    def __init__(self, settings: Settings, asks: Asks, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._asks = asks
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        self._there: dict[str, _There] = {}
        self._grids: dict[tuple[str, float, float], _Grid] = {}
        self._ahead = 0.0
        """By how many seconds Prometheus' clock is ahead of ours, where that matters."""

    @property
    def wanted(self) -> bool:
        """Whether there is a Prometheus to ask."""
        return self._asks.has_prometheus

    async def series(self, service: ModelService, span: float, until: float = 0.0) -> Found:
        """The series of the `span` seconds before `until` (0: now), along the colours that had the traffic."""
        there = await self._what_there_is(service)
        if isinstance(there, str):
            return Found(problem=there)
        step = nice_step(span, max(FINEST, self._settings.metrics.refresh))
        window = max(there.window, step)
        scope = queries.Scope([service])
        texts = {name: panels.filled(text, scope, window, STATS[name][1]) for name, text in there.texts.items()}
        if there.drift:
            texts[DRIFT] = distance_query(scope, max(DRIFT_WINDOW, window))
        if not texts:
            return Found(problem="Prometheus has none of its metrics")
        until = math.ceil(until / step) * step
        grid = self._grid(service, span, until, step, texts)
        problem = await self._fill(service, grid, min(until or math.inf, self._clock()) + self._ahead)
        series = along(service, grid.charts, window, self._ahead)
        return Found(tuple(series), problem, step)

    # ---- which metrics there are

    async def _what_there_is(self, service: ModelService) -> _There | str:
        known, now = self._there.get(service.key), self._clock()
        if known is not None and now - known.at < THERE:
            return known
        scope = queries.Scope([service])
        asked = Question(queries.existing_query(scope)), Question(f"count({REFERENCE}{{{scope.selector}}})")
        first, references = await self._asks.ranges(asked)
        if first.failure is not None:
            return redact(f"{first.failure.why} {first.failure.hint}".strip())
        names = existing(service, first.rows, "")
        spoken = frozenset().union(*names.values())
        (second,) = await self._asks.ranges([Question(queries.interval_query(scope, spoken))])
        self._compare_clocks((first, second))
        counts = [row.values[-1] for row in second.rows if row.values and row.values[-1] > 0]
        # Four scrapes, and no more than that: values that share none of theirs are what a change is surest in.
        window = min(math.ceil(4 * 60.0 / max(counts)), LONGEST) if counts else LONGEST
        texts = _texts(self._settings.service(service.namespace, service.name), names)
        found = self._there[service.key] = _There(now, texts, window, bool(references.rows))
        return found

    def _compare_clocks(self, replies: Sequence[Reply]) -> None:
        told = [reply.ahead for reply in replies if reply.ahead is not None]
        ahead = statistics.median(told) if told else 0.0
        self._ahead = ahead if abs(ahead) >= SKEW else 0.0

    # ---- the points

    def _grid(self, service: ModelService, span: float, until: float, step: float, texts: Mapping[str, str]) -> _Grid:
        """The grid of a service and a time; another one where it would be of something else."""
        key = (service.key, span, until)
        grid = self._grids.pop(key, None)
        if grid is None or grid.texts != texts:
            colors = [color.name for color in service.colors]
            grid = _Grid(texts, {name: Chart(service.key, span, step, colors) for name in texts})
        self._grids[key] = grid
        while len(self._grids) > KEPT:
            del self._grids[next(iter(self._grids))]
        return grid

    async def _fill(self, service: ModelService, grid: _Grid, until: float) -> str:
        """Ask for what is new; what is wrong with that, or empty."""
        due = {name: chart.missing(until) for name, chart in grid.charts.items()}
        asked = {name: span for name, span in due.items() if span}
        step = {name: int(chart.step) for name, chart in grid.charts.items()}
        questions = [
            Question(grid.texts[name], span[0] * step[name], span[-1] * step[name], step[name])
            for name, span in asked.items()
        ]
        replies = await self._asks.ranges(questions) if questions else []
        problems = []
        for (name, span), reply in zip(asked.items(), replies, strict=True):
            if reply.failure is not None:
                problems.append(f"{name}: {redact(reply.failure.why)}")
                continue
            problems += [visible(text, 200) for text in reply.warnings[:1]]
            chart = grid.charts[name]
            chart.put(span, name, _points(service, reply, chart.step))
            chart.finish(span)
        return "; ".join(dict.fromkeys(problems))


def _texts(settings: ServiceSettings, names: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """The queries of the figures that a service has."""
    known = {plan.id: plan for plan in plans(settings, names) if not plan.reads}
    found = {}
    for name, (panel, stat) in STATS.items():
        text = known[panel].queries.get(stat) if panel in known else None
        if text:
            found[name] = text
    return found


def distance_query(scope: queries.Scope, window: float) -> str:
    """The largest distance of a feature's cumulative shares from those of its reference, by Deployment."""
    by = ("version", "feature", "le")
    grown = scope.grouped(f"increase(ml_feature_value_bucket{{{scope.selector}}}[{window:.0f}s])", *by)
    whole = scope.grouped(f'increase(ml_feature_value_bucket{{{scope.selector},le="+Inf"}}[{window:.0f}s])', *by[:2])
    reference = scope.highest(f"{REFERENCE}{{{scope.selector}}}", *by)
    same = f"namespace,{queries.LABEL},version,feature"
    share = f"({grown}) / on ({same}) group_left () ({whole} > 0)"
    return f"max by (namespace,{queries.LABEL}) (abs(({share}) - on ({same},le) ({reference})))"


def _points(service: ModelService, reply: Reply, step: float) -> dict[str, dict[int, float]]:
    """The points of an answer by colour."""
    found: dict[str, dict[int, float]] = {}
    for row in reply.rows:
        color = queries.color_of(row.labels, service)
        if color is not None:
            points = zip(row.times, row.values, strict=True)
            found.setdefault(color, {}).update({round(at / step): value for at, value in points})
    return found


def along(service: ModelService, charts: Mapping[str, Chart], window: float, ahead: float = 0.0) -> list[Points]:
    """Each figure along the colours that had the traffic: of a moment it is of the colour with most requests then.

    Traffic is the sum of all colours: a switch does not change it.
    """
    rates = _values(charts, "rate")
    series = []
    for name, chart in charts.items():
        lines, live, values = _values(charts, name), service.live, []
        for index in chart.window:
            then = {color: rate[index] for color, rate in rates.items() if rate.get(index, 0.0) > 0}
            live = max(then, key=lambda color: then[color]) if then else live
            if name == "rate":
                values.append(sum(then.values()) if then or _known(rates, index) else math.nan)
            else:
                values.append(lines.get(live, {}).get(index, math.nan))
        times = tuple(index * chart.step - ahead for index in chart.window)
        series.append(
            Points(name, service.live, times, tuple(values), max(DRIFT_WINDOW, window) if name == DRIFT else window)
        )
    return [item for item in series if any(map(math.isfinite, item.values))]


def _known(rates: Mapping[str, Mapping[int, float]], index: int) -> bool:
    return any(index in rate for rate in rates.values())


def _values(charts: Mapping[str, Chart], name: str) -> dict[str, dict[int, float]]:
    """The known values of a figure by colour and point."""
    chart = charts.get(name)
    if chart is None:
        return {}
    found = {}
    for line in chart.series((name,), chart.window):
        pairs = zip(chart.window, line.values, strict=True)
        found[line.color] = {index: value for index, value in pairs if math.isfinite(value)}
    return found
