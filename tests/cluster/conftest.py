"""One contract, two clusters: the embedded API server always, a real one where MLCONSOLE_TEST_KUBECONFIG names it."""

import asyncio
import os
import secrets
import time

import pytest

from mlconsole.cluster.cache import ClusterCache
from mlconsole.cluster.colors import NO_HINTS
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.demo.apiserver.auth import Rule, User
from mlconsole.demo.apiserver.faults import Faults
from mlconsole.demo.apiserver.server import serve
from mlconsole.demo.apiserver.store import Store

DEADLINE = 60.0
REAL = os.environ.get("MLCONSOLE_TEST_KUBECONFIG", "")
NOW = "2026-01-01T00:00:00Z"
APPS = "/apis/apps/v1"


async def until(true, seconds=DEADLINE, pause=0.02):
    """Wait for a condition; what it returned."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "not within the deadline"
        await asyncio.sleep(pause)
    return found


class Cluster:
    """A namespace of a cluster, and objects made in it."""

    def __init__(self, connection, kubeconfig, namespace):
        self.connection = connection
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.faults = None
        self.store = None

    @property
    def core(self):
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def apps(self):
        return f"{APPS}/namespaces/{self.namespace}"

    async def post(self, path, body):
        return await self.connection.request("POST", path, body)

    async def merge(self, path, body):
        return await self.connection.request("PATCH", path, body, "application/merge-patch+json")

    async def delete(self, path):
        return await self.connection.request("DELETE", path, {"gracePeriodSeconds": 0})

    async def service(self, name, selector, **spec):
        body = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80, "targetPort": 8000}], **spec}}
        if selector is not None:
            body["spec"]["selector"] = selector
        return await self.post(f"{self.core}/services", body)

    async def deployment(self, name, labels, version="12", replicas=0, annotations=None):
        """A Deployment that makes no pod by itself: `pods` in its labels keeps its own pods apart from ours."""
        container = {"name": "model", "image": f"registry.local/{name}:{version}"}
        container["env"] = [{"name": "MODEL_VERSION", "value": version}]
        template = {
            "metadata": {"labels": labels, "annotations": annotations or {}},
            "spec": {"containers": [container]},
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        return await self.post(f"{self.apps}/deployments", {"metadata": {"name": name}, "spec": spec})

    async def pod(self, name, labels, ready=True, node="nowhere"):
        container = {"name": "model", "image": "registry.local/model:1"}
        spec = {"nodeName": node, "containers": [container], "automountServiceAccountToken": False}
        spec["tolerations"] = [{"operator": "Exists"}]
        spec["terminationGracePeriodSeconds"] = 0
        await self.post(f"{self.core}/pods", {"metadata": {"name": name, "labels": labels}, "spec": spec})
        await self.pod_ready(name, ready)

    async def pod_ready(self, name, ready=True):
        state = "True" if ready else "False"
        conditions = [{"type": "Ready", "status": state, "lastTransitionTime": NOW}]
        # Where nobody answers, and at once. A real cluster refuses loopback addresses; an embedded one dials others.
        address = "192.0.2.1" if self.store is None else "127.254.254.254"
        status = {"phase": "Running", "podIP": address, "startTime": NOW, "conditions": conditions}
        status["containerStatuses"] = [
            {"name": "model", "ready": ready, "restartCount": 0, "image": "x", "imageID": "x@sha256:" + "a" * 64}
        ]
        await self.merge(f"{self.core}/pods/{name}/status", {"status": status})

    async def blue_green(self, name="fraud", live="blue"):
        for color, version in (("blue", "12"), ("green", "13")):
            await self.deployment(f"{name}-{color}", {"app": name, "color": color}, version)
            for number in range(2):
                await self.pod(f"{name}-{color}-{number}", {"app": name, "color": color})
        await self.service(name, {"app": name, "color": live})


def kubeconfig_of(tmp_path, text):
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    return str(path)


EMBEDDED_USERS = {
    "t-admin": User("admin"),
    "t-bob": User("bob"),
    "t-viewer": User("viewer", rules=(Rule(("get", "list", "watch"), ("services", "deployments")),)),
    "t-reader": User("reader", rules=(Rule(("get", "list", "watch"), ("*",)),)),
}


@pytest.fixture
async def embedded(tmp_path):
    """The embedded API server, with its faults at hand."""
    store, faults = Store(), Faults()
    server = await serve(store, users=EMBEDDED_USERS, faults=faults)
    path = kubeconfig_of(tmp_path, server.kubeconfig(namespace="ml"))
    connection = await Connection.open(kubeconfig=path, namespace="ml")
    cluster = Cluster(connection, path, "ml")
    cluster.faults, cluster.store, cluster.server = faults, store, server
    if store.find("namespaces", "", "ml") is None:
        await cluster.post("/api/v1/namespaces", {"metadata": {"name": "ml"}})
    yield cluster
    await connection.close()
    await server.close()


@pytest.fixture
async def real():
    """A namespace of its own in the real cluster, removed after."""
    namespace = f"mlconsole-test-{secrets.token_hex(4)}"
    connection = await Connection.open(kubeconfig=REAL, namespace=namespace)
    await connection.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    for _ in range(200):
        try:
            await connection.get(account)
            break
        except ClusterError:
            await asyncio.sleep(0.05)
    yield Cluster(connection, REAL, namespace)
    await connection.request("DELETE", f"/api/v1/namespaces/{namespace}", {"propagationPolicy": "Background"})
    await connection.close()


@pytest.fixture(
    params=[
        "embedded",
        pytest.param(
            "real", marks=[pytest.mark.real_cluster, pytest.mark.skipif(not REAL, reason="no real cluster is named")]
        ),
    ]
)
def cluster(request):
    """Each of the two."""
    return request.getfixturevalue(request.param)


@pytest.fixture
async def mirror():
    """Start caches that end with the test: `mirror(cluster, ...)`."""
    started = []

    def start(cluster, namespace=None, connection=None, **kwargs):
        where = cluster.namespace if namespace is None else namespace
        cache = ClusterCache(connection or cluster.connection, where, lambda *_: NO_HINTS, **kwargs)
        cache.on_change(cache.take)
        started.append(asyncio.create_task(cache.run()))
        return cache

    yield start
    for task in started:
        task.cancel()
    for result in await asyncio.gather(*started, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result
