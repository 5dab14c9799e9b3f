"""Who else is here: marks that consoles leave for each other, and take away."""

import asyncio
import contextlib
import socket
import time

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster import history, leases, objects
from mlconsole.cluster import presence as marks
from mlconsole.cluster.connection import Connection
from mlconsole.config import Environment, Ui
from mlconsole.demo.apiserver.auth import Rule, User
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.demo.apiserver.server import serve
from mlconsole.domain.history import Kind
from mlconsole.domain.operation import begin
from mlconsole.domain.phases import Phase
from mlconsole.engine import presence, protocol
from mlconsole.engine.overview import Overview
from mlconsole.engine.presence import Presence

from .conftest import QUICK, clusters
from .test_engine import settings_of, start

mirror, start = clusters.mirror, start
"""Fixtures: caches, and engines, that end with the test."""
HERE = socket.gethostname()
ON = replace(QUICK, ui=Ui(presence=True))


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Marks are renewed in a fraction of the time."""
    monkeypatch.setattr(presence, "RENEW", 0.1)
    monkeypatch.setattr(presence, "CALM", 0.02)


@pytest.fixture
async def console(desk, mirror, tmp_path):
    """`await console("t-bob", settings)`: a console of a user in ml, as far as presence goes; ended with the test."""
    running, connections = [], []

    class Console:
        def __init__(self, connection, settings, number):
            self.connection, self.presence = connection, Presence(settings)
            self.presence._mark = replace(self.presence._mark, host=f"bastion{number}")
            self.cache = mirror(desk.cluster, connection=connection)
            self.task = asyncio.create_task(self._run())
            running.append(self.task)

        async def _run(self):
            user = await self.connection.whoami()
            await self.presence.run(self.connection, user, self.cache.inventory)

        @property
        def others(self):
            return self.presence.others(self.cache.inventory).lines

        async def end(self):
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task

    async def one(token="t-admin", settings=ON, server=desk.cluster.server, namespace="ml"):
        path = tmp_path / f"kubeconfig-{len(connections)}"
        path.write_text(server.kubeconfig(token, namespace="ml"))
        connection = await Connection.open(kubeconfig=str(path), namespace=namespace)
        connections.append(connection)
        return Console(connection, settings, len(connections))

    yield one
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        assert result is None or isinstance(result, asyncio.CancelledError), result
    for connection in connections:
        await connection.close()


def stored(desk):
    return [item for item in desk.cluster.store.list("leases", "ml")[0] if "console-" in item["metadata"]["name"]]


# ---- seen by the others


async def test_each_sees_the_other_and_not_itself(desk, console):
    ann, bob = await console("t-admin"), await console("t-bob")
    ann.presence.say("ml/fraud", None)
    (seen,) = await clusters.until(lambda: [item for item in bob.others if item.service])
    assert (seen.user, seen.host, seen.service, seen.plans) == ("admin", "bastion1", "ml/fraud", "")
    assert abs(seen.since - time.time()) < 60
    (other,) = await clusters.until(lambda: ann.others)
    assert (other.user, other.host, other.service) == ("bob", "bastion2", "")


async def test_what_is_planned_is_said_as_long_as_the_plan_is_shown(desk, console):
    ann, bob = await console("t-admin"), await console("t-bob")
    plan = await desk.planner.plan(Kind.SWITCH, "ml", "fraud")
    ann.presence.say("ml/other", plan)
    (seen,) = await clusters.until(lambda: [item for item in bob.others if item.plans])
    assert (seen.service, seen.plans) == ("ml/fraud", "switch to green v13"), "of the service that is planned for"
    ann.presence.say("ml/other", None)
    await clusters.until(lambda: [item for item in bob.others if not item.plans and item.service == "ml/other"])


async def test_the_mark_is_small_labelled_and_renewed(desk, console):
    await console("t-bob")
    (found,) = await clusters.until(lambda: stored(desk))
    meta = found["metadata"]
    assert meta["labels"] == {"app.kubernetes.io/managed-by": "mlconsole", "mlconsole.io/presence": "true"}
    assert set(meta["annotations"]) == {"mlconsole.io/user", "mlconsole.io/host", "mlconsole.io/since"}
    assert len(msgspec.json.encode(found)) < 1500
    first = found["spec"]["renewTime"]
    await clusters.until(lambda: stored(desk)[0]["spec"]["renewTime"] != first)
    assert len(stored(desk)) == 1
    assert stored(desk)[0]["metadata"]["uid"] == meta["uid"]


async def test_it_is_gone_with_its_console(desk, console):
    ann, bob = await console("t-admin"), await console("t-bob")
    await clusters.until(lambda: bob.others)
    await ann.end()
    await clusters.until(lambda: not bob.others)
    assert [item["metadata"]["annotations"]["mlconsole.io/user"] for item in stored(desk)] == ["bob"]


async def test_two_consoles_of_one_person_are_two(desk):
    names = {marks.name_of("ann", "b1", 1), marks.name_of("ann", "b1", 2), marks.name_of("ann", "b2", 1)}
    assert len(names) == 3
    assert marks.name_of("ann", "b1", 1) == marks.name_of("ann", "b1", 1)


async def test_what_a_mark_says_is_only_text(desk, console):
    bob = await console("t-bob")
    wicked = marks.Mark("\x1b[31meve", "h\u202eost", "ml/fraud", "x" * 500, 1.0)
    await marks.put(desk.connection, "ml", "mlconsole-console-wicked", wicked, None)
    (seen,) = await clusters.until(lambda: bob.others)
    assert (seen.user, seen.host) == ("␛[31meve", "h<U+202E>ost")
    assert len(seen.plans) == 80
    await desk.cluster.merge(
        "/apis/coordination.k8s.io/v1/namespaces/ml/leases/mlconsole-console-wicked",
        {"metadata": {"annotations": {"mlconsole.io/since": "²", "mlconsole.io/user": None}}},
    )
    await clusters.until(lambda: [(item.user, item.since) for item in bob.others] == [("somebody", 0.0)])


# ---- gone without a word


async def test_a_console_that_died_is_not_here_any_more(desk, console, monkeypatch):
    monkeypatch.setattr(marks, "DURATION", 1.0)
    bob = await console("t-bob")
    await marks.put(desk.connection, "ml", "mlconsole-console-dead", marks.Mark("ann", "b9"), None)
    await clusters.until(lambda: bob.others)
    await clusters.until(lambda: not bob.others)
    assert any(item["metadata"]["name"].endswith("dead") for item in stored(desk)), "an hour has not passed"


async def test_the_marks_of_the_dead_are_swept_after_an_hour(desk, console, monkeypatch):
    await marks.put(desk.connection, "ml", "mlconsole-console-dead", marks.Mark("ann", "b9"), None)
    held = await leases.acquire(desk.connection, "ml", "console-lock", "ann@b9/op", 1.0, {}, None)
    old = {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 1}}
    for name in ("mlconsole-console-dead", "mlconsole-console-lock"):
        await desk.cluster.merge(f"/apis/coordination.k8s.io/v1/namespaces/ml/leases/{name}", old)
    await console("t-bob")
    await clusters.until(lambda: not any(item["metadata"]["name"].endswith("dead") for item in stored(desk)))
    assert (await leases.read(desk.connection, "ml", "console-lock")).token == held.token, "no lock is ever swept"


async def test_a_console_whose_clock_is_slow_is_not_swept_while_it_is_there(desk, console):
    """Its renewals look old: that they are not followed by others for their time is what counts."""
    await marks.put(desk.connection, "ml", "mlconsole-console-slow", marks.Mark("ann", "b9"), None)
    path = "/apis/coordination.k8s.io/v1/namespaces/ml/leases/mlconsole-console-slow"
    await desk.cluster.merge(path, {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
    bob = await console("t-bob")
    await clusters.until(lambda: [item.user for item in bob.others] == ["ann"])
    renewed = set()

    def thrice():
        own = [item for item in stored(desk) if item["metadata"]["annotations"]["mlconsole.io/user"] == "bob"]
        renewed.update(item["spec"]["renewTime"] for item in own)
        return len(renewed) > 3

    await clusters.until(thrice)
    assert [item.user for item in bob.others] == ["ann"]


async def test_a_mark_that_was_renewed_meanwhile_is_not_swept(desk):
    path = "/apis/coordination.k8s.io/v1/namespaces/ml/leases/mlconsole-console-x"
    written = await marks.put(desk.connection, "ml", "mlconsole-console-x", marks.Mark("ann", "b9"), None)
    seen = msgspec.json.decode(await desk.connection.get(path), type=objects.Lease)
    again = await marks.put(desk.connection, "ml", "mlconsole-console-x", marks.Mark("ann", "b9"), written)
    assert (again.uid, again.resource_version != written.resource_version) == (written.uid, True)
    await marks.sweep(desk.connection, seen)
    assert len(stored(desk)) == 1
    await marks.withdraw(desk.connection, "ml", "mlconsole-console-x", marks.Written("another", ""))
    assert len(stored(desk)) == 1, "this very one or none"
    await marks.withdraw(desk.connection, "ml", "mlconsole-console-x", again)
    await marks.withdraw(desk.connection, "ml", "mlconsole-console-x", again)
    assert stored(desk) == []


async def test_a_mark_that_was_swept_or_written_unheard_is_left_again(desk):
    mark, name = marks.Mark("ann", "b9"), "mlconsole-console-x"
    lost = await marks.put(desk.connection, "ml", name, mark, None)
    unheard = await marks.put(desk.connection, "ml", name, replace(mark, plans="x"), None)
    assert unheard.uid == lost.uid, "created already, its answer lost"
    again = await marks.put(desk.connection, "ml", name, replace(mark, plans="y"), lost)
    assert again.uid == lost.uid, "renewed already, its answer lost"
    await marks.withdraw(desk.connection, "ml", name, again)
    anew = await marks.put(desk.connection, "ml", name, mark, again)
    assert anew.uid != again.uid


# ---- where nothing is written


@pytest.mark.parametrize(
    ("settings", "namespace"),
    [
        (replace(ON, ui=Ui(presence=False)), "ml"),
        (replace(ON, read_only=True), "ml"),
        (replace(ON, environments={"prod": Environment(contexts=("demo",), read_only=True)}), "ml"),
        (ON, ""),
    ],
    ids=["off", "read-only", "environment", "all namespaces"],
)
async def test_nothing_is_written_and_the_others_are_seen(desk, console, settings, namespace):
    await marks.put(desk.connection, "ml", "mlconsole-console-x", marks.Mark("ann", "b9"), None)
    heard = []
    desk.cluster.faults.add(Failure(lambda method, path: bool(heard.append((method, path)))))
    quiet = await console("t-bob", settings, namespace=namespace)
    async with asyncio.timeout(clusters.DEADLINE):
        await quiet.task
    await clusters.until(lambda: [item.user for item in quiet.others] == ["ann"])
    assert {method for method, path in heard if "selfsubjectreviews" not in path} == {"GET"}


@pytest.mark.parametrize("missing", ["create", "update", "delete"])
async def test_who_may_not_write_leases_leaves_none_and_is_not_refused(desk, console, missing, caplog):
    verbs = tuple({"get", "list", "watch", "create", "update", "delete"} - {missing})
    reviews = Rule(("create",), ("selfsubjectaccessreviews", "selfsubjectreviews"))
    rules = (Rule(verbs, ("leases",)), Rule(("get", "list", "watch"), ("*",)), reviews)
    server = await serve(desk.cluster.store, users={"t": User("viewer", rules=rules)}, faults=desk.cluster.faults)
    heard = []
    desk.cluster.faults.add(Failure(lambda method, path: bool(heard.append((method, path)))))
    quiet = await console("t", server=server)
    async with asyncio.timeout(clusters.DEADLINE):
        await quiet.task
    assert stored(desk) == []
    assert not [path for method, path in heard if method != "GET" and "/leases" in path]
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    await quiet.end()
    await server.close()


def writes_a_lease(method, path):
    return method in ("POST", "PUT") and "/leases" in path


async def test_an_api_server_that_fails_is_asked_again_with_the_next_renewal(desk, console, caplog):
    desk.cluster.faults.add(Failure(writes_a_lease, status=500, times=3))
    bob = await console("t-bob")
    await clusters.until(lambda: stored(desk))
    desk.cluster.faults.add(Failure(writes_a_lease, status=500, times=3))
    bob.presence.say("ml/fraud", None)
    await clusters.until(lambda: stored(desk)[0]["metadata"]["annotations"].get("mlconsole.io/service") == "ml/fraud")
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


# ---- locks and marks


async def test_a_mark_is_no_lock(desk, mirror):
    """A service may be named so that its lock's name could be a console's."""
    cache = mirror(desk.cluster)
    await marks.put(desk.connection, "ml", "mlconsole-fraud", marks.Mark("eve", "b9"), None)
    await clusters.until(lambda: cache.inventory.leases.get("ml", "mlconsole-fraud"))
    operation = replace(begin(await desk.plan(), "ann", time.time()), tokens=(1,), phase=Phase.VERIFY)
    await history.keep(desk.connection, operation, history.Past())
    (line,) = await clusters.until(lambda: Overview(QUICK).lines(cache.inventory, {}).lines)
    assert (line.alive, line.holder) == (False, "")
    here = Presence(QUICK)
    assert [item.user for item in here.others(cache.inventory).lines] == ["eve"]
    await marks.withdraw(desk.connection, "ml", "mlconsole-fraud", await _as_written(desk))
    await leases.acquire(desk.connection, "ml", "fraud", "ann@b9/op", 15.0, {}, None)
    await clusters.until(lambda: not here.others(cache.inventory).lines)


async def _as_written(desk):
    meta = desk.cluster.store.get("leases", "ml", "mlconsole-fraud")["metadata"]
    return marks.Written(meta["uid"], meta["resourceVersion"])


# ---- the engine


async def test_the_engine_says_who_else_is_here_only_when_that_changes(good, start):
    ui = await start(settings_of(good))
    first = await ui.wait(protocol.Presence)
    assert first.lines == ()
    mark = marks.Mark("bob", "b2", "ml/fraud", "", 1.0)
    written = await marks.put(good.connection, "ml", "mlconsole-console-b", mark, None)
    await ui.wait(
        protocol.Presence, lambda message: message.lines == (protocol.Present("bob", "b2", "ml/fraud", "", 1.0),)
    )
    for _ in range(5):
        written = await marks.put(good.connection, "ml", "mlconsole-console-b", mark, written)
    planning = replace(mark, plans="rollback to blue v12")
    await marks.put(good.connection, "ml", "mlconsole-console-b", planning, written)
    await ui.wait(protocol.Presence, lambda message: message.lines and message.lines[0].plans)
    assert len(ui.all(protocol.Presence)) == 3


async def test_the_engine_leaves_its_own_mark_with_what_is_selected_and_planned(good, start):
    ui = await start(settings_of(good))
    await ui.wait(protocol.Fleet, lambda fleet: fleet.complete)
    await ui.send(protocol.Select("ml/fraud"))

    def said(name):
        return [item["metadata"]["annotations"].get(f"mlconsole.io/{name}") for item in stored(good)]

    await clusters.until(lambda: said("service") == ["ml/fraud"])
    assert (said("user"), said("host")) == (["admin"], [HERE])
    await ui.send(protocol.MakePlan(7, "rollback", "ml/fraud"))
    await clusters.until(lambda: said("plans") == ["rollback to blue v12"])
    await ui.send(protocol.Discard(7))
    await clusters.until(lambda: said("plans") == [None])
    await ui.send(protocol.ChangePlace("demo", "default"))
    await clusters.until(lambda: not stored(good))
    assert ui.last(protocol.Presence).lines == ()


async def test_a_console_that_ends_takes_its_mark_with_it(good, start):
    ui = await start(settings_of(good))
    await clusters.until(lambda: stored(good))
    ui.close()
    async with asyncio.timeout(clusters.DEADLINE):
        await ui.engine
    assert stored(good) == []
