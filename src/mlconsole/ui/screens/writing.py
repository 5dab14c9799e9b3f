"""Where to write what is on the screen: a path, ready to be taken as it is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from mlconsole.ui.screens.following import hints
from mlconsole.ui.spans import Line, wrapped
from mlconsole.ui.widgets.lines import Lines


class WritePage(ModalScreen[str]):
    """Asks for a path."""

    CSS = """
    WritePage { align: center middle; background: $background; }
    WritePage .frame {
        border: round $border; border-title-color: $text-accent; border-title-style: bold;
        background: $surface; width: 90%; max-width: 130; height: auto; padding: 0 1;
    }
    WritePage Input { height: 1; border: none; background: $boost; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back")]

    def __init__(self, title: str, path: str, words: str) -> None:
        super().__init__()
        self._title, self._path, self._words = title, path, words

    def compose(self) -> ComposeResult:
        """The path, and what becomes of it."""
        with Vertical(classes="frame") as frame:
            frame.border_title = Content(self._title)
            yield Input(self._path, select_on_focus=False)
            yield Lines(classes="words")
            yield Lines(classes="keys")

    def on_mount(self) -> None:
        """Ready to be taken."""
        self.query_one(Input).focus()
        self.call_after_refresh(self._explain)

    def _explain(self) -> None:
        found: list[Line] = list(wrapped(self._words, max(20, self.size.width * 9 // 10 - 4)))
        self.query_one(".words", Lines).show(found)
        self.query_one(".keys", Lines).show([hints(("enter", "write it"), ("esc", "back"))])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it."""
        event.stop()
        if event.value.strip():
            self.dismiss(event.value.strip())

    def action_back(self) -> None:
        """Write nothing."""
        self.dismiss()
