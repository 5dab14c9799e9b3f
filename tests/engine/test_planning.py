"""Plans of what is done to one colour, and of the way back to what is cold: on an API server alone."""

import json
import time

import pytest
from msgspec.structs import replace

from mlconsole.cluster import history
from mlconsole.cluster.history import TEMPLATES
from mlconsole.config import ServiceSettings, Settings, Verify
from mlconsole.configoperations import Deploy
from mlconsole.domain import deploying
from mlconsole.domain.history import Kind, Template, encode_templates
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError, Verdict
from mlconsole.engine.planner import Wish

from .conftest import DAY, Desk, change, move, release, settle

QUIET = Settings(defaults=ServiceSettings(verify=Verify(deadline=0.3), deploy=Deploy(resolve=False)))
IMAGE = "registry.local/fraud:14"
V14 = Wish(version="14", image=IMAGE)


@pytest.fixture
async def desk(embedded, tmp_path, unanswered):
    """Blue v12 live, green v13 idle, two pods each; no digest is looked up."""
    await embedded.blue_green()
    await settle(embedded)
    scale(embedded, "fraud-blue", 2)
    scale(embedded, "fraud-green", 2)
    return Desk(embedded, tmp_path, QUIET)


def scale(cluster, name, replicas):
    from mlconsole.demo.apiserver.patches import MERGE

    cluster.store.patch("deployments", "ml", name, {"spec": {"replicas": replicas}}, MERGE)
    found = cluster.store.find("deployments", "ml", name)
    status = {"observedGeneration": found["metadata"]["generation"], "updatedReplicas": replicas}
    cluster.store.patch("deployments", "ml", name, {"status": status}, MERGE, subresource="status")


async def remove(desk, name, *pods):
    await desk.cluster.delete(f"{desk.cluster.apps}/deployments/{name}")
    for pod in pods:
        await desk.cluster.delete(f"{desk.cluster.core}/pods/{pod}")


def phases_of(plan):
    return [write.phase for write in plan.writes]


# ---- deploy


async def test_a_deploy_patches_the_idle_colour_and_leaves_the_traffic(desk):
    plan = await desk.plan(Kind.DEPLOY, wish=V14)
    assert (plan.from_color, plan.to_color, plan.to_release.version, plan.replicas) == ("blue", "green", "14", 2)
    assert phases_of(plan) == [Phase.BRING_UP]
    assert plan.writes[0].name == "fraud-green"
    assert plan.route == (Phase.LOCK, Phase.RECORD, Phase.BRING_UP, Phase.READY, Phase.RESTORE)
    assert plan.dry_run == "accepted"
    assert not plan.stopping()
    assert not plan.missing_rights
    shown = {diff.path: (diff.before, diff.after) for diff in plan.diffs}
    assert shown["template.spec.containers[model].image"] == ("registry.local/fraud-green:13", IMAGE)
    assert any("run and commit of v14 are not known" in words for words in plan.warnings)
    assert "deploy.resolve is off" in " ".join(plan.warnings)


async def test_deploy_and_switch_is_one_plan(desk):
    plan = await desk.plan(Kind.DEPLOY, wish=replace(V14, go_on=True))
    assert phases_of(plan) == [Phase.BRING_UP, Phase.SWITCH]
    assert plan.write.resource == "services"
    assert {Phase.BRING_UP, Phase.READY, Phase.SWITCH, Phase.VERIFY} <= set(plan.route)
    assert plan.diffs[0].path == "spec.selector[color]"


async def test_the_other_colour_is_made_where_there_is_none(desk):
    await remove(desk, "fraud-green", "fraud-green-0", "fraud-green-1")
    plan = await desk.plan(Kind.DEPLOY, wish=replace(V14, go_on=True))
    made = plan.writes[0]
    assert (made.verb, made.name, made.phase) == ("create", "fraud-green", Phase.BRING_UP)
    assert made.body["metadata"]["annotations"][deploying.OPERATION] == plan.id
    assert made.body["spec"]["replicas"] == 2
    assert made.body["spec"]["selector"]["matchLabels"] == {"app": "fraud", "color": "green"}
    assert plan.write.patch[-1]["value"] == "green"
    assert plan.dry_run == "accepted"
    rights = {(right.verb, right.resource) for right in plan.rights}
    assert {("create", "deployments"), ("delete", "deployments")} <= {
        (verb, resource.partition(".")[0]) for verb, resource in rights
    }


@pytest.mark.parametrize(
    ("more", "words", "code"),
    [
        ({"to_color": "blue"}, "nothing is deployed under traffic", 6),
        ({"to_color": "red"}, "has no colour red", 2),
        ({"wish": Wish()}, "no version to deploy", 2),
        ({"wish": Wish(version="14")}, "no registry is configured", 5),
        ({"wish": Wish(version="13", image="registry.local/fraud-green:13", replicas=2)}, "has v13", 0),
    ],
)
async def test_deploys_that_cannot_be(desk, more, words, code):
    if code == 0:
        plan = await desk.plan(Kind.DEPLOY, wish=more["wish"])
        write = plan.writes[0]
        desk.cluster.store.patch("deployments", "ml", write.name, list(write.patch), "application/json-patch+json")
    with pytest.raises(PlanError, match=words) as refused:
        await desk.plan(Kind.DEPLOY, **({"wish": V14} | more))
    assert refused.value.exit_code == code


async def test_a_paused_idle_colour_is_not_deployed_to(desk):
    change(desk, "deployments", "fraud-green", {"spec": {"paused": True}})
    with pytest.raises(PlanError, match="is paused") as refused:
        await desk.plan(Kind.DEPLOY, wish=V14)
    assert "unpause" in refused.value.hint


async def test_i16_a_release_that_was_rolled_back_from_takes_a_reason_to_deploy(desk):
    bad = replace(release("green"), version="14", image=IMAGE, digest="")
    await desk.remember(move(desk.cluster, 1, Kind.ROLLBACK, "green", "blue", 60.0, from_release=bad))
    for go_on in (False, True):
        plan = await desk.plan(Kind.DEPLOY, wish=replace(V14, go_on=go_on))
        assert [(gate.name, gate.waivable) for gate in plan.stopping()] == [("quarantine", True)]


async def test_i4_the_way_back_is_held_for_as_long_as_the_service_asks(good, tmp_path):
    kept = replace(QUIET, defaults=replace(QUIET.defaults, keep_warm=7200.0))
    desk = Desk(good.cluster, tmp_path / "other", kept)
    plan = await desk.plan(Kind.DEPLOY, wish=V14)
    assert plan.to_color == "blue"
    assert [gate.name for gate in plan.stopping()] == ["retention"]
    assert not plan.stopping(["retention"])
    quiet = Desk(good.cluster, tmp_path / "third", QUIET)
    plan = await quiet.plan(Kind.DEPLOY, wish=V14)
    assert not plan.stopping()
    assert any("blue holds v12, the last known good" in words for words in plan.warnings)


# ---- scale, restart, pause


async def test_scaling_one_colour(desk):
    plan = await desk.plan(Kind.SCALE, to_color="green", wish=Wish(replicas=5))
    assert [(diff.path, diff.before, diff.after) for diff in plan.diffs] == [("replicas", "2", "5")]
    assert (plan.replicas, phases_of(plan), plan.moves_traffic) == (5, [Phase.BRING_UP], False)
    assert Phase.READY in plan.route
    assert not plan.stopping()
    assert Phase.READY not in (await desk.plan(Kind.SCALE, to_color="green", wish=Wish(replicas=0))).route


@pytest.mark.parametrize(
    ("kind", "color", "wish", "words", "code"),
    [
        (Kind.SCALE, "blue", Wish(replicas=0), "nobody answers", 6),
        (Kind.SCALE, "green", Wish(replicas=2), "nothing to change", 0),
        (Kind.SCALE, "green", Wish(), "how many pods", 2),
        (Kind.SCALE, "", Wish(replicas=3), "has 2 colours", 2),
        (Kind.RESTART, "red", Wish(), "no colour red", 2),
        (Kind.UNPAUSE, "green", Wish(), "not paused", 0),
    ],
)
async def test_what_is_not_done_to_a_colour(desk, kind, color, wish, words, code):
    with pytest.raises(PlanError, match=words) as refused:
        await desk.plan(kind, to_color=color, wish=wish)
    assert refused.value.exit_code == code


async def test_i1_fewer_live_pods_take_a_reason(desk):
    plan = await desk.plan(Kind.SCALE, to_color="blue", wish=Wish(replicas=1))
    assert [(gate.name, gate.verdict, gate.waivable) for gate in plan.stopping()] == [("capacity", Verdict.FAIL, True)]


async def test_i4_the_last_known_good_is_not_scaled_down_without_a_reason(good):
    scale(good.cluster, "fraud-blue", 2)
    plan = await good.plan(Kind.SCALE, to_color="blue", wish=Wish(replicas=1))
    assert [gate.name for gate in plan.stopping()] == ["way-back"]
    assert not (await good.plan(Kind.SCALE, to_color="blue", wish=Wish(replicas=4))).stopping()


async def test_what_an_autoscaler_would_undo_is_told(desk):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "fraud-green"}
    body = {"metadata": {"name": "fraud-green"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4}}
    await desk.cluster.post("/apis/autoscaling/v2/namespaces/ml/horizontalpodautoscalers", body)
    plan = await desk.plan(Kind.SCALE, to_color="green", wish=Wish(replicas=6))
    assert [gate.name for gate in plan.stopping()] == ["autoscaler"]
    plan = await desk.plan(Kind.SCALE, to_color="green", wish=Wish(replicas=3))
    assert not plan.stopping()
    assert any("goes on deciding" in words for words in plan.warnings)
    for replicas, stops in ((6, ["autoscaler"]), (1, ["autoscaler"]), (3, []), (-1, [])):
        plan = await desk.plan(Kind.DEPLOY, wish=Wish("14", IMAGE, replicas))
        assert [gate.name for gate in plan.stopping()] == stops, replicas


@pytest.mark.parametrize("kind", [Kind.RESTART, Kind.PAUSE])
async def test_restart_and_pause_are_tested_patches_of_one_colour(desk, kind):
    plan = await desk.plan(kind, to_color="blue")
    assert plan.dry_run == "accepted"
    assert plan.writes[0].name == "fraud-blue"
    assert not plan.stopping()
    assert plan.writes[0].patch[0]["op"] == "test"


async def test_a_pause_can_be_taken_back(desk):
    change(desk, "deployments", "fraud-green", {"spec": {"paused": True}})
    plan = await desk.plan(Kind.UNPAUSE, to_color="green")
    assert plan.dry_run == "accepted"
    assert plan.writes[0].patch[-1] == {"op": "remove", "path": "/spec/paused"}
    with pytest.raises(PlanError, match="is paused"):
        await desk.plan(Kind.RESTART, to_color="green")


async def test_i4_a_restart_that_ends_every_live_pod_first_takes_a_reason(desk):
    change(desk, "deployments", "fraud-blue", {"spec": {"strategy": {"type": "Recreate"}}})
    assert [gate.name for gate in (await desk.plan(Kind.RESTART, to_color="blue")).stopping()] == ["interruption"]


# ---- the way back, cold


async def test_i15_what_is_warm_is_taken_as_it_is(good):
    plan = await good.plan(Kind.ROLLBACK)
    assert (phases_of(plan), plan.cold) == ([Phase.SWITCH], "")


async def test_i15_what_is_scaled_down_is_scaled_up_first(good):
    scale(good.cluster, "fraud-blue", 0)
    scale(good.cluster, "fraud-green", 2)
    for pod in ("fraud-blue-0", "fraud-blue-1"):
        await good.cluster.delete(f"{good.cluster.core}/pods/{pod}")
    plan = await good.plan(Kind.ROLLBACK)
    assert phases_of(plan) == [Phase.BRING_UP, Phase.SWITCH]
    assert (plan.to_color, plan.replicas, plan.to_release.version) == ("blue", 2, "12")
    assert plan.cold.startswith("blue v12 is scaled to 0: 2 pods have to come up first, ~")
    assert any("until then the traffic stays on green v13" in words for words in plan.warnings)
    assert plan.expected_seconds > 1
    order = [phase for phase in plan.route if phase in (Phase.BRING_UP, Phase.READY, Phase.SWITCH)]
    assert order == [Phase.BRING_UP, Phase.READY, Phase.SWITCH]
    assert not plan.stopping()
    named = await good.plan(Kind.ROLLBACK, to_color="blue")
    assert (phases_of(named), named.reason_required) == ([Phase.BRING_UP, Phase.SWITCH], False)


async def test_i15_what_was_replaced_comes_out_of_its_old_replica_set(good):
    store = good.cluster.store
    owner = store.find("deployments", "ml", "fraud-blue")
    template = owner["spec"]["template"]
    labels = {**template["metadata"]["labels"], deploying.HASH: "abc"}
    await good.cluster.post(
        f"{good.cluster.apps}/replicasets",
        {
            "metadata": {
                "name": "fraud-blue-abc",
                "annotations": {"deployment.kubernetes.io/revision": "1"},
                "labels": labels,
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": "fraud-blue",
                        "uid": owner["metadata"]["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
            },
        },
    )
    deploy_over(good, "fraud-blue", "99")
    plan = await good.plan(Kind.ROLLBACK)
    assert "made of an old ReplicaSet of fraud-blue" in plan.cold
    write = plan.writes_of(Phase.BRING_UP)[0]
    put = next(step["value"] for step in write.patch if step["op"] == "replace" and step["path"] == "/spec/template")
    assert put["spec"] == template["spec"]
    assert deploying.HASH not in put["metadata"]["labels"]
    assert plan.to_release.same_as(release("blue"))
    assert (plan.to_color, plan.dry_run) == ("blue", "accepted")


def deploy_over(desk, name, version):
    """Another release in the place of what stood there, and no pod of it ready."""
    container = {"name": "model", "image": f"registry.local/{name}:{version}"}
    container["env"] = [{"name": "MODEL_VERSION", "value": version}]
    change(desk, "deployments", name, {"spec": {"template": {"spec": {"containers": [container]}}}})


async def keep_template(desk, color):
    """The template of a colour, kept in the history as a verified move keeps it."""
    template = desk.cluster.store.find("deployments", "ml", f"fraud-{color}")["spec"]["template"]
    kept = encode_templates({}, [Template(release(color), template, 1.0)])
    past = await history.read(desk.connection, "ml", "fraud")
    await history.append(desk.connection, [past.records[-1]], past, more={TEMPLATES: kept})
    return template


async def test_i15_what_is_gone_is_made_of_the_template_that_the_history_keeps(good):
    template = await keep_template(good, "blue")
    await remove(good, "fraud-blue", "fraud-blue-0", "fraud-blue-1")
    plan = await good.plan(Kind.ROLLBACK)
    made = plan.writes_of(Phase.BRING_UP)[0]
    assert (made.verb, made.name) == ("create", "fraud-blue")
    assert made.body["spec"]["template"]["spec"] == template["spec"]
    assert made.body["spec"]["selector"]["matchLabels"] == {"app": "fraud", "color": "blue"}
    assert "made of the template in the history" in plan.cold
    assert (plan.to_color, plan.dry_run, plan.stopping()) == ("blue", "accepted", ())


async def test_i14_what_nothing_is_left_of_and_what_is_bad_is_never_brought_up(good):
    await remove(good, "fraud-blue", "fraud-blue-0", "fraud-blue-1")
    with pytest.raises(PlanError, match="stands on no idle colour"):
        await good.plan(Kind.ROLLBACK)
    await keep_template_of_bad(good)
    with pytest.raises(PlanError, match=r"stands on no idle colour|nothing was deployed"):
        await good.plan(Kind.ROLLBACK)


async def keep_template_of_bad(desk):
    """Blue was rolled back from in the meantime; its template is still kept."""
    template = desk.cluster.store.find("deployments", "ml", "fraud-green")["spec"]["template"]
    kept = encode_templates({}, [Template(release("blue"), template, 1.0)])
    past = await history.read(desk.connection, "ml", "fraud")
    bad = move(desk.cluster, 9, Kind.ROLLBACK, "blue", "green", 30.0)
    await history.append(desk.connection, [bad], past, more={TEMPLATES: kept})


async def test_a_named_cold_colour_without_a_record_takes_a_reason(desk):
    scale(desk.cluster, "fraud-green", 0)
    plan = await desk.plan(Kind.ROLLBACK, to_color="green")
    assert plan.reason_required
    assert phases_of(plan) == [Phase.BRING_UP, Phase.SWITCH]
    with pytest.raises(PlanError, match="is on blue already"):
        await desk.plan(Kind.ROLLBACK, to_color="blue")


async def test_a_service_with_one_colour_says_what_to_do(desk):
    await remove(desk, "fraud-green", "fraud-green-0", "fraud-green-1")
    for kind in (Kind.SWITCH, Kind.ROLLBACK):
        with pytest.raises(PlanError, match="nothing was deployed beside it yet") as refused:
            await desk.plan(kind)
        assert "mlconsole deploy" in refused.value.hint


def test_templates_are_bounded_and_the_newest_stay():
    items = [Template(replace(release("blue"), version=str(number)), {"spec": {}}, number) for number in range(5)]
    text = encode_templates({}, items)
    assert list(json.loads(text)) == ["v2", "v3", "v4"]
    huge = Template(release("green"), {"x": "y" * 70_000}, time.time() - DAY)
    assert json.loads(encode_templates({}, [huge])) == {}
