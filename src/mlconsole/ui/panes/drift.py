"""Features by how far they moved from the training data, as the servers themselves export it."""

from __future__ import annotations

from textual.widget import Widget

from mlconsole.domain.drift import DriftTable
from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import drift
from mlconsole.ui.spans import Line, Slot, wrapped
from mlconsole.ui.widgets.table import Table


class DriftPane(Pane):
    """Pane 5."""

    NUMBER = 5
    NAME = "Drift"
    SOURCES = ("prom", "scrape")

    def body(self) -> list[Widget]:
        """The table."""
        return [Table(drift.COLUMNS)]

    def show(self, known: Known, now: float) -> None:
        """One row a feature and colour."""
        table = known.drift.table if known.drift else None
        service = known.service
        live = service.live_color if service else None
        name = live.name if live else ""
        glances = known.detail.glances if known.detail else ()
        rows = drift.rows(table, name, glances, now) if table else []
        self.query_one(Table).show(rows, self._empty(known))
        self.tell(known, now, *self._told(table, name) if table and rows else ())

    def _told(self, table: DriftTable, live: str) -> tuple[str, str]:
        """The title, and what is to be said beside the rows."""
        return drift.headline(table, live, self.size.width), drift.notice(table, live)

    def _empty(self, known: Known) -> list[Line]:
        table, width = known.drift.table if known.drift else None, max(10, self.size.width - 6)
        if table is None:
            return wrapped("no figures yet", width, Slot.DIM) if known.selected else []
        words = table.problem or "the servers export no ml_feature_value and ml_feature_reference_share"
        return wrapped(words, width, Slot.DIM)
