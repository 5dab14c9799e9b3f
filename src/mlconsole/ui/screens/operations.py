"""What is under way where the console looks: who does what, how it stands, and the keys for what can be asked of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from mlconsole.engine import protocol
from mlconsole.ui.known import Known
from mlconsole.ui.render import plan as render_plan
from mlconsole.ui.render import underway
from mlconsole.ui.screens.following import FollowScreen, Number, Send, ask, hints, verbs
from mlconsole.ui.spans import Line, Slot, Span, line, wrapped
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Row, Table

EMPTY_WORDS = "nothing is under way here: a (audit) has what was done"


class OperationsPage(ModalScreen[None]):
    """One row an operation, what is asked of the one under the cursor below; enter follows it."""

    CSS_PATH = "page.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(verb.key, f"ask('{verb.name}')", verb.label, show=False) for verb in underway.VERBS),
        Binding("escape,q", "back", "back"),
    ]

    def __init__(self, known: Known, send: Send, number: Number) -> None:
        super().__init__()
        self._known = known
        self._send = send
        self._number = number
        self._requests: set[int] = set()

    def compose(self) -> ComposeResult:
        """The table, the one under the cursor, the keys."""
        with Vertical(classes="frame -tall") as frame:
            frame.border_title = Content("operations under way")
            yield Table(underway.COLUMNS, empty=EMPTY_WORDS)
            yield Lines(id="operation-lines")
            yield Lines(classes="keys")

    def on_mount(self) -> None:
        """Fill the table, the selected service's operation first under the cursor."""
        table = self.query_one(Table)
        table.show(self._rows())
        own = self._known.under_way(self._known.selected)
        if own is not None:
            table.select(own.operation.id)
        table.focus()
        self.call_after_refresh(self.renew)
        self.set_interval(1.0, self.renew)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self.renew)

    def on_screen_resume(self) -> None:
        """The page above is gone."""
        self.call_after_refresh(self.renew)

    def _rows(self) -> list[Row]:
        now = time.time()
        first = sorted(self._known.operations, key=lambda item: (not underway.waits(item), -item.operation.started_at))
        return [underway.row(item, now) for item in first]

    @property
    def _pointed(self) -> protocol.OperationLine | None:
        key = self.query_one(Table).key
        return next((item for item in self._known.operations if item.operation.id == key), None)

    def renew(self) -> None:
        """Show what is known now."""
        if not self.is_active:
            return
        self.query_one(Table).show(self._rows())
        lines = self.query_one("#operation-lines", Lines)
        lines.show(self._below(max(20, self.query_one(Table).size.width - 2)))
        follow = [("enter", "follow")] if self._known.operations else []
        self.query_one(".keys", Lines).show([hints(*follow, ("esc", "back"))])

    def _below(self, width: int) -> Sequence[Line]:
        found = self._pointed
        if found is None:
            return []
        op = found.operation
        asked = underway.question(found)
        said = op.why or op.halted or op.words
        head = wrapped(f"▲ {asked}", width, Slot.WARN, 3) if asked else []
        told = wrapped(f"last said: {said}", width, Slot.DIM, 3) if said else []
        way = render_plan.flow([line(Span(op.key, Slot.STRONG), f" {underway.what(op)}")], width)
        return [*way, *underway.way(found, width), *told, *head, *verbs(found, self._known.place, width)]

    def take_answer(self, message: protocol.Planned | protocol.Refused | protocol.Progress) -> bool:
        """What came of something that was asked."""
        if message.request not in self._requests:
            return False
        if isinstance(message, protocol.Refused):
            words = f"{message.message}: {message.hint}" if message.hint else message.message
            self.app.notify(words, severity="error", timeout=15, markup=False)
        elif isinstance(message, protocol.Progress) and message.step == "ask":
            self.app.notify(message.words, markup=False)
        return True

    def action_ask(self, verb: str) -> None:
        """Ask something of the operation under the cursor, once more confirmed."""
        found = self._pointed
        if found is None:
            return
        reason = underway.refusal(found, verb, self._known.place)
        if reason:
            self.app.notify(f"{verb}: {reason}", markup=False)
            return
        ask(self, found, verb, self._send, self._begin)

    def _begin(self) -> int:
        request = self._number()
        self._requests.add(request)
        return request

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Another one under the cursor."""
        event.stop()
        self.renew()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Follow it."""
        event.stop()
        found = self._pointed
        if found is not None:
            self.app.push_screen(FollowScreen(self._known, self._send, self._number, found))

    def action_back(self) -> None:
        """Leave."""
        self.dismiss()
