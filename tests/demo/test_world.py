"""The embedded world behaves as a cluster does, loses nothing and leaves nothing behind."""

import asyncio
import json
import os
import signal
import sys
import time

import psutil
import pytest

from mlconsole.demo.apiserver.patches import MERGE
from mlconsole.demo.world import Options, World

DEADLINE = 60.0


async def until(true, seconds=DEADLINE):
    """Wait for a condition of the store."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "not within the deadline"
        await asyncio.sleep(0.02)
    return found


@pytest.fixture
async def world():
    one = World()
    await one.start(Options(registry=False))
    yield one
    await one.stop()


def addresses(world, service):
    subsets = world.store.get("endpoints", "ml", service).get("subsets") or ()
    return [item["targetRef"]["name"] for subset in subsets for item in subset.get("addresses") or ()]


def patch(world, resource, name, change):
    return world.store.patch(resource, "ml", name, change, MERGE)


async def test_switch_under_load_loses_no_request(world):
    counts = world.load.counts["ml/fraud-scorer"]
    await until(lambda: counts.by_version["13"] > 10)
    patch(world, "services", "fraud-scorer", {"spec": {"selector": {"color": "blue"}}})
    await until(lambda: all("blue" in name for name in addresses(world, "fraud-scorer")))
    await until(lambda: counts.by_version["12"] > 10)
    assert (counts.failed, counts.refused) == (0, 0), counts.failures


async def test_rolling_update_and_scale_lose_no_request(world):
    counts = world.load.counts["ml/eta"]
    await until(lambda: counts.answered > 3)
    env = [{"name": "COMPUTE_MS", "value": "5"}]
    template = world.store.get("deployments", "ml", "eta")["spec"]["template"]
    containers = [{**template["spec"]["containers"][0], "env": env}]
    patch(world, "deployments", "eta", {"spec": {"template": {"spec": {"containers": containers}}}})

    def rolled():
        item = world.store.get("deployments", "ml", "eta")
        return item["status"].get("updatedReplicas") == 1 == item["status"].get("replicas") and (
            item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        )

    await until(rolled)
    patch(world, "deployments", "eta", {"spec": {"replicas": 3}})
    await until(lambda: len(addresses(world, "eta")) == 3)
    patch(world, "deployments", "eta", {"spec": {"replicas": 1}})
    await until(lambda: len(addresses(world, "eta")) == 1)
    before = counts.answered
    await until(lambda: counts.answered > before + 3)
    assert (counts.failed, counts.refused) == (0, 0), counts.failures


async def test_killed_process_is_restarted_and_an_unknown_image_is_not_pulled(world):
    uid = world.store.get("pods", "ml", addresses(world, "eta")[0])["metadata"]["uid"]
    name = addresses(world, "eta")[0]
    os.kill(world.node.processes.pids[f"{uid}/0"], signal.SIGKILL)

    def status():
        return world.store.get("pods", "ml", name)["status"]["containerStatuses"][0]

    await until(lambda: status()["restartCount"] == 1 and status()["ready"])
    assert status()["lastState"]["terminated"]["exitCode"] == 137
    template = world.store.get("deployments", "ml", "eta")["spec"]["template"]
    containers = [{**template["spec"]["containers"][0], "image": "demo.local/eta:99"}]
    patch(world, "deployments", "eta", {"spec": {"template": {"spec": {"containers": containers}}}})

    def reasons():
        pods = world.store.list("pods", "ml", "app=eta")[0]
        statuses = [item for pod in pods for item in (pod.get("status") or {}).get("containerStatuses") or ()]
        return [item["state"]["waiting"]["reason"] for item in statuses if "waiting" in item["state"]]

    await until(lambda: {"ErrImagePull", "ImagePullBackOff"} & set(reasons()))
    assert addresses(world, "eta") == [name]


async def test_two_worlds_side_by_side_leave_no_file(world):
    other = World()
    await other.start(Options(registry=False, load=False))
    folder = other.folder
    assert other.describe()["services"][0]["url"] != world.describe()["services"][0]["url"]
    await other.stop()
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_a_killed_world_takes_its_processes_along(number):
    command = (sys.executable, "-m", "mlconsole.demo", "--headless", "--output", "json", "--no-registry")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    facts = json.loads(await asyncio.wait_for(process.stdout.readline(), DEADLINE))
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) > 10
    process.send_signal(number)
    await asyncio.wait_for(process.wait(), DEADLINE)
    await until(lambda: not any(child.is_running() and child.status() != "zombie" for child in family))
    if number == signal.SIGKILL:
        after = World()
        await after.start(Options(registry=False, load=False))
        await after.stop()
    assert not os.path.exists(facts["folder"])  # noqa: ASYNC240
