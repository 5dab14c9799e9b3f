"""Plans are kept as long as somebody may still confirm them, and no longer."""

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from mlconsole.config import Cluster as Place
from mlconsole.engine import protocol
from mlconsole.engine.operations import Operations

from .conftest import SHORT, change


class Screen:
    """Operations on one cluster, and what they publish."""

    def __init__(self, desk):
        self.heard = []
        place = SimpleNamespace(planner=desk.planner, connection=desk.connection, settled=lambda settings: settings)
        settings = replace(SHORT, cluster=Place(kubeconfig=desk.cluster.kubeconfig, namespace="ml"))
        self.operations = Operations(settings, lambda: place, self._publish)
        self.service = f"{desk.cluster.namespace}/fraud"

    async def _publish(self, message):
        self.heard.append(message)

    async def plan(self, request):
        await self.operations.make(protocol.MakePlan(request, "rollback", self.service))
        return self.heard.pop()

    async def confirm(self, planned, **said):
        await self.operations.confirm(protocol.Confirm(planned.request, planned.hash, **said))
        return self.heard.pop()


@pytest.fixture
def screen(good, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    one = Screen(good)
    yield one
    one.operations.close()


async def test_a_plan_discarded_while_it_is_made_is_neither_shown_nor_kept(screen):
    making = asyncio.create_task(screen.operations.make(protocol.MakePlan(1, "rollback", screen.service)))
    failing = asyncio.create_task(screen.operations.make(protocol.MakePlan(2, "rollback", "ml/nope")))
    await asyncio.sleep(0)
    for request in (1, 2):
        screen.operations.discard(protocol.Discard(request))
    await asyncio.gather(making, failing)
    assert screen.heard == []
    assert screen.operations._plans == {}


async def test_a_refusal_that_another_word_can_mend_keeps_the_plan(screen):
    planned = await screen.plan(1)
    assert (await screen.confirm(planned, waived=("answers",))).message == "a reason is needed"
    assert list(screen.operations._plans) == [1]
    screen.operations.discard(protocol.Discard(1))
    assert (await screen.confirm(planned)).message == "that plan is no longer here"


async def test_a_plan_that_the_cluster_has_left_behind_is_dropped(screen, good):
    planned = await screen.plan(1)
    change(good, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})
    assert (await screen.confirm(planned)).exit_code == 4
    assert screen.operations._plans == {}
