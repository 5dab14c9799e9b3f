"""The node: gives every pod a place, an address and a worker, and keeps the logs."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from mlconsole.demo import events
from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.store import Object, Store
from mlconsole.demo.follow import follow
from mlconsole.demo.network import Subnet
from mlconsole.demo.node.images import Images
from mlconsole.demo.node.pod import NODE, PodWorker
from mlconsole.demo.node.processes import Processes

log = logging.getLogger(__name__)
KEPT = 50
"""Logs of pods that are gone, newest first."""


class Node:
    """Runs the pods of the store."""

    def __init__(self, store: Store, images: Images, subnet: Subnet, folder: Path) -> None:
        self._store, self._images, self._subnet, self._folder = store, images, subnet, folder
        self.processes = Processes()
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Start what forks pods."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        await self.processes.start()

    async def run(self) -> None:
        """Until cancelled."""
        async for change in follow(self._store, "pods"):
            if change.type == "DELETED":
                self._stop(change.object, 0.1)
            else:
                self._take(change.object)

    def _take(self, pod: Object) -> None:
        meta = pod["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        current = self._store.find("pods", namespace, name)
        if current is None or current["metadata"]["uid"] != meta["uid"]:
            return
        if not current["spec"].get("nodeName"):
            spec = {**current["spec"], "nodeName": NODE}
            self._store.update("pods", {**current, "spec": spec}, manager="scheduler")
            words = f"Successfully assigned {namespace}/{name} to {NODE}"
            events.record(self._store, "pods", current, "Scheduled", words, by="default-scheduler")
            return
        if meta.get("deletionTimestamp"):
            self._stop(pod, float(meta.get("deletionGracePeriodSeconds") or 0))
        elif meta["uid"] not in self._workers and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            self._begin(pod)

    def _begin(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        address = self._subnet.take_pod()
        worker = PodWorker(self._store, self.processes, self._images, pod, address, self._folder)
        self._workers[uid] = worker
        task = asyncio.create_task(worker.run(), name=f"pod {worker.name}")
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._ended(uid, done))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(uid, None)
        worker = self._workers.pop(uid)
        self._subnet.give_back(worker.address)
        for attempt in range(worker.restarts + 1):
            worker.log_path(attempt).unlink(missing_ok=True)
        if not task.cancelled() and task.exception():
            log.error("the worker of pod %s failed", worker.name, exc_info=task.exception())

    def _stop(self, pod: Object, grace: float) -> None:
        worker = self._workers.get(pod["metadata"]["uid"])
        if worker:
            worker.terminate(grace)
        elif pod["metadata"].get("deletionTimestamp") and self._store.find("pods", *_key(pod)):
            self._store.delete("pods", *_key(pod), grace=0)

    def log(self, namespace: str, pod: str, *, previous: bool = False, tail: int | None = None) -> bytes:
        """What a pod has written (the API server's PodLogs). Raises ApiError."""
        worker = next(
            (item for item in self._workers.values() if (item.namespace, item.name) == (namespace, pod)), None
        )
        if worker is None:
            raise ApiError(404, f'the log of pod "{pod}" is gone')
        if previous and worker.restarts == 0:
            raise ApiError(400, f'previous terminated container in pod "{pod}" not found')
        path = worker.log_path(worker.restarts - 1 if previous else None)
        text = path.read_bytes() if path.exists() else b""
        if tail is not None:
            text = b"".join(text.splitlines(keepends=True)[-tail:]) if tail > 0 else b""
        return text

    async def close(self) -> None:
        """Stop every pod and what forks them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.processes.close()


def _key(pod: Object) -> tuple[str, str]:
    return pod["metadata"].get("namespace", ""), pod["metadata"]["name"]
