"""Objects as another version or group of their kind shows them, and back.

Each is kept once, in the version that `resources.BY_KEY` names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlconsole.demo.apiserver.resources import Resource

Object = dict[str, Any]
CPU = "targetCPUUtilizationPercentage"


def view(kind: Resource) -> Callable[[Object], Object]:
    """From an object as it is kept to what `kind` shows of it."""
    return _TO.get((kind.group_version, kind.plural), _same)


def back(kind: Resource, item: Object, before: Object | None = None) -> Object:
    """From an object as `kind` has it to what is kept; what `kind` cannot say stays as it is in `before`."""
    translate = _BACK.get((kind.group_version, kind.plural))
    return translate(item, before or {}) if translate else item


def _same(item: Object) -> Object:
    return item


def _event(item: Object) -> Object:
    """A core Event as events.k8s.io/v1 has it."""
    moved = {key: value for key, value in item.items() if key not in ("involvedObject", "message", "source", "count")}
    return {
        **moved,
        "apiVersion": "events.k8s.io/v1",
        "regarding": item.get("involvedObject") or {},
        "note": item.get("message", ""),
        "deprecatedSource": item.get("source") or {},
        "deprecatedCount": item.get("count", 1),
        "deprecatedFirstTimestamp": item.get("firstTimestamp"),
        "deprecatedLastTimestamp": item.get("lastTimestamp"),
        "eventTime": item.get("eventTime"),
    }


def _event_back(item: Object, before: Object) -> Object:
    moved = {key: value for key, value in item.items() if key not in ("regarding", "note")}
    return {**moved, "involvedObject": item.get("regarding") or {}, "message": item.get("note", "")}


def _autoscaler(item: Object) -> Object:
    """An autoscaler as autoscaling/v1 has it: of its metrics only the pods' CPU, in percent."""
    spec = {key: value for key, value in (item.get("spec") or {}).items() if key not in ("metrics", "behavior")}
    share = next((share for metric in (item.get("spec") or {}).get("metrics") or () if (share := _cpu(metric))), None)
    status = {key: value for key, value in (item.get("status") or {}).items() if key in _STATUS}
    shown = {**item, "apiVersion": "autoscaling/v1", "spec": spec | ({CPU: share} if share else {})}
    return shown | ({"status": status} if status else {})


_STATUS = ("observedGeneration", "currentReplicas", "desiredReplicas", "lastScaleTime")


def _cpu(metric: Object) -> int | None:
    resource = metric.get("resource") or {}
    share = (resource.get("target") or {}).get("averageUtilization")
    return share if resource.get("name") == "cpu" else None


def _autoscaler_back(item: Object, before: Object) -> Object:
    hidden = {key: value for key, value in (before.get("spec") or {}).items() if key in ("metrics", "behavior")}
    spec = hidden | (item.get("spec") or {})
    share = spec.pop(CPU, None)
    if share and all(_cpu(metric) != share for metric in spec.get("metrics") or ()):
        target = {"type": "Utilization", "averageUtilization": share}
        others = [metric for metric in spec.get("metrics") or () if not _cpu(metric)]
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *others]
    return {**item, "apiVersion": "autoscaling/v2", "spec": spec}


_TO: dict[tuple[str, str], Callable[[Object], Object]] = {
    ("events.k8s.io/v1", "events"): _event,
    ("autoscaling/v1", "horizontalpodautoscalers"): _autoscaler,
}
_BACK: dict[tuple[str, str], Callable[[Object, Object], Object]] = {
    ("events.k8s.io/v1", "events"): _event_back,
    ("autoscaling/v1", "horizontalpodautoscalers"): _autoscaler_back,
}
