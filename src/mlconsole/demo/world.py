"""The embedded world: an API server, its controllers, a node with real processes, a proxy and load, in one folder.

Everything that lives in it ends with it: `stop()` at a normal end; pipes and parent-death signals when it is killed;
the folder of a killed world is swept by the next one.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlconsole.demo import bootstrap, folders, manifests, plainmodels
from mlconsole.demo.apiserver.auth import User
from mlconsole.demo.apiserver.faults import Faults
from mlconsole.demo.apiserver.server import CONTEXT, RunningServer, serve
from mlconsole.demo.apiserver.store import Object, Store
from mlconsole.demo.controllers.autoscalers import Autoscalers
from mlconsole.demo.controllers.deployment import Deployments
from mlconsole.demo.controllers.endpoints import Endpoints
from mlconsole.demo.controllers.jobs import Jobs
from mlconsole.demo.controllers.owning import owned
from mlconsole.demo.controllers.replicaset import ReplicaSets
from mlconsole.demo.load import Load, Stream
from mlconsole.demo.manifests import NAMESPACE, Fault, Models, Placed
from mlconsole.demo.network import Subnet
from mlconsole.demo.node.agent import Node
from mlconsole.demo.node.images import REGISTRY, Images
from mlconsole.demo.node.pod import NODE
from mlconsole.demo.proxy import ServiceProxy
from mlconsole.demo.tls import Front

START = 30.0
"""Seconds in which everything has to be ready."""


@dataclass(frozen=True)
class Options:
    """What kind of world."""

    scenario: str = ""
    fault_after: float = 25.0
    """Seconds after the start until the scenario's fault."""
    registry: bool = True
    """Train (or copy) a real registry; without it the models are drawn."""
    load: bool = True
    progress: Callable[[str], None] = lambda _: None


class World:
    """One world. `start()` returns when every pod is ready; `stop()` leaves nothing behind."""

    def __init__(self) -> None:
        self.store = Store()
        self.faults = Faults()
        self.folder = Path()
        self.tracking_uri: str | None = None
        self.services: list[Placed] = []
        self.load: Load | None = None
        self.server: RunningServer | None = None
        self.node: Node | None = None
        self.front: Front | None = None
        self._subnet: Subnet | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, options: Options | None = None) -> None:
        """Put everything up. Raises OSError, RuntimeError (what did not get ready), TimeoutError."""
        options = options or Options()
        folders.sweep()
        self.folder = folders.make()
        try:
            await self._start(options)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, options: Options) -> None:
        models = await self._models(options)
        self.services = manifests.placed(models)
        self._subnet = Subnet()
        self.node = Node(self.store, Images(models), self._subnet, self.folder / "logs")
        await self.node.start()
        users = {secrets.token_urlsafe(24): User("demo", ("system:masters", "system:authenticated"))}
        self.server = await serve(self.store, users=users, logs=self.node, faults=self.faults)
        host, port = self.server.url.removeprefix("http://").split(":")
        self.front = Front(host, int(port), self.folder)
        await self.front.start()
        self._node_object()
        fault = Fault(options.scenario, time.time() + options.fault_after) if options.scenario else None
        bootstrap.create(self.store, self.services, models, fault if options.scenario != "drift" else None)
        for run in self._loops():
            self._tasks.append(asyncio.create_task(run))
        async with asyncio.timeout(START):
            await self._earlier_revisions(models)
            await self._until_ready()
        if options.load:
            self.load = Load(self.store, self._streams(models, fault), self.folder / "load.json")
            self._tasks.append(asyncio.create_task(self.load.run()))
        self._files()

    async def _models(self, options: Options) -> Models:
        if not options.registry:
            return plainmodels.write(self.folder / "models")
        training = importlib.import_module("mlconsole.demo.training")

        stop = threading.Event()
        try:
            cache = await asyncio.to_thread(training.ensure_trained, options.progress, stop)
        finally:
            stop.set()
        self.tracking_uri = await asyncio.to_thread(training.copy_registry, cache, self.folder / "registry")
        files: Models = training.model_files(cache)
        return files

    def _loops(self) -> list[Any]:
        assert self.node
        assert self._subnet
        loops = [kind(self.store).loop.run() for kind in (Deployments, ReplicaSets, Endpoints, Jobs, Autoscalers)]
        return [*loops, self.node.run(), ServiceProxy(self.store, self._subnet).run()]

    def _node_object(self) -> None:
        node: Object = {
            "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
        }
        self.store.create("nodes", node)

    async def _earlier_revisions(self, models: Models) -> None:
        for item in self.services:
            if "before" in item.versions:
                deployment = self.store.get("deployments", NAMESPACE, item.name)
                while not owned(self.store, "replicasets", deployment):
                    await self._changed("replicasets")
        bootstrap.earlier_revision(self.store, self.services, models)

    async def _until_ready(self) -> None:
        while waiting := [item["metadata"]["name"] for item in self.store.list("deployments")[0] if not _ready(item)]:
            try:
                await self._changed("deployments")
            except TimeoutError:
                raise RuntimeError(f"not ready within {START:.0f} s: {', '.join(waiting)}") from None

    async def _changed(self, resource: str) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
        changes = self.store.changes(resource, pause=lambda: 0.5)
        await anext(aiter(changes))

    def _streams(self, models: Models, fault: Fault | None) -> list[Stream]:
        found = []
        for item in self.services:
            model = json.loads(models[item.name, item.versions[item.live]].read_text())
            drifts = fault.at if fault and fault.kind == "drift" and item is self.services[0] else 0.0
            mean, scale = tuple(model["mean"]), tuple(model["scale"])
            found.append(Stream(NAMESPACE, item.name, item.rate, mean, scale, drifts))
        return found

    def _files(self) -> None:
        assert self.server
        assert self.front
        kubeconfig = self.front.kubeconfig(self.server.kubeconfig())
        for name, text in (("kubeconfig", kubeconfig), ("mlconsole.toml", self._config())):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text)

    def _config(self) -> str:
        # Five minutes: a new world has no older figures.
        lines = [f'[cluster]\nnamespace = "{NAMESPACE}"\n', '[metrics]\nrange = "5m"\n']
        lines.append("[defaults.thresholds]\np95_seconds = 0.25\n")
        # The images are the node's own: there is no registry to ask.
        lines.append(f'[defaults.deploy]\nimage = "{REGISTRY}/{{model}}:{{version}}"\nresolve = false\n')
        if self.tracking_uri:
            lines.append(f"[registry]\ntracking_uri = {json.dumps(self.tracking_uri)}\n")
            lines.append('[defaults.watch]\nalias = "champion"\n')
        return "\n".join(lines)

    def describe(self) -> dict[str, Any]:
        """What another program needs to use the world."""
        assert self.front
        return {
            "kubeconfig": str(self.folder / "kubeconfig"),
            "context": CONTEXT,
            "namespace": NAMESPACE,
            "server": self.front.url,
            "tracking_uri": self.tracking_uri,
            "config": str(self.folder / "mlconsole.toml"),
            "folder": str(self.folder),
            "pid": os.getpid(),
            "stats": str(self.folder / "load.json") if self.load else None,
            "services": [self._describe(item) for item in self.services],
        }

    def _describe(self, item: Placed) -> dict[str, Any]:
        assert self.front
        spec = self.store.get("services", NAMESPACE, item.name)["spec"]
        path = f"/api/v1/namespaces/{NAMESPACE}/services/{item.name}:http/proxy"
        return {
            "name": item.name,
            "namespace": NAMESPACE,
            "url": f"http://{spec.get('clusterIP')}:{spec['ports'][0]['port']}",
            "proxy_url": self.front.url + path,
            "live": spec["selector"].get(item.key, "") if item.key else "",
            "color_key": item.key,
            "versions": item.versions,
        }

    async def watch_over(self) -> None:
        """Return never; raises what a part of the world failed of."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """End everything and remove the folder."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self.node:
            await self.node.close()
        if self.front:
            self.front.close()
        if self.server:
            await self.server.close()
            self.server = None
        if self._subnet:
            self._subnet.close()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)


def _ready(deployment: Object) -> bool:
    status = deployment.get("status") or {}
    wish = deployment["spec"]["replicas"]
    seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
    return bool(seen and status.get("readyReplicas", 0) == wish == status.get("updatedReplicas", 0))
