"""Deploys and cold rollbacks carried out in the embedded world: real pods, real traffic through the Service."""

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import NotFound
from mlconsole.config import ServiceSettings, Settings, Verify
from mlconsole.configoperations import Deploy
from mlconsole.domain import deploying
from mlconsole.domain.history import Kind, Outcome, decode_templates
from mlconsole.domain.phases import Phase
from mlconsole.engine.planner import Wish

from .conftest import Desk

NAME = "fraud-scorer"
SETTINGS = Settings(
    defaults=ServiceSettings(
        watch_window=0.0, verify=Verify(deadline=30.0), deploy=Deploy(resolve=False, progress_deadline=40.0)
    )
)


class Place:
    """The world as `Desk` wants a cluster."""

    namespace = "ml"
    core = "/api/v1/namespaces/ml"
    apps = "/apis/apps/v1/namespaces/ml"

    def __init__(self, world, connection):
        self.store, self.faults, self.connection = world.store, world.faults, connection


class Bench(Desk):
    """`Desk` on the world's first service: green v13 live, blue v12 idle."""

    async def do(self, kind, waived=(), **more):
        plan = await self.plan(kind, NAME, **more)
        return plan, await self.carry_out(plan, waived=waived, typed=NAME)

    def pods(self, color):
        return {item["metadata"]["name"] for item in self.cluster.store.list("pods", "ml", f"color={color}")[0]}

    async def deployment(self, color):
        try:
            found = await self.connection.get(f"{self.cluster.apps}/deployments/{NAME}-{color}")
        except NotFound:
            return None
        return msgspec.json.decode(found)

    async def live(self):
        return (await self.selector(NAME))["color"]

    async def remove(self, color):
        await self.connection.request("DELETE", f"{self.cluster.apps}/deployments/{NAME}-{color}")

    async def templates(self):
        found = msgspec.json.decode(
            await self.connection.get(f"{self.cluster.core}/configmaps/mlconsole-history-{NAME}")
        )
        return decode_templates(found["data"].get("templates", ""))


@pytest.fixture
async def bench(world, tmp_path):
    connection = await Connection.open(kubeconfig=str(world.folder / "kubeconfig"), namespace="ml")
    yield Bench(Place(world, connection), tmp_path, SETTINGS)
    await connection.close()


def wish(version, **more):
    return Wish(version=version, image=f"demo.local/{NAME}:{version}", **more)


async def test_from_no_second_colour_to_live_traffic_and_back_again_when_it_is_cold_and_when_it_is_gone(bench):
    # The other colour is made, and the traffic moved to it.
    await bench.remove("blue")
    plan, record = await bench.do(Kind.DEPLOY, wish=wish("12", go_on=True))
    assert (plan.writes[0].verb, record.outcome, record.moved) == ("create", Outcome.VERIFIED, True), record
    assert await bench.live() == "blue"
    blue = await bench.deployment("blue")
    assert blue["metadata"]["annotations"][deploying.OPERATION] == plan.id
    assert blue["spec"]["replicas"] == blue["status"]["readyReplicas"] == 3
    assert set(await bench.templates()) == {"v12", "v13"}, "also of what it left, which was seen in its place"

    # What it left is known good; scaled down, it is scaled up again first.
    bench.cluster.store.patch(
        "deployments", "ml", f"{NAME}-green", {"spec": {"replicas": 0}}, "application/merge-patch+json"
    )
    plan, record = await bench.do(Kind.ROLLBACK)
    assert [write.phase for write in plan.writes] == [Phase.BRING_UP, Phase.SWITCH]
    assert (record.outcome, await bench.live()) == (Outcome.VERIFIED, "green"), record
    assert (await bench.deployment("green"))["spec"]["replicas"] == 3

    # Forward again with a reason, and the way back gone: it is made of the history.
    _, record = await bench.do(Kind.SWITCH, waived=("quarantine",))
    assert record.outcome is Outcome.VERIFIED
    await bench.remove("green")
    plan, record = await bench.do(Kind.ROLLBACK)
    assert plan.writes[0].verb == "create"
    assert "template in the history" in plan.cold
    assert (record.outcome, await bench.live()) == (Outcome.VERIFIED, "green"), record


async def test_a_release_that_does_not_come_up_is_undone_and_nothing_else_is_touched(bench):
    quick = replace(SETTINGS.defaults, deploy=Deploy(resolve=False, progress_deadline=3.0))
    bench = Bench(bench.cluster, bench.folder / "quick", Settings(defaults=quick))
    before = await bench.deployment("blue")
    _, record = await bench.do(Kind.DEPLOY, wish=Wish(version="99", image=f"demo.local/{NAME}:99"))
    assert record.outcome is Outcome.FAILED
    assert "ImagePullBackOff" in record.message
    after = await bench.deployment("blue")
    assert after["spec"] == before["spec"]
    # What was made by the operation is removed by it.
    await bench.remove("blue")
    _, record = await bench.do(Kind.DEPLOY, wish=Wish(version="99", image=f"demo.local/{NAME}:99", go_on=True))
    assert record.outcome is Outcome.FAILED
    assert await bench.deployment("blue") is None
    assert await bench.live() == "green"


async def test_restart_pause_unpause_and_scale_of_one_colour(bench):
    pods = bench.pods("blue")
    _, record = await bench.do(Kind.RESTART, to_color="blue")
    assert record.outcome is Outcome.VERIFIED, record
    assert len(bench.pods("blue") - pods) == 3
    _, record = await bench.do(Kind.SCALE, waived=("way-back",), to_color="blue", wish=Wish(replicas=1))
    assert record.outcome is Outcome.VERIFIED
    assert (await bench.deployment("blue"))["status"]["readyReplicas"] == 1
    _, record = await bench.do(Kind.PAUSE, to_color="blue")
    assert (await bench.deployment("blue"))["spec"]["paused"]
    _, record = await bench.do(Kind.UNPAUSE, to_color="blue")
    assert record.outcome is Outcome.VERIFIED
    assert not (await bench.deployment("blue"))["spec"].get("paused")
