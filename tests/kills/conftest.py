"""A service with load on it, operations whose executor dies or is cut off, and a second one that goes on."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys

import msgspec
import pytest

from mlconsole.cluster.errors import NotFound
from mlconsole.config import load
from mlconsole.domain.history import Kind
from mlconsole.domain.operation import Operation
from mlconsole.engine import session as sessions
from mlconsole.engine import underway
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution import process
from mlconsole.engine.fence import OPERATION
from mlconsole.engine.planner import NO_WISH, Wish
from mlconsole.engine.session import Session

from . import places
from .nursery import Nursery
from .places import NAME, Embedded

REAL = os.environ.get("MLCONSOLE_TEST_KUBECONFIG", "")
DEADLINE = 120.0
EVERY = os.environ.get("MLCONSOLE_TEST_KILLS") == "all"
"""Whether every point is tried, rather than a few of them."""
VERSIONS = ("11", "12", "13")
CONFIG = """\
[defaults]
watch_window = "300ms"
[defaults.verify]
deadline = "20s"
[defaults.watch]
drain = "100ms"
[defaults.smoke]
requests = 1
payload = { features = [1, 2, 3, 4, 5] }
[defaults.deploy]
progress_deadline = "30s"
resolve = false
"""
PAUSES = (Kind.PAUSE, Kind.UNPAUSE)
QUICK = {
    "mlconsole.engine.verify:PAUSE": 0.05,
    "mlconsole.engine.bringup:LOOK": 0.1,
    "mlconsole.engine.execution.performing.waiting:TICK": 0.05,
    "mlconsole.engine.execution.performing.taking:HURRY": 30.0,
    "mlconsole.engine.ledger:ROLLBACK_SECONDS": 30.0,
}
"""Pauses between two looks, shorter than a person needs; and a machine with little time has no rollback go on without
its lock or its record: that is the matter of the tests of faults."""
KILLED = "operation x killed x at x taken up -> outcome, times"
FAULTY = "operation x step x fault -> outcome, times"
RACED = "races: two operations + a hand -> what came of the two, times"
"""Headings of what was tried and what came of it."""


@pytest.fixture(scope="package")
def world():
    """A world of its own, in a process."""
    command = [sys.executable, "-m", "mlconsole", "demo", "--headless", "--no-registry", "--output", "json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield json.loads(child.stdout.readline())
    child.terminate()
    assert child.wait(DEADLINE) == 0


PLACES = [
    "embedded",
    pytest.param(
        "real", marks=[pytest.mark.real_cluster, pytest.mark.skipif(not REAL, reason="no real cluster is named")]
    ),
]


@pytest.fixture(scope="package", params=PLACES)
def place(request, tmp_path_factory):
    """Where the tests act."""
    if request.param == "embedded":
        yield Embedded(request.getfixturevalue("world"))
        return
    with places.real(tmp_path_factory.mktemp("real")) as found:
        yield found


def only_where_all_are_tried(place, tried):
    """Skip, on the real cluster, what is too dear for a sample; on the embedded one nothing is."""
    if place.real and not EVERY and not tried:
        pytest.skip("on the real cluster only with MLCONSOLE_TEST_KILLS=all")


@pytest.fixture(scope="package")
def nursery(tmp_path_factory):
    """Where executors come from."""
    found = Nursery(tmp_path_factory.mktemp("nursery"))
    yield found
    found.close()


class Stage:
    """Where operations are begun, cut off and taken up again; and what is there to be seen after."""

    name, features = NAME, 5

    def __init__(self, place, folder, session, settings, nursery):
        self.place, self.folder, self.session, self.settings, self.nursery = place, folder, session, settings, nursery
        self.namespace = place.namespace
        self.where = "real" if place.real else "embedded"
        self._count = 0

    # ---- what is done

    async def ready_for(self, kind):
        """Settled, and with a rollout to go on with where that is what the operation does: what there is then."""
        service = await self.settled()
        path, paused = self.deployment(service.idle_color.deployment), kind is Kind.UNPAUSE
        if (await self.get(path))["spec"].get("paused", False) is not paused:
            body = {"spec": {"paused": paused or None}}
            await self.session.connection.request("PATCH", path, body, "application/merge-patch+json")
            await self.settled()
        return await self.shape()

    async def plan(self, kind, **wish):
        """A plan of an operation that there is something to do for, whatever the one before left."""
        await self.forget()
        service = await self.settled()
        idle = service.idle_color
        wished, color = NO_WISH, ""
        if kind is Kind.DEPLOY:
            taken = {item.release.version for item in service.colors}
            version = next(item for item in VERSIONS if item not in taken)
            wished = Wish(version=version, image=self.place.image(version), **wish)
        if kind is Kind.SCALE:
            color, wished = idle.name, Wish(replicas=2 * self.place.replicas + 1 - idle.wish)
        if kind is Kind.RESTART:
            color = service.live
        if kind in PAUSES:
            color = idle.name
        return await self.session.plan(kind, self.name, color, 0, wished)

    async def begin(self, plan, **orders):
        """Begin the operation of a plan, in an executor that was told more: the executor."""
        waived = tuple(gate.name for gate in plan.gates if gate.stops)
        executor = await asyncio.to_thread(self.nursery.executor, self.settings, **orders)
        process.begin_with(plan, Consent(plan.hash, "a test", plan.service, waived), executor, plan.created_at)
        return executor

    async def killed(self, plan, number, when):
        """An operation whose executor dies at its n-th write: whether it died, and its writes."""
        self._count += 1
        tally = self.folder / f"tally-{self._count}"
        orders = {"path": str(tally), "number": number, "when": when}
        executor = await self.begin(plan, tally=orders)
        code = await ended(executor)
        return code != 0, tally.read_text().splitlines()

    async def forget(self):
        """Begin with an empty history: no release is good or bad because of the operation before."""
        with contextlib.suppress(NotFound):
            await self.session.connection.request("DELETE", self.configmap)

    async def go_on(self, how):
        """Take up what was left, if anything was: (what it had come to, how it ended)."""
        under = await self.session.under_way(self.name)
        if under is None:
            return "nothing left", None
        assert not under.alive, f"its executor is dead, and this machine knows: {under.operation.words}"
        how = how if how in under.verbs else under.verbs[0]
        done = await self.session.take_up(under, how, "a test", lambda _: None)
        folder = underway.folder_of(done.id)
        async for _ in process.follow(folder):
            pass
        return str(under.standing), folder.operation()

    async def scale(self, deployment, replicas):
        """Size a Deployment, as somebody else."""
        path, body = self.deployment(deployment), {"spec": {"replicas": replicas}}
        await self.session.connection.request("PATCH", path, body, "application/merge-patch+json")

    # ---- what is there

    @property
    def service(self):
        """The path of the Service."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.name}"

    @property
    def configmap(self):
        """The path of its history."""
        return f"/api/v1/namespaces/{self.namespace}/configmaps/mlconsole-history-{self.name}"

    @property
    def lease(self):
        """The path of its lock."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/mlconsole-{self.name}"

    def deployment(self, name=""):
        """The path of a Deployment; of all of them."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}".rstrip("/")

    async def settled(self):
        """The service, when no pod comes or goes any more."""
        async with asyncio.timeout(DEADLINE):
            while True:
                service = (await self.session.detail(self.name)).service
                if all(color.settled and color.wish == color.ready == len(color.pods) for color in service.colors):
                    return service
                await asyncio.sleep(0.05)

    async def live(self):
        """The colour with the traffic."""
        return (await self.session.detail(self.name)).service.live

    async def shape(self):
        """What operations change: the traffic's colour, and each colour's version, size, template, and pause."""
        found = {}
        for color in (await self.session.detail(self.name)).service.colors:
            spec = (await self.get(self.deployment(color.deployment)))["spec"]
            template, paused = json.dumps(spec["template"], sort_keys=True), spec.get("paused", False)
            found[color.name] = (color.release.version, spec["replicas"], template, paused)
        return await self.live(), found

    async def history(self):
        """What stands in the history's ConfigMap."""
        try:
            return (await self.get(self.configmap))["data"]
        except NotFound:
            return {}

    async def tidy(self, plan):
        """Its record, or None; nothing else is left of an operation: not under way, not on the Service, not open."""
        data = await self.history()
        assert "operation" not in data, (data["operation"][-200:], self.said(plan))
        service = await self.get(self.service)
        assert OPERATION not in (service["metadata"].get("annotations") or {}), self.said(plan)
        records = {item["id"]: item for item in map(json.loads, data.get("records", "").splitlines())}
        assert not [item for item in records.values() if item.get("outcome", "open") == "open"], self.said(plan)
        return records.get(plan.id)

    async def holder(self):
        """Who has the service's lock."""
        return (await self.get(self.lease))["spec"].get("holderIdentity", "")

    def said(self, plan):
        """What the executors of an operation said."""
        entries, _ = underway.folder_of(plan.id).entries()
        return [f"{entry.step}: {entry.words}" for entry in entries]

    def kept(self, plan) -> Operation | None:
        """The operation, as its executor kept it last."""
        return underway.folder_of(plan.id).operation()

    async def get(self, path):
        return msgspec.json.decode(await self.session.connection.get(path))

    def lost(self):
        """Requests through the Service that got no good answer."""
        return self.place.lost(self.name)


async def ended(executor):
    """How an executor ended: negative for a signal."""
    async with asyncio.timeout(DEADLINE):
        return await asyncio.to_thread(executor._process.wait)


@contextlib.asynccontextmanager
async def staged(place, folder, nursery, monkeypatch, kubeconfig="", constants=QUICK, kind=Stage):
    """A session in a place, with a state folder of its own, and every executor from the nursery."""
    folder.mkdir(exist_ok=True)
    config = folder / "mlconsole.toml"
    payload = list(range(1, kind.features + 1))
    config.write_text(CONFIG.replace("[1, 2, 3, 4, 5]", str(payload)))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    options = {"kubeconfig": kubeconfig or place.kubeconfig, "namespace": place.namespace, "config": str(config)}
    settings = load(options, {}).settings
    nursery.orders = {"constants": constants}
    monkeypatch.setattr(sessions, "Executor", nursery.executor)
    async with Session.open(settings) as session:
        yield kind(place, folder, session, settings, nursery)


@pytest.fixture
async def stage(place, tmp_path, nursery, monkeypatch):
    """Where operations are killed."""
    async with staged(place, tmp_path, nursery, monkeypatch) as found:
        yield found
