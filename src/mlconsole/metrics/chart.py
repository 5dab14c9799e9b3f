"""The panels of the service on the screen: points on a grid of time, kept, so that a refresh adds only what is new."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from mlconsole.domain.telemetry import Panel, Series, Telemetry, ghost_words
from mlconsole.domain.text import visible

TITLES = {"latency": ("latency", "s"), "errors": ("errors", "ratio"), "rate": ("requests", "1/s")}
STATS_OF = {"latency": ("p50", "p95", "p99"), "errors": ("errors",), "rate": ("rate",)}
MOST_POINTS = 360
NICE_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
OVERLAP = 2
"""Points that are asked for again: what was late for them has come meanwhile."""
KEPT = 4
"""Windows before and after the one that is shown whose points are kept: who scrolls back comes forward again."""


def nice_step(seconds: float, finest: float) -> int:
    """Whole seconds between the points of a range: at most `MOST_POINTS` of them, none finer than `finest`."""
    wanted = max(seconds / MOST_POINTS, finest)
    return next((step for step in NICE_STEPS if step >= wanted), NICE_STEPS[-1])


class Chart:
    """The points of one service. Those of one `step` only: another range is another chart."""

    def __init__(self, service: str, seconds: float, step: float, colors: Sequence[str]) -> None:
        self.service = service
        self.seconds = seconds
        self.step = step
        self._points: dict[tuple[str, str], dict[int, float]] = {}
        self._colors = tuple(colors)
        self.last: int | None = None
        """The newest point shown, as a multiple of the step."""
        self._end = 0
        """The newest point of the window that was asked about last."""
        self._known = range(0)
        """The points that were asked for, without a hole."""

    @property
    def size(self) -> int:
        """Points of the whole range."""
        return max(2, math.ceil(self.seconds / self.step))

    @property
    def window(self) -> range:
        """The points shown."""
        last = self._end if self.last is None else self.last
        return range(last - self.size + 1, last + 1)

    @property
    def lines(self) -> set[str]:
        """The statistics of which there are points."""
        return {stat for (_, stat), points in self._points.items() if points}

    def series(self, stats: Sequence[str], shown: range, *, labelled: bool = False) -> tuple[Series, ...]:
        """The lines over the points `shown`: of each colour, in the order of `stats`."""
        times = tuple(index * self.step for index in shown)
        return tuple(
            Series(
                color,
                stat,
                times,
                tuple(points.get(index, math.nan) for index in shown),
                label=visible(stat, 60) if labelled else "",
            )
            for color in self._colors
            for stat in stats
            if (points := self._points.get((color, stat)))
        )

    def missing(self, now: float, *, settled: bool = False, unsure: float = 0.0) -> range:
        """The points to ask for, to show the window that ends at `now`.

        All at first, then those before or after the known ones; of these again the newest, which may have changed, and
        all that were not `unsure` seconds old when they came; none if the window's end is `settled`: long past.
        """
        self._end = math.floor(now / self.step)
        window, known = range(self._end - self.size + 1, self._end + 1), self._known
        if not known or window.stop < known.start or window.start > known.stop:
            return window
        if window.start < known.start:
            return window if window.stop > known.stop else range(window.start, known.start)
        again = 0 if settled else max(OVERLAP, math.ceil(unsure / self.step) + 1 if unsure else 0)
        return range(max(window.start, known.stop - again), window.stop)

    def put(self, asked: range, stat: str, found: Mapping[str, Mapping[int, float]]) -> None:
        """Take the points of one statistic by colour; what was asked for and did not come is a gap."""
        for color in self._colors:
            points = self._points.setdefault((color, stat), {})
            given = found.get(color, {})
            for index in asked:
                value = given.get(index, math.nan)
                if math.isfinite(value):
                    points[index] = value
                else:
                    points.pop(index, None)

    def finish(self, asked: range) -> None:
        """Every statistic of `asked` was put, or nothing was missing: show the window that was asked about."""
        self.last, known = self._end, self._known
        if asked:
            if known and asked.start <= known.stop and asked.stop >= known.start:
                asked = range(min(asked.start, known.start), max(asked.stop, known.stop))
            reach = KEPT * self.size
            known = range(max(asked.start, self._end - reach), min(asked.stop, self._end + reach))
            self._known = known
            for points in self._points.values():
                for index in [index for index in points if index not in known]:
                    del points[index]

    def telemetry(
        self, now: float, source: str, queries: Mapping[str, str], problems: Mapping[str, str], problem: str
    ) -> Telemetry:
        """The panels as they stand; `queries` and `problems` by panel."""
        last = self.last if self.last is not None else math.floor(now / self.step)
        shown = range(last - self.size + 1, last + 1)
        panels = []
        for panel, (title, unit) in TITLES.items():
            series = self.series(STATS_OF[panel], shown)
            why = problems.get(panel, "") or ("" if series else problem or "no samples yet")
            panels.append(Panel(panel, title, unit, series, queries.get(panel, ""), why))
        start, end = shown[0] * self.step, shown[-1] * self.step
        return Telemetry(self.service, now, start, end, self.step, source, tuple(panels), problem=problem)


def compared(telemetry: Telemetry, earlier: Telemetry, seconds: float) -> Telemetry:
    """The panels with the lines of the same panels `seconds` earlier, laid under the present."""
    words = ghost_words(seconds)
    before = {panel.id: panel.series for panel in earlier.panels}
    panels = []
    for panel in telemetry.panels:
        ghosts = [
            replace(one, times=tuple(at + seconds for at in one.times), ghost=words)
            for one in before.get(panel.id, ())
            if one.last is not None
        ]
        panels.append(replace(panel, series=(*ghosts, *panel.series)))
    return replace(telemetry, panels=tuple(panels), compare=seconds)
