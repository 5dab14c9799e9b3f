"""A model service with two colours on a real cluster, its pods this machine's own Python, and an open loop of requests.

Where MLCONSOLE_TEST_KUBECONFIG names no cluster, or the cluster has no node, these tests are skipped and say so.
"""

import asyncio
import datetime
import json
import os
import secrets
import sys
import time
from pathlib import Path

import msgspec
import pytest

import mlconsole
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import load
from mlconsole.demo import manifests, plainmodels

from .load import Load

REAL = os.environ.get("MLCONSOLE_TEST_KUBECONFIG", "")
DEADLINE = 90.0
NAME = "fraud-scorer"
BLUE, GREEN, NEXT = "12", "13", "14"
"""What is live at first, what stands beside it, and what is still to come: it predicts as the first does."""
PHASE = "mlconsole.io/phase"


async def within(seconds, look, pause=0.1):
    """Ask `look` until what it returns is true; that."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(pause)


class Service:
    """The model service `fraud-scorer` in a namespace of its own: blue is live at first."""

    def __init__(self, connection, folder):
        self.connection = connection
        self.kubeconfig = REAL
        self.namespace = connection.namespace
        self.folder = folder
        self.config = folder / "mlconsole.toml"
        self.address = ()

    async def get(self, path):
        return msgspec.json.decode(await self.connection.get(path))

    def placed(self):
        """What stands there at first."""
        return manifests.Placed(NAME, "color", 2, 0, {"blue": BLUE, "green": GREEN}, "blue", 20.0)

    async def create(self):
        models = plainmodels.write(self.folder / "models")
        self.release(NEXT)
        placed = self.placed()
        apps = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        for color, version in placed.versions.items():
            body = manifests.deployment(placed, color, version, models)
            await self.connection.request("POST", apps, self.on_this_machine(body))
        service = manifests.service(placed)
        service["metadata"]["namespace"] = self.namespace
        service["spec"]["type"] = "NodePort"
        core = f"/api/v1/namespaces/{self.namespace}/services"
        await self.connection.request("POST", core, service)
        await within(DEADLINE, self.ready)
        nodes = (await self.get("/api/v1/nodes"))["items"]
        host = next(item["address"] for item in nodes[0]["status"]["addresses"] if item["type"] == "InternalIP")
        self.address = (host, (await self.service())["spec"]["ports"][0]["nodePort"])

    def release(self, version):
        """A version that predicts as the first one does."""
        models = self.folder / "models"
        model = json.loads((models / f"{NAME}-{BLUE}.json").read_text()) | {"version": version}
        (models / f"{NAME}-{version}.json").write_text(json.dumps(model))

    def on_this_machine(self, deployment):
        """A Deployment of the demo's, as it runs here."""
        return on_this_machine(deployment, self.folder, self.namespace)

    async def ready(self):
        apps = await self.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments")
        return all(item["status"].get("readyReplicas") == item["spec"]["replicas"] for item in apps["items"])

    async def service(self):
        return await self.get(f"/api/v1/namespaces/{self.namespace}/services/{NAME}")

    async def kubectl_live(self):
        """The live colour, as kubectl sees it."""
        return await self.kubectl("get", "service", NAME, "-o", "jsonpath={.spec.selector.color}")

    async def kubectl(self, *arguments):
        """What kubectl prints of the service's namespace."""
        command = ("kubectl", "--kubeconfig", REAL, "-n", self.namespace, *arguments)
        code, out, err = await ended(command, os.environ, 30)
        assert code == 0, err
        return out

    async def deployment(self, color):
        """The Deployment of a colour, as kubectl sees it; None where there is none."""
        out = await self.kubectl("get", "deployment", f"{NAME}-{color}", "-o", "json", "--ignore-not-found")
        return json.loads(out) if out else None

    async def pods(self, color):
        """The pods of a colour that are not ending, as kubectl sees them."""
        found = json.loads(await self.kubectl("get", "pods", "-l", f"app={NAME},color={color}", "-o", "json"))
        return [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]

    async def phase(self):
        """The phase of the operation under way, as kubectl finds it on the Lease."""
        out = await self.kubectl("get", "lease", f"mlconsole-{NAME}", "-o", "json", "--ignore-not-found")
        return json.loads(out)["metadata"].get("annotations", {}).get(PHASE) if out else None

    async def shell(self, *arguments):
        """Run the command line: its exit code, and what it printed."""
        environ = {**os.environ, **self.environ}
        return await ended((sys.executable, "-m", "mlconsole", *arguments), environ, 2 * DEADLINE)

    async def said(self, *arguments):
        """What a command that was answered beforehand says as JSON, with its exit code."""
        code, out, err = await self.shell(*arguments, "--output", "json")
        assert out, err
        return json.loads(out) | {"exit_code": code}

    async def proven(self):
        """Wait until the live release has lived out its watch window: then even the first switch has a way back."""

        async def stood():
            pods = (await self.get(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=color%3Dblue"))["items"]
            ready = [
                condition["lastTransitionTime"]
                for pod in pods
                for condition in pod["status"]["conditions"]
                if condition["type"] == "Ready"
            ]
            age = time.time() - max(datetime.datetime.fromisoformat(text).timestamp() for text in ready)
            return age > 2  # the window is a second, and times in the API are whole ones

        await within(DEADLINE, stood)

    async def records(self):
        """The history as kubectl would read it: one JSON object a line."""
        found = await self.get(f"/api/v1/namespaces/{self.namespace}/configmaps/mlconsole-history-{NAME}")
        return [json.loads(line) for line in found["data"]["records"].splitlines()]

    async def events(self):
        found = await self.get(f"/api/v1/namespaces/{self.namespace}/events")
        return [item["reason"] for item in found["items"] if item["source"].get("component") == "mlconsole"]

    def write_config(self, text="", window="1s"):
        """A release is good after a second here: a test is no place to wait for five minutes."""
        head = f'[cluster]\nnamespace = "{self.namespace}"\n\n[defaults]\nwatch_window = "{window}"\n'
        self.config.write_text(head + text)

    def settings(self, kubeconfig=REAL):
        options = {"config": str(self.config), "kubeconfig": str(kubeconfig), "namespace": self.namespace}
        return load(options, {}).settings

    @property
    def environ(self):
        """The environment of a console on this service alone: empty is as not set."""
        return {
            "MLFLOW_TRACKING_URI": "",
            "PROMETHEUS_URL": "",
            "DOCKER_HOST": "",
            "KUBECONFIG": REAL,
            "MLCONSOLE_CONFIG": str(self.config),
            "HOME": str(self.folder),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }


async def ended(command, environ, seconds):
    """How a command ended: its exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    return process.returncode, out.decode(), err.decode()


def on_this_machine(deployment, folder, namespace):
    """The demo's Deployment, its container this machine's Python in an image that brings none."""
    base, package = Path(os.path.realpath(sys.base_prefix)), Path(mlconsole.__file__).parent
    python = Path(os.path.realpath(sys.executable))
    binds = {"usr": ("/usr", "/usr"), "lib": ("/usr/lib", "/lib"), "lib64": ("/usr/lib64", "/lib64")}
    if not base.is_relative_to("/usr"):
        binds["python"] = (str(base), str(base))
    binds |= {"package": (str(package), "/opt/lib/mlconsole"), "models": (str(folder / "models"), "/models")}
    spec = deployment["spec"]["template"]["spec"]
    container = spec["containers"][0]
    container["image"], container["imagePullPolicy"] = "k8sb.local/busybox:1", "Never"
    container["command"] = [str(python), "-m", "mlconsole.demo.modelserver"]
    # Whatever version a release says it is: the kubelet puts it in.
    more = {
        "MODEL_PATH": f"/models/{NAME}-$(MODEL_VERSION).json",
        "HOST": "0.0.0.0",
        "PORT": str(manifests.CONTAINER_PORT),
    }
    more |= {"PYTHONPATH": "/opt/lib", "PYTHONDONTWRITEBYTECODE": "1"}
    container["env"] += [{"name": name, "value": value} for name, value in more.items()]
    container["volumeMounts"] = [
        {"name": name, "mountPath": inside, "readOnly": True} for name, (_, inside) in binds.items()
    ]
    spec["volumes"] = [{"name": name, "hostPath": {"path": outside}} for name, (outside, _) in binds.items()]
    deployment["metadata"]["namespace"] = namespace
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 15
    return deployment


@pytest.fixture
def kind_of_service():
    """What kind of service the tests are on."""
    return Service


@pytest.fixture
async def service(tmp_path, kind_of_service):
    """The service, both colours ready; its namespace goes when the test does."""
    if not REAL:
        pytest.skip("no real cluster: MLCONSOLE_TEST_KUBECONFIG is not set")
    connection = await Connection.open(kubeconfig=REAL, namespace=f"mlconsole-e2e-{secrets.token_hex(4)}")
    try:
        if not msgspec.json.decode(await connection.get("/api/v1/nodes"))["items"]:
            pytest.skip("the cluster of MLCONSOLE_TEST_KUBECONFIG has no node that runs pods")
        body = {"metadata": {"name": connection.namespace}}
        await connection.request("POST", "/api/v1/namespaces", body)
        account = f"/api/v1/namespaces/{connection.namespace}/serviceaccounts/default"

        async def account_is_there():
            try:
                return await connection.get(account)
            except ClusterError:
                return None

        await within(DEADLINE, account_is_there)
        found = kind_of_service(connection, tmp_path)
        found.write_config()
        await found.create()
        yield found
        await connection.request("DELETE", f"/api/v1/namespaces/{connection.namespace}")
    finally:
        await connection.close()


@pytest.fixture
async def load_on(service):
    """Requests through the Service's NodePort, at a steady rate, until the test ends."""
    load = Load(*service.address, plainmodels.FEATURES[NAME])
    task = asyncio.create_task(load.run())
    await within(DEADLINE, lambda: load.seen(BLUE, 20))
    load.begin()
    yield load
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
