"""How wide the columns of a table are, and which of them there is room for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

GAP = 2
"""Cells between two columns."""


class Column(Struct, frozen=True):
    """One column. Its width follows its content, between `least` and `most`."""

    title: str
    least: int = 3
    most: int = 40
    right: bool = False
    """Numbers stand against the right edge."""
    grows: bool = False
    """Takes what is left; at most one column does."""
    drop: int = 0
    """Columns with a higher number are left out first where there is no room; 0 is never left out."""


def widths(columns: Sequence[Column], rows: Sequence[Sequence[int]], width: int) -> list[int]:
    """The width of each column in `width` cells, 0 for one that is left out. `rows` are the widths of the cells."""
    widest = [max(sizes) for sizes in zip(*rows, strict=True)] if rows else [0] * len(columns)
    wanted = [
        max(column.least, min(column.most, size), min(column.most, len(column.title)))
        for column, size in zip(columns, widest, strict=True)
    ]
    order = sorted((i for i, column in enumerate(columns) if column.drop), key=lambda i: -columns[i].drop)
    while _total(columns, wanted) > width and order:
        wanted[order.pop(0)] = 0
    for i, column in enumerate(columns):
        if column.grows and wanted[i]:
            wanted[i] = max(column.least, wanted[i] + width - _laid(wanted))
    over = _laid(wanted) - width
    for i in sorted(range(len(columns)), key=lambda i: -wanted[i]):
        if over <= 0:
            break
        cut = min(over, max(0, wanted[i] - 1))
        wanted[i] -= cut
        over -= cut
    return wanted


def _laid(wanted: Sequence[int]) -> int:
    shown = [size for size in wanted if size]
    return sum(shown) + GAP * max(0, len(shown) - 1)


def _total(columns: Sequence[Column], wanted: Sequence[int]) -> int:
    """The width with the growing column at its least."""
    return _laid(
        [min(size, column.least) if column.grows else size for column, size in zip(columns, wanted, strict=True)]
    )
