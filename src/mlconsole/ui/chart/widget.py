"""The chart as a widget: drawn when it is shown, repainted only where its cells changed.

Textual sends a changed stretch of a row from the left end of its widget, whatever the region said (8.2.8, a TODO in its
compositor). New values come in at the right, so a chart is two widgets side by side: the narrow one at the live edge is
what most updates touch, and the wide one waits until a whole column has passed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from msgspec.structs import replace
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from mlconsole.domain.telemetry import Mark
from mlconsole.ui.chart.layout import Content, Drawing, draw
from mlconsole.ui.chart.rows import FILLER, Row
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
    | `chart--mark`, `chart--mark-rollback`, `chart--mark-alert` | A switch and all else, a rollback, an alert. |
    | `chart--threshold`, `chart--cursor` | The line of a limit; the crosshair and the time under it. |
    | `chart--problem` | Why there is nothing. |
    | `chart--green`, `chart--blue` | The leading line of the Deployment of that colour; `-dim` its other lines. |
    | `chart--live`, `chart--idle` | The same for a service whose colours have other names. |
    | `chart--ghost` | An earlier time. |
    | `chart--hue1` to `chart--hue6` | What is told apart by a label; the layers of a stack. |
    | `chart--heat1` to `chart--heat8` | The steps of a heat map. |
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
        & > .chart--mark-alert { color: $text-error; }
        & > .chart--threshold { color: $text-error 80%; }
        & > .chart--cursor { color: $foreground; text-style: bold; }
        & > .chart--ghost { color: $foreground 45%; }
        & > .chart--hue1 { color: $text-primary; }
        & > .chart--hue2 { color: $text-warning; }
        & > .chart--hue3 { color: $text-success; }
        & > .chart--hue4 { color: $text-secondary; }
        & > .chart--hue5 { color: $text-error; }
        & > .chart--hue6 { color: $text-accent; }
        & > .chart--heat1 { color: $text-accent 30%; }
        & > .chart--heat2 { color: $text-accent 40%; }
        & > .chart--heat3 { color: $text-accent 50%; }
        & > .chart--heat4 { color: $text-accent 60%; }
        & > .chart--heat5 { color: $text-accent 70%; }
        & > .chart--heat6 { color: $text-accent 80%; }
        & > .chart--heat7 { color: $text-accent 90%; }
        & > .chart--heat8 { color: $text-accent; }
    }
    """

    ascii: reactive[bool] = reactive(False, repaint=False)
    """Draw with ASCII characters alone."""
    blocks: reactive[bool] = reactive(False, repaint=False)
    """Draw lines with half blocks, for a font whose braille is hard to see."""

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self._content = Content()
        self._drawing = Drawing([])
        self._drawn_for: tuple[Size, str] | None = None
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
        *,
        form: str = "lines",
        scale: str = "linear",
        thresholds: Sequence[tuple[float, str]] = (),
    ) -> None:
        """Show these series and marks from `start` to `end`, in seconds since the epoch.

        Args:
            series: In the order to draw them: in a cell that two of them pass, the later one's colour shows.
            marks: Instants to mark.
            start: The window's left end.
            end: Its right end, usually now.
            unit: `s`, `ratio`, `1/s`, `B`, `cores`.
            problem: Why there is nothing, or what is wrong with what there is.
            form: `lines`, `stacked`, `heat` (`Panel.form`).
            scale: `linear`, `log`.
            thresholds: (value, words) of limits.
        """
        cursor = self._content.cursor
        self._show(
            Content(tuple(series), tuple(marks), start, end, unit, problem, form, scale, tuple(thresholds), cursor)
        )

    @property
    def content(self) -> Content:
        """What is shown."""
        return self._content

    # ---- crosshair

    @property
    def cursor(self) -> float | None:
        """The instant under the crosshair, while there is one."""
        return self._content.cursor

    def point(self, at: float | None) -> None:
        """Put the crosshair on an instant, or take it away."""
        if at != self._content.cursor:
            self._show(replace(self._content, cursor=at))

    def instant_at(self, x: int) -> float | None:
        """The instant of the plot's column at cell `x` of the chart; None beside the plot."""
        view = self._drawing.view
        column = x - self._drawing.left
        return (view.first + column + 0.5) * view.cell if view and 0 <= column < view.columns else None

    def move_cursor(self, by: int) -> int:
        """Move the crosshair by columns, to the newest where there is none; by how many it would leave the plot."""
        view = self._drawing.view
        if view is None:
            return 0
        at = self.cursor
        here = view.columns - 1 if at is None else int(at // view.cell) - view.first + by
        column = min(view.columns - 1, max(0, here))
        self.point((view.first + column + 0.5) * view.cell)
        return here - column

    @property
    def column_seconds(self) -> float:
        """The seconds that a column stands for; 0 where nothing is drawn."""
        return self._drawing.view.cell if self._drawing.view else 0.0

    # ---- drawing

    def _show(self, content: Content) -> None:
        self._content = content
        if self._drawn_for != (self.size, self.glyphs):
            self._redraw()
            return
        before = self._drawing.rows
        self._draw()
        for y, rows in enumerate(zip(before, self._drawing.rows, strict=True)):
            region = differing(y, *rows)
            if region:
                for part in self._parts:
                    part.show(region)

    @property
    def glyphs(self) -> str:
        """What it is drawn with."""
        return "ascii" if self.ascii else "block" if self.blocks else "braille"

    def watch_ascii(self) -> None:
        """Draw all of it with the other characters."""
        self._redraw()

    def watch_blocks(self) -> None:
        """Draw all of it with the other characters."""
        self._redraw()

    def slot_colors(self) -> dict[str, str]:
        """The colour of each slot in the theme in force, and of the `background`, as `#rrggbb`."""
        found = {"background": self.background_colors[1].rgb}
        for slot in SLOTS:
            color = self.get_component_styles(f"chart--{slot}").color
            behind = self.background_colors[1]
            found[slot] = behind.blend(color.with_alpha(1.0), color.a).rgb
        return {slot: "#" + "".join(f"{part:02x}" for part in rgb) for slot, rgb in found.items()}

    def notify_style_update(self) -> None:
        """Forget what was painted with the styles before."""
        super().notify_style_update()
        self._strips.clear()
        self._styles.clear()

    def row_strip(self, y: int) -> Strip:
        """A row, painted."""
        if self._drawn_for != (self.size, self.glyphs):
            self._draw()
        if y >= len(self._drawing.rows):
            return Strip.blank(self.size.width, self.rich_style)
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = self._paint(self._drawing.rows[y])
        return strip

    def _redraw(self) -> None:
        self._drawn_for = None
        for part in self._parts:
            part.refresh()

    def _draw(self) -> None:
        before, size = self._drawing.rows, self.size
        self._drawing = draw(self._content, size.width, size.height, glyphs=self.glyphs)
        rows = self._drawing.rows
        same = len(before) == len(rows) and self._drawn_for is not None
        self._strips = {y: strip for y, strip in self._strips.items() if same and before[y] == rows[y]}
        self._drawn_for = size, self.glyphs

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
