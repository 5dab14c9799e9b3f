"""Adoptions, their undoing and their abort, carried out in the embedded world under load: not one request is lost."""

import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from e2e.load import Load
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Forbidden, NotFound, Unreachable
from mlconsole.config import ServiceSettings, Settings, Verify
from mlconsole.configoperations import Deploy, Smoke, Watch
from mlconsole.demo import plainmodels
from mlconsole.demo.controllers.owning import matches, ready
from mlconsole.demo.follow import follow
from mlconsole.domain import adopting
from mlconsole.domain.deploying import COLOR_LABEL, OPERATION
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Request, Verb
from mlconsole.domain.phases import Phase
from mlconsole.engine.gateway import Gateway
from mlconsole.engine.planner import Wish

from .conftest import Desk
from .test_deploys import Place

NAME, COPY = "eta", "eta-blue"
SETTINGS = Settings(
    defaults=ServiceSettings(
        watch_window=0.0,
        verify=Verify(deadline=30.0),
        deploy=Deploy(resolve=False, progress_deadline=40.0),
        smoke=Smoke(payload={"features": [1.0, 2.0, 3.0]}),
        watch=Watch(drain=0.5, on_failure="rollback"),
    )
)
BASE = {"app": NAME}
COLORED = {**BASE, COLOR_LABEL: "blue"}


class Bench(Desk):
    """`Desk` on the world's plain service."""

    async def plan(self, kind, service=NAME, **more):
        return await self.planner.plan(kind, self.cluster.namespace, service, **more)

    async def do(self, kind, waived=(), **more):
        plan = await self.plan(kind, **more)
        return plan, await self.carry_out(plan, typed=NAME, waived=waived)

    async def abort_in(self, kind, phase):
        """Abort an operation of a kind as soon as it comes to a phase; (its plan, its record)."""
        plan = await self.plan(kind)

        def hear(step):
            self.steps.append(step)
            if self.runner.operation.phase is phase and not asked:
                asked.append(True)
                self.runner.ask(Request(Verb.ABORT, plan.id, "ben", self.clock(), "a test"))

        asked, before = [], self._report
        self._report = hear
        record = await self.carry_out(plan, typed=NAME, waived=())
        self._report = before
        assert asked, f"it never came to {phase}: {self.steps}"
        return plan, record

    _report = None

    async def execute(self, plan, consent, report):
        return await super().execute(plan, consent, self._report or report)

    async def deployment(self, name):
        try:
            return msgspec.json.decode(await self.connection.get(f"{self.cluster.apps}/deployments/{name}"))
        except NotFound:
            return None

    def owners(self):
        """From each ReplicaSet to the Deployment that controls it."""
        sets = self.cluster.store.list("replicasets", "ml", f"app={NAME}")[0]
        return {item["metadata"]["name"]: item["metadata"]["ownerReferences"][0]["name"] for item in sets}

    def pods(self, colors):
        """The pods of colours."""
        return self.cluster.store.list("pods", "ml", f"app={NAME},{COLOR_LABEL} {colors}")[0]


@pytest.fixture
async def bench(world, tmp_path):
    connection = await Connection.open(kubeconfig=str(world.folder / "kubeconfig"), namespace="ml")
    yield Bench(Place(world, connection), tmp_path, SETTINGS)
    await connection.close()


@pytest.fixture
async def load(bench):
    """Forty requests a second through the Service; at the end not one of them was lost."""
    spec = bench.cluster.store.get("services", "ml", NAME)["spec"]
    one = Load(spec["clusterIP"], spec["ports"][0]["port"], plainmodels.FEATURES[NAME])
    task = asyncio.create_task(one.run())
    yield one
    async with asyncio.timeout(10):
        while one.sent < 100:
            await asyncio.sleep(0.05)
    await one.drain()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert one.lost == []


async def test_a_plain_service_is_adopted_deployed_to_and_given_back(bench, load):
    before = await bench.deployment(NAME)
    plan, record = await bench.do(Kind.ADOPT)
    assert record.outcome is Outcome.VERIFIED, (record, bench.steps)
    assert plan.route == (
        Phase.LOCK,
        Phase.RECORD,
        Phase.BRING_UP,
        Phase.READY,
        Phase.SMOKE,
        Phase.SWITCH,
        Phase.VERIFY,
        Phase.DRAIN,
        Phase.RETIRE,
        Phase.RESTORE,
    )
    assert await bench.selector(NAME) == COLORED
    copy, old = await bench.deployment(COPY), await bench.deployment(NAME)
    assert copy["metadata"]["annotations"][OPERATION] == plan.id
    assert copy["spec"]["replicas"] == copy["status"]["readyReplicas"] == before["spec"]["replicas"]
    assert old["spec"]["replicas"] == 0
    assert adopting.of(old) == adopting.Adopted(NAME, COPY, COLOR_LABEL, before["spec"]["replicas"])
    # Neither controller took what is the other's, though one's selector takes in both.
    assert {name.rpartition("-")[0]: owner for name, owner in bench.owners().items()} == {
        NAME: NAME,
        COPY: COPY,
    }

    # The next release goes to the other colour, and back.
    wish = Wish(version="4", image=f"demo.local/{NAME}:4", go_on=True)
    _, record = await bench.do(Kind.DEPLOY, wish=wish)
    assert record.outcome is Outcome.VERIFIED, (record, bench.steps)
    assert await bench.selector(NAME) == {**BASE, COLOR_LABEL: "green"}

    # Given back: what is live now is what the plain Deployment serves.
    plan = await bench.plan(Kind.RELEASE)
    assert [gate.name for gate in plan.gates if gate.stops] == ["idle"], "blue still has its pods"
    _, record = await bench.do(Kind.SCALE, waived=("way-back",), to_color="blue", wish=Wish(replicas=0))
    assert record.outcome is Outcome.VERIFIED, record
    left = []

    def look():
        if bench.steps[-1].words == f"patch services ml/{NAME}":
            left.append([item["metadata"]["name"] for item in bench.pods("in (blue, green)")])

    plan = await bench.plan(Kind.RELEASE)
    record = await bench.carry_out(plan, at="write", then=look, typed=NAME, waived=())
    assert record.outcome is Outcome.VERIFIED, (record, bench.steps)
    assert left == [[]], "the selector is opened when nothing of the colours is left to be selected"
    assert await bench.selector(NAME) == BASE
    assert await bench.deployment(COPY) is None
    assert await bench.deployment("eta-green") is None
    old = await bench.deployment(NAME)
    assert adopting.ADOPTED not in old["metadata"]["annotations"]
    assert old["status"]["readyReplicas"] == old["spec"]["replicas"] == before["spec"]["replicas"]
    env = {item["name"]: item.get("value") for item in old["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["MODEL_VERSION"] == "4"
    assert (await bench.planner.plan(Kind.RESTART, "ml", NAME)).to_color == "", "it is plain again"

    # And once more: what was given back can be adopted again.
    _, record = await bench.do(Kind.ADOPT)
    assert record.outcome is Outcome.VERIFIED, (record, bench.steps)
    assert await bench.selector(NAME) == COLORED


@pytest.fixture
async def cut_off(bench):
    """Pods that were told to end while they served, and the Service still selected them."""
    found = []

    async def look():
        async for change in follow(bench.cluster.store, "pods"):
            pod, old = change.object, change.before or {"metadata": {}}
            ends = "deletionTimestamp" in pod["metadata"] and "deletionTimestamp" not in old["metadata"]
            if ends and change.before and matches(BASE, pod) and ready(pod):
                found.append(pod["metadata"]["name"])

    task = asyncio.create_task(look())
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("phase", [Phase.READY, Phase.SMOKE, Phase.DRAIN])
async def test_an_adoption_aborted_leaves_the_plain_service_as_it_was(bench, load, cut_off, phase):
    before = await bench.deployment(NAME)
    _, record = await bench.abort_in(Kind.ADOPT, phase)
    assert record.outcome is (Outcome.RETURNED if phase is Phase.DRAIN else Outcome.ABORTED), (record, bench.steps)
    assert await bench.selector(NAME) == BASE
    assert await bench.deployment(COPY) is None
    after = await bench.deployment(NAME)
    assert after["spec"] == before["spec"]
    assert adopting.ADOPTED not in after["metadata"]["annotations"]
    # The proxies of a real cluster take their time: what they may still send to is not what ends.
    assert cut_off == []
    out = [step.words for step in bench.steps if step.words.endswith(f"is out of Service {NAME}")]
    assert out or phase is Phase.READY, bench.steps
    # It was no release that was left for a worse one: nothing is quarantined, and it can be adopted.
    plan = await bench.plan(Kind.ADOPT)
    assert not [gate for gate in plan.gates if gate.stops]


def end(bench, name):
    """End every pod of a Deployment, and have it make no other."""
    store = bench.cluster.store
    store.patch("deployments", "ml", name, {"spec": {"replicas": 0}}, "application/merge-patch+json")
    for pod in store.list("pods", "ml", f"app={NAME},!{COLOR_LABEL}")[0]:
        store.delete("pods", "ml", pod["metadata"]["name"])


async def test_i4_a_copy_that_nothing_else_stands_in_for_stays(bench, cut_off):
    wrong = replace(SETTINGS.defaults, smoke=Smoke(payload={"features": [1.0]}))
    bench = Bench(bench.cluster, bench.folder / "wrong", Settings(defaults=wrong))
    plan = await bench.plan(Kind.ADOPT)
    record = await bench.carry_out(plan, at="smoke", then=lambda: end(bench, NAME), typed=NAME, waived=())
    assert record.outcome is Outcome.FAILED, record
    assert f"no other pod is ready: {COPY} stays" in record.message
    (pod,) = bench.pods("in (blue)")
    assert matches(BASE, pod)
    assert "deletionTimestamp" not in pod["metadata"]


async def test_a_pod_that_must_not_be_taken_out_ends_as_in_any_rolling_update(bench, monkeypatch):
    async def refuse(*_):
        raise Forbidden("cannot patch pods", "no role grants it", "ask for it")

    monkeypatch.setattr(Gateway, "withdraw", refuse)
    _, record = await bench.abort_in(Kind.ADOPT, Phase.DRAIN)
    assert record.outcome is Outcome.RETURNED, record
    assert await bench.deployment(COPY) is None
    assert any("stays in the Service until it ends" in step.words for step in bench.steps)


async def test_i19_an_abort_begun_again_finds_the_pods_out_of_the_service(bench, load, cut_off, monkeypatch):
    withdraw, unheard = Gateway.withdraw, []

    async def lose(*arguments):
        await withdraw(*arguments)
        if not unheard:
            unheard.append(True)
            raise Unreachable("no answer", "the connection broke", "try again")

    monkeypatch.setattr(Gateway, "withdraw", lose)
    _, record = await bench.abort_in(Kind.ADOPT, Phase.DRAIN)
    assert unheard
    assert record.outcome is Outcome.RETURNED, (record, bench.steps)
    assert await bench.deployment(COPY) is None
    assert cut_off == []
    words = [step.words for step in bench.steps]
    assert sum(text.endswith(f"is out of Service {NAME}") for text in words) == 1, "it is taken out once"
    out = next(text for text in words if "to drain" in text and "out of the Service" in text)
    assert words.index(out) < words.index(f"delete deployments ml/{COPY}"), "and drained after, however it came there"


async def test_an_undoing_aborted_leaves_the_adoption_as_it_was(bench, load):
    _, record = await bench.do(Kind.ADOPT)
    assert record.outcome is Outcome.VERIFIED, (record, bench.steps)
    before = await bench.deployment(NAME)
    _, record = await bench.abort_in(Kind.RELEASE, Phase.DRAIN)
    assert record.outcome is Outcome.RETURNED, (record, bench.steps)
    assert await bench.selector(NAME) == COLORED
    after = await bench.deployment(NAME)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"][adopting.ADOPTED] == before["metadata"]["annotations"][adopting.ADOPTED]
    assert (await bench.deployment(COPY))["status"]["readyReplicas"] == 1


def by_hand(bench, color):
    """Have the Service's selector name a colour, or none, behind everybody's back."""
    body = {"spec": {"selector": {COLOR_LABEL: color}}}
    return lambda: bench.cluster.store.patch("services", "ml", NAME, body, "application/merge-patch+json")


async def test_i4_what_somebody_gave_the_traffic_back_to_is_not_retired(bench, load):
    plan = await bench.plan(Kind.ADOPT)
    record = await bench.carry_out(plan, at="drain", then=by_hand(bench, None), typed=NAME, waived=())
    assert "the traffic is not on blue any more" in record.message
    assert (await bench.deployment(NAME))["spec"]["replicas"] == 1


async def test_i4_what_somebody_gave_the_traffic_to_is_not_cleaned_up(bench, load):
    wrong = replace(SETTINGS.defaults, smoke=Smoke(payload={"features": [1.0]}))
    bench = Bench(bench.cluster, bench.folder / "wrong", Settings(defaults=wrong))
    plan = await bench.plan(Kind.ADOPT)
    record = await bench.carry_out(plan, at="smoke", then=by_hand(bench, "blue"), typed=NAME, waived=())
    assert record.outcome is Outcome.FAILED, record
    assert "blue has the traffic" in record.message
    assert (await bench.deployment(COPY))["status"]["readyReplicas"] == 1
