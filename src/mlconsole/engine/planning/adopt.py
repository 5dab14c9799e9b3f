"""Plan an adoption, and its undoing: the plain Deployment's pods exchanged for the same with a colour, and back.

The traffic moves between two copies of one release, so that nothing is proven but that the copy answers. What was
adopted is scaled to 0 and kept, and says in an annotation what was made of it: the way back from it.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from mlconsole.cluster import discovery, fresh
from mlconsole.domain import adopting, autoscaling, deploying, phases, plans
from mlconsole.domain.adopting import ADOPTED, PLAIN, Adopted
from mlconsole.domain.deploying import Asked, replaced
from mlconsole.domain.history import Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Diff, Gate, PlanError, Verdict, Write, counted
from mlconsole.domain.services import Color, ModelService, Shape
from mlconsole.engine import gates
from mlconsole.engine.hints import hints_of
from mlconsole.engine.planning import beside
from mlconsole.engine.planning.deploy import DEPLOYMENTS, patched
from mlconsole.engine.planning.draft import Draft, Drafting
from mlconsole.engine.planning.grounds import Grounds
from mlconsole.engine.planning.routes import unasked

KINDS = frozenset({Kind.ADOPT, Kind.RELEASE})
SERVICES = "services"


async def draft(drafting: Drafting, kind: Kind, grounds: Grounds) -> Draft:
    """What one of `KINDS` would do. Raises PlanError where there is nothing to do, or it must not be done."""
    if kind is Kind.RELEASE:
        return _release(drafting, grounds)
    service = grounds.fresh.service
    plain = _to_adopt(grounds)
    around = await beside.read(drafting.connection, service.namespace)
    kinds = await fresh.served(drafting.connection)
    version = next((item.version for item in kinds if item.resource.key == autoscaling.RESOURCE), "")
    return _adopt(drafting, grounds, plain, around, version)


def _route(drafting: Drafting, kind: Kind, service: ModelService, pins: tuple[Write, ...]) -> tuple[Phase, ...]:
    without = unasked(drafting.of_service(service), drafting.environment(service.namespace))
    return phases.route(kind, without=without, more=frozenset({Phase.PIN} if pins else ()))


# ---- adopt


def _to_adopt(grounds: Grounds) -> Color:
    """The plain Deployment. Raises PlanError where it is not one, or not one that can be adopted."""
    service = grounds.fresh.service
    if service.shape in (Shape.MALFORMED, Shape.BOTH):
        raise PlanError(f"{service.key}: {'; '.join(service.problems)}", exit_code=2)
    if service.shape is not Shape.PLAIN:
        raise PlanError(f"{service.key} is blue-green already: nothing to adopt", exit_code=0)
    plain = service.colors[0]
    if len(service.colors) > 1:
        others = ", ".join(color.deployment for color in service.colors[1:])
        words = f"an adoption of {plain.deployment} was left half done: {others} is there already"
        raise PlanError(words, f"kubectl -n {service.namespace} delete deployment {others}, then adopt again", 6)
    if service.base != service.selector:
        words = f"the selector of {service.key} still names {service.color_key}, of an adoption that was undone"
        raise PlanError(words, f"take {service.color_key} out of its selector first", 6)
    if plain.paused:
        words = f"the rollout of Deployment {plain.deployment} is paused: what it runs may not be its template"
        raise PlanError(words, f"mlconsole unpause {service.key}", 6)
    if not plain.ready:
        words = f"no pod of Deployment {plain.deployment} is ready: there is no traffic to keep"
        raise PlanError(words, "mend it first", 6)
    return plain


def _adopt(drafting: Drafting, grounds: Grounds, plain: Color, around: beside.Around, version: str) -> Draft:
    service, settings = grounds.fresh.service, drafting.of_service(grounds.fresh.service)
    seen = _raw(grounds, plain.deployment)
    key, name = settings.color_key or deploying.COLOR_LABEL, f"{plain.deployment}-{adopting.COLOR}"
    _assert_free(service, key, drafting)
    scalers = [item for item in grounds.fresh.autoscalers if autoscaling.scales(item) == plain.deployment]
    pods = deploying.replicas_for(plain, autoscaling.wish_of(plain, scalers))
    note = adopting.encode(Adopted(service.name, name, key, (seen.get("spec") or {}).get("replicas") or pods))
    asked = Asked(adopting.COLOR, key, plain.release, pods, f"mlconsole: adopt {plain.deployment}")
    body = adopting.copied(seen, asked, name, service.name, service.base)
    pins = autoscaling.pin_writes(service, plain, Color("", "", 0, 0), scalers)
    mark = Write(DEPLOYMENTS, service.namespace, plain.deployment, adopting.annotate(seen, note), phase=Phase.BRING_UP)
    made = Write(DEPLOYMENTS, service.namespace, name, body=body, phase=Phase.BRING_UP)
    traffic = adopting.colored(service.selector, key, adopting.COLOR, service.name, service.namespace)
    copies = [item for item in scalers if not adopting.controlled(item)]
    kept = tuple(
        Write(
            autoscaling.RESOURCE,
            service.namespace,
            name,
            body=adopting.copied_autoscaler(item, version, name),
            phase=Phase.RETIRE,
        )
        for item in copies[:1]
    )
    path = adopting.annotation_path()
    steps = ({"op": "test", "path": path, "value": note}, {"op": "replace", "path": "/spec/replicas", "value": 0})
    down = Write(DEPLOYMENTS, service.namespace, plain.deployment, steps, phase=Phase.RETIRE)
    destination = Color(adopting.COLOR, name, pods, 0, release=plain.release)
    labels = body["spec"]["template"]["metadata"]["labels"]
    return Draft(
        destination,
        (*pins, mark, made, traffic, *kept, down),
        (*_adopted_diffs(service, plain, key, name, pods, note, kept), *autoscaling.diffs(pins)),
        _route(drafting, Kind.ADOPT, service, pins),
        warnings=(*_of_scalers(scalers, name), *around.warnings(service, labels), *_ends_at_once(seen, body, service)),
        gates=(gates.rollout_gate(plain, Kind.SWITCH), *_kept_up(scalers, plain)),
        replicas=pods,
        way_back=_WAY_BACK.format(plain=plain.deployment, pods=counted(plain.wish), key=service.key),
        expected_seconds=deploying.startup_seconds(plain),
    )


_WAY_BACK = (
    "until the traffic has moved {plain} stays up; then it is kept, scaled to 0, and"
    " `mlconsole adopt {key} --undo` has it serve again with {pods}"
)


def _assert_free(service: ModelService, key: str, drafting: Drafting) -> None:
    """What tells the colours apart must not be a part of how the Service is known. Raises PlanError."""
    if key in service.selector:
        raise PlanError(f"the selector of {service.key} has {key} already", "set color_key to another label", 2)
    if not discovery.colorless(service.selector, hints_of(drafting.of_service(service))):
        words = f"the selector of {service.key} is of labels alone that could be its colour"
        raise PlanError(words, "add a label such as app to it and to the pods", 2)
    if deploying.VERSION_LABEL in service.selector:
        words = f"the selector of {service.key} asks for {deploying.VERSION_LABEL}: no other version could ever serve"
        raise PlanError(words, "take it out of the selector first", 2)


def _adopted_diffs(
    service: ModelService, plain: Color, key: str, name: str, pods: int, note: str, kept: tuple[Write, ...]
) -> tuple[Diff, ...]:
    old, new = f"Deployment {service.namespace}/{plain.deployment}", f"Deployment {service.namespace}/{name}"
    made = f"made, as {plain.deployment} with {key}={adopting.COLOR}"
    return (
        Diff(f"Service {service.key}", f"spec.selector[{key}]", "(none)", adopting.COLOR),
        Diff(new, "Deployment", "(none)", made),
        Diff(new, "replicas", "(none)", str(pods)),
        Diff(old, f"metadata.annotations[{ADOPTED}]", "(none)", note),
        Diff(old, "replicas", str(plain.wish), "0, when it has drained"),
        *(
            Diff(f"HorizontalPodAutoscaler {service.namespace}/{write.name}", "HorizontalPodAutoscaler", "(none)", made)
            for write in kept
        ),
    )


def _of_scalers(scalers: list[dict[str, Any]], name: str) -> tuple[str, ...]:
    found = []
    for item in scalers:
        scaler, owner = adopting.plain_names([item]), adopting.controlled(item)
        if owner:
            found.append(f"autoscaler {scaler} is made by {owner}: {name} gets none, have it scale {name} too")
        else:
            words = "counts the pods of both until the plain Deployment is scaled to 0, and is off from then on"
            found.append(f"autoscaler {scaler} {words}; a copy of it scales {name}")
    return tuple(found)


def _ends_at_once(deployment: dict[str, Any], copied: dict[str, Any], service: ModelService) -> tuple[str, ...]:
    """The copy shares the Service until the switch: where its pods cannot leave it, they end as in a rolling update."""
    if adopting.way_out(copied["spec"]["selector"], service.base):
        return ()
    containers = deployment["spec"]["template"].get("spec", {}).get("containers") or ()
    if any((item.get("lifecycle") or {}).get("preStop") for item in containers):
        return ()
    words = f"the Service selects by {adopting.SERVICE_LABEL} alone, which its pods keep, and no container has a"
    return (f"{words} preStop hook: should this be undone, what ends with the copy's pods may be lost",)


def _kept_up(scalers: list[dict[str, Any]], plain: Color) -> tuple[Gate, ...]:
    """What somebody's controller scales does not stay at 0."""
    owners = sorted({owner for item in scalers if (owner := adopting.controlled(item))})
    if not owners:
        return ()
    evidence = f"ownerReferences and marks of {adopting.plain_names(scalers)}"
    value = f"{', '.join(owners)} scales {plain.deployment}, also from 0"
    return (Gate("autoscaler", Verdict.FAIL, value, "nobody scales what is retired", evidence),)


# ---- and back


def _release(drafting: Drafting, grounds: Grounds) -> Draft:
    service = grounds.fresh.service
    plain, live = service.plain, service.live_color
    if plain is None:
        words = f"{service.key} was not adopted, or the Deployment that it was adopted from is gone"
        raise PlanError(words, f"only a Deployment annotated {ADOPTED} can be gone back to", 2)
    if live is None or live is plain:
        raise PlanError(f"{service.key}: no colour has the traffic alone", "mlconsole switch --to COLOUR first", 6)
    seen, source = _raw(grounds, plain.deployment), _raw(grounds, live.deployment)
    removed = [_raw(grounds, color.deployment) for color in service.colors]
    strange = [item for item in removed if not adopting.made_here(item)]
    if strange:
        words = f"Deployment {adopting.plain_names(strange)} was not made by mlconsole, which removes nothing else"
        raise PlanError(words, "remove it, or its label, yourself first", 6)
    scalers = grounds.fresh.autoscalers
    names = {color.deployment for color in service.colors}
    theirs = [item for item in scalers if autoscaling.scales(item) in names]
    pods = deploying.replicas_for(live, autoscaling.wish_of(live, scalers))
    before = seen["spec"].get("template") or {}
    after = adopting.recolored(source["spec"]["template"], service.color_key, PLAIN)
    after["metadata"]["labels"] |= (seen["spec"].get("selector") or {}).get("matchLabels") or {}
    steps = [
        *(replaced("/spec/template", before, after) if before != after else ()),
        *(replaced("/spec/replicas", seen["spec"].get("replicas"), pods) if plain.wish != pods else ()),
    ]
    up = Write(DEPLOYMENTS, service.namespace, plain.deployment, tuple(steps), phase=Phase.BRING_UP)
    target = Color(PLAIN, plain.deployment, pods, 0, release=live.release)
    traffic = plans.selector_write(replace(service, plain=target), PLAIN)
    pins = autoscaling.pin_writes(service, live, target, scalers)
    gone = [_removal(autoscaling.RESOURCE, service.namespace, item) for item in theirs if adopting.made_here(item)] + [
        _removal(DEPLOYMENTS, service.namespace, item) for item in removed
    ]
    return Draft(
        target,
        (*pins, *([up] if steps else []), traffic, *gone, _uncolored(service), _unmarked(service, plain, seen)),
        (
            *_released_diffs(service, plain, gone),
            *patched(f"Deployment {service.namespace}/{plain.deployment}", up.patch),
            *autoscaling.diffs(pins),
        ),
        _route(drafting, Kind.RELEASE, service, pins),
        warnings=_left(theirs),
        gates=_idle_gates(service),
        replicas=pods,
        way_back=f"until the colours are removed, {live.name} {live.release.label}; then `mlconsole adopt`",
        expected_seconds=deploying.startup_seconds(live),
    )


def _removal(resource: str, namespace: str, item: dict[str, Any]) -> Write:
    metadata = item["metadata"]
    return Write(resource, namespace, metadata["name"], delete=True, uid=metadata["uid"], phase=Phase.RETIRE)


def _uncolored(service: ModelService) -> Write:
    """The write that takes the colour out of the selector, when nothing else is left to be selected."""
    key = plans.escape_pointer(service.color_key)
    selector = {**service.base, service.color_key: PLAIN}
    steps = (
        {"op": "test", "path": "/spec/selector", "value": selector},
        {"op": "remove", "path": f"/spec/selector/{key}"},
    )
    return Write(SERVICES, service.namespace, service.name, steps, phase=Phase.RETIRE)


def _unmarked(service: ModelService, plain: Color, seen: dict[str, Any]) -> Write:
    path, note = adopting.annotation_path(), seen["metadata"]["annotations"][ADOPTED]
    steps = ({"op": "test", "path": path, "value": note}, {"op": "remove", "path": path})
    return Write(DEPLOYMENTS, service.namespace, plain.deployment, steps, phase=Phase.RETIRE)


def _released_diffs(service: ModelService, plain: Color, gone: list[Write]) -> tuple[Diff, ...]:
    path, namespace = f"spec.selector[{service.color_key}]", service.namespace
    kinds = {DEPLOYMENTS: "Deployment", autoscaling.RESOURCE: "HorizontalPodAutoscaler"}
    return (
        Diff(f"Service {service.key}", path, service.live, PLAIN),
        *(
            Diff(f"{kinds[write.resource]} {namespace}/{write.name}", kinds[write.resource], "as it is", "removed")
            for write in gone
        ),
        Diff(f"Service {service.key}", path, PLAIN, "(none), when nothing but the plain Deployment is left"),
        Diff(f"Deployment {namespace}/{plain.deployment}", f"metadata.annotations[{ADOPTED}]", "as it is", "removed"),
    )


def _left(theirs: list[dict[str, Any]]) -> tuple[str, ...]:
    others = [item for item in theirs if not adopting.made_here(item)]
    return (f"autoscaler {adopting.plain_names(others)} stays: mlconsole did not make it",) if others else ()


def _idle_gates(service: ModelService) -> tuple[Gate, ...]:
    """The colour without traffic is removed with the other: it must be empty, by somebody's own word."""
    found = []
    for color in service.colors:
        pods = max(color.wish, sum(not pod.terminating for pod in color.pods))
        if color.name != service.live and pods:
            value = f"{color.name} {color.release.label} has {pods} pods"
            evidence = f"Deployment {color.deployment}; mlconsole scale {service.key} {color.name} --replicas 0"
            found.append(Gate("idle", Verdict.FAIL, value, "none: it is removed", evidence, waivable=False))
    return tuple(found)


def _raw(grounds: Grounds, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = grounds.fresh.raw.get((DEPLOYMENTS, name))
    if found is None:
        raise PlanError(f"Deployment {name} is gone", "look again", 4)
    return found
