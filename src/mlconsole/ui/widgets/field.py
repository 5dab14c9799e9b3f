"""A line to type with its name before it: which of two lines is asked for is seen also when something stands in it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from mlconsole.ui.spans import Slot, Span, line
from mlconsole.ui.widgets.lines import Lines


class Field(Horizontal):
    """The name, as the facts above have theirs, and the line. The id is the line's."""

    DEFAULT_CSS = """
    Field { height: 1; }
    Field > Lines { width: 10; height: 1; }
    Field > Input { width: 1fr; }
    """

    def __init__(self, label: str, *, id: str, value: str = "", placeholder: str = "") -> None:
        super().__init__(id=f"{id}-field")
        self._label = Lines()
        self.line = Input(value, placeholder=placeholder, id=id)
        self._text = label

    def compose(self) -> ComposeResult:
        """Both."""
        yield self._label
        yield self.line

    def on_mount(self) -> None:
        """The name."""
        self._label.show([line(Span(self._text, Slot.DIM))])

    @property
    def text(self) -> str:
        """What was typed."""
        return self.line.value.strip()
