"""One drawing of a chart: the plot with what stands around it, all on the same measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from mlconsole.domain.telemetry import Mark
from mlconsole.ui.chart import legend, marks, raster
from mlconsole.ui.chart.forms import RATE, Form, buckets_at, form_of
from mlconsole.ui.chart.layout import GUTTER, Content, Drawing, room_for
from mlconsole.ui.chart.rows import DRAWN, TYPED, Row, row, row_of
from mlconsole.ui.chart.scale import Range, Window, clock_ticks, instant, window
from mlconsole.ui.chart.styled import slot_index
from mlconsole.ui.chart.units import figure

_AXIS = slot_index("axis")
_GRID = slot_index("grid")
_PROBLEM = slot_index("problem")
_CURSOR = slot_index("cursor")
_THRESHOLD = slot_index("threshold")
_MOST_WORDS = 3
"""Rows that the words of the marks under the crosshair may take."""

Placed = Sequence[tuple[Mark, int]]


class Measured(NamedTuple):
    """What settles the window's width."""

    view: Window
    scale: Range
    labels: list[tuple[float, str]]


class Picture:
    """One drawing: the measures that its parts share."""

    def __init__(self, content: Content, width: int, height: int, glyphs: str) -> None:
        self._content, self._width, self._height = content, width, height
        self._signs = TYPED if glyphs == "ascii" else DRAWN
        self._room = room_for(width, height, content)
        self._form: Form = form_of(content, self._signs, glyphs)
        self._tag_width = legend.tag_width(content.series) if self._room.tags else 0

    def drawing(self) -> Drawing | None:
        """The rows, or None where the window holds no value."""
        found = self._measure()
        if found is None:
            return None
        view, scale, labels = found
        legends = self._legend(view)
        placed = [(mark, column) for mark in self._content.marks if (column := view.column(mark.at)) is not None]
        cursor = view.column(self._content.cursor) if self._content.cursor is not None else None
        tops = self._tops(placed, view.columns, cursor)
        rows = max(1, self._height - len(tops) - self._room.floor - self._room.clock - len(legends))
        plot = raster.Plot(view.columns, rows)
        places = {self._cell_row(value, scale, rows): label for value, label in labels}
        self._draw(plot, scale, placed, places, cursor)
        tags = self._tags(scale, rows)
        gutter = self._width - view.columns - self._tag_width
        body = [
            self._side(places.get(y), gutter) + Row(*line) + tags.get(y, Row("", b"")).fit(self._tag_width)
            for y, line in enumerate(plot.lines())
        ]
        above = [line.fit(gutter + view.columns, right=True).fit(self._width) for line in tops]
        below = [*self._clock(view, gutter), *(line.fit(self._width) for line in legends)]
        return Drawing([*above, *body, *below][: self._height], view, gutter)

    def _measure(self) -> Measured | None:
        """The window, the range of the values in it and its labels."""
        content, room = self._content, self._room
        tall = max(1, self._height - room.legend - room.clock - room.floor)
        # The labels' width depends on the values in the window, and the window on the labels: it only grows.
        gutter = GUTTER if room.figures else 0
        while True:
            view = window(content.start, content.end, max(1, self._width - gutter - self._tag_width))
            if view is None or not self._form.fit(view):
                return None
            scale = self._form.range(max(2, min(8, tall // 3)))
            labels = self._labels(scale, tall)
            needed = max((len(text) + 1 for _, text in labels), default=0)
            if needed <= gutter:
                return Measured(view, scale, labels)
            gutter = needed

    def _labels(self, scale: Range, tall: int) -> list[tuple[float, str]]:
        if not self._room.figures:
            return []
        labels = self._form.labels(scale, tall)
        if max((len(text) for _, text in labels), default=0) <= max(GUTTER, self._width // 6):
            return labels
        return self._form.labels(scale, tall, bare=True)

    def _cell_row(self, value: float, scale: Range, rows: int) -> int:
        """The row, from the top, in which a value lies."""
        level = round(scale.share(value) * (rows * self._form.down - 1))
        return rows - 1 - level // self._form.down

    # ---- the plot

    def _draw(
        self, plot: raster.Plot, scale: Range, placed: Placed, places: dict[int, str], cursor: int | None
    ) -> None:
        signs = self._signs
        self._form.draw(plot, scale)
        heat = self._content.form == "heat"
        if cursor is not None:
            plot.column_beneath(cursor, signs.cursor, _CURSOR, over=heat)
        for mark, column in placed:
            plot.column_beneath(column, signs.mark, marks.mark_slot(mark), over=heat)
        if heat:
            return
        for value, words in self._content.thresholds:
            if math.isfinite(value) and scale.low <= value <= scale.high:
                y = self._cell_row(value, scale, plot.rows)
                said = row(f" {words} ", _THRESHOLD, plain=signs is TYPED)
                any(plot.words_beneath(near, said.text, said.slots) for near in (y, y - 1, y + 1, y - 2, y + 2))
                plot.row_beneath(y, signs.threshold, _THRESHOLD, 1)
        for y in places:
            plot.row_beneath(y, signs.grid, _GRID, signs.grid_every)

    # ---- above

    def _tops(self, placed: Placed, columns: int, cursor: int | None) -> list[Row]:
        """Above the plot: what is wrong although there are values, or the marks' words; whole of those pointed at."""
        signs, plain = self._signs, self._signs is TYPED
        near = [mark for mark, column in placed if cursor is not None and abs(column - cursor) <= 1]
        if near and self._height >= 4:
            return marks.words_of(near, columns, min(_MOST_WORDS, self._height // 4), signs)
        if not self._room.top:
            return []
        if self._content.problem:
            return [row(self._content.problem, _PROBLEM, plain=plain).fit(columns)]
        return [marks.mark_row(placed, columns, signs)] if placed else []

    # ---- beside

    def _tags(self, scale: Range, rows: int) -> dict[int, Row]:
        """The name of each line that reaches the right edge, beside its end."""
        if not self._room.tags:
            return {}
        ends = [(styled, self._cell_row(value, scale, rows)) for styled, value in self._form.ends()]
        return legend.tags(ends, self._content.series, rows, self._signs)

    def _side(self, label: str | None, gutter: int) -> Row:
        if not gutter:
            return Row("", b"")
        text = (label or "") + (self._signs.side if label is None else self._signs.tick)
        return row(text, _AXIS).fit(gutter, right=True)

    # ---- below

    def _legend(self, view: Window) -> list[Row]:
        content, lines = self._content, self._room.legend
        if not lines:
            return []
        column = view.column(content.cursor) if content.cursor is not None else None
        if column is None:
            return self._form.legend(content.end, self._width, lines)
        start = (view.first + column) * view.cell
        said = start, start + view.cell
        if content.form == "heat":
            return [self._buckets(*said)]
        time = instant(start, view.cell)
        return legend.cursor_legend(content.series, content.unit, time, *said, self._width, lines, self._signs)

    def _buckets(self, start: float, end: float) -> Row:
        """The time under the crosshair and what came in each bucket then, the fullest first."""
        found = sorted(buckets_at(self._content.series, start, end), key=lambda item: -item[1])
        to = "<=" if self._signs is TYPED else "≤ "
        parts = [row(f"{instant(start, end - start)}  ", _CURSOR)]
        for edge, rate in found:
            if rate > 0:
                name = "over" if math.isinf(edge) else f"{to}{figure(edge, self._content.unit)}"
                parts += [row(f"{name} ", _AXIS), row(f"{figure(rate, RATE)}  ")]
        if len(parts) == 1:
            parts.append(row("no requests" if found else "no data"))
        return row_of(parts).fit(self._width)

    def _clock(self, view: Window, gutter: int) -> list[Row]:
        """The line under the plot and the clock times, in UTC."""
        signs, rows = self._signs, []
        ticks = clock_ticks(view, 12) if self._room.clock else []
        if self._room.floor:
            columns = {column for column, _ in ticks}
            line = "".join(signs.floor_tick if x in columns else signs.floor for x in range(view.columns))
            rows.append((row(signs.corner, _AXIS).fit(gutter, right=True) if gutter else row("")) + _axis(line))
        if self._room.clock:
            cells = list("UTC".rjust(max(0, gutter - 1)).ljust(self._width)) if gutter >= 4 else [" "] * self._width
            for column, label in ticks:
                start = gutter + column - len(label) // 2
                if start >= gutter and start + len(label) <= self._width:
                    cells[start : start + len(label)] = label
            rows.append(_axis("".join(cells)))
        return [line.fit(self._width) for line in rows]


def _axis(text: str) -> Row:
    return Row(text, bytes([_AXIS]) * len(text))
