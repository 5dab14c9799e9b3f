"""What goes wrong in the middle: an API server that is away, somebody else's hand, a word from before the crash."""

import asyncio
import json
import socket
import time

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster import fresh, history, leases
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Conflict
from mlconsole.config import ServiceSettings, Settings, Verify, Watch
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.domain import operation as machine
from mlconsole.domain import resuming
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Overtaken, Request, Verb
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Confirmation, Plan, PlanError, Target, Write
from mlconsole.domain.recording import record_of
from mlconsole.domain.resuming import Standing
from mlconsole.domain.services import Release
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution import __main__ as executor
from mlconsole.engine.execution import folder as folders
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.lock import Lock
from mlconsole.engine.execution.performing import taking, waiting
from mlconsole.engine.execution.process import agreed
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.planner import Wish

from .conftest import QUICK, change, clusters, unready

RETURNS = Settings(defaults=ServiceSettings(verify=Verify(deadline=0.3), watch=Watch(on_failure="rollback")))
"""No model server answers here: what is switched to is left again at once."""


def of(verb, part):
    return lambda method, path: method in verb.split() and part in path


def away(desk, times, what=lambda method, path: True):
    """The API server answers nothing but 503 so many times."""
    desk.cluster.faults.add(Failure(what, status=503, times=times))


async def begun(desk, plan, op=None, **said):
    """A runner of an operation of `plan`, or of `op` taken up."""
    words = {"reason": "a test", "typed": plan.service, "waived": ("answers",)} | said
    started = op or agreed(plan, Consent(plan.hash, **words), time.time())
    folder = Folder(desk.folder / "operations" / plan.id)
    folder.make()
    return Runner(started, desk.connection, desk.settings, desk.journal, folder, hear=desk.steps.append)


# ---- the way back


async def test_the_way_back_goes_on_without_its_record(desk):
    desk.settings = RETURNS
    plan = replace(await desk.plan(), returns=True)

    def full():
        desk.cluster.faults.add(Failure(of("PUT POST", "configmaps"), status=403, times=1000))

    await desk.carry_out(plan, at="verify", then=full)
    assert (await desk.selector())["color"] == "blue"


async def test_the_way_back_waits_for_an_api_server_that_is_away(desk):
    desk.settings = RETURNS
    plan = replace(await desk.plan(), returns=True)
    runner = await begun(desk, plan)
    come_back = []

    def hear(step):
        if step.step == "verify" and "after" in step.words and not come_back:
            come_back.append(step)
            away(desk, 12)

    runner._hear = hear
    ended = await runner.run()
    assert come_back
    assert (await desk.selector())["color"] == "blue"
    assert ended.ending in (Outcome.RETURNED, Outcome.UNVERIFIED)


# ---- watched


async def test_a_watch_outlives_an_api_server_that_is_away(desk, monkeypatch):
    plan = await desk.plan()
    runner = await begun(desk, plan)
    op = replace(runner.operation, phase=Phase.WATCH, phase_at=time.time(), arrived_at=time.time())
    desk.settings = replace(QUICK, defaults=replace(QUICK.defaults, watch_window=1.0))
    runner.context.settings = desk.settings
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
    away(desk, 3)
    event = await waiting.watch(runner.context, op)
    assert isinstance(event, machine.Passed)


async def test_traffic_that_others_moved_leaves_nothing_pinned_and_nothing_said(desk):
    plan = await desk.plan()
    op = replace(machine.begin(plan, "ann", 0.0), phase=Phase.WATCH, tokens=(1,))
    ended = machine.advance(op, Overtaken("kubectl moved the traffic", locked=True), 1.0)
    assert (ended.phase, ended.ending) == (Phase.RESTORE, Outcome.OVERTAKEN)
    lost = machine.advance(op, Overtaken("the lock is gone"), 1.0)
    assert lost.phase is Phase.DONE


# ---- under traffic


async def test_i4_a_deploy_does_not_write_to_a_colour_that_got_the_traffic_meanwhile(desk):
    plan = await desk.plan(Kind.DEPLOY, wish=Wish("14", "registry.local/fraud:14"))
    assert plan.to_color == "green"
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
    before = desk.cluster.store.get("deployments", "ml", "fraud-green")["spec"]
    with pytest.raises(PlanError):
        await desk.carry_out(plan)
    assert desk.cluster.store.get("deployments", "ml", "fraud-green")["spec"] == before


async def test_i4_a_deploy_that_fails_does_not_undo_what_has_the_traffic(desk):
    plan = await desk.plan(Kind.DEPLOY, wish=Wish("14", "registry.local/fraud:14"))
    runner = await begun(desk, plan)
    made = []

    def hear(step):
        if step.step == "ready" and not made:
            made.append(desk.cluster.store.get("deployments", "ml", "fraud-green")["spec"])
            change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
            runner.ask(Request(Verb.ABORT, plan.id, "ann", time.time()))

    runner._hear = hear
    await runner.run()
    assert made
    assert desk.cluster.store.get("deployments", "ml", "fraud-green")["spec"] == made[0]


async def test_i1_a_rollback_that_is_taken_up_counts_the_pods_again(good):
    plan = await good.plan(Kind.ROLLBACK)
    op = agreed(plan, Consent(plan.hash, reason="x", waived=()), time.time())
    taken = resuming.resumed(replace(op, phase=Phase.SWITCH), Standing.NOT_STARTED, time.time())
    unready(good, "fraud-blue-0", "fraud-blue-1")
    runner = await begun(good, plan, taken)
    await runner.run()
    assert (await good.selector())["color"] == "green"


# ---- taken up


async def test_an_abort_of_a_rollback_that_moved_nothing_moves_nothing(good):
    plan = await good.plan(Kind.ROLLBACK)
    op = agreed(plan, Consent(plan.hash, reason="x", waived=()), time.time())
    taken = resuming.resumed(replace(op, phase=Phase.SWITCH), Standing.NOT_STARTED, time.time())
    runner = await begun(good, plan, resuming.aborting(taken, "ann", "no", time.time()))
    ended = await runner.run()
    assert (await good.selector())["color"] == "green"
    assert ended.ending is Outcome.ABORTED


async def test_a_word_for_the_executor_before_is_not_heard_by_the_next(tmp_path):
    folder, heard = Folder(tmp_path / "one"), []
    folder.make()
    ear = type("Ear", (), {"ask": staticmethod(heard.append)})
    for at in (1.0, 3.0):
        folder.ask(Request(Verb.KEEP, "one", "ann", at))
    listener = asyncio.create_task(executor._listen(ear, folder, 2.0))
    await clusters.until(lambda: heard)
    listener.cancel()
    assert [request.at for request in heard] == [3.0]


async def test_a_word_that_stands_on_the_lock_when_it_is_taken_is_not_heard(desk):
    plan, heard = await desk.plan(), []
    op = machine.begin(plan, "ann", 0.0)
    kept = Lock(desk.connection, op, f"ann@here/{plan.id}", heard.append)
    await kept.take(plan, force=False, mine=lambda _: False)
    await leases.ask(
        desk.connection, "ml", "fraud", json.dumps({"verb": "keep", "operation": plan.id, "by": "x", "at": 1.0})
    )
    again = Lock(desk.connection, op, f"ann@here/{plan.id}", heard.append)
    await again.take(plan, force=False, mine=lambda _: True)
    await again._renew()
    assert heard == []
    await leases.ask(
        desk.connection, "ml", "fraud", json.dumps({"verb": "keep", "operation": plan.id, "by": "x", "at": 2.0})
    )
    await again._renew()
    assert [request.at for request in heard] == [2.0]


async def test_i7_one_who_is_late_to_take_an_operation_up_does_not_take_it_from_the_first(desk):
    plan = replace(await desk.plan(), fence="1")  # the token of the executor that is gone
    op = replace(machine.begin(plan, "ann", 0.0), tokens=(1,), then=Phase.READY)
    first = await begun(desk, plan, op)
    assert await first.context.lock.take(plan, force=False, mine=lambda _: False) == 2
    desk.connection = await Connection.open(kubeconfig=desk.cluster.kubeconfig, namespace="ml")
    second = await begun(desk, plan, op)
    with pytest.raises(PlanError, match="is held by"):
        await taking.lock(second.context, op)
    await desk.connection.close()


def test_what_runs_on_another_machine_with_the_same_home_is_not_dead(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = Folder(folders.root({"XDG_STATE_HOME": str(tmp_path)}) / "one")
    folder.make()
    assert not folders.died("one"), "nobody knows whose it is"
    plan = Plan(
        "one",
        Kind.SWITCH,
        Target("c", "s", "d", "u", "ml", "n"),
        "fraud",
        0.0,
        "blue",
        "green",
        Release(),
        Release(),
        {},
        (),
        (),
        (),
        (),
        Confirmation.KEY,
    )
    op = machine.begin(plan, "ann", 0.0, host="elsewhere")
    folder.keep(op)
    assert not folders.died("one")
    folder.keep(replace(op, host=socket.gethostname()))
    assert folders.died("one")


# ---- what stands in the history


async def test_an_operation_that_somebody_wrote_into_the_history_reaches_no_further(desk):
    plan = await desk.plan()
    op = replace(machine.begin(plan, "ann", 0.0), tokens=(1,), phase=Phase.READY)
    elsewhere = Write("deployments", "kube-system", "coredns", ({"op": "remove", "path": "/spec"},))
    for bad in (
        replace(op, plan=replace(plan, id="../../..")),
        replace(op, plan=replace(plan, writes=(*plan.writes, elsewhere))),
        replace(op, inherited=(elsewhere,)),
        replace(op, plan=replace(plan, service="other")),
    ):
        body = {
            "metadata": {"name": "mlconsole-history-fraud"},
            "data": {"operation": msgspec.json.encode(bad).decode()},
        }
        await desk.cluster.post(f"{desk.cluster.core}/configmaps", body)
        past = await history.read(desk.connection, "ml", "fraud")
        assert past.operation is None
        assert "cannot be read" in past.complaints[0]
        await desk.cluster.delete(f"{desk.cluster.core}/configmaps/mlconsole-history-fraud")


async def test_a_history_that_is_removed_in_the_middle_is_written_anew(desk):
    plan = await desk.plan()

    gone = []

    def removed():
        if not gone:
            gone.append(desk.cluster.store.delete("configmaps", "ml", "mlconsole-history-fraud"))

    await desk.carry_out(plan, at="verify", then=removed)
    assert [(record.id, record.outcome) for record in await desk.records()] == [(plan.id, Outcome.UNVERIFIED)]


async def test_who_lost_the_service_still_has_the_end_on_record_and_leaves_the_later_one_there(desk):
    first, second = await desk.plan(), await desk.plan()
    one = replace(machine.begin(first, "ann", 0.0), tokens=(1,), ending=Outcome.OVERTAKEN, phase=Phase.DONE)
    two = replace(machine.begin(second, "bob", 0.0), tokens=(2,))
    await history.append(desk.connection, [record_of(two)], history.Past(), two)
    with pytest.raises(Conflict):
        await history.append(desk.connection, [record_of(replace(one, ending=Outcome.OPEN))], history.Past(), one)
    await history.append(desk.connection, [replace(record_of(one), ended_at=1.0)], history.Past(), one)
    past = await history.read(desk.connection, "ml", "fraud")
    assert past.operation.id == second.id
    assert {record.id: record.outcome for record in past.records} == {
        first.id: Outcome.OVERTAKEN,
        second.id: Outcome.OPEN,
    }


def test_i27_a_container_that_is_new_is_shown_without_its_secrets():
    env = [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "fast"}]
    after = {"containers": [{"name": "model"}, {"name": "side", "env": env, "args": ["x"]}]}
    rows = fresh.differences("template.spec", {"containers": [{"name": "model"}]}, after)
    assert "hunter2" not in str(rows)
    assert "fast" in str(rows)
