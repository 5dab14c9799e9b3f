"""What a release looks like as a Deployment: made of the live colour's template, or put into the idle colour's.

The live template is the one known to work here (probes, resources, mounts, secrets): what names the release and the
colour is exchanged, everything else is kept. Raw objects, as the API server sends and takes them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.plans import Write, escape_pointer
from mlconsole.domain.services import Color, ModelService, Release

PREFIX = "mlconsole.io/"
COLOR_LABEL = PREFIX + "color"
OPERATION = PREFIX + "operation"
"""The annotation of an object that names the operation that made it."""
VERSION_LABEL = "app.kubernetes.io/version"
CHANGE_CAUSE = "kubernetes.io/change-cause"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
HASH = "pod-template-hash"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
MANAGED_BY = "app.kubernetes.io/managed-by"
PAIR = ("blue", "green")

Raw = Mapping[str, Any]
Step = dict[str, Any]
_OTHERS = ("argocd.argoproj.io/", "meta.helm.sh/", "helm.toolkit.fluxcd.io/", "kustomize.toolkit.fluxcd.io/")
"""Whose annotations and labels would make a controller take a copy for its own, and remove it."""
_NOT_COPIED = frozenset(
    {
        "deployment.kubernetes.io/revision",
        "kubectl.kubernetes.io/last-applied-configuration",
        "helm.sh/chart",
        "app.kubernetes.io/instance",
        CHANGE_CAUSE,
        OPERATION,
    }
)
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_COLOR_ENV = frozenset({"COLOR", "COLOUR", "SLOT"})


class Asked(Struct, frozen=True):
    """What is to stand on a colour."""

    color: str
    color_key: str
    """The label whose value is the colour."""
    release: Release
    replicas: int
    cause: str = ""
    """For `kubectl rollout history`."""


def other_color(service: ModelService) -> str:
    """The colour that a service does not have yet; empty where it has both, or is not of blue and green."""
    missing = [name for name in PAIR if service.color(name) is None]
    return missing[0] if len(missing) == 1 and len(service.colors) == 1 else ""


def name_for(live: str, color: str, wanted: str) -> str:
    """The name of the other colour's Deployment: the colour exchanged where the live one's has it, else added."""
    parts = live.split("-")
    if color in parts:
        at = len(parts) - 1 - parts[::-1].index(color)
        return "-".join([*parts[:at], wanted, *parts[at + 1 :]])
    return f"{live}-{wanted}"


def replicas_for(live: Color | None, wished: int = 0) -> int:
    """The pods that a release needs before it may take the live one's traffic: what the live one has and wants (I1).

    `wished` is what the autoscalers want.
    """
    return max(1, wished, live.wish if live else 0, live.ready if live else 0)


# ---- the template


def template_for(source: Raw, asked: Asked) -> dict[str, Any]:
    """The pod template `source` with another release on another colour; everything else is kept."""
    template = copy.deepcopy(dict(source))
    metadata = dict(template.get("metadata") or {})
    labels = dict(metadata.get("labels") or {})
    before = labels.get(asked.color_key, "")
    labels.pop(HASH, None)
    labels[asked.color_key] = asked.color
    if COLOR_LABEL in labels:
        labels[COLOR_LABEL] = asked.color
    _release_labels(labels, asked.release)
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(RESTARTED, None)
    _release_annotations(annotations, asked.release)
    metadata.pop("annotations", None)
    # A server does not keep an empty map: what is sent must be what is found there after.
    template["metadata"] = {**metadata, "labels": labels, **({"annotations": annotations} if annotations else {})}
    containers = (template.get("spec") or {}).get("containers") or []
    main = annotations.get(DEFAULT_CONTAINER) or (containers[0]["name"] if containers else "")
    for container in containers:
        if container["name"] == main and asked.release.image:
            container["image"] = asked.release.image
        _environment(container, asked, before, main=container["name"] == main)
    return template


def _release_labels(labels: dict[str, str], release: Release) -> None:
    """A version that cannot be a label's value is told by the annotations alone."""
    if _LABEL_VALUE.fullmatch(release.version):
        labels[VERSION_LABEL] = release.version
    else:
        labels.pop(VERSION_LABEL, None)


def _release_annotations(annotations: dict[str, str], release: Release) -> None:
    """What is not known of the new release must not be told of the old one."""
    said = {
        "model": release.model or annotations.get(PREFIX + "model", ""),
        "model-version": release.version,
        "run-id": release.run_id,
        "git-sha": release.git_sha,
        "image-digest": release.digest,
    }
    for key, value in said.items():
        if value:
            annotations[PREFIX + key] = value
        else:
            annotations.pop(PREFIX + key, None)


def _environment(container: dict[str, Any], asked: Asked, before: str, *, main: bool) -> None:
    """MODEL_VERSION as the process reads it, MODEL_NAME and the colour where they are told; no other variable."""
    wanted = {"MODEL_VERSION": asked.release.version, "MODEL_NAME": asked.release.model}
    env = [dict(item) for item in container.get("env") or []]
    for item in env:
        value = wanted.get(item["name"], "")
        if value:
            old = str(item.get("value") or "")
            item.pop("valueFrom", None)
            item["value"] = f"v{value}" if item["name"] == "MODEL_VERSION" and _is_v(old, value) else value
        elif before and item["name"].upper() in _COLOR_ENV and item.get("value") == before:
            item["value"] = asked.color
    if main and asked.release.version and all(item["name"] != "MODEL_VERSION" for item in env):
        env.append({"name": "MODEL_VERSION", "value": asked.release.version})
    if env:
        container["env"] = env


def _is_v(old: str, new: str) -> bool:
    """Whether versions are written with a `v` here."""
    return old[:1] == "v" and old[1:2].isdigit() and new[:1].isdigit()


# ---- a Deployment that is not there yet


def deployment_for(live: Raw, name: str, asked: Asked) -> dict[str, Any]:
    """The Deployment to make, of the live one: without what the server set, and what says whose it is."""
    metadata, spec = live.get("metadata") or {}, copy.deepcopy(dict(live.get("spec") or {}))
    labels = _kept(metadata.get("labels"))
    if asked.color_key in labels:
        labels[asked.color_key] = asked.color
    labels[COLOR_LABEL] = asked.color
    labels[MANAGED_BY] = "mlconsole"
    if VERSION_LABEL in labels:
        _release_labels(labels, asked.release)
    annotations = {key: value for key, value in _kept(metadata.get("annotations")).items() if not _of_release(key)}
    if asked.cause:
        annotations[CHANGE_CAUSE] = asked.cause
    spec |= {"replicas": asked.replicas, "template": template_for(spec.get("template") or {}, asked)}
    spec["selector"] = _selector(spec.get("selector") or {}, asked)
    spec["template"]["metadata"]["labels"] |= spec["selector"]["matchLabels"]
    spec.pop("paused", None)
    made = {"name": name, "namespace": metadata.get("namespace", ""), "labels": labels, "annotations": annotations}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": made, "spec": spec}


def rebuilt(template: Raw, base: Mapping[str, str], namespace: str, name: str, asked: Asked) -> dict[str, Any]:
    """The Deployment to make of nothing but a pod template that was kept."""
    selector = {"matchLabels": {**base, asked.color_key: asked.color}}
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": {**selector["matchLabels"]}}
    spec = {"replicas": asked.replicas, "selector": selector, "template": dict(template)}
    return deployment_for({"metadata": metadata, "spec": spec}, name, asked)


def _kept(pairs: Mapping[str, str] | None) -> dict[str, str]:
    return {
        key: value
        for key, value in (pairs or {}).items()
        if key not in _NOT_COPIED and not key.startswith(_OTHERS) and key != MANAGED_BY
    }


def _of_release(key: str) -> bool:
    """Whether an annotation says something of a release: those stand on the template."""
    told = ("model", "model-version", "run-id", "git-sha", "image-digest")
    return key.startswith(PREFIX) and key.removeprefix(PREFIX) in told


def _selector(selector: Raw, asked: Asked) -> dict[str, Any]:
    """Which pods are its own: those of its colour, whatever version they come to have."""
    labels = {key: value for key, value in (selector.get("matchLabels") or {}).items() if key != VERSION_LABEL}
    labels[asked.color_key] = asked.color
    if COLOR_LABEL in labels:
        labels[COLOR_LABEL] = asked.color
    rest = [item for item in selector.get("matchExpressions") or () if item.get("key") not in labels]
    return {"matchLabels": labels, **({"matchExpressions": rest} if rest else {})}


# ---- a Deployment that is there


def patch_for(seen: Raw, source: Raw, asked: Asked) -> tuple[Step, ...]:
    """The JSON Patch that puts the release into the Deployment `seen`, of the template `source` (I6).

    Everything that it replaces is tested to be what was seen, so that it can be undone. Empty where it is so already.
    """
    spec = seen.get("spec") or {}
    before, after = spec.get("template") or {}, template_for(source, asked)
    # What a Deployment selects its pods by cannot be changed.
    after["metadata"]["labels"] |= (spec.get("selector") or {}).get("matchLabels") or {}
    steps: list[Step] = []
    if before != after:
        steps += replaced("/spec/template", before, after)
        steps += _told(seen, asked)
    if spec.get("replicas") != asked.replicas:
        steps += replaced("/spec/replicas", spec.get("replicas"), asked.replicas)
    return tuple(steps)


def _told(seen: Raw, asked: Asked) -> list[Step]:
    """What the Deployment itself says of its release is changed with it; little is added."""
    metadata = seen.get("metadata") or {}
    steps: list[Step] = []
    labels, annotations = dict(metadata.get("labels") or {}), dict(metadata.get("annotations") or {})
    if VERSION_LABEL in labels:
        steps += _exchanged("/metadata/labels", labels, VERSION_LABEL, _release_labels, asked.release)
    for key in sorted(annotations):
        if _of_release(key):
            steps += _exchanged("/metadata/annotations", annotations, key, _release_annotations, asked.release)
    if asked.cause and annotations and annotations.get(CHANGE_CAUSE) != asked.cause:
        path = f"/metadata/annotations/{escape_pointer(CHANGE_CAUSE)}"
        steps += replaced(path, annotations.get(CHANGE_CAUSE), asked.cause)
    return steps


def _exchanged(at: str, pairs: Mapping[str, str], key: str, fill: Any, release: Release) -> list[Step]:
    new = dict(pairs)
    fill(new, release)
    path = f"{at}/{escape_pointer(key)}"
    if key not in new:
        return [{"op": "test", "path": path, "value": pairs[key]}, {"op": "remove", "path": path}]
    return replaced(path, pairs[key], new[key]) if new[key] != pairs[key] else []


def replaced(path: str, before: Any, after: Any) -> list[Step]:
    """The steps that put `after` in the place of `before`, which is tested; None is tested to be absent."""
    change = "add" if before is None else "replace"
    return [{"op": "test", "path": path, "value": before}, {"op": change, "path": path, "value": after}]


def marked(write: Write, operation: str) -> Write:
    """A write that makes an object, with the operation's id on it: that alone may remove it again."""
    if write.body is None:
        return write
    metadata = write.body.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), OPERATION: operation}
    return replace(write, body={**write.body, "metadata": {**metadata, "annotations": annotations}})


def startup_seconds(*colors: Color | None) -> float:
    """The seconds that a pod took from its start until it was ready, the slowest of those that are; 0 for unknown."""
    took = [
        pod.ready_since - pod.started_at
        for color in colors
        if color is not None
        for pod in color.pods
        if pod.ready and pod.started_at and not pod.restarts
    ]
    return max((seconds for seconds in took if seconds > 0), default=0.0)


def restart_steps(seen: Raw, at: str) -> list[Step]:
    """What `kubectl rollout restart` does, tested: the pods are replaced one by one."""
    metadata = ((seen.get("spec") or {}).get("template") or {}).get("metadata") or {}
    annotations, path = metadata.get("annotations"), "/spec/template/metadata/annotations"
    if not annotations:
        return replaced(path, annotations, {RESTARTED: at})
    return replaced(f"{path}/{escape_pointer(RESTARTED)}", annotations.get(RESTARTED), at)


# ---- may a template be kept


def literal_secrets(template: Raw, words: Sequence[str]) -> tuple[str, ...]:
    """The variables of a template whose value stands in it and whose name or look says secret (I27)."""
    spec = template.get("spec") or {}
    found = []
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for item in container.get("env") or ():
            value, name = str(item.get("value") or ""), str(item.get("name") or "")
            if value and (any(word in name.lower() for word in words) or looks_secret(value)):
                found.append(name)
    return tuple(found)


def looks_secret(value: str) -> bool:
    """A login in an address, a private key."""
    return bool(re.search(r"://[^/\s:@]+:[^/\s@]+@", value)) or "PRIVATE KEY-----" in value
