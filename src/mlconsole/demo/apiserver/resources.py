"""The kinds that are served, where, and what of them is special."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resource:
    """A kind."""

    plural: str
    kind: str
    group: str
    version: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    stored_as: str = ""
    """The plural under which it is stored, where it is another version's view of it."""
    singular: str = ""

    @property
    def group_version(self) -> str:
        """`apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """The name of its store."""
        return self.stored_as or self.plural


_ALL = ("all",)
RESOURCES: tuple[Resource, ...] = (
    Resource("namespaces", "Namespace", "", "v1", False, ("ns",), ("status",)),
    Resource("nodes", "Node", "", "v1", False, ("no",), ("status",)),
    Resource("pods", "Pod", "", "v1", True, ("po",), ("status", "log", "proxy"), _ALL),
    Resource("services", "Service", "", "v1", True, ("svc",), ("status", "proxy"), _ALL),
    Resource("endpoints", "Endpoints", "", "v1", True, ("ep",)),
    Resource("events", "Event", "", "v1", True, ("ev",)),
    Resource("configmaps", "ConfigMap", "", "v1", True, ("cm",)),
    Resource("secrets", "Secret", "", "v1"),
    Resource("serviceaccounts", "ServiceAccount", "", "v1", True, ("sa",)),
    Resource("replicationcontrollers", "ReplicationController", "", "v1", True, ("rc",), categories=_ALL),
    Resource("persistentvolumeclaims", "PersistentVolumeClaim", "", "v1", True, ("pvc",)),
    Resource("resourcequotas", "ResourceQuota", "", "v1", True, ("quota",)),
    Resource("limitranges", "LimitRange", "", "v1", True, ("limits",)),
    Resource("deployments", "Deployment", "apps", "v1", True, ("deploy",), ("status", "scale"), _ALL),
    Resource("replicasets", "ReplicaSet", "apps", "v1", True, ("rs",), ("status", "scale"), _ALL),
    Resource("statefulsets", "StatefulSet", "apps", "v1", True, ("sts",), ("status", "scale"), _ALL),
    Resource("daemonsets", "DaemonSet", "apps", "v1", True, ("ds",), ("status",), _ALL),
    Resource("jobs", "Job", "batch", "v1", True, (), ("status",), _ALL),
    Resource("cronjobs", "CronJob", "batch", "v1", True, ("cj",), ("status",), _ALL),
    Resource("endpointslices", "EndpointSlice", "discovery.k8s.io", "v1"),
    Resource(
        "horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling", "v2", True, ("hpa",), ("status",), _ALL
    ),
    Resource(
        "horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling", "v1", True, ("hpa",), ("status",), _ALL
    ),
    Resource("leases", "Lease", "coordination.k8s.io", "v1"),
    Resource("events", "Event", "events.k8s.io", "v1", True, ("ev",)),
    Resource("analysistemplates", "AnalysisTemplate", "argoproj.io", "v1alpha1", True, ("at",)),
)
BY_PATH = {(item.group, item.version, item.plural): item for item in RESOURCES}
BY_KEY = {item.plural: item for item in reversed(RESOURCES)}
VIRTUAL: dict[tuple[str, str], tuple[str, str]] = {
    ("authorization.k8s.io/v1", "selfsubjectaccessreviews"): ("SelfSubjectAccessReview", ""),
    ("authorization.k8s.io/v1", "selfsubjectrulesreviews"): ("SelfSubjectRulesReview", ""),
    ("authentication.k8s.io/v1", "selfsubjectreviews"): ("SelfSubjectReview", ""),
}
"""Kinds that can only be created, and are answers rather than objects."""
