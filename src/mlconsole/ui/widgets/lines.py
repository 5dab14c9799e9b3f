"""A widget of lines that repaints only the cells that changed.

Over SSH every byte counts: a clock that ticks costs its last digits, not its line.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from mlconsole.ui.palette import styles
from mlconsole.ui.spans import EMPTY, Line, Slot, fit, harmless


def strip_of(widget: Widget, content: Line, width: int, over: Style | None = None) -> Strip:
    """A line as cells of the widget, `width` of them, the style `over` laid on top."""
    base, slots = widget.rich_style, styles(widget.app)
    segments = []
    for span in fit(harmless(content), width):
        style = base + slots[span.slot] if span.slot else base
        segments.append(Segment(span.text, style + over if over else style))
    return Strip(segments, width)


def changed(before: Line, after: Line, width: int) -> tuple[int, int] | None:
    """The first and one past the last cell in which two lines differ, or None."""
    old, new = _cells(before, width), _cells(after, width)
    if old == new:
        return None
    first = next(index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    last = next(index for index in range(width, 0, -1) if old[index - 1] != new[index - 1])
    return first, last


def _cells(content: Line, width: int) -> list[tuple[str, Slot]]:
    """(character, slot) by cell; a wide character stands in its first cell."""
    cells: list[tuple[str, Slot]] = []
    for span in fit(harmless(content), width):
        for char in span.text:
            cells.append((char, span.slot))
            cells.extend([("", span.slot)] * (cell_len(char) - 1))
    return (cells + [(" ", Slot.PLAIN)] * width)[:width]


class Lines(Widget):
    """Lines of spans, cut at the widget's edges. `show` replaces them."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines; what stands already is not painted again."""
        before, self._lines = self._lines, list(lines)
        width = self.size.width
        # One that has lines and no height was asked before it could lay anything out.
        unlaid = bool(self._lines) and not self.size.height
        if (len(before) != len(self._lines) or unlaid) and self.styles.auto_dimensions:
            self.refresh(layout=True)
            return
        dirty = []
        for y, (old, new) in enumerate(itertools.zip_longest(before, self._lines, fillvalue=EMPTY)):
            span = None if old == new else changed(old, new, width)
            if span:
                dirty.append(Region(span[0], y, span[1] - span[0], 1))
        if dirty:
            self.refresh(*dirty)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """One row a line."""
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        """One line."""
        content = self._lines[y] if y < len(self._lines) else EMPTY
        return strip_of(self, content, self.size.width)
