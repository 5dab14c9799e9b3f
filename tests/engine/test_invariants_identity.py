"""Of two that write one wins, on the object that was seen, through one door, with consent (I6 to I11)."""

import ast
import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

import mlconsole
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Environment, Settings
from mlconsole.demo.apiserver.auth import User
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.demo.apiserver.server import serve
from mlconsole.demo.apiserver.store import Store
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.plans import Confirmation, PlanError
from mlconsole.engine import consent, gateway, ledger

from .conftest import ANY, QUICK, Desk, change, listening


def patches(method, path):
    return method == "PATCH" and path.endswith("/services/fraud")


async def test_i6_a_changed_selector_refuses_the_write(desk):
    """Somebody moves the traffic between our last look and our write: the server itself says no."""
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})
    plan = await desk.plan()

    def elsewhere():
        change(desk, "services", "fraud", {"spec": {"selector": {"tier": "gold"}}})

    with pytest.raises(PlanError) as refused:
        await desk.carry_out(plan, at="record", then=elsewhere)
    assert refused.value.exit_code == 4
    assert await desk.selector() == {"app": "fraud", "color": "blue", "tier": "gold"}
    assert [record.outcome for record in await desk.records()] == [Outcome.FAILED]


async def test_i6_traffic_that_moved_since_the_plan_is_planned_again(desk):
    plan = await desk.plan()
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
    with listening(desk) as heard, pytest.raises(PlanError, match="is on green now, the plan saw blue") as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 4
    assert not any(patches(*request) for request in heard)


async def test_i6_another_release_on_the_colour_is_planned_again(desk):
    plan = await desk.plan()
    container = {"name": "model", "image": "registry.local/x:14", "env": [{"name": "MODEL_VERSION", "value": "14"}]}
    change(desk, "deployments", "fraud-green", {"spec": {"template": {"spec": {"containers": [container]}}}})
    with pytest.raises(PlanError, match="green runs v14 now, the plan saw v13"):
        await desk.carry_out(plan)


async def test_i6_an_unrelated_annotation_stands_in_nobodys_way(desk):
    plan = await desk.plan()

    def annotate():
        change(desk, "services", "fraud", {"metadata": {"annotations": {"note": "x"}}})

    await desk.carry_out(plan, at="record", then=annotate)
    assert (await desk.selector())["color"] == "green"


async def test_i6_a_409_is_settled_by_reading_again(desk):
    plan = await desk.plan()
    desk.cluster.faults.add(Failure(patches, status=409))
    await desk.carry_out(plan)
    assert (await desk.selector())["color"] == "green"


async def test_i6_a_409_because_it_changed_is_not_tried_again(desk):
    plan = await desk.plan()
    desk.cluster.faults.add(Failure(patches, status=409))

    def elsewhere():
        change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})

    with listening(desk) as heard, pytest.raises(PlanError, match="is on green now") as refused:
        await desk.carry_out(plan, at="record", then=elsewhere)
    assert refused.value.exit_code == 4
    assert sum(patches(*request) for request in heard) == 1


async def test_a_server_that_asks_for_time_gets_it(good):
    plan = await good.plan(Kind.ROLLBACK)
    good.cluster.faults.add(Failure(patches, status=429))
    await good.carry_out(plan)
    assert (await good.selector())["color"] == "blue"


async def test_a_write_without_an_answer_is_looked_for_and_counts_once(desk, monkeypatch, last_moment):
    monkeypatch.setattr(gateway, "WRITE_SECONDS", 0.5)
    plan = await desk.plan()
    desk.cluster.faults.add(Failure(patches, after_write=True, delay=5.0))
    sent = []

    async def count(write):
        sent.append(write)

    last_moment(plan, count)
    record = await desk.carry_out(plan)
    assert record.outcome is Outcome.UNVERIFIED
    assert len(sent) == 1, "it was seen to be there"
    assert (await desk.selector())["color"] == "green"


@pytest.mark.parametrize("after", [True, False])
async def test_a_write_that_broke_the_server_is_looked_for(desk, after):
    plan = await desk.plan()
    desk.cluster.faults.add(Failure(patches, status=500, after_write=after))
    await desk.carry_out(plan)
    assert (await desk.selector())["color"] == "green"


async def test_a_server_that_only_breaks_changes_nothing_and_that_is_said(desk):
    plan = await desk.plan()
    desk.cluster.faults.add(Failure(patches, status=500, times=99))
    with pytest.raises(PlanError, match="nothing was changed"):
        await desk.carry_out(plan)
    assert (await desk.selector())["color"] == "blue"
    assert [record.outcome for record in await desk.records()] == [Outcome.FAILED]


async def test_what_nobody_can_know_is_left_open(desk, monkeypatch):
    """The write got no answer, and nothing answers since: neither done nor failed."""
    monkeypatch.setattr(ledger, "CLOSE_SECONDS", 0.3)
    monkeypatch.setattr(gateway, "WRITE_SECONDS", 0.3)
    plan = await desk.plan()

    def dark():
        desk.cluster.faults.add(Failure(lambda method, path: "/services/" in path, delay=5.0, times=99))

    record = await desk.carry_out(plan, at="record", then=dark)
    assert record.outcome is Outcome.OPEN
    assert "not known" in record.message
    assert [item.outcome for item in await desk.records()] == [Outcome.OPEN]


async def test_a_lost_write_stays_unknown_though_the_next_is_refused(desk, monkeypatch):
    """The first one got no answer and may still land; the second is refused, and nothing answers since."""
    monkeypatch.setattr(ledger, "CLOSE_SECONDS", 0.3)
    monkeypatch.setattr(gateway, "WRITE_SECONDS", 0.3)
    plan = await desk.plan()
    refused = []

    def refuse(method, path):
        return patches(method, path) and not refused.append(path)

    desk.cluster.faults.add(Failure(patches, delay=5.0))
    desk.cluster.faults.add(Failure(refuse, status=403))
    desk.cluster.faults.add(Failure(lambda m, p: bool(refused) and "/services/" in p, delay=5.0, times=99))
    record = await desk.carry_out(plan)
    assert record.outcome is Outcome.OPEN
    assert "not known" in record.message
    assert [item.outcome for item in await desk.records()] == [Outcome.OPEN]


async def test_an_admission_that_refuses_is_quoted(desk):
    plan = await desk.plan()
    desk.cluster.faults.add(Failure(patches, status=422, times=99))
    with pytest.raises(PlanError, match="the API server refused the write") as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 1
    again = await desk.plan()
    assert again.dry_run.startswith("refused")
    with pytest.raises(PlanError, match="dry run: refused"):
        await desk.carry_out(again)


async def test_i8_another_clusters_plan_is_refused(desk, tmp_path):
    """The same names in another cluster: not what was shown."""
    plan = await desk.plan()
    server = await serve(Store(), users={"t": User("admin")})
    (tmp_path / "other").write_text(server.kubeconfig())
    elsewhere = await Connection.open(kubeconfig=str(tmp_path / "other"), namespace="ml")
    other = Desk(desk.cluster, tmp_path, connection=elsewhere)
    with pytest.raises(PlanError, match="this console now looks at") as refused:
        await other.carry_out(plan)
    assert refused.value.exit_code == 4
    await elsewhere.close()
    await server.close()


async def test_i8_a_kubeconfig_changed_meanwhile_changes_nothing(desk, tmp_path):
    plan = await desk.plan()
    path = tmp_path / "kubeconfig"
    path.write_text(path.read_text().replace("127.0.0.1", "127.0.0.9"))
    with pytest.raises(ClusterError, match="points elsewhere now"):
        await desk.connection.reload()
    await desk.carry_out(plan)
    assert (await desk.selector())["color"] == "green"


async def test_i8_a_namespace_made_anew_is_another_one(desk):
    plan = await desk.plan()
    stale = replace(plan, target=replace(plan.target, namespace_uid="of-the-one-before"))
    with pytest.raises(PlanError, match="namespace ml was deleted and made anew") as refused:
        await desk.carry_out(stale)
    assert refused.value.exit_code == 4


async def test_i8_a_service_made_anew_is_another_one(desk):
    plan = await desk.plan()
    await desk.cluster.delete(f"{desk.cluster.core}/services/fraud")
    await desk.cluster.service("fraud", {"app": "fraud", "color": "blue"})
    with pytest.raises(PlanError, match="made anew"):
        await desk.carry_out(plan)


async def test_i8_the_server_itself_refuses_a_service_made_anew_in_the_last_moment(desk):
    plan = await desk.plan()

    def anew():
        found = desk.cluster.store.get("services", "ml", "fraud")
        desk.cluster.store.delete("services", "ml", "fraud")
        fresh = {"metadata": {"name": "fraud", "namespace": "ml"}, "spec": dict(found["spec"])}
        desk.cluster.store.create("services", fresh)

    with pytest.raises(PlanError, match="made anew") as refused:
        await desk.carry_out(plan, at="record", then=anew)
    assert refused.value.exit_code == 4
    assert (await desk.selector())["color"] == "blue"


async def test_i8_other_credentials_are_another_user(desk):
    plan = await desk.plan()
    assert plan.target.user == "admin"
    # The kubeconfig's own name for the user is not what the server says here.
    stale = replace(plan, target=replace(plan.target, user="somebody-else"))
    pinned = desk.connection.identity
    desk.connection._credentials.identity = replace(pinned, user="kubeconfig-name")
    with pytest.raises(PlanError, match="you are admin to the server now") as refused:
        await desk.carry_out(stale)
    assert refused.value.exit_code == 4


async def test_i8_a_service_that_is_gone_is_a_conflict(desk):
    plan = await desk.plan()
    await desk.cluster.delete(f"{desk.cluster.core}/services/fraud")
    with pytest.raises(PlanError, match="is gone") as refused:
        await desk.carry_out(plan)
    assert refused.value.exit_code == 4


TRYING = "engine/planning/draft.py"
OWN = {"cluster/history.py", "cluster/events.py", "cluster/leases.py", "cluster/presence.py"}
"""Objects of the console's own: records, Events and locks, for the executor; the mark that a console is here, which
nothing rests on."""
DOORS = {"engine/gateway.py", TRYING, *OWN}
"""Who may call `cluster.writes`: the gateway; a draft, with dryRun; and for what is not a service's."""
ASKING = {"cluster/access.py", "cluster/connection.py", "cluster/proxy.py", "cluster/writes.py"}
"""Who may send something else than a GET: questions, the proxy, and `writes` itself."""


def test_i9_every_write_goes_through_one_door():
    package = Path(mlconsole.__file__).parent
    writers, senders = set(), set()
    for path in package.rglob("*.py"):
        name = str(path.relative_to(package))
        if name.startswith("demo/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called, owner = node.func.attr, ast.unparse(node.func.value)
                if owner == "writes":
                    writers.add(name)
                    if name == TRYING:
                        assert any(word.arg == "dry_run" and word.value.value is True for word in node.keywords)
                verb = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
                if called in ("request", "exchange") and verb in ("POST", "PUT", "PATCH", "DELETE"):
                    senders.add(name)
    assert writers == DOORS
    assert senders <= ASKING


@pytest.mark.parametrize(
    "settings",
    [
        replace(QUICK, read_only=True),
        replace(QUICK, environments={"prod": Environment(contexts=("demo",), read_only=True)}),
    ],
)
async def test_i9_read_only_means_no_write_at_all(desk, tmp_path, settings):
    shut = Desk(desk.cluster, tmp_path, settings)
    for kind, wish in ANY.items():
        plan = await desk.plan(kind, to_color="green", wish=wish)
        with listening(desk) as heard, pytest.raises(PlanError, match="read-only") as refused:
            await shut.carry_out(plan)
        assert refused.value.exit_code == 3
        assert {method for method, path in heard if "selfsubject" not in path} <= {"GET"}
    shown = await shut.plan()
    assert [gate.name for gate in shown.stopping(["policy", "answers"])] == ["policy"]


async def test_i10_the_confirmation_is_for_what_was_shown(desk):
    plan = await desk.plan()
    assert [(diff.path, diff.before, diff.after) for diff in plan.diffs] == [("spec.selector[color]", "blue", "green")]
    assert (plan.dry_run, plan.pods_from, plan.pods_to) == ("accepted", 2, 2)
    assert "blue v12 stays up" in plan.way_back
    other = await desk.plan()
    with pytest.raises(PlanError, match="another plan") as refused:
        await desk.execute(plan, consent.Consent(other.hash, "why"), lambda _: None)
    assert refused.value.exit_code == 4
    desk.clock.ahead = consent.PLAN_SECONDS + 1
    with pytest.raises(PlanError, match="s old"):
        await desk.carry_out(plan)
    assert (await desk.selector())["color"] == "blue"


async def test_i11_production_wants_its_name_typed_and_a_rollback_never(good, tmp_path):
    production = {"prod": Environment(production=True)}
    strict = Desk(good.cluster, tmp_path, Settings(defaults=QUICK.defaults, environments=production))
    back = await strict.plan(Kind.ROLLBACK)
    assert (back.confirmation, back.reason_required) == (Confirmation.ROLLBACK, False)
    await strict.carry_out(back, typed="", reason="", waived=())
    assert (await good.selector())["color"] == "blue"
    forward = await strict.plan(Kind.SWITCH)
    waived = ("answers", "quarantine")
    for typed in ("", "fraud ", "Fraud"):
        with pytest.raises(PlanError, match="type the service's name") as refused:
            await strict.carry_out(forward, typed=typed, waived=waived)
        assert refused.value.exit_code == 2
    await strict.carry_out(forward, typed="fraud", waived=waived)
    assert (await good.selector())["color"] == "green"


async def test_one_operation_a_service_at_a_time(desk):
    plan, other = await desk.plan(), await desk.plan()
    tried = []

    async def meanwhile():
        with pytest.raises(PlanError, match="is held by admin@") as refused:
            await desk.carry_out(other)
        tried.append(refused.value.exit_code)

    running = []
    await desk.carry_out(plan, at="record", then=lambda: running.append(asyncio.create_task(meanwhile())))
    await running[0]
    assert tried == [4]
