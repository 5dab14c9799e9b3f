"""Plan what is done to one colour as it is: scale, restart, pause, unpause."""

from __future__ import annotations

import datetime
from typing import Any

from mlconsole.domain import autoscaling, deploying, phases
from mlconsole.domain.history import Good, Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Gate, PlanError, Verdict, Write
from mlconsole.domain.services import Color, ModelService, Shape
from mlconsole.domain.text import visible
from mlconsole.engine import gates
from mlconsole.engine.planning.deploy import DEPLOYMENTS, patched, retained
from mlconsole.engine.planning.draft import Draft
from mlconsole.engine.planning.grounds import Grounds

KINDS = frozenset({Kind.SCALE, Kind.RESTART, Kind.PAUSE, Kind.UNPAUSE})
Steps = list[dict[str, Any]]


def draft(kind: Kind, grounds: Grounds, to_color: str, replicas: int, goods: list[Good], now: float) -> Draft:
    """What one of `KINDS` would do. Raises PlanError where there is nothing to do, or it must not be done."""
    service = grounds.fresh.service
    color = _color(service, to_color)
    seen = grounds.fresh.raw.get((DEPLOYMENTS, color.deployment))
    if seen is None:
        raise PlanError(f"Deployment {color.deployment} is gone", "look again", 4)
    without: frozenset[Phase] = frozenset()
    against: list[Gate] = []
    warnings: list[str] = []
    if kind is Kind.SCALE:
        steps = _scaled(service, color, seen, replicas)
        against, warnings = _speaks_against(grounds, color, replicas, goods)
        without = frozenset({Phase.READY}) if replicas == 0 else without
    elif kind is Kind.RESTART:
        steps = _restarted(color, seen, now)
        against = _interruption(service, color, seen)
    else:
        steps = _paused(kind, color, seen)
    label = f"Deployment {service.namespace}/{color.deployment}"
    write = Write(DEPLOYMENTS, service.namespace, color.deployment, tuple(steps), phase=Phase.BRING_UP)
    return Draft(
        color,
        (write,),
        patched(label, write.patch),
        phases.route(kind, without=without),
        warnings=tuple(warnings),
        gates=tuple(against),
        replicas=max(0, replicas) if kind is Kind.SCALE else color.wish,
        way_back=_BACK[kind].format(wish=color.wish, color=color.name or color.deployment),
        expected_seconds=deploying.startup_seconds(color),
    )


_BACK = {
    Kind.SCALE: "scale {color} to {wish} again",
    Kind.RESTART: "none is needed: the same template, new pods",
    Kind.PAUSE: "unpause {color}",
    Kind.UNPAUSE: "pause {color} again; what rolled out meanwhile stays",
}


def _color(service: ModelService, to_color: str) -> Color:
    if service.shape is Shape.MALFORMED:
        raise PlanError(f"{service.key}: {'; '.join(service.problems)}", exit_code=2)
    if not to_color and len(service.colors) == 1:
        return service.colors[0]
    names = ", ".join(color.name for color in service.colors)
    if not to_color:
        raise PlanError(f"{service.key} has {len(service.colors)} colours", f"say which one: {names}", 2)
    found = service.color(to_color)
    if found is None:
        raise PlanError(f"{service.key} has no colour {visible(to_color, 63)}", f"it has {names}", 2)
    return found


def _live(service: ModelService, color: Color) -> bool:
    """Whether a colour answers requests."""
    return service.shape is not Shape.BLUE_GREEN or color.name == service.live


# ---- scale


def _scaled(service: ModelService, color: Color, seen: dict[str, Any], replicas: int) -> Steps:
    name = color.name or color.deployment
    if replicas < 0:
        raise PlanError(f"how many pods is {name} to have?", "say a number: --replicas N", 2)
    if replicas == color.wish:
        raise PlanError(f"{name} is scaled to {replicas} already: nothing to change", exit_code=0)
    if replicas == 0 and _live(service, color):
        words = f"{name} has the traffic of {service.key}: scaled to 0, nobody answers"
        hint = "switch to the other colour first" if len(service.colors) > 1 else "it has no other colour"
        raise PlanError(words, hint, 6)
    return deploying.replaced("/spec/replicas", (seen.get("spec") or {}).get("replicas"), replicas)


def _speaks_against(grounds: Grounds, color: Color, replicas: int, goods: list[Good]) -> tuple[list[Gate], list[str]]:
    service = grounds.fresh.service
    found, warnings = [], []
    if _live(service, color) and replicas < color.ready:
        evidence = f"pods of Deployment {color.deployment}, read now"
        value = f"{color.ready} ready and live"
        found.append(Gate("capacity", Verdict.FAIL, value, f"not fewer than they are; asked: {replicas}", evidence))
    good = retained(goods, color)
    if good is not None and not _live(service, color) and replicas < color.wish:
        # Nothing takes the way back away without somebody's word (I4).
        value = f"{color.name} {good.release.label} is the last known good"
        found.append(Gate("way-back", Verdict.FAIL, value, "kept as it is", "the history's records"))
    for scaler in grounds.fresh.autoscalers:
        if autoscaling.scales(scaler) != color.deployment:
            continue
        name = visible(scaler["metadata"]["name"], 63)
        if replicas == 0:
            warnings.append(f"its autoscaler {name} is off while it is scaled to 0")
        elif beyond := gates.bounds_gate(scaler, replicas):
            found.append(beyond)
        else:
            warnings.append(f"its autoscaler {name} goes on deciding, within its bounds")
    return found, warnings


# ---- restart, pause


def _restarted(color: Color, seen: dict[str, Any], now: float) -> Steps:
    name = color.name or color.deployment
    if color.paused:
        raise PlanError(f"the rollout of {name} is paused: its pods would stay", f"unpause {name} first", 6)
    if not color.wish:
        raise PlanError(f"{name} is scaled to 0: there is no pod to restart", "scale it up", 2)
    stamp = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return deploying.restart_steps(seen, stamp)


def _interruption(service: ModelService, color: Color, seen: dict[str, Any]) -> list[Gate]:
    """Whether a restart of the live colour leaves nobody to answer."""
    strategy = ((seen.get("spec") or {}).get("strategy") or {}).get("type", "RollingUpdate")
    if not _live(service, color) or strategy != "Recreate":
        return []
    evidence = f"spec.strategy of Deployment {color.deployment}"
    return [Gate("interruption", Verdict.FAIL, "Recreate: all pods end first", "RollingUpdate", evidence)]


def _paused(kind: Kind, color: Color, seen: dict[str, Any]) -> Steps:
    name, there = color.name or color.deployment, (seen.get("spec") or {}).get("paused")
    if bool(there) is (kind is Kind.PAUSE):
        words = f"the rollout of {name} is {'paused' if there else 'not paused'}: nothing to change"
        raise PlanError(words, exit_code=0)
    if kind is Kind.PAUSE:
        return deploying.replaced("/spec/paused", there, True)
    # A server leaves `false` out: what is sent must be what is found there after.
    return [{"op": "test", "path": "/spec/paused", "value": there}, {"op": "remove", "path": "/spec/paused"}]
