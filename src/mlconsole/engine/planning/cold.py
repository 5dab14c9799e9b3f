"""The way back where its destination is cold: scaled down, replaced, or gone (I15).

The last release that was verified good is brought up again first, on the colour without traffic and never on the live
one; the traffic stays where it is meanwhile. What is warm is taken as it is, by the planner: that is faster.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import fresh
from mlconsole.cluster.history import TEMPLATES
from mlconsole.domain import autoscaling, deploying, phases, plans
from mlconsole.domain.deploying import Asked
from mlconsole.domain.history import Good, Kind, decode_templates, is_bad
from mlconsole.domain.meter import expected_seconds
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Diff, PlanError, Write
from mlconsole.domain.services import Color, Shape
from mlconsole.engine.planning.deploy import DEPLOYMENTS, bring_up, patched
from mlconsole.engine.planning.draft import Draft
from mlconsole.engine.planning.grounds import Grounds

UNKNOWN_SECONDS = 60.0
"""For pods to come up, where none here has been seen to."""


class Way(Struct, frozen=True):
    """How a release comes up again."""

    color: str
    deployment: str
    cold: str
    """Why it has to."""
    template: dict[str, Any] | None = None
    """None where it stands there, and is only scaled down."""


def draft(grounds: Grounds, goods: list[Good], to_color: str, without: frozenset[Phase]) -> Draft | None:
    """A rollback to what is cold; None where it is warm, or there is nothing to bring up. Raises PlanError."""
    service = grounds.fresh.service
    if service.shape is not Shape.BLUE_GREEN or not service.live:
        return None
    if to_color:
        return _named(grounds, goods, to_color, without)
    standing = [item for item in goods if plans.place_of(service, [item])]
    if any((place := plans.place_of(service, [item])) and place[1].wish for item in standing):
        return None
    for good in goods:
        way = _way(grounds, good)
        if way is not None:
            return _draft(grounds, good, way, without)
    return None


def _named(grounds: Grounds, goods: list[Good], to_color: str, without: frozenset[Phase]) -> Draft | None:
    """To a colour that somebody named, as it stands, where it is scaled down."""
    service = grounds.fresh.service
    color = service.color(to_color)
    if color is None or color.wish or to_color == service.live:
        return None
    known = next((good for good in goods if color.release.same_as(good.release)), None)
    if known is None and is_bad(color.release, grounds.past.records):
        return None
    good = known or Good(color.release, color.name, 0.0)
    found = _draft(grounds, good, _scaled_down(color), without)
    if known is not None:
        return found
    words = f"no record says that {color.name} {color.release.label} was ever good: a reason is needed"
    return replace(found, reason=True, warnings=(*found.warnings, words))


def _scaled_down(color: Color) -> Way:
    words = f"{color.name} {color.release.label} is scaled to 0"
    return Way(color.name, color.deployment, words)


def _way(grounds: Grounds, good: Good) -> Way | None:
    """How a good release comes up: from where it stands, from an old ReplicaSet, or from the history."""
    service = grounds.fresh.service
    place = plans.place_of(service, [good])
    if place is not None:
        return _scaled_down(place[1])
    idle = service.idle_color
    name = idle.name if idle else deploying.other_color(service)
    live = service.live_color
    if not name or live is None:
        return None
    deployment = idle.deployment if idle else deploying.name_for(live.deployment, live.name, name)
    where = f"{idle.name} has {idle.release.label}" if idle else f"there is no {name} Deployment"
    # The colour's own template first: it has been there before.
    for color in (idle, live):
        template = _from_replica_set(grounds.fresh, color, good) if color else None
        if template is not None and color is not None:
            cold = f"{where}; {good.release.label} is made of an old ReplicaSet of {color.deployment}"
            return Way(name, deployment, cold, template)
    for kept in reversed(decode_templates(grounds.past.rest.get(TEMPLATES, "")).values()):
        if kept.release.same_as(good.release):
            cold = f"{where}; {good.release.label} is made of the template in the history"
            return Way(name, deployment, cold, kept.template)
    return None


def _from_replica_set(read: fresh.Fresh, color: Color, good: Good) -> dict[str, Any] | None:
    for revision in color.revisions:
        found = read.raw.get(("replicasets", revision.replica_set))
        if found is not None and revision.release.same_as(good.release):
            return fresh.without_hash(found["spec"]["template"])
    return None


def _draft(grounds: Grounds, good: Good, way: Way, without: frozenset[Phase]) -> Draft:
    service = grounds.fresh.service
    live, color = service.live_color, service.color(way.color)
    if live is not None and way.deployment == live.deployment:
        words = f"{way.color} and {live.name} would be one Deployment, {way.deployment}"
        raise PlanError(words, "deploy the release to a Deployment of its own", 6)
    target = color or Color(way.color, way.deployment, 0, 0)
    scalers = grounds.fresh.autoscalers
    pods = deploying.replicas_for(live, autoscaling.wish_of(target, scalers))
    write, diffs = _bring_up(grounds.fresh, good, way, color, pods)
    # The autoscaler of what is left is not waited for (I13); its own must keep what comes up.
    pins = autoscaling.pin_writes(service, Color("", "", pods, pods), target, scalers)
    destination = replace(target, release=good.release, wish=pods)
    others = tuple(item for item in service.colors if item.name != way.color)
    traffic = plans.selector_write(replace(service, colors=(*others, destination)), way.color)
    moved = Diff(f"Service {service.key}", f"spec.selector[{service.color_key}]", service.live, way.color)
    more = {Phase.BRING_UP, Phase.READY, Phase.SMOKE} | ({Phase.PIN} if pins else set())
    up = deploying.startup_seconds(color, live) or UNKNOWN_SECONDS
    seconds = up + expected_seconds(grounds.past.records, grounds.round_trip)
    cold = f"{way.cold}: {pods} pods have to come up first, ~{seconds:.0f} s in all"
    meanwhile = f"until then the traffic stays on {service.live}" + (f" {live.release.label}" if live else "")
    return Draft(
        destination,
        (*pins, write, traffic),
        (moved, *diffs, *autoscaling.diffs(pins)),
        phases.route(Kind.ROLLBACK, without=without, more=frozenset(more)),
        to_release=good.release,
        warnings=(f"{cold}; {meanwhile}",),
        replicas=pods,
        cold=cold,
        expected_seconds=seconds,
    )


def _bring_up(
    read: fresh.Fresh, good: Good, way: Way, color: Color | None, pods: int
) -> tuple[Write, tuple[Diff, ...]]:
    service = read.service
    if way.template is None and color is not None:
        seen = read.raw.get((DEPLOYMENTS, color.deployment)) or {}
        steps = tuple(deploying.replaced("/spec/replicas", (seen.get("spec") or {}).get("replicas"), pods))
        write = Write(DEPLOYMENTS, service.namespace, color.deployment, steps, phase=Phase.BRING_UP)
        return write, patched(f"Deployment {service.namespace}/{color.deployment}", steps)
    live = service.live_color
    source = live.deployment if live else ""
    cause = f"mlconsole: roll back to {good.release.label}"
    # The template has its image: a digest that was seen running says more of it than the name it was pulled by.
    release = replace(good.release, image="")
    asked = Asked(way.color, service.color_key, release, pods, cause)
    made, diffs = bring_up(read, source, color, asked, way.deployment, way.template)
    if made is None:
        raise PlanError(f"{way.color} has {good.release.label} already", "look again", 4)
    return made, diffs
