"""The chart as a widget: drawn when it is shown, repainted only where its cells changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from mlconsole.domain.telemetry import Mark
from mlconsole.ui.chart.layout import Content, compose
from mlconsole.ui.chart.legend import FILLER, Row
from mlconsole.ui.chart.styled import SLOTS, Styled

_RUNS = re.compile(rb"(.)\1*", re.DOTALL)


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

        & > .chart--text { color: $foreground 85%; }
        & > .chart--axis { color: $foreground 55%; }
        & > .chart--grid { color: $foreground 15%; }
        & > .chart--mark { color: $text-warning; }
        & > .chart--mark-rollback { color: $text-error; text-style: bold; }
        & > .chart--problem { color: $text-warning; }
        & > .chart--green { color: $text-success; }
        & > .chart--green-dim { color: $text-success 70%; }
        & > .chart--blue { color: $text-primary; }
        & > .chart--blue-dim { color: $text-primary 70%; }
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
        if self._drawn_for != (self.size, self.ascii) or not self.size:
            self._drawn_for = None
            self.refresh()
            return
        before = self._rows
        self._draw()
        changed = [
            region for y, pair in enumerate(zip(before, self._rows, strict=True)) for region in differing(y, *pair)
        ]
        if changed:
            self.refresh(*changed)

    def watch_ascii(self) -> None:
        """Draw all of it with the other characters."""
        self._drawn_for = None
        self.refresh()

    def notify_style_update(self) -> None:
        """Forget what was painted with the styles before."""
        super().notify_style_update()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        """Paint a row."""
        if self._drawn_for != (self.size, self.ascii):
            self._draw()
        if y >= len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        strip = self._strips.get(y)
        if strip is None:
            strip = self._strips[y] = self._paint(self._rows[y])
        return strip

    def _draw(self) -> None:
        before, size = self._rows, self.size
        self._rows = compose(self._content, size.width, size.height, ascii_only=self.ascii)
        same = len(before) == len(self._rows) and self._drawn_for is not None
        self._strips = {y: strip for y, strip in self._strips.items() if same and before[y] == self._rows[y]}
        self._drawn_for = size, self.ascii

    def _paint(self, row: Row) -> Strip:
        base = self.rich_style
        segments = []
        for run in _RUNS.finditer(row.slots):
            text = row.text[run.start() : run.end()].replace(FILLER, "")
            slot = run.group(1)[0]
            blank = slot == 0 and text.isspace()
            segments.append(Segment(text, base if blank else self.get_component_rich_style(f"chart--{SLOTS[slot]}")))
        return Strip(segments, len(row.text))


def differing(y: int, before: Row, after: Row) -> list[Region]:
    """The stretches of a row that changed; two with a short way between them are one."""
    if before == after:
        return []
    cells = zip(before.text, after.text, before.slots, after.slots, strict=True)
    places = [x for x, (a, b, c, d) in enumerate(cells) if a != b or c != d]
    cuts = [0, *(index + 1 for index, (x, z) in enumerate(pairwise(places)) if z - x > 12), len(places)]
    # A cell more on both sides: half of a wide character cannot be painted alone.
    spans = [(max(0, places[a] - 1), min(len(after.text), places[b - 1] + 2)) for a, b in pairwise(cuts)]
    return [Region(left, y, right - left, 1) for left, right in spans]
