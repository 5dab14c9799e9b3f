"""What the pipelines shipped: runs and jobs that the cluster and the registry know of."""

from __future__ import annotations

from textual.widget import Widget

from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import pipeline
from mlconsole.ui.render.header import TROUBLE
from mlconsole.ui.spans import Slot, wrapped
from mlconsole.ui.widgets.table import Table


class PipelinePane(Pane):
    """Pane 2."""

    NUMBER = 2
    NAME = "Pipeline"
    SOURCES = ("k8s",)

    def body(self) -> list[Widget]:
        """The table."""
        return [Table(pipeline.COLUMNS, header=False)]

    def show(self, known: Known, now: float) -> None:
        """Runs, newest first."""
        found = known.pipelines
        width = max(10, self.size.width - 6)
        words = "no run is known for this service" if found else ""
        rows = pipeline.rows(found.runs, now) if found else []
        self.query_one(Table).show(rows, wrapped(words, width, Slot.DIM))
        registry = known.source("mlflow")
        away = registry is not None and registry.condition in TROUBLE
        self.tell(known, now, problem=f"training runs: {found.problem}" if found and found.problem and away else "")
