"""What the API server would not accept, and what it would fill in: as far as the console and kubectl can come to it."""

from __future__ import annotations

import re
from typing import Any

from mlconsole.demo.apiserver.errors import invalid
from mlconsole.demo.apiserver.resources import Resource

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_WORKLOADS = ("deployments", "replicasets")


def check(kind: Resource, item: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Raise ApiError (422) for an object that is not valid, or changes what cannot be changed."""
    name = (item.get("metadata") or {}).get("name", "")
    if not name:
        raise invalid(kind.kind, "", "metadata.name", "Required value: name or generateName is required")
    if not _NAME.match(name) or len(name) > 253:
        raise invalid(kind.kind, name, "metadata.name", f'Invalid value: "{name}": a lowercase RFC 1123 subdomain')
    spec = item.get("spec") or {}
    if kind.plural in _WORKLOADS:
        _workload(kind, name, spec, (before or {}).get("spec") or {})
    elif kind.plural == "services":
        for port in spec.get("ports") or ():
            if not isinstance(port.get("port"), int) or not 0 < port["port"] < 65536:
                raise invalid(kind.kind, name, "spec.ports.port", "Invalid value: must be between 1 and 65535")
        for key, value in (spec.get("selector") or {}).items():
            if not isinstance(value, str):
                raise invalid(kind.kind, name, f"spec.selector.{key}", "Invalid value: must be a string")
    elif kind.plural == "leases":
        for field, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
            if spec.get(field) is not None and spec[field] < least:
                raise invalid(kind.kind, name, f"spec.{field}", f"Invalid value: must be at least {least}")
    elif kind.plural == "horizontalpodautoscalers":
        _autoscaler(kind, name, spec)


def _autoscaler(kind: Resource, name: str, spec: dict[str, Any]) -> None:
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if low < 1:
        raise invalid(kind.kind, name, "spec.minReplicas", f"Invalid value: {low}: must be greater than or equal to 1")
    if high < 1:
        raise invalid(kind.kind, name, "spec.maxReplicas", "Required value: must be greater than 0")
    if high < low:
        words = f"Invalid value: {high}: must be greater than or equal to `minReplicas`"
        raise invalid(kind.kind, name, "spec.maxReplicas", words)


def _workload(kind: Resource, name: str, spec: dict[str, Any], before: dict[str, Any]) -> None:
    replicas = spec.get("replicas", 1)
    if not isinstance(replicas, int) or replicas < 0:
        raise invalid(kind.kind, name, "spec.replicas", "Invalid value: must be greater than or equal to 0")
    selector = (spec.get("selector") or {}).get("matchLabels") or {}
    if before and selector != ((before.get("selector") or {}).get("matchLabels") or {}):
        raise invalid(kind.kind, name, "spec.selector", "Invalid value: field is immutable")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector or not selector.items() <= labels.items():
        words = "Invalid value: `selector` does not match template `labels`"
        raise invalid(kind.kind, name, "spec.template.metadata.labels", words)
    if not (template.get("spec") or {}).get("containers"):
        raise invalid(kind.kind, name, "spec.template.spec.containers", "Required value")


def defaults(kind: Resource, item: dict[str, Any]) -> None:
    """Fill in what is left out, in place."""
    spec = item.get("spec")
    if not isinstance(spec, dict):
        return
    if kind.plural in _WORKLOADS:
        spec = {"replicas": 1, **spec}
        if kind.plural == "deployments":
            rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
            spec = {"strategy": rolling, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, **spec}
        spec["template"] = {**spec["template"], "spec": pod_defaults(spec["template"]["spec"])}
        metadata = dict(spec["template"].get("metadata") or {})
        metadata.setdefault("creationTimestamp", None)
        spec["template"]["metadata"] = metadata
    elif kind.plural == "services":
        ports = [{"protocol": "TCP", "targetPort": port["port"], **port} for port in spec.get("ports") or ()]
        spec = {"type": "ClusterIP", "sessionAffinity": "None", **spec, "ports": ports}
    elif kind.plural == "horizontalpodautoscalers":
        cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
        spec = {"minReplicas": 1, "metrics": [{"type": "Resource", "resource": cpu}], **spec}
    elif kind.plural == "pods":
        spec = pod_defaults(spec)
        item.setdefault("status", {"phase": "Pending"})
    item["spec"] = spec


def pod_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    """A pod spec with the usual defaults."""
    containers = []
    for container in spec.get("containers") or ():
        ports = [{"protocol": "TCP", **port} for port in container.get("ports") or ()]
        filled = {"imagePullPolicy": "IfNotPresent", "resources": {}, **container}
        containers.append({**filled, "ports": ports} if ports else filled)
    base = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst"}
    return {**base, **spec, "containers": containers}
