"""Find the model services: which Service stands before which Deployments, and by which label they are told apart.

A Service is blue-green when one key of its selector, left out, makes it select two Deployments that differ in just
that label, whatever its name (`color`, `slot`, `version`, ...). One Deployment is a plain service. What is neither is
shown as what it is, with words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from mlconsole.cluster import objects
from mlconsole.cluster.inventory import Inventory
from mlconsole.domain.services import (
    Color,
    Endpoint,
    ModelService,
    PodState,
    Port,
    Release,
    Revision,
    Shape,
)

PREFIX = "mlconsole.io/"
KNOWN_KEYS = ("mlconsole.io/color", "color", "colour", "slot", "version")
COLORS = frozenset({"blue", "green"})
REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
STILL_STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})


class Hints(Struct, frozen=True):
    """What the configuration knows of one service."""

    color_key: str = ""
    colors: tuple[str, ...] = ()
    model: str = ""


NO_HINTS = Hints()
Facts = dict[str, Any]
"""Fields of a ModelService that do not depend on what it turns out to be."""


def describe(service: objects.Service, inventory: Inventory, hints: Hints = NO_HINTS) -> ModelService:
    """One Service as the model service that it is."""
    meta, selector = service.metadata, dict(service.spec.selector or {})
    facts: Facts = {
        "uid": meta.uid,
        "resource_version": meta.resource_version,
        "selector": selector,
        "ports": _ports(service),
        "annotations": _own(meta.annotations),
    }
    if not selector:
        return _malformed(service, facts, "the Service has no selector")
    deployments = list(inventory.deployments.within(meta.namespace))
    found = _colors_by_selector(selector, deployments, hints)
    if found is not None:
        return _colored(service, inventory, facts, *found, hints)
    matched = [item for item in deployments if _selects(selector, item)]
    if len(matched) == 1:
        color = _color("", matched[0], inventory, hints)
        points = tuple(Endpoint(name, "", ready) for name, ready in inventory.addresses_of(service))
        return ModelService(
            meta.namespace, meta.name, Shape.PLAIN, base=selector, colors=(color,), endpoints=points, **facts
        )
    if not matched:
        return _malformed(service, facts, f"no Deployment matches its selector {_labels(selector)}")
    key = _telling_key(matched, hints)
    if key:
        return _colored(service, inventory, facts, key, {_label(item, key): item for item in matched}, hints)
    names = ", ".join(sorted(item.metadata.name for item in matched)[:4])
    return _malformed(
        service, facts, f"its selector matches {len(matched)} Deployments that no colour tells apart: {names}"
    )


def is_candidate(service: objects.Service) -> bool:
    """Whether a Service is worth a row: the API server's own is not."""
    meta = service.metadata
    return not (meta.namespace == "default" and meta.name == "kubernetes")


# ---- which label is the colour


def _colors_by_selector(
    selector: dict[str, str], deployments: Sequence[objects.Deployment], hints: Hints
) -> tuple[str, dict[str, objects.Deployment]] | None:
    """The colour key of a selector and the Deployments by colour, or None when no key makes two of them."""
    best: tuple[tuple[int, int, str], str, dict[str, objects.Deployment]] | None = None
    for key in selector:
        base = {name: value for name, value in selector.items() if name != key}
        group: dict[str, objects.Deployment] = {}
        doubled = False
        for item in deployments:
            labels = item.spec.template.metadata.labels or {}
            if key in labels and base.items() <= labels.items() and (not hints.colors or labels[key] in hints.colors):
                doubled = doubled or labels[key] in group
                group[labels[key]] = item
        named = set(group) == COLORS
        if len(group) < 2 or doubled or (not base and not named):
            continue
        rank = (0 if key == hints.color_key else 1, 0 if named else 1, _known(key))
        if best is None or rank < best[0]:
            best = (rank, key, group)
    return (best[1], best[2]) if best else None


def _known(key: str) -> str:
    return str(KNOWN_KEYS.index(key)) if key in KNOWN_KEYS else "9" + key


def _telling_key(deployments: Sequence[objects.Deployment], hints: Hints) -> str:
    """The label by which Deployments that are all selected differ as colours do."""
    for key in (hints.color_key,) if hints.color_key else KNOWN_KEYS:
        values = [_label(item, key) for item in deployments]
        if all(values) and len(set(values)) == len(values) and (set(values) <= COLORS or key != "version"):
            return key
    return ""


def _label(deployment: objects.Deployment, key: str) -> str:
    return (deployment.spec.template.metadata.labels or {}).get(key, "")


def _selects(selector: dict[str, str], deployment: objects.Deployment) -> bool:
    return selector.items() <= (deployment.spec.template.metadata.labels or {}).items()


# ---- the service


def _colored(
    service: objects.Service,
    inventory: Inventory,
    facts: Facts,
    key: str,
    group: dict[str, objects.Deployment],
    hints: Hints,
) -> ModelService:
    meta, selector = service.metadata, dict(service.spec.selector or {})
    colors = tuple(_color(name, group[name], inventory, hints) for name in sorted(group))
    color_of = {pod.name: color.name for color in colors for pod in color.pods}
    points = tuple(Endpoint(name, color_of.get(name, ""), ready) for name, ready in inventory.addresses_of(service))
    live = selector.get(key, "")
    shape, problems = Shape.BLUE_GREEN, tuple[str, ...]()
    if not live:
        shape, problems = Shape.BOTH, (f"both colours get traffic: the selector does not name {key}",)
    elif len(group) > 2:
        shape = Shape.MALFORMED
        problems = (f"{len(group)} colours by {key} ({', '.join(sorted(group)[:5])}): name two in mlconsole.toml",)
    elif live not in group:
        shape, problems = Shape.MALFORMED, (f"no Deployment has {key}={live}, which the selector names",)
    base = {name: value for name, value in selector.items() if name != key}
    return ModelService(
        meta.namespace,
        meta.name,
        shape,
        color_key=key,
        base=base,
        live=live,
        colors=colors,
        endpoints=points,
        problems=problems,
        **facts,
    )


def _malformed(service: objects.Service, facts: Facts, why: str) -> ModelService:
    meta = service.metadata
    return ModelService(meta.namespace, meta.name, Shape.MALFORMED, problems=(why,), **facts)


def _ports(service: objects.Service) -> tuple[Port, ...]:
    return tuple(
        Port(port.port, port.name, str(port.target_port if port.target_port is not None else port.port))
        for port in service.spec.ports or ()
    )


def _own(annotations: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (annotations or {}).items() if key.startswith(PREFIX)}


def _labels(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


# ---- a colour


def _color(name: str, deployment: objects.Deployment, inventory: Inventory, hints: Hints) -> Color:
    meta, spec, status = deployment.metadata, deployment.spec, deployment.status
    pods = tuple(sorted((pod_state(pod) for pod in inventory.pods_of(deployment)), key=lambda pod: pod.name))
    scaler = inventory.autoscaler_of(deployment)
    digests = {pod.digest for pod in pods if pod.ready and pod.digest}
    release = release_of(spec.template, meta.annotations, hints, next(iter(digests)) if len(digests) == 1 else "")
    return Color(
        name=name,
        deployment=meta.name,
        wish=1 if spec.replicas is None else spec.replicas,
        ready=sum(pod.ready and not pod.terminating for pod in pods),
        minimum=(scaler.spec.min_replicas or 1) if scaler else 1,
        min_ready_seconds=spec.min_ready_seconds,
        autoscaler=scaler.metadata.name if scaler else "",
        release=release,
        generation=meta.generation,
        observed_generation=status.observed_generation,
        updated=status.updated_replicas,
        paused=spec.paused,
        pods=pods,
        revisions=_revisions(inventory.replica_sets_of(deployment), hints),
        problems=_problems(pods, spec.paused),
    )


def release_of(
    template: objects.Template, annotations: dict[str, str] | None, hints: Hints, digest: str = ""
) -> Release:
    """The release of a pod template: its annotations, its owner's, its labels, MODEL_VERSION; in that order."""
    said = {**(annotations or {}), **(template.metadata.labels or {}), **(template.metadata.annotations or {})}
    containers = template.spec.containers or ()
    env = {item.name: item.value or "" for container in containers for item in container.env or ()}
    version = (
        said.get(PREFIX + "model-version") or env.get("MODEL_VERSION") or said.get("app.kubernetes.io/version", "")
    )
    image = containers[0].image if containers else ""
    return Release(
        model=hints.model or said.get(PREFIX + "model") or env.get("MODEL_NAME", ""),
        version=version.removeprefix("v") if version[1:2].isdigit() else version,
        run_id=said.get(PREFIX + "run-id", ""),
        image=image,
        digest=digest or _digest(image),
        git_sha=said.get(PREFIX + "git-sha", ""),
    )


def _digest(image: str) -> str:
    _, mark, digest = image.rpartition("sha256:")
    return mark + digest if mark else ""


def _revisions(sets: Sequence[objects.ReplicaSet], hints: Hints) -> tuple[Revision, ...]:
    found = []
    for item in sets:
        annotations = item.metadata.annotations or {}
        number = annotations.get(REVISION, "")
        if not number.isdigit():
            continue
        found.append(
            Revision(
                number=int(number),
                replica_set=item.metadata.name,
                release=release_of(item.spec.template, None, hints),
                created_at=item.metadata.created,
                wish=item.spec.replicas or 0,
                ready=item.status.ready_replicas,
                change_cause=annotations.get(CHANGE_CAUSE, ""),
            )
        )
    return tuple(sorted(found, key=lambda revision: -revision.number))


# ---- a pod


def pod_state(pod: objects.Pod) -> PodState:
    """A pod in a few words."""
    status = pod.status
    ready = next((item for item in status.conditions or () if item.type == "Ready"), None)
    is_ready = ready is not None and ready.status == "True"
    since = ready.last_transition_time if ready else None
    containers = status.container_statuses or ()
    reason, message = _reason(status, containers)
    return PodState(
        name=pod.metadata.name,
        ready=is_ready,
        phase=status.phase,
        reason=reason,
        message=message,
        restarts=sum(item.restart_count for item in containers),
        started_at=status.start_time.timestamp() if status.start_time else 0.0,
        ready_since=since.timestamp() if is_ready and since else 0.0,
        digest=next((_digest(item.image_id) for item in containers if item.image_id), ""),
        terminating=pod.metadata.deletion_timestamp is not None,
    )


def _reason(status: objects.PodStatus, containers: Sequence[objects.ContainerStatus]) -> tuple[str, str]:
    if status.reason:
        return status.reason, status.message
    for item in containers:
        if item.state.waiting and item.state.waiting.reason not in STILL_STARTING:
            last = item.last_state.terminated
            why = f"; last ended with {last.reason} ({last.exit_code})" if last else ""
            return item.state.waiting.reason, item.state.waiting.message + why
        ended = item.state.terminated
        if ended and ended.exit_code:
            return ended.reason or "Error", ended.message or f"exit code {ended.exit_code}"
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return condition.reason or "Unschedulable", condition.message
    return "", ""


def _problems(pods: Sequence[PodState], paused: bool) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for pod in pods:
        if pod.reason and not pod.terminating:
            counts[pod.reason] = counts.get(pod.reason, 0) + 1
    worst = sorted(counts.items(), key=lambda item: -item[1])
    words = [f"{reason} ({count} of {len(pods)} pods)" for reason, count in worst]
    return (*words, *(("its rollout is paused",) if paused else ()))
