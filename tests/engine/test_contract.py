"""Plan, dry run, switch, rollback and refusals on both clusters: the embedded API server and a real one."""

import asyncio

import msgspec
import pytest
import yaml

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import NotFound
from mlconsole.demo.controllers.deployment import Deployments
from mlconsole.demo.controllers.replicaset import ReplicaSets
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.plans import PlanError
from mlconsole.engine import verify

from .conftest import DAY, Desk, move, settle


@pytest.fixture
async def place(cluster, tmp_path, unanswered):
    """Blue v12 live, green v13 idle, on each of the two clusters; neither has a pod that answers."""
    await cluster.blue_green()
    await settle(cluster)
    return Desk(cluster, tmp_path)


def stopping(plan):
    return [gate.name for gate in plan.stopping()]


async def test_a_switch_and_the_way_back(place):
    plan = await place.plan()
    assert (plan.dry_run, plan.missing_rights, stopping(plan)) == ("accepted", (), ["answers"])
    assert (await place.selector())["color"] == "blue", "a plan changes nothing"
    record = await place.carry_out(plan)
    assert (record.outcome, (await place.selector())["color"]) == (Outcome.UNVERIFIED, "green")
    back = await place.plan(Kind.ROLLBACK)
    assert (back.to_color, stopping(back)) == ("blue", [])
    await place.carry_out(back, waived=())
    assert (await place.selector())["color"] == "blue"
    assert [(item.kind, item.outcome) for item in await place.records()] == [
        (Kind.SWITCH, Outcome.UNVERIFIED),
        (Kind.ROLLBACK, Outcome.UNVERIFIED),
    ]
    with pytest.raises(PlanError, match="itself rolled back from"):
        await place.plan(Kind.ROLLBACK)


async def test_a_concurrent_patch_of_the_selector_wins_and_is_not_written_over(place, last_moment):
    plan, order = await place.plan(), []

    async def theirs(_):
        order.append("theirs first")
        path, body = f"{place.cluster.core}/services/fraud", {"spec": {"selector": {"color": "green", "tier": "gold"}}}
        await place.cluster.merge(path, body)

    last_moment(plan, theirs)
    with pytest.raises(PlanError) as refused:
        await place.carry_out(plan)
    assert (refused.value.exit_code, order) == (4, ["theirs first"])
    assert await place.selector() == {"app": "fraud", "color": "green", "tier": "gold"}


async def test_of_many_consoles_one_moves_the_traffic(place, tmp_path):
    desks = [Desk(place.cluster, tmp_path / str(number)) for number in range(4)]
    plans = [await desk.plan() for desk in desks]
    results = await asyncio.gather(
        *(desk.carry_out(plan) for desk, plan in zip(desks, plans, strict=True)), return_exceptions=True
    )
    assert sum(isinstance(result, PlanError) for result in results) == 3, results
    assert {result.exit_code for result in results if isinstance(result, PlanError)} == {4}
    moved = [record for record in await place.records() if record.outcome is not Outcome.FAILED]
    assert len(moved) == 1
    assert (await place.selector())["color"] == "green"


async def test_a_service_made_anew_is_refused_by_the_server_itself(place, last_moment):
    plan = await place.plan()
    path = f"{place.cluster.core}/services/fraud"

    async def again(_):
        await place.cluster.delete(path)
        await place.cluster.service("fraud", {"app": "fraud", "color": "blue"})

    last_moment(plan, again)
    with pytest.raises(PlanError, match="made anew") as refused:
        await place.carry_out(plan)
    assert refused.value.exit_code == 4
    assert (await place.selector())["color"] == "blue"


async def test_a_known_good_colour_needs_no_reason(place):
    await place.remember(move(place.cluster, 1, Kind.SWITCH, "blue", "green", 2 * DAY))
    await place.remember(move(place.cluster, 2, Kind.SWITCH, "green", "blue", DAY))
    plan = await place.plan(Kind.ROLLBACK)
    assert (plan.to_color, plan.reason_required) == ("green", False)


async def test_nothing_and_what_is_no_model_service_are_told_apart(place):
    with pytest.raises(NotFound):
        await place.plan(service="nobody")
    await place.cluster.service("headless", None)
    with pytest.raises(PlanError, match="no selector") as refused:
        await place.plan(service="headless")
    assert refused.value.exit_code == 2


async def test_a_reader_is_told_what_is_missing_before_anything_is_sent(place, cluster, tmp_path):
    connection = await reader(cluster, tmp_path)
    looking = Desk(cluster, tmp_path, connection=connection)
    plan = await looking.plan()
    assert ("patch", "services") in {(right.verb, right.resource) for right in plan.missing_rights}
    with pytest.raises(PlanError, match="may not patch services") as refused:
        await looking.carry_out(plan)
    assert refused.value.exit_code == 3
    assert await place.records() == []
    await connection.close()


async def reader(cluster, tmp_path):
    """A connection of somebody who may look and not touch."""
    path = tmp_path / "reader"
    if cluster.store is not None:
        path.write_text(cluster.server.kubeconfig("t-reader"))
        return await Connection.open(kubeconfig=str(path), namespace=cluster.namespace)
    account = f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts/default/token"
    made = msgspec.json.decode(await cluster.post(account, {"apiVersion": "authentication.k8s.io/v1", "spec": {}}))
    binding = {
        "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": cluster.namespace}],
    }
    await cluster.post(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}/rolebindings", binding)
    with open(cluster.kubeconfig) as file:  # noqa: ASYNC230
        config = yaml.safe_load(file)
    context = next(item for item in config["contexts"] if item["name"] == config["current-context"])
    config["users"] = [{"name": context["context"]["user"], "user": {"token": made["status"]["token"]}}]
    path.write_text(yaml.safe_dump(config))
    return await Connection.open(kubeconfig=str(path), namespace=cluster.namespace)


@pytest.fixture
async def plain(cluster, tmp_path, unanswered):
    """A plain service whose Deployment was shipped twice: v1, then v2."""
    controllers = [kind(cluster.store).loop.run() for kind in (Deployments, ReplicaSets)] if cluster.store else []
    tasks = [asyncio.create_task(run) for run in controllers]
    labels = {"app": "eta"}
    path = f"{cluster.apps}/deployments/eta"
    await cluster.deployment("eta", labels, "1")
    await cluster.service("eta", labels)
    await observed(cluster, path, 1)
    env = [{"name": "MODEL_VERSION", "value": "2"}, {"name": "API_TOKEN", "value": "hunter2-hunter2"}]
    container = {"name": "model", "image": "registry.local/eta:2", "env": env}
    await cluster.merge(path, {"spec": {"template": {"spec": {"containers": [container]}}}})
    await observed(cluster, path, 2)
    yield Desk(cluster, tmp_path)
    for task in tasks:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def observed(cluster, path, revision):
    """Until the Deployment's controller has made its ReplicaSet."""
    async with asyncio.timeout(60):
        while True:
            found = msgspec.json.decode(await cluster.connection.get(path))
            seen = (found.get("status") or {}).get("observedGeneration", 0) >= found["metadata"]["generation"]
            annotations = found["metadata"].get("annotations") or {}
            if seen and annotations.get("deployment.kubernetes.io/revision") == str(revision):
                return found
            await asyncio.sleep(0.02)


async def test_a_plain_service_goes_back_to_a_revision_and_not_to_the_bad_one(plain, monkeypatch):
    monkeypatch.setattr(verify, "ROLLOUT_SECONDS", 0.3)
    path = f"{plain.cluster.apps}/deployments/eta"
    plan = await plain.plan(Kind.ROLLBACK, "eta")
    assert (plan.revision, plan.from_revision, plan.dry_run) == (1, 2, "accepted")
    assert "hunter2" not in repr(plan.diffs)
    assert (plan.from_release.version, plan.to_release.version) == ("2", "1")
    await plain.carry_out(plan, waived=())
    found = await observed(plain.cluster, path, 3)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.local/eta:1"
    assert "pod-template-hash" not in found["spec"]["template"]["metadata"]["labels"]
    with pytest.raises(PlanError, match="itself rolled back from"):
        await plain.plan(Kind.ROLLBACK, "eta")
    named = await plain.plan(Kind.ROLLBACK, "eta", revision=2)
    assert [gate.name for gate in named.stopping()] == ["quarantine"]
    with pytest.raises(PlanError, match="no earlier revision 1"):
        await plain.plan(Kind.ROLLBACK, "eta", revision=1)


async def test_a_template_that_changed_meanwhile_is_not_written_over(plain):
    path = f"{plain.cluster.apps}/deployments/eta"
    plan = await plain.plan(Kind.ROLLBACK, "eta")
    await plain.cluster.merge(path, {"spec": {"template": {"metadata": {"annotations": {"note": "x"}}}}})
    with pytest.raises(PlanError, match="not what the plan saw") as refused:
        await plain.carry_out(plan, waived=())
    assert refused.value.exit_code == 4


async def test_a_paused_rollout_is_said_to_be_paused(plain):
    await plain.cluster.merge(f"{plain.cluster.apps}/deployments/eta", {"spec": {"paused": True}})
    with pytest.raises(PlanError, match="paused") as refused:
        await plain.plan(Kind.ROLLBACK, "eta")
    assert "kubectl rollout resume deployment/eta" in refused.value.hint
