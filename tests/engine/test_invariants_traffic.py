"""Where traffic may go, and when it has arrived (I1 to I4), each with the guard that keeps it."""

import pytest

from mlconsole.cluster.connection import Connection
from mlconsole.config import ServiceSettings, Settings, Verify
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.plans import FRESH_SECONDS, PlanError, Verdict
from mlconsole.engine import answers, verify

from .conftest import Cluster, Desk, change, listening, unready


def gate(plan, name):
    return next(gate for gate in plan.gates if gate.name == name)


async def test_i1_a_colour_without_a_ready_pod_gets_no_traffic_whatever_is_waived(desk):
    unready(desk, "fraud-green-0", "fraud-green-1")
    plan = await desk.plan()
    assert gate(plan, "capacity").verdict is Verdict.FAIL
    with pytest.raises(PlanError, match="capacity FAIL: 0 ready, needed 2 or more") as refused:
        await desk.carry_out(plan, waived=("capacity", "answers"))
    assert refused.value.exit_code == 6
    assert (await desk.selector())["color"] == "blue"


async def test_i1_capacity_is_read_again_before_the_write(desk):
    plan = await desk.plan()
    unready(desk, "fraud-green-0", "fraud-green-1")
    with pytest.raises(PlanError, match="green has 0 ready") as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 6
    assert await desk.records() == []


async def test_i1_what_was_read_more_than_five_seconds_ago_is_read_again(desk):
    """The record took its time, and meanwhile the pods went away."""
    plan = await desk.plan()

    def late():
        desk.clock.ahead += FRESH_SECONDS + 1
        unready(desk, "fraud-green-0", "fraud-green-1")

    with pytest.raises(PlanError, match="green has 0 ready"):
        await desk.carry_out(plan, at="record", then=late)
    assert (await desk.selector())["color"] == "blue"
    assert [record.outcome for record in await desk.records()] == [Outcome.FAILED]


async def test_i1_a_shortage_is_waived_with_a_reason_only(desk):
    unready(desk, "fraud-green-0")
    plan = await desk.plan()
    with pytest.raises(PlanError, match="a reason is needed") as refused:
        await desk.carry_out(plan, waived=("capacity", "answers"), reason="  ")
    assert refused.value.exit_code == 2
    record = await desk.carry_out(plan, waived=("capacity", "answers", "made-up"))
    assert record.waived == ("capacity", "answers")
    assert (await desk.selector())["color"] == "green"


async def test_i1_an_autoscalers_minimum_counts(desk):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "fraud-green"}
    body = {"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 5}}
    path = "/apis/autoscaling/v2/namespaces/ml/horizontalpodautoscalers"
    await desk.cluster.post(path, {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", **body})
    found = gate(await desk.plan(), "capacity")
    assert (found.verdict, found.limit) == (Verdict.FAIL, "3 or more")


async def test_i1_a_colour_in_the_middle_of_a_rollout_is_two_releases(desk):
    change(desk, "deployments", "fraud-green", {"metadata": {"labels": {"x": "y"}}, "spec": {"minReadySeconds": 0}})
    change(desk, "deployments", "fraud-green", {"spec": {"replicas": 2}})
    found = gate(await desk.plan(), "rollout")
    assert (found.verdict, found.stops) == (Verdict.FAIL, True)
    assert not gate(await desk.plan(Kind.ROLLBACK), "rollout").stops


async def test_i2_a_selector_that_names_no_colour_is_never_promoted_by_itself(desk):
    change(desk, "services", "fraud", {"spec": {"selector": {"color": None}}})
    with pytest.raises(PlanError, match="no single idle colour"):
        await desk.plan(Kind.SWITCH)
    with pytest.raises(PlanError, match="no single idle colour"):
        await desk.plan(Kind.ROLLBACK)
    plan = await desk.plan(Kind.ROLLBACK, to_color="blue")
    assert plan.reason_required
    await desk.carry_out(plan)
    assert await desk.selector() == {"app": "fraud", "color": "blue"}


async def test_i2_a_selector_that_names_a_colour_that_is_not_there_is_put_right(desk):
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "purple"}}})
    await desk.carry_out(await desk.plan(Kind.SWITCH, to_color="green"))
    assert await desk.selector() == {"app": "fraud", "color": "green"}


async def test_i2_another_label_that_came_meanwhile_is_not_written_over(desk):
    plan = await desk.plan()
    change(desk, "services", "fraud", {"spec": {"selector": {"tier": "gold"}}})
    with pytest.raises(PlanError) as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 4
    assert await desk.selector() == {"app": "fraud", "color": "blue", "tier": "gold"}


async def test_i3_accepted_is_not_arrived(desk):
    record = await desk.carry_out(await desk.plan())
    assert (await desk.selector())["color"] == "green"
    assert (record.outcome, record.verified_at) == (Outcome.UNVERIFIED, 0.0)
    assert [item.outcome for item in await desk.records()] == [Outcome.UNVERIFIED]


@pytest.fixture
async def served(world, tmp_path):
    """A desk in the embedded world: there, what a switch moves can be asked who it is."""
    path = str(world.folder / "kubeconfig")
    connection = await Connection.open(kubeconfig=path, namespace="ml")
    settings = Settings(defaults=ServiceSettings(verify=Verify(deadline=20.0)))
    yield Desk(Cluster(connection, path, "ml"), tmp_path, settings)
    await connection.close()


async def test_i3_done_means_that_requests_were_answered_by_the_other_version(served, world):
    counts = world.load.counts["ml/fraud-scorer"]
    plan = await served.plan(Kind.SWITCH, "fraud-scorer")
    assert [(gate.name, gate.verdict) for gate in plan.gates if gate.stops] == []
    record = await served.carry_out(plan, waived=())
    assert record.outcome is Outcome.VERIFIED
    read = await verify.fresh.read(served.connection, "ml", "fraud-scorer")
    answer = await answers.through_service(served.connection, read.service, "/health", plan.to_release)
    assert answer.match is answers.Match.SAME
    back = await served.plan(Kind.ROLLBACK, "fraud-scorer")
    assert (back.to_color, back.reason_required) == ("green", False)
    again = await served.carry_out(back, waived=(), reason="", typed="")
    assert again.outcome is Outcome.VERIFIED
    assert (counts.failed, counts.refused) == (0, 0), counts.failures


async def test_i3_an_answer_by_another_version_is_no_arrival(served, monkeypatch):
    """The endpoints are all of the new colour, and what answers says that it is another version."""
    plan = await served.plan(Kind.SWITCH, "fraud-scorer")
    other = answers.Release(model="fraud-scorer", version="99")

    async def asked(connection, service, path, expected, timeout=None):
        return await through(connection, service, path, other, timeout)

    through = answers.through_service
    monkeypatch.setattr(answers, "through_service", asked)
    monkeypatch.setattr(verify, "PAUSE", 0.01)
    short = Settings(defaults=ServiceSettings(verify=Verify(deadline=1.0)))
    served.settings = short
    record = await served.carry_out(plan, waived=())
    assert record.outcome is Outcome.UNVERIFIED


async def test_i3_the_revision_of_a_plain_deployment_is_waited_for(served):
    plan = await served.plan(Kind.ROLLBACK, "eta")
    assert (plan.revision, plan.from_revision, plan.to_release.version) == (1, 2, "4")
    record = await served.carry_out(plan)
    assert record.outcome is Outcome.VERIFIED, record.message
    with pytest.raises(PlanError, match="itself rolled back from"):
        await served.plan(Kind.ROLLBACK, "eta")
    named = await served.plan(Kind.ROLLBACK, "eta", revision=2)
    assert [(gate.name, gate.waivable) for gate in named.stopping()] == [("quarantine", True)]


WRITTEN = {"/api/v1/namespaces/ml/services/fraud", "/api/v1/namespaces/ml/configmaps", "/api/v1/namespaces/ml/events"}
LOCK = "/apis/coordination.k8s.io/v1/namespaces/ml/leases"


async def test_i4_nothing_is_changed_but_the_selector_and_the_records(good):
    """The old colour keeps its pods: no code path scales, edits or deletes a Deployment of it."""

    def generations():
        found = (good.cluster.store.get("deployments", "ml", f"fraud-{color}") for color in ("blue", "green"))
        return [item["metadata"]["generation"] for item in found]

    before = generations()
    with listening(good) as heard:
        await good.do(Kind.ROLLBACK)
    changed = {(method, path) for method, path in heard if method != "GET" and "selfsubject" not in path}
    paths = {path.removesuffix("/mlconsole-history-fraud").removesuffix("/mlconsole-fraud") for _, path in changed}
    assert paths == WRITTEN | {LOCK}
    assert {method for method, _ in changed} <= {"PATCH", "POST", "PUT"}
    assert generations() == before
