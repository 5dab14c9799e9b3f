"""What a chart shows, and what there is room for: what fits is shown, the plot itself always.

From the outside in, what goes first when the room gets scarce: the tags at the lines' ends, the legend, the row of the
marks' words, the line under the plot, the clock, the figures beside it.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from mlconsole.domain.telemetry import Mark
from mlconsole.ui.chart.rows import DRAWN, TYPED, Row, Signs, row
from mlconsole.ui.chart.scale import Window, window
from mlconsole.ui.chart.styled import Styled, slot_index

GUTTER = 7
"""Room for `400 ms` beside the plot: charts above each other begin at the same column."""
_PROBLEM = slot_index("problem")


class Content(Struct, frozen=True):
    """What a chart shows."""

    series: tuple[Styled, ...] = ()
    marks: tuple[Mark, ...] = ()
    start: float = 0.0
    end: float = 0.0
    unit: str = ""
    problem: str = ""
    form: str = "lines"
    """`lines`, `stacked`, `heat`, as `Panel.form`."""
    scale: str = "linear"
    """`linear`, `log`."""
    thresholds: tuple[tuple[float, str], ...] = ()
    cursor: float | None = None
    """The instant under the crosshair."""


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
    legend = 2 if height >= 14 else 1 if height >= 8 and width >= 20 else 0
    if content.cursor is not None and height >= 4:
        legend = max(1, legend)
    return Room(
        legend=legend,
        clock=height >= 5 and width >= 20,
        floor=height >= 10 and width >= 20,
        figures=width >= 24 and height >= 4,
        tags=width >= 50 and height >= 8 and content.form != "heat" and len(content.series) > 1,
        top=height >= 7 and width >= 20,
    )


class Drawing(NamedTuple):
    """A chart as it stands."""

    rows: list[Row]
    view: Window | None = None
    """The columns of its plot; None where there is none."""
    left: int = 0
    """The cells left of the plot."""


def draw(content: Content, width: int, height: int, *, glyphs: str = "braille") -> Drawing:
    """The chart in `height` rows of `width` cells. Never raises, whatever it is given.

    `glyphs` is what it is drawn with: `braille`, `block`, `ascii`.
    """
    if width < 1 or height < 1:
        return Drawing([])
    signs = TYPED if glyphs == "ascii" else DRAWN
    if content.series and window(content.start, content.end, width) is not None:
        from mlconsole.ui.chart.picture import Picture

        found = Picture(content, width, height, glyphs).drawing()
        if found is not None:
            return found
    return Drawing(nothing(content.problem, width, height, signs))


def compose(content: Content, width: int, height: int, *, glyphs: str = "braille") -> list[Row]:
    """The rows alone."""
    return draw(content, width, height, glyphs=glyphs).rows


def nothing(problem: str, width: int, height: int, signs: Signs) -> list[Row]:
    """The rows that say why there is nothing."""
    words = row(f"no data: {problem}" if problem else "no data", _PROBLEM, plain=signs is TYPED)
    if len(words.text) > width:
        words = words.fit(max(0, width - 1)) + Row(signs.ellipsis, bytes([_PROBLEM]))
    centred = words.fit((width + len(words.text)) // 2, right=True).fit(width)
    blank = Row(" " * width, bytes(width))
    return [centred if y == height // 2 else blank for y in range(height)]
