"""Two consoles and a kubectl on one service at once, many times over: never two operations, nothing forgotten."""

import asyncio
import contextlib
import itertools
import json
import random

import msgspec
import pytest

from mlconsole.cluster import history, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, NotFound
from mlconsole.config import load
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError
from mlconsole.domain.recording import BACK, record_of
from mlconsole.engine import gateway
from mlconsole.engine import verify as verifying
from mlconsole.engine.audit import Journal
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.performing import taking
from mlconsole.engine.execution.process import agreed
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.fence import OPERATION
from mlconsole.engine.planner import NO_WISH, Planner, Wish
from mlconsole.engine.planning.draft import FENCE

from .conftest import CONFIG, EVERY, NAME, RACED
from .witness import Witness

ROUNDS = 60 if EVERY else 8
FEW = 3
"""Rounds on the real cluster where not all are tried."""
HAND = "test/kubectl"
"""The annotation that a hand leaves with each of its changes."""
KINDS = (Kind.SWITCH, Kind.SWITCH, Kind.ROLLBACK, Kind.ROLLBACK, Kind.SCALE, Kind.RESTART)
NEVER_WAIVED = {"lock", "unfinished"}


class Console:
    """One of several on a service: a connection, a planner and an executor of its own."""

    def __init__(self, place, connection, settings, folder):
        self.place, self.connection, self.settings, self.folder = place, connection, settings, folder
        self.planner = Planner(connection, settings, lambda _: ())
        self.runner = None
        self.steps = []

    async def plan(self, kind):
        namespace = self.place.namespace
        live = (await self.get(f"/api/v1/namespaces/{namespace}/services/{NAME}"))["spec"]["selector"]["color"]
        idle = {"blue": "green", "green": "blue"}[live]
        found = await self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{NAME}-{idle}")
        color = idle if kind in (Kind.SCALE, Kind.RESTART) else ""
        replicas = 2 * self.place.replicas + 1 - found["spec"]["replicas"]
        wish = Wish(replicas=replicas) if kind is Kind.SCALE else NO_WISH
        return await self.planner.plan(kind, namespace, NAME, color, 0, wish)

    async def get(self, path):
        return msgspec.json.decode(await self.connection.get(path))

    def execute(self, plan, *, break_glass=False):
        """Carry a plan out, in this process; raises PlanError where it needs a waiver that nobody gives."""
        waived = tuple(
            gate.name for gate in plan.gates if gate.stops and (break_glass or gate.name not in NEVER_WAIVED)
        )
        begun = agreed(plan, Consent(plan.hash, "a test", plan.service, waived), plan.created_at)
        folder = Folder(self.folder / plan.id)
        folder.make()
        journal = Journal(self.folder / "audit.jsonl")
        self.runner = Runner(begun, self.connection, self.settings, journal, folder, hear=self.steps.append)
        return self.runner.run()

    async def act(self, kind, wait, pause):
        """Plan, think, carry out: the operation and how it ended, or why there is none."""
        self.runner = None
        await asyncio.sleep(wait)
        try:
            plan = await self.plan(kind)
            await asyncio.sleep(pause)
            await self.execute(plan)
        except (PlanError, ClusterError) as error:
            return None, f"refused: {error}"
        return self.runner.operation, str(record_of(self.runner.operation).outcome)


class Arena:
    """A place, two consoles, a hand with kubectl, and who sees every change."""

    def __init__(self, place, consoles, witness):
        self.place, self.consoles, self.witness = place, consoles, witness
        self.path = f"/api/v1/namespaces/{place.namespace}/services/{NAME}"
        self.get = consoles[0].get
        self._hands = itertools.count(1)

    async def live(self):
        return (await self.get(self.path))["spec"]["selector"]["color"]

    async def hand(self, what, pause):
        """Change the Service as `kubectl annotate` or `kubectl patch` does: without a look at what is under way."""
        await asyncio.sleep(pause)
        body = {"metadata": {"annotations": {HAND: str(next(self._hands))}}}
        if what == "selector":
            body["spec"] = {"selector": {"color": {"blue": "green", "green": "blue"}[await self.live()]}}
        params = {"fieldManager": "kubectl-patch"}
        connection = self.consoles[0].connection
        await connection.request("PATCH", self.path, body, "application/merge-patch+json", params)

    async def quiet(self):
        """No pod comes or goes any more."""

        def settled(item):
            status, spec = item.get("status") or {}, item["spec"]
            counts = {status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas")}
            return counts == {spec["replicas"]} and status["observedGeneration"] == item["metadata"]["generation"]

        path = f"/apis/apps/v1/namespaces/{self.place.namespace}/deployments/{NAME}"
        async with asyncio.timeout(60):
            while not all([settled(await self.get(f"{path}-{color}")) for color in ("blue", "green")]):
                await asyncio.sleep(0.05)

    def lost(self):
        return self.place.lost(NAME)


@pytest.fixture
async def arena(place, tmp_path, monkeypatch):
    """Two consoles that know nothing of each other on a service without a history, and who sees what they do."""
    monkeypatch.setattr(verifying, "PAUSE", 0.05)
    # A machine with little time must not make a rollback go on without its lock: that is another test's matter.
    monkeypatch.setattr(taking, "HURRY", 30.0)
    consoles = []
    (tmp_path / "mlconsole.toml").write_text(CONFIG.replace("20s", "5s"))
    options = {"kubeconfig": place.kubeconfig, "namespace": place.namespace, "config": str(tmp_path / "mlconsole.toml")}
    settings = load(options, {}).settings
    for name in ("one", "other"):
        connection = await Connection.open(kubeconfig=place.kubeconfig, namespace=place.namespace)
        consoles.append(Console(place, connection, settings, tmp_path / name))
    with contextlib.suppress(NotFound):
        path = f"/api/v1/namespaces/{place.namespace}/configmaps/mlconsole-history-{NAME}"
        await consoles[0].connection.request("DELETE", path)
    async with Witness(consoles[0].connection, place.namespace, NAME) as witness:
        yield Arena(place, consoles, witness)
    for console in consoles:
        await console.connection.close()


async def test_two_consoles_and_a_kubectl_on_one_service(arena, tried):
    lost = arena.lost()
    for number in range(ROUNDS if EVERY or not arena.place.real else FEW):
        drawn = random.Random(number)
        await arena.quiet()
        since = arena.witness.mark()
        kinds = [drawn.choice(KINDS) for _ in arena.consoles]
        hand = drawn.choice(("annotation", "annotation", "selector"))
        acts = [
            console.act(kind, drawn.choice((0.0, 0.0, 0.4)), drawn.uniform(0.0, 0.3))
            for console, kind in zip(arena.consoles, kinds, strict=True)
        ]
        *done, _ = await asyncio.gather(*acts, arena.hand(hand, drawn.uniform(0, 1.0)))
        seen = await arena.witness.since(since)
        assert any(kind == "services" for _, kind, *_ in seen), "the hand's change at least"
        one_at_a_time(seen)
        nothing_forgotten(seen)
        await on_record(arena, [operation for operation, _ in done if operation is not None])
        came = " + ".join(sorted(words.split(":")[0] for _, words in done))
        tried(RACED, "real" if arena.place.real else "embedded", " + ".join(sorted(kinds)), hand, came)
    assert arena.lost() == lost, "no request was lost"


def one_at_a_time(seen):
    """Whoever changes the Service has, or had last, the lock of the highest token that ever wrote there; it is whole.

    A write that was under way when somebody took the lock may still arrive, until the new holder's first one has.
    """
    holders, highest, written = {}, 0, 0
    for _, kind, item, before in seen:
        if kind == "leases":
            spec, old = item["spec"], (before or {"spec": {}})["spec"]
            holder, token = spec.get("holderIdentity", ""), spec["leaseTransitions"]
            assert token >= max(highest, old.get("leaseTransitions", 0))
            if holder and old.get("holderIdentity") and holder != old["holderIdentity"]:
                assert token == old["leaseTransitions"] + 1, "who takes a lock from another has a higher token"
            highest = token
            holders[token] = holder or holders.get(token, "")
        if kind != "services":
            continue
        selector, marks, old = item["spec"]["selector"], marks_of(item), marks_of(before)
        assert set(selector) == {"app", "color"}
        assert selector["color"] in ("blue", "green")
        if marks.get(HAND) != old.get(HAND):
            assert {**marks, HAND: ""} == {**old, HAND: ""}, "a hand writes nothing of ours"
            continue
        token = int(marks[FENCE])
        assert max(written, int(old.get(FENCE, "0"))) <= token <= highest, "written under the highest token"
        written = token
        if OPERATION in marks:
            said = json.loads(marks[OPERATION])["id"].removesuffix(BACK)
            assert holders.get(token, f"/{said}").endswith(f"/{said}"), "written by who had the lock under that token"


def marks_of(item):
    return item["metadata"].get("annotations") or {}


def nothing_forgotten(seen):
    """No write of the history loses a record, opens one that was ended, or goes back to an earlier holder."""
    for _, kind, item, before in seen:
        if kind != "configmaps" or before is None:
            continue
        old, new = records_of(before), records_of(item)
        assert len(new) == 50 or not set(old) - set(new), "a record is lost"
        assert not [key for key, value in new.items() if value == "open" and old.get(key, "open") != "open"]
        was, now = (json.loads(one["data"].get("operation", "{}")) for one in (before, item))
        if was and now:
            assert now.get("tokens", [0])[-1] >= was.get("tokens", [0])[-1], "an earlier holder wrote over a later one"


def records_of(item):
    lines = map(json.loads, item["data"].get("records", "").splitlines())
    return {line["id"]: line.get("outcome", "open") for line in lines}


async def on_record(arena, operations):
    """Every operation that was begun is on record, with how it ended; nothing is under way any more."""
    past = await history.read(arena.consoles[0].connection, arena.place.namespace, NAME)
    assert past.operation is None, past.operation
    known = {record.id: record for record in past.records}
    assert all(record.outcome is not Outcome.OPEN for record in past.records)
    for operation in operations:
        assert operation.ended, operation
        if operation.id in known:
            own, there = record_of(operation).outcome, known[operation.id].outcome
            assert there is own or {there, own} <= {Outcome.OVERTAKEN, Outcome.FAILED, Outcome.VERIFIED}
        else:
            assert operation.ending in (Outcome.FAILED, Outcome.OVERTAKEN), "refused before it was on record"
    assert OPERATION not in marks_of(await arena.get(arena.path))
    path = f"/apis/coordination.k8s.io/v1/namespaces/{arena.place.namespace}/leases/mlconsole-{NAME}"
    assert not (await arena.get(path))["spec"].get("holderIdentity")


async def test_a_rollback_takes_the_service_from_what_goes_forward(arena):
    one, other = arena.consoles
    home = await arena.live()
    plan = await one.plan(Kind.SWITCH)
    one.settings = load_with(one.settings, watch_window=60.0)
    going = asyncio.create_task(one.execute(plan))
    async with asyncio.timeout(120):
        while not (one.runner and one.runner.operation.phase is Phase.WATCH):
            await asyncio.sleep(0.02)
    since = arena.witness.mark()
    back = await other.plan(Kind.ROLLBACK)
    assert back.preempts
    ended = await other.execute(back)
    assert record_of(ended).outcome is Outcome.VERIFIED
    assert await arena.live() == home
    async with asyncio.timeout(120):
        overtaken = await going
    assert overtaken.ending is Outcome.OVERTAKEN
    one_at_a_time(await arena.witness.since(since))
    await on_record(arena, [ended, overtaken])


def load_with(settings, **more):
    return msgspec.structs.replace(settings, defaults=msgspec.structs.replace(settings.defaults, **more))


async def test_a_write_that_is_late_fails_at_the_server_although_nothing_else_that_it_tests_has_changed(
    arena, monkeypatch
):
    one, other = arena.consoles
    home, plan = await arena.live(), await one.plan(Kind.SWITCH)
    send, late, go = writes.send, asyncio.Event(), asyncio.Event()
    answers = []

    async def held_up(connection, write, **more):
        if write.phase is not Phase.SWITCH or connection is not one.connection or late.is_set():
            return await send(connection, write, **more)
        if not any(step["path"].startswith("/spec/selector") for step in write.patch):
            return await send(connection, write, **more)
        late.set()
        await go.wait()
        try:
            answers.append(await send(connection, write, **more))
        except ClusterError as error:
            answers.append(error)
            raise
        return answers[-1]

    monkeypatch.setattr(gateway.writes, "send", held_up)
    monkeypatch.setattr(gateway, "WRITE_SECONDS", 60.0)
    going = asyncio.create_task(one.execute(plan))
    async with asyncio.timeout(120):
        await late.wait()
    since = arena.witness.mark()
    taken = await other.execute(await other.plan(Kind.SCALE), break_glass=True)
    assert taken.ending is Outcome.VERIFIED
    go.set()
    async with asyncio.timeout(120):
        refused = await going
    assert isinstance(answers[0], ClusterError)
    assert len(answers) == 1
    assert refused.ending in (Outcome.FAILED, Outcome.OVERTAKEN)
    assert await arena.live() == home
    one_at_a_time(await arena.witness.since(since))
    await on_record(arena, [taken, refused])
