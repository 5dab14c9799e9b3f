"""What docs/operations.md says is done with kubectl alone, done so: the commands are the document's own."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import pytest

from mlconsole.demo import manifests
from mlconsole.domain.deploying import COLOR_LABEL
from mlconsole.engine.execution.folder import Folder

from .conftest import BLUE, DEADLINE, GREEN, NAME, NEXT, Service, within
from .recipes import Hand, recipes

pytestmark = pytest.mark.real_cluster
IMAGE = "k8sb.local/busybox:1"
SURE = ("--yes", "--reason", "a test")
CONFIG = """\
[defaults.deploy]
resolve = false
[defaults.smoke]
payload = { features = [1, 2, 3, 4, 5] }
[defaults.watch]
drain = "200ms"
"""
BASE = {"app": NAME, "color": "green"}
HERE = "By hand"


@pytest.fixture
async def hand(service):
    """Somebody with the document, at the service's namespace."""
    found = Hand(service, IMAGE)
    await found.follow(HERE)
    return found


async def verified(service, *arguments):
    found = await service.said(*arguments, *SURE)
    assert (found["exit_code"], found["outcome"]) == (0, "verified"), found
    return found


async def killed_in(service, phase, *arguments):
    """Begin an operation, and kill the command and its executor with SIGKILL in a phase."""
    going = asyncio.create_task(service.shell(*arguments, *SURE))

    async def is_there():
        assert not going.done(), going.result()
        return await service.phase() == phase

    await within(DEADLINE, is_there)
    operations = service.folder / "state" / "mlconsole" / "operations"
    folder = next(item for item in map(Folder, operations.iterdir()) if item.alive and item.operation())
    os.kill(int((folder.path / "pid").read_text().split()[0]), signal.SIGKILL)
    await going
    return folder.operation()


async def under_way(service):
    """What `mlconsole operations` says."""
    return (await service.said("operations", NAME))["operations"]


async def notes(service):
    return set((await service.service())["metadata"].get("annotations") or {})


async def test_deployed_smoke_tested_and_switched_by_hand(service, hand, load_on):
    service.write_config(CONFIG)
    await service.proven()
    await verified(service, "switch", NAME, "--wait")
    said = await hand.follow("Who is at work, and on what")
    assert '"kind":"switch"' in said
    assert '"outcome":"verified"' in said

    # Its release is told by annotations too, that stay where nobody takes them off.
    await hand.follow("Deploy to the idle colour")
    blue = await service.deployment("blue")
    assert blue["status"]["readyReplicas"] == blue["status"]["updatedReplicas"] == 3
    said = await hand.follow("Smoke test")
    assert said.count('"prediction"') == 3
    said = await hand.follow("Switch or roll back")
    assert await service.kubectl_live() == "blue"
    assert "Switch" in said
    assert "v13" in said, "the Event of the console's own switch"
    await within(DEADLINE, lambda: load_on.seen(NEXT, 20))
    code, out, err = await service.shell("status", NAME, "--output", "json")
    assert code == 0, (out, err)
    (found,) = json.loads(out)["services"]
    (live,) = [color for color in found["colors"] if color["live"]]
    assert (live["color"], live["version"], live["problems"], found["problems"]) == ("blue", NEXT, [], []), found

    # The traffic is not on green any more: what the API server calls it has changed over its versions.
    assert re.search("invalid|test", await hand.fails("Switch or roll back"))
    assert await service.kubectl_live() == "blue"
    planned = await service.said("rollback", NAME, "--dry-run")
    assert planned["plan"]["to"]["color"] == "green", planned
    await verified(service, "rollback", NAME)
    await load_on.drain()
    assert load_on.lost == []
    assert load_on.versions[GREEN] > 0


async def test_traffic_that_was_moved_by_hand_is_left_where_it_is(service, hand, load_on):
    service.write_config(CONFIG, window="60s")
    dead = await killed_in(service, "watch", "switch", NAME, "--wait")
    await hand.follow("Switch or roll back")
    assert await service.kubectl_live() == "blue"
    (found,) = await under_way(service)
    assert (found["id"], found["standing"], found["can"]) == (dead.id, "overtaken by someone", ["abandon"]), found
    assert await service.kubectl_live() == "blue"
    done = await service.said("abandon", NAME, *SURE)
    assert (done["exit_code"], await under_way(service)) == (0, []), done
    assert await service.kubectl_live() == "blue"
    await load_on.drain()
    assert load_on.lost == []


@pytest.mark.parametrize(
    ("phase", "outcome", "arguments"),
    [
        ("watch", "verified", ("switch", NAME, "--wait")),
        ("ready", "open", ("deploy", NAME, "--version", "17", "--image", IMAGE)),  # of which there is no model
    ],
    ids=["watch", "ready"],
)
async def test_what_hangs_on_a_dead_machine_is_taken_off_by_hand(service, hand, load_on, phase, outcome, arguments):
    service.write_config(CONFIG, window="60s")
    before = await service.service()
    dead = await killed_in(service, phase, *arguments)
    if phase == "watch":
        await hand.follow("Switch or roll back")
    assert "mlconsole.io/operation" in await notes(service)
    await hand.follow("An operation hangs on a dead machine")
    assert "mlconsole.io/operation" not in await notes(service)
    assert "mlconsole.io/fence" in await notes(service)
    assert await under_way(service) == []
    assert (await service.service())["spec"] == before["spec"]
    (record,) = await service.records()
    assert (record["id"], record.get("outcome", "open")) == (dead.id, outcome)
    # Elsewhere, where nothing is known of it: the lock is free, and nothing is in the way.
    service.folder = service.folder / "elsewhere"
    service.folder.mkdir()
    await verified(service, "deploy", NAME, "--version", NEXT, "--image", IMAGE)
    await load_on.drain()
    assert load_on.lost == []


async def test_a_lock_that_must_go_now_is_taken_off_and_the_operation_goes_on_elsewhere(service, hand):
    service.write_config(CONFIG, window="20s")
    dead = await killed_in(service, "watch", "switch", NAME, "--wait")
    service.folder = service.folder / "elsewhere"
    service.folder.mkdir()
    (found,) = await under_way(service)
    assert found["alive"], "its lock has not run out, and nobody here can know"
    await hand.follow("The lock is held by nobody alive, and must go now")
    (found,) = await under_way(service)
    assert (found["id"], found["alive"], "resume" in found["can"]) == (dead.id, False, True), found
    done = await service.said("abort", NAME, *SURE)
    assert (done["exit_code"], await service.kubectl_live()) == (0, "blue"), done
    assert await under_way(service) == []


async def test_a_pin_that_stayed_is_found_and_taken_off(service, hand):
    service.write_config(CONFIG, window="60s")
    scalers = f"/apis/autoscaling/v1/namespaces/{service.namespace}/horizontalpodautoscalers"
    for color in ("blue", "green"):
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{NAME}-{color}"}
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4}
        await service.connection.request("POST", scalers, {"metadata": {"name": f"{NAME}-{color}"}, "spec": spec})

    async def minimum():
        out = await service.kubectl("get", "hpa", f"{NAME}-blue", "-o", "jsonpath={.spec.minReplicas}")
        return int(out)

    await killed_in(service, "watch", "switch", NAME, "--wait")
    assert await minimum() == 2
    said = await hand.follow("An autoscaler stayed pinned")
    assert '"op":"test","path":"/spec/minReplicas","value":1' in said
    assert await minimum() == 1


async def test_without_a_history_nothing_is_known_good_and_the_way_back_takes_a_reason(service, hand):
    service.write_config(CONFIG)
    await service.proven()
    await verified(service, "switch", NAME, "--wait")
    odd = [{"op": "replace", "path": "/data/records", "value": "no json\n"}]
    await service.kubectl("patch", "configmap", f"mlconsole-history-{NAME}", "--type=json", "-p", json.dumps(odd))
    code, out, err = await service.shell("audit", NAME)
    assert (code, "history line 1: JSON is malformed" in out) == (0, True), (out, err)
    assert "no json" in await hand.follow("The history cannot be read")
    refused = await service.said("rollback", NAME, "--yes")
    assert (refused["exit_code"], "reason" in json.dumps(refused)) == (2, True), refused
    await verified(service, "rollback", NAME)
    assert await service.kubectl_live() == "blue"


class Plain(Service):
    """One Deployment without a colour."""

    def placed(self):
        return manifests.Placed(NAME, "", 2, 0, {"": BLUE}, "", 20.0)


@pytest.mark.parametrize("kind_of_service", [Plain])
async def test_an_adoption_that_stayed_half_done_is_undone_by_hand(service, hand, load_on):
    service.write_config(CONFIG)
    await killed_in(service, "ready", "adopt", NAME)
    assert await service.kubectl("get", "deployment", f"{NAME}-blue", "-o", "name")
    await hand.follow("An operation hangs on a dead machine")
    await hand.follow("An adoption stayed half done")
    found = await service.service()
    assert found["spec"]["selector"] == {"app": NAME}
    assert await service.deployment("blue") is None
    planned = await service.said("adopt", NAME, "--dry-run")
    assert planned["exit_code"] == 0, planned
    assert COLOR_LABEL in json.dumps(planned)
    await load_on.drain()
    assert load_on.lost == []


def test_every_recipe_of_the_document_is_followed():
    tests = Path(__file__).read_text()
    assert not [heading for heading in recipes() if f'"{heading}"' not in tests]
