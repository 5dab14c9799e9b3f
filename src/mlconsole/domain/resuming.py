"""An operation whose executor is gone: what it has come to, and how another one goes on with it (I18).

Nothing is decided here for a person: they are told how it stands, and say whether it is to be finished, ended or left.
"""

from __future__ import annotations

import enum

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.history import Outcome
from mlconsole.domain.operation import Asked, Operation, Request, Verb, advance, after
from mlconsole.domain.phases import MOVED, Phase
from mlconsole.domain.plans import Target


class Standing(enum.StrEnum):
    """What became of an operation whose executor is gone (I18)."""

    NOT_STARTED = "not started"
    PARTLY = "partly applied"
    UNVERIFIED = "applied but unverified"
    DONE = "done"
    OVERTAKEN = "overtaken by someone"


class Seen(Struct, frozen=True):
    """The live objects, compared with an operation."""

    in_place: tuple[int, ...] = ()
    """The plan's writes, by their number, whose result is there."""
    moved: bool = False
    """Whether the traffic is where the plan would have it."""
    home: bool = False
    """Whether it is where the plan found it."""


def standing(op: Operation, seen: Seen) -> Standing:
    """What an operation without an executor has come to."""
    if op.plan.moves_traffic and op.phase is not Phase.RETURN and op.ending is not Outcome.RETURNED:
        if not seen.moved and not seen.home:
            return Standing.OVERTAKEN
        if seen.moved:
            return Standing.DONE if op.arrived_at else Standing.UNVERIFIED
        if op.phase in MOVED or op.arrived_at:
            # It had moved, and somebody moved it back.
            return Standing.OVERTAKEN
    if not op.plan.moves_traffic and op.phase is Phase.RESTORE and op.ending is Outcome.OPEN:
        return Standing.DONE
    return Standing.PARTLY if seen.in_place else Standing.NOT_STARTED


def carried(op: Operation, by: str, host: str, reached: Target | None = None) -> Operation:
    """The operation as somebody takes it up: whose it is from now on, whoever began it; `reached` is its place here."""
    other = reached if reached != op.plan.target else None
    return replace(op, carried_by=by if by != op.by else "", host=host, reached=other)


def resumed(op: Operation, state: Standing, now: float) -> Operation:
    """The operation as another executor goes on with it: the lock first, then from where it is safe to.

    Raises ValueError for one that was overtaken: there is nothing to go on with, only to abandon.
    """
    if state is Standing.OVERTAKEN:
        raise ValueError("it was overtaken")
    return replace(op, phase=Phase.LOCK, phase_at=now, then=_entry(op, state), halted="", words="taken up again")


def aborting(op: Operation, by: str, reason: str, now: float) -> Operation:
    """An operation that is taken up again only to be ended: undone, or its traffic moved back."""
    assert op.then is not None
    asked = Asked(Request(Verb.ABORT, op.id, by, now, reason))
    # Nobody is at its write any more: before the switch means that the traffic has not moved.
    then = Phase.READY if op.then is Phase.SWITCH else op.then
    there = advance(replace(op, phase=then, then=None), asked, now)
    return replace(there, phase=op.phase, then=there.phase)


def abandoned(op: Operation, by: str, reason: str, now: float) -> Operation:
    """The operation as it is given up: what it pinned is put back, everything else is left as it was found."""
    ending = op.ending if op.ending is not Outcome.OPEN else Outcome.ABANDONED
    why = f"abandoned by {by}: {reason}" + _left(op)
    return replace(op, phase=Phase.LOCK, phase_at=now, then=Phase.RESTORE, halted="", ending=ending, why=why, words=why)


def _left(op: Operation) -> str:
    """What it may have made, and stays; and how it is removed, by those who do not need it."""
    made = [op.plan.writes[number] for number in op.sent if op.plan.writes[number].body is not None]
    if not made or op.arrived_at:
        return ""
    commands = "; ".join(f"kubectl -n {write.namespace} delete {write.resource} {write.name}" for write in made)
    return f"; what it made stays, if it came to that: {commands}"


def _entry(op: Operation, state: Standing) -> Phase:
    """Where to go on: what is idempotent is done again, gates are asked again, traffic is moved once."""
    phase = op.then if op.phase is Phase.LOCK and op.then is not None else op.phase
    if phase in (Phase.CLEAN_UP, Phase.RETURN, Phase.RESTORE, Phase.ASK):
        return phase
    if op.plan.moves_traffic and state in (Standing.UNVERIFIED, Standing.DONE):
        return phase if phase in MOVED else Phase.VERIFY
    if phase is Phase.LOCK:
        return after(op, Phase.LOCK, None)
    return after(op, Phase.RECORD, None) if phase is not Phase.RECORD else Phase.RECORD
