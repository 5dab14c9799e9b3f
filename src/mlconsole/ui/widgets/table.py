"""A table of rows with keys: a cursor that stays on its row while others come and go, a filter, a header that stays.

Textual's DataTable fixes its columns' widths; a pane that is 26 cells wide in one terminal and 60 in the next needs
columns that grow, shrink and give way, and over SSH only the rows that changed may be painted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from mlconsole.ui.spans import EMPTY, Line, Slot, Span, fit, plain, right, width_of
from mlconsole.ui.widgets import columns as layout
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.lines import changed, strip_of

POINTER = "▸"


class Row(Struct, frozen=True):
    """One row: its key, and a line for each column."""

    key: str
    cells: tuple[Line, ...]


class Table(ScrollView, can_focus=True):
    """Rows under columns."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home,g", "end(0)", "first", show=False),
        Binding("end,G", "end(1)", "last", show=False),
        Binding("enter", "choose", "choose", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--cursor"}
    DEFAULT_CSS = """
    Table {
        height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        scrollbar-background: $background; scrollbar-color: $frame;
        & > .table--header { color: $foreground 60%; }
        & > .table--cursor { background: $boost; }
        &:focus > .table--cursor { background: $block-cursor-background 35%; text-style: bold; }
    }
    """

    class Highlighted(Message):
        """The cursor came to another row."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class Chosen(Message):
        """Enter, or a second click, on a row."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

    def __init__(
        self, columns: Sequence[Column], *, header: bool = True, empty: str = "", id: str | None = None
    ) -> None:
        super().__init__(id=id)
        # Without a header a title takes no room.
        self._columns = tuple(columns) if header else tuple(replace(column, title="") for column in columns)
        self._header = 1 if header else 0
        self._empty: Sequence[Line] = (((Span(empty, Slot.DIM)),),) if empty else ()
        self._all: list[Row] = []
        self._rows: list[Row] = []
        self._widths: list[int] = [0] * len(self._columns)
        self._sizes: dict[int, Sequence[int]] = {}
        """The width of each cell, by the row's identity: a row that is shown again is not measured again."""
        self._filter = ""
        self._cursor = 0
        self._wanted = ""
        """The key that the cursor was put on; it goes back there when its row does."""
        self.steered = False
        """Whether the operator moved the cursor: until then it may be put where the worst is."""

    # ---- content

    def show(self, rows: Sequence[Row], empty: Sequence[Line] | None = None) -> None:
        """Replace the rows. `empty` is what stands there where there is none; None for what stood there before."""
        if empty is not None and empty != self._empty:
            self._empty = empty
            self.refresh()
        before, self._sizes, self._all = self._sizes, {}, list(rows)
        for row in self._all:
            self._sizes[id(row)] = before.get(id(row)) or [width_of(cell) for cell in row.cells]
        self._lay_out()

    def filter(self, text: str) -> None:
        """Show only the rows that hold every word of `text`."""
        if not text and self.key:
            # What the filter led to stays selected when it ends.
            self._wanted, self.steered = self.key, True
        self._filter = text.casefold()
        self._lay_out()

    @property
    def filtered(self) -> str:
        """The filter in force."""
        return self._filter

    @property
    def key(self) -> str:
        """The key of the row under the cursor; empty where there is none."""
        return self._rows[self._cursor].key if self._cursor < len(self._rows) else ""

    @property
    def astray(self) -> bool:
        """Whether the row that the cursor was put on is not there."""
        return bool(self._wanted) and self.key != self._wanted

    @property
    def count(self) -> tuple[int, int]:
        """(rows shown, rows in all)."""
        return len(self._rows), len(self._all)

    @property
    def keys(self) -> list[str]:
        """The keys of the rows that the filter lets through."""
        return [row.key for row in self._rows]

    @property
    def first(self) -> str:
        """The key of the first row; empty where there is none."""
        return self._rows[0].key if self._rows else ""

    def select(self, key: str) -> None:
        """Put the cursor on the row with this key, if it is there."""
        self._wanted = key
        for index, row in enumerate(self._rows):
            if row.key == key:
                self._go(index)
                return

    def _lay_out(self) -> None:
        before, widths, key = self._rows, self._widths, self.key
        words = self._filter.split()
        self._rows = [row for row in self._all if not words or _holds(row, words)]
        found = next((index for index, row in enumerate(self._rows) if row.key == self._wanted), None)
        cursor = min(self._cursor, max(0, len(self._rows) - 1)) if found is None else found
        moved, self._cursor = cursor != self._cursor, cursor
        self._widths = layout.widths(self._columns, [self._sizes[id(row)] for row in self._rows], self._inner)
        self.virtual_size = Size(self.size.width, len(self._rows) + self._header)
        if moved or widths != self._widths or len(before) != len(self._rows):
            self.refresh()
        else:
            self._refresh_changed(before)
        if moved:
            self._reveal()
        if key != self.key:
            self._tell()

    def _refresh_changed(self, before: Sequence[Row]) -> None:
        top, width = self._header - self.scroll_offset.y, self.size.width
        regions = []
        for index, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if old == new or not self._header <= index + top < self.size.height:
                continue
            pointer = POINTER if index == self._cursor else " "
            cells = changed(self._laid(old.cells, pointer), self._laid(new.cells, pointer), width)
            if cells:
                regions.append(Region(cells[0], index + top, cells[1] - cells[0], 1))
        if regions:
            self.refresh(*regions)

    @property
    def _inner(self) -> int:
        return max(0, self.scrollable_content_region.width - 2)

    def on_resize(self, event: Resize) -> None:
        """Lay the columns out again."""
        self._lay_out()
        self._reveal()

    # ---- cursor

    def action_move(self, by: int) -> None:
        """Up or down by rows."""
        self.steered = True
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Up or down by a screenful."""
        self.steered = True
        self._go(self._cursor + by * max(1, self.size.height - self._header - 1))

    def action_end(self, last: int) -> None:
        """To the first or the last row."""
        self.steered = True
        self._go(len(self._rows) if last else 0)

    def action_choose(self) -> None:
        """Choose the row under the cursor."""
        if self.key:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: Click) -> None:
        """Put the cursor there; a click on the cursor's row chooses it."""
        index = event.y - self._header + self.scroll_offset.y
        if not 0 <= index < len(self._rows) or event.y < self._header:
            return
        self.steered = True
        if index == self._cursor:
            self.action_choose()
        self._go(index)

    def _go(self, index: int) -> None:
        index = max(0, min(index, len(self._rows) - 1))
        if not self._rows:
            return
        self._wanted = self._rows[index].key
        if index == self._cursor:
            return
        top = self._header - self.scroll_offset.y
        old, self._cursor = self._cursor, index
        self.refresh(Region(0, old + top, self.size.width, 1), Region(0, index + top, self.size.width, 1))
        self._reveal()
        self._tell()

    def _reveal(self) -> None:
        visible = max(1, self.size.height - self._header)
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True)
        elif self._cursor >= top + visible:
            self.scroll_to(y=self._cursor - visible + 1, animate=False, immediate=True)

    def _tell(self) -> None:
        if self.key:
            self.post_message(self.Highlighted(self, self.key))

    # ---- painting

    def render_line(self, y: int) -> Strip:
        """The header, a row, or what is said where there are none."""
        width = self.size.width
        if self._header and y == 0 and self._rows:
            titles = tuple(line_of_title(column.title) for column in self._columns)
            style = Style(color=self.get_component_rich_style("table--header").color)
            return strip_of(self, self._laid(titles, " "), width, style)
        index = y - self._header + self.scroll_offset.y
        if 0 <= index < len(self._rows):
            return self._row(index, width)
        if not self._rows and y < len(self._said):
            return strip_of(self, self._said[y], width)
        return strip_of(self, EMPTY, width)

    @property
    def _said(self) -> Sequence[Line]:
        if self._all and self._filter:
            return ((Span(f"nothing matches {self._filter!r}: esc clears the filter", Slot.DIM),),)
        return self._empty

    def _row(self, index: int, width: int) -> Strip:
        over: Style | None = None
        pointer = " "
        if index == self._cursor:
            cursor = self.get_component_rich_style("table--cursor")
            over = Style(bgcolor=cursor.bgcolor, bold=cursor.bold or None, reverse=cursor.reverse or None)
            pointer = POINTER
        return strip_of(self, self._laid(self._rows[index].cells, pointer), width, over)

    def _laid(self, cells: Sequence[Line], pointer: str) -> Line:
        spans = [Span(pointer, Slot.MARK)]
        first = True
        for column, width, cell in zip(self._columns, self._widths, cells, strict=False):
            if not width:
                continue
            if not first:
                spans.append(Span(" " * layout.GAP))
            spans.extend(right(cell, width) if column.right else fit(cell, width))
            first = False
        return tuple(spans)


def line_of_title(title: str) -> Line:
    """A column's title as a line."""
    return (Span(title, Slot.DIM),) if title else EMPTY


def _holds(row: Row, words: Sequence[str]) -> bool:
    text = " ".join(plain(cell) for cell in row.cells).casefold()
    return all(word in text for word in words)
