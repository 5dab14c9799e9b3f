"""Every model service, the sick ones first. Its cursor decides what the other panes show."""

from __future__ import annotations

from textual.widget import Widget

from mlconsole.engine.protocol import FleetRow
from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import fleet, underway
from mlconsole.ui.render.figures import of
from mlconsole.ui.render.header import TROUBLE
from mlconsole.ui.spans import Line, Slot, Span, wrapped
from mlconsole.ui.widgets.table import Row, Table


class FleetPane(Pane):
    """Pane 1."""

    NUMBER = 1
    NAME = "Fleet"
    SOURCES = ("k8s",)

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, tuple[FleetRow, tuple[bool, bool, str, Span], Row]] = {}

    def body(self) -> list[Widget]:
        """The table."""
        return [Table(fleet.COLUMNS, header=False)]

    def show(self, known: Known, now: float) -> None:
        """One row a service."""
        table = self.query_one(Table)
        table.show(self._rows(known, now), self._empty(known))
        shown, total = table.count
        counted = f"{total}" if shown == total else f"{shown} of {total}"
        state = known.source("k8s")
        reading = not known.complete and (state is None or state.condition not in TROUBLE)
        more = ", reading…" if reading and total else ""
        pods = f" · {known.pods} pods" if known.pods and self.size.width > 40 else ""
        self.tell(known, now, f"{counted}{pods}{more}" if total or known.complete else "")

    def _rows(self, known: Known, now: float) -> list[Row]:
        """The rows in order; those of services that did not change are the same objects as before."""
        before, self._made = self._made, {}
        everywhere = not known.place.namespace
        marks = {item.operation.key: underway.mark(item) for item in known.operations}
        for item in fleet.ordered(known.rows.values()):
            lasting, figures = (
                fleet.lasting(item, now),
                of((item.live,) if item.live else (), item.service.live_color, now),
            )
            mark = marks.get(item.service.key, fleet.NO_MARK)
            told = (figures is None, everywhere, lasting, mark)
            made = before.get(item.service.key)
            if made is None or made[0] is not item or made[1] != told:
                made = (item, told, fleet.row_of(item, figures, everywhere, lasting, mark))
            self._made[item.service.key] = made
        return [made[2] for made in self._made.values()]

    def _empty(self, known: Known) -> list[Line]:
        state = known.source("k8s")
        width = max(10, self.size.width - 6)
        if known.complete:
            where = known.place.namespace or "any namespace"
            return wrapped(
                f"no Service with pods behind it in {where}: N changes the namespace, c the context", width, Slot.DIM
            )
        if state is not None and state.condition in TROUBLE:
            return []
        return wrapped("reading the cluster…", width, Slot.DIM)
