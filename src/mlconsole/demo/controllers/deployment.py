"""The Deployment controller: a ReplicaSet per pod template, rolled over within maxSurge and maxUnavailable."""

from __future__ import annotations

import math
import time

from mlconsole.demo import events
from mlconsole.demo.apiserver.store import Key, Object, Store, now
from mlconsole.demo.controllers.owning import MANAGER, adopted, owner_key, reference, safe_hash, seconds
from mlconsole.demo.follow import Loop, key_of

BY = "deployment-controller"
REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", REVISION)


class Deployments:
    """Reconciles Deployments."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loop = Loop(store, "Deployment", self.reconcile)
        self.loop.on("deployments", lambda change: [key_of(change.object)])
        self.loop.on("replicasets", lambda change: owner_key(change.object, "Deployment"))

    def reconcile(self, key: Key) -> float | None:
        """One step of the rollout, and the status."""
        item = self._store.find("deployments", *key)
        if item is None:
            return None
        sets = adopted(self._store, "replicasets", "deployments", item)
        new = next((old for old in sets if _bare(old["spec"]["template"]) == _bare(item["spec"]["template"])), None)
        if item["spec"].get("paused"):
            self._spread(item, sets)
        else:
            if new is None:
                new = self._create(item, sets)
                sets = [*sets, new]
            new = self._number(item, new, sets)
            old = [other for other in sets if key_of(other) != key_of(new)]
            if (item["spec"].get("strategy") or {}).get("type") == "Recreate":
                self._recreate(item, new, old)
            else:
                self._roll(item, new, old)
            self._clean(item, old)
        return self._status(item, new)

    # ---- ReplicaSets

    def _create(self, item: Object, sets: list[Object]) -> Object:
        template = item["spec"]["template"]
        mark = safe_hash([_bare(template), (item.get("status") or {}).get("collisionCount", 0)])
        meta = template.get("metadata") or {}
        labels = {**(meta.get("labels") or {}), HASH: mark}
        name = f"{item['metadata']['name']}-{mark}"
        body: Object = {
            "metadata": {
                "name": name,
                "namespace": item["metadata"]["namespace"],
                "labels": labels,
                "annotations": {**_copied(item), REVISION: str(_newest(sets) + 1)},
                "ownerReferences": [reference("deployments", item)],
            },
            "spec": {
                "replicas": 0,
                "minReadySeconds": item["spec"].get("minReadySeconds", 0),
                "selector": {"matchLabels": {**item["spec"]["selector"]["matchLabels"], HASH: mark}},
                "template": {**template, "metadata": {**meta, "labels": labels}},
            },
        }
        return self._store.create("replicasets", body, manager=MANAGER)

    def _number(self, item: Object, new: Object, sets: list[Object]) -> Object:
        """Give the newest template the highest revision, also when it is an old one that came back."""
        said = (new["metadata"].get("annotations") or {}).get(REVISION, "0")
        highest = _newest([other for other in sets if key_of(other) != key_of(new)])
        number = said if int(said) > highest else str(highest + 1)
        annotations = {**(new["metadata"].get("annotations") or {}), **_copied(item), REVISION: number}
        new = self._store.update(
            "replicasets", {**new, "metadata": {**new["metadata"], "annotations": annotations}}, manager=MANAGER
        )
        current = self._store.get("deployments", *key_of(item))
        meta = current["metadata"]
        if (meta.get("annotations") or {}).get(REVISION) != number:
            meta = {**meta, "annotations": {**(meta.get("annotations") or {}), REVISION: number}}
            self._store.update("deployments", {**current, "metadata": meta}, manager=MANAGER)
        return new

    def _scale(self, item: Object, replica_set: Object, count: int) -> None:
        current = self._store.get("replicasets", *key_of(replica_set))
        before = current["spec"].get("replicas", 0)
        if before == count:
            return
        self._store.update("replicasets", {**current, "spec": {**current["spec"], "replicas": count}}, manager=MANAGER)
        way = "up" if count > before else "down"
        words = f"Scaled {way} replica set {key_of(current)[1]} to {count}"
        events.record(self._store, "deployments", item, "ScalingReplicaSet", words, by=BY)

    def _recreate(self, item: Object, new: Object, old: list[Object]) -> None:
        for other in old:
            self._scale(item, other, 0)
        if all(not (self._fresh(other).get("status") or {}).get("replicas") for other in old):
            self._scale(item, new, item["spec"]["replicas"])

    def _roll(self, item: Object, new: Object, old: list[Object]) -> None:
        wish = item["spec"]["replicas"]
        surge, missing = limits(item["spec"])
        total = sum(other["spec"]["replicas"] for other in (new, *old))
        have = new["spec"]["replicas"]
        if have > wish:
            self._scale(item, new, wish)
        elif have < wish:
            room = wish + surge - total if any(other["spec"]["replicas"] for other in old) else wish - have
            if room > 0:
                self._scale(item, new, min(wish, have + room))
        self._shrink(item, self._fresh(new), old, wish - missing)

    def _shrink(self, item: Object, new: Object, old: list[Object], least: int) -> None:
        """Take old pods away: those that are not available first, then as many as the new ones replace."""
        available = sum((other.get("status") or {}).get("availableReplicas", 0) for other in (new, *old))
        total = sum(other["spec"]["replicas"] for other in (new, *old))
        unready_new = new["spec"]["replicas"] - (new.get("status") or {}).get("availableReplicas", 0)
        spare = max(0, total - least - unready_new)
        for other in sorted(old, key=lambda one: one["metadata"]["creationTimestamp"]):
            count = other["spec"]["replicas"]
            sick = min(count - (other.get("status") or {}).get("availableReplicas", 0), spare)
            if sick > 0:
                self._scale(item, other, count - sick)
                spare -= sick
        spare = min(spare, max(0, available - least))
        for other in sorted(old, key=lambda one: one["metadata"]["creationTimestamp"]):
            count = self._fresh(other)["spec"]["replicas"]
            if count and spare > 0:
                self._scale(item, other, count - min(count, spare))
                spare -= min(count, spare)

    def _spread(self, item: Object, sets: list[Object]) -> None:
        """A paused Deployment still scales: the newest ReplicaSet that has pods takes the difference."""
        live = [other for other in sets if other["spec"]["replicas"]]
        if live:
            newest = max(live, key=_revision)
            rest = sum(other["spec"]["replicas"] for other in live) - newest["spec"]["replicas"]
            self._scale(item, newest, max(0, item["spec"]["replicas"] - rest))

    def _clean(self, item: Object, old: list[Object]) -> None:
        limit = item["spec"].get("revisionHistoryLimit", 10)
        empty = [
            one
            for one in map(self._fresh, old)
            if not one["spec"]["replicas"] and not one.get("status", {}).get("replicas")
        ]
        for other in sorted(empty, key=_revision)[: max(0, len(empty) - limit)]:
            self._store.delete("replicasets", *key_of(other))

    def _fresh(self, replica_set: Object) -> Object:
        return self._store.find("replicasets", *key_of(replica_set)) or replica_set

    # ---- status

    def _status(self, item: Object, new: Object | None) -> float | None:
        item = self._store.get("deployments", *key_of(item))
        sets = adopted(self._store, "replicasets", "deployments", item)
        spec, before = item["spec"], item.get("status") or {}
        counts = {
            name: sum((other.get("status") or {}).get(name, 0) for other in sets)
            for name in ("replicas", "readyReplicas", "availableReplicas")
        }
        current = self._fresh(new) if new else None
        updated = (current.get("status") or {}).get("replicas", 0) if current else 0
        missing = max(0, max(spec["replicas"], counts["replicas"]) - counts["availableReplicas"])
        status: Object = {"observedGeneration": item["metadata"]["generation"]}
        numbers = {**counts, "updatedReplicas": updated, "unavailableReplicas": missing}
        status.update({name: count for name, count in numbers.items() if count})
        _, allowed = limits(spec)
        complete = updated == spec["replicas"] == counts["replicas"] and counts["availableReplicas"] == spec["replicas"]
        progressed = numbers != {name: before.get(name, 0) for name in numbers} or (
            before.get("observedGeneration") != status["observedGeneration"]
        )
        enough = counts["availableReplicas"] >= spec["replicas"] - allowed
        progressing, wait = _progress(item, current, complete, progressed)
        status["conditions"] = [
            _condition(before, "Available", "True" if enough else "False", *_AVAILABLE[enough]),
            progressing,
        ]
        self._store.update("deployments", {**item, "status": status}, subresource="status", manager=MANAGER)
        return wait


_AVAILABLE = {
    True: ("MinimumReplicasAvailable", "Deployment has minimum availability."),
    False: ("MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
}


def limits(spec: Object) -> tuple[int, int]:
    """MaxSurge (rounded up) and maxUnavailable (rounded down) in pods; never both 0."""
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), spec["replicas"], math.ceil)
    missing = _share(rolling.get("maxUnavailable", "25%"), spec["replicas"], math.floor)
    return (surge, missing) if surge or missing else (0, 1)


def _share(value: int | str, replicas: int, rounded: object) -> int:
    if isinstance(value, int):
        return value
    part = float(value.rstrip("%")) * replicas / 100
    return math.ceil(part) if rounded is math.ceil else math.floor(part)


def _progress(item: Object, new: Object | None, complete: bool, progressed: bool) -> tuple[Object, float | None]:
    """The Progressing condition, and seconds until the deadline is to be looked at again."""
    before = item.get("status") or {}
    old = next((one for one in before.get("conditions") or () if one["type"] == "Progressing"), None)
    name = new["metadata"]["name"] if new else item["metadata"]["name"]
    if item["spec"].get("paused"):
        return _condition(before, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"), None
    if complete:
        words = f'ReplicaSet "{name}" has successfully progressed.'
        return _condition(before, "Progressing", "True", "NewReplicaSetAvailable", words), None
    limit = float(item["spec"].get("progressDeadlineSeconds", 600))
    if progressed or old is None or old["reason"] == "DeploymentPaused":
        words = f'ReplicaSet "{name}" is progressing.'
        condition = _condition(before, "Progressing", "True", "ReplicaSetUpdated", words)
        condition["lastUpdateTime"] = now()
        return condition, limit
    left = limit - (time.time() - seconds(old["lastUpdateTime"]))
    if old["reason"] == "ProgressDeadlineExceeded" or left > 0 or old["reason"] == "NewReplicaSetAvailable":
        return old, left if left > 0 else None
    words = f'ReplicaSet "{name}" has timed out progressing.'
    return _condition(before, "Progressing", "False", "ProgressDeadlineExceeded", words), None


def _condition(status: Object, kind: str, value: str, reason: str, message: str) -> Object:
    old = next((item for item in status.get("conditions") or () if item["type"] == kind), None)
    if old and (old["status"], old["reason"], old["message"]) == (value, reason, message):
        return dict(old)
    since = old["lastTransitionTime"] if old and old["status"] == value else now()
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now(),
        "lastTransitionTime": since,
    }


def _bare(template: Object) -> Object:
    """A template without the label that the controller adds."""
    meta = template.get("metadata") or {}
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH}
    return {**template, "metadata": {"labels": labels, "annotations": meta.get("annotations") or {}}}


def _copied(item: Object) -> dict[str, str]:
    annotations = item["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key not in _NOT_COPIED}


def _revision(replica_set: Object) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, "0"))


def _newest(sets: list[Object]) -> int:
    return max(map(_revision, sets), default=0)
