"""Words around the plot: the legend, the values under the crosshair, the tags at the lines' ends; all cut to cells."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlconsole.domain.telemetry import Series
from mlconsole.ui.chart.rows import TYPED, Row, Signs, row, row_of
from mlconsole.ui.chart.styled import Styled, slot_index
from mlconsole.ui.chart.units import figure

_LATE_SAMPLES = 3
_TAG_LETTERS = 7


class Span(NamedTuple):
    """The lowest and the highest value of a series in a stretch of time; NaN where there is none."""

    low: float
    high: float


UNKNOWN = Span(math.nan, math.nan)


def sign_of(styled: Styled, signs: Signs) -> str:
    """The character that stands for a series."""
    if styled.fill >= 0:
        return signs.fills[styled.fill % len(signs.fills)]
    if styled.series.ghost:
        return signs.ghost
    if styled.slot.startswith("hue"):
        return signs.hues[(int(styled.slot[3:]) - 1) % len(signs.hues)]
    dim = styled.slot.endswith("-dim")
    if styled.dotted:
        return signs.idle_dim if dim else signs.idle
    return signs.live_dim if dim else signs.live


def latest(series: Series, end: float) -> float:
    """The value that the legend shows: the last one, or NaN where the last few are missing or it is long past."""
    count = min(len(series.times), len(series.values))
    recent = slice(max(0, count - _LATE_SAMPLES), count)
    tail = list(zip(series.times[recent], series.values[recent], strict=True))
    at, value = next(((at, value) for at, value in reversed(tail) if not math.isnan(value)), (math.nan, math.nan))
    apart = tail[-1][0] - tail[-2][0] if len(tail) > 1 else 0.0
    return value if math.isnan(at) or not apart > 0 or end - at <= apart * (_LATE_SAMPLES + 1) else math.nan


def span_at(series: Series, start: float, end: float) -> Span:
    """The values from `start` to before `end`; where no sample is that near, the nearest one a step away at most."""
    count = min(len(series.times), len(series.values))
    times, values = series.times[:count], series.values[:count]
    first, last = bisect_left(times, start), bisect_left(times, end)
    found = [value for value in values[first:last] if not math.isnan(value)]
    if found:
        return Span(min(found), max(found))
    if first < last or count < 2:
        return UNKNOWN
    middle, step = (start + end) / 2, abs(times[-1] - times[0]) / (count - 1)
    at = bisect_right(times, middle)
    near = min((index for index in (at - 1, at) if 0 <= index < count), key=lambda index: abs(times[index] - middle))
    return Span(values[near], values[near]) if abs(times[near] - middle) <= step else UNKNOWN


Words = Callable[[Styled, bool], str]
"""What is said of a series, in full or in short."""


def legend(
    styled: Sequence[Styled],
    unit: str,
    end: float,
    width: int,
    lines: int,
    signs: Signs,
    spans: Sequence[Span] = (),
) -> list[Row]:
    """The series' names and last values, by group, live ones first, on at most `lines` rows of `width` cells.

    Where there is room, each has its lowest and highest value too (`spans`, in the order of the series). Where it is
    too wide, the quieter series go first: what leads stays in sight.
    """
    of = {id(one): span for one, span in zip(styled, spans, strict=False)}

    def words(one: Styled, full: bool) -> str:
        said = figure(latest(one.series, end), unit)
        span = of.get(id(one), UNKNOWN)
        low, high = figure(span.low, unit), figure(span.high, unit)
        return f"{said} (min {low}, max {high})" if full and not said == low == high and low != "no data" else said

    return _fitted(styled, words, width, lines, signs, Row("", b""))


def cursor_legend(
    styled: Sequence[Styled], unit: str, clock: str, start: float, end: float, width: int, lines: int, signs: Signs
) -> list[Row]:
    """The time under the crosshair and what each series was then; from the lowest to the highest if it was several."""

    def words(one: Styled, full: bool) -> str:
        low, high = (figure(value, unit) for value in span_at(one.series, start, end))
        return low if low == high else f"{low}{'-' if signs is TYPED else signs.to}{high}"

    return _fitted(styled, words, width, lines, signs, row(f"{clock}  ", slot_index("cursor")))


def _fitted(styled: Sequence[Styled], words: Words, width: int, lines: int, signs: Signs, before: Row) -> list[Row]:
    leading = [one for one in styled if not one.quiet]
    tries: list[tuple[Sequence[Styled], Callable[[Styled], bool]]] = [
        (styled, lambda one: True),
        (styled, lambda one: not one.quiet),
        (styled, lambda one: False),
        (leading, lambda one: False),
    ]
    wrapped: list[Row] = []
    for kept, full in tries:
        groups = _groups(kept, words, full, signs)
        if before.text:
            groups = [before + groups[0], *groups[1:]] if groups else [before]
        wrapped = _wrapped(groups, width)
        if len(wrapped) <= lines and all(len(one.text.rstrip()) <= width for one in wrapped):
            return wrapped
    return [
        line.fit(max(0, width - 2)) + row(f" {signs.ellipsis}", plain=signs is TYPED)
        if len(line.text.rstrip()) > width or index == lines - 1 < len(wrapped) - 1
        else line
        for index, line in enumerate(wrapped[:lines])
    ]


def _groups(styled: Sequence[Styled], words: Words, full: Callable[[Styled], bool], signs: Signs) -> list[Row]:
    plain = signs is TYPED
    groups: dict[str, list[Row]] = {}
    for number, one in enumerate(sorted(styled, key=_in_legend)):
        slot = slot_index(one.slot)
        own = plain or one.fill >= 0 or one.slot.startswith("hue")
        # What has a name of its own alone stands for itself.
        group = one.heading or str(number)
        parts = groups.get(group)
        if parts is None:
            # Typed lines have a sign each, and so have hues; the others one for their colour.
            name = one.heading if own else f"{sign_of(one, signs)} {one.heading}"
            parts = groups[group] = [row(name, slot_index(one.slot.removesuffix("-dim")), plain=plain)]
        if own:
            parts.append(
                row(f" {sign_of(one, signs)}" if parts[0].text or len(parts) > 1 else sign_of(one, signs), slot)
            )
        parts.append(row(f" {one.name} ", slot, plain=plain))
        parts.append(row(words(one, full(one)), plain=plain))
        parts.append(Row(" ", bytes(1)))
    return [row_of(parts) for parts in groups.values()]


def _in_legend(one: Styled) -> tuple[bool, bool, str, int, str]:
    return bool(one.series.ghost), one.dotted, one.heading, -one.fill, one.name


def _wrapped(groups: Sequence[Row], width: int) -> list[Row]:
    wrapped: list[Row] = []
    for group in groups:
        if wrapped and len(wrapped[-1].text) + 2 + len(group.text.rstrip()) <= width:
            wrapped[-1] = wrapped[-1] + Row("  ", bytes(2)) + group
        else:
            wrapped.append(group)
    return wrapped


def tag_width(styled: Sequence[Styled]) -> int:
    """Room for the tags, with a blank before them."""
    return max((len(row(_tag(one, styled)).text) + 2 for one in styled if not one.series.ghost), default=0)


def _tag(styled: Styled, among: Sequence[Styled]) -> str:
    """What tells a line from its neighbours in a few letters: its statistic, or its colour where that is the same."""
    same = all(one.name == styled.name for one in among)
    return (styled.heading if same else styled.name)[:_TAG_LETTERS]


def tags(ends: Sequence[tuple[Styled, int]], among: Sequence[Styled], rows: int, signs: Signs) -> dict[int, Row]:
    """Row to tag of each line's end, given with the row where it ends; the later drawn first, none on another's."""
    placed: dict[int, Row] = {}
    for styled, end in reversed([(one, at) for one, at in ends if not one.series.ghost]):
        free = next((at for at in (end, end - 1, end + 1) if 0 <= at < rows and at not in placed), None)
        if free is not None:
            text = f" {sign_of(styled, signs)}{_tag(styled, among)}"
            placed[free] = row(text, slot_index(styled.slot), plain=signs is TYPED)
    return placed
