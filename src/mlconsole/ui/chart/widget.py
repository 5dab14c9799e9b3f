"""The chart as a widget: drawn when it is shown, repainted only where its cells changed.

Textual sends a changed stretch of a row from the left end of its widget, whatever the region said (8.2.8, a TODO in its
compositor). New values come in at the right, so a chart is two widgets side by side: the narrow one at the live edge is
what most updates touch, and the wide one waits until a whole column has passed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from mlconsole.domain.telemetry import Mark
from mlconsole.ui.chart.layout import Content, compose
from mlconsole.ui.chart.legend import FILLER, Row
from mlconsole.ui.chart.styled import SLOTS, Styled

_RUNS = re.compile(rb"(.)\1*", re.DOTALL)


class ChartPart(Widget):
    """The left or the right part of a chart's rows."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    ChartPart {
        width: 1fr;
        height: 100%;

        &.-edge { width: 12; max-width: 50%; }
    }
    """

    def __init__(self, chart: Chart, *, edge: bool) -> None:
        super().__init__(classes="-edge" if edge else "")
        self._chart, self._edge = chart, edge

    @property
    def left(self) -> int:
        """The column of the chart at which this part begins."""
        return self._chart.size.width - self.size.width if self._edge else 0

    def show(self, region: Region) -> None:
        """Repaint what lies in this part of a region of the chart."""
        mine = region.translate((-self.left, 0)).intersection(self.size.region)
        if mine:
            self.refresh(mine)

    def render_line(self, y: int) -> Strip:
        """Paint this part of a row."""
        return self._chart.row_strip(y).crop(self.left, self.left + self.size.width)


class Chart(Widget):
    """Series over time with marks, for a terminal on a slow line.

    Give it everything at each `update`; it finds out itself which cells differ and repaints those alone.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--{slot}" for slot in SLOTS}
    """
    | Class | What |
    | :- | :- |
    | `chart--text` | Values in the legend. |
    | `chart--axis`, `chart--grid` | Figures, clock and lines around the plot; lines in it. |
    | `chart--mark`, `chart--mark-rollback` | A switch, a rollback. |
    | `chart--problem` | Why there is nothing. |
    | `chart--green`, `chart--blue` | The leading line of the Deployment of that colour; `-dim` its other lines. |
    | `chart--live`, `chart--idle` | The same for a service whose colours have other names. |
    """
    DEFAULT_CSS = """
    Chart {
        width: 1fr;
        height: 1fr;
        layout: horizontal;
        overflow: hidden;

        & > .chart--text { color: $foreground 85%; }
        & > .chart--axis { color: $foreground 55%; }
        & > .chart--grid { color: $foreground 15%; }
        & > .chart--mark { color: $text-warning; }
        & > .chart--mark-rollback { color: $text-error; text-style: bold; }
        & > .chart--problem { color: $text-warning; }
        & > .chart--green { color: $green; }
        & > .chart--green-dim { color: $green 70%; }
        & > .chart--blue { color: $blue; }
        & > .chart--blue-dim { color: $blue 70%; }
        & > .chart--live { color: $text-accent; }
        & > .chart--live-dim { color: $text-accent 70%; }
        & > .chart--idle { color: $text-secondary; }
        & > .chart--idle-dim { color: $text-secondary 70%; }
    }
    """

    ascii: reactive[bool] = reactive(False, repaint=False)
    """Draw with ASCII characters alone."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self._content = Content()
        self._rows: list[Row] = []
        self._drawn_for: tuple[Size, bool] | None = None
        self._strips: dict[int, Strip] = {}
        self._styles: list[Style] = []
        self._parts = ChartPart(self, edge=False), ChartPart(self, edge=True)

    def compose(self) -> ComposeResult:
        """The part that waits and the part that lives."""
        yield from self._parts

    def update(
        self,
        series: Sequence[Styled],
        marks: Sequence[Mark],
        start: float,
        end: float,
        unit: str,
        problem: str = "",
    ) -> None:
        """Show these series and marks from `start` to `end`, in seconds since the epoch.

        Args:
            series: In the order to draw them: in a cell that two of them pass, the later one's colour shows.
            marks: Instants to mark.
            start: The window's left end.
            end: Its right end, usually now.
            unit: `s`, `ratio`, `1/s`.
            problem: Why there is nothing, or what is wrong with what there is.
        """
        self._content = Content(tuple(series), tuple(marks), start, end, unit, problem)
        if self._drawn_for != (self.size, self.ascii):
            self._redraw()
            return
        before = self._rows
        self._draw()
        for y, rows in enumerate(zip(before, self._rows, strict=True)):
            region = differing(y, *rows)
            if region:
                for part in self._parts:
                    part.show(region)

    def watch_ascii(self) -> None:
        """Draw all of it with the other characters."""
        self._redraw()

    def notify_style_update(self) -> None:
        """Forget what was painted with the styles before."""
        super().notify_style_update()
        self._strips.clear()
        self._styles.clear()

    def row_strip(self, y: int) -> Strip:
        """A row, painted."""
        if self._drawn_for != (self.size, self.ascii):
            self._draw()
        if y >= len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = self._paint(self._rows[y])
        return strip

    def _redraw(self) -> None:
        self._drawn_for = None
        for part in self._parts:
            part.refresh()

    def _draw(self) -> None:
        before, size = self._rows, self.size
        self._rows = compose(self._content, size.width, size.height, ascii_only=self.ascii)
        same = len(before) == len(self._rows) and self._drawn_for is not None
        self._strips = {y: strip for y, strip in self._strips.items() if same and before[y] == self._rows[y]}
        self._drawn_for = size, self.ascii

    def _paint(self, row: Row) -> Strip:
        if not self._styles:
            self._styles = [self.get_component_rich_style(f"chart--{slot}") for slot in SLOTS]
        text, styles = row.text, self._styles
        runs = [(run.start(), run.end()) for run in _RUNS.finditer(row.slots)]
        segments = [Segment(text[start:end], styles[row.slots[start]]) for start, end in runs]
        if FILLER in text:
            segments = [Segment(segment.text.replace(FILLER, ""), segment.style) for segment in segments]
        return Strip(segments, len(text))


def differing(y: int, before: Row, after: Row) -> Region:
    """The stretch of a row from the first cell that changed to the last; no region if none did.

    It is a cell wider on both sides: half of a wide character cannot be painted alone.
    """
    if before == after:
        return Region()
    cells = zip(before.text, after.text, before.slots, after.slots, strict=True)
    places = [x for x, (a, b, c, d) in enumerate(cells) if a != b or c != d]
    left, right = max(0, places[0] - 1), min(len(after.text), places[-1] + 2)
    return Region(left, y, right - left, 1)
