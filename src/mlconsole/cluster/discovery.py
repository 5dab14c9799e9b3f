"""Find the model services: which Service stands before which Deployments, and by which label they are told apart.

A Service is blue-green when one key of its selector, left out, makes it select two Deployments that differ in just
that label, whatever its name (`color`, `slot`, `version`, ...); also when a known key says blue or green and the other
colour has no Deployment yet. Any other single Deployment is a plain service. What is neither is shown as what it is,
with words. A Deployment that says that it was adopted stands beside the colours, and is none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from mlconsole.cluster import objects
from mlconsole.cluster.colors import NO_HINTS, PREFIX, Hints, read_color
from mlconsole.cluster.inventory import Inventory, template_labels
from mlconsole.domain import adopting
from mlconsole.domain.adopting import ADOPTED, Adopted
from mlconsole.domain.services import Color, Endpoint, ModelService, Port, Shape

KNOWN_KEYS = ("mlconsole.io/color", "color", "colour", "slot", "version")
COLORS = frozenset({"blue", "green"})
COLOR_KEY = PREFIX + "color-key"
"""The annotation of a Service that says by which label its traffic was moved last."""
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
        return _malformed(service, facts, _no_selector(service))
    return _adopted(service, inventory, facts, hints) or _unadopted(service, inventory, facts, hints)


def _unadopted(service: objects.Service, inventory: Inventory, facts: Facts, hints: Hints) -> ModelService:
    meta, selector = service.metadata, dict(service.spec.selector or {})
    found = _colors_by_selector(inventory, meta.namespace, selector, hints)
    if found is not None:
        return _colored(service, inventory, facts, *found, hints)
    matched = inventory.deployments.select(meta.namespace, selector)
    key = _key_of_one(selector, hints)
    if not matched:
        left = _other_color(inventory, meta.namespace, selector, key, hints)
        if left:
            return _colored(service, inventory, facts, key, left, hints)
        return _malformed(service, facts, _no_deployment(inventory, meta.namespace, selector))
    if len(matched) == 1 and not key:
        return _plain(service, inventory, facts, matched[0], hints)
    key = key or _telling_key(matched, hints, (meta.annotations or {}).get(COLOR_KEY, ""))
    if key:
        return _colored(service, inventory, facts, key, _grouped(matched, key), hints)
    names = ", ".join(sorted(item.metadata.name for item in matched)[:4])
    return _malformed(
        service, facts, f"its selector matches {len(matched)} Deployments that no colour tells apart: {names}"
    )


# ---- adoptions


def _adopted(service: objects.Service, inventory: Inventory, facts: Facts, hints: Hints) -> ModelService | None:
    """A service with a Deployment that says that this Service was its alone, and what was made of it."""
    meta, wanted = service.metadata, colorless(dict(service.spec.selector or {}), hints)
    for item in inventory.deployments.select(meta.namespace, wanted):
        said = (item.metadata.annotations or {}).get(ADOPTED)
        found = adopting.decode(said) if said else None
        if found is not None and found.service == meta.name:
            return _beside(service, inventory, facts, found, item, hints)
    return None


def _beside(
    service: objects.Service,
    inventory: Inventory,
    facts: Facts,
    adopted: Adopted,
    plain: objects.Deployment,
    hints: Hints,
) -> ModelService | None:
    """A service with what it was adopted from beside its colours; None where it has no colour."""
    selector, key, name = dict(service.spec.selector or {}), adopted.key, _label(plain, adopted.key)
    base = {label: value for label, value in selector.items() if label != key}
    group = _grouped(_candidates(inventory, service.metadata.namespace, base, key), key)
    group = {color: items for color, items in group.items() if plain not in items}
    named, retired = key in selector, plain.spec.replicas == 0
    if (named and (group or selector[key] != name)) or (group and retired):
        return _colored(service, inventory, facts, key, group, hints, plain)
    color = replace(_plain_color(plain, base, key, inventory, hints), name="")
    if not group:
        return None if not named else _alone(service, inventory, facts, key, base, color)
    found = _colored(service, inventory, facts, key, group, hints)
    names = ", ".join(sorted(item.metadata.name for items in group.values() for item in items))
    words = f"{names} gets traffic too: an adoption of {plain.metadata.name} that has not ended"
    return replace(found, shape=Shape.PLAIN, colors=(color, *found.colors), problems=(words,))


def _alone(
    service: objects.Service, inventory: Inventory, facts: Facts, key: str, base: dict[str, str], color: Color
) -> ModelService:
    """An adoption that was undone, but for the selector, which still names the plain Deployment's own colour."""
    meta = service.metadata
    points = tuple(Endpoint(name, "", ready) for name, ready in inventory.addresses_of(service))
    return ModelService(
        meta.namespace, meta.name, Shape.PLAIN, color_key=key, base=base, colors=(color,), endpoints=points, **facts
    )


def _plain_color(
    plain: objects.Deployment, base: dict[str, str], key: str, inventory: Inventory, hints: Hints
) -> Color:
    """What was adopted: its pods have no colour, or one that is neither of the two."""
    name = _label(plain, key)
    rows = [row for row in inventory.pods.select(plain.metadata.namespace, base) if row.labels.get(key, "") == name]
    return read_color(name, [plain], rows, inventory, hints)


def is_candidate(service: objects.Service) -> bool:
    """Whether a Service is worth a row: the API server's own is not."""
    meta = service.metadata
    return not (meta.namespace == "default" and meta.name == "kubernetes")


def _no_selector(service: objects.Service) -> str:
    if service.spec.type == "ExternalName":
        return "an ExternalName Service: it leads out of the cluster, to no pod"
    return "the Service has no selector"


def _no_deployment(inventory: Inventory, namespace: str, selector: dict[str, str]) -> str:
    pods = inventory.pods.select(namespace, selector)
    words = f"no Deployment matches its selector {_labels(selector)}"
    kinds = sorted({row.owner_kind or "nothing" for row in pods})
    return f"{words}; {len(pods)} pods do, of {', '.join(kinds)}" if pods else words


# ---- which label is the colour


def colorless(selector: dict[str, str], hints: Hints = NO_HINTS) -> dict[str, str]:
    """The pairs of a selector that cannot be the colour: every pod of either colour has them."""
    known = (hints.color_key,) if hints.color_key else KNOWN_KEYS
    return {name: value for name, value in selector.items() if name not in known and value not in COLORS}


Groups = dict[str, list[objects.Deployment]]
"""Deployments by colour; more than one in a colour is a problem that is told."""


def _colors_by_selector(
    inventory: Inventory, namespace: str, selector: dict[str, str], hints: Hints
) -> tuple[str, Groups] | None:
    """The colour key of a selector and the Deployments by colour, or None when no key makes two of them.

    A key of any name counts when its values are blue and green; the known keys and the configured one whatever theirs
    are. A selector of the colour alone is one for blue and green only: `version=v1` would gather the whole namespace.
    """
    known: tuple[str, ...] = (hints.color_key,) if hints.color_key else KNOWN_KEYS
    for key in (*known, *sorted(key for key in selector if key not in known and selector[key] in COLORS)):
        if key not in selector:
            continue
        base = {name: value for name, value in selector.items() if name != key}
        group = _grouped(_candidates(inventory, namespace, base, key), key)
        if hints.colors:
            group = {name: items for name, items in group.items() if name in hints.colors}
        if len(group) > 1 and (key in known or set(group) <= COLORS):
            return key, group
    return None


def _key_of_one(selector: dict[str, str], hints: Hints) -> str:
    """The colour key of a selector that says blue or green of something; empty where it says neither."""
    known: tuple[str, ...] = (hints.color_key,) if hints.color_key else KNOWN_KEYS
    colors = COLORS | set(hints.colors)
    return next((key for key in known if selector.get(key) in colors and len(selector) > 1), "")


def _other_color(inventory: Inventory, namespace: str, selector: dict[str, str], key: str, hints: Hints) -> Groups:
    """What is left of a service whose live Deployment is gone: the other colour, which is the way back (I13)."""
    if not key:
        return {}
    base = {name: value for name, value in selector.items() if name != key}
    group = _grouped(_candidates(inventory, namespace, base, key), key)
    return {name: items for name, items in group.items() if name in COLORS or name in hints.colors}


def _candidates(inventory: Inventory, namespace: str, base: dict[str, str], key: str) -> list[objects.Deployment]:
    if base:
        return [item for item in inventory.deployments.select(namespace, base) if _label(item, key)]
    return [item for name in sorted(COLORS) for item in inventory.deployments.select(namespace, {key: name})]


def _grouped(deployments: Sequence[objects.Deployment], key: str) -> Groups:
    group: Groups = {}
    for item in deployments:
        group.setdefault(_label(item, key), []).append(item)
    return group


def _telling_key(deployments: Sequence[objects.Deployment], hints: Hints, last: str) -> str:
    """The label by which Deployments that are all selected differ as colours do: before others `last`, where it does.

    `version` tells nothing unless its values are colours: a canary behind one Service is no incident.
    """
    labels: set[str] = {name for item in deployments for name in template_labels(item)}
    known: tuple[str, ...] = (hints.color_key,) if hints.color_key else (*filter(None, (last,)), *KNOWN_KEYS)
    for key in (*known, *sorted(labels.difference(known))):
        values = [_label(item, key) for item in deployments]
        different = all(values) and len(set(values)) == len(values)
        if different and (set(values) <= COLORS or (key in known and key != "version")):
            return key
    return ""


def _label(deployment: objects.Deployment, key: str) -> str:
    return template_labels(deployment).get(key, "")


# ---- the service


def _plain(
    service: objects.Service, inventory: Inventory, facts: Facts, deployment: objects.Deployment, hints: Hints
) -> ModelService:
    meta, selector = service.metadata, dict(service.spec.selector or {})
    color = read_color("", [deployment], inventory.pods.select(meta.namespace, selector), inventory, hints)
    points = tuple(Endpoint(name, "", ready) for name, ready in inventory.addresses_of(service))
    return ModelService(
        meta.namespace, meta.name, Shape.PLAIN, base=selector, colors=(color,), endpoints=points, **facts
    )


def _colored(
    service: objects.Service,
    inventory: Inventory,
    facts: Facts,
    key: str,
    group: Groups,
    hints: Hints,
    plain: objects.Deployment | None = None,
) -> ModelService:
    meta, selector = service.metadata, dict(service.spec.selector or {})
    base = {name: value for name, value in selector.items() if name != key}
    pods = inventory.pods
    colors = tuple(
        read_color(name, group[name], pods.select(meta.namespace, {**base, key: name}), inventory, hints)
        for name in sorted(group)
    )
    beside = _plain_color(plain, base, key, inventory, hints) if plain is not None else None
    color_of = {pod.name: color.name for color in (*colors, *([beside] if beside else [])) for pod in color.pods}
    points = tuple(Endpoint(name, color_of.get(name, ""), ready) for name, ready in inventory.addresses_of(service))
    live = selector.get(key, "")
    shape, problems = _shape(key, live, group, beside.name if beside else "")
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
        plain=beside,
        **facts,
    )


def _shape(key: str, live: str, group: Groups, beside: str) -> tuple[Shape, tuple[str, ...]]:
    if len(group) > 2:
        names = ", ".join(sorted(group)[:5])
        return Shape.MALFORMED, (f"{len(group)} colours by {key} ({names}): name two in mlconsole.toml",)
    for name, items in group.items():
        if len(items) > 1:
            names = ", ".join(sorted(item.metadata.name for item in items)[:4])
            return Shape.MALFORMED, (f"{len(items)} Deployments are {name}: {names}; a colour is one Deployment",)
    if not live:
        return Shape.BOTH, (f"both colours get traffic: the selector does not name {key}",)
    if live not in group and live != beside:
        return Shape.BLUE_GREEN, (f"nothing gets traffic: no Deployment has {key}={live}, which the selector names",)
    return Shape.BLUE_GREEN, ()


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
