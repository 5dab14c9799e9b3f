"""The engine with 5,000 pods: first rows, all rows, CPU at idle and under change, memory; beside its budgets.

Run: python benchmarks/fleet.py [--kubeconfig FILE --namespace NAME] [--churn 100] [--seconds 20]

Without a kubeconfig an embedded API server in a process of its own is filled with 250 services of two colours with ten
pods each. With one, what is in the namespace is looked at; the changes are made to the status of pods whose node does
not exist, and of no others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import psutil

from mlconsole.cluster.connection import Connection
from mlconsole.demo.apiserver.auth import User
from mlconsole.demo.apiserver.server import serve
from mlconsole.demo.apiserver.store import Store
from mlconsole.engine import protocol
from mlconsole.engine.spawn import EngineProcess, spawn

NAMESPACE = "fleet"
SERVICES, REPLICAS = 250, 10
MIB = 2**20
NOW = "2026-01-01T00:00:00Z"


# ---- a fleet of no cluster


def pod(service: str, color: str, number: int) -> dict[str, Any]:
    """A pod of some 4 kB with a running, ready status, as a real one has."""
    probe = {"httpGet": {"path": "/ready", "port": 8000}, "periodSeconds": 5, "failureThreshold": 3}
    container = {"name": "model", "image": f"registry.local/{service}:3f2c1a9", "readinessProbe": probe}
    container |= {"livenessProbe": probe, "ports": [{"containerPort": 8000}], "terminationMessagePath": "/dev/x" * 30}
    container["env"] = [{"name": f"SETTING_{index}", "value": "x" * 60} for index in range(20)]
    labels = {"app": service, "mlconsole.io/service": service, "mlconsole.io/color": color}
    meta = {"name": f"{service}-{color}-6f7c9d4b8-{number:05d}", "namespace": NAMESPACE, "labels": labels}
    # Nothing listens there, and it leads out of no machine.
    facts = {**status()["status"], "podIP": "127.254.254.254"}
    return {"metadata": meta, "spec": {"nodeName": "nowhere", "containers": [container]}, "status": facts}


def status(ready: bool = True, restarts: int = 0) -> dict[str, Any]:
    """The status of such a pod."""
    states = {"Initialized": True, "Ready": ready, "ContainersReady": ready, "PodScheduled": True}
    conditions = [{"type": kind, "status": str(true), "lastTransitionTime": NOW} for kind, true in states.items()]
    found = {"name": "model", "ready": ready, "restartCount": restarts, "image": "x", "imageID": "x"}
    found["state"] = {"running": {"startedAt": NOW}}
    facts = {"phase": "Running", "startTime": NOW}
    return {"status": {**facts, "conditions": conditions, "containerStatuses": [found]}}


def fill(store: Store) -> None:
    """Services, Deployments without wishes (no controller is here), pods."""
    store.create("namespaces", {"metadata": {"name": NAMESPACE}})
    for index in range(SERVICES):
        name = f"svc-{index:03d}"
        meta = {"namespace": NAMESPACE, "labels": {"mlconsole.io/service": name}}
        spec = {"selector": {"app": name, "mlconsole.io/color": "blue"}, "ports": [{"port": 80, "targetPort": 8000}]}
        store.create("services", {"metadata": {**meta, "name": name}, "spec": spec})
        for color in ("blue", "green"):
            labels = {"app": name, "mlconsole.io/color": color}
            template = {"metadata": {"labels": labels}, "spec": pod(name, color, 0)["spec"]}
            wish = {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template}
            store.create("deployments", {"metadata": {**meta, "name": f"{name}-{color}"}, "spec": wish})
            for number in range(REPLICAS):
                store.create("pods", pod(name, color, number))


async def serving(path: Path) -> None:
    """Be the API server until stdin ends."""
    store = Store()
    fill(store)
    server = await serve(store, users={"t": User("admin")})
    path.write_text(server.kubeconfig(namespace=NAMESPACE))  # noqa: ASYNC240
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.close()


# ---- looking at it


class Watcher:
    """What the engine said, and when."""

    def __init__(self, engine: EngineProcess, began: float) -> None:
        self.engine = engine
        self.began = began
        self.first = self.all = 0.0
        self.rows: dict[str, protocol.FleetRow] = {}
        self.pods = 0
        self.frames: Counter[str] = Counter()
        self.sent = asyncio.Event()

    async def listen(self) -> None:
        """Until the engine is gone."""
        channel = await self.engine.open()
        while (message := await channel.receive()) is not None:
            self.frames[type(message).__name__] += 1
            if isinstance(message, protocol.Fleet):
                self._fleet(message)

    def _fleet(self, message: protocol.Fleet) -> None:
        self.rows |= {row.service.key: row for row in message.rows}
        self.pods = message.pods
        now = time.monotonic() - self.began
        self.first = self.first or (now if self.rows else 0.0)
        counted = sum(color.ready for row in self.rows.values() for color in row.service.colors)
        if message.complete and not self.all and counted >= 0.5 * message.pods:
            self.all = now
            self.sent.set()


class Usage:
    """CPU seconds and memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def _all(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def cpu(self) -> float:
        """CPU seconds used so far by those that live."""
        return sum(sum(process.cpu_times()[:2]) for process in self._all())

    def memory(self) -> tuple[float, float]:
        """MiB resident: the engine's, and that of its children."""
        sizes = [process.memory_info().rss / MIB for process in self._all()]
        return sizes[0], sum(sizes[1:])

    async def share(self, seconds: float) -> float:
        """Of one core, over the next `seconds`."""
        before, began = self.cpu(), time.monotonic()
        await asyncio.sleep(seconds)
        return (self.cpu() - before) / (time.monotonic() - began)


async def churn(kubeconfig: str, namespace: str, rate: int, done: asyncio.Event) -> None:
    """Change the status of `rate` pods a second, those alone that run nowhere."""
    connection = await Connection.open(kubeconfig=kubeconfig, namespace=namespace)
    path = f"/api/v1/namespaces/{namespace}/pods"
    found = msgspec.json.decode(await connection.get(path, timeout=60))["items"]
    names = [
        item["metadata"]["name"] for item in found if item["spec"].get("nodeName", "").startswith(("fake-", "nowhere"))
    ]
    restarts = 0
    while not done.is_set():
        began = time.monotonic()
        restarts += 1
        for name in random.sample(names, min(max(1, rate // 10), len(names))):
            body = status(random.random() > 0.1, restarts)
            await connection.request("PATCH", f"{path}/{name}/status", body, "application/merge-patch+json")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), max(0.001, 0.1 - (time.monotonic() - began)))
    await connection.close()


async def measure(kubeconfig: str, namespace: str, rate: int, seconds: float) -> list[tuple[str, str, str]]:
    """(what, measured, budget) of one engine."""
    began = time.monotonic()
    # Metrics and registry are other benchmarks' subject; here it is the cluster's mirror and what is told of it.
    engine = spawn({"kubeconfig": kubeconfig, "namespace": namespace}, Path(tempfile.gettempdir()) / "fleet-engine.log")
    watcher, usage = Watcher(engine, began), Usage(engine.pid)
    listener = asyncio.create_task(watcher.listen())
    try:
        await asyncio.wait_for(watcher.sent.wait(), 60)
        spent = usage.cpu()
        await asyncio.sleep(3.0)
        idle = await usage.share(seconds)
        done = asyncio.Event()
        changing = asyncio.create_task(churn(kubeconfig, namespace, rate, done))
        await asyncio.sleep(3.0)
        fleets, messages = watcher.frames["Fleet"], watcher.frames.total()
        busy = await usage.share(seconds)
        fleets, messages = watcher.frames["Fleet"] - fleets, watcher.frames.total() - messages
        done.set()
        await changing
        own, children = usage.memory()
    finally:
        engine.stop()
        listener.cancel()
    return [
        ("first rows", f"{watcher.first:.2f} s", "1.0 s"),
        (f"all {watcher.pods:,} pods, {len(watcher.rows)} services", f"{watcher.all:.2f} s", "2.0 s"),
        ("CPU seconds until then", f"{spent:.2f} s", "2.0 s"),
        ("CPU at idle, of a core", f"{idle:.1%}", "5 % with the UI"),
        (f"CPU at {rate} changes a second", f"{busy:.1%}", "-"),
        ("fleet messages a second then", f"{fleets / seconds:.1f}", "10"),
        ("all messages a second then", f"{messages / seconds:.1f}", "-"),
        ("engine, resident", f"{own:.0f} MiB", "224 MiB with the UI"),
        ("its worker, resident", f"{children:.0f} MiB", "450 MiB in all"),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kubeconfig")
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--churn", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serving(Path(options.serve)))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        kubeconfig, server = options.kubeconfig, None
        if not kubeconfig:
            kubeconfig = f"{folder}/kubeconfig"
            command = [sys.executable, __file__, "--serve", kubeconfig]
            server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert server.stdout
            server.stdout.readline()
        rows = asyncio.run(measure(kubeconfig, options.namespace, options.churn, options.seconds))
        if server:
            server.communicate()
    print(f"{'engine, ' + ('embedded' if server else 'real') + ' API server':42} {'measured':>12}   budget")
    for what, value, budget in rows:
        print(f"{what:42} {value:>12}   {budget}")


if __name__ == "__main__":
    main()
