"""A plan as a person has to see it before saying yes: what, where, on which grounds, and the way back (I10)."""

from __future__ import annotations

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.plans import Gate, Plan, Verdict
from mlconsole.engine.protocol import Progress
from mlconsole.ui.render import words
from mlconsole.ui.render.deployment import VERDICTS
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, flowed, hue, joined, line, wrapped

LABEL = 10


def title(plan: Plan) -> str:
    """What is asked."""
    verb = "Roll back" if plan.kind is Kind.ROLLBACK else "Switch"
    where = f"revision {plan.revision}" if plan.revision else plan.to_color
    return f"{verb} {plan.service} to {where} {plan.to_release.label}"


def lines(plan: Plan, waived: frozenset[str], width: int) -> list[Line]:
    """The whole plan."""
    target = plan.target
    found = [
        _fact(
            "where",
            line(Span(f"{target.context} / {target.namespace}", Slot.STRONG), Span(f"  {target.server}", Slot.DIM)),
        ),
        _fact("as", line(target.user or "?")),
        _fact("traffic", _traffic(plan)),
    ]
    for diff in plan.diffs:
        found += _diff(diff.object, diff.path, diff.before, diff.after, width)
    found.append(_fact("dry run", _dry_run(plan)))
    found += [
        row for index, gate in enumerate(plan.gates) for row in _gate(gate, gate.name in waived, not index, width)
    ]
    found += _rights(plan, width)
    found.append(_fact("way back", line(plan.way_back)))
    seconds = f"about {plan.expected_seconds:.0f} s to traffic seen there" if plan.expected_seconds else "not known"
    found.append(_fact("takes", line(seconds, Span(f"   plan {plan.hash}", Slot.DIM))))
    for warning in plan.warnings:
        found += [_fact("note" if not i else "", piece) for i, piece in enumerate(_wrap(warning, width, Slot.WARN))]
    return found


def brief(plan: Plan, width: int) -> list[Line]:
    """What is done, once it was confirmed: the grounds give way to the steps."""
    found = [
        _fact("where", line(Span(f"{plan.target.context} / {plan.target.namespace}", Slot.STRONG))),
        _fact("traffic", _traffic(plan)),
    ]
    for diff in plan.diffs:
        found += _diff(diff.object, diff.path, diff.before, diff.after, width)
    return [*found, _fact("way back", line(plan.way_back))]


def _fact(label: str, value: Line) -> Line:
    return line(Span(f"{label:<{LABEL}}", Slot.DIM), *value)


def _wrap(text: str, width: int, slot: Slot = Slot.PLAIN) -> list[Line]:
    return wrapped(text, max(10, width - LABEL), slot, 3)


def _traffic(plan: Plan) -> Line:
    rate = plan.requests_per_second
    load = f"{rate:.1f} requests/s" if rate is not None else "requests/s not known"
    before = f"{plan.from_color} {plan.from_release.label}".strip() if plan.from_color or plan.revision else "no colour"
    after = f"{plan.to_color} {plan.to_release.label}".strip()
    return joined(
        [
            line(
                Span(before, hue(plan.from_color, True)),
                Span(f" ({plan.pods_from} ready)", Slot.DIM),
                Span(" → ", Slot.MARK),
                Span(after, hue(plan.to_color, False)),
                Span(f" ({plan.pods_to} ready)", Slot.DIM),
            ),
            line(load),
        ],
        "  ",
    )


def _diff(target: str, path: str, before: str, after: str, width: int) -> list[Line]:
    return [
        _fact("change", line(target, Span(f"  {path}", Slot.DIM))),
        _fact("", line(Span(f"- {before}", Slot.BAD), "   ", Span(f"+ {after}", Slot.GOOD))),
    ]


def _dry_run(plan: Plan) -> Line:
    if plan.dry_run == "accepted":
        return line(VERDICTS[Verdict.PASS], " accepted by the API server")
    return line(VERDICTS[Verdict.FAIL], Span(f" {plan.dry_run}", Slot.BAD))


def _gate(gate: Gate, waived: bool, first: bool, width: int) -> list[Line]:
    slot = {Verdict.PASS: Slot.GOOD, Verdict.FAIL: Slot.BAD, Verdict.UNKNOWN: Slot.WARN}[gate.verdict]
    said = Span(f" {gate.verdict}", slot)
    notes = []
    if waived:
        notes.append("WAIVED")
    elif gate.verdict is not Verdict.PASS and not gate.blocks:
        notes.append("informs only")
    elif gate.stops:
        notes.append("stops this; w waives it with a reason" if gate.waivable else "stops this; cannot be waived")
    parts = [
        line(VERDICTS[gate.verdict], f" {gate.name}", said),
        line(gate.value, Span(f", needed {gate.limit}" if gate.limit else "", Slot.DIM)),
        line(Span("; ".join(notes), Slot.WARN)),
    ]
    rows = flowed(parts, width - LABEL)
    found = [_fact("gates" if first and not index else "", row) for index, row in enumerate(rows)]
    if gate.evidence:
        age = f", {words.age(gate.age)} old" if gate.age >= 1 else ""
        found += [_fact("", line("  ", *piece)) for piece in _wrap(gate.evidence + age, width - 2, Slot.DIM)]
    return found


def _rights(plan: Plan, width: int) -> list[Line]:
    missing = plan.missing_rights
    if not missing:
        return [_fact("rights", line(VERDICTS[Verdict.PASS], f" all {len(plan.rights)} that it and its way back need"))]
    words_of = ", ".join(f"{right.verb} {right.resource}" for right in missing)
    return [_fact("rights", line(VERDICTS[Verdict.FAIL], Span(f" missing: {words_of}", Slot.BAD)))]


def progress(steps: list[Progress], width: int) -> list[Line]:
    """What happened so far."""
    found: list[Line] = [EMPTY]
    for step in steps:
        slot = Slot.PLAIN
        if step.outcome is Outcome.VERIFIED:
            slot = Slot.GOOD
        elif step.outcome is not None or step.words.startswith("WARNING"):
            slot = Slot.BAD
        label = f"{words.clock(step.at)} {step.step:<7} "
        for index, piece in enumerate(wrapped(step.words, max(10, width - len(label)), slot, 3)):
            found.append(line(Span(label if not index else " " * len(label), Slot.DIM), *piece))
    return found
