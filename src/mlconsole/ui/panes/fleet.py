"""Every model service, the sick ones first. Its cursor decides what the other panes show."""

from __future__ import annotations

import time
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from textual.widget import Widget

from mlconsole.domain.telemetry import Glance
from mlconsole.engine.protocol import FleetRow
from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import fleet, underway
from mlconsole.ui.render.figures import fresh, last
from mlconsole.ui.render.header import TROUBLE
from mlconsole.ui.spans import Line, Slot, Span, wrapped
from mlconsole.ui.widgets.table import Row, Table


class _Made(NamedTuple):
    """A row, and what it was made of: one that would be the same is not made again."""

    item: FleetRow
    figures: Glance | None
    """The last ones, fresh or not."""
    told: tuple[bool, bool, str, Span]
    row: Row
    rank: tuple[bool, int, str]


_RANK = attrgetter("rank")
SLICE = 0.004
"""Seconds of making rows in one go: the figures of a whole fleet come at once, and a key must not wait for them all."""
BREATH = 0.002
"""Seconds until the next rows, for keys to come in."""


def _figures(item: FleetRow) -> Glance | None:
    return last((item.live,) if item.live else (), item.service.live_color)


class FleetPane(Pane):
    """Pane 1."""

    NUMBER = 1
    NAME = "Fleet"
    SOURCES = ("k8s",)

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, _Made] = {}
        self._behind = False
        """Whether rows wait to be made anew."""

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
        end, behind = time.perf_counter() + SLICE, False
        for key, item in known.rows.items():
            made = before.get(key)
            figures = made.figures if made and made.item is item else _figures(item)
            usable, lasting, mark = fresh(figures, now), fleet.lasting(item, now), marks.get(key, fleet.NO_MARK)
            told = (usable is None, everywhere, lasting, mark)
            if made is None or made.item is not item or made.told != told:
                if made is None or time.perf_counter() < end:
                    row = fleet.row_of(item, usable, everywhere, lasting, mark)
                    made = _Made(item, figures, told, row, fleet.rank(item))
                else:
                    behind = True
            self._made[key] = made
        if behind and not self._behind:
            self._behind = True
            self.set_timer(BREATH, partial(self._catch_up, known))
        return [made.row for made in sorted(self._made.values(), key=_RANK)]

    def _catch_up(self, known: Known) -> None:
        self._behind = False
        self.show(known, time.time())

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
