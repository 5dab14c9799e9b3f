"""Deploy or data? What changed, set against what happened around it.

A change has an interval, not a moment, and a cause comes before its effect: whatever happened after the interval is
ruled out; what happened in it, or shortly before, may be the cause. Nothing here proves one: it says which of the known
happenings the figures allow, and gives the rows that this rests on.
"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Iterable, Sequence

from msgspec import Struct

from mlconsole.domain.changepoints import Change, Shape

LEAD = 120.0
"""Seconds before a change's interval in which a happening may still be its cause: caches warm, pods come up."""
SHOWN = 3600.0
"""Seconds around a change whose happenings are evidence."""
MOST_ROWS = 12
FEW = 20
"""Values in which a change is hardly found."""
DATA = ("drift", "rate", "accuracy")
"""Series whose own change speaks for the data, or for the traffic."""


class Verdict(enum.StrEnum):
    """What the figures allow."""

    DEPLOY = "deploy"
    """An operation moved traffic, or pods, as it began."""
    ALIAS = "alias"
    """An alias of the registry moved: what loads its model by it has another one."""
    SCALING = "scaling"
    NODE = "node"
    DATA = "data"
    """The data or the traffic changed first, and no operation did."""
    NEITHER = "neither"
    """Nothing that is known happened then."""
    UNKNOWN = "unknown"
    """No change was found: too little data, or a steady trend."""


class Happening(Struct, frozen=True):
    """Something that happened to the service."""

    at: float
    kind: str
    """`operation`, `alias`, `scaling`, `node`, `idle`, `pod`, `event`."""
    words: str
    began: float = 0.0
    """Where it took a time, or is known to have been within one: since when."""
    id: str = ""
    """Of an operation on record."""


class Shift(Struct, frozen=True):
    """One series that changed."""

    series: str
    """`p95`, `error_share`, `rate`, `drift`, `accuracy`."""
    color: str
    change: Change
    words: str
    """`180 ms -> 620 ms`."""


class Row(Struct, frozen=True):
    """A line of the evidence."""

    at: float
    kind: str
    words: str
    relation: str
    """How it stands to the change."""
    possible: bool = False
    """Whether it may be the cause."""
    id: str = ""
    """Of an operation on record."""


class Cause(Struct, frozen=True):
    """What is likely."""

    verdict: Verdict
    words: str
    shift: Shift | None = None
    rows: tuple[Row, ...] = ()
    method: str = ""
    operation: str = ""
    """The record's id of the operation that the words name, else of the nearest one."""
    basis: str = ""
    """Whose series it rests on, over which time, and what could not be read."""


METHOD = "rank CUSUM, block permutation test, bootstrap interval"
_VERDICTS = {
    "operation": Verdict.DEPLOY,
    "alias": Verdict.ALIAS,
    "scaling": Verdict.SCALING,
    "node": Verdict.NODE,
}


def cause(
    about: str, shifts: Sequence[Shift], happenings: Iterable[Happening], n: int = 0, until: float = 0.0
) -> Cause:
    """The likely cause of what `about` did: of its newest change before `until` (0: of all), worse or better.

    `n` is how many values of it there are, for when that is too few.
    """
    mine = [item for item in shifts if item.series == about and (not until or item.change.earliest <= until)]
    steps = [item for item in mine if item.change.shape is Shape.STEP]
    if not steps:
        return _unknown(about, mine, list(happenings), n, until)
    shift = max(steps, key=lambda item: (_worse(about, item.change), item.change.at))
    others = [item for item in shifts if item.series != about and item.change.shape is Shape.STEP]
    rows = [_row(shift.change, item.began or item.at, item.at, item.kind, item.words, item.id) for item in happenings]
    rows += [_row_of(shift.change, item) for item in others]
    rows = [row for row in rows if row.possible or abs(row.at - shift.change.at) <= SHOWN]
    rows.sort(key=lambda row: (_rank(row), abs(row.at - shift.change.at)))
    verdict = _verdict(rows)
    if verdict is Verdict.NEITHER and about == "drift":
        verdict = Verdict.DATA  # it is the data that the alert is about
    named = _named(verdict, shift.change, rows)
    words = f"{began(shift)}{_told(verdict, shift.change, rows, named)}"
    operation = named.id if named is not None else ""
    return Cause(verdict, words, shift, tuple(rows[:MOST_ROWS]), METHOD, operation)


def _worse(about: str, change: Change) -> bool:
    """Whether a change is one for the worse; of the traffic either way may be."""
    return about == "rate" or change.rises is (about != "accuracy")


def _unknown(about: str, mine: Sequence[Shift], happenings: Sequence[Happening], n: int, until: float) -> Cause:
    """No moment: what happened in the time before the alert is shown all the same, and judged by whoever reads it."""
    near = [item for item in happenings if until and abs(item.at - until) <= SHOWN and item.kind != "event"]
    near.sort(key=lambda item: abs(item.at - until))
    rows = tuple(
        Row(item.at, item.kind, item.words, f"{_side(item.at - until)} it fired", id=item.id)
        for item in near[:MOST_ROWS]
    )
    operation = next((row.id for row in rows if row.id), "")
    if mine:
        words = f"{about} moves steadily ({mine[0].words}): there is no moment"
        return Cause(Verdict.UNKNOWN, words, mine[0], rows, METHOD, operation)
    few = "too few to say" if n < FEW else "no change is sure in them"
    words = f"no change of {about} was found: {n} values, {few}"
    return Cause(Verdict.UNKNOWN, words, None, rows, METHOD, operation)


def _side(seconds: float) -> str:
    return f"{span(abs(seconds))} {'after' if seconds > 0 else 'before'}"


def _rank(row: Row) -> int:
    """What may be the cause first: what a person did, what happened by itself, the data; then the other operations."""
    order = [*_VERDICTS, *DATA]
    if row.possible and row.kind in order:
        return order.index(row.kind)
    return len(order) + (0 if row.kind == "operation" else 1 if row.possible else 2)


def _verdict(rows: Sequence[Row]) -> Verdict:
    """An operation before scaling, that before a node: what a person did is looked at first."""
    possible = {row.kind for row in rows if row.possible}
    for kind, verdict in _VERDICTS.items():
        if kind in possible:
            return verdict
    return Verdict.DATA if possible & set(DATA) else Verdict.NEITHER


def _row_of(change: Change, other: Shift) -> Row:
    """Another series that changed: its own interval counts."""
    found = other.change
    way = "rose" if found.rises else "fell"
    words = f"{other.series} {way}: {other.words} ({_sure(found)} sure)"
    row = _row(change, found.earliest, found.latest, other.series, words)
    relation = row.relation if row.possible else relation_of(change, found.at)
    # What follows from the same cause (errors with latency) is evidence, and no cause; nor is data that got better.
    cause = other.series in DATA and _worse(other.series, found)
    return Row(found.at, other.series, words, relation, row.possible and cause)


def _row(change: Change, begin: float, end: float, kind: str, words: str, ident: str = "") -> Row:
    possible = begin <= change.latest and end >= change.earliest - LEAD
    at = min(max(begin, change.earliest), end) if possible else begin if begin > change.at else end
    return Row(at, kind, words, relation_of(change, at), possible, ident)


def relation_of(change: Change, at: float) -> str:
    """`4 min after it began`, `within the interval`, `40 s before it`."""
    if change.earliest <= at <= change.latest:
        return "as it began"
    return f"{span(at - change.at)} after it began" if at > change.latest else f"{span(change.at - at)} before it"


def began(shift: Shift) -> str:
    """`p95 began to rise 14:02 (13:59-14:04, 97 %): 180 ms -> 620 ms`."""
    change = shift.change
    way = "rise" if change.rises else "fall"
    interval = f"{_clock(change.earliest)}-{_clock(change.latest)}, {_sure(change)}"
    return f"{shift.series} began to {way} {_clock(change.at)} ({interval}): {shift.words}"


def _sure(change: Change) -> str:
    """Nothing is a hundred per cent sure."""
    return f"{math.floor(100 * change.confidence + 1e-9)} %"


def _named(verdict: Verdict, change: Change, rows: Sequence[Row]) -> Row | None:
    """The row that the words are about: the likely cause, else the operation that is nearest."""
    possible = (row for row in rows if row.possible)
    kinds = DATA if verdict is Verdict.DATA else [kind for kind, item in _VERDICTS.items() if item is verdict]
    found = next((row for row in possible if row.kind in kinds), None)
    operations = [row for row in rows if row.kind == "operation"]
    return found or min(operations, key=lambda row: abs(row.at - change.at), default=None)


def _told(verdict: Verdict, change: Change, rows: Sequence[Row], named: Row | None) -> str:
    moved = ", the data changed" if verdict is Verdict.DATA and (named is None or not named.possible) else ""
    if named is None:
        return f"; no operation, alias move, scaling, node or traffic change is known then{moved}"
    if named.possible:
        # Drift and accuracy are a version's own: another version has others.
        traffic = any(row.possible and row.kind == "rate" for row in rows)
        also = " and the traffic changed, too" if verdict is Verdict.DEPLOY and traffic else ""
        return f"; {named.words} {_placed(named)}: {verdict} is likely{also}"
    side = "before" if named.at > change.at else "after"
    return f"; {span(abs(named.at - change.at))} {side} {named.words}: not this deploy{moved}"


def _placed(row: Row) -> str:
    return row.relation if row.relation != "as it began" else "at that time"


def span(seconds: float) -> str:
    """`40 s`, `4 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.gmtime(at))
