"""Guards that stand alone: what is brought up is counted again, what arrives is all there, what goes back has pods."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from mlconsole.cluster import fresh
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Unreachable
from mlconsole.config import Environment, ServiceSettings, Settings, Verify, Watch
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Failed, Halted, Overtaken, begin
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Gate, PlanError, Verdict
from mlconsole.domain.recording import BACK, returning
from mlconsole.domain.services import Endpoint
from mlconsole.engine import verify
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution import runner as runners
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.performing import moving, proving, waiting
from mlconsole.engine.execution.process import agreed
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.gateway import Seen, history
from mlconsole.engine.planner import Wish

from .conftest import DAY, Cluster, Desk, change, move, unready

RETURNS = Settings(defaults=ServiceSettings(verify=Verify(deadline=0.3), watch=Watch(on_failure="rollback")))
"""No model server answers here: what is switched to is left again at once."""
WISH = Wish("14", "registry.local/fraud:14", go_on=True)


def runner_of(desk, plan, op=None):
    words = Consent(plan.hash, reason="a test", typed=plan.service, waived=("answers",))
    folder = Folder(desk.folder / "operations" / plan.id)
    folder.make()
    started = op or agreed(plan, words, time.time())
    return Runner(started, desk.connection, desk.settings, desk.journal, folder, hear=desk.steps.append)


# ---- before the write


async def test_i1_what_was_brought_up_is_counted_again_however_young_the_last_look(desk):
    plan = await desk.plan(Kind.DEPLOY, wish=WISH)
    context = runner_of(desk, plan).context
    read = await context.gateway.read(plan)
    container = {"name": "model", "image": WISH.image, "env": [{"name": "MODEL_VERSION", "value": "14"}]}
    change(desk, "deployments", "fraud-green", {"spec": {"template": {"spec": {"containers": [container]}}}})
    unready(desk, "fraud-green-0", "fraud-green-1")
    with pytest.raises(PlanError, match="green has 0 ready, needed are 2"):
        await context.gateway.move(plan, (), Seen(read, history.Past(), time.time()), desk.steps.append)
    assert (await desk.selector())["color"] == "blue"


async def test_i2_the_way_back_does_not_make_a_selector_that_nobody_saw(desk):
    """Its write tests the colour alone; that the rest is still the base labels is looked at."""
    plan = await desk.plan()
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "green", "app": None}}})
    back = returning(begin(plan, "ann", 0.0), time.time()).plan
    assert [step["path"] for step in back.write.patch] == ["/spec/selector/color"] * 2
    with pytest.raises(PlanError, match="selector of ml/fraud is not what the plan saw"):
        await runner_of(desk, plan).context.gateway.examine(back)


async def test_i7_nothing_is_sent_under_a_lock_that_is_known_to_be_lost(desk):
    plan = await desk.plan()
    runner = runner_of(desk, plan)
    kept = runner.context.lock
    await kept.take(plan, force=False, mine=lambda _: False)
    kept.assert_held(plan)
    kept.lost.set_result("bob has it now")
    for which in (plan, replace(plan, kind=Kind.ROLLBACK)):
        with pytest.raises(PlanError, match="the lock of ml/fraud is lost: bob has it now"):
            kept.assert_held(which)


# ---- after it


@pytest.fixture
async def switched(desk):
    """`switched(*endpoints)`: what is missing for the arrival of a switch to green, by (pod, colour, ready)."""
    plan = await desk.plan()
    service = replace((await fresh.read(desk.connection, "ml", "fraud")).service, live="green")

    def missing(*points, **more):
        return verify._switched(replace(service, endpoints=tuple(Endpoint(*point) for point in points), **more), plan)

    return missing


G0, G1, B0 = ("fraud-green-0", "green", True), ("fraud-green-1", "green", True), ("fraud-blue-0", "blue", True)


def test_i3_all_endpoints_are_of_the_destination_and_enough_of_them_ready(switched):
    assert switched(G0, G1) == ""
    assert switched(G0, G1, B0) == "endpoints still lead to blue"
    assert switched(G0, G1, ("stranger", "", True)) == "endpoints still lead to ?"
    assert switched(G0) == "1/2 endpoints ready"
    assert switched(G0, ("fraud-green-1", "green", False)) == "1/2 endpoints ready"
    assert switched() == "0/2 endpoints ready"
    assert "someone else changed it" in switched(G0, G1, live="blue")


# ---- the way back within an operation


@pytest.fixture
def leaves(desk, monkeypatch):
    """`leaves(then)`: a switch to green that goes back by itself; `then` is done before it does."""
    monkeypatch.setattr(moving, "RETURN_SECONDS", 0.4)
    monkeypatch.setattr(moving, "LOOK", 0.02)
    desk.settings = RETURNS

    async def run(then):
        plan = replace(await desk.plan(), returns=True)
        record = await desk.carry_out(plan, at="verify", then=then)
        back = next((item for item in await desk.records() if item.id.endswith(BACK)), None)
        return record, back

    return run


def ready(desk, *pods):
    for pod in pods:
        conditions = [{"type": "Ready", "status": "True"}]
        change(desk, "pods", pod, {"status": {"phase": "Running", "conditions": conditions}}, "status")


async def test_i15_a_return_waits_for_a_pod_that_is_not_ready(desk, leaves, monkeypatch):
    monkeypatch.setattr(moving, "RETURN_SECONDS", 30.0)
    said = Runner.report

    def mended(self, step):
        said(self, step)
        if "waiting for them" in step.words:
            ready(desk, "fraud-blue-0")

    monkeypatch.setattr(Runner, "report", mended)
    _, back = await leaves(lambda: unready(desk, "fraud-blue-0"))
    assert (await desk.selector())["color"] == "blue"
    assert back.waived == ()
    assert "blue has 1 ready, needed are 2 or more: waiting for them" in [step.words for step in desk.steps]


async def test_i15_a_return_goes_to_the_pods_that_there_are_in_the_end_and_says_so(desk, leaves):
    _, back = await leaves(lambda: unready(desk, "fraud-blue-0"))
    assert (await desk.selector())["color"] == "blue"
    assert back.waived == ("capacity",), "on record"
    assert any(step.words.startswith("WARNING: blue has 1 ready") for step in desk.steps)


async def test_i1_a_return_never_goes_where_no_pod_is_ready(desk, leaves):
    record, back = await leaves(lambda: unready(desk, "fraud-blue-0", "fraud-blue-1"))
    assert (await desk.selector())["color"] == "green"
    assert back is None, "nothing was begun"
    assert record.message.startswith("the traffic could NOT be moved back: capacity: blue has 0 ready")


async def test_a_return_goes_where_the_traffic_came_from_though_that_was_rolled_back_from_once(desk, leaves):
    await desk.remember(move(desk.cluster, 1, Kind.ROLLBACK, "blue", "green", DAY))
    _, back = await leaves(lambda: None)
    assert (await desk.selector())["color"] == "blue"
    assert (back.from_color, back.to_color) == ("green", "blue")
    assert any(step.words.startswith("WARNING: v12 was rolled back from before") for step in desk.steps)


async def test_i26_the_alias_goes_back_with_the_traffic(desk, leaves, monkeypatch):
    followed = []

    async def arrived(context, op):
        return (Outcome.VERIFIED if op.plan.to_color == "blue" else Outcome.UNVERIFIED), "seen"

    async def alias(context, op):
        followed.append((op.plan.to_color, op.plan.to_release.version))
        return Failed("the registry is away")

    monkeypatch.setattr(moving, "_arrival", arrived)
    monkeypatch.setattr(moving, "alias", alias)
    await leaves(lambda: None)
    assert followed == [("blue", "12")]
    assert "the registry is away" in [step.words for step in desk.steps if step.step == "alias"]


# ---- autoscalers


async def test_i5_what_is_pinned_is_put_back_at_the_end(desk):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "fraud-blue"}
    body = {"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 5}}
    path = "/apis/autoscaling/v2/namespaces/ml/horizontalpodautoscalers"
    await desk.cluster.post(path, {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **body})
    least = []

    def look():
        least.append(desk.cluster.store.get("horizontalpodautoscalers", "ml", "hpa")["spec"]["minReplicas"])

    await desk.carry_out(await desk.plan(), at="verify", then=look)
    look()
    assert (least[0], least[-1]) == (2, 1)


# ---- who moved it


async def test_i25_who_moved_the_traffic_is_who_wrote_the_label_that_this_operation_wrote(desk):
    op = begin(await desk.plan(), "ann", 0.0)
    read = await fresh.read(desk.connection, "ml", "fraud")

    def said(key, **fields):
        item = json.loads(json.dumps(read.raw["services", "fraud"]))
        item["metadata"]["managedFields"] = [
            {"manager": name, "operation": "Update", "time": f"2026-01-01T00:00:0{number}Z", "fieldsV1": owned}
            for number, (name, owned) in enumerate(fields.items())
        ]
        found = SimpleNamespace(service=replace(read.service, color_key=key), raw={("services", "fraud"): item})
        return waiting._moved_by_others(op, found).partition(" ")[0]

    color, slot = ({"f:spec": {"f:selector": {f"f:{key}": {}}}} for key in ("color", "slot"))
    assert said("slot", kubectl=color, controller=slot) == "kubectl"
    assert said("slot", editor=slot) == "editor", "the colour was taken out: by whoever wrote the selector last"
    assert said("color", atomic={"f:spec": {"f:selector": {}}}) == "atomic"
    assert said("color") == "somebody"


async def test_i25_a_watch_ends_when_somebody_else_moves_the_traffic(desk, monkeypatch):
    monkeypatch.setattr(waiting, "LOOK", 0.02)
    settings = replace(desk.settings, defaults=replace(desk.settings.defaults, watch_window=60.0))
    runner = runner_of(desk, await desk.plan())
    runner.context.settings = settings
    now = time.time()
    op = replace(runner.operation, phase=Phase.WATCH, phase_at=now, arrived_at=now)
    event = await waiting.watch(runner.context, op)
    assert isinstance(event, Overtaken)
    assert event.locked, "what is pinned is put back"
    assert event.words.endswith("moved the traffic to blue")


# ---- bounded


async def test_i20_a_way_out_waits_for_an_api_server_that_is_away_and_not_for_ever(desk):
    runner = runner_of(desk, await desk.plan())
    op = replace(runner.operation, phase=Phase.RESTORE)
    away = asyncio.get_running_loop().create_future()
    away.set_exception(Unreachable("cannot read services"))
    assert runner._is_away(op, away), "it is tried again"
    assert not runner._is_away(replace(op, phase=Phase.VERIFY), away), "what goes forward is not"
    assert runner._is_away(op, away)
    runner._outage -= runners.OUTAGE + 1
    assert not runner._is_away(op, away)
    event = runner._result(away)
    assert isinstance(event, Halted)
    assert "the API server gave no answer for 15 min" in event.words


# ---- the drain


@pytest.fixture
async def busy(world, tmp_path):
    """`busy(from_color)`: what a drain says in the embedded world, whose live colour is under load."""
    path = str(world.folder / "kubeconfig")
    connection = await Connection.open(kubeconfig=path, namespace="ml")
    settings = Settings(defaults=ServiceSettings(verify=Verify(deadline=20.0), watch=Watch(drain=0.4)))
    desk = Desk(Cluster(connection, path, "ml"), tmp_path, settings)
    plan = await desk.plan(Kind.SWITCH, "fraud-scorer")

    async def drained(color):
        op = begin(replace(plan, from_color=color), "ann", time.time())
        context = runner_of(desk, plan, op).context
        began = time.monotonic()
        event = await waiting.drain(context, replace(op, phase=Phase.DRAIN, phase_at=time.time()))
        await context.close()
        return event.words, time.monotonic() - began

    yield drained, plan
    await connection.close()


async def test_i4_a_drain_goes_on_while_the_colour_is_asked_and_no_longer_than_that(busy):
    drained, plan = busy
    words, took = await drained(plan.from_color)
    assert "and still gets" in words, words
    assert took >= waiting.LONGEST_DRAIN * 0.4
    words, _ = await drained(plan.to_color)
    assert "still gets" not in words


async def test_a_drain_goes_by_its_time_alone_where_nobody_can_say(desk):
    desk.settings = replace(desk.settings, defaults=replace(desk.settings.defaults, watch=Watch(drain=0.05)))
    runner = runner_of(desk, await desk.plan())
    runner.context.settings = desk.settings
    op = replace(runner.operation, phase=Phase.DRAIN, phase_at=time.time(), ending=Outcome.OPEN)
    words = (await waiting.drain(runner.context, op)).words
    assert words.startswith("blue had ")
    assert words.endswith(" s to drain")


# ---- evidence


async def test_i21_on_its_way_an_operation_stops_at_what_is_unknown(desk):
    runner = runner_of(desk, await desk.plan())
    for verdict in (Verdict.UNKNOWN, Verdict.FAIL):
        found = Gate("smoke", verdict, "nobody can say")
        event = proving._judged(runner.context, runner.operation, [found])
        assert isinstance(event, Failed), verdict
        waived = replace(runner.operation, waived=("smoke",))
        assert not isinstance(proving._judged(runner.context, waived, [found]), Failed)


async def test_i16_no_reason_waives_what_cannot_be_waived_or_what_the_place_requires(desk):
    runner = runner_of(desk, await desk.plan())
    waived = replace(runner.operation, waived=("smoke",))
    unfit = Gate("smoke", Verdict.FAIL, "500", waivable=False)
    assert isinstance(proving._judged(runner.context, waived, [unfit]), Failed)
    required = Environment(required_gates=("smoke",))
    runner.context.settings = replace(desk.settings, environments={"everywhere": required})
    assert isinstance(proving._judged(runner.context, waived, [replace(unfit, waivable=True)]), Failed)


async def test_i27_what_is_kept_in_the_cluster_of_an_operation_shows_no_secret(desk):
    op = begin(await desk.plan(), "ann", 0.0)
    body = {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}
    op = replace(op, plan=replace(op.plan, writes=(replace(op.plan.writes[0], body=body),)))
    await history.keep(desk.connection, op, await history.read(desk.connection, "ml", "fraud"))
    found = await desk.connection.get("/api/v1/namespaces/ml/configmaps/mlconsole-history-fraud")
    assert b"DB_PASSWORD" in found
    assert b"hunter2" not in found


def test_i27_a_secret_that_changed_is_told_without_either():
    before, after = ({"env": [{"name": "DB_PASSWORD", "value": value}]} for value in ("hunter2", "hunter3"))
    assert fresh.differences("template", before, after) == [
        ("template.env[DB_PASSWORD].value", "(hidden)", "(hidden, differs)")
    ]
