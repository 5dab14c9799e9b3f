"""What an adoption makes of a plain Deployment, and what undoes it; raw objects, as the API server has them.

The plain Deployment stays, scaled to 0 when its last request is done, and says in an annotation what was made of it:
that is what an adoption is known by, and undone by. While it has no colour it shares the Service with its copy; on its
way back it has a colour of its own, `plain`, so that no request reaches what is about to be removed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.domain.deploying import COLOR_LABEL, HASH, OPERATION, Asked, deployment_for
from mlconsole.domain.owners import without_marks
from mlconsole.domain.plans import Write, escape_pointer
from mlconsole.domain.text import visible

ADOPTED = "mlconsole.io/adopted"
"""The annotation of a plain Deployment that was adopted."""
COLOR = "blue"
"""The colour that the copy gets."""
PLAIN = "plain"
"""The colour that the plain Deployment has on its way back."""
SERVICE_LABEL = "mlconsole.io/service"
"""The label by which a copy knows its pods, and Services do not: they are its own when they have left the Service."""
KEDA = "scaledobject.keda.sh/name"
_STATUS = "autoscaling.alpha.kubernetes.io/"
_KEPT = _STATUS + "metrics"
"""Where an older view of an autoscaler has what does not fit into it; what else is there is its status."""

Raw = Mapping[str, Any]


class Adopted(Struct, frozen=True):
    """What was made of a plain Deployment."""

    service: str
    deployment: str
    """The copy's name."""
    key: str
    """The label that tells the colours apart."""
    replicas: int
    """What the plain one had."""


def encode(adopted: Adopted) -> str:
    """As it stands in the annotation."""
    return msgspec.json.encode(adopted).decode()


def decode(text: str) -> Adopted | None:
    """What an annotation says; None for what is no such thing."""
    try:
        found = msgspec.json.decode(text, type=Adopted)
    except msgspec.DecodeError:
        return None
    return found if found.service and found.key else None


def of(deployment: Raw) -> Adopted | None:
    """What a Deployment says of its own adoption."""
    return decode(((deployment.get("metadata") or {}).get("annotations") or {}).get(ADOPTED, ""))


def made_here(item: Raw) -> bool:
    """Whether an operation of the console made an object: nothing else is removed."""
    return bool(((item.get("metadata") or {}).get("annotations") or {}).get(OPERATION))


def recolored(template: Raw, key: str, color: str) -> dict[str, Any]:
    """A pod template as it is, of another colour; nothing else differs."""
    found = copy.deepcopy(dict(template))
    metadata = dict(found.get("metadata") or {})
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH}
    labels |= {key: color, **({COLOR_LABEL: color} if COLOR_LABEL in labels else {})}
    return {**found, "metadata": {**metadata, "labels": labels}}


def copied(plain: Raw, asked: Asked, name: str, service: str, base: Mapping[str, str]) -> dict[str, Any]:
    """The Deployment that takes over from a plain one: the same pods, with a colour, and nobody else's marks.

    It does not know its pods by the labels `base` that the Service selects by: without one of them they get no request,
    and are its own still.
    """
    made = deployment_for(plain, name, asked)
    spec = made["spec"]
    selector = _apart(spec["selector"], service, base)
    template = recolored(plain["spec"]["template"], asked.color_key, asked.color)
    template["metadata"]["labels"] |= spec["selector"]["matchLabels"] | selector["matchLabels"]
    spec = {**spec, "selector": selector, "template": template}
    return {**made, "metadata": without_marks(made["metadata"]), "spec": spec}


def _apart(selector: Raw, service: str, base: Mapping[str, str]) -> dict[str, Any]:
    """A Deployment's selector without what its Service selects by, but for the one label that stands for the rest."""
    labels = {key: value for key, value in selector["matchLabels"].items() if key not in base}
    rest = [item for item in selector.get("matchExpressions") or () if item.get("key") not in base]
    return {
        "matchLabels": labels | {SERVICE_LABEL: base.get(SERVICE_LABEL, service)},
        **({"matchExpressions": rest} if rest else {}),
    }


def selector_of(write: Write) -> dict[str, Any]:
    """The selector of the Deployment that a write makes; empty where it makes none."""
    if write.resource != "deployments" or write.body is None:
        return {}
    return dict(write.body["spec"]["selector"])


def way_out(selector: Raw, base: Mapping[str, str]) -> str:
    """The label of a Service's without which pods are a Deployment's and not the Service's; empty where there is none.

    `selector` is the Deployment's.
    """
    if not selector:
        return ""
    own = {*(selector.get("matchLabels") or {}), *(item.get("key") for item in selector.get("matchExpressions") or ())}
    return next((key for key in sorted(base) if key not in own), "")


def withdrawn(namespace: str, pod: str, label: str, value: str) -> Write:
    """The write that takes a pod out of a Service: its label, tested to be what was seen (I6)."""
    path = f"/metadata/labels/{escape_pointer(label)}"
    steps = ({"op": "test", "path": path, "value": value}, {"op": "remove", "path": path})
    return Write("pods", namespace, pod, steps)


def copied_autoscaler(scaler: Raw, version: str, name: str) -> dict[str, Any]:
    """The autoscaler of the copy `name`, as the plain Deployment's in the API's `version`."""
    metadata, spec = scaler.get("metadata") or {}, copy.deepcopy(dict(scaler.get("spec") or {}))
    spec["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key != "kubectl.kubernetes.io/last-applied-configuration" and (not key.startswith(_STATUS) or key == _KEPT)
    }
    kept = without_marks({"labels": dict(metadata.get("labels") or {}), "annotations": annotations})
    made = {"name": name, "namespace": metadata.get("namespace", ""), **{key: kept[key] for key in kept if kept[key]}}
    return {"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": made, "spec": spec}


def controlled(item: Raw) -> str:
    """Whose controller makes an autoscaler, and would make one again, in words; empty for nobody's.

    What Helm, Argo CD or Flux put there is made once, and copied like any other.
    """
    metadata = item.get("metadata") or {}
    owner = next((ref for ref in metadata.get("ownerReferences") or () if ref.get("controller")), None)
    if owner is not None:
        return visible(f"{owner.get('kind')} {owner.get('name')}", 120)
    scaled = (metadata.get("labels") or {}).get(KEDA)
    return visible(f"ScaledObject {scaled}", 120) if scaled else ""


# ---- steps of patches


def annotate(item: Raw, value: str) -> tuple[dict[str, Any], ...]:
    """The steps that put `ADOPTED` on a Deployment that has none."""
    if not (item.get("metadata") or {}).get("annotations"):
        at = "/metadata/annotations"
        return ({"op": "test", "path": at, "value": None}, {"op": "add", "path": at, "value": {ADOPTED: value}})
    path = annotation_path()
    return ({"op": "test", "path": path, "value": None}, {"op": "add", "path": path, "value": value})


def annotation_path() -> str:
    """Where `ADOPTED` stands."""
    return f"/metadata/annotations/{escape_pointer(ADOPTED)}"


def colored(seen: Mapping[str, str], key: str, color: str, service: str, namespace: str) -> Write:
    """The write that has a plain Service name a colour: its selector is tested whole (I2, I6)."""
    path = f"/spec/selector/{escape_pointer(key)}"
    steps = (
        {"op": "test", "path": "/spec/selector", "value": dict(seen)},
        {"op": "add", "path": path, "value": color},
    )
    return Write("services", namespace, service, steps)


def selects(selector: Raw | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector, as other objects have it, takes pods with these labels in."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return wanted.items() <= labels.items() and all(
        _meets(item, labels) for item in selector.get("matchExpressions") or ()
    )


def _meets(item: Raw, labels: Mapping[str, str]) -> bool:
    there, values = labels.get(item.get("key") or ""), item.get("values") or ()
    operator = item.get("operator")
    if operator == "In":
        return there in values
    if operator == "NotIn":
        return there not in values
    return (there is not None) == (operator == "Exists")


def plain_names(items: Iterable[Raw]) -> str:
    """Objects by name, for a sentence."""
    return ", ".join(sorted(str((item.get("metadata") or {}).get("name") or "?") for item in items))
