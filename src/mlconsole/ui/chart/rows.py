"""Rows of text, cut to cells, and the signs of a chart, drawn or typed.

A row is a text with a slot for each of its cells. A character that is two cells wide is followed by a filler, which
keeps text, slots and cells in step until the row is painted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import get_character_cell_size

from mlconsole.domain.text import visible

FILLER = "\0"


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


def row(text: str, slot: int = 0, *, plain: bool = False, longest: int = 120) -> Row:
    """Text from anywhere as a row; `plain` keeps it to ASCII."""
    cells = visible(text, longest)
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
    ghost: str
    hues: str
    """Of the six hues."""
    fills: str
    """Of the layers of a stack, in turn."""
    heat: str
    """Of the steps of a heat map, two steps each, from the lowest; before them that of none."""
    whisker: str
    switch: str
    rollback: str
    deploy: str
    alert: str
    other: str
    """The marks."""
    mark: str
    cursor: str
    threshold: str
    grid: str
    grid_every: int
    tick: str
    side: str
    corner: str
    floor: str
    floor_tick: str
    ellipsis: str
    to: str
    """Between two figures."""


DRAWN = Signs(
    live="●", live_dim="●", idle="○", idle_dim="○", ghost="◌", hues="●■◆▼▲◈", fills="█▒▓░", heat="·░▒▓█", whisker="┆",
    switch="⇄", rollback="↶", deploy="↥", alert="▲", other="◇", mark="┊", cursor="│", threshold="╌",
    grid="┈", grid_every=1, tick="┤", side="│", corner="└", floor="─", floor_tick="┴", ellipsis="…", to="–",
)  # fmt: skip
TYPED = Signs(
    live="*", live_dim="+", idle="o", idle_dim=".", ghost=",", hues="#%=xwv", fills="#=%-o:", heat=".:=*#", whisker="|",
    switch=">", rollback="<", deploy="^", alert="!", other="?", mark=":", cursor="|", threshold="=",
    grid="-", grid_every=4, tick="+", side="|", corner="+", floor="-", floor_tick="+", ellipsis="~", to="-",
)  # fmt: skip
