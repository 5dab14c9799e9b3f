"""What fills the plot: lines, a stack of areas, a heat map. Each finds its extent in a window and draws itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mlconsole.ui.chart import fill, legend, raster
from mlconsole.ui.chart.legend import UNKNOWN, Span
from mlconsole.ui.chart.rows import TYPED, Row, Signs, row, row_of
from mlconsole.ui.chart.scale import Range, Window, log_range, nice_step, value_range
from mlconsole.ui.chart.styled import Styled, slot_index
from mlconsole.ui.chart.units import figure, tick_labels

if TYPE_CHECKING:
    from mlconsole.ui.chart.layout import Content

REACH = 2.0
"""How far over the highest value a threshold may be to be on the chart still."""
RATE = "1/s"
"""What is counted in the buckets of a heat map."""


class Form(Protocol):
    """A way to draw a panel's series."""

    down: int
    """Levels of a cell row."""

    def fit(self, view: Window) -> bool:
        """Find the values of this window; False where it holds none."""

    def range(self, ticks: int) -> Range:
        """The range of values, with about so many ticks."""

    def labels(self, scale: Range, rows: int, *, bare: bool = False) -> list[tuple[float, str]]:
        """(value, label) beside the plot."""

    def draw(self, plot: raster.Plot, scale: Range) -> None:
        """Draw it."""

    def ends(self) -> list[tuple[Styled, float]]:
        """The series that reach the right edge, each with the value where it ends."""

    def legend(self, end: float, width: int, lines: int) -> list[Row]:
        """The legend."""


def form_of(content: Content, signs: Signs, glyphs: str) -> Form:
    """The form of a panel."""
    if content.form == "stacked":
        return Stacked(content, signs, glyphs)
    return Heat(content, signs, glyphs) if content.form == "heat" else Lines(content, signs, glyphs)


class Lines:
    """A line a series, in braille, half blocks or characters."""

    def __init__(self, content: Content, signs: Signs, glyphs: str) -> None:
        self._content, self._signs, self._glyphs = content, signs, glyphs
        self._across, self.down = raster.DOTS[glyphs]
        self._lines: list[raster.Samples] = []
        self._view = Window(1.0, 0, 1)

    def fit(self, view: Window) -> bool:
        """Place the samples."""
        self._view = view
        self._lines = [
            raster.samples(one.series.times, one.series.values, view, self._across) for one in self._content.series
        ]
        return any(line.shown for line in self._lines)

    def range(self, ticks: int) -> Range:
        """From zero to the highest value, or decades; a threshold that is near enough is in it."""
        lows = [line.low for line in self._lines if not math.isnan(line.low)]
        highs = [line.high for line in self._lines if not math.isnan(line.high)]
        low, high = min(lows, default=0.0), max(highs, default=0.0)
        limits = [value for value, _ in self._content.thresholds if math.isfinite(value)]
        if self._content.scale == "log":
            known = log_range(self._least_positive(), high, ticks)
            if known is not None:
                near = [value for value in limits if 0 < value <= high * 10]
                return log_range(min([self._least_positive(), *near]), max([high, *near]), ticks) or known
        reached = [value for value in limits if 0 <= value <= high * REACH]
        return value_range(low, max([high, *reached]), ticks, self._content.unit)

    def _least_positive(self) -> float:
        found = [float(line.values[line.values > 0].min(initial=math.inf)) for line in self._lines if line.shown]
        return min(found, default=math.inf)

    def labels(self, scale: Range, rows: int, *, bare: bool = False) -> list[tuple[float, str]]:
        """The ticks."""
        return tick_labels(scale, self._content.unit, bare=bare)

    def draw(self, plot: raster.Plot, scale: Range) -> None:
        """One line over the other."""
        size = plot.columns * self._across, plot.rows * self.down
        low, high = (math.log(scale.low), math.log(scale.high)) if scale.log else (scale.low, scale.high)
        for styled, line in zip(self._content.series, self._lines, strict=True):
            if line.shown:
                shown = raster.logarithm(line, scale.low) if scale.log else line
                thin = styled.dotted and self._glyphs != "ascii"
                stroke = raster.Stroke(slot_index(styled.slot), styled.dotted, legend.sign_of(styled, self._signs))
                plot.draw(self._glyphs, raster.line_dots(shown, low, high, *size, dotted=thin), stroke)
        plot.finish(self._glyphs)

    def ends(self) -> list[tuple[Styled, float]]:
        """The lines whose last sample is in the last few columns."""
        edge = (self._view.columns - 4) * self._across
        return [
            (styled, float(line.values[-1]))
            for styled, line in zip(self._content.series, self._lines, strict=True)
            if line.shown and not math.isnan(line.values[-1]) and line.columns[-1] >= edge
        ]

    def legend(self, end: float, width: int, lines: int) -> list[Row]:
        """Last, lowest and highest."""
        spans = [Span(line.low, line.high) if line.shown else UNKNOWN for line in self._lines]
        return legend.legend(self._content.series, self._content.unit, end, width, lines, self._signs, spans)


class Stacked:
    """Areas on top of each other, the first series the lowest. Always from zero, always linear: sums are."""

    down = 8

    def __init__(self, content: Content, signs: Signs, glyphs: str) -> None:
        self._content, self._signs = content, signs
        self._stack: fill.Stack | None = None

    def fit(self, view: Window) -> bool:
        """Add the series up."""
        import numpy as np

        lines = [(one.series.times, one.series.values) for one in self._content.series]
        self._stack = fill.stack(lines, view)
        return bool(lines) and not bool(np.isnan(self._stack.tops).all())

    def range(self, ticks: int) -> Range:
        """From zero to the highest sum."""
        import numpy as np

        assert self._stack is not None
        high = float(np.nanmax(self._stack.tops[-1]))
        limits = [value for value, _ in self._content.thresholds if 0 <= value <= high * REACH]
        return value_range(0.0, max([high, *limits]), ticks, self._content.unit)

    def labels(self, scale: Range, rows: int, *, bare: bool = False) -> list[tuple[float, str]]:
        """The ticks."""
        return tick_labels(scale, self._content.unit, bare=bare)

    def draw(self, plot: raster.Plot, scale: Range) -> None:
        """Fill the cells."""
        assert self._stack is not None
        signs = self._signs
        fills = [legend.sign_of(one, signs) for one in self._content.series]
        slots = [slot_index(one.slot) for one in self._content.series]
        plain = signs is TYPED
        plot.fill(*fill.stack_cells(self._stack, scale.high, plot.rows, fills, slots, signs.whisker, plain=plain))

    def tops(self) -> list[list[float]]:
        """Where each layer ends in each column; NaN in a gap."""
        assert self._stack is not None
        found: list[list[float]] = self._stack.tops.tolist()
        return found

    def ends(self) -> list[tuple[Styled, float]]:
        """The middle of each layer at the right edge."""
        assert self._stack is not None
        tops = self._stack.tops[:, -4:]
        found, below = [], 0.0
        for one, values in zip(self._content.series, tops.tolist(), strict=True):
            known = [value for value in values if not math.isnan(value)]
            if known and known[-1] > below:
                found.append((one, (below + known[-1]) / 2))
                below = known[-1]
        return found

    def legend(self, end: float, width: int, lines: int) -> list[Row]:
        """The last value of each layer."""
        return legend.legend(self._content.series, self._content.unit, end, width, lines, self._signs)


class Heat:
    """A histogram over time: a row a bucket, its rate in steps of colour and of density."""

    down = 1

    def __init__(self, content: Content, signs: Signs, glyphs: str) -> None:
        self._content, self._signs = content, signs
        self._heat: fill.Heat | None = None
        self._top = 1.0

    def fit(self, view: Window) -> bool:
        """Take the buckets apart."""
        import numpy as np

        lines = [
            (edge, (one.series.times, one.series.values))
            for one in self._content.series
            if not one.series.ghost and not math.isnan(edge := edge_of(one.series.stat))
        ]
        self._heat = fill.heat(lines, view)
        if not self._heat.edges or bool(np.isnan(self._heat.rates).all()):
            return False
        highest = float(np.nanmax(self._heat.rates))
        # A round number: the steps stay what they are while the highest rate moves a little.
        self._top = nice_step(highest) if highest > 0 else 1.0
        return True

    def range(self, ticks: int) -> Range:
        """A unit a bucket."""
        assert self._heat is not None
        return Range(0.0, float(len(self._heat.edges)), 1.0)

    def labels(self, scale: Range, rows: int, *, bare: bool = False) -> list[tuple[float, str]]:
        """The upper edges, each at the top of its bucket, no two in neighbouring rows."""
        assert self._heat is not None
        edges = self._heat.edges
        every = max(1, math.ceil(2 * len(edges) / max(1, rows)))
        found = []
        for index in range(len(edges) - 1, -1, -every):
            edge = edges[index]
            last = edges[index - 1] if index else self._heat.floor
            if math.isinf(edge) and edge > 0:
                words = f"> {figure(last, self._content.unit, bare=bare)}" if math.isfinite(last) else "any"
            else:
                words = figure(edge, self._content.unit, bare=bare)
            found.append((index + 1.0, words))
        return found

    def draw(self, plot: raster.Plot, scale: Range) -> None:
        """Fill the cells."""
        import numpy as np

        assert self._heat is not None
        steps = fill.heat_rows(fill.heat_steps(self._heat.rates, self._top), plot.rows)
        chars = self._signs.heat
        codes = np.array([0, ord(chars[0]), *(ord(chars[1 + step // 2]) for step in range(fill.STEPS))], np.uint32)
        slots = [slot_index("grid")] * 2 + [slot_index(f"heat{step + 1}") for step in range(fill.STEPS)]
        plot.fill(codes[steps + 1], np.array(slots, np.uint8)[steps + 1])

    def steps(self) -> list[list[int]]:
        """The step of each bucket, the lowest first, in each column; -1 in a gap."""
        assert self._heat is not None
        found: list[list[int]] = fill.heat_steps(self._heat.rates, self._top).tolist()
        return found

    def ends(self) -> list[tuple[Styled, float]]:
        """A bucket has its name at the left."""
        return []

    def legend(self, end: float, width: int, lines: int) -> list[Row]:
        """What the steps stand for."""
        signs, parts = self._signs, []
        for index, char in enumerate(signs.heat[1:]):
            upper = self._top * ((2 * index + 2) / fill.STEPS) ** 2
            parts.append(row(char * 2, slot_index(f"heat{2 * index + 2}")))
            parts.append(row(f" to {figure(upper, RATE)}  "))
        return [row_of(parts).fit(width)][:lines]


def edge_of(stat: str) -> float:
    """The upper edge that a bucket's name gives; NaN where it gives none."""
    try:
        return float(stat)
    except ValueError:
        return math.nan


def buckets_at(series: Sequence[Styled], start: float, end: float) -> list[tuple[float, float]]:
    """(upper edge, rate) of the buckets under the crosshair, rising; those of one edge added up, none where unknown."""
    heaped: dict[float, float] = {}
    for one in series:
        edge, span = edge_of(one.series.stat), legend.span_at(one.series, start, end)
        if not math.isnan(edge) and not math.isnan(span.high) and not one.series.ghost:
            heaped[edge] = heaped.get(edge, 0.0) + span.high
    found, below = [], 0.0
    for edge, count in sorted(heaped.items()):
        found.append((edge, max(0.0, count - below)))
        below = max(below, count)
    return found
