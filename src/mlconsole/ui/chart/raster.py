"""Lines into dots, on numpy, with no loop over points.

A line is the union of vertical runs, at most a few for each dot column: one for each sample, and two for each step to
the next column. Runs are added up as a difference array, so a column that holds a thousand samples costs what they
cost to count, and the highest and the lowest of them always have their dots. NaN ends a line; nothing joins across it.

numpy is imported at the first line drawn and not before: a console that shows no chart does without its 100 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mlconsole.ui.chart.scale import HUGE, Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

DOTS = {"braille": (2, 4), "block": (1, 2), "ascii": (1, 1)}
"""Dot columns and dot rows of a cell, by what it is filled with: braille, half blocks, one character."""
BRAILLE = DOTS["braille"]
_BLANK = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_HALVES = " ▀▄█"
"""By the upper half's bit and twice the lower half's."""


class Samples(NamedTuple):
    """The samples of a line that a window shows, and the one before and after, which only the line runs to."""

    columns: Ints
    """Dot columns, rising."""
    values: Floats
    low: float
    """The lowest finite value in the window; NaN if there is none."""
    high: float
    shown: bool
    """Whether anything of it is in the window."""


class Stroke(NamedTuple):
    """How a line is drawn."""

    slot: int
    dotted: bool
    char: str
    """What stands for it in cells of one character."""


def samples(times: Sequence[float], values: Sequence[float], view: Window, dots: int) -> Samples:
    """Place samples on the `dots` columns of each of the window's cells, in order of time."""
    import numpy as np

    count = min(len(times), len(values))
    at, value = np.asarray(times[:count], dtype=np.float64), np.asarray(values[:count], dtype=np.float64)
    kept = np.isfinite(at)
    if not kept.all():
        at, value = at[kept], value[kept]
    if (np.diff(at) < 0).any():
        order = np.argsort(at, kind="stable")
        at, value = at[order], value[order]
    width = view.columns * dots
    with np.errstate(all="ignore"):
        place = np.clip(np.floor(at / (view.cell / dots)) - view.first * dots, -1e9, 1e9)
    inside = np.flatnonzero((place >= 0) & (place < width))
    if not inside.size:
        return Samples(np.empty(0, np.int64), np.empty(0), np.nan, np.nan, False)
    finite = value[inside][np.isfinite(value[inside])]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    reach = slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2)
    place, value = place[reach], np.clip(value[reach], -HUGE, HUGE)
    _cut(place, value, 0, 1, -1.0)
    _cut(place, value, -1, -2, float(width))
    return Samples(place.astype(np.int64), value, low, high, not bool(np.isnan(value).all()))


def _cut(place: Floats, value: Floats, outer: int, inner: int, edge: float) -> None:
    """Move an end sample that lies beyond the edge of the window along its line to the edge."""
    if len(place) < 2 or not abs(place[outer] - edge) >= 1 or (place[outer] - edge) * (edge - place[inner]) <= 0:
        return
    value[outer] += (value[inner] - value[outer]) * ((edge - place[outer]) / (place[inner] - place[outer]))
    place[outer] = edge


def logarithm(line: Samples, least: float) -> Samples:
    """The line with the logarithms of its values; what is not over zero stands at `least`, the lower edge."""
    import numpy as np

    return line._replace(values=np.log(np.fmax(line.values, least) + 0.0 * line.values))


def line_dots(line: Samples, low: float, high: float, width: int, height: int, *, dotted: bool = False) -> Bools:
    """The dots of a line on `height` x `width`, row 0 the lowest, which stands for `low`."""
    import numpy as np

    known = ~np.isnan(line.values)
    with np.errstate(all="ignore"):
        level = (line.values - low) * ((height - 1) / (high - low))
    level = np.clip(np.where(known, level, 0.0), 0, height - 1)
    joined = known[:-1] & known[1:]
    steps = np.ones(len(level), np.int64)
    steps[:-1] = np.where(joined, np.maximum(np.diff(line.columns), 1), 1)
    source = np.repeat(np.arange(len(level)), steps)
    part = np.arange(len(source)) - np.repeat(np.cumsum(steps) - steps, steps)
    rise = np.zeros(len(level))
    rise[:-1] = np.where(joined, np.diff(level), 0.0)
    row = np.rint(level[source] + rise[source] * (part / steps[source])).astype(np.int64)
    column = line.columns[source] + part
    bridge = np.append(joined, False)[source][:-1]
    dots = _fill(*_runs(column, row, known[source], bridge), width, height)
    if dotted:
        _thin(dots)
    return dots


def _runs(column: Ints, row: Ints, known: Bools, bridge: Bools) -> tuple[Ints, Ints, Ints]:
    """Columns, lowest and highest rows of the runs: the points, and the way from each to the next.

    The way to the same column is one run; to the next column it is two, which meet halfway.
    """
    import numpy as np

    here, there, a, b = column[:-1][bridge], column[1:][bridge], row[:-1][bridge], row[1:][bridge]
    same = here == there
    up = b > a
    middle = np.where(up, (a + b) // 2, (a + b + 1) // 2)
    near = np.where(same, b, middle)
    beyond = np.where(same | (a == b), b, np.where(up, middle + 1, middle - 1))
    return (
        np.concatenate((column[known], here, there)),
        np.concatenate((row[known], np.minimum(a, near), np.minimum(b, beyond))),
        np.concatenate((row[known], np.maximum(a, near), np.maximum(b, beyond))),
    )


def _fill(column: Ints, lowest: Ints, highest: Ints, width: int, height: int) -> Bools:
    import numpy as np

    # Column by column, so that each run ends within its stretch of one flat array.
    inside = (column >= 0) & (column < width)
    place = column[inside] * (height + 1)
    size = (height + 1) * width
    edges = np.bincount(place + lowest[inside], minlength=size)
    edges -= np.bincount(place + highest[inside] + 1, minlength=size)
    filled: Bools = np.cumsum(edges).reshape(width, height + 1)[:, :-1] > 0
    return np.ascontiguousarray(filled.T)


def _thin(dots: Bools) -> None:
    """Leave out every other column where the line is flat or nearly so, and every other dot within a rise.

    What is left out has a dot that stays beside it, a row away at most: the line's ends and turns stay in sight.
    """
    inner = dots[1:-1] & dots[:-2] & dots[2:]
    beside = dots[:, 0::2].copy()
    beside[1:] |= dots[:-1, 0::2]
    beside[:-1] |= dots[1:, 0::2]
    odd = dots[:, 1::2]
    covered = beside[:, : odd.shape[1]].copy()
    covered[:, : beside.shape[1] - 1] |= beside[:, 1 : odd.shape[1] + 1]
    odd[:, (odd.sum(axis=0) <= 2) & ~(odd & ~covered).any(axis=0)] = False
    inner[1::2] = False
    dots[1:-1] &= ~inner


class Plot:
    """The cells of the plot: a code point and a slot each. Lines are drawn over each other, the rest beneath them."""

    def __init__(self, columns: int, rows: int) -> None:
        import numpy as np

        self.columns, self.rows = columns, rows
        self._codes: NDArray[np.uint32] = np.zeros((rows, columns), np.uint32)
        self._slots: NDArray[np.uint8] = np.zeros((rows, columns), np.uint8)

    def draw(self, glyphs: str, dots: Bools, stroke: Stroke) -> None:
        """Draw a line with braille, half blocks or characters."""
        if glyphs == "braille":
            self.draw_braille(dots, stroke)
        elif glyphs == "block":
            self.draw_blocks(dots, stroke)
        else:
            self.draw_characters(dots, stroke)

    def finish(self, glyphs: str) -> None:
        """Every line is drawn: turn dots into characters."""
        if glyphs == "braille":
            self.finish_braille()
        elif glyphs == "block":
            self.finish_blocks()

    def fill(self, codes: NDArray[np.uint32], slots: NDArray[np.uint8]) -> None:
        """Put whole cells: code points, 0 for none, and their slots; row 0 the uppermost."""
        filled = codes > 0
        self._codes[filled], self._slots[filled] = codes[filled], slots[filled]

    def draw_blocks(self, dots: Bools, stroke: Stroke) -> None:
        """Add a line to the halves of its cells, which take its colour."""
        flipped = dots[::-1].view("uint8")
        bits = flipped[0::2] + flipped[1::2] * 2
        self._codes |= bits
        self._slots[bits > 0] = stroke.slot

    def finish_blocks(self) -> None:
        """Turn halves into characters."""
        import numpy as np

        self._codes = np.where(self._codes > 0, np.array([ord(char) for char in _HALVES], np.uint32)[self._codes], 0)

    def draw_braille(self, dots: Bools, stroke: Stroke) -> None:
        """Add a line to the dots of its cells, which take its colour."""
        flipped = dots[::-1].view("uint8")
        bits: Any = sum(flipped[y::4, x::2] * _BITS[y][x] for y in range(4) for x in range(2))
        self._codes |= bits
        self._slots[bits > 0] = stroke.slot

    def draw_characters(self, dots: Bools, stroke: Stroke) -> None:
        """Put the line's character into its cells."""
        cells = dots[::-1]
        self._codes[cells] = ord(stroke.char)
        self._slots[cells] = stroke.slot

    def finish_braille(self) -> None:
        """Turn dots into characters."""
        self._codes[self._codes > 0] += _BLANK

    def row_beneath(self, row: int, char: str, slot: int, every: int) -> None:
        """Put a character into each `every`-th cell of a row, where it is empty."""
        self._beneath(self._codes[row, ::every], self._slots[row, ::every], char, slot)

    def words_beneath(self, row: int, text: str, slots: bytes) -> bool:
        """Put words into the longest empty stretch of a row, at its left end; whether they fit with a cell to spare."""
        import numpy as np

        if not 0 <= row < self.rows:
            return False

        empty = np.concatenate(([False], self._codes[row] == 0, [False]))
        edges = np.flatnonzero(np.diff(empty.astype(np.int8)))
        starts, lengths = edges[::2], edges[1::2] - edges[::2]
        if not starts.size or lengths.max() < len(text) + 2:
            return False
        start = int(starts[lengths.argmax()]) + 1
        self._codes[row, start : start + len(text)] = [ord(char) for char in text]
        self._slots[row, start : start + len(text)] = list(slots)
        return True

    def column_beneath(self, column: int, char: str, slot: int, *, over: bool = False) -> None:
        """Put a character into the empty cells of a column; with `over` into all, where nothing would be empty."""
        if over:
            self._codes[:, column], self._slots[:, column] = ord(char), slot
        self._beneath(self._codes[:, column], self._slots[:, column], char, slot)

    @staticmethod
    def _beneath(codes: NDArray[np.uint32], slots: NDArray[np.uint8], char: str, slot: int) -> None:
        empty = codes == 0
        codes[empty] = ord(char)
        slots[empty] = slot

    def lines(self) -> list[tuple[str, bytes]]:
        """Text and slots of each row. A blank takes the slot of what is left of it: fewer runs to paint and to send."""
        import numpy as np

        filled = self._codes > 0
        source = np.maximum.accumulate(np.where(filled, np.arange(self.columns), 0), axis=1)
        slots = np.take_along_axis(self._slots, source, axis=1)
        text = np.where(filled, self._codes, 0x20).astype("<u4").tobytes().decode("utf-32-le")
        width = self.columns
        return [(text[row * width : (row + 1) * width], slots[row].tobytes()) for row in range(self.rows)]
