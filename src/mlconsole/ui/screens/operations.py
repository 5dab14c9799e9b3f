"""What is under way where the console looks: who does what, how it stands, and the keys for what can be asked of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from mlconsole.engine import protocol
from mlconsole.ui.render import plan as render_plan
from mlconsole.ui.render import underway, words
from mlconsole.ui.render.header import TROUBLE
from mlconsole.ui.screens.directing import Directing, verbs
from mlconsole.ui.screens.following import FollowScreen, hints
from mlconsole.ui.spans import Line, Slot, Span, indented, line, wrapped
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Row, Table

BELOW = 48
"""Of the screen's height in percent: what is said of the one under the cursor, its rule included."""
EMPTY_WORDS = "nothing is under way here; the audit (esc, then a) has what was done"


class OperationsPage(Directing):
    """One row an operation, what is asked of the one under the cursor below; enter follows it."""

    CSS_PATH = "page.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back"),
    ]

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
    def pointed(self) -> protocol.OperationLine | None:
        """The operation under the cursor."""
        key = self.query_one(Table).key
        return next((item for item in self._known.operations if item.operation.id == key), None)

    def shows(self, operation: str) -> bool:
        """All of them are here."""
        return any(item.operation.id == operation for item in self._known.operations)

    def renew(self) -> None:
        """Show what is known now."""
        if not self.is_active:
            return
        table, lines = self.query_one(Table), self.query_one("#operation-lines", Lines)
        width = max(20, table.size.width - 2)
        table.show(self._rows(), self._nothing(width))
        below = self._below(width)
        lines.set_class(not below, "-none")
        lines.show(below)
        follow = [("enter", "follow")] if self._known.operations else []
        self.query_one(".keys", Lines).show([hints(*follow, ("esc", "back"))])

    def _nothing(self, width: int) -> Sequence[Line]:
        """Why there is no row: a cluster that does not answer is not one where nothing is under way."""
        state = self._known.source("k8s")
        if self._known.engine_problem:
            return wrapped(f"▲ not known: the engine is not there: {self._known.engine_problem}", width, Slot.BAD, 3)
        if state is not None and state.condition in TROUBLE:
            hint = indented(state.hint, width, Slot.WARN, 2) if state.hint else []
            return [*wrapped(f"▲ not known: {state.message or state.condition}", width, Slot.BAD, 3), *hint]
        return wrapped(EMPTY_WORDS, width, Slot.DIM, 2)

    def _below(self, width: int) -> Sequence[Line]:
        found = self.pointed
        if found is None:
            return []
        op = found.operation
        asked = underway.question(found)
        said = op.why or op.halted or op.words
        keys = verbs(found, self._known.place, width)
        room = self.size.height * BELOW // 100 - 1
        head = wrapped(f"▲ {asked}", width, Slot.WARN, max(1, min(3, room - len(keys)))) if asked else []
        told = wrapped(f"last said: {said}", width, Slot.DIM, 3) if said else []
        begun = f"begun {words.ago(time.time() - op.started_at)} by {op.by}" + (f" on {op.host}" if op.host else "")
        name = line(Span(op.key, Slot.STRONG), f" {underway.what(op)}")
        about = render_plan.flow([name, line(Span(begun, Slot.DIM))], width)
        needed = [*head, *keys]
        shown: list[Line] = []
        for part in (about, underway.way(found, width), told):
            if len(shown) + len(part) + len(needed) <= room:
                shown += part
        return [*shown, *needed][:room]

    def take_answer(self, message: protocol.Planned | protocol.Refused | protocol.Progress) -> bool:
        """What came of something that was asked."""
        if message.request not in self._requests:
            return False
        if isinstance(message, protocol.Refused):
            self._take_refusal(message)
        elif isinstance(message, protocol.Progress) and message.step == "ask":
            self.app.notify(message.words, markup=False)
        return True

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Another one under the cursor."""
        event.stop()
        self.renew()

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Follow it."""
        event.stop()
        found = self.pointed
        if found is not None:
            self.app.push_screen(FollowScreen(self._known, self._send, self._number, found))

    def action_back(self) -> None:
        """Leave."""
        self.dismiss()
