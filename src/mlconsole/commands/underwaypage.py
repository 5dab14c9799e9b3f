"""An operation under way, or interrupted, for people and as JSON (I18)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlconsole.commands import planpage
from mlconsole.commands.page import Page
from mlconsole.domain.operation import Operation
from mlconsole.domain.phases import Phase
from mlconsole.engine.underway import UnderWay

MARKS = {True: "at work", False: "INTERRUPTED"}


def show_all(page: Page, found: Sequence[UnderWay], now: float) -> None:
    """One line each."""
    heads = ("SERVICE", "OPERATION", "TO", "BY", "PHASE", "SINCE", "", "HOLDER", "CAN BE", "WHAT HAPPENED LAST")
    page.table(heads, [_row(under, now) for under in found])


def _row(under: UnderWay, now: float) -> tuple[str, ...]:
    op = under.operation
    return (
        op.key,
        op.plan.kind,
        _to(op),
        op.by,
        op.phase,
        lasting(now - op.phase_at),
        how(under),
        under.holder or "nobody",
        ", ".join(_PASSIVE[verb] for verb in under.verbs),
        op.halted or op.words,
    )


def how(under: UnderWay) -> str:
    """Whether somebody is at it, and if not, what it has come to."""
    return MARKS[under.alive] + (f", {under.standing}" if under.standing else "")


_PASSIVE = {
    "abort": "aborted",
    "keep": "kept",
    "approve": "approved",
    "handover": "handed over",
    "resume": "resumed",
    "abandon": "abandoned",
}


def show(page: Page, under: UnderWay, now: float) -> None:
    """All about one, its evidence included."""
    op = under.operation
    page.title(f"{op.plan.kind.upper()} {op.key}   operation {op.id}   {how(under)}")
    steps = [f"[{phase}]" if phase is op.phase else phase for phase in op.plan.route]
    if op.phase not in op.plan.route:
        steps.append(f"[{op.phase}]")
    here = " on this machine" if under.here else ""
    page.facts(
        [
            ("from", f"{op.plan.from_color} {op.plan.from_release.label}".strip()),
            ("to", _to(op)),
            ("by", f"{op.by} on {op.host or '(unknown)'}, {lasting(now - op.started_at)} ago"),
            ("taken up by", op.carried_by),
            ("reason", op.reason),
            ("steps", " > ".join(steps)),
            ("last", f"{op.words}, {lasting(now - op.phase_at)} ago" if op.words else ""),
            ("why", op.why if op.why != op.words else ""),
            ("stopped", op.halted),
            ("holder", f"{under.holder}{here}" if under.holder else "nobody has its lock"),
            ("lock", _lock(under)),
            ("can be", ", ".join(_PASSIVE[verb] for verb in under.verbs) or "nothing asked now"),
        ]
    )
    planpage.show_gates(page, op.gates, op.waived)


def _lock(under: UnderWay) -> str:
    if under.alive or under.seconds_left <= 0:
        return ""
    return f"may be taken in {under.seconds_left:.0f} s, unless its holder gives a sign of life"


def _to(op: Operation) -> str:
    return f"{op.plan.to_color} {op.plan.to_release.label}".strip()


def lasting(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h`, `5 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def advice(under: UnderWay) -> list[str]:
    """What to type next."""
    key = under.operation.key
    if under.alive and under.operation.phase is Phase.ASK:
        return [
            f"it asks: `mlconsole keep {key}` lets the release stay, `mlconsole abort {key}` moves the traffic back"
        ]
    return [f"`mlconsole {verb} {key}`" for verb in under.verbs]


def as_json(under: UnderWay) -> dict[str, Any]:
    """With stable keys."""
    op, plan = under.operation, under.operation.plan
    return {
        "id": op.id,
        "kind": plan.kind,
        "service": plan.service,
        "namespace": plan.target.namespace,
        "from": {"color": plan.from_color or None, "version": plan.from_release.version or None},
        "to": {"color": plan.to_color or None, "version": plan.to_release.version or None},
        "by": op.by,
        "host": op.host or None,
        "carried_by": op.carried_by or None,
        "reason": op.reason,
        "waived": list(op.waived),
        "started_at": op.started_at,
        "phase": op.phase,
        "phase_at": op.phase_at,
        "route": list(plan.route),
        "arrived_at": op.arrived_at or None,
        "kept": op.kept,
        "words": op.words,
        "why": op.why,
        "alive": under.alive,
        "here": under.here,
        "holder": under.holder or None,
        "standing": under.standing,
        "stopped": op.halted or None,
        "seconds_left": under.seconds_left,
        "can": list(under.verbs),
        "gates": [planpage.gate_json(gate) for gate in op.gates],
    }
