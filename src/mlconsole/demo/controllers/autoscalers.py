"""The HorizontalPodAutoscaler's status, and its bounds: what it scales is kept between its minimum and its maximum."""

from __future__ import annotations

from mlconsole.demo import events
from mlconsole.demo.apiserver.store import Key, Object, Store, now
from mlconsole.demo.controllers.owning import MANAGER
from mlconsole.demo.follow import Loop, key_of

BY = "horizontal-pod-autoscaler"
LOAD = "demo.mlconsole.io/load"
"""An annotation of an autoscaler: the pods that its load asks for, in place of a metric."""


class Autoscalers:
    """Reconciles HPAs. There is no metric behind them: the wish stays where it is, or is what `LOAD` says."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loop = Loop(store, "HorizontalPodAutoscaler", self.reconcile)
        self.loop.on("horizontalpodautoscalers", lambda change: [key_of(change.object)])
        self.loop.on("deployments", lambda change: self._of(key_of(change.object)))

    def _of(self, target: Key) -> list[Key]:
        items, _ = self._store.list("horizontalpodautoscalers", target[0])
        return [key_of(item) for item in items if item["spec"]["scaleTargetRef"].get("name") == target[1]]

    def reconcile(self, key: Key) -> None:
        """Scale into the bounds, and write the status."""
        item = self._store.find("horizontalpodautoscalers", *key)
        if item is None:
            return
        target = self._store.find("deployments", key[0], item["spec"]["scaleTargetRef"]["name"])
        if target is None:
            return
        wish = target["spec"].get("replicas", 1)
        low, high = item["spec"].get("minReplicas", 1), item["spec"]["maxReplicas"]
        desired = 0 if wish == 0 else max(low, min(high, _load(item, wish)))
        if desired != wish:
            spec = {**target["spec"], "replicas": desired}
            self._store.update("deployments", {**target, "spec": spec}, manager=MANAGER)
            events.record(
                self._store, "horizontalpodautoscalers", item, "SuccessfulRescale", f"New size: {desired}", by=BY
            )
        status: Object = {
            "observedGeneration": item["metadata"].get("generation", 1),
            "currentReplicas": (target.get("status") or {}).get("replicas", 0),
            "desiredReplicas": desired,
            "conditions": [_able(item, wish)],
        }
        found = {**item, "status": status}
        self._store.update("horizontalpodautoscalers", found, subresource="status", manager=MANAGER)


def _load(item: Object, wish: int) -> int:
    said = (item["metadata"].get("annotations") or {}).get(LOAD, "")
    return int(said) if said.isdigit() else wish


def _able(item: Object, wish: int) -> Object:
    """ScalingActive, off while its target is scaled to zero by hand, as the real one says."""
    value, reason = ("True", "ValidMetricFound") if wish else ("False", "ScalingDisabled")
    old = next(iter((item.get("status") or {}).get("conditions") or ()), None)
    since = old["lastTransitionTime"] if old and old["status"] == value else now()
    message = (
        "the wish is within its bounds" if wish else "scaling is disabled since the replica count of the target is zero"
    )
    return {"type": "ScalingActive", "status": value, "reason": reason, "message": message, "lastTransitionTime": since}
