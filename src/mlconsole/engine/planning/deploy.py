"""Plan a deploy: a registered version on the colour without traffic, made of the live one's template."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from mlconsole.cluster import fresh
from mlconsole.domain import autoscaling, deploying, phases, plans
from mlconsole.domain.deploying import Asked
from mlconsole.domain.history import Good, Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Diff, Gate, PlanError, Verdict, Write
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.domain.text import visible
from mlconsole.engine import gates, releases
from mlconsole.engine.offload import Offload
from mlconsole.engine.planning.draft import Draft, Drafting
from mlconsole.engine.planning.grounds import Grounds
from mlconsole.engine.planning.routes import SWITCHING, unasked

DEPLOYMENTS = "deployments"


async def draft(
    drafting: Drafting,
    grounds: Grounds,
    offload: Offload,
    *,
    to_color: str,
    version: str,
    image: str,
    replicas: int,
    go_on: bool,
    goods: list[Good],
) -> Draft:
    """What a deploy would do. Raises PlanError where there is nothing to deploy, or nowhere to."""
    service, settings = grounds.fresh.service, drafting.of_service(grounds.fresh.service)
    if replicas == 0:
        raise PlanError(
            "a deploy brings up one pod at least", f"mlconsole scale {service.key} COLOUR 0 takes them away", 2
        )
    live = _source(service)
    name = idle_name(service, to_color)
    idle = service.color(name)
    if idle is not None and idle.paused:
        words = f"the rollout of Deployment {idle.deployment} is paused: nothing new would come up"
        raise PlanError(words, f"mlconsole unpause {service.key} {name}", 6)
    model = settings.model or live.release.model
    every = drafting.settings
    found = await releases.release_of(
        offload, settings, every.registry.tracking_uri, model, version, image, every.docker.host
    )
    scalers = grounds.fresh.autoscalers
    deployment = idle.deployment if idle else deploying.name_for(live.deployment, live.name, name)
    target = Color(name, deployment, 0, 0) if idle is None else idle
    wished = max(autoscaling.wish_of(live, scalers), autoscaling.wish_of(target, scalers))
    pods = replicas if replicas > 0 else deploying.replicas_for(live, wished)
    cause = f"mlconsole: deploy {found.release.label}"
    asked = Asked(name, service.color_key, found.release, pods, cause)
    write, diffs = bring_up(grounds.fresh, live.deployment, idle, asked, deployment)
    if write is None:
        words = f"{name} has {found.release.label} with {pods} pods already"
        raise PlanError(words, f"mlconsole switch {service.key} moves the traffic to it", 0)
    destination = replace(target, release=found.release, wish=pods, ready=target.ready if idle else 0)
    pins = autoscaling.pin_writes(service, live, target, scalers)
    writes: tuple[Write, ...] = (*pins, write)
    if go_on:
        traffic, moved = _traffic(service, destination)
        writes, diffs = (*writes, traffic), (moved, *diffs)
    without = unasked(settings, drafting.environment(service.namespace))
    route = phases.route(Kind.DEPLOY, without=without, more=SWITCHING if go_on else frozenset())
    return Draft(
        destination,
        writes,
        (*diffs, *autoscaling.diffs(pins)),
        route,
        to_release=found.release,
        warnings=(*found.warnings, found.digest, *_ambiguity(goods, idle, settings.keep_warm, drafting.clock())),
        gates=(
            *_gates(grounds, destination, idle, goods, settings.keep_warm, drafting.clock(), go_on=go_on),
            *_bounds(scalers, deployment, replicas),
        ),
        replicas=pods,
        way_back=_way_back(service, live, idle),
        expected_seconds=deploying.startup_seconds(live, idle),
    )


def _source(service: ModelService) -> Color:
    """The colour whose template is taken."""
    if service.shape is Shape.MALFORMED:
        raise PlanError(f"{service.key}: {'; '.join(service.problems)}", exit_code=2)
    if service.shape is Shape.PLAIN:
        words = f"{service.key} is not blue-green: it has one Deployment, {service.colors[0].deployment}"
        raise PlanError(words, f"mlconsole adopt {service.key} makes it blue-green", 2)
    live = service.live_color
    if service.shape is Shape.BOTH or live is None:
        words = f"{service.key}: no colour has the traffic alone, so that none is free to deploy to"
        raise PlanError(words, f"mlconsole switch {service.key} --to COLOUR first", 6)
    return live


def idle_name(service: ModelService, to_color: str) -> str:
    """The colour to bring something up on: never the live one. Raises PlanError."""
    idle = service.idle_color
    name = idle.name if idle else deploying.other_color(service)
    if to_color and to_color == service.live:
        words = f"{to_color} is live: nothing is deployed under traffic"
        raise PlanError(words, f"the idle colour is {name}" if name else "", 6)
    if not name:
        names = ", ".join(color.name for color in service.colors) or "none"
        raise PlanError(f"{service.key} has no single idle colour; it has {names}", "name two in mlconsole.toml", 2)
    if to_color and to_color != name:
        raise PlanError(f"{service.key} has no colour {visible(to_color, 63)}", f"its idle colour is {name}", 2)
    return name


def bring_up(
    read: fresh.Fresh, source: str, idle: Color | None, asked: Asked, name: str, template: Any = None
) -> tuple[Write | None, tuple[Diff, ...]]:
    """The write that puts a release on the colour without traffic, and what it changes; None where it is so already.

    Of the template of the Deployment `source`, or of `template`.
    """
    namespace = read.service.namespace
    whole = read.raw.get((DEPLOYMENTS, source))
    if whole is None:
        raise PlanError(f"Deployment {source} is gone", "look again", 4)
    if template is not None:
        whole = {**whole, "spec": {**whole["spec"], "template": template}}
    label = f"Deployment {namespace}/{name}"
    if idle is None:
        body = deploying.deployment_for(whole, name, asked)
        before, after = whole["spec"]["template"], body["spec"]["template"]
        made = Diff(label, "Deployment", "(none)", f"made, as {source} with {asked.release.label}")
        size = Diff(label, "replicas", "(none)", str(asked.replicas))
        rows = [Diff(label, *row) for row in fresh.differences("template", before, after)]
        return Write(DEPLOYMENTS, namespace, name, body=body, phase=Phase.BRING_UP), (made, size, *rows)
    seen = read.raw.get((DEPLOYMENTS, idle.deployment))
    if seen is None:
        raise PlanError(f"Deployment {idle.deployment} is gone", "look again", 4)
    steps = deploying.patch_for(seen, whole["spec"]["template"], asked)
    if not steps:
        return None, ()
    return Write(DEPLOYMENTS, namespace, idle.deployment, steps, phase=Phase.BRING_UP), patched(label, steps)


def patched(label: str, steps: tuple[dict[str, Any], ...]) -> tuple[Diff, ...]:
    """What a tested patch changes, to be shown."""
    seen = {step["path"]: step["value"] for step in steps if step["op"] == "test"}
    return tuple(
        Diff(label, *row)
        for step in steps
        if step["op"] != "test"
        for row in fresh.differences(
            step["path"].removeprefix("/spec/").strip("/").replace("/", ".").replace("~1", "/"),
            seen.get(step["path"]),
            step.get("value"),
        )
    )


def _traffic(service: ModelService, destination: Color) -> tuple[Write, Diff]:
    others = tuple(color for color in service.colors if color.name != destination.name)
    write = plans.selector_write(replace(service, colors=(*others, destination)), destination.name)
    path = f"spec.selector[{service.color_key}]"
    return write, Diff(f"Service {service.key}", path, service.live or "(missing)", destination.name)


# ---- what speaks against it


def retained(goods: list[Good], color: Color | None, release: Release | None = None) -> Good | None:
    """The last known good release, where it is what stands on a colour."""
    if not goods or color is None:
        return None
    return goods[0] if (release or color.release).same_as(goods[0].release) else None


def _gates(
    grounds: Grounds,
    destination: Color,
    idle: Color | None,
    goods: list[Good],
    keep_warm: float,
    now: float,
    *,
    go_on: bool,
) -> tuple[Gate, ...]:
    found = []
    if not go_on:
        # With a switch it is asked of every destination.
        found.append(gates.quarantine_gate(destination, grounds.past.records, Kind.DEPLOY))
    found.append(_retention(goods, idle, keep_warm, now))
    return tuple(gate for gate in found if gate is not None)


def _bounds(scalers: Iterable[autoscaling.Raw], deployment: str, replicas: int) -> list[Gate]:
    """What the autoscalers of the colour say to a number that somebody asked for."""
    own = (item for item in scalers if replicas > 0 and autoscaling.scales(item) == deployment)
    return [gate for item in own if (gate := gates.bounds_gate(item, replicas)) is not None]


def _retention(goods: list[Good], idle: Color | None, keep_warm: float, now: float) -> Gate | None:
    """The way back is held for as long as the service asks for (I4)."""
    good = retained(goods, idle)
    if good is None or idle is None or not keep_warm or not good.left_at or now >= good.left_at + keep_warm:
        return None
    left = good.left_at + keep_warm - now
    words = f"{idle.name} holds {good.release.label}, the last known good, for {left:.0f} s more"
    return Gate("retention", Verdict.FAIL, words, f"kept {keep_warm:.0f} s", "keep_warm, and the history's records")


def _ambiguity(goods: list[Good], idle: Color | None, keep_warm: float, now: float) -> tuple[str, ...]:
    good = retained(goods, idle)
    if good is None or idle is None or _retention(goods, idle, keep_warm, now):
        return ()
    words = f"{idle.name} holds {good.release.label}, the last known good: until this is live"
    return (f"{words}, a rollback to it has to bring it up again first",)


def _way_back(service: ModelService, live: Color, idle: Color | None) -> str:
    undone = "what it changes is put back" if idle else "what it makes is removed"
    return f"the traffic stays on {live.name} {live.release.label} until it is moved; where it fails, {undone}"
