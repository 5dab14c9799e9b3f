"""The kinds that the console reads: where each is served, by which versions, and as what it is decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.cluster import decoding, objects
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Forbidden, NotFound, ServerError


class Resource(Struct, frozen=True):
    """A kind, and the group versions that may serve it, best first."""

    key: str
    type: Any
    versions: tuple[str, ...]
    plural: str
    needed: bool = True
    """Whether the fleet cannot be shown without it."""
    selector: str = ""
    """Labels that are asked for, where not all objects of the kind are wanted."""
    bookmarks: bool = True
    """Whether a quiet watch brings bookmarks. Events are not in the API server's watch cache: none come for them."""


class Served(Struct, frozen=True):
    """A kind as this cluster serves it."""

    resource: Resource
    version: str

    def path(self, namespace: str) -> str:
        """The collection's path; empty `namespace` for all."""
        root = f"/api/{self.version}" if "/" not in self.version else f"/apis/{self.version}"
        return (
            f"{root}/namespaces/{namespace}/{self.resource.plural}" if namespace else f"{root}/{self.resource.plural}"
        )


SERVICES = Resource("services", objects.Service, ("v1",), "services")
DEPLOYMENTS = Resource("deployments", objects.Deployment, ("apps/v1",), "deployments")
REPLICA_SETS = Resource("replicasets", objects.ReplicaSet, ("apps/v1",), "replicasets", needed=False)
PODS = Resource("pods", objects.Pod, ("v1",), "pods")
SLICES = Resource(
    "endpointslices",
    objects.EndpointSlice,
    ("discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"),
    "endpointslices",
    needed=False,
)
ENDPOINTS = Resource("endpoints", objects.Endpoints, ("v1",), "endpoints", needed=False)
EVENTS = Resource("events", objects.Event, ("v1",), "events", needed=False, bookmarks=False)
AUTOSCALERS = Resource(
    "horizontalpodautoscalers",
    objects.Autoscaler,
    ("autoscaling/v2", "autoscaling/v2beta2", "autoscaling/v1"),
    "horizontalpodautoscalers",
    needed=False,
)
JOBS = Resource("jobs", objects.Job, ("batch/v1",), "jobs", needed=False)
HISTORIES = Resource(
    "configmaps",
    objects.ConfigMap,
    ("v1",),
    "configmaps",
    needed=False,
    selector="app.kubernetes.io/managed-by=mlconsole",
)
LEASES = Resource(
    "leases",
    objects.Lease,
    ("coordination.k8s.io/v1",),
    "leases",
    needed=False,
    selector="app.kubernetes.io/managed-by=mlconsole",
)
WATCHED = (SERVICES, DEPLOYMENTS, PODS, REPLICA_SETS, SLICES, AUTOSCALERS, JOBS, EVENTS, HISTORIES, LEASES)


class _Version(Struct):
    groupVersion: str = ""


class _Group(Struct):
    versions: tuple[_Version, ...] = ()


class _Groups(Struct):
    groups: tuple[_Group, ...] = ()


async def served(connection: Connection, wanted: Sequence[Resource] = WATCHED) -> list[Served]:
    """What of `wanted` this cluster serves, and as what: by the API's own discovery.

    EndpointSlices that no version serves are replaced by Endpoints. Raises ClusterError when discovery fails.
    """
    versions = await _group_versions(connection)
    found = []
    for resource in wanted:
        match = next((version for version in resource.versions if version in versions), "")
        if match:
            found.append(Served(resource, match))
        elif resource is SLICES:
            found.append(Served(ENDPOINTS, "v1"))
    return found


async def _group_versions(connection: Connection) -> frozenset[str]:
    try:
        data = await connection.get("/apis")
    except (Forbidden, NotFound):
        # Discovery may be closed to this user: the versions that every supported cluster has.
        return frozenset({"v1", "apps/v1", "batch/v1", "autoscaling/v1", "coordination.k8s.io/v1"})
    try:
        groups = msgspec.json.decode(data, type=_Groups).groups
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = f"cannot read /apis of {connection.identity.server}"
        raise ServerError(what, f"the answer is no list of groups: {error}", "is this an API server?") from error
    return frozenset({"v1", *(version.groupVersion for group in groups for version in group.versions)})


async def find(connection: Connection, *wanted: Resource) -> dict[str, Served]:
    """`served`, by key."""
    return {item.resource.key: item for item in await served(connection, wanted)}


async def read_all(connection: Connection, kind: Served, namespace: str, selector: str = "") -> list[Any]:
    """Every object of a kind in a namespace, in chunks. Malformed ones are left out: the watch cache names them."""
    decoder: decoding.ItemDecoder[Any] = decoding.ItemDecoder(kind.resource.type)
    items: list[Any] = []
    params: dict[str, str | int] = {"limit": 500}
    if selector:
        params["labelSelector"] = selector
    while True:
        data = await connection.get(kind.path(namespace), params)
        page = decoding.raw_list(data, kind.path(namespace))
        items += [item for raw in page.items or () if not isinstance(item := decoder.decode(raw), decoding.Malformed)]
        if not page.metadata.continue_:
            return items
        params["continue"] = page.metadata.continue_
        await asyncio.sleep(0)
