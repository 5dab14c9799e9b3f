"""The cluster, mirrored: one reflector a kind, and the model services that follow from it.

A change marks the services that it can concern, by index, never all of them: with 250 services and a hundred changes a
second only what changed is described again, and only when somebody asks (`take`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from mlconsole.cluster import decoding, discovery, objects, resources
from mlconsole.cluster.colors import Hints
from mlconsole.cluster.concern import Concern
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.inventory import Inventory, scaled, slice_service, template_labels
from mlconsole.cluster.pods import PodRow
from mlconsole.cluster.reflector import Reflector
from mlconsole.cluster.tables import HasMeta
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import Condition, SourceState

HintsFor = Callable[[str, str], Hints]
"""From namespace and name of a Service to what the configuration knows of it."""
STALE_SECONDS = 90.0
TAKE_SECONDS = 0.008
"""Of describing services in one go: half a frame, so that nothing else waits for it."""

Key = tuple[str, str]


class Taken(Struct, frozen=True):
    """What changed since the last time somebody asked."""

    services: tuple[ModelService, ...] = ()
    removed: tuple[str, ...] = ()
    events: frozenset[str] = frozenset()
    """Namespaces whose Events changed."""
    jobs: bool = False
    histories: bool = False
    leases: bool = False


class ClusterCache:
    """Reads a namespace (or all) for as long as `run` runs."""

    def __init__(self, connection: Connection, namespace: str, hints: HintsFor) -> None:
        self._connection = connection
        self._namespace = namespace
        self._hints = hints
        self._reflectors: dict[str, Reflector[HasMeta]] = {}
        self._listener: Callable[[], None] = lambda: None
        self._dirty: set[Key] = set()
        self._events: set[str] = set()
        self._jobs = False
        self._histories = False
        self._leases = False
        self._concern = Concern()
        self._started = time.time()
        self.services: dict[str, ModelService] = {}
        """By `namespace/name`, as of the last `take`."""
        self.malformed: dict[str, decoding.Malformed] = {}
        self.inventory = Inventory(self._touched, self._complain)

    # ---- life

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change: it must be quick."""
        self._listener = listener

    async def run(self) -> None:
        """Read until cancelled. Raises ClusterError only when the cluster's API cannot be discovered at all."""
        kinds = await resources.served(self._connection)
        self.inventory.has_slices = any(kind.resource is resources.SLICES for kind in kinds)
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                table = self.inventory.table(kind.resource.key)
                reflector: Reflector[HasMeta] = Reflector(self._connection, kind, self._namespace, table, self._moved)
                self._reflectors[kind.resource.key] = reflector
                group.create_task(reflector.run(), name=f"reflector {kind.resource.key}")

    def reconnect(self) -> None:
        """End every back-off now."""
        for reflector in self._reflectors.values():
            reflector.retry()

    @property
    def complete(self) -> bool:
        """Whether everything that the fleet needs was listed once."""
        needed = [resource.key for resource in resources.WATCHED if resource.needed]
        return all(key in self._reflectors and self._reflectors[key].complete for key in needed)

    def state(self) -> SourceState:
        """The cluster's state: the worst of the kinds that are needed; the others are named in `message`."""
        server = self._connection.identity.server
        needed = [self._reflectors[r.key] for r in resources.WATCHED if r.needed and r.key in self._reflectors]
        contact = min((item.last_contact for item in needed), default=0.0)
        newest = max((item.last_contact for item in self._reflectors.values()), default=0.0)
        for condition in (Condition.DENIED, Condition.DOWN, Condition.STALE, Condition.STARTING):
            for item in needed:
                if item.condition is condition:
                    error = item.error
                    message, hint = (error.message, error.hint) if error else ("", "")
                    return SourceState("k8s", condition, item.since, contact, message, hint, server, STALE_SECONDS)
        off = sorted(key for key, item in self._reflectors.items() if item.condition is not Condition.LIVE)
        message = f"not read: {', '.join(off)}" if off and self.complete else ""
        since = max((item.since for item in needed), default=self._started)
        condition = Condition.LIVE if needed else Condition.STARTING
        # Quiet namespaces change rarely: the watches are alive as long as the newest of them heard something.
        return SourceState("k8s", condition, since, newest, message, "", server, STALE_SECONDS)

    # ---- what changed

    def take(self) -> Taken:
        """Describe again what changed since the last call, for some milliseconds at most.

        What is left is taken by the next call, for which the listener is called again.
        """
        changed: list[ModelService] = []
        removed: list[str] = []
        end = time.perf_counter() + TAKE_SECONDS
        while self._dirty and time.perf_counter() < end:
            self._describe(self._dirty.pop(), changed, removed)
        if self._dirty:
            asyncio.get_running_loop().call_soon(self._moved)
        events, self._events = frozenset(self._events), set()
        jobs, self._jobs = self._jobs, False
        histories, self._histories = self._histories, False
        held, self._leases = self._leases, False
        return Taken(tuple(changed), tuple(removed), events, jobs, histories, held)

    def _describe(self, key: Key, changed: list[ModelService], removed: list[str]) -> None:
        text = "/".join(key)
        service = self.inventory.services.get(*key)
        if service is None or not discovery.is_candidate(service):
            self._concern.forget(key)
            if self.services.pop(text, None) is not None:
                removed.append(text)
            return
        described = discovery.describe(service, self.inventory, self._hints(*key))
        self._concern.learn(key, described)
        if described != self.services.get(text):
            self.services[text] = described
            changed.append(described)

    def _moved(self) -> None:
        self._listener()

    def _complain(self, item: decoding.Malformed) -> None:
        if len(self.malformed) < 100:
            self.malformed[f"{item.kind} {item.name}"] = item

    def _touched(self, key: str, item: HasMeta) -> None:
        _MARK[key](self, item)

    def _mark_service(self, item: HasMeta) -> None:
        self._dirty.add((item.metadata.namespace, item.metadata.name))

    def _mark_deployment(self, item: HasMeta) -> None:
        assert isinstance(item, objects.Deployment)
        meta = item.metadata
        self._dirty |= self._concern.of_deployment(meta.namespace, meta.name, template_labels(item))

    def _mark_replica_set(self, item: HasMeta) -> None:
        assert isinstance(item, objects.ReplicaSet)
        self._dirty |= self._concern.of_scaled(item.metadata.namespace, item.metadata.owner)

    def _mark_pod(self, item: HasMeta) -> None:
        assert isinstance(item, PodRow)
        self._dirty |= self._concern.of_pod(item.namespace, item.labels)

    def _mark_slice(self, item: HasMeta) -> None:
        assert isinstance(item, objects.EndpointSlice)
        self._dirty.add((item.metadata.namespace, slice_service(item)))

    def _mark_autoscaler(self, item: HasMeta) -> None:
        assert isinstance(item, objects.Autoscaler)
        self._dirty |= self._concern.of_scaled(item.metadata.namespace, scaled(item))

    def _mark_event(self, item: HasMeta) -> None:
        self._events.add(item.metadata.namespace)

    def _mark_job(self, _: HasMeta) -> None:
        self._jobs = True

    def _mark_history(self, _: HasMeta) -> None:
        self._histories = True

    def _mark_lease(self, _: HasMeta) -> None:
        self._leases = True


_MARK: Mapping[str, Callable[[ClusterCache, HasMeta], None]] = {
    "services": ClusterCache._mark_service,
    "deployments": ClusterCache._mark_deployment,
    "replicasets": ClusterCache._mark_replica_set,
    "pods": ClusterCache._mark_pod,
    "endpointslices": ClusterCache._mark_slice,
    "endpoints": ClusterCache._mark_service,
    "horizontalpodautoscalers": ClusterCache._mark_autoscaler,
    "events": ClusterCache._mark_event,
    "jobs": ClusterCache._mark_job,
    "configmaps": ClusterCache._mark_history,
    "leases": ClusterCache._mark_lease,
}
