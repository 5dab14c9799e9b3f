"""Words around the plot: the legend, the tags at the lines' ends, the marks' words; all cut to cells.

A row is a text with a slot for each of its cells. A character that is two cells wide is followed by a filler, which
keeps text, slots and cells in step until the row is painted.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import get_character_cell_size

from mlconsole.domain.telemetry import Mark, Series
from mlconsole.domain.text import visible
from mlconsole.ui.chart.scale import figure
from mlconsole.ui.chart.styled import Styled, slot_index

FILLER = "\0"
_LATE_SAMPLES = 3
_TAG_LETTERS = 7


class Row(NamedTuple):
    """A line of the chart: as many slots as cells."""

    text: str
    slots: bytes

    def __add__(self, other: Row) -> Row:  # type: ignore[override]
        return Row(self.text + other.text, self.slots + other.slots)

    def fit(self, width: int, *, right: bool = False) -> Row:
        """The row cut or filled with blanks to `width` cells, at its left end where `right`."""
        missing = width - len(self.text)
        if missing > 0:
            blank = Row(" " * missing, bytes(missing))
            return blank + self if right else self + blank
        text = self.text[:width]
        if len(self.text) > width and self.text[width] == FILLER:
            text = text[:-1] + " "
        return Row(text, self.slots[:width])


def row(text: str, slot: int = 0, *, plain: bool = False) -> Row:
    """Text from anywhere as a row; `plain` keeps it to ASCII."""
    cells = visible(text, 120)
    if not cells.isascii():
        cells = "".join(_cells(char, plain) for char in unicodedata.normalize("NFC", cells))
    return Row(cells, bytes([slot]) * len(cells))


def _cells(char: str, plain: bool) -> str:
    if char.isascii():
        return char
    if plain:
        return {"…": "~"}.get(char, "?")
    size = get_character_cell_size(char)
    return char + FILLER if size == 2 else char if size == 1 else ""


def row_of(parts: Iterable[Row]) -> Row:
    """Rows end to end."""
    whole = Row("", b"")
    for part in parts:
        whole += part
    return whole


class Signs(NamedTuple):
    """The characters of a chart."""

    live: str
    live_dim: str
    idle: str
    idle_dim: str
    switch: str
    rollback: str
    mark: str
    grid: str
    grid_every: int
    tick: str
    side: str
    corner: str
    floor: str
    floor_tick: str
    ellipsis: str


DRAWN = Signs("●", "●", "○", "○", "⇄", "↶", "┊", "┈", 1, "┤", "│", "└", "─", "┴", "…")
TYPED = Signs("*", "+", "o", ".", ">", "<", ":", "-", 4, "+", "|", "+", "-", "+", "~")


def sign_of(styled: Styled, signs: Signs) -> str:
    """The character that stands for a series."""
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


def legend(styled: Sequence[Styled], unit: str, end: float, width: int, lines: int, signs: Signs) -> list[Row]:
    """The series' names and last values, by group, live ones first, on at most `lines` rows of `width` cells.

    Where it is too wide the quieter series go first: what leads stays in sight.
    """
    plain = signs is TYPED
    for kept in ([*styled], [one for one in styled if not one.slot.endswith("-dim")]):
        groups = _groups(kept, unit, end, signs)
        wrapped = _wrapped(groups, width)
        if len(wrapped) <= lines:
            return wrapped
    return [
        line if index < lines - 1 else line.fit(max(0, width - 2)) + row(f" {signs.ellipsis}", plain=plain)
        for index, line in enumerate(wrapped[:lines])
    ]


def _groups(styled: Sequence[Styled], unit: str, end: float, signs: Signs) -> list[Row]:
    plain = signs is TYPED
    groups: dict[str, list[Row]] = {}
    for one in sorted(styled, key=lambda one: (one.dotted, one.heading, one.series.stat)):
        slot = slot_index(one.slot)
        parts = groups.get(one.heading)
        if parts is None:
            # Typed lines have a sign each, drawn ones a sign for their colour.
            name = one.heading if plain else f"{sign_of(one, signs)} {one.heading}"
            parts = groups[one.heading] = [row(name, slot_index(one.slot.removesuffix("-dim")), plain=plain)]
        if plain:
            parts.append(row(f" {sign_of(one, signs)}", slot))
        parts.append(row(f" {one.series.stat} ", slot, plain=plain))
        parts.append(row(figure(latest(one.series, end), unit), plain=plain))
        parts.append(Row(" ", bytes(1)))
    return [row_of(parts) for parts in groups.values()]


def _wrapped(groups: Sequence[Row], width: int) -> list[Row]:
    wrapped: list[Row] = []
    for group in groups:
        if wrapped and len(wrapped[-1].text) + 2 + len(group.text.rstrip()) <= width:
            wrapped[-1] = wrapped[-1] + Row("  ", bytes(2)) + group
        else:
            wrapped.append(group)
    return [*wrapped, Row(" " * (width + 1), bytes(width + 1))] if _too_wide(wrapped, width) else wrapped


def _too_wide(rows: Sequence[Row], width: int) -> bool:
    return any(len(one.text.rstrip()) > width for one in rows)


def tag_width(styled: Sequence[Styled]) -> int:
    """Room for the tags, with a blank before them."""
    return max((len(row(_tag(one, styled)).text) + 2 for one in styled), default=0)


def _tag(styled: Styled, among: Sequence[Styled]) -> str:
    """What tells a line from its neighbours in a few letters: its statistic, or its colour where that is the same."""
    same = all(one.series.stat == styled.series.stat for one in among)
    return (styled.heading if same else styled.series.stat)[:_TAG_LETTERS]


def tags(ends: Sequence[tuple[Styled, int]], among: Sequence[Styled], rows: int, signs: Signs) -> dict[int, Row]:
    """Row to tag of each line's end, given with the row where it ends; the later drawn first, none on another's."""
    placed: dict[int, Row] = {}
    for styled, end in reversed(ends):
        free = next((at for at in (end, end - 1, end + 1) if 0 <= at < rows and at not in placed), None)
        if free is not None:
            text = f" {sign_of(styled, signs)}{_tag(styled, among)}"
            placed[free] = row(text, slot_index(styled.slot), plain=signs is TYPED)
    return placed


def mark_slot(mark: Mark) -> int:
    """A way back looks different from a way forward."""
    return slot_index("mark-rollback" if mark.kind == "rollback" else "mark")


def mark_row(marks: Sequence[tuple[Mark, int]], width: int, signs: Signs) -> Row:
    """The signs of the marks at their columns, with their words where there is room beside them."""
    cells, slots = [" "] * width, bytearray(width)
    columns = sorted({column for _, column in marks})
    for mark, column in marks:
        sign = row(signs.rollback if mark.kind == "rollback" else signs.switch, mark_slot(mark))
        words = row(mark.words, mark_slot(mark), plain=signs is TYPED)
        room_right = min((other for other in columns if other > column), default=width) - column - 2
        start, label = column, sign
        if words.text and len(words.text) <= room_right:
            label = sign + Row(" ", bytes(1)) + words
        elif (
            words.text
            and not "".join(cells[max(0, column - len(words.text) - 2) : column]).strip()
            and (max((other for other in columns if other < column), default=-2) + 2 <= column - len(words.text) - 1)
        ):
            start, label = column - len(words.text) - 1, words + Row(" ", bytes(1)) + sign
        label = label.fit(min(len(label.text), width - start))
        cells[start : start + len(label.text)] = label.text
        slots[start : start + len(label.text)] = label.slots
    return Row("".join(cells), bytes(slots))
