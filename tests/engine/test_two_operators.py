"""Two operators of one service: a request from another machine, a hand-over, broken glass, a second person's word."""

import asyncio
import json
import time
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster import history, leases
from mlconsole.cluster.connection import Connection
from mlconsole.config import Environment, ServiceSettings, Settings, Verify, Watch
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Request, Verb
from mlconsole.domain.operation import begin as begin_of
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError, Verdict
from mlconsole.domain.recording import record_of
from mlconsole.engine import underway
from mlconsole.engine.execution import __main__ as executor
from mlconsole.engine.execution import lock
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.performing import taking
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.session import Session

from .conftest import QUICK, Desk, clusters

SLOW = ServiceSettings(verify=Verify(deadline=60.0), watch=Watch(keep_within=60.0))
LOOKS = Settings(defaults=SLOW)
"""It looks for the traffic for as long as a test takes: no model server answers here."""
FOUR_EYES = Settings(
    defaults=ServiceSettings(verify=Verify(deadline=0.3)), environments={"prod": Environment(approval=True)}
)
INTERVAL = 0.1


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Locks are renewed, and requests on them heard, in a fraction of the time."""
    monkeypatch.setattr(lock, "RENEW", INTERVAL)


@pytest.fixture
def ann(desk, tmp_path):
    """`ann(settings)`: who begins."""
    return lambda settings: Desk(desk.cluster, tmp_path / "ann", settings)


@pytest.fixture
async def bob(desk, tmp_path):
    """`bob(settings)`: another user, with a connection of their own and none of ann's files."""
    path = tmp_path / "kubeconfig-bob"
    # As in life, the kubeconfig calls its user otherwise than the server does.
    path.write_text(desk.cluster.server.kubeconfig("t-bob", namespace="ml").replace(" bob", " login"))
    connection = await Connection.open(kubeconfig=str(path), namespace="ml")
    yield lambda settings: Desk(desk.cluster, tmp_path / "bob", settings, connection)
    await connection.close()


async def begin(desk, phase, **said):
    """Begin a switch to green; (its task, its plan) when it is in `phase`."""
    plan = await desk.plan()
    task = asyncio.create_task(desk.carry_out(plan, **said))
    await clusters.until(lambda: task.done() or (desk.runner and desk.runner.operation.phase is phase))
    assert not task.done(), task.result()
    return task, plan


async def seen_by(desk, phase, alive=True):
    """What is under way, as it is read from the cluster, once it is in `phase` there."""
    async with asyncio.timeout(clusters.DEADLINE):
        while True:
            found = await underway.read(desk.connection, desk.settings, "ml", "fraud")
            if found is not None and (found.operation.phase, found.alive) == (phase, alive):
                return found
            await asyncio.sleep(0.02)


async def ask(desk, phase, verb, reason=""):
    under = await seen_by(desk, phase)
    assert not under.here
    await underway.ask(desk.connection, under, verb, await desk.connection.whoami(), reason)


async def end(desk, task):
    """Abort it; traffic that cannot be seen to come back is not waited for."""
    desk.runner.context.settings = QUICK
    desk.runner.ask(Request(Verb.ABORT, desk.runner.operation.id, "admin", 1.0))
    return await task


class Begun:
    """Takes an operation as an executor's process does."""

    def begin(self, operation):
        self.operation = operation


async def resume(desk):
    """Take up what is under way, and carry it out to its end."""
    under = await underway.read(desk.connection, desk.settings, "ml", "fraud")
    begun = Begun()
    underway.take_up(under, "resume", await desk.connection.whoami(), "", begun)
    folder = Folder(desk.folder / "operations" / begun.operation.id)
    folder.make()
    desk.runner = Runner(begun.operation, desk.connection, desk.settings, desk.journal, folder, hear=desk.steps.append)
    return asyncio.create_task(desk.runner.run())


async def lease(desk):
    return await leases.read(desk.connection, "ml", "fraud")


async def events(desk):
    items = desk.cluster.store.list("events", "ml")[0]
    return [(item["type"], item["reason"], item["message"]) for item in items]


# ---- requests from another machine


async def test_a_word_from_another_machine_is_heard_with_the_next_renewal(ann, bob):
    here, there = ann(LOOKS), bob(LOOKS)
    plan = await here.planner.plan(Kind.SWITCH, "ml", "fraud")
    assert Phase.KEEP in plan.route
    task = asyncio.create_task(here.carry_out(plan, waived=("answers", "smoke")))
    await ask(there, Phase.VERIFY, Verb.KEEP, "looks fine")
    asked = time.monotonic()
    await clusters.until(lambda: here.runner.operation.kept)
    assert time.monotonic() - asked < 20 * INTERVAL
    assert here.runner.operation.words == "bob asked to keep: looks fine"
    here.runner.context.settings = QUICK
    await ask(there, Phase.VERIFY, Verb.ABORT, "after all")
    await task
    assert any(step.words == "bob asked to abort: after all" for step in here.steps)
    assert (await here.selector())["color"] == "blue"


async def test_each_word_counts_once_however_often_the_lease_is_read(ann, bob):
    here = ann(LOOKS)
    task, _ = await begin(here, Phase.VERIFY)
    heard = []
    hand_on, here.runner.context.lock._asked = here.runner.context.lock._asked, heard.append
    await ask(bob(LOOKS), Phase.VERIFY, Verb.ABORT)
    await clusters.until(lambda: heard)
    before = (await lease(here)).renewed_at
    while (await lease(here)).renewed_at < before + 3 * INTERVAL:
        await asyncio.sleep(INTERVAL)
    assert [item.verb for item in heard] == [Verb.ABORT]
    here.runner.context.lock._asked = hand_on
    await end(here, task)


# ---- handed over


async def test_handed_over_after_the_switch_and_taken_up_at_once(ann, bob):
    here, there = ann(LOOKS), bob(replace(LOOKS, defaults=ServiceSettings(verify=Verify(deadline=0.3))))
    task, plan = await begin(here, Phase.VERIFY)
    await ask(there, Phase.VERIFY, Verb.HAND_OVER, "my shift")
    record = await task
    assert (record.outcome, record.message) == (Outcome.OPEN, "handed over by bob: my shift")
    assert (await lease(here)).free
    assert (await here.selector())["color"] == "green", "it stops where it is"
    under = await seen_by(there, Phase.VERIFY, alive=False)
    assert (under.alive, under.seconds_left, under.operation.halted) == (False, 0.0, record.message)
    assert under.verbs == ("resume", "abort", "abandon")
    going_on = await resume(there)
    await clusters.until(lambda: there.runner.context.lock.token)
    held = await lease(there)
    assert (held.token, held.holder.partition("@")[0], held.operation) == (2, "bob", plan.id)
    ended = await going_on
    assert ended.ending is Outcome.UNVERIFIED
    (last,) = await here.records()
    assert (last.user, last.outcome) == ("admin", Outcome.UNVERIFIED)
    assert last.message.endswith("(taken up by bob)")
    told = [message for _, reason, message in await events(here) if reason == "Switch"]
    assert len(told) == 2
    assert any("handed over by bob: my shift" in message for message in told)


async def test_handed_over_before_the_switch_it_is_switched_as_who_took_it_up(ann, bob):
    here, there = ann(FOUR_EYES), bob(FOUR_EYES)
    task, _ = await begin(here, Phase.APPROVAL)
    await ask(there, Phase.APPROVAL, Verb.HAND_OVER)
    await task
    going_on = await resume(there)
    await clusters.until(lambda: there.runner.operation.phase is Phase.APPROVAL)
    await ask(there, Phase.APPROVAL, Verb.APPROVE)
    ended = await going_on
    assert (await here.selector())["color"] == "green", ended.words
    assert (ended.by, ended.carrier, ended.ending) == ("admin", "bob", Outcome.UNVERIFIED)


async def test_handed_over_by_its_own_operator_in_words_and_back_again(ann, bob):
    """Twice, in both directions: every stop has an Event, and the token only grows."""
    here, there = ann(LOOKS), bob(LOOKS)
    task, _ = await begin(here, Phase.VERIFY)
    here.runner.ask(Request(Verb.HAND_OVER, here.runner.operation.id, "admin", 1.0))
    assert (await task).message == "handed over by admin"
    going_on = await resume(there)
    await ask(here, Phase.VERIFY, Verb.HAND_OVER)
    assert (await going_on).halted == "handed over by admin"
    again = ann(replace(LOOKS, defaults=ServiceSettings(verify=Verify(deadline=0.3))))
    ended = await (await resume(again))
    assert (ended.carried_by, ended.tokens) == ("", (1, 2, 3))
    assert not any("no record" in step.words for step in (*here.steps, *there.steps, *again.steps))
    told = [message for _, reason, message in await events(here) if reason == "Switch"]
    assert [": open;" in message for message in told].count(True) == 2
    assert len(told) == 3


async def test_whoever_may_not_go_forward_does_not_resume(ann, bob):
    here = ann(FOUR_EYES)
    task, _ = await begin(here, Phase.APPROVAL)
    await ask(here, Phase.APPROVAL, Verb.HAND_OVER)
    await task
    barred = bob(replace(FOUR_EYES, environments={"prod": Environment(groups=("ml-ops",))}))
    under = await underway.read(barred.connection, barred.settings, "ml", "fraud")
    for how in ("resume", "keep", "approve"):
        with pytest.raises(PlanError, match="bob is in none of them") as refused:
            await underway.assert_may_go_on(barred.connection, barred.settings, under, how)
        assert refused.value.exit_code == 3
    for how in ("abort", "abandon", "handover"):
        await underway.assert_may_go_on(barred.connection, barred.settings, under, how)


async def test_a_word_from_who_may_not_go_forward_is_not_sent(ann, bob):
    here = ann(FOUR_EYES)
    task, _ = await begin(here, Phase.APPROVAL)
    barred = bob(replace(FOUR_EYES, environments={"prod": Environment(approval=True, groups=("ml-ops",))}))
    session = Session(barred.connection, barred.settings)
    under = await seen_by(barred, Phase.APPROVAL)
    with pytest.raises(PlanError, match="bob is in none of them"):
        await session.ask(under, Verb.APPROVE, "")
    assert leases.REQUESTS not in (await lease(here)).annotations
    await session.ask(under, Verb.ABORT, "not yet")
    assert (await task).outcome is Outcome.ABORTED


async def test_only_a_second_person_is_offered_to_approve(ann, bob):
    here = ann(FOUR_EYES)
    task, _ = await begin(here, Phase.APPROVAL)
    assert "approve" in (await seen_by(bob(FOUR_EYES), Phase.APPROVAL)).verbs
    mine = await seen_by(here, Phase.APPROVAL)
    assert "approve" not in mine.verbs
    with pytest.raises(PlanError, match="cannot be the second person") as refused:
        await underway.ask(here.connection, mine, Verb.APPROVE, "admin")
    assert refused.value.exit_code == 3
    here.runner.ask(Request(Verb.ABORT, here.runner.operation.id, "admin", 1.0))
    await task


async def test_i8_taken_up_where_the_cluster_goes_by_another_name(ann, bob, tmp_path):
    """Another context, another address of the server: the very same namespace, by its uid."""
    here = ann(LOOKS)
    task, plan = await begin(here, Phase.VERIFY)
    await ask(bob(LOOKS), Phase.VERIFY, Verb.HAND_OVER)
    await task
    path = tmp_path / "kubeconfig-elsewhere"
    config = here.cluster.server.kubeconfig("t-bob", namespace="ml")
    context, server = plan.target.context, plan.target.server
    path.write_text(config.replace(f" {context}\n", " elsewhere\n").replace("127.0.0.1", "localhost"))
    connection = await Connection.open(kubeconfig=str(path), namespace="ml")
    there = Desk(here.cluster, tmp_path / "there", QUICK, connection)
    assert connection.identity.context == "elsewhere"
    assert connection.identity.server != server
    under = await underway.read(connection, QUICK, "ml", "fraud")
    where = await underway.reached(connection, under.operation)
    begun = Begun()
    underway.take_up(under, "resume", "bob", "", begun, where)
    runner = Runner(begun.operation, connection, QUICK, there.journal, Folder(tmp_path / "x"), hear=there.steps.append)
    ended = await runner.run()
    assert (ended.ending, ended.carrier, ended.plan.hash) == (Outcome.UNVERIFIED, "bob", plan.hash)
    for uid in ("another", ""):
        target = replace(under.operation.plan.target, namespace_uid=uid)
        with pytest.raises(PlanError, match="is not the one that ml/fraud was planned in") as refused:
            await underway.reached(connection, replace(under.operation, plan=replace(plan, target=target)))
        assert refused.value.exit_code == 4
    await connection.close()


# ---- broken glass


async def test_breaking_the_glass_ends_the_other_without_a_write(ann, bob, monkeypatch):
    here, there = ann(FOUR_EYES), bob(replace(FOUR_EYES, environments={}))
    task, first = await begin(here, Phase.APPROVAL, reason="the new model")
    await seen_by(there, Phase.APPROVAL)
    plan = await there.plan()
    (gate,) = (gate for gate in plan.gates if gate.name == "lock")
    assert (gate.verdict, gate.waivable) == (Verdict.FAIL, True)
    assert gate.value.startswith("held by admin@")
    assert any("breaks the glass" in words and "by admin, in phase approval" in words for words in plan.warnings)
    with pytest.raises(PlanError, match="lock FAIL: held by admin@") as refused:
        await there.carry_out(plan, waived=("answers",))
    assert refused.value.exit_code == 4
    with pytest.raises(PlanError, match="a reason is needed"):
        await there.carry_out(plan, waived=("answers", "lock"), reason=" ")

    wrote = written_through(here.connection, monkeypatch)
    record = await there.carry_out(plan, waived=("answers", "lock"), reason="fraud wave, cannot wait")
    ended = await _ended(here, task)
    assert ended.ending is Outcome.OVERTAKEN
    assert {path.split("/namespaces/ml/")[1].split("/")[0] for path in wrote} <= {"leases", "configmaps", "events"}
    assert (await lease(there)).token == 2
    assert (await here.selector())["color"] == "green"
    mine, other = await here.records()
    assert (mine.id, mine.outcome) == (first.id, Outcome.OVERTAKEN)
    for words in (plan.id, "bob", "fraud wave, cannot wait"):
        assert words in mine.message, "whoever of the two wrote it last"
    assert (other.id, other.reason, other.waived) == (plan.id, "fraud wave, cannot wait", ("answers", "lock"))
    assert other.id == record.id
    assert here.lines()[-1]["outcome"] == "overtaken", "and so says the journal of whose it was"


def written_through(connection, monkeypatch):
    """The paths of every write that is sent on a connection from now on."""
    paths, exchange = [], connection.exchange

    async def noted(method, path, *more, **named):
        if method != "GET" and "/namespaces/" in path:
            paths.append(path)
        return await exchange(method, path, *more, **named)

    monkeypatch.setattr(connection, "exchange", noted)
    return paths


async def test_broken_glass_is_loud_and_says_why(ann, bob):
    here, there = ann(FOUR_EYES), bob(replace(FOUR_EYES, environments={}))
    task, _ = await begin(here, Phase.APPROVAL)
    await seen_by(there, Phase.APPROVAL)
    await there.carry_out(await there.plan(), waived=("answers", "lock"), reason="fraud wave")
    ended = await _ended(here, task)
    assert ended.ending is Outcome.OVERTAKEN
    assert ended.why.startswith("the lock is somebody else's: bob@")
    assert "taken by force for a switch: fraud wave" in ended.why
    (glass,) = [item for item in await events(here) if item[1] == "BreakGlass"]
    assert glass[0] == "Warning"
    assert glass[2].startswith("bob took fraud from admin@")
    assert glass[2].endswith("for a switch; reason: fraud wave")
    (mine,) = [item for item in await events(here) if "overtaken" in item[2]]
    assert mine[:2] == ("Warning", "Switch")
    assert "fraud wave" in mine[2]
    assert any(step.words.startswith("WARNING: taken by force from admin@") for step in there.steps)


async def test_who_was_overtaken_after_the_traffic_arrived_did_arrive(desk):
    """Only what came after it, its watch window, is cut short; and by whom is said."""
    plan = await desk.plan()
    watched = replace(begin_of(plan, "ann", 1.0), phase=Phase.WATCH, arrived_at=2.0, tokens=(1,))
    older = replace(record_of(watched), id="older", outcome=Outcome.OPEN, verified_at=0.0, message="")
    past = history.Past((older, record_of(watched)), "1", operation=watched)
    mine = begin_of(replace(plan, id="mine"), "bob", 3.0, reason="fraud wave")
    first, second = taking._overtaken(past, mine)
    words = "overtaken by switch mine of bob: fraud wave"
    assert (first.outcome, first.message) == (Outcome.OVERTAKEN, words)
    assert (second.outcome, second.verified_at) == (Outcome.VERIFIED, 2.0)
    assert second.message.endswith(f"; {words}")


async def _ended(desk, task):
    await asyncio.gather(task, return_exceptions=True)
    return desk.runner.operation


# ---- a second person


async def test_nobody_approves_their_own_whatever_they_write(ann, bob):
    here = ann(FOUR_EYES)
    task, plan = await begin(here, Phase.APPROVAL)
    by_hand = Request(Verb.APPROVE, plan.id, "admin", time.time(), "me")
    await leases.ask(here.connection, "ml", "fraud", msgspec.json.encode(by_hand).decode())
    before = (await lease(here)).renewed_at
    while (await lease(here)).renewed_at < before + 3 * INTERVAL:
        await asyncio.sleep(INTERVAL)
    assert here.runner.operation.phase is Phase.APPROVAL
    assert (await here.selector())["color"] == "blue"
    await ask(bob(FOUR_EYES), Phase.APPROVAL, Verb.APPROVE, "seen")
    record = await task
    assert record.outcome is Outcome.UNVERIFIED, record.message
    assert (await here.selector())["color"] == "green"
    assert any(step.words == "bob asked to approve: seen" for step in here.steps)
    assert plan.id == record.id


async def test_an_approval_of_another_operation_is_none_of_this_one(ann, bob):
    here, there = ann(FOUR_EYES), bob(FOUR_EYES)
    task, _ = await begin(here, Phase.APPROVAL)
    stray = Request(Verb.APPROVE, "another", "bob", time.time())
    await leases.ask(there.connection, "ml", "fraud", msgspec.json.encode(stray).decode())
    before = (await lease(here)).renewed_at
    while (await lease(here)).renewed_at < before + 3 * INTERVAL:
        await asyncio.sleep(INTERVAL)
    assert here.runner.operation.phase is Phase.APPROVAL
    assert (await end(here, task)).outcome is Outcome.ABORTED


async def test_without_an_approval_in_time_nothing_is_changed(ann):
    here = ann(FOUR_EYES)
    task, _ = await begin(here, Phase.APPROVAL)
    here.clock.ahead = 3601.0
    ended = await _ended(here, task)
    assert (ended.ending, ended.why) == (Outcome.FAILED, "nobody approved it within 60 min")
    assert (await here.selector())["color"] == "blue"
    (record,) = await here.records()
    assert (record.outcome, record.message) == (Outcome.FAILED, "nobody approved it within 60 min")
    assert (await lease(here)).free
    assert (await history.read(here.connection, "ml", "fraud")).operation is None


async def test_an_approval_counts_where_the_api_server_saw_who_wrote_it_and_nowhere_else(tmp_path):
    """Whoever begins an operation owns its folder: an approval left there would be their own word."""
    folder = Folder(tmp_path / "one")
    folder.make()
    heard = []
    ear = SimpleNamespace(ask=heard.append, operation=SimpleNamespace(phase_at=0.0))
    for verb in (Verb.APPROVE, Verb.ABORT):
        folder.ask(Request(verb, "one", "bob", 1.0))
    listener = asyncio.create_task(executor._listen(ear, folder))
    await clusters.until(lambda: heard)
    listener.cancel()
    assert [item.verb for item in heard] == [Verb.ABORT]


async def test_who_wrote_an_annotation_is_not_in_the_object(ann, bob):
    """What docs/operations.md says of approvals: the object names a field manager, and no user."""
    here, there = ann(FOUR_EYES), bob(FOUR_EYES)
    task, _ = await begin(here, Phase.APPROVAL)
    forged = Request(Verb.APPROVE, here.runner.operation.id, "carol", time.time())
    await leases.ask(there.connection, "ml", "fraud", msgspec.json.encode(forged).decode())
    stored = here.cluster.store.get("leases", "ml", "mlconsole-fraud")
    assert "bob" not in json.dumps(stored)
    await task


@pytest.mark.parametrize("verb", [Verb.KEEP, Verb.APPROVE])
async def test_what_there_is_nothing_to_ask_for_is_refused_and_says_what_there_is(ann, bob, verb):
    here, there = ann(LOOKS), bob(LOOKS)
    task, _ = await begin(here, Phase.VERIFY)
    under = await seen_by(there, Phase.VERIFY)
    with pytest.raises(PlanError, match="in phase verify") as refused:
        await underway.ask(there.connection, under, verb, "bob")
    assert refused.value.hint == "it can be asked to: abort, hand over"
    await end(here, task)
