"""The Job controller: pods until enough have succeeded or too many have failed."""

from __future__ import annotations

import random

from mlconsole.demo import events
from mlconsole.demo.apiserver.store import Key, Object, Store, now
from mlconsole.demo.controllers.owning import ALPHABET, MANAGER, active, owned, owner_key, ready, reference
from mlconsole.demo.follow import Loop, key_of

BY = "job-controller"


class Jobs:
    """Reconciles Jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loop = Loop(store, "Job", self.reconcile)
        self.loop.on("jobs", lambda change: [key_of(change.object)])
        self.loop.on("pods", lambda change: owner_key(change.object, "Job"))

    def reconcile(self, key: Key) -> None:
        """Start what is missing, and write the status."""
        job = self._store.find("jobs", *key)
        if job is None or _ended(job):
            return
        spec = job["spec"]
        pods = owned(self._store, "pods", job)
        done = sum((pod.get("status") or {}).get("phase") == "Succeeded" for pod in pods)
        failed = sum((pod.get("status") or {}).get("phase") == "Failed" for pod in pods)
        running = [pod for pod in pods if active(pod)]
        wanted, limit = spec.get("completions", 1), spec.get("backoffLimit", 6)
        conditions: list[Object] = list((job.get("status") or {}).get("conditions") or ())
        finished: Object = {}
        if done >= wanted:
            conditions.append(_condition("Complete", "", ""))
            finished = {"completionTime": now()}
            events.record(self._store, "jobs", job, "Completed", "Job completed", by=BY)
        elif failed > limit:
            words = "Job has reached the specified backoff limit"
            conditions.append(_condition("Failed", "BackoffLimitExceeded", words))
            events.record(self._store, "jobs", job, "BackoffLimitExceeded", words, "Warning", BY)
            for pod in running:
                self._store.delete("pods", *key_of(pod))
            running = []
        elif not spec.get("suspend"):
            room = min(spec.get("parallelism", 1), wanted - done) - len(running)
            running += [self._create(job) for _ in range(room)]
        status: Object = {"startTime": (job.get("status") or {}).get("startTime") or now()}
        counts = {"active": len(running), "succeeded": done, "failed": failed, "ready": sum(map(ready, running))}
        status.update({name: count for name, count in counts.items() if count})
        status.update(finished)
        if conditions:
            status["conditions"] = conditions
        self._store.update("jobs", {**job, "status": status}, subresource="status", manager=MANAGER)

    def _create(self, job: Object) -> Object:
        meta = job["spec"]["template"].get("metadata") or {}
        name = job["metadata"]["name"]
        labels = {**(meta.get("labels") or {}), "job-name": name, "batch.kubernetes.io/job-name": name}
        pod: Object = {
            "metadata": {
                "name": f"{name}-{''.join(random.choices(ALPHABET, k=5))}",
                "namespace": job["metadata"]["namespace"],
                "labels": labels,
                "annotations": dict(meta.get("annotations") or {}),
                "ownerReferences": [reference("jobs", job)],
            },
            "spec": {"restartPolicy": "Never", **job["spec"]["template"]["spec"]},
        }
        created = self._store.create("pods", pod, manager=MANAGER)
        events.record(self._store, "jobs", job, "SuccessfulCreate", f"Created pod: {key_of(created)[1]}", by=BY)
        return created


def _ended(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(item["type"] in ("Complete", "Failed") and item["status"] == "True" for item in conditions)


def _condition(kind: str, reason: str, message: str) -> Object:
    stamp = now()
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
    }
