"""Read one service straight from the API server, for plans and for what follows them: never from the cache (I1)."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from mlconsole.cluster import decoding, discovery, objects, resources
from mlconsole.cluster.colors import NO_HINTS, PREFIX, Hints
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Forbidden, NotFound, ServerError
from mlconsole.cluster.inventory import SLICE_SERVICE, Inventory, scaled
from mlconsole.cluster.resources import Resource, Served
from mlconsole.domain.masking import SECRET_WORDS
from mlconsole.domain.plans import Diff, PlanError, Write
from mlconsole.domain.services import ModelService
from mlconsole.gathering import gather

HASH = "pod-template-hash"
SLICE = 100
"""Objects taken in before other tasks get a turn."""


class Fresh(Struct, frozen=True):
    """A service and what it was described from."""

    service: ModelService
    raw: dict[tuple[str, str], Any]
    """(resource, name) to the object as the server sent it: the Service, its Deployments, their ReplicaSets and
    autoscalers, and the autoscalers that wait for a Deployment."""

    def uid_of(self, resource: str, name: str) -> str:
        """The uid of one of the objects, or empty."""
        found = self.raw.get((resource, name))
        return str(found["metadata"].get("uid", "")) if found else ""

    @property
    def autoscalers(self) -> tuple[dict[str, Any], ...]:
        """The HorizontalPodAutoscalers among the objects."""
        return tuple(item for (resource, _), item in self.raw.items() if resource == resources.AUTOSCALERS.key)

    def meets(self, write: Write) -> bool:
        """Whether everything that `write` was planned on is still so."""
        found = self.raw.get((write.resource, write.name))
        if write.body is not None:
            return found is None
        if write.delete:
            return found is not None and found["metadata"].get("uid") == write.uid
        return found is not None and all(
            _at(found, step["path"]) == step["value"] for step in write.patch if step["op"] == "test"
        )

    def has(self, write: Write) -> bool:
        """Whether everything that `write` puts in place is in place."""
        found = self.raw.get((write.resource, write.name))
        if write.delete:
            return found is None or found["metadata"].get("uid") != write.uid
        if write.body is not None:
            return found is not None and _mark(found) == _mark(write.body)
        return found is not None and all(
            _at(found, step["path"]) == step.get("value") for step in write.patch if step["op"] != "test"
        )


def _mark(found: dict[str, Any]) -> str:
    """The operation that made an object, by its annotation; what was made by nobody's is like nothing."""
    return ((found.get("metadata") or {}).get("annotations") or {}).get(PREFIX + "operation", "") or "?"


async def read(
    connection: Connection,
    namespace: str,
    name: str,
    hints: Hints = NO_HINTS,
    base: Mapping[str, str] | None = None,
) -> Fresh:
    """Read a Service and all that it stands before, in one round of parallel requests, or two.

    `base` is what its selector was seen to be without the colour: pods are then asked for by it, which keeps the answer
    small in a namespace of thousands; where it turns out to be no longer true, everything is read once more. Without
    it the Service is read first, and its pods are asked for by those of its labels that cannot be the colour.
    Raises NotFound for a Service that is not there, ClusterError when what is needed cannot be read.
    """
    kinds = await served(connection)
    found = await _read(connection, kinds, namespace, name, hints, base)
    if base and found.service.base != base:
        return await _read(connection, kinds, namespace, name, hints, None)
    return found


async def _read(
    connection: Connection,
    kinds: list[Served],
    namespace: str,
    name: str,
    hints: Hints,
    base: Mapping[str, str] | None,
) -> Fresh:
    path = f"/api/v1/namespaces/{namespace}/services/{name}"
    pods = next(kind for kind in kinds if kind.resource is resources.PODS)
    others = [kind for kind in kinds if kind is not pods]
    first = gather(connection.get(path), gather(*(_list(connection, kind, namespace, name) for kind in others)))
    if base is None:
        found, lists = await first
        decoded = _service(found, path)
        wanted = discovery.colorless(dict(decoded.spec.selector or {}), hints)
        of_pods = await _list(connection, pods, namespace, name, wanted)
    else:
        (found, lists), of_pods = await gather(first, _list(connection, pods, namespace, name, base))
        decoded = _service(found, path)
    inventory = Inventory()
    inventory.has_slices = any(kind.resource is resources.SLICES for kind in kinds)
    inventory.services.put(decoded)
    as_sent: dict[tuple[str, str], msgspec.Raw] = {("services", name): msgspec.Raw(found)}
    for kind, items in zip((*others, pods), (*lists, of_pods), strict=True):
        await _fill(inventory, kind, items, as_sent)
    described = discovery.describe(decoded, inventory, hints)
    return Fresh(described, {key: msgspec.json.decode(as_sent[key]) for key in _of(described, inventory, as_sent)})


def _service(body: bytes, path: str) -> objects.Service:
    decoded = decoding.ItemDecoder(objects.Service).decode(body)
    if isinstance(decoded, decoding.Malformed):
        raise ServerError(f"cannot read {path}", decoded.why, "look at it with kubectl")
    return decoded


def _of(service: ModelService, inventory: Inventory, there: Container[tuple[str, str]]) -> list[tuple[str, str]]:
    """The objects that are kept whole: what a write may test and replace. Not the whole namespace's."""
    every = (*service.colors, *([service.plain] if service.plain else []))
    wanted = [("services", service.name), *(("deployments", color.deployment) for color in every)]
    wanted += [("replicasets", revision.replica_set) for color in every for revision in color.revisions]
    colors = {color.deployment for color in every}
    wanted += [
        (resources.AUTOSCALERS.key, scaler.metadata.name)
        for scaler in inventory.horizontalpodautoscalers.within(service.namespace)
        if (name := scaled(scaler)) in colors or (name and not inventory.deployments.get(service.namespace, name))
    ]
    return [key for key in wanted if key in there]


_KINDS = (
    resources.DEPLOYMENTS,
    resources.REPLICA_SETS,
    resources.PODS,
    resources.SLICES,
    resources.AUTOSCALERS,
)
_served: WeakKeyDictionary[Connection, list[Served]] = WeakKeyDictionary()


async def served(connection: Connection) -> list[Served]:
    """The kinds read here, as this cluster serves them; asked once a connection."""
    known = _served.get(connection)
    if known is None:
        known = _served[connection] = await resources.served(connection, _KINDS)
    return known


async def _list(
    connection: Connection, kind: Served, namespace: str, service: str, base: Mapping[str, str] | None = None
) -> tuple[msgspec.Raw, ...]:
    params: dict[str, str | int] = {}
    path = kind.path(namespace)
    if kind.resource is resources.SLICES:
        params["labelSelector"] = f"{SLICE_SERVICE}={service}"
    elif kind.resource is resources.ENDPOINTS:
        params["fieldSelector"] = f"metadata.name={service}"
    elif base and kind.resource is resources.PODS:
        params["labelSelector"] = ",".join(f"{key}={value}" for key, value in base.items())
    items: list[msgspec.Raw] = []
    try:
        while True:
            page = decoding.raw_list(await connection.get(path, {**params, "limit": 500}), path)
            items += page.items or ()
            if not page.metadata.continue_:
                return tuple(items)
            params["continue"] = page.metadata.continue_
    except (Forbidden, NotFound):
        if kind.resource.needed:
            raise
        return ()


_KEPT: tuple[Resource, ...] = (resources.DEPLOYMENTS, resources.REPLICA_SETS, resources.AUTOSCALERS)


async def _fill(
    inventory: Inventory, kind: Served, items: tuple[msgspec.Raw, ...], as_sent: dict[tuple[str, str], msgspec.Raw]
) -> None:
    decoder: decoding.ItemDecoder[Any] = decoding.ItemDecoder(kind.resource.type)
    table = inventory.table(kind.resource.key)
    for number, item in enumerate(items, 1):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        decoded = decoder.decode(item)
        if isinstance(decoded, decoding.Malformed):
            continue
        table.put(decoded)
        if kind.resource in _KEPT:
            as_sent[kind.resource.key, decoded.metadata.name] = item


# ---- a plain service's way back


def revision_write(fresh: Fresh, number: int) -> tuple[Write, tuple[Diff, ...]]:
    """The write that puts a revision's pod template back into the Deployment, tested against what was seen.

    What `kubectl rollout undo --to-revision` does, as a JSON Patch with a precondition (I6).
    """
    color = fresh.service.colors[0]
    revision = next((item for item in color.revisions if item.number == number), None)
    replica_set = fresh.raw.get(("replicasets", revision.replica_set)) if revision else None
    deployment = fresh.raw.get(("deployments", color.deployment))
    if replica_set is None or deployment is None:
        raise PlanError(f"revision {number} of Deployment {color.deployment} is gone", exit_code=2)
    before, after = deployment["spec"]["template"], without_hash(replica_set["spec"]["template"])
    if before == after:
        raise PlanError(f"Deployment {color.deployment} has the template of revision {number} already", exit_code=0)
    patch = (
        {"op": "test", "path": "/spec/template", "value": before},
        {"op": "replace", "path": "/spec/template", "value": after},
    )
    name = f"Deployment {fresh.service.namespace}/{color.deployment}"
    diffs = tuple(Diff(name, path, old, new) for path, old, new in differences("template", before, after))
    return Write("deployments", fresh.service.namespace, color.deployment, patch), diffs


def without_hash(template: dict[str, Any]) -> dict[str, Any]:
    """A ReplicaSet's template as its Deployment had it."""
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": metadata}


def differences(path: str, before: Any, after: Any) -> list[tuple[str, str, str]]:
    """(path, before, after) of every leaf that differs; values of what is called a secret are not told (I27)."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [row for key in keys for row in differences(f"{path}.{key}", before.get(key), after.get(key))]
    if isinstance(before, list) and isinstance(after, list):
        names = [_named(item, index) for index, item in enumerate(before)]
        others = [_named(item, index) for index, item in enumerate(after)]
        old, new = dict(zip(names, before, strict=True)), dict(zip(others, after, strict=True))
        keys = list(dict.fromkeys((*names, *others)))
        return [row for key in keys for row in differences(f"{path}[{key}]", old.get(key), new.get(key))]
    if before == after:
        return []
    if _is_secret(path):
        return [(path, "(hidden)", "(hidden, differs)")]
    return [(path, _shown(before), _shown(after))]


def _named(item: Any, index: int) -> str:
    return str(item["name"]) if isinstance(item, dict) and "name" in item else str(index)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "(none)" if value is None else msgspec.json.encode(_masked(value)).decode()


def _masked(value: Any) -> Any:
    """A whole that is told at once, without the values of what is called a secret in it (I27)."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if not isinstance(value, dict):
        return value
    hidden = {key for key in value if _is_secret(str(key))}
    if _is_secret(str(value.get("name") or "")):
        hidden |= {"value"} & value.keys()
    return {key: "(hidden)" if key in hidden else _masked(item) for key, item in value.items()}


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def _at(found: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        if not isinstance(found, dict):
            return None
        found = found.get(token.replace("~1", "/").replace("~0", "~"))
    return found
