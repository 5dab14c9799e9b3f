"""A planner and a gateway on a cluster: the embedded API server, a real one, or the embedded world with its traffic."""

import contextlib
import json
import time

import msgspec
import pytest
from msgspec.structs import replace

from cluster import conftest as clusters
from mlconsole.cluster import history
from mlconsole.config import ServiceSettings, Settings, Verify
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.demo.apiserver.patches import MERGE
from mlconsole.demo.world import Options, World
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.phases import Phase
from mlconsole.domain.recording import record_of
from mlconsole.domain.services import Release
from mlconsole.engine import answers, gates
from mlconsole.engine.audit import Journal
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.process import agreed
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.gateway import Gateway
from mlconsole.engine.planner import Planner, Wish

Cluster, until = clusters.Cluster, clusters.until
# Fixtures: the embedded API server, a real one, each of the two.
embedded, real, cluster = clusters.embedded, clusters.real, clusters.cluster

LATER = (Phase.WATCH, Phase.KEEP, Phase.DRAIN, Phase.SMOKE)
QUICK = Settings(defaults=ServiceSettings(verify=Verify(deadline=0.3)))
"""No model server answers here: what cannot be seen to arrive is unverified soon."""
SHORT = Settings(defaults=ServiceSettings(verify=Verify(deadline=1.0)))
"""The shortest that a settings file may say: what an executor in its own process takes."""
ANY = {kind: Wish() for kind in (Kind.SWITCH, Kind.ROLLBACK, Kind.RESTART, Kind.PAUSE, Kind.DRILL)}
ANY |= {Kind.DEPLOY: Wish("14", "registry.local/fraud:14"), Kind.SCALE: Wish(replicas=3)}
"""What can be planned for a blue-green service as it stands, and what has to be said for it."""
DAY = 86_400.0
IMAGE = "registry.local/fraud-{}:{}"


class Clock:
    """The time, and as much more as a test says."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


class Desk:
    """Plans and carries out on one cluster; keeps every step that was reported."""

    def __init__(self, cluster, folder, settings=QUICK, connection=None):
        self.cluster = cluster
        self.connection = connection or cluster.connection
        self.clock = Clock()
        self.glances = ()
        self.journal = Journal(folder / "state" / "audit.jsonl")
        self.planner = Planner(self.connection, settings, lambda _: self.glances, self.clock)
        self.settings = settings
        self.folder = folder
        self.runner = None
        self.steps = []

    async def plan(self, kind=Kind.SWITCH, service="fraud", **more):
        """A plan that ends when the traffic was seen to arrive, or was not: nobody waits for the watch window here."""
        plan = await self.planner.plan(kind, self.cluster.namespace, service, **more)
        return replace(plan, route=tuple(phase for phase in plan.route if phase not in LATER))

    async def carry_out(self, plan, at="", then=lambda: None, **said):
        """Consent to a plan; `then` is done when the step `at` is reported."""

        def report(step):
            self.steps.append(step)
            if step.step == at:
                then()

        # No pod answers behind an API server alone.
        words = {"reason": "a test", "typed": plan.service, "waived": ("answers",)} | said
        return await self.execute(plan, Consent(plan.hash, **words), report)

    async def execute(self, plan, consent, report):
        """What an executor does, in this process; the record, or the error that ended it before anything changed."""
        started = agreed(plan, consent, self.clock())
        folder = Folder(self.folder / "operations" / plan.id)
        folder.make()
        self.runner = Runner(
            started, self.connection, self.settings, self.journal, folder, clock=self.clock, hear=report
        )
        ended = await self.runner.run()
        if self.runner.error and record_of(ended).outcome in (Outcome.FAILED, Outcome.OVERTAKEN):
            raise self.runner.error
        return record_of(ended)

    async def do(self, kind=Kind.SWITCH, service="fraud", **more):
        return await self.carry_out(await self.plan(kind, service, **more))

    async def selector(self, name="fraud"):
        found = await self.connection.get(f"{self.cluster.core}/services/{name}")
        return msgspec.json.decode(found)["spec"]["selector"]

    async def records(self, name="fraud"):
        return list((await history.read(self.cluster.connection, self.cluster.namespace, name)).records)

    async def remember(self, *records):
        past = await history.read(self.cluster.connection, self.cluster.namespace, "fraud")
        for record in records:
            past = await history.append(self.cluster.connection, [record], past)

    def lines(self):
        return [json.loads(line) for line in self.journal.path.read_text().splitlines()]


def release(color):
    """What a colour of `Cluster.blue_green` runs."""
    version = {"blue": "12", "green": "13"}[color]
    return Release(version=version, image=IMAGE.format(color, version), digest="sha256:" + "a" * 64)


def move(cluster, number, kind, source, target, ago, outcome=Outcome.VERIFIED, **more):
    """A record of traffic that moved `ago` seconds ago."""
    at = time.time() - ago
    values = {"verified_at": at + 1 if outcome is Outcome.VERIFIED else 0.0, "from_color": source, "to_color": target}
    values |= {"from_release": release(source), "to_release": release(target), "outcome": outcome}
    return Record(f"old-{number}", kind, "fraud", cluster.namespace, at, "ann", **(values | more))


async def settle(cluster, name="fraud"):
    """Have the Deployments wish for the pods that there are, and say of them what their controller would."""
    for color in ("blue", "green"):
        path = f"{cluster.apps}/deployments/{name}-{color}"
        found = msgspec.json.decode(await cluster.merge(path, {"spec": {"replicas": 2}}))
        generation = found["metadata"]["generation"]
        if cluster.store is not None:
            status = {"observedGeneration": generation, "replicas": 2, "updatedReplicas": 2}
            await cluster.merge(f"{path}/status", {"status": status})
            continue
        # A real one says it itself.
        while not _told(found.get("status") or {}, generation):
            found = msgspec.json.decode(await cluster.connection.get(path))


def _told(status, generation):
    return status.get("observedGeneration", 0) >= generation and status.get("updatedReplicas", 0) >= 2


@pytest.fixture
def unanswered(monkeypatch):
    """The pods here have addresses that lead nowhere: their answers are not waited for long."""
    monkeypatch.setattr(answers, "SECONDS", 0.2)
    monkeypatch.setattr(gates, "INFORM_SECONDS", 0.2)


@pytest.fixture
async def desk(embedded, tmp_path, unanswered):
    """Blue v12 live, green v13 idle, two pods each, on the embedded API server."""
    await embedded.blue_green()
    await settle(embedded)
    return Desk(embedded, tmp_path)


@pytest.fixture
async def good(desk):
    """As `desk`, with green live since an hour, and blue known good from the day before."""
    await desk.remember(move(desk.cluster, 1, Kind.SWITCH, "green", "blue", DAY))
    await desk.remember(move(desk.cluster, 2, Kind.SWITCH, "blue", "green", 3600.0))
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
    return desk


def change(desk, resource, name, body, subresource=""):
    """Change an object behind everybody's back."""
    return desk.cluster.store.patch(resource, "ml", name, body, MERGE, subresource=subresource)


def unready(desk, *pods):
    """Take the readiness of pods away."""
    conditions = [{"type": "Ready", "status": "False"}]
    for pod in pods:
        change(desk, "pods", pod, {"status": {"phase": "Running", "conditions": conditions}}, "status")


@pytest.fixture
def last_moment(monkeypatch):
    """`last_moment(plan, then)`: `then` is called when our comparison is done and the traffic's write is not sent."""

    def at(plan, then):
        once = Gateway._once

        async def after_them(self, planned, write, *more):
            if write == plan.write:
                await then(write)
            return await once(self, planned, write, *more)

        monkeypatch.setattr(Gateway, "_once", after_them)

    return at


@contextlib.contextmanager
def listening(desk):
    """Every request that the server gets, as (method, path)."""
    heard = []
    ear = Failure(lambda method, path: bool(heard.append((method, path))))
    desk.cluster.faults.failures.insert(0, ear)
    yield heard
    desk.cluster.faults.failures.remove(ear)


@pytest.fixture
async def world():
    """The embedded world: real model servers behind a real proxy, without a registry."""
    one = World()
    await one.start(Options(registry=False))
    yield one
    await one.stop()
