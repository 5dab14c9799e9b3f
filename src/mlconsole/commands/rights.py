"""The rights that the console uses, one table: `rbac` prints it as rules, `doctor` asks the API server about it."""

from __future__ import annotations

from msgspec import Struct

from mlconsole.cluster import access, resources


class Need(Struct, frozen=True):
    """Verbs on one kind, and what they are for."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    purpose: str
    needed: bool = False
    """Whether the fleet cannot be shown without it."""
    writes: bool = False
    named: bool = False
    """The one object is the namespace itself, by its name."""
    optional: bool = False
    """A convenience; of the whole cluster, so that a Role cannot give it."""

    @property
    def label(self) -> str:
        """`deployments.apps`, `pods/proxy`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def checks(self, namespace: str) -> list[access.Check]:
        """One access review a verb."""
        resource, _, sub = self.resource.partition("/")
        namespace = "" if self.optional else namespace
        name = namespace if self.named else ""
        return [access.Check(verb, self.group, resource, sub, namespace, name) for verb in self.verbs]


FOLLOW = ("list", "watch")
ALONE = frozenset({"services", "pods", "configmaps", "leases"})
"""Of what is followed, the kinds of which one object is read by its name too."""
_PURPOSE = {
    "services": "the model services and which colour is live",
    "deployments": "the colours, and the revisions to go back to",
    "pods": "what runs, and whether it is ready",
    "replicasets": "the revisions to go back to",
    "endpointslices": "where the traffic goes",
    "endpoints": "where the traffic goes, on clusters without EndpointSlices",
    "horizontalpodautoscalers": "the pods that a colour must have at least",
    "jobs": "the pipelines' jobs",
    "events": "what happened to a service's objects",
    "configmaps": "the history of a service's operations",
    "leases": "who is at work on a service",
}


def needs(readonly: bool = False) -> list[Need]:
    """Every right that is used; without those that change something where `readonly`."""
    found = [_reading(resource) for resource in (*resources.WATCHED, resources.ENDPOINTS)]
    found += [
        Need("", "namespaces", ("get",), "the namespace's uid, which a plan is pinned to", named=True),
        Need("", "namespaces", ("list",), "the namespaces to choose from with the key N; optional", optional=True),
        Need("", "pods/log", ("get",), "the end of a pod's log"),
        Need("", "pods/proxy", ("get",), "a pod's own word on its version and its figures"),
        Need("", "services/proxy", ("get",), "a request through the Service: that a switch has arrived"),
    ]
    if readonly:
        return found
    return [
        *found,
        Need("", "services", ("patch",), "switch and rollback: the selector", writes=True),
        Need(
            "apps",
            "deployments",
            ("create", "patch", "delete"),
            "a release brought up, and what is undone",
            writes=True,
        ),
        Need(
            "autoscaling",
            "horizontalpodautoscalers",
            ("create", "patch", "delete"),
            "a minimum pinned while a plan is open; an adoption's copy, and its removal",
            writes=True,
        ),
        Need("policy", "poddisruptionbudgets", ("list",), "who counts the pods that an adoption copies", writes=True),
        Need("", "pods", ("patch",), "an adoption undone: its copy out of the Service before it ends", writes=True),
        Need("", "pods/proxy", ("create",), "smoke test and parity: requests to the model", writes=True),
        Need("argoproj.io", "analysistemplates", ("get",), "an AnalysisTemplate that the settings name", writes=True),
        Need(
            "coordination.k8s.io",
            "leases",
            ("create", "update", "delete"),
            "the lock of a service, never deleted; the mark of a console, which is",
            writes=True,
        ),
        Need("", "configmaps", ("create", "update"), "the record of each operation", writes=True),
        Need("", "events", ("create",), "an Event for each operation", writes=True),
    ]


def _reading(resource: resources.Resource) -> Need:
    group, slash, _ = resource.versions[0].partition("/")
    verbs = ("get", *FOLLOW) if resource.plural in ALONE else FOLLOW
    return Need(group if slash else "", resource.plural, verbs, _PURPOSE[resource.plural], needed=resource.needed)
