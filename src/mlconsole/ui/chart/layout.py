"""The whole chart as rows of text and slots, for a size: what fits is shown, the plot itself always.

From the outside in, what goes first when the room gets scarce: the tags at the lines' ends, the legend, the row of the
marks' words, the line under the plot, the clock, the figures beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from mlconsole.domain.telemetry import Mark
from mlconsole.ui.chart import legend, raster
from mlconsole.ui.chart.legend import DRAWN, TYPED, Row, Signs, row
from mlconsole.ui.chart.scale import Range, Window, clock_ticks, tick_labels, value_range, window
from mlconsole.ui.chart.styled import Styled, slot_index

_AXIS = slot_index("axis")
_GRID = slot_index("grid")
_PROBLEM = slot_index("problem")
_GUTTER = 7
"""Room for `400 ms` beside the plot: charts above each other begin at the same column."""


class Content(Struct, frozen=True):
    """What a chart shows."""

    series: tuple[Styled, ...] = ()
    marks: tuple[Mark, ...] = ()
    start: float = 0.0
    end: float = 0.0
    unit: str = ""
    problem: str = ""


class Room(NamedTuple):
    """What there is room for."""

    legend: int
    clock: bool
    floor: bool
    figures: bool
    tags: bool
    top: bool


def room_for(width: int, height: int, content: Content) -> Room:
    """What a chart of this size shows beside its lines."""
    return Room(
        legend=2 if height >= 14 else 1 if height >= 8 and width >= 20 else 0,
        clock=height >= 5 and width >= 20,
        floor=height >= 10 and width >= 20,
        figures=width >= 24 and height >= 4,
        tags=width >= 50 and height >= 8 and len(content.series) > 1,
        top=height >= 7 and width >= 20,
    )


def compose(content: Content, width: int, height: int, *, ascii_only: bool = False) -> list[Row]:
    """The rows of the chart: `height` of them, each `width` cells. Never raises, whatever it is given."""
    if width < 1 or height < 1:
        return []
    signs = TYPED if ascii_only else DRAWN
    view = window(content.start, content.end, width) if content.series else None
    if view is None:
        return nothing(content.problem, width, height, signs)
    return _Picture(content, width, height, signs).rows() or nothing(content.problem, width, height, signs)


def nothing(problem: str, width: int, height: int, signs: Signs) -> list[Row]:
    """The rows that say why there is nothing."""
    words = row(f"no data: {problem}" if problem else "no data", _PROBLEM, plain=signs is TYPED)
    if len(words.text) > width:
        words = words.fit(max(0, width - 1)) + Row(signs.ellipsis, bytes([_PROBLEM]))
    centred = words.fit((width + len(words.text)) // 2, right=True).fit(width)
    blank = Row(" " * width, bytes(width))
    return [centred if y == height // 2 else blank for y in range(height)]


class _Picture:
    """One drawing: the measures that its parts share."""

    def __init__(self, content: Content, width: int, height: int, signs: Signs) -> None:
        self.content, self.width, self.height, self.signs = content, width, height, signs
        self.room = room_for(width, height, content)
        self.dots = raster.CHARACTERS if signs is TYPED else raster.BRAILLE
        self.tag_width = legend.tag_width(content.series) if self.room.tags else 0

    def rows(self) -> list[Row]:
        """The rows, or none where the window holds no value."""
        found = self._measure()
        if found is None:
            return []
        view, lines, scale, labels, legends = found
        marks = [(mark, column) for mark in self.content.marks if (column := view.column(mark.at)) is not None]
        top = self._top(marks, view.columns)
        rows = max(1, self.height - bool(top) - self.room.floor - self.room.clock - len(legends))
        places = {self._cell_row(value, scale, rows): label for value, label in labels}
        plot = self._plot(view, lines, scale, rows, marks, places)
        tags = self._tags(view, lines, scale, rows)
        gutter = self.width - view.columns - self.tag_width
        body = [
            self._side(places.get(y), gutter) + Row(*line) + tags.get(y, Row("", b"")).fit(self.tag_width)
            for y, line in enumerate(plot.lines())
        ]
        if top:
            body.insert(0, top.fit(gutter + view.columns, right=True).fit(self.width))
        return [*body, *self._clock(view, gutter), *(line.fit(self.width) for line in legends)][: self.height]

    def _measure(self) -> tuple[Window, list[raster.Samples], Range, list[tuple[float, str]], list[Row]] | None:
        """The window, the samples in it, the range of values and its labels, which settle the window's width."""
        content, signs = self.content, self.signs
        legends = (
            legend.legend(content.series, content.unit, content.end, self.width, self.room.legend, signs)
            if self.room.legend
            else []
        )
        tall = max(1, self.height - len(legends) - self.room.clock - self.room.floor)
        # The labels' width depends on the values in the window, and the window on the labels: it only grows.
        gutter = _GUTTER if self.room.figures else 0
        while True:
            view = window(content.start, content.end, max(1, self.width - gutter - self.tag_width))
            if view is None:
                return None
            lines = [raster.samples(one.series.times, one.series.values, view, self.dots[0]) for one in content.series]
            if not any(line.shown for line in lines):
                return None
            lows = [line.low for line in lines if not math.isnan(line.low)]
            highs = [line.high for line in lines if not math.isnan(line.high)]
            scale = value_range(
                min(lows, default=0.0), max(highs, default=0.0), max(2, min(8, tall // 3)), content.unit
            )
            labels = self._labels(scale)
            needed = max((len(text) + 1 for _, text in labels), default=0)
            if needed <= gutter:
                return view, lines, scale, labels, legends
            gutter = needed

    def _labels(self, scale: Range) -> list[tuple[float, str]]:
        if not self.room.figures:
            return []
        labels = tick_labels(scale, self.content.unit)
        if max(len(text) for _, text in labels) <= max(_GUTTER, self.width // 6):
            return labels
        return tick_labels(scale, self.content.unit, bare=True)

    def _cell_row(self, value: float, scale: Range, rows: int) -> int:
        """The row, from the top, in which a value lies."""
        dots = rows * self.dots[1]
        share = (value - scale.low) / (scale.high - scale.low)
        level = round(min(1.0, max(0.0, share)) * (dots - 1))
        return rows - 1 - level // self.dots[1]

    def _plot(
        self,
        view: Window,
        lines: Sequence[raster.Samples],
        scale: Range,
        rows: int,
        marks: Sequence[tuple[Mark, int]],
        places: dict[int, str],
    ) -> raster.Plot:
        signs, plot = self.signs, raster.Plot(view.columns, rows)
        across, down = self.dots
        for styled, line in zip(self.content.series, lines, strict=True):
            if not line.shown:
                continue
            stroke = raster.Stroke(slot_index(styled.slot), styled.dotted, legend.sign_of(styled, signs))
            if signs is TYPED:
                plot.draw_characters(raster.line_dots(line, scale.low, scale.high, view.columns, rows), stroke)
            else:
                size = view.columns * across, rows * down
                dots = raster.line_dots(line, scale.low, scale.high, *size, dotted=styled.dotted)
                plot.draw_braille(dots, stroke)
        if signs is DRAWN:
            plot.finish_braille()
        for mark, column in marks:
            plot.column_beneath(column, signs.mark, legend.mark_slot(mark))
        for y in places:
            plot.row_beneath(y, signs.grid, _GRID, signs.grid_every)
        return plot

    def _top(self, marks: Sequence[tuple[Mark, int]], columns: int) -> Row | None:
        """The row above the plot: what is wrong although there are values, or the words of the marks."""
        if not self.room.top:
            return None
        if self.content.problem:
            return row(self.content.problem, _PROBLEM, plain=self.signs is TYPED).fit(columns)
        return legend.mark_row(marks, columns, self.signs) if marks else None

    def _tags(self, view: Window, lines: Sequence[raster.Samples], scale: Range, rows: int) -> dict[int, Row]:
        """The name of each line that reaches the right edge, beside its end."""
        if not self.room.tags:
            return {}
        ends = [
            (styled, self._cell_row(float(line.values[-1]), scale, rows))
            for styled, line in zip(self.content.series, lines, strict=True)
            if line.shown and not math.isnan(line.values[-1]) and line.columns[-1] >= (view.columns - 4) * self.dots[0]
        ]
        return legend.tags(ends, self.content.series, rows, self.signs)

    def _side(self, label: str | None, gutter: int) -> Row:
        if not gutter:
            return Row("", b"")
        text = (label or "") + (self.signs.side if label is None else self.signs.tick)
        return row(text, _AXIS).fit(gutter, right=True)

    def _clock(self, view: Window, gutter: int) -> list[Row]:
        """The line under the plot and the clock times, in UTC."""
        signs, rows = self.signs, []
        ticks = clock_ticks(view, 12) if self.room.clock else []
        if self.room.floor:
            columns = {column for column, _ in ticks}
            line = "".join(signs.floor_tick if x in columns else signs.floor for x in range(view.columns))
            rows.append((row(signs.corner, _AXIS).fit(gutter, right=True) if gutter else row("")) + _axis(line))
        if self.room.clock:
            cells = list("UTC".rjust(max(0, gutter - 1)).ljust(self.width)) if gutter >= 4 else [" "] * self.width
            for column, label in ticks:
                start = gutter + column - len(label) // 2
                if start >= gutter and start + len(label) <= self.width:
                    cells[start : start + len(label)] = label
            rows.append(_axis("".join(cells)))
        return [line.fit(self.width) for line in rows]


def _axis(text: str) -> Row:
    return Row(text, bytes([_AXIS]) * len(text))
