"""A hundred switches there and back under load, half of it on kept connections: not one request is lost."""

import os

import pytest

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import begin
from mlconsole.engine.audit import Journal
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.session import Session

from .conftest import DEADLINE, GREEN, NAME, within

pytestmark = pytest.mark.real_cluster
SWITCHES = int(os.environ.get("MLCONSOLE_TEST_SWITCHES", "20"))
"""CI does a hundred."""


async def test_no_request_is_lost(service, load_on, record_property):
    service.write_config('[defaults.watch]\ndrain = "200ms"\n')
    settings = service.settings()
    took, live = [], "blue"
    async with Session.open(settings) as session:
        for _ in range(SWITCHES):
            plan = await session.plan(Kind.SWITCH, NAME)
            assert plan.from_color == live
            started = begin(plan, plan.target.user, plan.created_at, host="e2e", reason="there and back")
            folder = Folder(service.folder / "operations" / plan.id)
            folder.make()
            runner = Runner(started, session.connection, settings, Journal(service.folder / "audit.jsonl"), folder)
            ended = await runner.run()
            assert ended.ending is Outcome.VERIFIED, ended.why
            took.append(ended.arrived_at - ended.started_at)
            live = plan.to_color
    assert await service.kubectl_live() == live
    await within(DEADLINE, lambda: load_on.seen(GREEN, 20))
    await load_on.drain()
    assert load_on.lost == []
    assert load_on.sent > SWITCHES * 40
    took.sort()
    record_property("switches", SWITCHES)
    print(  # noqa: T201
        f"{SWITCHES} switches, {load_on.sent} requests, 0 lost; seconds to traffic seen there:"
        f" median {took[len(took) // 2]:.2f}, most {took[-1]:.2f}"
    )
