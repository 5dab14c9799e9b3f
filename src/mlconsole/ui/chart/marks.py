"""The instants that a chart marks: a line down the plot, and its words above it."""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.domain.telemetry import Mark
from mlconsole.ui.chart.rows import FILLER, TYPED, Row, Signs, row
from mlconsole.ui.chart.styled import slot_index


def mark_slot(mark: Mark) -> int:
    """A way back looks different from a way forward, and an alert from both."""
    name = {"rollback": "mark-rollback", "alert": "mark-alert"}.get(mark.kind, "mark")
    return slot_index(name)


def mark_sign(mark: Mark, signs: Signs) -> str:
    """The sign above a mark's line."""
    known = {"switch": signs.switch, "rollback": signs.rollback, "deploy": signs.deploy, "alert": signs.alert}
    return known.get(mark.kind, signs.other)


def words_of(marks: Sequence[Mark], width: int, most: int, signs: Signs) -> list[Row]:
    """The words of marks whole, one after the other, on at most `most` rows of `width` cells."""
    rows: list[Row] = []
    for mark in marks:
        words = row(f"{mark_sign(mark, signs)} {mark.words}", mark_slot(mark), plain=signs is TYPED, longest=2000)
        while words.text and width > 1:
            # A wide character is not cut in two.
            cut = width - 1 if words.text[width : width + 1] == FILLER else width
            rows.append(Row(words.text[:cut], words.slots[:cut]).fit(width))
            words = Row(words.text[cut:], words.slots[cut:])
    return rows[:most]


def mark_row(marks: Sequence[tuple[Mark, int]], width: int, signs: Signs) -> Row:
    """The signs of the marks at their columns, with their words where there is room beside them."""
    cells, slots = [" "] * width, bytearray(width)
    columns = sorted({column for _, column in marks})
    for mark, column in marks:
        sign = row(mark_sign(mark, signs), mark_slot(mark))
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
