"""Unknown is not good, rights come first, old is not fresh, and text is text (I21, I23, I24, I27 to I29)."""

import time

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster import fresh
from mlconsole.cluster.connection import Connection
from mlconsole.config import Gates, ServiceSettings, Settings, Verify
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import PlanError, Verdict
from mlconsole.domain.services import Release
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import answers, view
from mlconsole.engine.answers import Match, judge

from .conftest import ANY, Desk, change, listening

JUDGED = Settings(
    defaults=ServiceSettings(verify=Verify(deadline=0.3), gates=Gates(max_error_share=0.01, max_p95_seconds=0.5))
)
NAN = float("nan")


def now(**figures):
    return Glance("green", at=time.time(), **({"error_share": 0.0, "p95": 0.1, "samples": 500.0} | figures))


@pytest.mark.parametrize(
    ("figures", "verdicts"),
    [
        (lambda: None, (Verdict.UNKNOWN, Verdict.UNKNOWN)),
        (lambda: now(), (Verdict.PASS, Verdict.PASS)),
        (lambda: now(error_share=0.2), (Verdict.FAIL, Verdict.PASS)),
        (lambda: now(error_share=None, p95=NAN), (Verdict.UNKNOWN, Verdict.UNKNOWN)),
        (lambda: now(p95=float("inf")), (Verdict.PASS, Verdict.UNKNOWN)),
        (lambda: now(samples=3.0), (Verdict.UNKNOWN, Verdict.UNKNOWN)),
        (lambda: replace(now(), at=time.time() - 120), (Verdict.UNKNOWN, Verdict.UNKNOWN)),
        (lambda: replace(now(), color="blue"), (Verdict.UNKNOWN, Verdict.UNKNOWN)),
    ],
    ids=["no data", "good", "bad", "nan", "inf", "i21 too few", "i24 stale", "another colour's"],
)
async def test_i21_unknown_blocks_a_switch(good, tmp_path, figures, verdicts):
    change(good, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})
    judging = Desk(good.cluster, tmp_path, JUDGED)
    glance = figures()  # made now: figures of the time when the tests were collected would be stale
    judging.glances = (glance,) if glance else ()
    plan = await judging.plan()
    found = {gate.name: gate for gate in plan.gates if gate.name in ("errors", "p95")}
    assert tuple(gate.verdict for gate in found.values()) == verdicts
    for gate in found.values():
        assert gate.stops == (gate.verdict is not Verdict.PASS)
    if Verdict.UNKNOWN in verdicts or Verdict.FAIL in verdicts:
        with pytest.raises(PlanError) as refused:
            await judging.carry_out(plan)
        assert refused.value.exit_code == 6


async def test_i21_unknown_never_blocks_a_rollback(good, tmp_path):
    judging = Desk(good.cluster, tmp_path, JUDGED)
    plan = await judging.plan(Kind.ROLLBACK)
    assert {gate.verdict for gate in plan.gates if gate.name in ("errors", "p95", "answers")} >= {Verdict.UNKNOWN}
    assert plan.stopping() == ()
    await judging.carry_out(plan, waived=(), reason="")
    assert (await good.selector())["color"] == "blue"


V13 = Release(model="m", version="13", image="m:13")


@pytest.mark.parametrize(
    ("status", "headers", "body", "match"),
    [
        (200, {"x-model-version": "13"}, b"", Match.SAME),
        (200, {"x-model-version": "v13"}, b"", Match.SAME),
        (200, {}, b'{"model_version": 13}', Match.SAME),
        (200, {"x-model-version": "12"}, b'{"version": "13"}', Match.OTHER),
        (200, {}, b"ok", Match.UNNAMED),
        (200, {}, b'{"version": null}', Match.UNNAMED),
        (200, {}, b'["13"]', Match.UNNAMED),
        (200, {}, b"\xff\xfe", Match.UNNAMED),
        (503, {"x-model-version": "13"}, b"", Match.FAILED),
        (302, {}, b"", Match.FAILED),
    ],
)
def test_i21_an_answer_that_names_no_version_is_not_the_right_one(status, headers, body, match):
    assert judge(status, headers, body, V13).match is match


async def test_i21_a_colour_that_names_no_version_is_not_switched_to_unasked(desk, monkeypatch):
    async def unnamed(*_):
        return answers.Answer(Match.UNNAMED, "answered 200 and named no version")

    monkeypatch.setattr(answers, "through_pod", unnamed)
    plan = await desk.plan()
    assert [(gate.name, gate.verdict) for gate in plan.stopping()] == [("answers", Verdict.UNKNOWN)]


async def test_i21_a_history_that_cannot_be_read_is_no_clean_record(desk, monkeypatch):
    from mlconsole.engine.planning import grounds

    async def unreadable(*_):
        return grounds.history.Past(complaints=("the history could not be read: 500",))

    monkeypatch.setattr(grounds, "past_of", unreadable)
    plan = await desk.plan()
    assert ("quarantine", Verdict.UNKNOWN) in [(gate.name, gate.verdict) for gate in plan.stopping()]


@pytest.fixture
async def viewer(good, tmp_path):
    """The same place, seen by somebody who may look and not touch."""
    path = tmp_path / "viewer"
    path.write_text(good.cluster.server.kubeconfig("t-reader"))
    connection = await Connection.open(kubeconfig=str(path), namespace="ml")
    yield Desk(good.cluster, tmp_path, connection=connection)
    await connection.close()


@pytest.mark.parametrize("kind", list(ANY))
async def test_i23_rights_are_asked_for_before_step_one(viewer, kind):
    plan = await viewer.plan(kind, to_color="blue", wish=ANY[kind])
    assert {right.verb for right in plan.missing_rights} == {"patch", "create", "update"}
    with listening(viewer) as heard, pytest.raises(PlanError, match="reader may not patch ") as refused:
        await viewer.carry_out(plan)
    assert refused.value.exit_code == 3
    assert heard == [], "nothing was sent"


async def test_i23_the_rights_asked_for_are_those_that_are_used(good):
    """Every verb of a switch and its rollback was asked for, or is one that only informs."""
    plan = await good.plan(Kind.ROLLBACK)
    asked = {(right.verb, right.resource.partition(".")[0]) for right in plan.rights}
    with listening(good) as heard:
        await good.carry_out(plan)
    for method, path in heard:
        parts = [part for part in path.split("/") if part]
        if "selfsubject" in path or "namespaces" not in parts or parts[-2:] == ["namespaces", "ml"]:
            continue
        resource = parts[parts.index("namespaces") + 2]
        optional = resource in ("endpointslices", "horizontalpodautoscalers")
        named = parts[-1] != resource
        verb = {"GET": "get" if named else "list", "POST": "create", "PUT": "update", "PATCH": "patch"}[method]
        if "proxy" in parts:
            resource += "/proxy"
        assert optional or (verb, resource) in asked, (method, path)


async def test_i24_a_plan_says_how_old_its_figures_are(good, tmp_path):
    judging = Desk(good.cluster, tmp_path, JUDGED)
    judging.glances = (replace(now(), at=time.time() - 90, color="blue"),)
    plan = await judging.plan(Kind.ROLLBACK)
    ages = [gate.age for gate in plan.gates if gate.name in ("errors", "p95")]
    assert all(89 < age < 100 for age in ages)


PASSWORD = "hunter2-hunter2"


async def test_i27_no_secret_in_a_plan_that_is_shown_or_in_a_record(desk):
    token = "Bearer abcdefghijklmnop"
    record = await desk.carry_out(await desk.plan(), reason=f"because {token} leaked")
    assert "abcdefghijklmnop" not in record.reason
    stored = desk.cluster.store.get("configmaps", "ml", "mlconsole-history-fraud")["data"]["records"]
    told = [event["message"] for event in desk.cluster.store.list("events", "ml")[0]]
    for text in (stored, desk.journal.path.read_text(), *told):
        assert "abcdefghijklmnop" not in text
        assert "t-admin" not in text


async def test_i27_the_difference_between_two_templates_hides_credentials(desk, tmp_path):
    env = [
        {"name": "DB_PASSWORD", "value": PASSWORD},
        {"name": "DATABASE_URL", "value": f"postgres://ann:{PASSWORD}@db/x"},
        {"name": "ACCESS_KEY", "value": PASSWORD},
        {"name": "NOTE", "value": "a\x1b[31mred"},
    ]
    await plain(desk, [], env)
    plan = await desk.plan(Kind.ROLLBACK, "eta")
    shown = repr(plan.diffs)
    assert PASSWORD not in shown
    assert "DB_PASSWORD" in shown
    assert "\x1b" not in "".join(diff.before + diff.after for diff in plan.diffs)


async def plain(desk, *envs):
    """A plain service `eta`, one revision for each environment, the last one current."""
    labels = {"app": "eta"}
    for number, env in enumerate(envs, 1):
        container = {"name": "model", "image": "registry.local/eta:5", "env": env}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        if number == 1:
            await desk.cluster.post(f"{desk.cluster.apps}/deployments", {"metadata": {"name": "eta"}, "spec": spec})
        else:
            change(desk, "deployments", "eta", {"spec": {"template": template}})
        found = desk.cluster.store.get("deployments", "ml", "eta")
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "eta", "uid": found["metadata"]["uid"]}
        meta = {"name": f"eta-{number}", "annotations": {"deployment.kubernetes.io/revision": str(number)}}
        meta["ownerReferences"] = [{**owner, "controller": True}]
        body = {"metadata": meta, "spec": {**spec, "template": found["spec"]["template"]}}
        await desk.cluster.post(f"{desk.cluster.apps}/replicasets", body)
    generation = desk.cluster.store.get("deployments", "ml", "eta")["metadata"]["generation"]
    change(desk, "deployments", "eta", {"status": {"observedGeneration": generation}}, "status")
    await desk.cluster.service("eta", labels)


async def test_a_plain_service_rolled_back_twice_does_not_return_to_the_bad_revision(desk, monkeypatch):
    """Both revisions run the same image and version; only the environment told them apart."""
    from mlconsole.engine import verify

    monkeypatch.setattr(verify, "ROLLOUT_SECONDS", 0.3)
    await plain(desk, [{"name": "A", "value": "good"}], [{"name": "A", "value": "bad"}])
    plan = await desk.plan(Kind.ROLLBACK, "eta")
    assert (plan.revision, plan.from_revision) == (1, 2)
    record = await desk.carry_out(plan)
    assert (record.from_revision, record.to_revision) == (2, 1)
    # What the controller does next: revision 1 is brought up again as revision 3.
    change(desk, "replicasets", "eta-1", {"metadata": {"annotations": {"deployment.kubernetes.io/revision": "3"}}})
    generation = desk.cluster.store.get("deployments", "ml", "eta")["metadata"]["generation"]
    change(desk, "deployments", "eta", {"status": {"observedGeneration": generation}}, "status")
    with pytest.raises(PlanError, match="itself rolled back from"):
        await desk.plan(Kind.ROLLBACK, "eta")
    named = await desk.plan(Kind.ROLLBACK, "eta", revision=2)
    assert [gate.name for gate in named.stopping()] == ["quarantine"]


async def test_i28_text_from_outside_is_only_text(desk):
    """An annotation with an escape sequence and markup in it, as anyone may set."""
    hostile = "13\x1b]0;owned\x07[bold red]\u202e"
    annotations = {"mlconsole.io/model-version": hostile, "mlconsole.io/git-sha": "\x1b[2J"}
    change(desk, "deployments", "fraud-green", {"spec": {"template": {"metadata": {"annotations": annotations}}}})
    plan = await desk.plan()
    record = await desk.carry_out(plan, waived=("answers", "rollout"), reason="see \x1b[31m this")
    said = [step.words for step in desk.steps] + [gate.value + gate.limit + gate.evidence for gate in plan.gates]
    said += [plan.to_release.label, plan.to_release.git_sha, record.reason, record.message, *plan.warnings]
    said += [event["message"] for event in desk.cluster.store.list("events", "ml")[0]]
    for words in said:
        assert words.isprintable(), words
    assert "[bold red]" in plan.to_release.label


async def test_i29_no_figure_is_made_up(desk):
    plan = await desk.plan()
    assert plan.requests_per_second is None
    read = await fresh.read(desk.connection, "ml", "fraud")
    row = view.fleet_row(read.service, (), ServiceSettings())
    assert row.live is None
    shown = view.detail(
        read.service,
        (),
        ServiceSettings(),
        (),
        model=None,
        registry_problem="connection refused",
        history_problem="",
        events=(),
        allowed=None,
        round_trip=0.1,
        now=time.time(),
    )
    links = {link.name: (link.verdict, link.why) for link in shown.chain}
    assert links["registry"] == (Verdict.UNKNOWN, "connection refused")
    assert links["run"][0] is Verdict.UNKNOWN
    assert msgspec.json.encode(shown)
