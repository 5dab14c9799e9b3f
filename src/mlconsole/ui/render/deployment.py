"""The deployment pane: both colours, the serving chain, what was done last, and what the cluster says about it."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.domain.chain import Link, first_broken
from mlconsole.domain.history import Outcome, Record
from mlconsole.domain.plans import Verdict
from mlconsole.domain.services import Color, ModelService, Shape
from mlconsole.engine.protocol import Detail, EventLine
from mlconsole.ui.render import words
from mlconsole.ui.render.figures import of
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, hue, joined, line, wrapped

VERDICTS = {
    Verdict.PASS: Span("✔", Slot.GOOD),
    Verdict.FAIL: Span("✖", Slot.BAD),
    Verdict.UNKNOWN: Span("?", Slot.DIM),
}
OUTCOMES = {
    Outcome.VERIFIED: ("verified", Slot.GOOD),
    Outcome.UNVERIFIED: ("UNVERIFIED", Slot.BAD),
    Outcome.FAILED: ("failed, nothing changed", Slot.WARN),
    Outcome.OPEN: ("open: begun, and no outcome on record", Slot.WARN),
    Outcome.ABORTED: ("aborted, what it made is undone", Slot.WARN),
    Outcome.RETURNED: ("returned: the traffic moved, and moved back", Slot.BAD),
    Outcome.ABANDONED: ("abandoned, left as it was found", Slot.WARN),
    Outcome.OVERTAKEN: ("overtaken by someone", Slot.WARN),
}


def pane(detail: Detail, now: float, width: int) -> list[Line]:
    """All of the pane's lines, the most needed first."""
    service = detail.service
    found = [*_problems(service, width)]
    for color in service.colors:
        found += _color(service, color, detail, now, width)
    found += chain(detail.chain, width)
    found += _last(detail, now, width)
    found += [_event(item, now) for item in detail.events]
    return found


def _problems(service: ModelService, width: int) -> list[Line]:
    return [piece for problem in service.problems for piece in wrapped(f"▲ {problem}", width, Slot.BAD, 2)]


def _color(service: ModelService, color: Color, detail: Detail, now: float, width: int) -> list[Line]:
    live = service.live_color is color
    slot = hue(color.name, live)
    name = color.name or color.deployment
    short = color.ready < color.wish
    scaler = f"min {color.minimum} by {color.autoscaler}" if color.autoscaler else ""
    parts = [
        line(
            Span(f"{'●' if live else '○'} {name:<6}", slot),
            Span(" LIVE", Slot.STRONG) if live else Span(" idle", Slot.DIM),
        ),
        line(Span(color.release.label, Slot.STRONG)),
        line(Span(f"{color.ready}/{color.wish} ready", Slot.WARN if short else Slot.PLAIN)),
        _since(color, now),
        _figures(detail, color, now),
        line(Span(scaler, Slot.DIM)),
        line(Span(color.release.image, Slot.DIM)),
    ]
    found = [joined(parts)]
    for problem in color.problems:
        found += [line("  ", *piece) for piece in wrapped(f"▲ {problem}", width - 2, Slot.WARN, 2)]
    return found


def _since(color: Color, now: float) -> Line:
    since = max((pod.ready_since for pod in color.pods if pod.ready), default=0.0)
    return line(Span(f"for {words.rough_age(now - since)}", Slot.DIM)) if since and now - since >= 10 else EMPTY


def _figures(detail: Detail, color: Color, now: float) -> Line:
    found = of(detail.glances, color, now)
    if found is None or not found.requests_per_second:
        return EMPTY
    return line(f"{words.rate(found.requests_per_second)}  p95 {words.latency(found.p95)}")


def chain(links: Iterable[Link], width: int) -> list[Line]:
    """The serving chain in one line, red at the first link that disagrees, and why below it."""
    links = tuple(links)
    broken = first_broken(links)
    agrees = broken is None and bool(links) and all(link.verdict is Verdict.PASS for link in links)
    sign = VERDICTS[Verdict.FAIL if broken else Verdict.PASS if agrees else Verdict.UNKNOWN]
    spans: list[Span] = [Span("chain ", Slot.DIM), sign, Span("  ")]
    past = False
    for index, link in enumerate(links):
        if index:
            spans.append(Span(" > ", Slot.DIM))
        slot = Slot.DIM if past or link.verdict is Verdict.UNKNOWN else Slot.PLAIN
        mark = "?" if link.verdict is Verdict.UNKNOWN and link.value != "?" else ""
        if link is broken:
            slot, mark, past = Slot.BAD, " ✖", True
        spans.append(Span(f"{_short(link)}{mark}", slot))
    found: list[Line] = [tuple(spans)]
    if broken:
        why = f"✖ {broken.name}: {broken.why} (known from {broken.source})"
        found += [line("         ", *piece) for piece in wrapped(why, width - 9, Slot.BAD, 2)]
    return found


def _short(link: Link) -> str:
    return f"{link.name} {link.value}" if link.name in ("image", "git", "run") else link.value


def _last(detail: Detail, now: float, width: int) -> list[Line]:
    found = [line(Span(f"history: {detail.history_problem}", Slot.WARN))] if detail.history_problem else []
    for index, record in enumerate(detail.history[:2]):
        found.append(operation(record, now, "" if index else "last"))
    return found


def operation(record: Record, now: float, label: str) -> Line:
    """One operation in a line."""
    word, slot = OUTCOMES[record.outcome]
    way = f"{record.from_color} {record.from_release.label} → {record.to_color} {record.to_release.label}"
    return joined(
        [
            line(Span(f"{label:<9}", Slot.DIM), Span(record.kind, Slot.MARK), f" {way.strip()}"),
            line(Span(word, slot)),
            line(Span(f"{words.ago(now - record.at)} by {record.user}", Slot.DIM)),
            line(Span(record.reason, Slot.DIM)),
        ]
    )


def _event(item: EventLine, now: float) -> Line:
    slot = Slot.WARN if item.kind == "Warning" else Slot.DIM
    times = f" x{item.count}" if item.count > 1 else ""
    return joined(
        [
            line(Span(f"{words.rough_age(now - item.at):<8} ", Slot.DIM), Span(f"{item.reason}{times}", slot)),
            line(Span(item.object, Slot.DIM)),
            line(item.message),
        ]
    )


def kind_of(service: ModelService) -> str:
    """What a service is, for where it cannot be switched."""
    if service.shape is Shape.PLAIN:
        return f"{service.name} is not blue-green: it has one Deployment"
    return "; ".join(service.problems) or f"{service.name} is {service.shape}"
