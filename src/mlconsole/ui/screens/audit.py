"""The operations on record of one service: to look through, to filter, to open, to write to a file."""

from __future__ import annotations

import os
import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from mlconsole.ui import export
from mlconsole.ui.known import Known
from mlconsole.ui.render import audit as render
from mlconsole.ui.screens.choices import operation
from mlconsole.ui.screens.following import hints
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Table


class AuditPage(ModalScreen[None]):
    """One row an operation, newest first; enter opens one whole."""

    CSS_PATH = "page.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back"),
        Binding("q", "back", "back"),
        Binding("slash", "filter", "filter", show=False),
        Binding("w", "write", "write", show=False),
    ]

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._known = known
        self._service = known.selected
        """Whose operations they are; the cursor of the fleet may follow another one below."""

    def compose(self) -> ComposeResult:
        """The table, the line to filter by, the keys."""
        with Vertical(classes="frame -tall") as frame:
            frame.border_title = Content(f"operations on {self._service.partition('/')[2]}")
            yield Table(render.OPERATIONS, empty="nothing is on record")
            yield Input(id="audit-filter", placeholder="words to filter by: kind, who, host, colour, outcome, reason")
            yield Lines(classes="keys")

    def on_mount(self) -> None:
        """Fill the table."""
        self.query_one("#audit-filter").display = False
        self.query_one(Table).focus()
        self.renew()

    def on_screen_resume(self) -> None:
        """The page above is gone."""
        self.renew()

    def renew(self) -> None:
        """Fill it again."""
        detail = self._known.detail
        if not self.is_active or detail is None or detail.service.key != self._service:
            return
        table = self.query_one(Table)
        table.show(render.operations(detail.history))
        shown, total = table.count
        counted = f"{shown} of {total} shown" if shown != total else f"{total} on record"
        keys = (("enter", "details"), ("/", "filter"), ("w", "write to a file"), ("esc", "back"))
        self.query_one(".keys", Lines).show([hints(*keys, ("", counted))])

    def action_filter(self) -> None:
        """Open the line to filter by."""
        self.query_one("#audit-filter").display = True
        self.query_one("#audit-filter").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        event.stop()
        self.query_one(Table).filter(event.value)
        self.renew()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        event.stop()
        self.query_one(Table).focus()

    def action_write(self) -> None:
        """Write what is shown to a file."""
        detail = self._known.detail
        if detail is None or detail.service.key != self._service:
            return
        shown = set(self.query_one(Table).keys)
        found = [record for record in detail.history if record.id in shown]
        try:
            path = export.records(found, self._service, export.folder(os.environ), time.time())
        except OSError as error:
            self.app.notify(f"could not be written: {error}", severity="error", markup=False)
            return
        self.app.notify(f"{len(found)} operations in {path}, credentials redacted", timeout=15, markup=False)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Open one whole."""
        event.stop()
        page = operation(self._known, event.key)
        if page is not None:
            self.app.push_screen(page)

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Not the fleet's."""
        event.stop()

    def action_back(self) -> None:
        """End the filter; where there is none, leave."""
        field = self.query_one("#audit-filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self.query_one(Table).focus()
            return
        self.dismiss()
