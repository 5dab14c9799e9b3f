"""Everything read of a cluster, in tables: what discovery looks at, whether it came by watches or was read just now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mlconsole.cluster import decoding, objects
from mlconsole.cluster.tables import HasMeta, LabelTable, PodTable, Table

SLICE_SERVICE = "kubernetes.io/service-name"


def owner(item: objects.ReplicaSet) -> str:
    """The controlling owner's name."""
    return item.metadata.owner


def template_labels(item: objects.Deployment) -> Mapping[str, str]:
    """The labels of the pods that a Deployment makes: what a Service selects by."""
    return item.spec.template.metadata.labels or {}


def slice_service(item: objects.EndpointSlice) -> str:
    """The Service that a slice belongs to."""
    return (item.metadata.labels or {}).get(SLICE_SERVICE, "")


def scaled(item: objects.Autoscaler) -> str:
    """The Deployment that an autoscaler scales."""
    target = item.spec.scale_target_ref
    return target.name if target.kind == "Deployment" else ""


def _ignore(_: object) -> None:
    return None


class Inventory:
    """One table a kind. `touched` is told (kind's key, object) of every change."""

    def __init__(
        self,
        touched: Callable[[str, HasMeta], None] | None = None,
        complain: Callable[[decoding.Malformed], None] = _ignore,
    ) -> None:
        def told(key: str) -> Callable[[HasMeta], None]:
            return _ignore if touched is None else lambda item: touched(key, item)

        self.services: Table[objects.Service] = Table(told("services"), complain=complain)
        self.deployments = LabelTable(template_labels, told("deployments"), complain=complain)
        self.replicasets: Table[objects.ReplicaSet] = Table(told("replicasets"), owner, complain)
        self.pods = PodTable(told("pods"), complain)
        self.endpointslices: Table[objects.EndpointSlice] = Table(told("endpointslices"), slice_service, complain)
        self.endpoints: Table[objects.Endpoints] = Table(told("endpoints"), complain=complain)
        self.horizontalpodautoscalers: Table[objects.Autoscaler] = Table(
            told("horizontalpodautoscalers"), scaled, complain
        )
        self.jobs: Table[objects.Job] = Table(told("jobs"), complain=complain)
        self.events: Table[objects.Event] = Table(told("events"), complain=complain)
        self.configmaps: Table[objects.ConfigMap] = Table(told("configmaps"), complain=complain)
        self.leases: Table[objects.Lease] = Table(told("leases"), complain=complain)
        self.has_slices = False
        """Whether this cluster serves EndpointSlices; Endpoints are looked at where it does not."""

    def table(self, key: str) -> Table[HasMeta]:
        """The table of a kind by its resource's key."""
        found: Table[HasMeta] = getattr(self, key)
        return found

    def replica_sets_of(self, deployment: objects.Deployment) -> list[objects.ReplicaSet]:
        """The ReplicaSets of a Deployment."""
        meta = deployment.metadata
        return list(self.replicasets.indexed(meta.namespace, meta.name))

    def addresses_of(self, service: objects.Service) -> Iterable[tuple[str, bool]]:
        """(pod or address, ready) of every endpoint of a Service."""
        namespace, name = service.metadata.namespace, service.metadata.name
        if self.has_slices:
            for item in self.endpointslices.indexed(namespace, name):
                for point in item.endpoints or ():
                    ready = point.conditions.ready is not False
                    yield _pod_name(point.target_ref, point.addresses or ("?",)), ready
            return
        found = self.endpoints.get(namespace, name)
        for subset in (found.subsets or ()) if found else ():
            for ready, addresses in ((True, subset.addresses), (False, subset.not_ready_addresses)):
                for address in addresses or ():
                    yield _pod_name(address.target_ref, (address.ip,)), ready

    def autoscaler_of(self, deployment: objects.Deployment) -> objects.Autoscaler | None:
        """The autoscaler of a Deployment."""
        meta = deployment.metadata
        return next(iter(self.horizontalpodautoscalers.indexed(meta.namespace, meta.name)), None)


def _pod_name(ref: objects.TargetRef | None, addresses: tuple[str, ...]) -> str:
    return ref.name if ref and ref.kind == "Pod" else addresses[0]
