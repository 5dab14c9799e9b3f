"""The chart on the screen as a file: the values as CSV, the picture as SVG, drawn from the values anew.

Names and words come from outside: in SVG they are escaped, in CSV a name is never a formula, and nothing in either
looks like a credential.
"""

from __future__ import annotations

import csv
import io
import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from mlconsole.domain.redaction import redacted
from mlconsole.domain.telemetry import Series
from mlconsole.domain.text import visible
from mlconsole.ui.chart import raster
from mlconsole.ui.chart.forms import Form, Heat, Stacked, form_of
from mlconsole.ui.chart.layout import Content
from mlconsole.ui.chart.legend import latest
from mlconsole.ui.chart.marks import mark_slot
from mlconsole.ui.chart.rows import DRAWN
from mlconsole.ui.chart.scale import Range, Window, clock_ticks, window
from mlconsole.ui.chart.styled import SLOTS, Styled
from mlconsole.ui.chart.units import figure

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 56, 64
COLUMNS = WIDTH - LEFT - RIGHT
"""A pixel a column: decimated as on the screen, the extremes of each column kept."""
ENDINGS = (".svg", ".csv")


def write(content: Content, title: str, colors: Mapping[str, str], where: Path) -> list[Path]:
    """Write new files: `where` with .svg and with .csv, or the one that it ends with. Raises OSError."""
    made = {".svg": lambda: svg(content, title, colors), ".csv": lambda: table(content)}
    endings = [where.suffix] if where.suffix in ENDINGS else list(ENDINGS)
    base = where.with_suffix("") if where.suffix in ENDINGS else where
    base.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths = []
    for ending in endings:
        path = base.with_name(base.name + ending)
        with open(path, "x", encoding="utf-8", newline="", opener=_private) as file:
            file.write(made[ending]())
        paths.append(path)
    return paths


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


# ---- CSV


def table(content: Content) -> str:
    """A row an instant, a column a series; an empty cell is a gap."""
    shown = [(one, _within(one.series, content)) for one in content.series]
    instants = sorted({at for _, found in shown for at in found})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    unit = "1/s, cumulative" if content.form == "heat" else _clean(content.unit)
    bucket = "le " if content.form == "heat" else ""
    names = [" ".join(filter(None, (_clean(one.heading), bucket + _clean(one.name)))) for one, _ in shown]
    writer.writerow(["time", *(_harmless(f"{name} ({unit})" if unit else name) for name in names)])
    for at in instants:
        cells = [found.get(at, math.nan) for _, found in shown]
        writer.writerow([_iso(at), *("" if math.isnan(value) else repr(value) for value in cells)])
    return out.getvalue()


def _within(series: Series, content: Content) -> dict[float, float]:
    count = min(len(series.times), len(series.values))
    times = series.times[:count]
    first, last = bisect_left(times, content.start), bisect_right(times, content.end)
    pairs = zip(times[first:last], series.values[first:last], strict=True)
    return {at: value for at, value in pairs if math.isfinite(at)}


def _named(one: Styled) -> str:
    return _clean(" ".join(filter(None, (one.heading, one.name))))


def _clean(text: str) -> str:
    return visible(redacted(text), 300)


def _harmless(text: str) -> str:
    """Not a formula to a spreadsheet."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _iso(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return repr(at)


# ---- SVG


def svg(content: Content, title: str, colors: Mapping[str, str]) -> str:
    """The picture; `colors` by slot, and `background`."""
    return _Sheet(content, colors).drawn(_clean(title))


class _Sheet:
    def __init__(self, content: Content, colors: Mapping[str, str]) -> None:
        self._content, self._colors = content, colors
        self._view = window(content.start, content.end, COLUMNS)
        self._form: Form = form_of(content, DRAWN, "ascii")
        self._tall = HEIGHT - TOP - BOTTOM

    def drawn(self, title: str) -> str:
        """The whole file."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="monospace" font-size="12">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{self._color("background")}"/>',
            self._text(LEFT, 20, title, "text"),
        ]
        view = self._view
        if view is None or not self._content.series or not self._form.fit(view):
            parts.append(self._text(LEFT, HEIGHT // 2, f"no data {_clean(self._content.problem)}".rstrip(), "problem"))
        else:
            parts += self._plot(view)
        return "\n".join([*parts, "</svg>", ""])

    def _plot(self, view: Window) -> list[str]:
        scale = self._form.range(6)
        parts = [
            self._line(LEFT, y := self._y(value, scale), WIDTH - RIGHT, y, "grid") for value, _ in self._ticks(scale)
        ]
        parts += [
            self._text(LEFT - 8, self._y(value, scale) + 4, label, "axis", "end") for value, label in self._ticks(scale)
        ]
        if isinstance(self._form, Heat):
            parts += self._heat(self._form)
        elif isinstance(self._form, Stacked):
            parts += self._stack(self._form, view.columns, scale)
        else:
            parts += [self._series(one, view, scale) for one in self._content.series]
        for value, words in self._content.thresholds:
            if math.isfinite(value) and scale.low <= value <= scale.high and self._content.form != "heat":
                y = self._y(value, scale)
                parts.append(self._line(LEFT, y, WIDTH - RIGHT, y, "threshold", "6 3"))
                parts.append(self._text(LEFT + 4, y - 4, _clean(words), "threshold"))
        for column, label in clock_ticks(view, 100):
            parts.append(self._text(LEFT + column, HEIGHT - BOTTOM + 16, label, "axis", "middle"))
        parts.append(self._text(LEFT - 8, HEIGHT - BOTTOM + 16, "UTC", "axis", "end"))
        return [*parts, *self._marks(view), *self._legend(scale)]

    def _ticks(self, scale: Range) -> list[tuple[float, str]]:
        return self._form.labels(scale, self._tall // 12)

    def _y(self, value: float, scale: Range) -> float:
        return round(TOP + self._tall * (1 - scale.share(value)), 1)

    def _series(self, one: Styled, view: Window, scale: Range) -> str:
        """A line, broken where samples are missing."""
        line = raster.samples(one.series.times, one.series.values, view, 1)
        paths, drawing = [], False
        for column, value in zip(line.columns.tolist(), line.values.tolist(), strict=True):
            if math.isnan(value):
                drawing = False
                continue
            paths.append(f"{'L' if drawing else 'M'}{LEFT + min(COLUMNS, max(0, column))} {self._y(value, scale)}")
            drawing = True
        dashes = ' stroke-dasharray="2 3"' if one.dotted else ""
        width = 1 if one.quiet else 2
        color = self._color(one.slot)
        # A lone sample is a dot: its line has no length, but ends that are round.
        path = " ".join(f"{part}h0" if part[0] == "M" else part for part in paths)
        return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}" stroke-linecap="round"{dashes}/>'

    def _stack(self, form: Stacked, columns: int, scale: Range) -> list[str]:
        parts, below = [], [0.0] * columns
        for one, tops in zip(self._content.series, form.tops(), strict=True):
            for first, last in _runs(tops):
                over, under = (
                    [f"{LEFT + x} {y:g}" for x, y in _bends([(x, self._y(ends[x], scale)) for x in range(first, last)])]
                    for ends in (tops, below)
                )
                parts.append(f'<path d="M{" L".join([*over, *reversed(under)])} Z" fill="{self._color(one.slot)}"/>')
            below = [0.0 if math.isnan(top) else top for top in tops]
        return parts

    def _heat(self, form: Heat) -> list[str]:
        steps = form.steps()
        parts, tall = [], self._tall / max(1, len(steps))
        for bucket, row in enumerate(steps):
            y = round(TOP + self._tall - (bucket + 1) * tall, 1)
            start = 0
            for x in range(1, len(row) + 1):
                if x == len(row) or row[x] != row[start]:
                    if row[start] > 0:
                        color = self._color(f"heat{row[start]}")
                        size = f'width="{x - start}" height="{tall:.1f}"'
                        parts.append(f'<rect x="{LEFT + start}" y="{y}" {size} fill="{color}"/>')
                    start = x
        return parts

    def _marks(self, view: Window) -> list[str]:
        parts, free = [], 0
        for mark in sorted(self._content.marks, key=lambda mark: mark.at):
            column = view.column(mark.at)
            if column is None:
                continue
            slot, words = SLOTS[mark_slot(mark)], _clean(mark.words)
            parts.append(self._line(LEFT + column, TOP, LEFT + column, HEIGHT - BOTTOM, slot, "3 3", words))
            if column >= free:
                parts.append(self._text(LEFT + column, TOP - 8, words, slot))
                free = column + 8 * len(words)
        return parts

    def _legend(self, scale: Range) -> list[str]:
        parts, x, y = [], LEFT, HEIGHT - 24
        for one in self._content.series if self._content.form != "heat" else ():
            words = f"{_named(one)} {figure(latest(one.series, self._content.end), self._content.unit)}"
            if x + 8 * len(words) > WIDTH - RIGHT and x > LEFT:
                x, y = LEFT, y + 15
            parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{self._color(one.slot)}"/>')
            parts.append(self._text(x + 14, y, words, "text"))
            x += 14 + 8 * len(words) + 12
        return parts

    def _line(self, x: float, y: float, to_x: float, to_y: float, slot: str, dashes: str = "", words: str = "") -> str:
        drawn = f' stroke-dasharray="{dashes}"' if dashes else ""
        said = f"<title>{escape(words)}</title>" if words else ""
        return f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{self._color(slot)}"{drawn}>{said}</line>'

    def _text(self, x: float, y: float, words: str, slot: str, anchor: str = "start") -> str:
        return f'<text x="{x}" y="{y}" fill="{self._color(slot)}" text-anchor="{anchor}">{escape(words)}</text>'

    def _color(self, slot: str) -> str:
        return self._colors.get(slot, self._colors.get("live", "#808080"))


def _bends(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The points without those that lie, to a fifth of a pixel, on the line through their neighbours."""
    kept = [*points[:1]]
    for (x, y), (next_x, next_y) in pairwise(points[1:]):
        last_x, last_y = kept[-1]
        if abs(last_y + (next_y - last_y) * (x - last_x) / (next_x - last_x) - y) > 0.2:
            kept.append((x, y))
    return [*kept, *points[1:][-1:]]


def _runs(values: Sequence[float]) -> list[tuple[int, int]]:
    """The stretches of numbers between the gaps, (first, one past the last)."""
    gaps = [-1, *(index for index, value in enumerate(values) if math.isnan(value)), len(values)]
    return [(before + 1, after) for before, after in pairwise(gaps) if after > before + 1]
