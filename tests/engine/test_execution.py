"""An operation and its executor: under one lock, on its own, resumable; on real sockets and with real processes."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster import leases
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.discovery import COLOR_KEY
from mlconsole.config import Cluster as Place
from mlconsole.config import ServiceSettings, Settings, Verify
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.domain.history import Kind, Outcome, config_map_name
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError
from mlconsole.domain.resuming import Standing
from mlconsole.engine import underway
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution import folder as folders
from mlconsole.engine.execution import lock
from mlconsole.engine.execution import process as starting
from mlconsole.engine.execution.folder import Entry, Folder
from mlconsole.engine.execution.process import Executor, agreed, follow
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.fence import OPERATION
from mlconsole.engine.planning.draft import FENCE

from .conftest import SHORT, Desk, change, clusters, listening

LOOKS = Settings(defaults=ServiceSettings(verify=Verify(deadline=60.0)))
"""It looks for the traffic for as long as a test takes: no model server answers here."""
AFTER = (Phase.WATCH, Phase.KEEP, Phase.DRAIN)
"""What comes when the traffic has arrived, or has not."""
LEASE = "mlconsole-fraud"
BOB = "bob@elsewhere/another"


def patched(method, path):
    return method == "PATCH" and path.endswith("/services/fraud")


def annotations(desk):
    return desk.cluster.store.get("services", "ml", "fraud")["metadata"].get("annotations") or {}


def config_map(desk):
    found = desk.cluster.store.find("configmaps", "ml", config_map_name("fraud"))
    return (found or {}).get("data") or {}


async def held_by(desk, holder):
    """Somebody takes the lock."""
    return await leases.acquire(desk.connection, "ml", "fraud", holder, 15.0, {}, None)


async def lease(desk):
    return await leases.read(desk.connection, "ml", "fraud")


def operation_of(desk, plan):
    """What a person began."""
    words = Consent(plan.hash, reason="a test", waived=("answers",))
    return agreed(plan, words, desk.clock())


def process(code, *arguments, **more):
    return subprocess.Popen([sys.executable, "-c", code, *arguments], **more)


async def run(desk, operation, **more):
    """Carry an operation out in this process; what it is then."""
    folder = Folder(desk.folder / "operations" / operation.id)
    folder.make()
    runner = Runner(operation, desk.connection, desk.settings, desk.journal, folder, hear=desk.steps.append, **more)
    return await runner.run()


# ---- the lock


async def test_i7_what_somebody_alive_holds_is_not_taken(desk):
    plan = await desk.plan()
    await held_by(desk, BOB)
    with listening(desk) as heard, pytest.raises(PlanError, match=f"held by {BOB}") as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 4
    assert not [path for method, path in heard if method in ("PATCH", "PUT") or path.endswith("/configmaps")]
    assert (await desk.records(), config_map(desk)) == ([], {})
    assert (await lease(desk)).holder == BOB


async def test_i7_a_plan_made_while_it_is_held_says_by_whom(desk):
    await held_by(desk, BOB)
    plan = await desk.plan()
    assert plan.holder == BOB
    (gate,) = (gate for gate in plan.gates if gate.name == "lock")
    assert "last sign of life 0 s ago, free in 15 s without another" in gate.evidence
    with pytest.raises(PlanError, match=f"lock FAIL: held by {BOB}") as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 4


async def test_i7_a_lock_that_ran_out_is_taken_under_the_next_token(desk):
    await held_by(desk, BOB)
    change(desk, "leases", LEASE, {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
    await desk.carry_out(await desk.plan())
    assert (await desk.selector())["color"] == "green"
    held = await lease(desk)
    assert (held.free, held.token, annotations(desk)[FENCE]) == (True, 2, "2")


async def test_i7_the_lock_of_an_executor_that_died_here_is_taken_at_once(desk, tmp_path, monkeypatch):
    """Nobody waits for what surely does not come back; while it lives it is left its lock."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    plan = await desk.plan()
    folder = Folder(folders.root(os.environ) / "another")
    folder.make()
    folder.keep(replace(operation_of(desk, plan), plan=replace(plan, id="another")))
    await held_by(desk, f"ann@{socket.gethostname()}/another")
    other = process("input()", stdin=subprocess.PIPE)
    try:
        folder.own(other.pid)
        refused = await run(desk, operation_of(desk, plan), mine=folders.died)
        assert (refused.ending, refused.token) == (Outcome.FAILED, 0)
        assert (await desk.plan()).holder, "and so says a plan"
    finally:
        other.communicate(b"\n")
    assert (await desk.plan()).holder == ""
    ended = await run(desk, operation_of(desk, plan), mine=folders.died)
    assert (ended.ending, ended.token) == (Outcome.UNVERIFIED, 2)


async def test_i7_the_late_write_of_a_stale_holder_fails_at_the_server(desk, last_moment):
    """Everything else that it tests is as it saw it: only the token of a later holder is there by now."""
    plan, sent = await desk.plan(), []

    async def later(write):
        sent.append(write)
        change(desk, "services", "fraud", {"metadata": {"annotations": {FENCE: "2"}}})

    last_moment(plan, later)
    with listening(desk) as heard, pytest.raises(PlanError, match="somebody else operated on ml/fraud") as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 4
    assert (len(sent), sum(patched(*request) for request in heard)) == (1, 1), "it was the server that refused it"
    assert (await desk.selector())["color"] == "blue"
    assert (await desk.records())[0].outcome is Outcome.FAILED


async def test_i7_what_was_lost_meanwhile_is_not_even_sent(desk):
    """The lock is renewed where it could run out under the write; by then it is somebody else's."""
    plan = await desk.plan()

    def lose():
        change(desk, "leases", LEASE, {"spec": {"holderIdentity": BOB, "leaseTransitions": 9}})
        desk.runner.context.lock._sure_until = time.monotonic() + lock.MARGIN - 0.1

    with listening(desk) as heard, pytest.raises(PlanError, match="the lock of ml/fraud is lost") as refused:
        await desk.carry_out(plan, at="record", then=lose)
    assert (refused.value.exit_code, desk.runner.operation.ending) == (4, Outcome.OVERTAKEN)
    assert not any(patched(*request) for request in heard)
    assert (await lease(desk)).holder == BOB, "and is not given up in their stead"


# ---- a rollback


@pytest.fixture
async def bob(desk, tmp_path):
    """Another user's desk on the same service."""
    path = tmp_path / "kubeconfig-bob"
    path.write_text(desk.cluster.server.kubeconfig("t-bob", namespace="ml"))
    connection = await Connection.open(kubeconfig=str(path), namespace="ml")
    yield Desk(desk.cluster, tmp_path / "bob", connection=connection)
    await connection.close()


async def autoscaler(desk, color):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"fraud-{color}"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5}
    body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": color}}
    await desk.cluster.post("/apis/autoscaling/v2/namespaces/ml/horizontalpodautoscalers", {**body, "spec": spec})


def minimum(desk, color):
    return desk.cluster.store.get("horizontalpodautoscalers", "ml", color)["spec"]["minReplicas"]


async def test_i12_a_rollback_takes_the_service_from_what_goes_forward(desk, bob, tmp_path, monkeypatch):
    """What goes forward ends without another write; what it had pinned is put back by the rollback (I5)."""
    monkeypatch.setattr(lock, "RENEW", 0.1)
    await autoscaler(desk, "blue")
    forward = Desk(desk.cluster, tmp_path / "forward", LOOKS)
    plan = await forward.plan()
    going = asyncio.create_task(forward.carry_out(plan))
    await clusters.until(lambda: going.done() or (forward.runner and forward.runner.operation.phase is Phase.VERIFY))
    assert minimum(desk, "blue") == 2
    back = await bob.plan(Kind.ROLLBACK)
    assert "switch to green v13 by admin, in phase" in back.preempts
    wrote = []
    exchange = forward.connection.exchange

    async def noted(method, path, *more, **named):
        if method != "GET":
            wrote.append((method, path))
        return await exchange(method, path, *more, **named)

    monkeypatch.setattr(forward.connection, "exchange", noted)
    record = await bob.carry_out(back)
    assert record.outcome is Outcome.UNVERIFIED
    ended = await asyncio.wait_for(going, clusters.DEADLINE)
    assert (ended.id, ended.outcome) == (plan.id, Outcome.OVERTAKEN)
    assert [item for item in wrote if patched(*item) or "autoscalers" in item[1]] == []
    assert (await desk.selector())["color"] == "blue"
    assert minimum(desk, "blue") == 1
    assert {item.id: item.outcome for item in await desk.records()} == {
        plan.id: Outcome.OVERTAKEN,
        back.id: Outcome.UNVERIFIED,
    }
    assert OPERATION not in annotations(desk)
    assert "operation" not in config_map(desk)


async def test_i12_a_rollback_without_rights_on_leases_goes_on_and_says_so(good):
    good.cluster.faults.add(Failure(lambda method, path: "/leases" in path, status=403, times=999))
    plan = await good.plan(Kind.ROLLBACK)
    assert any("the lock could not be read" in words for words in plan.warnings)
    record = await good.carry_out(plan, waived=(), reason="")
    assert record.outcome is Outcome.UNVERIFIED
    assert (await good.selector())["color"] == "blue"
    said = [step.words for step in good.steps if step.step == "lock"]
    assert any(words.startswith("WARNING: no lock") for words in said)
    assert FENCE not in annotations(good), "a token that it does not have is not set"


async def test_i7_what_goes_forward_without_rights_on_leases_is_refused(desk):
    plan = await desk.plan()
    desk.cluster.faults.add(Failure(lambda method, path: "/leases" in path, status=403, times=999))
    with pytest.raises(Exception, match="leases"):
        await desk.carry_out(plan)
    assert (await desk.selector())["color"] == "blue"


# ---- what others see


async def test_everybody_sees_what_goes_on_and_nothing_of_it_is_left(desk):
    name, rest = config_map_name("fraud"), {"templates": "kept", "notes": "as they are"}
    body = {"metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "mlconsole"}}, "data": rest}
    await desk.cluster.post(f"{desk.cluster.core}/configmaps", body)
    change(desk, "services", "fraud", {"metadata": {"annotations": {"team": "risk"}}})
    seen = []

    def look():
        held = desk.cluster.store.get("leases", "ml", LEASE)["spec"]
        seen.append((config_map(desk), annotations(desk), held["holderIdentity"], held["leaseTransitions"]))

    plan = await desk.plan()
    await desk.carry_out(plan, at="verify", then=look)
    data, marks, holder, token = seen[0]
    under = json.loads(data["operation"])
    assert (under["plan"]["id"], under["by"]) == (plan.id, "admin")
    assert data | rest == data
    said = json.loads(marks[OPERATION])
    assert said == {"id": plan.id, "kind": "switch", "to": "green v13", "by": "admin"}
    assert (marks[FENCE], holder, token) == (str(token), f"admin@{socket.gethostname()}/{plan.id}", 1)
    left = config_map(desk)
    assert {key: left[key] for key in rest} == rest
    assert "operation" not in left
    assert annotations(desk) == {"team": "risk", FENCE: "1", COLOR_KEY: "color"}
    assert (await lease(desk)).free


@pytest.mark.parametrize(("kind", "color"), [(Kind.ROLLBACK, ""), (Kind.SWITCH, "blue")])
async def test_three_round_trips_from_the_consent_to_the_answer_to_the_change(good, monkeypatch, kind, color):
    """A switch has its smoke test on the way too, for which there are no payloads here."""
    planned = await good.planner.plan(kind, "ml", "fraud", color)
    plan = replace(planned, route=tuple(phase for phase in planned.route if phase not in AFTER))
    assert (Phase.SMOKE in plan.route) == (kind is Kind.SWITCH)
    requests, exchange = [], good.connection.exchange

    async def noted(method, path, *more, **named):
        began = time.perf_counter()
        try:
            return await exchange(method, path, *more, **named)
        finally:
            requests.append((began, time.perf_counter(), method, path))

    monkeypatch.setattr(good.connection, "exchange", noted)
    # Slow enough that what waits for another is seen to.
    good.cluster.faults.add(Failure(lambda method, path: True, delay=0.05, times=999))
    await good.carry_out(plan)
    assert rounds(requests) == 3


def rounds(requests):
    """Round trips one after the other up to the answer to the change: what begins before the last ends is parallel."""
    found = sorted(requests)
    change = next(item for item in found if patched(*item[2:]))
    count, end = 0, float("-inf")
    for began, ended, *_ in (item for item in found if item[0] <= change[0]):
        count += began >= end
        end = max(end, ended)
    return count


# ---- processes

CONSOLE = """
import signal, sys
from pathlib import Path
import msgspec
from mlconsole.config import Settings
from mlconsole.domain.operation import Operation
from mlconsole.engine.execution.process import Executor
settings, operation = (Path(name).read_bytes() for name in sys.argv[1:])
executor = Executor(msgspec.json.decode(settings, type=Settings))
executor.begin(msgspec.json.decode(operation, type=Operation))
print("begun", flush=True)
signal.pause()
"""
"""Begins an operation and shows it for as long as it lives."""


@pytest.fixture
async def at_home(desk, tmp_path, monkeypatch):
    """`desk`, with the folders of operations here; every executor that a test leaves alive is killed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    yield desk
    for path in (tmp_path / "state").glob("mlconsole/operations/*"):
        if Folder(path).alive:
            os.kill(pid_of(Folder(path)), signal.SIGKILL)


def settings_at(desk, settings):
    return replace(settings, cluster=Place(kubeconfig=desk.cluster.kubeconfig, namespace="ml"))


def pid_of(folder):
    return int((folder.path / "pid").read_text().split()[0])


async def reached(folder, step):
    """Until an executor says `step`."""
    await clusters.until(lambda: step in {entry.step for entry in folder.entries()[0]})


async def over(folder):
    """The last word of an executor."""
    return await clusters.until(lambda: next((entry for entry in folder.entries()[0] if entry.ended), None))


async def under_way(desk):
    return await underway.read(desk.connection, desk.settings, "ml", "fraud")


async def started(desk, settings):
    """Begin a switch in a process of its own; (its folder, its plan, the process)."""
    plan = await desk.plan()
    executor = Executor(settings_at(desk, settings))
    return executor.begin(operation_of(desk, plan)), plan, executor


async def ended(executor):
    await asyncio.wait_for(asyncio.to_thread(executor._process.wait), clusters.DEADLINE)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=["hangup", "kill"])
async def test_an_operation_survives_its_console(at_home, tmp_path, number):
    plan = await at_home.plan()
    files = tmp_path / "settings", tmp_path / "operation"
    files[0].write_bytes(msgspec.json.encode(settings_at(at_home, SHORT)))
    files[1].write_bytes(msgspec.json.encode(operation_of(at_home, plan)))
    with listening(at_home) as heard:
        console = process(CONSOLE, *map(str, files), stdout=subprocess.PIPE, start_new_session=True)
        await asyncio.to_thread(console.stdout.readline)
        os.killpg(console.pid, number)
        assert console.wait() == -number
        console.stdout.close()
        assert not any(patched(*request) for request in heard), "the change came after its end"
    folder = underway.folder_of(plan.id)
    await reached(folder, "lock")
    for ignored in (signal.SIGHUP, signal.SIGINT):
        os.kill(pid_of(folder), ignored)
    last = await over(folder)
    assert last.outcome is Outcome.UNVERIFIED
    assert (await at_home.selector())["color"] == "green"
    assert [(item.id, item.outcome) for item in await at_home.records()] == [(plan.id, Outcome.UNVERIFIED)]
    assert await under_way(at_home) is None


async def test_i18_an_executor_that_is_told_to_end_leaves_it_open_and_on_record(at_home):
    folder, plan, executor = await started(at_home, LOOKS)
    await reached(folder, "verify")
    assert (await under_way(at_home)).alive
    os.kill(pid_of(folder), signal.SIGTERM)
    last = await over(folder)
    await ended(executor)
    assert (last.words, last.outcome) == ("its executor was told to end", Outcome.OPEN)
    assert "mlconsole resume ml/fraud" in last.hint
    (record,) = await at_home.records()
    assert (record.id, record.outcome, record.message) == (plan.id, Outcome.OPEN, last.words)
    found = await under_way(at_home)
    assert (found.alive, found.here, found.standing) == (False, False, Standing.UNVERIFIED)
    assert (await lease(at_home)).free, "nobody waits for a lock that nobody needs"
    again = Executor(settings_at(at_home, SHORT))
    underway.take_up(found, "resume", "admin", "", again)
    await ended(again)
    assert [item.outcome for item in await at_home.records()] == [Outcome.UNVERIFIED]
    assert await under_way(at_home) is None


async def test_i18_what_was_killed_is_taken_up_at_once_on_its_machine(at_home):
    folder, plan, executor = await started(at_home, LOOKS)
    await reached(folder, "verify")
    os.kill(pid_of(folder), signal.SIGKILL)
    await ended(executor)
    held = await lease(at_home)
    assert held.operation == plan.id, "its lock is still there"
    found = await under_way(at_home)
    assert (found.alive, found.standing) == (False, Standing.UNVERIFIED)
    again = Executor(settings_at(at_home, SHORT))
    underway.take_up(found, "resume", "admin", "", again)
    words = [entry.words async for entry in follow(folder, again)]
    assert "lock taken, token 2" in words
    taken = await lease(at_home)
    assert (taken.free, taken.token) == (True, 2)
    assert [item.outcome for item in await at_home.records()] == [Outcome.UNVERIFIED]


async def test_a_console_that_comes_later_is_told_from_the_beginning(at_home):
    folder, _, executor = await started(at_home, SHORT)
    await ended(executor)
    entries = [entry async for entry in follow(folder)]
    assert [entries[0].step, entries[-1].ended, entries[-1].outcome] == ["check", True, Outcome.UNVERIFIED]
    assert {"lock", "record", "write", "verify", "done"} <= {entry.step for entry in entries}


@pytest.mark.parametrize("memory", [True, False], ids=["in memory", "nowhere"])
async def test_i12_a_rollback_begins_where_nothing_can_be_written(at_home, good, tmp_path, monkeypatch, memory):
    """What goes forward does not; a full disk is as good as a file in the folder's place."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "mlconsole").write_text("in the way")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    if not memory:
        monkeypatch.setattr(starting, "_memory", lambda: str(tmp_path / "nowhere"))
    forward = Executor(settings_at(good, SHORT))
    with pytest.raises(OSError, match="mlconsole"):
        forward.begin(operation_of(good, await good.plan(to_color="blue")))
    forward.dismiss()
    back = Executor(settings_at(good, SHORT))
    plan = await good.plan(Kind.ROLLBACK)
    folder = back.begin(agreed(plan, Consent(plan.hash), good.clock()))
    said = [entry.words async for entry in follow(folder, back)]
    await ended(back)
    assert (await good.selector())["color"] == "blue"
    assert [item.outcome for item in await good.records() if item.id == plan.id] == [Outcome.UNVERIFIED]
    if memory:
        assert said[0].startswith(f"WARNING: {tmp_path}/state/mlconsole/operations/{plan.id}: ")
        assert any("audit.jsonl" in words and "going on, this is a rollback" in words for words in said)


async def test_an_executor_that_gets_no_operation_ends(at_home):
    executor = Executor(settings_at(at_home, SHORT))
    executor.dismiss()
    await ended(executor)
    assert executor.gone


# ---- the folder


def dead_pid():
    ended = process("")
    ended.wait()
    return ended.pid


def test_an_executor_that_died_before_its_first_word_is_not_alive(tmp_path):
    folder = Folder(tmp_path / "one")
    folder.make()
    folder.own(dead_pid())
    assert not folder.alive
    folder.own(os.getpid())
    assert folder.alive


def test_a_later_process_of_the_same_number_is_another_one(tmp_path):
    folder = Folder(tmp_path / "one")
    folder.make()
    (folder.path / "pid").write_text(f"{os.getpid()} 1")
    assert not folder.alive


def test_a_line_that_is_not_whole_yet_is_left_for_later(tmp_path):
    folder = Folder(tmp_path / "one")
    folder.make()
    folder.say(Entry(1.0, "lock", "taken"))
    with (folder.path / "journal.jsonl").open("ab") as file:
        file.write(b'{"at":2.0,"step":"wri')
    entries, offset = folder.entries()
    assert [entry.step for entry in entries] == ["lock"]
    with (folder.path / "journal.jsonl").open("ab") as file:
        file.write(b'te","words":"sent"}\nnot json\n')
    folder.say(Entry(3.0, "done", "well", ended=True))
    entries, _ = folder.entries(offset)
    assert [entry.step for entry in entries] == ["write", "done"]


async def test_old_folders_of_what_has_ended_are_swept_and_no_other(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "KEPT", 1)
    operation = operation_of(desk, await desk.plan())
    done = replace(operation, phase=Phase.DONE, ending=Outcome.VERIFIED)
    for number, (name, kept) in enumerate({"ended": done, "open": operation, "last": done}.items()):
        folder = Folder(tmp_path / "operations" / name)
        folder.make()
        folder.keep(kept)
        os.utime(folder.path, (number, number))
    Folder(tmp_path / "operations" / "new").make()
    assert sorted(path.name for path in (tmp_path / "operations").iterdir()) == ["new", "open"]
