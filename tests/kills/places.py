"""Where operations are killed and cut off: an embedded world, or a namespace of a real cluster; both under load."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
from pathlib import Path

from e2e import conftest as e2e
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.demo import manifests, plainmodels

NAME = "fraud-scorer"
SLEEP = {"preStop": {"exec": {"command": ["/bin/sleep", "4"]}}}
"""What a pod under traffic needs to be replaced without a loss: kube-proxy takes its time."""


class Embedded:
    """The world that the tests of this folder share."""

    namespace, replicas, real = "ml", 3, False

    def __init__(self, world):
        self._world = world
        self.kubeconfig = world["kubeconfig"]

    def image(self, version):
        """The image of a version of the first service."""
        return f"demo.local/{NAME}:{version}"

    def lost(self, name):
        """Requests through a Service that got no good answer."""
        counts = json.loads(Path(self._world["stats"]).read_text())
        found = counts.get("ml/" + name) or counts["services"]["ml/" + name]
        return found["failed"] + found["refused"]


class Real:
    """The service of the end-to-end tests, with requests through its NodePort from a process of their own."""

    replicas, real = 2, True

    def __init__(self, namespace, counts):
        self.namespace, self.kubeconfig, self._counts = namespace, e2e.REAL, counts

    def image(self, _):
        """One image for all: this machine's Python, told by MODEL_VERSION which model to load."""
        return "k8sb.local/busybox:1"

    def lost(self, _):
        """Requests through the Service that got no good answer."""
        counts = json.loads(self._counts.read_text())
        assert counts["sent"] > 0
        return counts["lost"]


class Patient(e2e.Service):
    """Its pods wait before they end, and are looked at often."""

    def on_this_machine(self, deployment):
        found = super().on_this_machine(deployment)
        container = found["spec"]["template"]["spec"]["containers"][0]
        container["lifecycle"] = SLEEP
        container["readinessProbe"]["periodSeconds"] = 1
        return found


class PatientPlain(Patient):
    """One Deployment without a colour."""

    def placed(self):
        return manifests.Placed(NAME, "", 2, 0, {"": e2e.BLUE}, "", 20.0)


@contextlib.contextmanager
def real(folder, kind=Patient):
    """A namespace of the real cluster with the service and load on it, until the block ends."""
    namespace = f"mlconsole-kills-{secrets.token_hex(4)}"
    host, port = asyncio.run(_made(namespace, folder, kind))
    counts = folder / "load.json"
    features = str(len(plainmodels.FEATURES[NAME]))
    load = subprocess.Popen([sys.executable, "-m", "kills.load", host, str(port), features, counts], cwd=_ROOT)
    try:
        asyncio.run(e2e.within(e2e.DEADLINE, _flows(counts)))
        yield Real(namespace, counts)
    finally:
        load.terminate()
        load.wait(e2e.DEADLINE)
        asyncio.run(_removed(namespace))


_ROOT = Path(__file__).parents[1]


async def _made(namespace, folder, kind):
    async with _connection(namespace) as connection:
        await connection.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})

        async def account():
            try:
                return await connection.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            except ClusterError:
                return None

        await e2e.within(e2e.DEADLINE, account)
        service = kind(connection, folder)
        await service.create()
        return service.address


async def _removed(namespace):
    async with _connection(namespace) as connection:
        await connection.request("DELETE", f"/api/v1/namespaces/{namespace}")


@contextlib.asynccontextmanager
async def _connection(namespace):
    connection = await Connection.open(kubeconfig=e2e.REAL, namespace=namespace)
    try:
        yield connection
    finally:
        await connection.close()


def _flows(counts):
    async def look():
        return counts.exists() and json.loads(counts.read_text())["sent"] > 0

    return look
