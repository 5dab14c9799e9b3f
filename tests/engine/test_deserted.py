"""What is not there proves nothing: an empty colour under traffic, and the rehearsal of a way back that is not up."""

import time

from msgspec.structs import replace

from mlconsole.domain.operation import Failed, Passed
from mlconsole.domain.phases import Phase
from mlconsole.domain.services import Release
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.performing import rehearsing, waiting
from mlconsole.engine.execution.process import agreed
from mlconsole.engine.execution.runner import Runner

from .conftest import QUICK, change, unready


def runner_of(desk, plan):
    folder = Folder(desk.folder / "operations" / plan.id)
    folder.make()
    consent = Consent(plan.hash, reason="a test", typed=plan.service, waived=("answers",))
    started = agreed(plan, consent, time.time())
    return Runner(started, desk.connection, desk.settings, desk.journal, folder, hear=desk.steps.append)


async def watched(desk, monkeypatch):
    """What a watch window of a second says of green, which has the traffic."""
    monkeypatch.setattr(waiting, "LOOK", 0.05)
    desk.settings = replace(QUICK, defaults=replace(QUICK.defaults, watch_window=1.0))
    runner = runner_of(desk, await desk.plan())
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
    now = time.time()
    return await waiting.watch(
        runner.context, replace(runner.operation, phase=Phase.WATCH, phase_at=now, arrived_at=now)
    )


async def test_a_watched_colour_with_pods_passes(desk, monkeypatch):
    assert isinstance(await watched(desk, monkeypatch), Passed)


async def test_a_watched_colour_without_a_ready_pod_fails(desk, monkeypatch):
    made = waiting._read

    async def emptied(*args):
        unready(desk, "fraud-green-0", "fraud-green-1")
        return await made(*args)

    monkeypatch.setattr(waiting, "_read", emptied)
    event = await watched(desk, monkeypatch)
    assert isinstance(event, Failed)
    assert "no ready pod" in event.words


async def test_a_drill_does_not_take_what_stands_in_the_way_backs_place_for_it(desk):
    runner = runner_of(desk, await desk.plan())
    wanted = Release("fraud", "11", image="registry.local/fraud:11")
    op = replace(runner.operation, plan=replace(runner.operation.plan, to_release=wanted, cold="v11 comes up first"))
    event = await rehearsing.rehearse(runner.context, op)
    assert isinstance(event, Failed)
    assert "v11 comes up first" in event.words
