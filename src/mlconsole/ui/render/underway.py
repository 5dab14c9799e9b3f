"""An operation under way in a few words: for the header, the deployment pane, a row of the fleet, a list.

What waits for a person, and what lost its executor, is said loudly; what goes its way is said quietly.
"""

from __future__ import annotations

from msgspec import Struct

from mlconsole.domain.history import Kind
from mlconsole.domain.operation import Operation
from mlconsole.domain.phases import MOVED, Phase
from mlconsole.engine.protocol import OperationLine, Place
from mlconsole.ui.render import words
from mlconsole.ui.render.route import DOING, WAITS, passed, steps
from mlconsole.ui.spans import Line, Slot, Span, flowed, hue, indented, line, wrapped
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row

COLUMNS = (
    Column("service", 10, 40),
    Column("what", 8, 34, drop=1),
    Column("stands", 31, 60, grows=True),
    Column("left", 4, 6, right=True),
    Column("for", 3, 6, right=True, drop=2),
    Column("by", 3, 24, drop=3),
    Column("on", 3, 24, drop=4),
)


class Verb(Struct, frozen=True):
    """Something that can be asked of an operation."""

    name: str
    key: str
    label: str


VERBS = (
    Verb("keep", "K", "keep it"),
    Verb("approve", "p", "approve"),
    Verb("handover", "h", "hand over"),
    Verb("resume", "r", "resume"),
    Verb("abort", "a", "abort"),
    Verb("abandon", "b", "abandon"),
)


def what(op: Operation) -> str:
    """`switch to blue v12`."""
    plan = op.plan
    if plan.kind in (Kind.ADOPT, Kind.RELEASE, Kind.DRILL):
        return plan.kind.value
    to = f"{plan.to_color} {plan.to_release.label}".strip()
    return f"{plan.kind} {'to ' if plan.moves_traffic or plan.kind is Kind.DEPLOY else ''}{to}".strip()


def waits(item: OperationLine) -> bool:
    """Whether a person has to say something: an executor waits for a word, or there is none any more."""
    return not item.alive or item.operation.phase in WAITS


def mark(item: OperationLine) -> Span:
    """The sign of an operation in a row."""
    return Span(" ▶!", Slot.BAD) if waits(item) else Span(" ▶", Slot.MARK)


def left(item: OperationLine, now: float) -> str:
    """What is left of its phase's time, or nothing: a drain may go on when its time has passed."""
    return words.countdown(item.until - now) if item.alive and item.until > now else ""


def short(item: OperationLine, now: float) -> Line:
    """For the header: `▶ switch: watch 3:12 left`."""
    op = item.operation
    if not item.alive:
        return line(Span(f"▲ {op.plan.kind} INTERRUPTED in {op.phase}", Slot.BAD), Span(" o", Slot.MARK))
    time_left = f" {time} left" if (time := left(item, now)) else ""
    if op.phase in WAITS:
        return line(Span(f"▲ {op.plan.kind}: {_asked(op.phase)}{time_left}", Slot.BAD), Span(" o", Slot.MARK))
    return line(Span(f"▶ {op.plan.kind}: {op.phase}{time_left}", Slot.MARK))


def _asked(phase: Phase) -> str:
    return {Phase.KEEP: "KEEP IT?", Phase.APPROVAL: "APPROVE?", Phase.ASK: "SICK: KEEP OR ABORT?"}[phase]


def stands(item: OperationLine) -> str:
    """How it stands, in words."""
    op = item.operation
    if item.alive:
        return DOING[op.phase]
    why = f": {op.halted}" if op.halted else ""
    return f"interrupted in {op.phase}, {item.standing or 'standing not known'}{why}"


def question(item: OperationLine) -> str:
    """What a person is asked, and what happens when nobody answers; empty where nobody is."""
    op, plan = item.operation, item.operation.plan
    home = f"{plan.from_color} {plan.from_release.label}".strip()
    if not item.alive:
        done = "take it up (resume), undo it (abort) or leave it as it is (abandon)"
        return done if "resume" in item.verbs else "somebody else changed the service: abandon it with a reason"
    if op.phase is Phase.KEEP:
        return f"keep it, or the traffic goes back to {home}"
    if op.phase is Phase.ASK:
        why = f"{op.why}: " if op.why else ""
        return f"{why}keep it, or abort to move the traffic back to {home}"
    if op.phase is Phase.APPROVAL:
        return f"a second person, not {op.by}, has to approve it"
    return ""


def pane(item: OperationLine, now: float, width: int) -> list[Line]:
    """For the deployment pane: what goes on, its way, and what is asked."""
    op = item.operation
    loud = waits(item)
    sign = Span(f"{'▲' if loud else '▶'} {what(op)}", Slot.BAD if loud else Slot.MARK)
    time_left = f"{time} left" if (time := left(item, now)) else ""
    found = flowed(
        [
            line(sign),
            line(Span(stands(item), Slot.STRONG if item.alive else Slot.BAD)),
            line(Span(time_left, Slot.WARN if loud else Slot.PLAIN)),
            line(Span(f"begun {words.ago(now - op.started_at)} by {op.by}", Slot.DIM)),
            line(Span(f"on {op.host}" if op.host and not item.here else "", Slot.DIM)),
        ],
        width,
    )
    asked = question(item)
    if asked:
        keys = [f"{verb.key} {verb.label}" for verb in VERBS if verb.name in item.verbs]
        found += indented(f"{asked}: o, then {', '.join(keys)}", width, Slot.WARN, 4)
    return [*found, *(line("  ", *part) for part in way(item, width - 2))]


def way(item: OperationLine, width: int) -> list[Line]:
    """Its phases."""
    op = item.operation
    done = passed(op.plan.route, op.phase, (), arrived=bool(op.arrived_at))
    return steps(op.plan.route, op.phase, done, width)


def row(item: OperationLine, now: float) -> Row:
    """An operation in the list."""
    op = item.operation
    loud = waits(item)
    cells: tuple[Line, ...] = (
        line(Span("▲ " if loud else "▶ ", Slot.BAD if loud else Slot.MARK), op.key),
        line(Span(what(op), Slot.STRONG)),
        line(Span(stands(item), Slot.BAD if not item.alive else Slot.WARN if loud else Slot.PLAIN)),
        line(Span(left(item, now), Slot.WARN if loud else Slot.PLAIN)),
        line(Span(words.rough_age(now - op.started_at), Slot.DIM)),
        line(op.by),
        line(Span("here" if item.here else op.host, Slot.DIM)),
    )
    return Row(op.id, cells)


def label(item: OperationLine, verb: Verb) -> str:
    """What a verb is called: what an abort comes to is said at once."""
    plan = item.operation.plan
    if verb.name == "abort" and plan.moves_traffic and item.operation.arrived_at:
        return f"abort: back to {plan.from_color} {plan.from_release.label}".rstrip()
    return f"{verb.label}, with a reason" if verb.name == "abandon" else verb.label


def refusal(item: OperationLine, verb: str, place: Place) -> str:
    """Why something cannot be asked of an operation now; empty where it can."""
    op = item.operation
    if place.read_only:
        return "the console is read-only here"
    if verb in item.verbs:
        own = verb == "approve" and place.user and place.user == op.by
        return f"{op.by} began it: somebody else has to" if own else ""
    if verb == "approve" and op.phase is Phase.APPROVAL and item.alive:
        return f"{op.by} began it: somebody else has to"
    if not item.alive:
        spoken = ("keep", "approve", "handover")
        return "its executor is gone: resume it first" if verb in spoken else "somebody overtook it"
    out = op.phase in (Phase.RETURN, Phase.CLEAN_UP)
    reasons = {
        "keep": "it is kept already" if op.kept else f"in {op.phase} nothing waits to be kept",
        "approve": "it waits for no approval",
        "handover": f"in {op.phase} nothing is left to hand over",
        "abort": "it is on its way out already" if out else f"too late in {op.phase}",
    }
    return reasons.get(verb, "its executor is at work")


def consequence(item: OperationLine, verb: str) -> str:
    """What a yes to `verb` does, for whoever is asked once more."""
    op, plan = item.operation, item.operation.plan
    there = f"{plan.to_color} {plan.to_release.label}".strip()
    return {
        "abort": _aborted(op),
        "keep": f"{there} stays; the traffic does not go back by itself any more",
        "approve": f"{plan.kind} to {there} goes on, with your name on record beside {op.by}'s",
        "handover": "its executor stops where it is safe to and gives up the lock; nothing goes on until it is resumed",
        "resume": f"another executor takes it up where it is safe to: {item.standing or 'how it stands is not known'}",
        "abandon": "all is left as it was found; only what it held of the autoscalers is put back",
    }[verb]


def _aborted(op: Operation) -> str:
    plan = op.plan
    home = f"{plan.from_color} {plan.from_release.label}".strip() or "where it was"
    if plan.moves_traffic and op.phase is Phase.SWITCH:
        return f"the traffic is being moved: once that is settled, it goes back to {home}"
    if plan.moves_traffic and (op.arrived_at or op.phase in MOVED):
        return f"the traffic goes back to {home}; what it held is put back"
    return "what it made is undone" + ("; the traffic was not moved" if plan.moves_traffic else "")


def about(item: OperationLine, now: float, width: int, *, over: bool = False) -> list[Line]:
    """What an operation is, for the page that follows it. How it stood is nothing to tell once it is `over`."""
    op, plan = item.operation, item.operation.plan
    who = f"{op.by} on {op.host}" if op.host else op.by
    facts: list[tuple[str, Line]] = [
        ("where", line(Span(f"{plan.target.context} / {plan.target.namespace}", Slot.STRONG))),
        (
            "from",
            line(
                Span(f"{plan.from_color} {plan.from_release.label}".strip(), hue(plan.from_color, True)),
                Span(" → ", Slot.MARK),
                Span(f"{plan.to_color} {plan.to_release.label}".strip(), hue(plan.to_color, False)),
            ),
        ),
        (
            "begun",
            line(f"{words.stamp(op.started_at)} by {who}", Span(f", {words.ago(now - op.started_at)}", Slot.DIM)),
        ),
        ("taken up", line(f"by {op.carried_by}") if op.carried_by else ()),
        ("reason", line(op.reason)),
        ("waived", line(Span(", ".join(op.waived), Slot.WARN))),
    ]
    if not over:
        facts += [
            ("lock", line(item.holder or Span("nobody has it", Slot.DIM))),
            ("stands", line(Span(stands(item), Slot.PLAIN if item.alive else Slot.BAD))),
            ("said", line(op.why or op.words)),
        ]
    found: list[Line] = []
    for name, value in facts:
        if value:
            first, *more = wrapped("".join(span.text for span in value), max(10, width - 10), value[0].slot, 3)
            whole = value if not more else first
            found.append(line(Span(f"{name:<10}", Slot.DIM), *whole))
            found += [line(" " * 10, *piece) for piece in more]
    return found


def counted(items: tuple[OperationLine, ...]) -> Line:
    """How many there are, for the header's first line."""
    if not items:
        return ()
    loud = sum(waits(item) for item in items)
    if not loud:
        return line(Span(f"▶ {len(items)}", Slot.MARK))
    others = f" of {len(items)}" if len(items) > loud else ""
    return line(Span(f"▶! {loud}{others} for you", Slot.BAD))
