"""The ReplicaSet controller: as many pods as wished, adopted, created or deleted."""

from __future__ import annotations

import random
import time

from mlconsole.demo import events
from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.store import Key, Object, Store
from mlconsole.demo.controllers.owning import (
    ALPHABET,
    MANAGER,
    active,
    adopted,
    matches,
    owner_key,
    owner_of,
    ready,
    ready_since,
    reference,
)
from mlconsole.demo.follow import Loop, key_of

BY = "replicaset-controller"


class ReplicaSets:
    """Reconciles ReplicaSets."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loop = Loop(store, "ReplicaSet", self.reconcile)
        self.loop.on("replicasets", lambda change: [key_of(change.object)])
        self.loop.on("pods", lambda change: self._sets_of(change.object))

    def _sets_of(self, pod: Object) -> list[Key]:
        if owner_of(pod) is not None:
            return owner_key(pod, "ReplicaSet")
        sets, _ = self._store.list("replicasets", key_of(pod)[0])
        return [key_of(item) for item in sets if matches((item["spec"]["selector"]).get("matchLabels") or {}, pod)]

    def reconcile(self, key: Key) -> float | None:
        """Bring the number of pods to the wish, and write the status."""
        item = self._store.find("replicasets", *key)
        if item is None:
            return None
        pods = [pod for pod in adopted(self._store, "pods", "replicasets", item) if active(pod)]
        wish = item["spec"].get("replicas", 1)
        for _ in range(wish - len(pods)):
            self._create(item)
        for pod in sorted(pods, key=_worth)[: max(0, len(pods) - wish)]:
            self._store.delete("pods", *key_of(pod))
            events.record(self._store, "replicasets", item, "SuccessfulDelete", f"Deleted pod: {key_of(pod)[1]}", by=BY)
        return self._status(item)

    def _create(self, item: Object) -> None:
        template = item["spec"]["template"]
        name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        meta = template.get("metadata") or {}
        pod: Object = {
            "metadata": {
                "name": f"{name}-{''.join(random.choices(ALPHABET, k=5))}",
                "generateName": f"{name}-",
                "namespace": namespace,
                "labels": dict(meta.get("labels") or {}),
                "annotations": dict(meta.get("annotations") or {}),
                "ownerReferences": [reference("replicasets", item)],
            },
            "spec": template["spec"],
        }
        try:
            created = self._store.create("pods", pod, manager=MANAGER)
        except ApiError as error:
            events.record(self._store, "replicasets", item, "FailedCreate", f"Error creating: {error}", "Warning", BY)
            return
        words = f"Created pod: {key_of(created)[1]}"
        events.record(self._store, "replicasets", item, "SuccessfulCreate", words, by=BY)

    def _status(self, item: Object) -> float | None:
        pods = [pod for pod in adopted(self._store, "pods", "replicasets", item) if active(pod)]
        minimum = item["spec"].get("minReadySeconds") or 0
        waits = [minimum - (time.time() - since) for pod in pods if (since := ready_since(pod)) is not None]
        status: Object = {"replicas": len(pods), "observedGeneration": item["metadata"].get("generation", 1)}
        status["fullyLabeledReplicas"] = len(pods)
        counts = {"readyReplicas": sum(map(ready, pods)), "availableReplicas": sum(wait <= 0 for wait in waits)}
        status.update({name: count for name, count in counts.items() if count})
        self._store.update("replicasets", {**item, "status": status}, subresource="status", manager=MANAGER)
        return min((wait for wait in waits if wait > 0), default=None)


def _worth(pod: Object) -> tuple[bool, bool, float, str]:
    """Which pods go first: those not running, not ready, ready for the shortest time."""
    status = pod.get("status") or {}
    since = ready_since(pod)
    return status.get("phase") == "Running", since is not None, -(since or 0.0), key_of(pod)[1]
