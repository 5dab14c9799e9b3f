"""Alerts as rows, as a page of their own, and as a few words in the header."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlconsole.domain.alerts import Alert, Severity, State, Unjudged, counted
from mlconsole.domain.attribution import Cause, Row, Verdict
from mlconsole.engine import protocol
from mlconsole.ui.render import words
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, indented, line, wrapped
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row as TableRow

COLUMNS = (
    Column("", 1, 1),
    Column("severity", 4, 8),
    Column("state", 6, 8),
    Column("alert", 5, 26),
    Column("service", 5, 30, drop=2),
    Column("for", 3, 5),
    Column("what", 12, 200, grows=True, drop=1),
    Column("in hand", 3, 34, drop=4),
    Column("from", 4, 12, drop=5),
)
SLOTS = {Severity.PAGE: Slot.BAD, Severity.WARNING: Slot.WARN, Severity.INFO: Slot.PLAIN}
SIGNS = {State.FIRING: "▲", State.PENDING: "◌", State.RESOLVED: "✔", State.INACTIVE: "·"}
SHORT = {"alertmanager": "alertmgr", "prometheus": "prom", "rule": "rule"}
LIKELY = {
    Verdict.DEPLOY: ("DEPLOY", Slot.BAD),
    Verdict.ALIAS: ("ALIAS", Slot.BAD),
    Verdict.SCALING: ("SCALING", Slot.WARN),
    Verdict.NODE: ("NODE", Slot.WARN),
    Verdict.DATA: ("DATA", Slot.WARN),
    Verdict.NEITHER: ("NOT THE DEPLOY", Slot.GOOD),
    Verdict.UNKNOWN: ("UNKNOWN", Slot.DIM),
}
MOST_UNJUDGED = 4
MOST_NAMES = 5


def verbs(alert: Alert, now: float, silencing: str) -> list[tuple[str, str]]:
    """The keys on an alert, and what they do; none for what cannot be."""
    found = [("a", "acknowledge"), ("s", "snooze")]
    handled = alert.handled
    if handled is not None and (handled.verb == "acknowledge" or handled.until > now):
        found.append(("u", "take back"))
    if not silencing and "alertmanager" in alert.sources:
        found.append(("S", "silence"))
    if alert.service:
        found.append(("c", "chart"))
    return found


def slot(alert: Alert, now: float) -> Slot:
    """How loud an alert is."""
    if alert.state is State.FIRING:
        return Slot.DIM if alert.quiet(now) else SLOTS[alert.severity]
    return Slot.GOOD if alert.state is State.RESOLVED else Slot.DIM


def short(alerts: Iterable[Alert], now: float) -> Line:
    """`▲ 2 alerts` for the header, in the colour of the worst; those in somebody's hand in grey; else nothing."""
    found = list(alerts)
    calling = counted(found, now)
    total = sum(calling.values())
    if total:
        worst = next(iter(calling))
        return line(Span(f"▲ {total} alert{'s' if total > 1 else ''}", SLOTS[worst]))
    held = sum(alert.state is State.FIRING for alert in found)
    return line(Span(f"{held} alert{'s' if held > 1 else ''} in hand", Slot.DIM)) if held else EMPTY


def rows(alerts: Iterable[Alert], now: float) -> list[TableRow]:
    """A row for each."""
    return [_row(alert, now) for alert in alerts]


def _row(alert: Alert, now: float) -> TableRow:
    loud = slot(alert, now)
    unknown = " ?" if alert.unknown_since else ""
    cells: tuple[Line, ...] = (
        line(Span(SIGNS[alert.state], loud)),
        line(Span(str(alert.severity), loud)),
        line(Span(f"{alert.state}{unknown}", loud)),
        line(Span(alert.name, Slot.STRONG if alert.calls(now) else Slot.PLAIN)),
        line(alert.service.partition("/")[2] or Span("–", Slot.DIM)),
        line(Span(words.rough_age(now - alert.since), Slot.DIM)),
        line(alert.value),
        line(Span(in_hand(alert, now), Slot.DIM)),
        line(Span("+".join(SHORT.get(name, name) for name in alert.sources), Slot.DIM)),
    )
    return TableRow(alert.id, cells)


def in_hand(alert: Alert, now: float) -> str:
    """Who has it, and until when; empty for nobody."""
    found = []
    handled = alert.handled
    if handled is not None and handled.verb == "acknowledge":
        found.append(f"{handled.by} has it")
    elif handled is not None and handled.until > now:
        found.append(f"snoozed until {words.short_stamp(handled.until, now)} by {handled.by}")
    found += [f"silenced: {item}" for item in alert.silenced_by]
    return "; ".join(found)


def details(alert: Alert, cause: Cause | None, now: float, width: int) -> list[Line]:
    """Everything about one alert, and what it is likely of."""
    what = str(alert.state)
    since = f"{what} for {words.age(now - alert.since)}, since {words.stamp(alert.since)}"
    unknown = ""
    if alert.unknown_since:
        unknown = f"since {words.stamp(alert.unknown_since)}: {alert.why or 'no data'}; it stays {what} until known"
    handled = in_hand(alert, now)
    note = alert.handled.note if alert.handled and handled else ""
    labels = ", ".join(f"{key}={value}" for key, value in sorted(alert.labels.items()))
    facts = (
        ("alert", alert.name, Slot.STRONG),
        ("severity", str(alert.severity), slot(alert, now)),
        ("state", since, slot(alert, now)),
        ("service", alert.service or "none of those here", Slot.PLAIN),
        ("now", alert.value, Slot.PLAIN),
        ("UNKNOWN", unknown, Slot.WARN),
        ("wrong if", alert.condition, Slot.PLAIN),
        ("in hand", "; ".join(filter(None, (handled, note))), Slot.GOOD),
    )
    origin = (
        ("labels", labels, Slot.DIM),
        ("query", alert.query, Slot.DIM),
        ("from", " and ".join(alert.sources), Slot.DIM),
        ("written", alert.origin, Slot.DIM),
    )
    found = [*_facts(facts, width), EMPTY]
    cause_lines = likely(cause, alert, now, width)
    return [*found, *cause_lines, *([EMPTY] if cause_lines else []), *_facts(origin, width)]


def _facts(facts: Iterable[tuple[str, str, Slot]], width: int) -> list[Line]:
    """A name and its words, wrapped; none for what is empty."""
    found: list[Line] = []
    for name, value, style in facts:
        if value:
            first, *more = wrapped(value, max(10, width - 10), style, 4)
            found.append(line(Span(f"{name:<9} ", Slot.DIM), *first))
            found += [line(" " * 10, *piece) for piece in more]
    return found


def likely(cause: Cause | None, alert: Alert, now: float, width: int) -> list[Line]:
    """Deploy or data: the verdict, and the rows that it rests on."""
    head = Span("Deploy or data?  ", Slot.STRONG)
    if not alert.service:
        return []
    if cause is None:
        return [line(head, Span("being looked at", Slot.DIM))]
    word, style = LIKELY[cause.verdict]
    found = [line(head, Span(word, style)), *indented(cause.words, width)]
    if cause.rows:
        found.append(line(Span(f"  {'when':<7} {'what':<12} evidence", Slot.DIM)))
        found += [piece for row in cause.rows for piece in _evidence(row, width)]
    if cause.basis:
        found += indented(f"from {cause.basis}", width, Slot.DIM)
    if cause.shift is not None:
        found += indented(f"by {cause.method}; {cause.shift.change.n} values", width, Slot.DIM)
    return found


def _evidence(row: Row, width: int) -> list[Line]:
    loud = Slot.WARN if row.possible else Slot.PLAIN
    sign = "▸" if row.possible else " "
    first, *more = wrapped(f"{row.words}: {row.relation}", max(10, width - 24), loud, 3)
    stamp = words.clock(row.at)[:5]
    head = line(Span(f"{sign} ", loud), Span(f"{stamp:<7} ", Slot.DIM), Span(f"{row.kind:<12} ", Slot.DIM), *first)
    return [head, *(line(" " * 23, *piece) for piece in more)]


def told(message: protocol.Alerts, now: float, width: int) -> list[Line]:
    """What stands under the table: silences in force, sources that are away."""
    found: list[Line] = []
    if message.problem:
        found += wrapped(message.problem, width, Slot.WARN, 2)
    for unjudged in message.unjudged[:MOST_UNJUDGED]:
        found += wrapped(not_judged(unjudged), width, Slot.DIM, 1)
    if len(message.unjudged) > MOST_UNJUDGED:
        more = len(message.unjudged) - MOST_UNJUDGED
        found.append(line(Span(f"and {more} more that cannot be judged now: mlconsole alerts tells all", Slot.DIM)))
    for item in message.silences[:3]:
        left = words.rough_age(item.ends_at - now)
        matchers = ", ".join(item.matchers)
        found += wrapped(f"silence for {left}: {matchers} by {item.by}: {item.comment}", width, Slot.DIM, 1)
    if len(message.silences) > 3:
        found.append(line(Span(f"and {len(message.silences) - 3} silences more", Slot.DIM)))
    return found


def not_judged(item: Unjudged) -> str:
    """`not judged: drift on churn, eta: no figures of its features`."""
    names = [service.partition("/")[2] for service in item.services]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"not judged: {item.rule} on {', '.join(names[:MOST_NAMES])}{more}: {item.why}"


def call(alerts: Sequence[Alert]) -> str:
    """The words that call a person: one alert whole, more of them counted."""
    first = alerts[0]
    about = f" of {first.service}" if first.service else ""
    more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
    return f"{first.severity}: {first.name}{about}: {first.value or first.condition}{more}"
