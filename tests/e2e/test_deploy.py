"""Deploys on a real cluster from the shell, under load: there and back, failing, and back to what is no longer up."""

import asyncio
import json

import msgspec
import pytest

from mlconsole.domain.deploying import OPERATION
from mlconsole.engine.execution.folder import Folder

from .conftest import BLUE, DEADLINE, GREEN, NAME, NEXT, Service, within

pytestmark = pytest.mark.real_cluster
IMAGE = "k8sb.local/busybox:1"
DEPLOY = ("deploy", NAME, "--version", NEXT, "--image", IMAGE, "--yes", "--reason", "a test")
SURE = ("--yes", "--reason", "a test")
ASKED = 2
"""Requests of the smoke test to a pod."""
CONFIG = f"""\
[defaults.deploy]
resolve = false
progress_deadline = "{{deadline}}"
[defaults.smoke]
requests = {ASKED}
payload = {{{{ features = [1, 2, 3, 4, 5] }}}}
[defaults.watch]
keep_within = "{{keep}}"
drain = "200ms"
"""
PARITY = [f"parity.{what}" for what in ("disagreement", "flips", "score", "latency", "errors")]
GATES = """\
[defaults.parity]
enabled = true
payloads = "{payloads}"
max_latency_ratio = 20.0
[defaults.analysis.errors]
condition = "error_share < 0.05"
when = "after"
interval = "1s"
"""


def config(keep="0s", deadline="30s"):
    return CONFIG.format(keep=keep, deadline=deadline)


def gates(service):
    """Parity before the switch, and errors measured after it."""
    payloads = service.folder / "payloads.jsonl"
    payloads.write_text("".join(json.dumps({"features": [n, 2, 3, 4, 5]}) + "\n" for n in range(20)))
    return GATES.format(payloads=payloads)


def version_of(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return next(item["value"] for item in container["env"] if item["name"] == "MODEL_VERSION")


async def predictions(service, color):
    """How many requests each pod of a colour has answered, by its own count."""
    found = []
    for pod in await service.pods(color):
        path = f"/api/v1/namespaces/{service.namespace}/pods/{pod['metadata']['name']}:8000/proxy/metrics"
        text = (await service.connection.get(path)).decode()
        lines = [line for line in text.splitlines() if line.startswith("ml_predictions_total{")]
        found.append(sum(float(line.rpartition(" ")[2]) for line in lines))
    return found


def verdicts(service, done):
    """What the gates of an operation said, as its executor kept them."""
    operation = Folder(service.folder / "state" / "mlconsole" / "operations" / done["record"]["id"]).operation()
    return {gate.name: str(gate.verdict) for gate in operation.gates}


async def kept(service):
    """Say `keep` when the operation asks for it."""

    async def asks():
        return await service.phase() == "keep"

    await within(DEADLINE, asks, 0.5)
    return await service.said("keep", NAME, "--yes")


async def nothing_was_lost(load):
    await load.drain()
    assert load.lost == []


@pytest.mark.parametrize("there", [False, True], ids=["made", "patched"])
async def test_there_and_back(service, load_on, there):
    service.write_config(config(keep="60s") + gates(service), window="3s")
    if not there:
        await service.kubectl("delete", "deployment", f"{NAME}-green", "--wait=true")
    before = await service.deployment("green")

    done = await service.said(*DEPLOY)
    assert (done["exit_code"], done["outcome"]) == (0, "verified"), done
    assert await service.kubectl_live() == "blue", "a deploy alone moves no traffic"
    green = await service.deployment("green")
    assert (version_of(green), green["status"]["readyReplicas"]) == (NEXT, 2)
    if there:
        assert green["metadata"]["uid"] == before["metadata"]["uid"]
    else:
        assert green["metadata"]["annotations"][OPERATION] == done["record"]["id"]
    said = verdicts(service, done)
    assert {said[name] for name in ("smoke", *PARITY)} == {"PASS"}, said
    assert all(count >= ASKED for count in await predictions(service, "green")), "every pod was asked"

    going = asyncio.create_task(service.said("switch", NAME, *SURE, "--wait"))
    word = await kept(service)
    assert word["exit_code"] == 0, word
    done = await going
    assert (done["exit_code"], done["outcome"]) == (0, "verified"), done
    assert verdicts(service, done)["errors"] == "PASS"
    assert await service.kubectl_live() == "green"
    await within(DEADLINE, lambda: load_on.seen(NEXT, 20))

    done = await service.said("rollback", NAME, *SURE)
    assert (done["exit_code"], done["outcome"]) == (0, "verified"), done
    assert await service.kubectl_live() == "blue"
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 20))
    await nothing_was_lost(load_on)
    assert GREEN not in load_on.versions
    outcomes = [(record["kind"], record["outcome"]) for record in await service.records()]
    assert outcomes == [("deploy", "verified"), ("switch", "verified"), ("rollback", "verified")]
    assert sorted(await service.events()) == ["Deploy", "Rollback", "Switch"]


async def test_in_one_go_and_nobody_keeps_it(service, load_on):
    service.write_config(config(keep="2s"))
    done = await service.said(*DEPLOY, "--switch", "--wait")
    assert (done["exit_code"], done["outcome"]) == (1, "returned"), done
    assert "nobody kept it within 2 s" in done["message"]
    assert load_on.versions[NEXT] > 0
    assert await service.kubectl_live() == "blue"
    await nothing_was_lost(load_on)


# ---- what does not come up


class Deaf(Service):
    """Its image may be pulled; version 16 does not listen where it is asked."""

    policy = "IfNotPresent"

    def on_this_machine(self, deployment):
        found = super().on_this_machine(deployment)
        container = found["spec"]["template"]["spec"]["containers"][0]
        container["imagePullPolicy"] = self.policy
        shell = 'test "$MODEL_VERSION" = 16 && export PORT=8001; exec "$@"'
        container["command"] = ["/bin/sh", "-c", shell, "sh", *container["command"]]
        return found


class Never(Deaf):
    """Its image has to be on the node."""

    policy = "Never"


async def things(service):
    """What there is in the namespace that operations could make or change."""
    kinds = "deployments,services,configmaps,leases,horizontalpodautoscalers"
    return set((await service.kubectl("get", kinds, "-o", "name")).split())


async def fails(service, version, image):
    """What a deploy says that does not come up."""
    arguments = ("deploy", NAME, "--version", version, "--image", image, *SURE)
    return await service.said(*arguments)


@pytest.mark.parametrize("kind_of_service", [Never])
async def test_an_image_that_is_not_there_is_named_and_what_was_made_is_removed(service, load_on):
    service.write_config(config(deadline="6s"))
    await service.kubectl("delete", "deployment", f"{NAME}-green", "--wait=true")
    before, blue = await things(service), await service.deployment("blue")
    failed = await fails(service, NEXT, "k8sb.local/none:1")
    assert failed["exit_code"] == 1, failed
    assert "ErrImageNeverPull (2 pods): the image is not on the node" in failed["error"]
    assert await service.deployment("green") is None
    ours = {f"configmap/mlconsole-history-{NAME}", f"lease.coordination.k8s.io/mlconsole-{NAME}"}
    assert await things(service) == before | ours
    assert (await service.deployment("blue"))["metadata"]["generation"] == blue["metadata"]["generation"]
    await nothing_was_lost(load_on)


@pytest.mark.parametrize("kind_of_service", [Deaf])
async def test_what_does_not_get_ready_says_why_and_is_put_back(service, load_on):
    service.write_config(config(deadline="30s"))  # a busy node takes its time to say why
    service.release("16")
    before, blue = await service.deployment("green"), await service.deployment("blue")
    cases = {
        (NEXT, "127.0.0.1:9/none:1"): ("ImagePull", "the image cannot be pulled", "127.0.0.1:9"),
        ("16", IMAGE): ("NotReady (", "its probe fails", "connection refused", "its log ends with: "),
        ("17", IMAGE): ("(exit code 1); read the log of its last run", f"{NAME}-17.json"),
    }
    for (version, image), words in cases.items():
        failed = await fails(service, version, image)
        assert failed["exit_code"] == 1, failed
        assert not [word for word in words if word not in failed["error"]], failed["error"]
        green = await service.deployment("green")
        assert green["spec"] == before["spec"], "put back as it was"
        assert green["metadata"]["uid"] == before["metadata"]["uid"]
        assert (await service.deployment("blue"))["metadata"]["generation"] == blue["metadata"]["generation"]
    await within(DEADLINE, service.ready)
    assert await service.kubectl_live() == "blue"
    await nothing_was_lost(load_on)


# ---- a way back that is not up


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        (("scale", "deployment", f"{NAME}-blue", "--replicas=0"), "scaled to 0"),
        (("delete", "deployment", f"{NAME}-blue", "--wait=true"), "made of the template in the history"),
    ],
    ids=["cold", "gone"],
)
async def test_a_rollback_brings_its_destination_up_first(service, load_on, taken, words):
    service.write_config(config())
    await service.proven()
    done = await service.said("switch", NAME, *SURE, "--wait")
    assert (done["exit_code"], done["outcome"]) == (0, "verified"), done
    before = await service.deployment("blue")
    await service.kubectl(*taken)

    async def gone():
        return not await service.pods("blue")

    await within(DEADLINE, gone)
    planned = await service.said("rollback", NAME, "--dry-run")
    assert words in msgspec.json.encode(planned).decode()
    done = await service.said("rollback", NAME, *SURE)
    assert (done["exit_code"], done["outcome"]) == (0, "verified"), done
    assert await service.kubectl_live() == "blue"
    blue = await service.deployment("blue")
    assert (version_of(blue), blue["status"]["readyReplicas"]) == (BLUE, 2)
    assert blue["spec"]["template"]["spec"] == before["spec"]["template"]["spec"]
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 20))
    await nothing_was_lost(load_on)
