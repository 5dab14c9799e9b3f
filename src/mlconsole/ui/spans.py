"""Text in pieces with a meaning each: what the pure renderers make and the widgets paint.

A piece's style is the name of a slot (`good`, `bad`, `live`, ...), never a colour: the theme decides. Colour is never
the only sign, so whoever uses a slot says the same thing in a glyph or a word.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from mlconsole.domain.text import visible

ELLIPSIS = "…"


class Slot(enum.StrEnum):
    """What a piece of text means."""

    PLAIN = ""
    DIM = "dim"
    """Said for completeness: labels, ages, sources."""
    STRONG = "strong"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    GREEN = "green"
    BLUE = "blue"
    """The colours of a service, in the hue that they are named after."""
    LIVE = "live"
    IDLE = "idle"
    """The same for a service whose colours have other names."""
    MARK = "mark"
    """A switch, a rollback, a key to press."""


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    slot: Slot = Slot.PLAIN


Line = tuple[Span, ...]


def hue(color: str, live: bool) -> Slot:
    """The slot of a service's colour by its name; whether it is live is said by a word or a glyph beside it."""
    if color in ("green", "blue"):
        return Slot(color)
    return Slot.LIVE if live else Slot.IDLE


EMPTY: Line = ()


def line(*pieces: Span | str) -> Line:
    """A line of pieces; plain strings are plain spans, empty ones are left out."""
    return tuple([piece if isinstance(piece, Span) else Span(piece) for piece in pieces if _is_there(piece)])


def _is_there(piece: Span | str) -> bool:
    return bool(piece.text if isinstance(piece, Span) else piece)


def plain(content: Line) -> str:
    """The text of a line."""
    return "".join(span.text for span in content)


def width_of(content: Line) -> int:
    """Cells that a line takes."""
    return sum(cell_len(span.text) for span in content)


def joined(parts: Iterable[Line], separator: str = "  ") -> Line:
    """Lines one after the other, the empty ones left out, with a dim separator between."""
    spans: list[Span] = []
    for part in parts:
        if part:
            if spans:
                spans.append(Span(separator, Slot.DIM))
            spans.extend(part)
    return tuple(spans)


def flowed(parts: Iterable[Line], width: int) -> list[Line]:
    """Lines one after the other like `joined`, each on a line of its own where there is no room beside the last."""
    found: list[Line] = []
    for part in parts:
        beside = joined([found[-1], part]) if found else part
        if found and width_of(beside) <= width:
            found[-1] = beside
        elif part:
            found.append((Span("  "), *part) if found else part)
    return found


def fitted(parts: Iterable[Line], width: int, separator: str = "  ", sign: str = "") -> Line:
    """Lines one after the other like `joined`, as far as whole ones fit: at least the first; `sign` for the rest."""
    given = [part for part in parts if part]
    for count in range(len(given), 0, -1):
        cut = line(Span(f"{separator}{sign}", Slot.DIM)) if sign and count < len(given) else EMPTY
        found = (*joined(given[:count], separator), *cut)
        if width_of(found) <= width:
            return found
    return joined(given[:1])


def fit(content: Line, width: int) -> Line:
    """A line cut or padded to exactly `width` cells; what was cut ends in an ellipsis."""
    if width <= 0:
        return EMPTY
    length = width_of(content)
    if length <= width:
        return (*content, Span(" " * (width - length))) if length < width else content
    kept: list[Span] = []
    left = width - 1
    for span in content:
        cells = cell_len(span.text)
        if cells > left:
            kept.append(Span(set_cell_size(span.text, left), span.slot))
            left = 0
            break
        kept.append(span)
        left -= cells
    slot = kept[-1].slot if kept else Slot.DIM
    return (*kept, Span(ELLIPSIS + " " * left, slot))


def right(content: Line, width: int) -> Line:
    """A line set against the right edge of `width` cells."""
    length = width_of(content)
    return (Span(" " * (width - length)), *content) if length < width else fit(content, width)


def harmless(content: Line) -> Line:
    """A line whose control characters are made visible: the last door before the terminal, whoever made it (I28)."""
    if all(span.text.isprintable() for span in content):
        return content
    return tuple(Span(visible(span.text, 8 * len(span.text)), span.slot) for span in content)


SHORT = 8
"""Cells of a line that are not worth beginning a long word in."""
_BREAKS = re.compile(r"[./,:;=\]]")


def _headed(word: str, width: int) -> str:
    """The begin of a word that is longer than a line: up to a sign between its parts, where one is near the end."""
    # At least one character: a wide one does not fit into one cell.
    head = set_cell_size(word, width).rstrip() or word[0]
    last = max((found.end() for found in _BREAKS.finditer(head)), default=0)
    return head[:last] if last > len(head) * 2 // 3 else head


def wrapped(text: str, width: int, slot: Slot = Slot.PLAIN, most: int = 20) -> list[Line]:
    """`text` broken at spaces into at most `most` lines of `width` cells; words that are longer are cut hard."""
    found: list[str] = []
    current = ""
    for word in (text if text.isprintable() else visible(text, 8 * len(text))).split(" "):
        rest = word
        candidate = f"{current} {rest}" if current else rest
        if cell_len(candidate) <= width:
            current = candidate
            continue
        if current and cell_len(rest) > width > cell_len(current) + SHORT:
            # A word for several lines begins beside what stands before it: a sign alone on a line says nothing.
            head = _headed(rest, width - cell_len(current) - 1)
            current, rest = f"{current} {head}", rest[len(head) :]
        if current:
            found.append(current)
        while cell_len(rest) > width > 0:
            head = _headed(rest, width)
            found.append(head)
            rest = rest[len(head) :]
        current = rest
    if current or not found:
        found.append(current)
    lines: list[Line] = [(Span(item, slot),) for item in found[:most]]
    if len(found) > most and lines:
        lines[-1] = fit((Span(found[most - 1] + " " + ELLIPSIS, slot),), width)
    return lines


def indented(text: str, width: int, slot: Slot = Slot.PLAIN, most: int = 20, by: int = 2) -> list[Line]:
    """`text` broken like `wrapped`, every line of it `by` cells from the left."""
    return [line(" " * by, *piece) for piece in wrapped(text, max(10, width - by), slot, most)]


def parted(content: Line, at: int) -> tuple[Line, Line]:
    """The first `at` cells of a line, and what follows them."""
    before: list[Span] = []
    for index, span in enumerate(content):
        cells = cell_len(span.text)
        if cells > at:
            head = set_cell_size(span.text, at)
            tail = span.text[len(head) :]
            # A wide character on the border becomes a space on both sides of it.
            tail = " " * (cells - at - cell_len(tail)) + tail
            return line(*before, Span(head, span.slot)), line(Span(tail, span.slot), *content[index + 1 :])
        before.append(span)
        at -= cells
    return content, EMPTY


def sides(left: Line, end: Line, width: int) -> Line:
    """`left` and `end` at both edges of a line; what does not fit is cut from the left one."""
    taken = width_of(end)
    if taken >= width:
        return fit(end, width)
    return (*fit(left, width - taken), *end)
