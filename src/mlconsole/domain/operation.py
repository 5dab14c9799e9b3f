"""The state machine of an operation: pure, from what happened to what comes next (docs/operations.md has its picture).

The executor performs the phase that an operation is in, tells the machine what came of it, and keeps what the machine
says before anything else. Whatever happens, in whatever order, an operation never waits without an end, never undoes
what it did not do, and never moves traffic twice in one direction.
"""

from __future__ import annotations

import enum

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.history import Outcome
from mlconsole.domain.phases import MOVED, UNDOABLE, UNMADE, Phase
from mlconsole.domain.plans import Gate, Plan, Target, Write


class Verb(enum.StrEnum):
    """What a person may ask of an operation under way."""

    ABORT = "abort"
    """End it: undo what it made, or move the traffic back where it has moved."""
    KEEP = "keep"
    """The release stays: now, or when the watch window has passed."""
    APPROVE = "approve"
    """By a second person."""
    HAND_OVER = "handover"
    """Its executor stops at the next safe point and gives up the lock: somebody else goes on with it."""

    @property
    def said(self) -> str:
        """The verb in a sentence: "asked to hand over"."""
        return "hand over" if self is Verb.HAND_OVER else self.value


class Request(Struct, frozen=True):
    """What somebody asks of an operation."""

    verb: Verb
    operation: str
    by: str
    at: float
    reason: str = ""
    host: str = ""


class Operation(Struct, frozen=True, omit_defaults=True):
    """An operation under way, whole: what any console needs to show it, go on with it, or end it."""

    plan: Plan
    by: str
    started_at: float
    phase: Phase = Phase.LOCK
    phase_at: float = 0.0
    host: str = ""
    terminal: str = ""
    reason: str = ""
    waived: tuple[str, ...] = ()
    tokens: tuple[int, ...] = ()
    """The fencing tokens that it wrote under, one an executor: the last is that of the lock that it holds (I7)."""
    then: Phase | None = None
    """Where it goes on once it has the lock again."""
    sent: tuple[int, ...] = ()
    """The plan's writes, by their number, that were sent: each may have been applied."""
    inherited: tuple[Write, ...] = ()
    """What an operation that this one took the service from had pinned and not put back."""
    gates: tuple[Gate, ...] = ()
    """The evidence gathered on the way, the last of each name."""
    arrived_at: float = 0.0
    """When the traffic was seen on the destination."""
    kept: bool = False
    leaving: bool = False
    """Somebody asked for its end while the traffic was being moved."""
    ending: Outcome = Outcome.OPEN
    """How it ends once everything is put back; OPEN while that is not decided."""
    words: str = ""
    """The last thing that happened."""
    why: str = ""
    """Why it left its route."""
    halted: str = ""
    """Why its executor gave up; it stays as it is until somebody says how it goes on (I18)."""
    carried_by: str = ""
    """Who took it up, where that is somebody else than who began it."""
    reached: Target | None = None
    """What the place is called by whoever took it up, where they call it otherwise."""

    unkept: bool = False
    """Whether traffic goes back because nobody kept it in time: that says nothing of the release."""
    masked: bool = False
    """Whether secrets were taken out of its plan: its writes cannot be sent again from here (I27)."""

    @property
    def id(self) -> str:
        """The plan's."""
        return self.plan.id

    @property
    def target(self) -> Target:
        """Where its executor connects to: the plan's place, as its machine calls it."""
        return self.reached or self.plan.target

    @property
    def key(self) -> str:
        """`namespace/service`."""
        return f"{self.plan.target.namespace}/{self.plan.service}"

    @property
    def token(self) -> int:
        """The fencing token that it holds, or held last; 0 for one that never had the lock."""
        return self.tokens[-1] if self.tokens else 0

    @property
    def carrier(self) -> str:
        """Whose executor is at work on it, or was last."""
        return self.carried_by or self.by

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase is Phase.DONE

    def settled(self, outcome: Outcome, now: float, words: str) -> Operation:
        """This operation, ended so."""
        arrived = now if outcome is Outcome.VERIFIED else 0.0
        return replace(self, ending=outcome, arrived_at=arrived, words=words, why="")

    @property
    def running(self) -> bool:
        """Whether an executor is to go on with it."""
        return not self.ended and not self.halted


# ---- what happens


class Passed(Struct, frozen=True):
    """The phase did what it is for."""

    words: str = ""
    gates: tuple[Gate, ...] = ()


class Failed(Struct, frozen=True):
    """It did not, and that is certain: a write was refused, a gate said no."""

    words: str
    gates: tuple[Gate, ...] = ()


class Expired(Struct, frozen=True):
    """Its time is over (I20)."""

    words: str
    gates: tuple[Gate, ...] = ()


class Halted(Struct, frozen=True):
    """It cannot go on: a write may have been applied and nobody can say, or its executor is told to end."""

    words: str


class Asked(Struct, frozen=True):
    """Somebody asked for something."""

    request: Request


class Overtaken(Struct, frozen=True):
    """Somebody else holds the lock, or changed what this operation rests on."""

    words: str
    locked: bool = False
    """Whether the lock is still ours: then what was pinned is put back (I5)."""


Event = Passed | Failed | Expired | Halted | Asked | Overtaken


def begin(
    plan: Plan,
    by: str,
    now: float,
    *,
    host: str = "",
    terminal: str = "",
    reason: str = "",
    waived: tuple[str, ...] = (),
) -> Operation:
    """The operation of a plan that was confirmed; waived is what there is to waive: its gates, and those to come."""
    known = {gate.name for gate in plan.gates} | set(plan.route)
    kept = tuple(name for name in waived if name in known)
    return Operation(
        plan, by, now, phase_at=now, host=host, terminal=terminal, reason=reason, waived=kept, words="confirmed"
    )


def advance(op: Operation, event: Event, now: float) -> Operation:
    """What an operation is after `event`. One that has ended, or was given up, stays as it is."""
    if not op.running:
        return op
    if isinstance(event, Asked):
        return _asked(op, event.request, now)
    if isinstance(event, Overtaken):
        way = Phase.RESTORE if event.locked else Phase.DONE
        return _go(replace(op, ending=Outcome.OVERTAKEN, why=event.words), way, event.words, now)
    if isinstance(event, Halted):
        return replace(op, halted=event.words, words=event.words)
    op = replace(op, gates=_merged(op.gates, event.gates))
    if isinstance(event, Passed):
        return _passed(op, event.words, now)
    return _failed(op, event, now)


def sending(op: Operation, number: int) -> Operation:
    """`op`, about to send the plan's write with that number: kept before it is sent (I17)."""
    return op if number in op.sent else replace(op, sent=(*op.sent, number))


def _passed(op: Operation, words: str, now: float) -> Operation:
    if op.phase is Phase.ASK:
        return op  # only a person, or the end of its time, goes on from here
    if op.phase is Phase.VERIFY and not op.arrived_at:
        op = replace(op, arrived_at=now)
    if op.phase is Phase.RETURN:
        op = replace(op, ending=Outcome.RETURNED)
    if op.phase is Phase.RESTORE:
        ending = Outcome.VERIFIED if op.ending is Outcome.OPEN else op.ending
        return _go(replace(op, ending=ending), Phase.DONE, op.why or words, now)
    way = Phase.RESTORE if op.phase in (Phase.RETURN, Phase.CLEAN_UP) else _next(op)
    if op.phase is Phase.RETURN and op.plan.kind in UNMADE:
        way = Phase.CLEAN_UP
    if op.phase is Phase.LOCK and op.then is not None:
        way, op = op.then, replace(op, then=None)
    if op.phase is Phase.SWITCH and op.leaving and not op.plan.backward:
        way = Phase.RETURN
    return _go(op, way, words, now)


_FAILS: dict[Phase, tuple[Outcome, Phase]] = {
    Phase.LOCK: (Outcome.FAILED, Phase.DONE),
    Phase.RECORD: (Outcome.FAILED, Phase.RESTORE),
    **dict.fromkeys(UNDOABLE, (Outcome.FAILED, Phase.CLEAN_UP)),
    Phase.SWITCH: (Outcome.FAILED, Phase.CLEAN_UP),
    Phase.VERIFY: (Outcome.UNVERIFIED, Phase.RESTORE),
    Phase.WATCH: (Outcome.OPEN, Phase.ASK),
    Phase.KEEP: (Outcome.RETURNED, Phase.RETURN),
    Phase.ASK: (Outcome.UNVERIFIED, Phase.RESTORE),
    Phase.RETURN: (Outcome.UNVERIFIED, Phase.RESTORE),
}
"""How an operation will end, and where it goes, when a phase fails. The others are told, and passed by."""


def _failed(op: Operation, event: Failed | Expired, now: float) -> Operation:
    phase, plan, words = op.phase, op.plan, event.words
    if phase is Phase.RESTORE or (phase is Phase.LOCK and op.then is not None):
        # What is pinned stays pinned until somebody takes it up again.
        return replace(op, halted=words, words=words)
    if phase not in _FAILS:
        why = f"{op.why}; left behind: {words}" if phase is Phase.CLEAN_UP else op.why or words
        return _go(replace(op, why=why), _next(op), words, now)
    ending, way = _FAILS[phase]
    if phase in UNDOABLE and plan.keeps_failed and not plan.moves_traffic:
        way = Phase.RESTORE
    worse = phase is Phase.VERIFY or (phase is Phase.WATCH and isinstance(event, Failed))
    if worse and plan.returns and not plan.backward:
        ending, way = Outcome.RETURNED, Phase.RETURN
    if phase is Phase.SWITCH and op.leaving:
        ending = Outcome.ABORTED
    if phase is Phase.KEEP:
        op = replace(op, unkept=True)
    if phase is Phase.RETURN:
        words = f"the traffic could NOT be moved back: {words}"
    return _leave(op, ending, way, op.why if phase is Phase.ASK and op.why else words, now)


def _asked(op: Operation, request: Request, now: float) -> Operation:
    if request.operation != op.id:
        return op
    said = f"{request.by} asked to {request.verb}" + (f": {request.reason}" if request.reason else "")
    if request.verb is Verb.ABORT:
        return _abort(op, said, now)
    if request.verb is Verb.HAND_OVER:
        return _hand_over(op, request)
    if request.verb is Verb.APPROVE:
        second = op.phase is Phase.APPROVAL and request.by and request.by != op.by
        return _go(op, _next(op), said, now) if second else op
    return _keep(op, said, now)


def _keep(op: Operation, said: str, now: float) -> Operation:
    if op.phase is Phase.ASK:
        # Somebody looked at what the gate said, and answers for it.
        return _go(replace(op, kept=True, why=""), after(op, Phase.WATCH, skip=Phase.KEEP), said, now)
    if op.phase is Phase.KEEP:
        return _go(replace(op, kept=True), _next(op), said, now)
    later = Phase.KEEP in op.plan.route and not op.kept and op.phase in (Phase.VERIFY, Phase.ALIAS, Phase.WATCH)
    return replace(op, kept=True, words=said) if later else op


def _abort(op: Operation, said: str, now: float) -> Operation:
    """End it on the shortest way; nothing where there is nothing to end, or where it is on its way out (I19)."""
    if op.phase is Phase.LOCK and op.then is None:
        return _go(replace(op, ending=Outcome.ABORTED, why=said), Phase.DONE, said, now)
    if op.phase is Phase.RECORD:
        return _leave(op, Outcome.ABORTED, Phase.RESTORE, said, now)
    if op.phase in UNDOABLE:
        return _leave(op, Outcome.ABORTED, Phase.CLEAN_UP, said, now)
    if op.phase is Phase.SWITCH:
        return replace(op, leaving=True, words=said, why=op.why or said)
    if op.phase in MOVED - {Phase.RETURN, Phase.RETIRE} and not op.plan.backward:
        return _leave(op, Outcome.RETURNED, Phase.RETURN, said, now)
    return op


_KEPT_IN_HAND = frozenset(
    {Phase.LOCK, Phase.RECORD, Phase.RETIRE, Phase.CLEAN_UP, Phase.RETURN, Phase.RESTORE, Phase.DONE}
)
"""Phases in which an operation is not handed over: not on record yet, or over before anybody could take it up."""


def _hand_over(op: Operation, request: Request) -> Operation:
    if op.phase in _KEPT_IN_HAND:
        return op
    said = f"handed over by {request.by}" + (f": {request.reason}" if request.reason else "")
    return replace(op, halted=said, words=said)


def ways(op: Operation, by: str = "") -> tuple[Verb, ...]:
    """What a person may ask of an operation as it is: `by`, where it is known who that is."""
    found = []
    for verb in Verb:
        asked = Request(verb, op.id, by or "\x00somebody else", op.phase_at)
        if advance(op, Asked(asked), op.phase_at) != op:
            found.append(verb)
    return tuple(found)


def _go(op: Operation, phase: Phase, words: str, now: float) -> Operation:
    return replace(op, phase=phase, phase_at=now, words=words or op.words)


def _leave(op: Operation, ending: Outcome, way: Phase, why: str, now: float) -> Operation:
    return _go(replace(op, ending=ending, why=why), way, why, now)


def _next(op: Operation) -> Phase:
    """The phase of its route after the one that it is in."""
    skip = Phase.KEEP if op.kept else None
    return after(op, op.phase, skip)


def after(op: Operation, phase: Phase, skip: Phase | None = None) -> Phase:
    """The phase of its route that comes after `phase`, `skip` left out."""
    route = [item for item in op.plan.route if item is not skip]
    order = list(Phase)
    return next((item for item in route if order.index(item) > order.index(phase)), Phase.RESTORE)


def _merged(known: tuple[Gate, ...], new: tuple[Gate, ...]) -> tuple[Gate, ...]:
    names = {gate.name for gate in new}
    return (*(gate for gate in known if gate.name not in names), *new)
