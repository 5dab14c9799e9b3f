"""A plan as a person has to see it before saying yes: what, where, on which grounds, and the way back (I10)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import ACCEPTED, Diff, Gate, Plan, Verdict, counted
from mlconsole.engine.protocol import Progress
from mlconsole.ui.render import words
from mlconsole.ui.render.deployment import VERDICTS
from mlconsole.ui.render.route import phase_of, steps
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, flowed, hue, joined, line, plain, width_of, wrapped

LABEL = 10
DIFFS = 14
"""Changed fields of one object that are shown; more are counted."""
TOLD = 3
"""Lines of progress in one phase that are shown, the last ones."""
VERBS = {
    Kind.SWITCH: "Switch",
    Kind.ROLLBACK: "Roll back",
    Kind.DEPLOY: "Deploy",
    Kind.SCALE: "Scale",
    Kind.RESTART: "Restart",
    Kind.PAUSE: "Hold the rollout of",
    Kind.UNPAUSE: "Let go the rollout of",
    Kind.ADOPT: "Adopt",
    Kind.RELEASE: "Release",
    Kind.DRILL: "Rehearse the rollback of",
}
"""What each kind's title begins with; its first word or two stand on the button."""
BUTTONS = {Kind.PAUSE: "Hold", Kind.UNPAUSE: "Let go", Kind.DRILL: "Rehearse"}


def title(plan: Plan) -> str:
    """What is asked."""
    verb, to = VERBS[plan.kind], f"{plan.to_color} {plan.to_release.label}".strip()
    match plan.kind:
        case Kind.DEPLOY:
            then = ", then switch to it" if plan.moves_traffic else ""
            return f"{verb} {plan.to_release.label} of {plan.service} on {plan.to_color or 'the idle colour'}{then}"
        case Kind.SCALE:
            return f"{verb} {plan.service} {plan.to_color} to {plan.replicas}"
        case Kind.RESTART | Kind.PAUSE | Kind.UNPAUSE:
            return f"{verb} {plan.service} {to}"
        case Kind.ADOPT:
            return f"{verb} {plan.service}: one Deployment becomes blue-green"
        case Kind.RELEASE:
            return f"{verb} {plan.service}: blue-green becomes one Deployment again"
        case _:
            where = f"revision {plan.revision} {plan.to_release.label}" if plan.revision else to
            return f"{verb} {plan.service} to {where}"


def button(plan: Plan) -> str:
    """What the button that says yes is called."""
    if plan.kind is Kind.DEPLOY and plan.moves_traffic:
        return "Deploy and switch"
    return BUTTONS.get(plan.kind, VERBS[plan.kind])


def lines(plan: Plan, waived: frozenset[str], width: int) -> list[Line]:
    """The whole plan."""
    target = plan.target
    place = Span(f"{target.context} / {target.namespace}", Slot.STRONG)
    found = [
        *_loud(plan, waived, width),
        *_facts("where", [line(place), line(Span(target.server, Slot.DIM))], width),
        *_facts("as", [line(target.user or "?")], width),
        *_traffic(plan, width),
        *_changes(plan, width),
        *_facts("phases", [*steps(plan.route, None, frozenset(), width - LABEL)], width, apart=True),
        *_dry_run(plan, width),
    ]
    found += [
        row for index, gate in enumerate(plan.gates) for row in _gate(gate, gate.name in waived, not index, width)
    ]
    found += _rights(plan, width)
    found += _facts("way back", _wrap(plan.way_back, width), width, apart=True)
    takes = f"about {plan.expected_seconds:.0f} s" if plan.expected_seconds else "not known"
    seen = " to traffic seen there" if plan.expected_seconds and plan.moves_traffic else ""
    found += _facts("takes", [line(takes + seen), line(Span(f"plan {plan.hash}", Slot.DIM))], width)
    for warning in plan.warnings:
        found += _facts("note", _wrap(warning, width, Slot.WARN), width, apart=True)
    return found


def brief(plan: Plan, width: int) -> list[Line]:
    """What is done, once it was confirmed: the grounds give way to the steps."""
    found = [
        *_facts("where", [line(Span(f"{plan.target.context} / {plan.target.namespace}", Slot.STRONG))], width),
        *_traffic(plan, width),
    ]
    if len(plan.diffs) == 1:
        found += _changes(plan, width)
    return [*found, *_facts("way back", _wrap(plan.way_back, width), width, apart=True)]


def _loud(plan: Plan, waived: frozenset[str], width: int) -> list[Line]:
    """What nobody may miss: what stops it, a cold destination, an operation taken over, a lock that is broken."""
    found = []
    stopping = plan.stopping(waived)
    if stopping:
        note = "by " + ", ".join(f"{gate.name} {gate.verdict}" for gate in stopping)
        found += _facts("STOPPED", _wrap(note, width, Slot.BAD), width, apart=True)
    if plan.cold:
        note = f"{plan.to_color} {plan.to_release.label} is cold: {plan.cold}; it is brought up before traffic moves"
        found += _facts("COLD", _wrap(note, width, Slot.WARN), width, apart=True)
    if plan.preempts:
        note = f"this takes the service from {plan.preempts}"
        found += _facts("TAKES", _wrap(note, width, Slot.WARN), width, apart=True)
    elif plan.holder:
        note = f"{plan.holder} holds the lock: to go on breaks it, with a reason"
        found += _facts("BREAKS", _wrap(note, width, Slot.BAD), width, apart=True)
    return found


def flow(parts: Sequence[Line], width: int) -> list[Line]:
    """Parts beside each other as far as there is room; what is longer than a line is broken."""
    return [row for part in flowed(parts, width) for row in _folded(part, width)]


def _facts(label: str, parts: Sequence[Line], width: int, *, apart: bool = False) -> list[Line]:
    """A label and what belongs to it: beside each other as far as there is room, or each on a line of its own."""
    room = max(10, width - LABEL)
    laid = list(parts) if apart else flow(parts, room)
    return [line(Span(f"{'' if index else label:<{LABEL}}", Slot.DIM), *row) for index, row in enumerate(laid)]


def _folded(part: Line, width: int) -> list[Line]:
    """A line that is too long, broken: nothing of a plan is cut."""
    text = plain(part)
    return [part] if len(text) <= width else wrapped(text, width, part[-1].slot)


def _wrap(text: str, width: int, slot: Slot = Slot.PLAIN) -> list[Line]:
    return wrapped(text, max(10, width - LABEL), slot)


def _traffic(plan: Plan, width: int) -> list[Line]:
    """Where the traffic is, and where it goes."""
    load = line(plan.load)
    before = f"{plan.from_color} {plan.from_release.label}".strip() if plan.from_color or plan.revision else "no colour"
    after = f"{plan.to_color} {plan.to_release.label}".strip()
    origin = line(Span(before, hue(plan.from_color, True)), Span(f" ({plan.pods_from} ready)", Slot.DIM))
    if not plan.moves_traffic:
        stays = line("stays on ", *origin) if plan.from_color else line("is not moved")
        found = _facts("traffic", [stays, load], width)
        now = Span(f" ({counted(plan.pods_to)} ready there now)", Slot.DIM)
        goal = line(Span(after, hue(plan.to_color, False)), now, _wish(plan))
        return found if plan.kind is Kind.DRILL else [*found, *_facts("on", [goal], width)]
    arrow = line(*origin, Span(" → ", Slot.MARK), Span(after, hue(plan.to_color, False)))
    return _facts("traffic", [line(*arrow, Span(f" ({plan.pods_to} ready)", Slot.DIM), _wish(plan)), load], width)


def _wish(plan: Plan) -> str:
    return f", {plan.replicas} wanted" if plan.replicas else ""


def _changes(plan: Plan, width: int) -> list[Line]:
    """Every field that changes, by object; what is written without a field to show is named."""
    found: list[Line] = []
    label = "would be" if plan.kind is Kind.DRILL else "change"
    for name, group in itertools.groupby(plan.diffs, key=lambda diff: diff.object):
        found += _object(label, name, list(group), width)
    for write in plan.writes if not plan.diffs else ():
        found += _facts("change", [line(f"{write.verb} {write.label}")], width)
    if not plan.writes or plan.kind is Kind.DRILL:
        found += _facts("change", [line(Span("nothing is written but its record", Slot.GOOD))], width)
    return found


def _object(label: str, name: str, diffs: Sequence[Diff], width: int) -> list[Line]:
    found = _facts(label, [line(name), line(Span(diffs[0].path, Slot.DIM))] if len(diffs) == 1 else [line(name)], width)
    for diff in diffs[:DIFFS]:
        path = EMPTY if len(diffs) == 1 else line(Span(diff.path, Slot.DIM))
        before = line(Span(f"- {diff.before}", Slot.BAD)) if diff.before else EMPTY
        after = line(Span(f"+ {diff.after}", Slot.GOOD)) if diff.after else EMPTY
        both = joined([before, after])
        # Before and after stand beside each other wherever a line holds both.
        values = [both] if width_of(both) <= width - LABEL - 2 else [before, after]
        found += _facts("", [part for part in (path, *values) if part], width)
    if len(diffs) > DIFFS:
        found += _facts("", [line(Span(f"and {len(diffs) - DIFFS} more fields", Slot.DIM))], width)
    return found


def _dry_run(plan: Plan, width: int) -> list[Line]:
    if plan.dry_run == ACCEPTED:
        return _facts("dry run", [line(VERDICTS[Verdict.PASS], " accepted by the API server")], width)
    sign, *rest = _wrap(f"✖ {plan.dry_run or 'not tried'}", width, Slot.BAD)
    return _facts("dry run", [sign, *rest], width, apart=True)


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
    head = line(VERDICTS[gate.verdict], f" {gate.name}", said)
    value = line(gate.value, Span(f", needed {gate.limit}" if gate.limit else "", Slot.DIM))
    parts = [part for part in (head, value, line(Span("; ".join(notes), Slot.WARN))) if part]
    room = max(10, width - LABEL - 2)
    beside, *below = flowed(parts, room)
    rows = [row for _, *part in below for row in _apart(gate, tuple(part), room)]
    if gate.evidence:
        age = f", {words.age(gate.age)} old" if gate.age >= 1 else ""
        rows += wrapped(gate.evidence + age, room, Slot.DIM, 6)
    return [*_facts("gates" if first else "", [beside], width), *(line(" " * (LABEL + 2), *row) for row in rows)]


def _apart(gate: Gate, part: Line, room: int) -> list[Line]:
    """What has no room beside a gate's name, broken where it is too long; what was found stands out."""
    if len(plain(part)) <= room:
        return [part]
    if plain(part).startswith(gate.value) and gate.limit:
        return [*wrapped(gate.value, room), *wrapped(f"needed {gate.limit}", room, Slot.DIM)]
    return wrapped(plain(part), room, part[-1].slot)


def gates(found: Iterable[Gate], width: int) -> list[Line]:
    """The evidence that an operation gathered on its way."""
    return [row for index, gate in enumerate(found) for row in _gate(gate, False, not index, width)]


def _rights(plan: Plan, width: int) -> list[Line]:
    missing = plan.missing_rights
    if not missing:
        said = f" all {len(plan.rights)} that it and its way back need"
        return _facts("rights", [line(VERDICTS[Verdict.PASS], said)], width)
    words_of = ", ".join(f"{right.verb} {right.resource}" for right in missing)
    return _facts("rights", _wrap(f"✖ missing: {words_of}", width, Slot.BAD), width, apart=True)


def progress(told: Sequence[Progress], width: int) -> list[Line]:
    """What happened so far, by phase: of one that says much, its last words. How it ended is said elsewhere."""
    found: list[Line] = [EMPTY]
    for step, group in itertools.groupby(_once(told), key=_step):
        items = list(group)
        hidden = len(items) - TOLD
        for index, item in enumerate(items[max(0, hidden) :]):
            name = step if not index else ""
            found += _told(item, f"{words.clock(item.at)} {name:<9} ", width)
        if hidden > 0:
            found.append(line(Span(f"{'':<20}{hidden} lines before these", Slot.DIM)))
    return found


def _once(told: Sequence[Progress]) -> list[Progress]:
    """Without what says the same again in the next line, and without the end."""
    lines = [item for item in told if not (item.over and item.outcome)]
    return [item for item, after in itertools.zip_longest(lines, lines[1:]) if not after or item.words != after.words]


def _step(item: Progress) -> str:
    """What stands before a line: one that was handed over is not done."""
    return "stopped" if item.outcome is Outcome.OPEN else item.step


def conclusion(told: Sequence[Progress]) -> str:
    """How it ended in its own words: what its end says, or, where that was said before, what the outcome rests on."""
    *before, end = told
    said = {item.words for item in before}
    rests = next((item.words for item in reversed(before) if item.outcome is end.outcome), "")
    return rests if rests and end.words in said else end.words


def _told(item: Progress, label: str, width: int) -> list[Line]:
    slot = Slot.PLAIN
    if item.outcome is Outcome.VERIFIED:
        slot = Slot.GOOD
    elif item.outcome is not None or item.words.startswith("WARNING") or phase_of(item.step) is Phase.ASK:
        slot = Slot.BAD
    pieces = wrapped(item.words, max(10, width - len(label)), slot, 6)
    return [
        line(Span(label if not index else " " * len(label), Slot.DIM), *piece) for index, piece in enumerate(pieces)
    ]
