"""Text for people: tables and lines, coloured where there is a terminal that wants colours, plain where there is none.

Every cell is text from outside until proven otherwise: made visible, never read as markup (I28).
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlconsole.domain.text import visible

CELL = 1000
WIDE = 10_000
"""Columns where nobody looks: a pipe gets whole lines."""
_STYLES = {
    "PASS": "green",
    "OK": "green",
    "ok": "green",
    "verified": "green",
    "FAIL": "bold red",
    "bad": "bold red",
    "failed": "bold red",
    "drifted": "bold red",
    "look": "yellow",
    "UNKNOWN": "yellow",
    "WARN": "yellow",
    "warn": "yellow",
    "unknown": "yellow",
    "unverified": "yellow",
    "open": "yellow",
    "OFF": "dim",
}
"""Words that have a colour of their own wherever they stand alone in a cell. The word itself always says it too."""


class Page:
    """What a command writes on one stream."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        self.terminal = self._file.isatty()
        self._buffer = io.StringIO()
        plain = not self.terminal or os.environ.get("TERM") == "dumb"
        self._console = Console(
            file=self._file if self.terminal else self._buffer,
            width=None if self.terminal else WIDE,
            color_system=None if plain else "auto",
            markup=False,
            emoji=False,
            highlight=False,
        )

    def line(self, words: str = "", style: str = "") -> None:
        """One line."""
        self._print(Text(visible(words, CELL), style))

    def title(self, words: str) -> None:
        """One line that others belong under."""
        self.line(words, "bold")

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns as wide as they need to be; what does not fit is folded, never cut."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(heads), header_style="bold")
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        if table.row_count:
            self._print(table)

    def facts(self, rows: Iterable[tuple[str, str]]) -> None:
        """Names and what they are, the empty ones left out."""
        self.table(("", ""), [(f"  {name}", value) for name, value in rows if value])

    def _print(self, what: Text | Table) -> None:
        self._console.print(what, soft_wrap=False, overflow="fold")
        if not self.terminal:
            text = self._buffer.getvalue()
            self._buffer.seek(0)
            self._buffer.truncate()
            self._file.write("".join(line.rstrip() + "\n" for line in text.splitlines()))
            # Whoever reads a pipe follows what goes on, too.
            self._file.flush()


def _cell(value: str) -> Text:
    shown = value[: len(value) - len(value.lstrip())] + visible(value.lstrip(), CELL)
    return Text(shown, _STYLES.get(value.strip(), ""))
