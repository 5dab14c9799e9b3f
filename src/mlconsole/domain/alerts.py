"""Alerts: when a rule's condition was true for long enough, when it is over, and what a person did about it.

A rule on one service is a `Track` that goes inactive -> pending -> firing -> resolved, one look at a time. What nobody
knows moves nothing (I21): it neither fires an alert nor ends one, and it does not count towards `for` nor towards
`keep_firing_for`; the alert says since when it has been unknown. A time without looks (a console that was suspended, a
source that was away) is such a time. `for` is therefore the time in which the condition was *seen* to hold.

Alerts of Prometheus and of Alertmanager come as they are, and are the same kind of thing from there on.
"""

from __future__ import annotations

import enum
import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

LONGEST_GAP = 60.0
"""Seconds between two looks of which nobody knows what was in between."""
KEPT_RESOLVED = 900.0
"""Seconds that a resolved alert is still listed."""


class Severity(enum.StrEnum):
    """What an alert asks of a person."""

    PAGE = "page"
    """Somebody has to look at it now."""
    WARNING = "warning"
    INFO = "info"


class State(enum.StrEnum):
    """Where a rule on a service stands."""

    FIRING = "firing"
    PENDING = "pending"
    """The condition holds, and not long enough yet."""
    RESOLVED = "resolved"
    INACTIVE = "inactive"


ORDER = {State.FIRING: 0, State.PENDING: 1, State.RESOLVED: 2, State.INACTIVE: 3}
RANK = {Severity.PAGE: 0, Severity.WARNING: 1, Severity.INFO: 2}
_SEVERITIES = {
    "page": Severity.PAGE,
    "critical": Severity.PAGE,
    "error": Severity.PAGE,
    "emergency": Severity.PAGE,
    "high": Severity.PAGE,
    "info": Severity.INFO,
    "informational": Severity.INFO,
    "none": Severity.INFO,
    "low": Severity.INFO,
}


def severity_of(word: str) -> Severity:
    """The severity that others call `word`; a warning where it is a word that nobody here knows."""
    return _SEVERITIES.get(word.strip().lower(), Severity.WARNING)


class Rule(Struct, frozen=True):
    """One rule, as it applies to one service."""

    name: str
    condition: str
    query: str = ""
    """PromQL; the condition is then about its `result`."""
    hold: float = 0.0
    """`for`: seconds that the condition must be seen to hold before it fires."""
    clear: str = ""
    """What must hold for it to be over (hysteresis); without it, that the condition does not hold."""
    keep_firing: float = 0.0
    """Seconds that it must be seen to be clear before it is over."""
    severity: Severity = Severity.WARNING
    color: str = "live"
    """Whose figures the condition is about: the `live` or the `idle` colour."""
    summary: str = ""
    origin: str = ""
    """Where it is written."""


class Look(Struct, frozen=True):
    """One look at a rule's condition."""

    at: float
    holds: bool | None
    clear: bool | None
    """Whether it is over, by `clear` where the rule has one."""
    value: str = ""
    """The figures in words."""
    why: str = ""
    """Why it is unknown."""
    query: str = ""
    """What exactly was asked."""


class Track(Struct, frozen=True):
    """Where a rule on a service stands."""

    state: State = State.INACTIVE
    since: float = 0.0
    """When it came into this state."""
    fired_at: float = 0.0
    resolved_at: float = 0.0
    held: float = 0.0
    """Seconds that the condition was seen to hold, while pending."""
    calm: float = 0.0
    """Seconds that it was seen to be clear, while firing."""
    looked: float = 0.0
    held_last: bool = False
    calm_last: bool = False
    unknown_since: float = 0.0
    """0 while it is known."""
    value: str = ""
    why: str = ""
    query: str = ""

    @property
    def active(self) -> bool:
        """Whether there is something to list."""
        return self.state is not State.INACTIVE


def looked(rule: Rule, track: Track, look: Look, longest_gap: float = LONGEST_GAP) -> Track:
    """The track after one look more. A look that is no later than the last one changes nothing."""
    if track.looked and look.at <= track.looked:
        return track
    passed = look.at - track.looked if track.looked else 0.0
    seen = passed if passed <= longest_gap else 0.0
    unknown = (track.unknown_since or look.at) if look.holds is None else 0.0
    held_last, calm_last = look.holds is True, look.holds is False and look.clear is True
    after = replace(
        track,
        looked=look.at,
        unknown_since=unknown,
        value=look.value or track.value,
        why=look.why if look.holds is None else "",
        query=look.query or track.query,
    )
    if track.state is State.FIRING:
        after = _firing(rule, after, look, seen)
    elif track.state is State.PENDING:
        after = _pending(rule, after, look, seen)
    elif look.holds:
        after = _begun(rule, after, look.at)
    elif track.state is State.RESOLVED and look.at - track.resolved_at > KEPT_RESOLVED:
        after = replace(after, state=State.INACTIVE, since=look.at)
    return replace(after, held_last=held_last, calm_last=calm_last)


def _begun(rule: Rule, track: Track, at: float) -> Track:
    state = State.PENDING if rule.hold > 0 else State.FIRING
    return replace(track, state=state, since=at, held=0.0, calm=0.0, fired_at=0.0 if rule.hold > 0 else at)


def _pending(rule: Rule, track: Track, look: Look, seen: float) -> Track:
    if look.holds is False:
        return replace(track, state=State.INACTIVE, since=look.at, held=0.0)
    if look.holds is None:
        return track
    held = track.held + (seen if track.held_last else 0.0)
    if held >= rule.hold:
        return replace(track, state=State.FIRING, since=look.at, fired_at=look.at, held=held, calm=0.0)
    return replace(track, held=held)


def _firing(rule: Rule, track: Track, look: Look, seen: float) -> Track:
    if look.holds is None:
        return track
    if look.holds or not look.clear:
        # Between the two limits of a hysteresis it goes on; what is not known to be clear is not clear.
        return replace(track, calm=0.0)
    calm = track.calm + (seen if track.calm_last else 0.0)
    if calm >= rule.keep_firing:
        return replace(track, state=State.RESOLVED, since=look.at, resolved_at=look.at, calm=calm)
    return replace(track, calm=calm)


def applies(patterns: Sequence[str], namespace: str, name: str) -> bool:
    """Whether a rule is for a service: patterns on `name`, or on `namespace/name` where they have a slash."""
    return not patterns or any(
        fnmatch.fnmatchcase(f"{namespace}/{name}" if "/" in pattern else name, pattern) for pattern in patterns
    )


class Unjudged(Struct, frozen=True):
    """A rule of which nobody knows whether it holds, on the services where that is for the same reason."""

    rule: str
    services: tuple[str, ...]
    why: str


# ---- alerts


class Handling(Struct, frozen=True):
    """What a person did about an alert."""

    verb: str
    """`acknowledge`, `snooze`."""
    by: str
    at: float
    until: float = 0.0
    """Of a snooze."""
    note: str = ""


class Alert(Struct, frozen=True):
    """An alert, wherever it is from."""

    id: str
    """The same for as long as it fires, another one when it fires again."""
    name: str
    service: str
    """`namespace/name`; empty for one that is about no service here."""
    severity: Severity
    state: State
    sources: tuple[str, ...]
    """`rule`, `prometheus`, `alertmanager`."""
    since: float
    """When it came into this state."""
    fired_at: float = 0.0
    ends_at: float = 0.0
    """When it was resolved."""
    value: str = ""
    """What is so, in words."""
    condition: str = ""
    unknown_since: float = 0.0
    why: str = ""
    query: str = ""
    panel: str = ""
    """The chart that shows it."""
    labels: dict[str, str] = {}
    altered: bool = False
    """Whether its labels are not shown as they are: too long, too many, or not fit to be shown."""
    origin: str = ""
    handled: Handling | None = None
    silenced_by: tuple[str, ...] = ()
    """Alertmanager's silences, by who made them and until when, in words."""

    @property
    def rule_key(self) -> str:
        """What stays the same from one firing to the next."""
        return f"{self.name}|{self.service}"

    def quiet(self, now: float) -> bool:
        """Whether it calls for nobody: acknowledged, snoozed, silenced."""
        handled = self.handled
        by_hand = handled is not None and (handled.verb == "acknowledge" or handled.until > now)
        return by_hand or bool(self.silenced_by)

    def calls(self, now: float) -> bool:
        """Whether it fires and nobody has it in hand."""
        return self.state is State.FIRING and not self.quiet(now)


PANELS = {"p50": "latency", "p95": "latency", "p99": "latency", "error_share": "errors", "rate": "rate"}
_NAMED = re.compile(r"latenc|duration|slow|accura|error|fail|5xx|rate|traffic|qps|throughput", re.IGNORECASE)
_SHOWS = {
    "accura": "accuracy",
    **dict.fromkeys(("latenc", "duration", "slow"), "latency"),
    **dict.fromkeys(("error", "fail", "5xx"), "errors"),
}


def panel_of(figures: Iterable[str], name: str = "") -> str:
    """The chart that shows these figures; else the one that an alert's name makes likely; empty for none."""
    found = sorted({PANELS[figure] for figure in (item.removeprefix("live.") for item in figures) if figure in PANELS})
    if found:
        return found[0] if "latency" not in found else "latency"
    word = _NAMED.search(name)
    if word is None:
        return ""
    return _SHOWS.get(word[0].lower(), "rate")


def alert_of(rule: Rule, service: str, track: Track, panel: str) -> Alert:
    """The alert of a track that is active."""
    # A resolved one keeps the name that it fired by.
    number = track.fired_at or track.since
    return Alert(
        id=f"{rule.name}|{service}|{number:.0f}",
        name=rule.name,
        service=service,
        severity=rule.severity,
        state=track.state,
        sources=("rule",),
        since=track.since,
        fired_at=track.fired_at,
        ends_at=track.resolved_at if track.state is State.RESOLVED else 0.0,
        value="; ".join(filter(None, (rule.summary, track.value))),
        condition=rule.condition,
        unknown_since=track.unknown_since,
        why=track.why,
        query=track.query,
        panel=panel,
        origin=rule.origin,
    )


def merged(alerts: Iterable[Alert]) -> list[Alert]:
    """One of each: what Prometheus and Alertmanager both tell is the same alert, by its labels.

    Alertmanager's word counts for who is silenced, Prometheus' for the value; it fires where either says so.
    """
    found: dict[object, Alert] = {}
    for alert in alerts:
        key: object = alert.id if "rule" in alert.sources else (alert.name, frozenset(alert.labels.items()))
        before = found.get(key)
        found[key] = alert if before is None else _together(before, alert)
    return sorted(found.values(), key=lambda item: (ORDER[item.state], RANK[item.severity], -item.since, item.id))


def _together(one: Alert, other: Alert) -> Alert:
    first, second = sorted((one, other), key=lambda item: ORDER[item.state])
    started = [item.since for item in (one, other) if item.since and item.state is first.state]
    return replace(
        first,
        sources=tuple(sorted({*one.sources, *other.sources})),
        since=min(started, default=first.since),
        value=first.value or second.value,
        condition=first.condition or second.condition,
        altered=first.altered or second.altered,
        origin=first.origin or second.origin,
        silenced_by=first.silenced_by or second.silenced_by,
        service=first.service or second.service,
    )


def service_of(labels: Mapping[str, str], places: Mapping[tuple[str, str], str]) -> str:
    """The service that an alert's labels are about, or nothing.

    `places` leads from (namespace, name) of Services, Deployments and pods to a service's key. The labels of the
    object count before those of whatever reported it: `exported_*` are what a scrape's own labels pushed aside.
    """
    for prefix in ("exported_", ""):
        namespace = labels.get(f"{prefix}namespace", "") or labels.get("namespace", "")
        for name in ("service", "deployment", "pod"):
            value = labels.get(prefix + name, "")
            for where in (namespace, "") if namespace else ("",):
                found = places.get((where, value)) if value else None
                if found:
                    return found
    return ""


def counted(alerts: Iterable[Alert], now: float) -> dict[Severity, int]:
    """How many call for a person, by severity, the worst first."""
    calling = [alert.severity for alert in alerts if alert.calls(now)]
    return {severity: calling.count(severity) for severity in RANK if severity in calling}
