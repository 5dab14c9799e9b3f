"""The columns that kubectl shows: a Table for a list of objects.

https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Row = Callable[[Object], list[Any]]


def table(plural: str, items: list[Object], version: str, include: str = "Metadata") -> Object:
    """A Table of objects of one kind."""
    columns, row = _KINDS.get(plural, (("Name", "Age"), lambda item: [_name(item), _age(item)]))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [
            {
                "name": name,
                "type": "string",
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": 0,
            }
            for name in columns
        ],
        "rows": [{"cells": row(item), "object": _partial(item, include)} for item in items],
    }


def _partial(item: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return item
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _age(item: Object) -> str:
    return since(item["metadata"].get("creationTimestamp"))


def since(stamp: str | None) -> str:
    """`3m12s`, as kubectl has it."""
    if not stamp:
        return "<unknown>"
    moment = datetime.datetime.fromisoformat(stamp)
    seconds = max(0, int((datetime.datetime.now(datetime.UTC) - moment).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 600:
        return f"{seconds // 60}m{seconds % 60}s"
    if seconds < 7200:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 172800 else f"{seconds // 86400}d"


def _status(item: Object) -> Object:
    return item.get("status") or {}


def _spec(item: Object) -> Object:
    return item.get("spec") or {}


def _pod(item: Object) -> list[Any]:
    containers = _status(item).get("containerStatuses") or []
    ready = sum(bool(status.get("ready")) for status in containers)
    phase = _status(item).get("phase", "Pending")
    for status in containers:
        state = status.get("state") or {}
        phase = (state.get("waiting") or state.get("terminated") or {}).get("reason") or phase
    if item["metadata"].get("deletionTimestamp"):
        phase = "Terminating"
    restarts = sum(status.get("restartCount", 0) for status in containers)
    return [_name(item), f"{ready}/{len(_spec(item).get('containers') or [])}", phase, restarts, _age(item)]


def _deployment(item: Object) -> list[Any]:
    status = _status(item)
    ready = f"{status.get('readyReplicas', 0)}/{_spec(item).get('replicas', 1)}"
    return [_name(item), ready, status.get("updatedReplicas", 0), status.get("availableReplicas", 0), _age(item)]


def _replica_set(item: Object) -> list[Any]:
    status = _status(item)
    counts = [_spec(item).get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(item), *counts, _age(item)]


def _service(item: Object) -> list[Any]:
    spec = _spec(item)
    ports = ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ()) or "<none>"
    return [_name(item), spec.get("type", "ClusterIP"), spec.get("clusterIP", "<none>"), "<none>", ports, _age(item)]


def _endpoints(item: Object) -> list[Any]:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in item.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ({"port": ""},)
    ]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return [_name(item), ",".join(found[:3]) + more or "<none>", _age(item)]


def _job(item: Object) -> list[Any]:
    status, wanted = _status(item), _spec(item).get("completions", 1)
    return [_name(item), f"{status.get('succeeded', 0)}/{wanted}", since(status.get("startTime")), _age(item)]


def _event(item: Object) -> list[Any]:
    about = item.get("involvedObject") or item.get("regarding") or {}
    subject = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    message = item.get("message") or item.get("note", "")
    return [since(item.get("lastTimestamp")), item.get("type"), item.get("reason"), subject, message]


def _autoscaler(item: Object) -> list[Any]:
    spec = _spec(item)
    target = spec.get("scaleTargetRef") or {}
    reference = f"{target.get('kind')}/{target.get('name')}"
    bounds = [spec.get("minReplicas", 1), spec.get("maxReplicas"), _status(item).get("currentReplicas", 0)]
    return [_name(item), reference, "<unknown>", *bounds, _age(item)]


_KINDS: dict[str, tuple[tuple[str, ...], Row]] = {
    "pods": (("Name", "Ready", "Status", "Restarts", "Age"), _pod),
    "deployments": (("Name", "Ready", "Up-to-date", "Available", "Age"), _deployment),
    "replicasets": (("Name", "Desired", "Current", "Ready", "Age"), _replica_set),
    "services": (("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"), _service),
    "endpoints": (("Name", "Endpoints", "Age"), _endpoints),
    "jobs": (("Name", "Completions", "Duration", "Age"), _job),
    "events": (("Last Seen", "Type", "Reason", "Object", "Message"), _event),
    "horizontalpodautoscalers": (
        ("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"),
        _autoscaler,
    ),
    "namespaces": (("Name", "Status", "Age"), lambda item: [_name(item), _status(item).get("phase"), _age(item)]),
    "nodes": (("Name", "Status", "Age"), lambda item: [_name(item), "Ready", _age(item)]),
    "configmaps": (("Name", "Data", "Age"), lambda item: [_name(item), len(item.get("data") or {}), _age(item)]),
}
