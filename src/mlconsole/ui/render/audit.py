"""The history of a service's operations, and the Events about it, as rows."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.domain.history import Record
from mlconsole.domain.services import Release
from mlconsole.engine.protocol import EventLine
from mlconsole.ui.render import words
from mlconsole.ui.render.deployment import OUTCOMES
from mlconsole.ui.spans import Line, Slot, Span, line, wrapped
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row

OPERATIONS = (
    Column("when", 17, 17),
    Column("what", 6, 9),
    Column("from", 3, 16, drop=2),
    Column("to", 3, 16),
    Column("outcome", 6, 12),
    Column("by", 3, 24, drop=3),
    Column("host", 3, 20, drop=6),
    Column("", 0, 30, drop=5),
    Column("reason", 4, 80, grows=True, drop=4),
)
EVENTS = (
    Column("age", 3, 6),
    Column("kind", 6, 8, drop=3),
    Column("reason", 6, 24),
    Column("object", 6, 44, drop=2),
    Column("message", 10, 300, grows=True),
)


def operations(records: Iterable[Record]) -> list[Row]:
    """A row for each operation, as they come."""
    return [_operation(record) for record in records]


def _operation(record: Record) -> Row:
    word, slot = OUTCOMES[record.outcome]
    cells: tuple[Line, ...] = (
        line(words.stamp(record.at)),
        line(Span(record.kind, Slot.MARK)),
        line(f"{record.from_color} {record.from_release.label}".strip()),
        line(f"{record.to_color} {record.to_release.label}".strip()),
        line(Span(word.partition(",")[0].partition(":")[0], slot)),
        line(record.user),
        line(Span(record.host, Slot.DIM)),
        line(Span(f"waived {', '.join(record.waived)}" if record.waived else "", Slot.WARN)),
        line(record.reason) if record.reason else line(Span(record.message, Slot.DIM)),
    )
    return Row(record.id, cells)


def details(record: Record, width: int) -> list[Line]:
    """Everything on record about one operation."""
    word, slot = OUTCOMES[record.outcome]
    facts = (
        ("operation", f"{record.kind} {record.id}", Slot.STRONG),
        ("outcome", word, slot),
        ("said", record.message, Slot.PLAIN),
        ("reason", record.reason, Slot.PLAIN),
        ("by", " on ".join(filter(None, (record.user, record.host, record.terminal))), Slot.PLAIN),
        ("where", f"{record.context} / {record.namespace}", Slot.PLAIN),
        ("begun", words.moment(record.at), Slot.PLAIN),
        ("ended", words.moment(record.ended_at) if record.ended_at else "", Slot.PLAIN),
        ("took", f"{record.verified_at - record.at:.1f} s to verified" if record.verified_at else "", Slot.PLAIN),
        ("from", _release(record.from_color, record.from_release), Slot.PLAIN),
        ("to", _release(record.to_color, record.to_release), Slot.PLAIN),
        ("waived", ", ".join(record.waived), Slot.WARN),
        ("plan", record.plan_hash, Slot.DIM),
    )
    found: list[Line] = []
    for name, value, style in facts:
        if value:
            first, *more = wrapped(value, max(10, width - 11), style, 4)
            found.append(line(Span(f"{name:<10} ", Slot.DIM), *first))
            found += [line(" " * 11, *piece) for piece in more]
    return found


def _release(color: str, release: Release) -> str:

    parts = (color, release.label, release.image, release.digest[:19], release.git_sha[:7])
    return " ".join(part for part in parts if part)


def events(items: Iterable[EventLine], now: float) -> list[Row]:
    """A row for each Event."""
    found = []
    for index, item in enumerate(items):
        slot = Slot.WARN if item.kind == "Warning" else Slot.PLAIN
        cells: tuple[Line, ...] = (
            line(Span(words.rough_age(now - item.at), Slot.DIM)),
            line(Span(item.kind, slot)),
            line(Span(f"{item.reason} x{item.count}" if item.count > 1 else item.reason, slot)),
            line(Span(item.object, Slot.DIM)),
            line(item.message),
        )
        found.append(Row(f"{index}/{item.at}/{item.object}/{item.reason}", cells))
    return found
