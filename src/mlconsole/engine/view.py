"""Turn what the sources know into what the UI shows: rows and details, pure, from snapshots to snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from mlconsole.cluster import objects
from mlconsole.cluster.history import TEMPLATES
from mlconsole.cluster.inventory import Inventory
from mlconsole.config import ServiceSettings
from mlconsole.domain import health
from mlconsole.domain.chain import serving_chain
from mlconsole.domain.history import KEEP, Kind, Outcome, Record, decode, decode_templates, known_good
from mlconsole.domain.meter import moves, read_meter
from mlconsole.domain.registry import RegisteredModel
from mlconsole.domain.services import ModelService, Release
from mlconsole.domain.split import split
from mlconsole.domain.telemetry import Glance, Mark
from mlconsole.domain.text import visible
from mlconsole.engine.protocol import Detail, EventLine, FleetRow

NOTHING: Mapping[str, str] = {}
EVENTS_SHOWN = 40
HISTORY_SHOWN = KEEP


def limits_of(settings: ServiceSettings) -> health.Thresholds:
    """The thresholds of a service's settings."""
    return health.Thresholds(settings.thresholds.p95_seconds, settings.thresholds.error_share)


def glance_of(glances: Sequence[Glance], color: str) -> Glance | None:
    """The figures of one colour, or None."""
    return next((glance for glance in glances if glance.color == color), None)


def slim(service: ModelService) -> ModelService:
    """A service without what only its detail shows."""
    colors = tuple(replace(color, pods=(), revisions=()) for color in service.colors)
    return replace(service, colors=colors, endpoints=(), annotations={})


def fleet_row(service: ModelService, glances: Sequence[Glance], settings: ServiceSettings) -> FleetRow:
    """The row of a service; `since` is for the caller, who knows the row before."""
    live = glance_of(glances, service.live)
    state, headline = health.judge(service, live, limits_of(settings))
    return FleetRow(slim(service), state, headline, live)


def detail(
    service: ModelService,
    glances: Sequence[Glance],
    settings: ServiceSettings,
    records: Sequence[Record],
    *,
    model: RegisteredModel | None,
    registry_problem: str,
    history_problem: str,
    events: tuple[EventLine, ...],
    allowed: bool | None,
    round_trip: float,
    now: float,
    kept: Sequence[Release] = (),
    missing: Mapping[str, str] = NOTHING,
) -> Detail:
    """Everything about one service."""
    state, headline = health.judge(service, glance_of(glances, service.live), limits_of(settings))
    live = service.live_color
    goods = known_good(records, now, settings.watch_window, live.release if live else None)
    return Detail(
        service=service,
        health=state,
        headline=headline,
        chain=serving_chain(service, live, model, registry_problem),
        meter=read_meter(
            service,
            goods,
            records,
            allowed=allowed,
            round_trip=round_trip,
            keep_warm=settings.keep_warm or 0.0,
            kept=kept,
        ),
        glances=tuple(glances),
        history=tuple(reversed(records[-HISTORY_SHOWN:])),
        history_problem=history_problem,
        events=events,
        missing=dict(missing),
        split=split(service, model, settings.watch.alias or "", registry_problem),
    )


def records_of(config_map: objects.ConfigMap | None) -> tuple[tuple[Record, ...], str]:
    """The records in a history's ConfigMap, and what is wrong with it."""
    if config_map is None:
        return (), ""
    records, complaints = decode((config_map.data or {}).get("records", ""))
    return tuple(records), "; ".join(complaints)


def kept_of(data: Mapping[str, str] | None) -> tuple[Release, ...]:
    """The releases whose template a history's ConfigMap holds."""
    return tuple(item.release for item in decode_templates((data or {}).get(TEMPLATES, "")).values())


def events_of(service: ModelService, inventory: Inventory) -> tuple[EventLine, ...]:
    """The Events about a service, its Deployments and what those made, newest first."""
    deployments = {color.deployment for color in service.colors}
    pods = {pod.name for color in service.colors for pod in color.pods}
    sets = {revision.replica_set for color in service.colors for revision in color.revisions}
    names = {("Service", service.name), ("Endpoints", service.name)}
    names |= {("Deployment", name) for name in deployments} | {("Pod", name) for name in pods}
    names |= {("ReplicaSet", name) for name in sets}
    found = [
        item
        for item in inventory.events.within(service.namespace)
        if (item.involved_object.kind, item.involved_object.name) in names
    ]
    found.sort(key=lambda item: -item.at)
    return tuple(_line(item) for item in found[:EVENTS_SHOWN])


def _line(item: objects.Event) -> EventLine:
    about = f"{item.involved_object.kind} {item.involved_object.name}"
    return EventLine(
        item.at, item.type, visible(about), visible(item.reason, 60), visible(item.message, 500), item.count or 1
    )


def marks(records: Iterable[Record]) -> tuple[Mark, ...]:
    """The moments at which traffic moved or a version was brought up, for the charts; oldest first."""
    known = list(records)
    told = moves(known)
    moved = {record.id for record in told}
    up = (Outcome.VERIFIED, Outcome.UNVERIFIED)
    told += [item for item in known if item.kind is Kind.DEPLOY and item.outcome in up and item.id not in moved]
    found = [
        Mark(
            record.ended_at or record.at,
            record.kind,
            f"{record.kind} to {record.to_color} {record.to_release.label}".strip(),
        )
        for record in told
    ]
    return tuple(sorted(found, key=lambda mark: mark.at))
