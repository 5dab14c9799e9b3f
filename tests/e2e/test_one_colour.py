"""Scale, restart, pause, unpause and drill on a real cluster from the shell, each seen by kubectl, under load."""

import pytest

from .conftest import BLUE, DEADLINE, NAME, Service, within

pytestmark = pytest.mark.real_cluster
SURE = ("--yes", "--reason", "a test")
CONFIG = """\
[defaults.smoke]
payload = { features = [1, 2, 3, 4, 5] }
"""
SLEEP = {"preStop": {"exec": {"command": ["/bin/sleep", "4"]}}}
"""What a pod under traffic needs to be replaced without a loss: kube-proxy takes its time."""


class Patient(Service):
    """Its pods wait before they end."""

    def on_this_machine(self, deployment):
        found = super().on_this_machine(deployment)
        found["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = SLEEP
        return found


@pytest.fixture
def kind_of_service():
    return Patient


async def done(service, *arguments):
    """Carry something out; it is verified."""
    found = await service.said(*arguments, *SURE)
    assert (found["exit_code"], found["outcome"]) == (0, "verified"), found
    return found


async def size(service, color):
    deployment = await service.deployment(color)
    return deployment["spec"]["replicas"], deployment["status"].get("readyReplicas", 0)


async def names(service, color):
    return {pod["metadata"]["name"] for pod in await service.pods(color)}


async def test_a_colour_is_scaled_restarted_paused_and_rehearsed(service, load_on):
    service.write_config(CONFIG)
    await done(service, "scale", NAME, "green", "3")
    assert await size(service, "green") == (3, 3)
    refused = await service.said("scale", NAME, "blue", "0", *SURE)
    assert (refused["exit_code"], "has the traffic" in refused["error"]) == (6, True), refused
    assert await size(service, "blue") == (2, 2)

    before = await names(service, "blue")
    await done(service, "restart", NAME, "blue")
    assert await size(service, "blue") == (2, 2)
    assert not before & await names(service, "blue"), "every pod under traffic was replaced"

    await done(service, "pause", NAME, "green")
    assert (await service.deployment("green"))["spec"]["paused"] is True
    refused = await service.said("restart", NAME, "green", *SURE)
    assert (refused["exit_code"], "unpause" in refused["hint"]) == (6, True), refused
    await done(service, "unpause", NAME, "green")
    assert "paused" not in (await service.deployment("green"))["spec"]

    before = await service.service()
    rehearsed = await done(service, "drill", NAME)
    assert rehearsed["record"]["kind"] == "drill"
    after = await service.service()
    assert after["spec"] == before["spec"], "a drill moves nothing"
    assert await service.kubectl_live() == "blue"

    await done(service, "scale", NAME, "green", "0")
    assert await size(service, "green") == (0, 0)
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 20))
    await load_on.drain()
    assert load_on.lost == []
    kinds = [(record["kind"], record["outcome"]) for record in await service.records()]
    assert kinds == [(kind, "verified") for kind in ("scale", "restart", "pause", "unpause", "drill", "scale")]
