"""One question more: a yes to something asked of an operation under way, or a line to type."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from mlconsole.ui.spans import Line, Slot, Span, line, wrapped
from mlconsole.ui.widgets.field import Field
from mlconsole.ui.widgets.lines import Lines

Check = Callable[[str], str]
"""From what was typed to what is wrong with it; empty for nothing."""


class Sure(ModalScreen[str | None]):
    """Yes or No to one thing; answers with the reason that was typed, or None for no.

    The focus is on No, but where `ready`: then one key and this one confirmation are all (an abort must be quick).
    """

    CSS_PATH = "operation.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "no", "no"),
        Binding("y", "yes", "yes", show=False),
    ]

    def __init__(self, title: str, says: str, label: str, *, ready: bool = False, reason_needed: bool = False) -> None:
        super().__init__(classes="sure")
        self._heading = title
        self._says = says
        self._label = label
        self._ready = ready
        self._needed = reason_needed
        self._problem = ""

    def compose(self) -> ComposeResult:
        """What it does, the reason, the buttons."""
        with Vertical(classes="frame") as frame:
            frame.border_title = Content(self._heading)
            yield Lines(id="sure-lines")
            yield Field(
                "reason", id="reason", placeholder="it goes on record" + ("" if self._needed else " (optional)")
            )
            with Horizontal(id="buttons"):
                yield Button("No", id="no", compact=True)
                yield Button(self._label, id="yes", compact=True)
                yield Lines(id="sure-keys")

    def on_mount(self) -> None:
        """Ask."""
        self.query_one("#reason" if self._needed else "#yes" if self._ready else "#no").focus()
        self.call_after_refresh(self._show)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self._show)

    def on_descendant_focus(self) -> None:
        """Other keys, where a letter is text."""
        self._show()

    def _show(self) -> None:
        width = max(20, self.query_one(".frame").size.width - 4)
        found: list[Line] = wrapped(self._says, width)
        found += wrapped(self._problem, width, Slot.BAD) if self._problem else []
        self.query_one("#sure-lines", Lines).show(found)
        keys = [("enter", "next"), ("esc", "no")] if isinstance(self.focused, Input) else [("y", "yes"), ("n", "no")]
        spans = [piece for key, label in keys for piece in (Span(f"  {key}", Slot.MARK), Span(f" {label}", Slot.DIM))]
        self.query_one("#sure-keys", Lines).show([line(*spans)])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The reason is typed: to the button."""
        event.stop()
        self.query_one("#yes").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Yes or No."""
        event.stop()
        if event.button.id == "yes":
            self.action_yes()
        else:
            self.action_no()

    def action_yes(self) -> None:
        """Yes, with a reason where one is needed."""
        reason = self.query_one("#reason", Input).value.strip()
        if self._needed and not reason:
            self._problem = "a reason is needed: it goes on record"
            self.query_one("#reason").focus()
            self._show()
            return
        self.dismiss(reason)

    def action_no(self) -> None:
        """No."""
        self.dismiss(None)


class Typed(ModalScreen[str]):
    """A line to type; answers with it, or with nothing."""

    CSS_PATH = "operation.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back")]

    def __init__(self, title: str, says: str, placeholder: str, check: Check, value: str = "") -> None:
        super().__init__(classes="sure")
        self._heading = title
        self._says = says
        self._placeholder = placeholder
        self._check = check
        self._value = value
        self._problem = ""

    def compose(self) -> ComposeResult:
        """What is asked, and the line."""
        with Vertical(classes="frame") as frame:
            frame.border_title = Content(self._heading)
            yield Lines(id="sure-lines")
            yield Input(self._value, id="typed", placeholder=self._placeholder)
            yield Lines(id="sure-keys")

    def on_mount(self) -> None:
        """Ask."""
        self.query_one("#typed").focus()
        self.call_after_refresh(self._show)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        width = max(20, self.query_one(".frame").size.width - 4)
        found: list[Line] = wrapped(self._says, width)
        found += wrapped(self._problem, width, Slot.BAD) if self._problem else []
        self.query_one("#sure-lines", Lines).show(found)
        keys = line(
            Span("enter", Slot.MARK), Span(" plan it  ", Slot.DIM), Span("esc", Slot.MARK), Span(" back", Slot.DIM)
        )
        self.query_one("#sure-keys", Lines).show([keys])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, if it can be."""
        event.stop()
        self._problem = self._check(event.value.strip())
        if self._problem:
            self._show()
            return
        self.dismiss(event.value.strip())

    def action_back(self) -> None:
        """Leave without an answer."""
        self.dismiss("")


def whole_number(text: str) -> str:
    """What is wrong with a number of pods."""
    return "" if text.isascii() and text.isdigit() and int(text) <= MOST else f"a whole number, 0 to {MOST}"


MOST = 1000
"""Pods that a typing error may ask for at most."""


def something(text: str) -> str:
    """What is wrong with an empty line."""
    return "" if text else "type it, or esc"
