"""One feature: its two distributions on each other, and the figures that its verdict rests on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mlconsole.domain.drift import DriftTable, key_of
from mlconsole.ui.known import Known
from mlconsole.ui.render import drift
from mlconsole.ui.screens.page import Page
from mlconsole.ui.spans import Line, Slot, Span, line

RENEWED = 2.0
"""Seconds after which the page is written again: it is of what is known then."""


class DriftPage(Page):
    """A page that follows its feature."""

    def on_mount(self) -> None:
        """Write it, and again as tables come."""
        super().on_mount()
        self.set_interval(RENEWED, self.renew)


def page(known: Known, key: str, clock: Callable[[], float] = time.time) -> DriftPage | None:
    """The page of a row of the pane; None where there is no such row any more."""
    table, service = known.drift.table if known.drift else None, known.selected
    title = _title(table, key) if table else ""
    if not title:
        return None

    def write(width: int) -> Sequence[Line]:
        now = known.drift.table if known.drift and known.selected == service else None
        if now is None or not _title(now, key):
            return [line(Span("the servers do not say anything of it any more", Slot.DIM))]
        glances = known.detail.glances if known.detail else ()
        color = known.service.live_color if known.service else None
        live = color.name if color else ""
        labelled = next((item for item in now.accuracy if drift.accuracy_key(item.color) == key), None)
        if labelled is not None:
            return drift.accuracy_details(labelled, glances, live, width)
        return drift.details(now, key, glances, live, clock(), width)

    return DriftPage(title, write)


def _title(table: DriftTable, key: str) -> str:
    """What a page is of; empty where the table has no such row."""
    if any(drift.accuracy_key(item.color) == key for item in table.accuracy):
        return "accuracy by late labels"
    return next((f"drift of {row.feature}" for row in table.features if key_of(row) == key), "")
