"""One colour of a model service: its Deployment, its pods, the release that it runs, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from mlconsole.cluster import objects
from mlconsole.cluster.inventory import Inventory
from mlconsole.cluster.pods import PodRow, digest_in, main_container
from mlconsole.domain.services import Color, PodState, Release, Revision
from mlconsole.domain.text import visible

PREFIX = "mlconsole.io/"
REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"


class Hints(Struct, frozen=True):
    """What the configuration knows of one service."""

    color_key: str = ""
    colors: tuple[str, ...] = ()
    model: str = ""


NO_HINTS = Hints()


def read_color(
    name: str, deployments: list[objects.Deployment], rows: Iterable[PodRow], inventory: Inventory, hints: Hints
) -> Color:
    """A colour; `rows` are the pods that the Service would select, were this colour live."""
    deployment = deployments[0]
    meta, spec, status = deployment.metadata, deployment.spec, deployment.status
    pods = tuple(sorted((row.state for row in rows), key=_by_name))
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
        problems=(*_problems(pods), *_conditions(deployment), *_disagreement(spec.template)),
    )


def _by_name(pod: PodState) -> str:
    return pod.name


def release_of(
    template: objects.Template, annotations: dict[str, str] | None, hints: Hints, digest: str = ""
) -> Release:
    """The release of a pod template: its annotations, its owner's, its labels, MODEL_VERSION; in that order."""
    said = {**(annotations or {}), **(template.metadata.labels or {}), **(template.metadata.annotations or {})}
    env, image = _env(template), _image(template)
    version = (
        said.get(PREFIX + "model-version") or env.get("MODEL_VERSION") or said.get("app.kubernetes.io/version", "")
    )
    return Release(
        model=visible(hints.model or said.get(PREFIX + "model") or env.get("MODEL_NAME", "")),
        version=visible(version.removeprefix("v") if version[1:2].isdigit() else version, 80),
        run_id=visible(said.get(PREFIX + "run-id", ""), 80),
        image=visible(image, 500),
        digest=digest or digest_in(image),
        git_sha=visible(said.get(PREFIX + "git-sha", ""), 80),
    )


def _env(template: objects.Template) -> dict[str, str]:
    """The literal environment of the containers; the first to set a name wins."""
    pairs = [
        (item.name, item.value or "") for container in template.spec.containers or () for item in container.env or ()
    ]
    return dict(reversed(pairs))


def _image(template: objects.Template) -> str:
    containers = template.spec.containers or ()
    main = main_container(template.metadata.annotations, (item.name for item in containers))
    return next((item.image for item in containers if item.name == main), "")


def _disagreement(template: objects.Template) -> tuple[str, ...]:
    """The annotation and the process that serves must name the same version."""
    said = (template.metadata.annotations or {}).get(PREFIX + "model-version", "").removeprefix("v")
    runs = _env(template).get("MODEL_VERSION", "").removeprefix("v")
    if not said or not runs or said == runs:
        return ()
    return (f"its annotation says model version {visible(said, 40)}, MODEL_VERSION says {visible(runs, 40)}",)


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


# ---- what is wrong, in words


def _problems(pods: Sequence[PodState]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    told: dict[str, str] = {}
    for pod in pods:
        if pod.reason and not pod.terminating:
            counts[pod.reason] = counts.get(pod.reason, 0) + 1
            told.setdefault(pod.reason, pod.message)
    worst = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        f"{reason} ({count} of {len(pods)} pods)" + (f": {told[reason]}" if told[reason] else "")
        for reason, count in worst
    )


def _conditions(deployment: objects.Deployment) -> tuple[str, ...]:
    words = ["its rollout is paused"] if deployment.spec.paused else []
    for item in deployment.status.conditions or ():
        stuck = item.type == "Progressing" and item.status == "False"
        if stuck or (item.type == "ReplicaFailure" and item.status == "True"):
            words.append(visible(f"{item.reason}: {item.message}", 200))
    return tuple(words)
