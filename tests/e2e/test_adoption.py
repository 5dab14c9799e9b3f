"""A plain Deployment and Service on a real cluster, adopted and given back under load: not one request is lost."""

import asyncio
import json
import os
import sys

import pytest

from mlconsole.cluster.errors import NotFound
from mlconsole.demo import manifests
from mlconsole.domain.deploying import COLOR_LABEL, OPERATION
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Request, Verb, begin
from mlconsole.domain.phases import Phase
from mlconsole.engine.audit import Journal
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.session import Session

from .conftest import BLUE, DEADLINE, NAME, Service, within

pytestmark = pytest.mark.real_cluster
COPY = f"{NAME}-blue"
CONFIG = """\
[defaults.watch]
drain = "5s"
[defaults.smoke]
payload = { features = [1, 2, 3, 4, 5] }
"""
BASE = {"app": NAME}


class Plain(Service):
    """One Deployment of two pods, with an autoscaler and a disruption budget; no preStop hook keeps them when they end.

    Its pods are those that it began with: what is lost to pods that end before an adoption is not the adoption's.
    """

    def placed(self):
        return manifests.Placed(NAME, "", 2, 0, {"": BLUE}, "", 20.0)

    async def create(self):
        await super().create()
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
        scaler = {"metadata": {"name": NAME}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4}}
        await self.connection.request("POST", self.scalers, scaler)
        budget = {"metadata": {"name": "keep-one"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": BASE}}}
        path = f"/apis/policy/v1beta1/namespaces/{self.namespace}/poddisruptionbudgets"
        await self.connection.request("POST", path, budget)
        await within(DEADLINE, self.rolled_out)

    @property
    def scalers(self):
        return f"/apis/autoscaling/v1/namespaces/{self.namespace}/horizontalpodautoscalers"

    async def rolled_out(self):
        found = await self.deployment(NAME)
        status, seen = found["status"], found["status"].get("observedGeneration") == found["metadata"]["generation"]
        return seen and status.get("updatedReplicas") == status.get("replicas") == status.get("readyReplicas") == 2

    async def deployment(self, name):
        try:
            return await self.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}")
        except NotFound:
            return None

    async def selector(self):
        return (await self.service())["spec"]["selector"]

    async def scaled(self):
        """Which Deployments have an autoscaler."""
        items = (await self.get(self.scalers))["items"]
        return sorted(item["spec"]["scaleTargetRef"]["name"] for item in items)

    async def owners(self):
        """From each pod's Deployment, by its ReplicaSet's controller, to how many there are."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/replicasets"
        sets = {item["metadata"]["name"]: item for item in (await self.get(path))["items"]}
        pods = (await self.get(f"/api/v1/namespaces/{self.namespace}/pods"))["items"]
        found = {}
        for pod in pods:
            if "deletionTimestamp" not in pod["metadata"]:
                (owner,) = pod["metadata"]["ownerReferences"]
                (deployment,) = sets[owner["name"]]["metadata"]["ownerReferences"]
                found[deployment["name"]] = found.get(deployment["name"], 0) + 1
        return found


@pytest.fixture
def kind_of_service():
    return Plain


async def adopt(service, *arguments):
    """Run the shell twin: (exit code, what it printed as JSON)."""
    command = (sys.executable, "-m", "mlconsole", "adopt", NAME, "--yes", "--wait", "--output", "json", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **service.environ}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 2 * DEADLINE)
    assert process.returncode == 0, (out, err)
    return json.loads(out)


async def test_adopted_and_given_back_from_the_shell(service, load_on):
    service.write_config(CONFIG)
    before = await service.deployment(NAME)
    done = await adopt(service)
    assert done["outcome"] == "verified", done
    assert await service.selector() == {**BASE, COLOR_LABEL: "blue"}
    copy = await service.deployment(COPY)
    assert copy["status"]["readyReplicas"] == 2
    assert OPERATION in copy["metadata"]["annotations"]
    await within(DEADLINE, lambda: is_all_of(service, COPY))
    assert await service.scaled() == [NAME, COPY]

    done = await adopt(service, "--undo")
    assert done["outcome"] == "verified", done
    assert await service.selector() == BASE
    assert await service.deployment(COPY) is None
    await within(DEADLINE, lambda: is_all_of(service, NAME))
    assert await service.scaled() == [NAME]
    after = await service.deployment(NAME)
    assert after["spec"]["template"]["spec"] == before["spec"]["template"]["spec"]
    assert after["spec"]["replicas"] == 2
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 40))
    await load_on.drain()
    assert load_on.lost == []


async def is_all_of(service, name):
    return await service.owners() == {name: 2}


@pytest.mark.parametrize("phase", [Phase.SMOKE, Phase.DRAIN])
async def test_aborted_it_is_as_it_was(service, load_on, phase):
    service.write_config(CONFIG)
    settings = service.settings()
    before = (await service.deployment(NAME))["spec"]
    async with Session.open(settings) as session:
        plan = await session.plan(Kind.ADOPT, NAME)
        assert plan.dry_run == "accepted"
        assert not plan.missing_rights
        assert not plan.stopping(), plan.gates
        assert any("keep-one" in words for words in plan.warnings), plan.warnings
        started = begin(plan, plan.target.user, plan.created_at, host="e2e", reason="a test")
        folder = Folder(service.folder / "operations" / plan.id)
        folder.make()
        asked = []

        def hear(_):
            if runner.operation.phase is phase and not asked:
                asked.append(Request(Verb.ABORT, plan.id, "ben", plan.created_at, "a test"))
                runner.ask(asked[0])

        runner = Runner(
            started, session.connection, settings, Journal(service.folder / "audit.jsonl"), folder, hear=hear
        )
        ended = await runner.run()
    assert asked
    assert ended.ending is (Outcome.RETURNED if phase is Phase.DRAIN else Outcome.ABORTED), ended.why
    assert await service.selector() == BASE
    assert await service.deployment(COPY) is None
    await within(DEADLINE, lambda: is_all_of(service, NAME))
    assert (await service.deployment(NAME))["spec"] == before
    assert await service.scaled() == [NAME]
    count = load_on.versions[BLUE]
    await within(DEADLINE, lambda: load_on.seen(BLUE, count + 40))
    await load_on.drain()
    assert load_on.lost == []
