"""The way of an operation through its phases, in a compact line: what is done, what is under way, what is to come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlconsole.domain.phases import Phase
from mlconsole.ui.spans import Line, Slot, Span, flowed, line

DOING = {
    Phase.LOCK: "taking the service's lock",
    Phase.RECORD: "recording the intent",
    Phase.PIN: "holding the autoscalers",
    Phase.BRING_UP: "making the change",
    Phase.READY: "waiting for its pods",
    Phase.SMOKE: "smoke-testing its pods",
    Phase.PARITY: "comparing both colours' answers",
    Phase.ANALYSIS: "measuring it",
    Phase.APPROVAL: "waiting for a second person",
    Phase.SWITCH: "moving the traffic",
    Phase.VERIFY: "looking whether the traffic arrives",
    Phase.ALIAS: "moving the registry's alias",
    Phase.WATCH: "watching it under traffic",
    Phase.KEEP: "waiting for somebody to keep it",
    Phase.DRAIN: "letting the last requests end",
    Phase.RETIRE: "taking down what was left",
    Phase.CLEAN_UP: "undoing what it made",
    Phase.RETURN: "moving the traffic back",
    Phase.ASK: "waiting for a person to say how it goes on",
    Phase.RESTORE: "putting back what it held",
    Phase.DONE: "done",
}
"""Each phase as what is being done."""
WAITS = frozenset({Phase.APPROVAL, Phase.KEEP, Phase.ASK})
"""Phases that wait for a person: they are said loudly."""
WAYS_OUT = frozenset({Phase.CLEAN_UP, Phase.RETURN, Phase.ASK})


def phase_of(step: str) -> Phase | None:
    """The phase that a step of the progress belongs to; `write` and `check` are said within one."""
    return next((phase for phase in Phase if phase == step), None)


def passed(route: Sequence[Phase], at: Phase | None, seen: Iterable[str], *, arrived: bool = False) -> frozenset[Phase]:
    """The phases of a route that were gone through. `seen` are the steps that were told; the last may have failed.

    Where it stands says so while it is on its route; once it has left that, what was told does, and its arrival.
    """
    told = {phase for step in seen if (phase := phase_of(step)) is not None}
    if at in route and not (at is Phase.RESTORE and told & WAYS_OUT):
        return frozenset(route[: route.index(at)])
    reached = [phase for phase in route if phase in told]
    there = route[: route.index(Phase.VERIFY) + 1] if arrived and Phase.VERIFY in route else ()
    return frozenset(reached[:-1]) | frozenset(there)


def steps(route: Sequence[Phase], at: Phase | None, done: frozenset[Phase], width: int) -> list[Line]:
    """The phases of a route. `at` is where it stands, None before it began; a way out is said after what it left."""
    parts = [_step(phase, done=phase in done, here=phase is at) for phase in route]
    if at in WAYS_OUT:
        parts.append(line(Span(f"◀ {at}", Slot.BAD)))
    return flowed(parts, width)


def _step(phase: Phase, *, done: bool, here: bool) -> Line:
    if here:
        return line(Span(f"▶ {phase}", Slot.WARN if phase in WAITS else Slot.MARK))
    if done:
        return line(Span("✔", Slot.GOOD), f" {phase}")
    return line(Span(f"· {phase}", Slot.DIM))
