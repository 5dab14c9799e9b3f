"""One pod on the node: its process, its restarts, its probes and its status as kubelet writes it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from mlconsole.demo import events
from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.store import Object, Store, now
from mlconsole.demo.node import probes
from mlconsole.demo.node.images import Image, Images
from mlconsole.demo.node.processes import Processes

NODE = "demo-node"
BACKOFF = (1.0, 2.0, 4.0, 8.0, 10.0)
"""Seconds before a restart; kubelet's are ten times as long."""
STEADY = 30.0
"""Seconds after which a container counts as having run well."""
START_SECONDS = 2.0
"""Within these an answer to a probe is not expected."""


class PodWorker:
    """The life of one pod."""

    def __init__(
        self, store: Store, processes: Processes, images: Images, pod: Object, address: str, folder: Path
    ) -> None:
        meta = pod["metadata"]
        self.uid, self.namespace, self.name = meta["uid"], meta.get("namespace", ""), meta["name"]
        self.address = address
        self._store, self._processes, self._images, self._folder = store, processes, images, folder
        self._pod = pod
        self._container: Object = pod["spec"]["containers"][0]
        self._restarts = 0
        self._ready = False
        self._state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self._last: Object = {}
        self._image: Image | None = None
        self._stop = asyncio.Event()
        self._grace = 30.0
        self._started_at = now()
        self._initialized = False
        self._unwell = ""

    # ---- from outside

    def terminate(self, grace: float) -> None:
        """Stop the pod: SIGTERM, and SIGKILL after `grace` seconds."""
        self._grace = grace
        self._stop.set()

    def log_path(self, attempt: int | None = None) -> Path:
        """The log of an attempt (default: the current one)."""
        return self._folder / f"{self.namespace}_{self.name}_{self._restarts if attempt is None else attempt}.log"

    @property
    def restarts(self) -> int:
        """How often the container was started again."""
        return self._restarts

    # ---- the life

    async def run(self) -> None:
        """Until the pod has ended or was deleted."""
        self._write("Pending")
        if await self._pull():
            phase = await self._containers()
        else:
            phase = "Failed"
        if not self._stop.is_set():
            self._write(phase)
            await self._stop.wait()
        self._remove()

    async def _pull(self) -> bool:
        """Wait until the node has the image; False when the pod is deleted first."""
        attempt = 0
        reference = self._container.get("image", "")
        while True:
            self._image = self._images.find(reference)
            if self._image:
                self._event("Pulled", f'Container image "{reference}" already present on machine')
                self._initialized = True
                return True
            never = self._container.get("imagePullPolicy") == "Never"
            words = f'Failed to pull image "{reference}": not found in the embedded world'
            self._event("Failed", words, "Warning")
            reason = "ErrImageNeverPull" if never else "ErrImagePull" if attempt == 0 else "ImagePullBackOff"
            self._state = {"waiting": {"reason": reason, "message": f'Back-off pulling image "{reference}"'}}
            self._write("Pending")
            if await self._stopped_within(1.0 if attempt == 0 else BACKOFF[-1]):
                return False
            attempt += 1

    async def _containers(self) -> str:
        """Run the container again and again, as the restart policy says; the phase at the end."""
        loop = asyncio.get_running_loop()
        quick = 0
        while True:
            began = loop.time()
            code = await self._attempt()
            if self._stop.is_set():
                return "Succeeded" if code == 0 else "Failed"
            policy = self._pod["spec"].get("restartPolicy", "Always")
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                return "Succeeded" if code == 0 else "Failed"
            quick = 0 if loop.time() - began > STEADY else quick + 1
            if quick:
                pause = BACKOFF[min(quick, len(BACKOFF)) - 1]
                words = f"back-off {pause:.0f}s restarting failed container={self._container['name']} pod={self.name}"
                self._state = {"waiting": {"reason": "CrashLoopBackOff", "message": words}}
                self._event("BackOff", "Back-off restarting failed container", "Warning")
                self._write("Running")
                if await self._stopped_within(pause):
                    return "Failed"
            self._restarts += 1

    async def _attempt(self) -> int:
        """Start the container once and see it end; its exit code."""
        assert self._image
        name = f"{self.uid}/{self._restarts}"
        end = self._processes.spawn(name, self._image.main, self._environment(), self.log_path())
        self._event("Created", f"Created container {self._container['name']}")
        self._event("Started", f"Started container {self._container['name']}")
        started = now()
        self._state = {"running": {"startedAt": started}}
        self._unwell = ""
        self._set_ready(not self._container.get("readinessProbe"), write=False)
        self._write("Running")
        tasks = [asyncio.create_task(coroutine) for coroutine in self._probes(name)]
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((end, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not end.done():
                code = await self._kill(name, end)
            else:
                code = end.result()
        finally:
            stopping.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
        self._ended(code, started)
        return code

    async def _kill(self, name: str, end: asyncio.Future[int]) -> int:
        self._event("Killing", f"Stopping container {self._container['name']}")
        self._processes.signal(name, signal.SIGTERM)
        try:
            async with asyncio.timeout(max(self._grace, 0.1)):
                return await asyncio.shield(end)
        except TimeoutError:
            self._processes.signal(name, signal.SIGKILL)
            return await end

    def _ended(self, code: int, started: str) -> None:
        shown = code if code >= 0 else 128 - code
        ended: Object = {
            "exitCode": shown,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": started,
            "finishedAt": now(),
        }
        if code < 0:
            ended["signal"] = -code
        if self._unwell:
            ended["message"] = self._unwell
        self._ready = False
        self._last = {"terminated": ended}
        self._state = {"terminated": ended}

    def _environment(self) -> dict[str, str]:
        assert self._image
        env = {
            "HOST": self.address,
            "PORT": str(self._port()),
            "MODEL_PATH": str(self._image.model),
            "PATH": "/usr/bin",
        }
        env["HOSTNAME"] = self.name
        for item in self._container.get("env") or ():
            env[item["name"]] = str(item.get("value") or "")
        return env

    def _port(self) -> int:
        ports = self._container.get("ports") or ()
        return int(ports[0]["containerPort"]) if ports else 8000

    # ---- probes

    def _probes(self, name: str) -> list[Any]:
        found = []
        ports = {port.get("name"): port["containerPort"] for port in self._container.get("ports") or ()}
        for kind, passed in (("readinessProbe", False), ("livenessProbe", True)):
            probe = self._container.get(kind)
            if not probe or "httpGet" not in probe:
                continue
            get = dict(probe["httpGet"])
            get["port"] = ports.get(get.get("port"), get.get("port", self._port()))
            words = "Readiness" if kind == "readinessProbe" else "Liveness"
            changed = self._readiness if kind == "readinessProbe" else self._liveness(name)
            found.append(
                probes.watch(
                    {**probe, "httpGet": get}, self.address, self._port(), passed, changed, self._failing(words)
                )
            )
        return found

    def _failing(self, words: str) -> Any:
        loop = asyncio.get_running_loop()
        # A server that is just starting is no news; one that stays so is, once a second.
        next_at = loop.time() + START_SECONDS if words == "Readiness" else 0.0

        def told(message: str) -> None:
            nonlocal next_at
            if loop.time() < next_at and not (words == "Readiness" and self._was_ready):
                return
            next_at = loop.time() + 1.0
            self._event("Unhealthy", f"{words} probe failed: {message}", "Warning")

        return told

    def _readiness(self, good: bool, _: str) -> None:
        self._set_ready(good)

    def _liveness(self, name: str) -> Any:
        def changed(good: bool, words: str) -> None:
            if not good:
                self._unwell = f"liveness probe failed: {words}"
                message = f"Container {self._container['name']} failed liveness probe, will be restarted"
                self._event("Killing", message)
                self._processes.signal(name, signal.SIGKILL)

        return changed

    _was_ready = False

    def _set_ready(self, ready: bool, *, write: bool = True) -> None:
        self._ready = ready
        self._was_ready = self._was_ready or ready
        if write:
            self._write("Running")

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    # ---- status and events

    def _write(self, phase: str) -> None:
        """Write the status; a pod that is gone meanwhile needs none."""
        pod = self._store.find("pods", self.namespace, self.name)
        if pod is None or pod["metadata"]["uid"] != self.uid:
            self._stop.set()
            return
        old = {item["type"]: item for item in (pod.get("status") or {}).get("conditions") or ()}
        ready = self._ready and "running" in self._state
        why = (
            {}
            if ready
            else {
                "reason": "PodCompleted" if phase == "Succeeded" else "ContainersNotReady",
                "message": f"containers with unready status: [{self._container['name']}]",
            }
        )
        conditions = [
            _condition(old, "Initialized", True, {}),
            _condition(old, "Ready", ready, why),
            _condition(old, "ContainersReady", ready, why),
            _condition(old, "PodScheduled", True, {}),
        ]
        container: Object = {
            "name": self._container["name"],
            "image": self._container.get("image", ""),
            "imageID": self._image_id(),
            "ready": ready,
            "started": "running" in self._state,
            "restartCount": self._restarts,
            "state": self._state,
            "lastState": self._last if "terminated" not in self._state else {},
        }
        status: Object = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [container],
            "hostIP": "127.0.0.1",
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self._started_at,
            "qosClass": "BestEffort",
        }
        self._store.update("pods", {**pod, "status": status}, subresource="status", manager="kubelet")

    def _image_id(self) -> str:
        if not self._image:
            return ""
        return f"{self._container['image'].partition('@')[0].rpartition(':')[0]}@{self._image.digest}"

    def _event(self, reason: str, message: str, kind: str = "Normal") -> None:
        events.record(self._store, "pods", self._pod, reason, message, kind, "kubelet")

    def _remove(self) -> None:
        """Tell the API server that the pod is off the node."""
        pod = self._store.find("pods", self.namespace, self.name)
        if pod is None or pod["metadata"]["uid"] != self.uid or not pod["metadata"].get("deletionTimestamp"):
            return
        try:
            self._store.delete("pods", self.namespace, self.name, grace=0)
        except ApiError as error:
            if error.code != 404:
                raise


def _condition(old: dict[str, Object], kind: str, true: bool, why: Object) -> Object:
    status = "True" if true else "False"
    before = old.get(kind)
    since = before["lastTransitionTime"] if before and before["status"] == status else now()
    return {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": since, **why}
