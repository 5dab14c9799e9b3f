"""What the plan of an adoption, and of its undoing, says and refuses; nothing is carried out here."""

import msgspec
import pytest

from mlconsole.cluster import fresh
from mlconsole.domain import adopting
from mlconsole.domain.deploying import COLOR_LABEL, OPERATION
from mlconsole.domain.history import Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError, Verdict
from mlconsole.domain.services import Shape
from mlconsole.engine.planning import beside

from .conftest import Desk, change

NAME, COPY = "eta", "eta-blue"
LABELS = {"app": NAME}
SCALERS = "/apis/autoscaling/v2/namespaces/ml/horizontalpodautoscalers"
HELM = "meta.helm.sh/release-name"


@pytest.fixture
async def plain(embedded, tmp_path, unanswered):
    """A plain service: one Deployment of two pods."""
    await embedded.deployment(NAME, LABELS, "5", 2)
    change_settled(embedded, NAME, 2)
    for number in range(2):
        await embedded.pod(f"{NAME}-{number}", LABELS)
    await embedded.service(NAME, LABELS)
    return Desk(embedded, tmp_path)


@pytest.fixture
async def adopted(plain):
    """The same, adopted: blue has the pods, the plain Deployment has none."""
    embedded = plain.cluster
    note = adopting.encode(adopting.Adopted(NAME, COPY, COLOR_LABEL, 2))
    change(plain, "deployments", NAME, {"metadata": {"annotations": {adopting.ADOPTED: note}}, "spec": {"replicas": 0}})
    await embedded.deployment(COPY, {**LABELS, COLOR_LABEL: "blue"}, "5", 2)
    change(plain, "deployments", COPY, {"metadata": {"annotations": {OPERATION: "abc"}}})
    change_settled(embedded, COPY, 2)
    for number in range(2):
        await embedded.delete(f"{embedded.core}/pods/{NAME}-{number}")
        await embedded.pod(f"{COPY}-{number}", {**LABELS, COLOR_LABEL: "blue"})
    change(plain, "services", NAME, {"spec": {"selector": {COLOR_LABEL: "blue"}}})
    return plain


def change_settled(cluster, name, pods):
    """Say of a Deployment what its controller would."""
    generation = cluster.store.get("deployments", "ml", name)["metadata"]["generation"]
    status = {"observedGeneration": generation, "replicas": pods, "updatedReplicas": pods}
    cluster.store.patch(
        "deployments", "ml", name, {"status": status}, "application/merge-patch+json", subresource="status"
    )


async def autoscaler(desk, name=NAME, **metadata):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
    }
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4, "metrics": [metric]}
    await desk.cluster.post(SCALERS, {"metadata": {"name": name, **metadata}, "spec": spec})


def stopping(plan):
    return [gate.name for gate in plan.gates if gate.stops]


async def test_what_an_adoption_does(plain):
    plan = await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    assert plan.dry_run == "accepted"
    assert not stopping(plan)
    assert [(write.phase, write.verb, write.label) for write in plan.writes] == [
        (Phase.BRING_UP, "patch", "deployments ml/eta"),
        (Phase.BRING_UP, "create", "deployments ml/eta-blue"),
        (Phase.SWITCH, "patch", "services ml/eta"),
        (Phase.RETIRE, "patch", "deployments ml/eta"),
    ]
    body = plan.writes[1].body
    assert body["metadata"]["annotations"][OPERATION] == plan.id
    assert body["spec"]["replicas"] == 2
    own = {adopting.SERVICE_LABEL: NAME, COLOR_LABEL: "blue"}
    assert body["spec"]["selector"] == {"matchLabels": own}, "without what the Service selects by: its pods can leave"
    template, before = body["spec"]["template"], (await deployment(plain, NAME))["spec"]["template"]
    assert template["spec"] == before["spec"], "the very pods, but for their label"
    assert template["metadata"]["labels"] == {**LABELS, **own}
    assert plan.write.patch[0] == {"op": "test", "path": "/spec/selector", "value": LABELS}
    assert plan.color_key == COLOR_LABEL
    assert plan.confirmation.value == "key"
    assert not any("preStop" in words for words in plan.warnings), "they leave the Service before they end"
    assert "--undo" in plan.way_back
    rights = {(right.verb, right.resource, right.name) for right in plan.rights}
    assert rights >= {
        ("create", "deployments.apps", ""),
        ("delete", "deployments.apps", COPY),
        ("patch", "deployments.apps", NAME),
        ("patch", "services", NAME),
        ("patch", "pods", ""),
    }


async def test_pods_that_cannot_leave_the_service_are_told_of(plain):
    labels = {adopting.SERVICE_LABEL: "x"}
    change(plain, "services", NAME, {"spec": {"selector": {**labels, "app": None}}})
    change(plain, "deployments", NAME, {"spec": {"template": {"metadata": {"labels": labels}}}})
    change_settled(plain.cluster, NAME, 2)
    for number in range(2, 4):
        await plain.cluster.pod(f"{NAME}-{number}", {**LABELS, **labels})
    plan = await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    assert any("preStop" in words for words in plan.warnings), plan.warnings


async def deployment(desk, name):
    return msgspec.json.decode(await desk.connection.get(f"{desk.cluster.apps}/deployments/{name}"))


async def test_an_autoscaler_is_pinned_copied_and_told(plain):
    await autoscaler(plain, labels={"team": "a", "argocd.argoproj.io/instance": "x"})
    plan = await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    assert plan.dry_run == "accepted"
    pin = plan.writes_of(Phase.PIN)[0]
    assert pin.patch[-1]["value"] == 2, "what scales by the wider selector takes no pod away meanwhile"
    (copy,) = (write for write in plan.writes_of(Phase.RETIRE) if write.body)
    assert plan.writes[-1] != copy, "the copy is scaled before the plain one is not any more"
    assert (copy.body["apiVersion"], copy.body["spec"]["scaleTargetRef"]["name"]) == ("autoscaling/v2", COPY)
    assert copy.body["spec"]["metrics"][0]["resource"]["name"] == "cpu"
    assert copy.body["metadata"]["labels"] == {"team": "a"}
    assert any("counts the pods of both" in words for words in plan.warnings)


async def test_what_somebodys_controller_scales_takes_a_reason(plain):
    await autoscaler(plain, labels={"scaledobject.keda.sh/name": "eta"})
    plan = await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    assert "autoscaler" in stopping(plan)
    assert not [write for write in plan.writes if write.body and write.resource == "horizontalpodautoscalers"]


async def test_foreign_owners_take_a_reason_and_do_not_own_the_copy(plain):
    metadata = {"annotations": {HELM: "eta"}, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    change(plain, "deployments", NAME, {"metadata": metadata})
    plan = await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    assert stopping(plan) == ["owners"]
    body = plan.writes[1].body
    assert HELM not in body["metadata"]["annotations"]
    assert body["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mlconsole"


async def test_a_rollout_under_way_takes_a_reason(plain):
    change(plain, "deployments", NAME, {"spec": {"replicas": 3}})
    assert stopping(await plain.planner.plan(Kind.ADOPT, "ml", NAME)) == ["rollout"]


@pytest.mark.parametrize(
    ("selector", "code"),
    [({"version": "v1"}, 2), ({**LABELS, "app.kubernetes.io/version": "5"}, 2), ({**LABELS, COLOR_LABEL: "red"}, 2)],
)
async def test_a_selector_that_colours_could_not_be_told_by_is_refused(plain, selector, code):
    change(plain, "services", NAME, {"spec": {"selector": {"app": None, **selector}}})
    change(plain, "deployments", NAME, {"spec": {"template": {"metadata": {"labels": {**LABELS, **selector}}}}})
    await plain.cluster.pod("there", {**LABELS, **selector})
    with pytest.raises(PlanError) as refused:
        await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    assert refused.value.exit_code == code
    assert refused.value.hint


async def test_what_is_no_plain_service_that_serves_is_refused(plain):
    change(plain, "deployments", NAME, {"spec": {"paused": True}})
    with pytest.raises(PlanError, match="is paused"):
        await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    change(plain, "deployments", NAME, {"spec": {"paused": False}})
    for number in range(2):
        await plain.cluster.pod_ready(f"{NAME}-{number}", ready=False)
    with pytest.raises(PlanError, match="no pod of Deployment eta is ready"):
        await plain.planner.plan(Kind.ADOPT, "ml", NAME)


async def test_what_was_never_adopted_cannot_be_given_back(plain):
    with pytest.raises(PlanError, match="was not adopted"):
        await plain.planner.plan(Kind.RELEASE, "ml", NAME)


async def test_an_adopted_service_is_blue_green_with_its_way_back_beside(adopted):
    with pytest.raises(PlanError, match="blue-green already") as refused:
        await adopted.planner.plan(Kind.ADOPT, "ml", NAME)
    assert refused.value.exit_code == 0
    read = (await adopted.planner.plan(Kind.RESTART, "ml", NAME, to_color="blue")).writes[0]
    assert read.name == COPY


async def test_what_the_undoing_does(adopted):
    plan = await adopted.planner.plan(Kind.RELEASE, "ml", NAME)
    assert plan.dry_run == "accepted"
    assert not stopping(plan)
    assert [(write.phase, write.verb, write.label) for write in plan.writes] == [
        (Phase.BRING_UP, "patch", "deployments ml/eta"),
        (Phase.SWITCH, "patch", "services ml/eta"),
        (Phase.RETIRE, "delete", "deployments ml/eta-blue"),
        (Phase.RETIRE, "patch", "services ml/eta"),
        (Phase.RETIRE, "patch", "deployments ml/eta"),
    ]
    assert (plan.from_color, plan.to_color, plan.replicas) == ("blue", "plain", 2)
    uid = (await deployment(adopted, COPY))["metadata"]["uid"]
    assert plan.writes[2].uid == uid
    assert plan.writes[3] in plan.arrivals


async def test_the_undoing_removes_nothing_that_has_pods_or_is_somebodys(adopted):
    labels = {**LABELS, COLOR_LABEL: "green"}
    await adopted.cluster.deployment("eta-green", labels, "6", 1)
    with pytest.raises(PlanError, match="eta-green was not made by mlconsole"):
        await adopted.planner.plan(Kind.RELEASE, "ml", NAME)
    change(adopted, "deployments", "eta-green", {"metadata": {"annotations": {OPERATION: "abc"}}})
    plan = await adopted.planner.plan(Kind.RELEASE, "ml", NAME)
    assert [(gate.name, gate.waivable) for gate in plan.gates if gate.stops] == [("idle", False)]
    change(adopted, "deployments", "eta-green", {"spec": {"replicas": 0}})
    assert not stopping(await adopted.planner.plan(Kind.RELEASE, "ml", NAME))


async def test_an_adoption_left_half_done_is_told_and_not_begun_again(adopted):
    change(adopted, "services", NAME, {"spec": {"selector": {COLOR_LABEL: None}}})
    with pytest.raises(PlanError, match="both colours get traffic") as refused:
        await adopted.planner.plan(Kind.ADOPT, "ml", NAME)
    assert refused.value.exit_code == 2
    change(adopted, "deployments", NAME, {"spec": {"replicas": 1}})
    with pytest.raises(PlanError, match="left half done: eta-blue is there already") as refused:
        await adopted.planner.plan(Kind.ADOPT, "ml", NAME)
    assert "kubectl -n ml delete deployment eta-blue" in refused.value.hint


async def test_who_else_goes_by_the_labels_is_told(plain):
    await plain.cluster.service("eta-metrics", LABELS)
    await plain.cluster.service("other", {"app": "other"})
    plan = await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    assert [words for words in plan.warnings if "Service eta-metrics selects the same pods" in words]
    service = (await fresh.read(plain.connection, "ml", NAME)).service
    assert service.shape is Shape.PLAIN
    budgets = [
        {"metadata": {"name": name}, "spec": {"selector": selector}}
        for name, selector in (
            ("mine", {"matchLabels": LABELS}),
            ("others", {"matchLabels": {"app": "other"}}),
            ("some", {"matchExpressions": [{"key": "app", "operator": "In", "values": [NAME, "x"]}]}),
            ("none", {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
        )
    ]
    words = beside.Around(tuple(budgets), ()).warnings(service, {**LABELS, COLOR_LABEL: "blue"})
    assert words == ("disruption budget mine, some counts the pods of both while there are two, and of both colours",)
    assert len(beside.Around(None, None).warnings(service, LABELS)) == 2, "what could not be looked at is told"


async def test_a_gate_says_what_scales_from_zero(plain):
    await autoscaler(
        plain,
        ownerReferences=[
            {"apiVersion": "keda.sh/v1", "kind": "ScaledObject", "name": "eta", "uid": "u", "controller": True}
        ],
    )
    plan = await plain.planner.plan(Kind.ADOPT, "ml", NAME)
    (gate,) = (gate for gate in plan.gates if gate.name == "autoscaler")
    assert (gate.verdict, gate.value) == (Verdict.FAIL, "ScaledObject eta scales eta, also from 0")
