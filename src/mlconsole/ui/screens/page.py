"""A page over the main screen: lines to read, or a table; esc goes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from mlconsole.ui.spans import Line, Slot, Span, joined, line
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Row, Table

Write = Callable[[int], Sequence[Line]]
"""From the width that there is to the lines of the page."""


MORE = "↑↓ page up, down · "
HIGHEST = 92
"""Of the screen's height in percent, as in the style sheet."""


class Page(ModalScreen[None]):
    """Lines to read, written for the width that there is."""

    CSS_PATH = "page.tcss"
    KEYS: ClassVar[str] = "esc back"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back"),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "turn(-1)", show=False),
        Binding("pagedown,space", "turn(1)", show=False),
        Binding("home", "end(0)", show=False),
        Binding("end", "end(1)", show=False),
    ]

    def __init__(self, title: str, write: Write) -> None:
        super().__init__()
        self._heading = title
        self._write = write

    def compose(self) -> ComposeResult:
        """The frame and its lines."""
        with Vertical(classes="frame") as frame:
            frame.border_title = Content(self._heading)
            frame.border_subtitle = self.KEYS
            with VerticalScroll(id="page-body", can_focus=False):
                yield Lines(id="page-lines")

    def on_mount(self) -> None:
        """Write once the width is known."""
        self.call_after_refresh(self.renew)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self.renew)

    def renew(self) -> None:
        """Write the page again."""
        found = list(self._write(max(20, self.query_one("#page-body").size.width - 2)))
        self.query_one("#page-lines", Lines).show(found)
        frame, longer = self.query_one(".frame"), len(found) > self.size.height * HIGHEST // 100 - 2
        said = f"{MORE if longer else ''}{self.KEYS}"
        if frame.border_subtitle != said:
            frame.border_subtitle = said

    def action_back(self) -> None:
        """Leave the page."""
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Move through a page that is longer than the screen."""
        self.query_one("#page-body").scroll_relative(y=by, animate=False)

    def action_turn(self, by: int) -> None:
        """A screen on or back, with a line of it still in sight."""
        self.action_scroll(by * max(1, self.query_one("#page-body").size.height - 1))

    def action_end(self, end: int) -> None:
        """To its begin or its end."""
        body = self.query_one("#page-body")
        body.scroll_to(y=body.max_scroll_y if end else 0, animate=False)


class TablePage(ModalScreen[str]):
    """A table to look through or to choose from; answers with the key of the row that was chosen."""

    CSS_PATH = "page.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back"),
    ]

    def __init__(
        self, title: str, columns: Sequence[Column], rows: Callable[[], Sequence[Row]], empty: str, verb: str = ""
    ) -> None:
        super().__init__()
        self._heading = title
        self._columns = columns
        self._make = rows
        self._empty = empty
        self._verb = verb

    def compose(self) -> ComposeResult:
        """The frame, the table, the keys."""
        with Vertical(classes="frame -tall") as frame:
            frame.border_title = Content(self._heading)
            yield Table(self._columns, empty=self._empty)
            yield Lines(classes="keys")

    def on_mount(self) -> None:
        """Fill the table."""
        self.renew()
        keys = [("enter", self._verb)] if self._verb else []
        keys.append(("esc", "back"))
        self.query_one(".keys", Lines).show(
            [joined([line(Span(key, Slot.MARK), Span(f" {label}", Slot.DIM)) for key, label in keys])]
        )

    def renew(self) -> None:
        """Fill it again."""
        self.query_one(Table).show(list(self._make()))

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Answer, where something can be chosen."""
        event.stop()
        if self._verb:
            self.dismiss(event.key)

    def action_back(self) -> None:
        """Leave without an answer."""
        self.dismiss("")
