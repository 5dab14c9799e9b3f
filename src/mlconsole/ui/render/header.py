"""The three lines above everything: where the console looks, the selected service, and its way back."""

from __future__ import annotations

from mlconsole.domain.alerts import State
from mlconsole.domain.drift import DriftVerdict
from mlconsole.domain.health import FEW_REQUESTS
from mlconsole.domain.meter import RollbackMeter
from mlconsole.domain.services import Color, Health, ModelService, Shape
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.engine.protocol import Detail
from mlconsole.ui.known import Known
from mlconsole.ui.render import alerts, presence, underway, words
from mlconsole.ui.render.figures import of
from mlconsole.ui.render.fleet import SLOTS, glyph
from mlconsole.ui.spans import ELLIPSIS, EMPTY, Line, Slot, Span, fit, fitted, hue, joined, line, sides, width_of

TROUBLE = (Condition.DOWN, Condition.DENIED, Condition.STALE)
CONDITIONS = {
    Condition.STARTING: ("…", Slot.DIM),
    Condition.LIVE: ("ok", Slot.GOOD),
    Condition.STALE: ("STALE", Slot.WARN),
    Condition.DENIED: ("DENIED", Slot.BAD),
    Condition.DOWN: ("DOWN", Slot.BAD),
    Condition.OFF: ("off", Slot.DIM),
}


def place(known: Known, now: float, width: int) -> Line:
    """Context, namespace, the sources with their age, the time."""
    where = known.place
    badges = [Span(" PRODUCTION", Slot.BAD)] if where.production else []
    if where.environment and not where.production:
        badges.append(Span(f" {where.environment}", Slot.DIM))
    if where.read_only:
        badges.append(Span(" read-only", Slot.WARN))
    name = line(
        Span("mlconsole  ", Slot.MARK),
        Span(where.context or "no context", Slot.STRONG),
        Span(" / ", Slot.DIM),
        where.namespace or ("all namespaces" if where.context else "–"),
        *badges,
    )
    # What an alert says already is not said twice.
    told = {alert.service for alert in known.alerts.lines if alert.state is State.FIRING}
    sick = [row.service.name for key, row in known.rows.items() if row.health is Health.BAD and key not in told]
    who = f": {sick[0]}" if len(sick) == 1 and width >= 100 else ""
    clock = line(
        *(Span(f"  {piece.text}", piece.slot) for piece in underway.counted(known.operations)),
        *(Span(f"  {piece.text}", piece.slot) for piece in alerts.short(known.alerts.lines, now)),
        Span(f"  ▲ {len(sick)} sick{who}", Slot.BAD) if sick else "",
        Span(f"  {words.clock(now)}", Slot.DIM),
    )
    states = [source(state, now) for state in known.sources]
    if known.engine_problem:
        states = [line(Span(f"engine: {known.engine_problem}", Slot.BAD))]
    end = (Span("  "), *joined(states), *clock)
    if width_of(end) + min(width_of(name), 30) > width:
        # Little room: a sign in place of a word, and the name gives way.
        name = name[1:]
        if not known.engine_problem:
            states = [_signed(state, now) for state in known.sources]
        end = (Span(" "), *joined(states, " "), *clock)
    return sides(name, end, width)


def _signed(state: SourceState, now: float) -> Line:
    """A source in its name and a sign."""
    if state.condition is Condition.OFF:
        return line(Span(f"{state.name}·", Slot.DIM))
    if state.usable(now):
        return line(Span(state.name, Slot.DIM), Span("✔", Slot.GOOD))
    if state.condition is Condition.STARTING:
        return line(Span(f"{state.name}…", Slot.DIM))
    since = words.lasting(now - state.since).removeprefix(" for ") if state.since else ""
    return line(Span(f"{state.name}✖{since}", Slot.BAD))


def source(state: SourceState, now: float) -> Line:
    """`k8s ok`, `mlflow DOWN 4m`: a word and an age, the age of what it last said."""
    word, slot = CONDITIONS[state.condition]
    age = state.age(now)
    if state.condition is Condition.LIVE and not state.usable(now):
        word, slot = CONDITIONS[Condition.STALE]
    told = ""
    if state.condition in (Condition.DOWN, Condition.DENIED, Condition.STALE) and state.since:
        told = words.lasting(now - state.since).replace(" for", "")
    elif state.condition is Condition.LIVE and age is not None and age >= 10:
        told = f" {words.rough_age(age)}"
    return line(Span(f"{state.name} ", Slot.DIM), Span(word + told, slot))


def service(known: Known, now: float, width: int) -> Line:
    """The selected service in one line."""
    detail, row = known.detail, known.rows.get(known.selected)
    found = known.service
    if found is None:
        return _no_service(known, width)
    health = detail.health if detail else row.health if row else Health.UNKNOWN
    headline = detail.headline if detail else row.headline if row else ""
    parts = [line(glyph(health), " ", Span(found.name, Slot.STRONG))]
    under_way = known.under_way(found.key)
    if under_way is not None:
        parts.append(underway.short(under_way, now))
    here = presence.also_here(known.presence, found.key)
    planned = any(span.slot is Slot.WARN for span in here)
    parts += [here] if planned else []
    if detail and detail.split:
        parts.append(line(Span(f"SPLIT {detail.split}", Slot.BAD)))
    if headline:
        parts.append(line(Span(headline, SLOTS[health])))
    parts += [_color(found, color, live=True) for color in (found.live_color,) if color]
    parts += [_color(found, color, live=False) for color in (found.idle_color,) if color]
    if detail:
        parts += _figures(detail, now)
    parts += [_drift(known)] if planned else [_drift(known), here]
    return fit(fitted(parts, width, " · ", ELLIPSIS), width)


def _no_service(known: Known, width: int) -> Line:
    """Why there is nothing to look at: the cluster's own trouble where it has one."""
    state = known.source("k8s")
    if state is not None and state.condition in TROUBLE and state.message:
        return fit(line(Span(f"▲ {state.message}", Slot.BAD)), width)
    return line(Span("no service selected", Slot.DIM)) if known.complete else EMPTY


def _color(found: ModelService, color: Color, live: bool) -> Line:
    if found.shape is Shape.PLAIN:
        return line(color.release.label, f" {color.ready}/{color.wish}", Span(" not blue-green", Slot.DIM))
    word = Span("LIVE ", Slot.STRONG) if live else Span("idle ", Slot.DIM)
    name = Span(color.name, hue(color.name, live))
    return line(word, name, f" {color.release.label} {color.ready}/{color.wish}")


def _figures(detail: Detail, now: float) -> list[Line]:
    live = detail.service.live_color
    figures = of(detail.glances, live, now)
    if figures is None or figures.requests_per_second is None:
        return [line(Span("no figures", Slot.DIM))]
    few = Span(" of few requests", Slot.DIM) if figures.samples < FEW_REQUESTS else ""
    found = [
        line(Span("p95 ", Slot.DIM), words.latency(figures.p95)),
        line(Span("errors ", Slot.DIM), words.share(figures.error_share), few),
        line(words.rate(figures.requests_per_second)),
    ]
    # The headline says one of them already, and with its limit.
    return [part for part in found if part[0].text.strip() != detail.headline.partition(" ")[0]]


def _drift(known: Known) -> Line:
    found = known.service
    live = found.live_color if found else None
    table = known.drift.table if known.drift else None
    if table is None or live is None:
        return EMPTY
    mine = [item for item in table.features if item.color == live.name]
    known_ones = [item for item in mine if item.verdict is not DriftVerdict.UNKNOWN]
    if not known_ones:
        return EMPTY
    drifted = sum(item.verdict is DriftVerdict.DRIFTED for item in known_ones)
    return line(Span("drift ", Slot.DIM), Span(f"{drifted}/{len(mine)}", Slot.WARN if drifted else Slot.PLAIN))


def meter(known: Known, now: float, width: int) -> Line:
    """The rollback meter: whether there is a way back, before it is needed."""
    state = known.source("k8s")
    if known.detail is None and state is not None and state.condition in TROUBLE:
        return fit(line(Span(f"  {state.hint}", Slot.WARN)), width)
    if known.detail is None:
        return line(Span("◀ way back: not known yet", Slot.DIM)) if known.service is not None else EMPTY
    found = known.detail.meter
    word = {Health.OK: "READY", Health.WARN: "CARE", Health.BAD: "NONE", Health.UNKNOWN: "?"}[found.health]
    if found.health is Health.BAD and found.color:
        word = "NOT READY"
    whole = _meter(found, word, found.words, now)
    if width_of(joined(whole, " · ")) > width and found.color and found.health is not Health.BAD:
        short = f"{found.color} {found.release.label} {found.ready}/{found.wish} ~{found.expected_seconds:.0f} s"
        whole = _meter(found, word, short, now)
    return fit(fitted(whole, width, " · "), width)


def _meter(found: RollbackMeter, word: str, said: str, now: float) -> list[Line]:
    parts = [
        line(Span("◀ way back ", Slot.DIM), Span(word, SLOTS[found.health])),
        line(said.removeprefix("no way back: ")),
    ]
    rights = {True: ("allowed", Slot.DIM), False: ("NOT ALLOWED", Slot.BAD), None: ("rights not known yet", Slot.DIM)}
    if found.color or found.allowed is False:
        parts.append(line(Span(*rights[found.allowed])))
    if found.color and found.verified_at:
        parts.append(line(Span(f"good since {words.short_stamp(found.verified_at, now)}", Slot.DIM)))
    if found.warm_until:
        left = found.warm_until - now
        kept = f"warm for {words.rough_age(left)}" if left > 0 else "its retention has passed"
        parts.append(line(Span(kept, Slot.DIM if left > 600 else Slot.WARN)))
    elif found.color:
        parts.append(line(Span("no time limit", Slot.DIM)))
    return parts
