"""No autoscaler ambush (I5): while a plan is open no autoscaler takes away the pods that it counts on.

An autoscaler of the idle colour sees no load and keeps few pods; the one of the colour that is left sees its load go,
and takes the way back with it. So the minimum of both is pinned before anything else, and put back at the end by the
reverse of the same writes (`patches.reversed_write`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Diff, Write
from mlconsole.domain.services import Color, ModelService

RESOURCE = "horizontalpodautoscalers"
Raw = Mapping[str, Any]
"""A HorizontalPodAutoscaler of any version as the server sent it: the bounds are called the same in all of them."""


def pin_writes(
    service: ModelService, live: Color | None, target: Color, autoscalers: Iterable[Raw]
) -> tuple[Write, ...]:
    """The writes that keep `target` at what `live` has, and `live` at what it has; none where that is so already."""
    found = []
    for scaler in autoscalers:
        name = scales(scaler)
        if name and name == target.deployment:
            least = max(_size(live), desired(scaler))
        elif live is not None and name and name == live.deployment:
            least = _size(live)
        else:
            continue
        steps = _steps(scaler.get("spec") or {}, least)
        if steps:
            name = scaler["metadata"]["name"]
            found.append(Write(RESOURCE, service.namespace, name, steps, phase=Phase.PIN))
    return tuple(found)


def wish_of(color: Color, autoscalers: Iterable[Raw]) -> int:
    """The pods that the autoscalers of a colour want it to have; 0 where it has none."""
    return max((desired(scaler) for scaler in autoscalers if scales(scaler) == color.deployment), default=0)


def scales(scaler: Raw) -> str:
    """The Deployment that an autoscaler scales; empty where it scales something else."""
    target = (scaler.get("spec") or {}).get("scaleTargetRef") or {}
    return str(target.get("name") or "") if target.get("kind") == "Deployment" else ""


def desired(scaler: Raw) -> int:
    """The pods that an autoscaler wants: what it said last, and its minimum."""
    said = (scaler.get("status") or {}).get("desiredReplicas") or 0
    return max(int(said), _minimum(scaler.get("spec") or {}))


def diffs(writes: Iterable[Write]) -> tuple[Diff, ...]:
    """What the pins change, to be shown."""
    found = []
    for write in writes:
        seen = {step["path"]: step["value"] for step in write.patch if step["op"] == "test"}
        name = f"HorizontalPodAutoscaler {write.namespace}/{write.name}"
        for step in write.patch:
            if step["op"] != "test":
                path, before = step["path"], seen.get(step["path"])
                words = "1 (default)" if before is None else str(before)
                found.append(Diff(name, path.strip("/").replace("/", "."), words, f"{step['value']} while it goes on"))
    return tuple(found)


def _size(color: Color | None) -> int:
    return max(color.ready, color.wish) if color else 0


def _minimum(spec: Raw) -> int:
    given = spec.get("minReplicas")
    return 1 if given is None else int(given)


def _steps(spec: Raw, least: int) -> tuple[dict[str, Any], ...]:
    """The patch that lifts the minimum to `least`, and the maximum where it stands in the way.

    The maximum first: between the two the object is as valid as before.
    """
    low, high = spec.get("minReplicas"), int(spec.get("maxReplicas") or 0)
    if _minimum(spec) >= least:
        return ()
    steps = [{"op": "test", "path": "/spec/minReplicas", "value": low}]
    if high < least:
        steps += [
            {"op": "test", "path": "/spec/maxReplicas", "value": high},
            {"op": "replace", "path": "/spec/maxReplicas", "value": least},
        ]
    change = "add" if low is None else "replace"
    return (*steps, {"op": change, "path": "/spec/minReplicas", "value": least})
