"""Who else writes the fields that a plan writes (I25): a write that somebody's controller undoes helps for a minute.

Three things say so: `managedFields`, which names who wrote each field last; the owner references of what another
controller made; and the labels and annotations that Argo CD, Flux and Helm leave on what they look after. A person with
kubectl and Kubernetes' own controllers are nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from mlconsole.domain.plans import Write
from mlconsole.domain.text import visible

Raw = Mapping[str, Any]
"""An object as the server sent it."""


class Tool(Struct, frozen=True):
    """Something that writes what it looks after again and again."""

    name: str
    managers: tuple[str, ...]
    """Beginnings of the names that it goes by in managedFields, in lower case."""
    marks: tuple[str, ...] = ()
    """Labels and annotations by which it knows its objects."""
    off: tuple[tuple[str, str], ...] = ()
    """Annotations with which it leaves an object alone."""
    advice: str = ""


TOOLS = (
    Tool(
        "Argo CD",
        ("argocd", "argo-cd"),
        ("argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id"),
        advice="turn its self-heal off, or add the field to ignoreDifferences",
    ),
    Tool(
        "Flux",
        ("kustomize-controller", "helm-controller", "flux"),
        ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name", "fluxcd.io/sync-checksum"),
        (
            ("kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
            ("kustomize.toolkit.fluxcd.io/ssa", "ignore"),
            ("kustomize.toolkit.fluxcd.io/ssa", "ifnotpresent"),
        ),
        "suspend it: flux suspend kustomization|helmrelease NAME",
    ),
    Tool(
        "Helm",
        ("helm",),
        ("meta.helm.sh/release-name",),
        advice="the next upgrade writes it again: change the chart's values too",
    ),
    Tool("Argo Rollouts", ("rollouts-controller",), ("rollout.argoproj.io/revision",), advice="pause the Rollout"),
    Tool("Flagger", ("flagger",), advice="suspend the Canary"),
    Tool("KEDA", ("keda",), ("scaledobject.keda.sh/name",), advice="pause the ScaledObject"),
    Tool("Terraform", ("terraform", "hashicorp"), advice="the next apply writes it again: change it there too"),
    Tool("Pulumi", ("pulumi",), advice="the next update writes it again: change it there too"),
)
MARKS = frozenset(mark for tool in TOOLS for mark in tool.marks)
"""What must not be copied to an object that one of them did not make: it would take it for its own, and remove it."""
KINDS = {
    "services": "Service",
    "deployments": "Deployment",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler",
}
_OWN_NOTES = "/metadata/annotations/mlconsole.io~1"
_OURS = ("mlconsole", "kube-", "kubectl", "kubelet")


def foreign(objects: Mapping[tuple[str, str], Raw], writes: Iterable[Write]) -> list[str]:
    """Who else writes what `writes` would change, in words, each once.

    `objects` by (resource, name) as they were read. What is made anew is nobody's yet.
    """
    found: dict[str, None] = {}
    for write in writes:
        item = objects.get((write.resource, write.name))
        if item is None or write.body is not None:
            continue
        what = f"{KINDS.get(write.resource, write.resource)} {write.namespace}/{write.name}"
        paths = tuple(path for path in _changed(write) if not path.startswith(_OWN_NOTES))
        if not paths:
            continue
        found.update(dict.fromkeys(_of_object(item, what, paths)))
    return list(found)


def last_writer(item: Raw, path: str) -> tuple[str, str]:
    """Who wrote a field (a JSON Pointer) last, and when; empty for nobody."""
    owners = [entry for entry in _entries(item) if _owns(entry, item, path)]
    latest = max(owners, key=lambda entry: str(entry.get("time") or ""), default={})
    return visible(str(latest.get("manager") or ""), 120), visible(str(latest.get("time") or ""), 40)


def without_marks(metadata: Raw) -> dict[str, Any]:
    """Metadata for a copy of an object: without what makes it one of those that another tool looks after."""
    found = dict(metadata)
    for part in ("labels", "annotations"):
        kept = {key: value for key, value in (metadata.get(part) or {}).items() if key not in MARKS}
        if (kept.get("app.kubernetes.io/managed-by") or "").lower() == "helm":
            kept["app.kubernetes.io/managed-by"] = "mlconsole"
        if part in found:
            found[part] = kept
    return found


# ---- one object


def _changed(write: Write) -> tuple[str, ...]:
    return ("",) if write.delete else tuple(step["path"] for step in write.patch if step["op"] != "test")


def _of_object(item: Raw, what: str, paths: tuple[str, ...]) -> list[str]:
    """Each owner once: by its controller, else by its name on the field, else by its mark on the object."""
    owner = next((ref for ref in _metadata(item).get("ownerReferences") or () if ref.get("controller")), None)
    if owner is not None:
        kind, name = visible(str(owner.get("kind")), 63), visible(str(owner.get("name")), 120)
        return [f"{what} belongs to {kind} {name}, whose controller would undo this: change it there"]
    said, words = set[str](), []
    for path in paths:
        for entry in _entries(item):
            name = str(entry.get("manager") or "")
            tool = _tool_of(name)
            label = tool.name if tool else name
            if label in said or not _owns(entry, item, path) or not _writes_again(entry, tool):
                continue
            said.add(label)
            words.append(_sentence(label, name, path, what, tool))
    return words + [_marked(tool, mark, what) for tool, mark in _marks(item) if tool.name not in said]


def _marks(item: Raw) -> list[tuple[Tool, str]]:
    """The tools that look after an object, by what they put on it.

    One that applies its fields under its own name, and owns none of those that are written, leaves them alone.
    """
    there = (_metadata(item).get("labels") or {}) | (_metadata(item).get("annotations") or {})
    found = []
    for tool in TOOLS:
        mark = next((mark for mark in tool.marks if mark in there), "")
        if not mark or any(str(there.get(key, "")).lower() == value for key, value in tool.off):
            continue
        entries = [entry for entry in _entries(item) if _tool_of(str(entry.get("manager") or "")) is tool]
        if not any(entry.get("operation") == "Apply" for entry in entries):
            found.append((tool, mark))
    return found


def _sentence(label: str, manager: str, path: str, what: str, tool: Tool | None) -> str:
    field = f"{visible(path, 120)} of " if path else ""
    who = visible(label, 120) if label == manager else f"{visible(label, 120)} ({visible(manager, 120)})"
    return f"{who} writes {field}{what} and may undo this" + (f": {tool.advice}" if tool else "")


def _marked(tool: Tool, mark: str, what: str) -> str:
    return f"{tool.name} looks after {what} ({mark}) and may undo this: {tool.advice}"


def _tool_of(manager: str) -> Tool | None:
    name = manager.lower()
    return next((tool for tool in TOOLS if name.startswith(tool.managers)), None)


def _writes_again(entry: Raw, tool: Tool | None) -> bool:
    """Whether a manager is one that does not leave a field be: a known tool, a controller, who applies."""
    name = str(entry.get("manager") or "").lower()
    if name.startswith(_OURS):
        return False
    return tool is not None or entry.get("operation") == "Apply" or "controller" in name or "operator" in name


# ---- managedFields


def _metadata(item: Raw) -> Raw:
    return item.get("metadata") or {}


def _entries(item: Raw) -> list[Raw]:
    found = _metadata(item).get("managedFields") or ()
    return [entry for entry in found if isinstance(entry, dict) and entry.get("subresource", "") in ("", "scale")]


def _owns(entry: Raw, item: Raw, path: str) -> bool:
    """Whether a manager owns the field at a JSON Pointer, something beneath it, or the whole that it is part of."""
    node = entry.get("fieldsV1")
    if not isinstance(node, dict) or not node:
        return False
    value: Any = item
    for token in (part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]):
        if not isinstance(node, dict) or not node:
            # The whole is one field; labels and annotations never are.
            return node == {} and not path.startswith("/metadata/")
        index = int(token) if isinstance(value, list) and token.isdigit() else -1
        value = _child(value, token, index)
        key = f"f:{token}" if index < 0 else _key_of(node, value, index)
        if key not in node:
            return False
        node = node[key]
    return True


def _child(value: Any, token: str, index: int) -> Any:
    if index >= 0:
        return value[index] if index < len(value) else None
    return value.get(token) if isinstance(value, dict) else None


def _key_of(node: Raw, value: Any, index: int) -> str:
    """What managedFields call an item of a list: by its keys, its value or its number."""
    for key in node:
        kind, _, mark = key.partition(":")
        try:
            wanted = json.loads(mark) if kind in ("k", "v") else None
        except ValueError:
            continue
        if kind == "k" and isinstance(wanted, dict) and isinstance(value, dict) and wanted.items() <= value.items():
            return key
        if kind == "v" and wanted == value:
            return key
    return f"i:{index}"
