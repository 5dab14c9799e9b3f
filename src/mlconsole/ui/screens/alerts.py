"""What is wrong: the alerts of this place, and one of them with what it is likely of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from mlconsole.configfile import seconds
from mlconsole.domain.alerts import Alert
from mlconsole.domain.history import Record
from mlconsole.engine import protocol
from mlconsole.ui.known import Known
from mlconsole.ui.render import alerts as render
from mlconsole.ui.screens.choices import recorded
from mlconsole.ui.screens.directing import Send
from mlconsole.ui.screens.following import hints
from mlconsole.ui.spans import flowed
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Table

Chart = Callable[[Alert], None]
"""Shows the chart that an alert is on."""
SNOOZE = "1h"
SILENCE = "2h"
AGAIN = 45.0
"""Seconds after which it is asked again what an alert is likely of."""
PLACEHOLDERS = {
    "snooze": f"how long, and why: {SNOOZE} known, being fixed (enter for {SNOOZE})",
    "silence": f"silence in Alertmanager: how long, and why: {SILENCE} known, being fixed",
}


class _OnAlerts(ModalScreen[None]):
    """What both pages can do: the verbs, and the line that a time and a reason are typed in."""

    CSS_PATH = "page.tcss"
    AUTO_FOCUS = ""
    SHOWS_ALERTS = True
    """Nobody has to be told in words who looks at them."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back"),
        Binding("q", "back", "back"),
        Binding("a", "acknowledge", "acknowledge", show=False),
        Binding("s", "typed('snooze')", "snooze", show=False),
        Binding("S", "typed('silence')", "silence", show=False),
        Binding("u", "take_back", "take back", show=False),
        Binding("c", "chart", "chart", show=False),
    ]

    def __init__(self, known: Known, send: Send, chart: Chart) -> None:
        super().__init__()
        self._known = known
        self._send = send
        self._chart = chart
        self._verb = ""
        """What the line is open for."""

    def pointed(self) -> Alert | None:
        """The alert that the keys are about."""
        raise NotImplementedError  # pragma: no cover - the pages do

    def renew(self) -> None:
        """Show again what is known."""
        raise NotImplementedError  # pragma: no cover - the pages do

    def _find(self, ident: str) -> Alert | None:
        return next((alert for alert in self._known.alerts.lines if alert.id == ident), None)

    def _field(self) -> Input:
        return Input(id="alert-words")

    def on_screen_resume(self) -> None:
        """The page above is gone."""
        self.renew()

    # ---- the verbs

    def _do(self, verb: str, length: float = 0.0, note: str = "") -> None:
        alert = self.pointed()
        if alert is not None:
            self._send(protocol.HandleAlert(alert.id, verb, length, note))

    def action_acknowledge(self) -> None:
        """I have it."""
        self._do("acknowledge")

    def action_take_back(self) -> None:
        """Nobody has it any more."""
        self._do("take back")

    def action_chart(self) -> None:
        """The chart that shows it."""
        alert = self.pointed()
        if alert is None or not alert.service:
            self.app.notify("it is about no service here", markup=False)
            return
        self._chart(alert)

    def action_typed(self, verb: str) -> None:
        """Ask for how long, and why."""
        refused = self._known.alerts.silencing if verb == "silence" else ""
        alert = self.pointed()
        if verb == "silence" and not refused and alert is not None and "alertmanager" not in alert.sources:
            refused = "Alertmanager does not know this alert: s snoozes it here"
        if refused or alert is None:
            if refused:
                self.app.notify(f"no silence: {refused}", severity="warning", markup=False)
            return
        self._verb = verb
        field = self.query_one("#alert-words", Input)
        field.placeholder, field.value, field.display = PLACEHOLDERS[verb], "", True
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do it, where a time can be read."""
        event.stop()
        first, _, note = event.value.strip().partition(" ")
        try:
            length = seconds(first or (SNOOZE if self._verb == "snooze" else SILENCE))
        except ValueError as error:
            self.app.notify(str(error), severity="warning", markup=False)
            return
        if self._verb == "silence" and not note.strip():
            self.app.notify("a silence takes a reason: 2h being fixed", severity="warning", markup=False)
            return
        self._do(self._verb, length, note.strip())
        self._close_field()

    def _close_field(self) -> bool:
        field = self.query_one("#alert-words", Input)
        open_ = bool(field.display)
        field.display = False
        return open_

    def action_back(self) -> None:
        """End what is typed; where nothing is, leave."""
        if self._close_field():
            self.focus_main()
            return
        self.dismiss()

    def focus_main(self) -> None:
        """The keys are the page's again."""

    def show_keys(self, *more: tuple[str, str]) -> None:
        """The line of the keys, on two where there is no room; those of an alert where there is one."""
        row, alert = self.query_one(".keys", Lines), self.pointed()
        verbs = render.verbs(alert, time.time(), self._known.alerts.silencing) if alert else ()
        pairs = [*((*more, *verbs) if alert else ()), ("esc", "back")]
        row.show(flowed([hints(pair) for pair in pairs], max(20, row.size.width or self.app.size.width - 10))[:2])


class AlertsPage(_OnAlerts):
    """One row an alert, the worst first; enter opens one whole."""

    def compose(self) -> ComposeResult:
        """The table, what is known of the sources, the keys."""
        with Vertical(classes="frame -tall") as frame:
            frame.border_title = Content("alerts")
            yield Table(render.COLUMNS, empty="nothing is wrong by any rule that is known here")
            yield Lines(id="alert-notes")
            yield self._field()
            yield Lines(classes="keys -two")

    def on_mount(self) -> None:
        """Fill the table."""
        self.query_one("#alert-words").display = False
        self.focus_main()
        self.renew()
        self.call_after_refresh(self.renew)

    def focus_main(self) -> None:
        """The table has the keys."""
        self.query_one(Table).focus()

    def pointed(self) -> Alert | None:
        """The one under the cursor."""
        return self._find(self.query_one(Table).key)

    def renew(self) -> None:
        """Fill it again."""
        if not self.is_active:
            return
        now = time.time()
        notes = self.query_one("#alert-notes", Lines)
        self.query_one(Table).show(render.rows(self._known.alerts.lines, now))
        notes.show(render.told(self._known.alerts, now, max(20, self.query_one(Table).size.width - 1)))
        self.show_keys(("enter", "why"))

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Open one whole."""
        event.stop()
        alert = self._find(event.key)
        if alert is not None:
            self.app.push_screen(AlertPage(self._known, self._send, self._chart, alert))

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Not the fleet's."""
        event.stop()


class AlertPage(_OnAlerts):
    """One alert: what is so, since when, and whether the deploy did it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-15)", show=False),
        Binding("pagedown,space", "scroll(15)", show=False),
        Binding("enter", "chart", show=False),
        Binding("o", "operation", "the operation", show=False),
    ]

    def __init__(self, known: Known, send: Send, chart: Chart, alert: Alert) -> None:
        super().__init__(known, send, chart)
        self._alert = alert
        """As it was seen last, also when it is forgotten."""
        self._asked = 0.0

    def compose(self) -> ComposeResult:
        """The lines, the keys."""
        with Vertical(classes="frame -tall") as frame:
            frame.border_title = Content(f"{self._alert.name} · {self._alert.service or 'no service'}")
            with VerticalScroll(id="page-body", can_focus=False):
                yield Lines(id="page-lines")
            yield self._field()
            yield Lines(classes="keys -two")

    def on_mount(self) -> None:
        """Ask what it is of, and write once the width is known."""
        self.query_one("#alert-words").display = False
        self.call_after_refresh(self.renew)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self.renew)

    def focus_main(self) -> None:
        """The page has the keys."""
        self.set_focus(None)

    def pointed(self) -> Alert | None:
        """The one that is shown."""
        return self._alert

    def renew(self) -> None:
        """Write it again."""
        self._alert = self._find(self._alert.id) or self._alert
        told, now = self._known.causes.get(self._alert.id), time.time()
        if now - self._asked >= AGAIN:
            # With more figures more can be said.
            self._asked = now
            self._send(protocol.AskCause(self._alert.id))
        width = max(20, self.query_one("#page-body").size.width - 2)
        cause = told.cause if told is not None else None
        self.query_one("#page-lines", Lines).show(render.details(self._alert, cause, now, width))
        self.show_keys(*((("o", "the operation"),) if self._operation() else ()))

    def _operation(self) -> Record | None:
        """The operation that the words name."""
        told = self._known.causes.get(self._alert.id)
        return told.operation if told is not None else None

    def action_operation(self) -> None:
        """Open it whole."""
        record = self._operation()
        if record is None:
            self.app.notify("no operation on record is named here", markup=False)
            return
        self.app.push_screen(recorded(record))

    def action_scroll(self, by: int) -> None:
        """Move through what is longer than the screen."""
        self.query_one("#page-body").scroll_relative(y=by, animate=False)
