"""Deploy or data, for one alert: which series there are, what happened around them, and what the worker finds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

from msgspec import Struct

from mlconsole.domain import attribution, changepoints, conditions
from mlconsole.domain.attribution import Cause, Happening, Shift
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.registry import AliasMove
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Telemetry
from mlconsole.engine.alertrules import NOTHING_SERVES
from mlconsole.engine.protocol import EventLine

KEEP = 720
"""Points of a series that the console remembers by itself."""
WINDOW = 30.0
"""Seconds that a figure looks back over, at least."""
SECONDS = 30.0
"""For the worker."""
NAMES = {"errors": "error_share"}
"""Statistics of a panel, and what a condition calls them."""
WANTED = ("p95", "error_share", "rate", "accuracy", "drift.share")
SETTLING = 30.0
"""Seconds before the traffic was seen on a colour in which it may have got there."""
SCALED = frozenset({"ScalingReplicaSet", "SuccessfulRescale"})
NODES = frozenset(
    {
        "NodeNotReady",
        "TaintManagerEviction",
        "Evicted",
        "Preempted",
        "NodeHasDiskPressure",
        "NodeHasInsufficientMemory",
        "Rebooted",
        "Shutdown",
        "OOMKilling",
    }
)
STARTED = frozenset({"BackOff", "Unhealthy", "FailedScheduling", "FailedMount"})
"""Reasons of pods' Events that are worth a row."""
DONE = (Outcome.VERIFIED, Outcome.UNVERIFIED, Outcome.RETURNED, Outcome.OPEN)
STILL = frozenset({Kind.DRILL})
"""Operations that change nothing."""
ASIDE = (Kind.DEPLOY, Kind.SCALE, Kind.RESTART, Kind.PAUSE, Kind.UNPAUSE)
"""Those that may be about the colour without traffic."""


class Points(Struct, frozen=True):
    """A series, as the worker gets it."""

    name: str
    color: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    window: float = WINDOW


class Memory:
    """What the live colour's figures were, from when the console began to look; whatever the source is."""

    def __init__(self) -> None:
        self._points: dict[str, deque[tuple[float, float]]] = {}

    def add(self, name: str, at: float, value: float | None) -> None:
        """One figure. What nobody knows is a gap."""
        kept = self._points.setdefault(name, deque(maxlen=KEEP))
        if not kept or at > kept[-1][0]:
            kept.append((at, math.nan if value is None else value))

    def series(self, live: str) -> list[Points]:
        """All of them; the traffic's own way through the colours, to the `live` one, is one series."""
        return [
            Points(name, live, tuple(at for at, _ in kept), tuple(value for _, value in kept))
            for name, kept in self._points.items()
            if kept
        ]

    @property
    def since(self) -> float:
        """When the oldest figure is of; infinite where there is none."""
        return min((kept[0][0] for kept in self._points.values() if kept), default=math.inf)


def points_of(telemetry: Telemetry | None, color: str) -> list[Points]:
    """The series of the charts that are of `color` and worth a look."""
    if telemetry is None:
        return []
    return [
        Points(name, color, series.times, series.values, max(WINDOW, telemetry.step))
        for panel in telemetry.panels
        for series in panel.series
        if series.color == color and not series.ghost
        if (name := NAMES.get(series.stat, series.stat)) in WANTED
    ]


def accuracy_of(table: DriftTable, color: str) -> list[Points]:
    """The share of right predictions of a colour, step by step, where labels come."""
    return [
        Points(
            "accuracy",
            color,
            tuple(min(table.at, item.until - item.step * ago) for ago in reversed(range(len(item.steps)))),
            tuple(math.nan if value is None else value for value in item.steps),
            item.step,
        )
        for item in table.accuracy
        if item.color == color and item.step
    ]


def longest(*sources: Iterable[Points]) -> list[Points]:
    """Of each series the longest one, the first of those that are as long."""
    found: dict[str, Points] = {}
    for item in (item for items in sources for item in items):
        before = found.get(item.name)
        if before is None or _span(item) > _span(before):
            found[item.name] = item
    return list(found.values())


def _span(item: Points) -> float:
    known = [at for at, value in zip(item.times, item.values, strict=True) if math.isfinite(value)]
    return known[-1] - known[0] if known else 0.0


def shifts(series: Sequence[Points]) -> list[Shift]:
    """The changes of each: numpy's work, for the worker."""
    found = []
    for item in series:
        for change in changepoints.changes(item.times, item.values, item.window):
            before, after = conditions.words(item.name, change.before), conditions.words(item.name, change.after)
            found.append(Shift(_figure(item.name), item.color, change, f"{before} -> {after}"))
    return found


def known(series: Iterable[Points], name: str) -> int:
    """How many values of a series are known."""
    return sum(sum(map(math.isfinite, item.values)) for item in series if _figure(item.name) == _figure(name))


def _figure(name: str) -> str:
    """The share of features that drifted and their largest distance both say `drift`."""
    return "drift" if name.startswith("drift") else name


def judged(about: str, found: Sequence[Shift], happenings: Iterable[Happening], n: int, until: float = 0.0) -> Cause:
    """The cause of what `about` (a figure of a condition) did."""
    return attribution.cause(_figure(about), found, happenings, n, until)


def happenings(
    service: ModelService, records: Iterable[Record], events: Sequence[EventLine], moves: Iterable[AliasMove] = ()
) -> list[Happening]:
    """What is known to have happened to a service."""
    found = [_operated(service, record) for record in records if record.outcome in DONE and record.kind not in STILL]
    found += [Happening(move.at, "alias", _moved(move), move.since) for move in moves]
    idle = service.idle_color
    for event in events:
        if event.reason in SCALED:
            # Pods without traffic slow nobody down.
            kind = "idle" if idle is not None and event.object.endswith(f" {idle.deployment}") else "scaling"
            found.append(Happening(event.at, kind, f"{event.object}: {event.message}"))
        elif event.reason in NODES:
            found.append(Happening(event.at, "node", f"{event.object}: {event.reason} {event.message}".strip()))
    return [*found, *_complaints(events), *_pods(service)]


def _complaints(events: Iterable[EventLine]) -> list[Happening]:
    """What pods complain of, those of one reason together."""
    of_reason: dict[str, list[EventLine]] = {}
    for event in events:
        if event.reason in STARTED:
            of_reason.setdefault(event.reason, []).append(event)
    found = []
    for reason, lines in of_reason.items():
        first, objects = min(lines, key=lambda line: line.at), {line.object for line in lines}
        who = first.object if len(objects) == 1 else f"{len(objects)} pods"
        words = f"{reason} on {who}: {first.message}"
        found.append(Happening(max(line.at for line in lines), "event", words, first.at))
    return found


def _operated(service: ModelService, record: Record) -> Happening:
    """An operation, from when it may have had an effect until it was seen to be done."""
    end = record.verified_at or record.ended_at or record.at
    moved = record.moves_traffic and record.outcome is not Outcome.RETURNED
    idle = service.idle_color
    aside = record.kind in ASIDE and not record.moves_traffic and idle is not None and record.to_color == idle.name
    began = max(record.at, end - SETTLING) if moved else record.at
    return Happening(end, "idle" if aside else "operation", _operation(record), began, record.id)


def _moved(move: AliasMove) -> str:
    ways = f"{_numbered(move.before)} -> {_numbered(move.after)}"
    return f"@{move.alias} of {move.model} moved {ways}"


def _numbered(version: str) -> str:
    return f"v{version}" if version else "nothing"


def _pods(service: ModelService) -> list[Happening]:
    """The live colour's pods that became ready, those of a minute together."""
    live = service.live_color
    minutes: dict[int, list[float]] = {}
    for pod in live.pods if live is not None else ():
        if pod.ready_since:
            minutes.setdefault(int(pod.ready_since // 60), []).append(pod.ready_since)
    name = live.name or live.deployment if live is not None else ""
    return [
        Happening(min(found), "pod", f"{len(found)} pod{'s' if len(found) > 1 else ''} of {name} became ready")
        for found in minutes.values()
    ]


def _operation(record: Record) -> str:
    where = f" to {record.to_color} {record.to_release.label}" if record.to_color else ""
    return f"the {record.kind}{where}"


def about_of(condition: str, panel: str) -> str:
    """The figure that an alert is about."""
    try:
        figures = {name.removeprefix("live.") for name in conditions.parse(condition).figures}
    except conditions.ConditionError:
        figures = set()
    for name in ("error_share", "p95", "p99", "p50", "drift.share", "drift.worst", "rate"):
        if name in figures:
            return {"p99": "p95", "p50": "p95", "drift.worst": "drift.share"}.get(name, name)
    if condition == NOTHING_SERVES:
        return "rate"
    return {"errors": "error_share", "rate": "rate", "accuracy": "accuracy"}.get(panel, "p95")
