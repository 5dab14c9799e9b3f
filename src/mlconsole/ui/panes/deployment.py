"""What is under way, the two colours, the serving chain, the last operations and the cluster's Events."""

from __future__ import annotations

from msgspec.structs import replace
from textual.containers import VerticalScroll
from textual.widget import Widget

from mlconsole.engine.protocol import Detail, OperationLine
from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import deployment, presence, underway
from mlconsole.ui.spans import Line, Slot, Span, flowed, line
from mlconsole.ui.widgets.lines import Lines


class DeploymentPane(Pane):
    """Pane 6."""

    NUMBER = 6
    NAME = "Deployment"
    SOURCES = ("k8s",)
    DEFAULT_CSS = """
    DeploymentPane VerticalScroll {
        scrollbar-size-vertical: 1; scrollbar-background: $background; scrollbar-color: $frame;
        padding: 0 0 0 1; background: transparent;
    }
    """

    def body(self) -> list[Widget]:
        """Lines that scroll."""
        return [VerticalScroll(Lines(id="deployment-lines"))]

    def show(self, known: Known, now: float) -> None:
        """Everything about the selected service."""
        lines = self.query_one("#deployment-lines", Lines)
        width = max(20, lines.size.width or self.size.width - 4)
        lines.show(self._content(known, now, width))
        self.tell(known, now, known.service.name if known.service else "")

    def _content(self, known: Known, now: float, width: int) -> list[Line]:
        under_way = known.under_way(known.selected)
        found = underway.pane(under_way, now, width) if under_way is not None else []
        found += flowed([presence.also_here(known.presence, known.selected)], width)
        if known.detail is not None:
            return [*found, *deployment.pane(_without(known.detail, under_way), now, width)]
        return [line(Span("reading…", Slot.DIM))] if known.service is not None else []


def _without(detail: Detail, under_way: OperationLine | None) -> Detail:
    """The detail without the record of what is under way: that is told above, and its record is open till then."""
    if under_way is None:
        return detail
    return replace(detail, history=tuple(item for item in detail.history if item.id != under_way.operation.id))
