"""The way back: always in reach, to what is known good, on record (I12 to I14, I17)."""

import asyncio

import pytest

from mlconsole.cluster import history
from mlconsole.config import ServiceSettings, Settings, Verify
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.domain.history import KEEP, Kind, Outcome
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError
from mlconsole.domain.resuming import Standing
from mlconsole.engine import gates, ledger, underway
from mlconsole.engine.execution.performing import taking
from mlconsole.engine.planning import grounds
from mlconsole.engine.planning.draft import Drafting

from .conftest import DAY, Desk, change, listening, move, unready


def patches(method, path):
    return method == "PATCH" and path.endswith("/services/fraud")


@pytest.fixture
def hurried(monkeypatch):
    """What a rollback can do without is given up soon, so that the tests are."""
    monkeypatch.setattr(grounds, "HURRY_SECONDS", 0.2)
    monkeypatch.setattr(taking, "HURRY", 0.2)
    monkeypatch.setattr(ledger, "ROLLBACK_SECONDS", 0.2)
    monkeypatch.setattr(ledger, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(gates, "INFORM_SECONDS", 0.2)


NEEDLESS = {
    "history": lambda method, path: "/configmaps" in path,
    "rights": lambda method, path: "accessreviews" in path,
    "names": lambda method, path: path.endswith(("selfsubjectreviews", "/namespaces/ml")),
    "model servers": lambda method, path: "/proxy" in path,
    "events": lambda method, path: method == "POST" and path.endswith("/events"),
}


@pytest.mark.parametrize("fault", [{"status": 500}, {"delay": 30.0}, {"status": 403}], ids=["500", "silent", "403"])
async def test_i12_a_rollback_needs_the_service_and_its_pods_and_nothing_else(good, hurried, fault):
    """Prometheus and the registry are not even asked; of the Kubernetes API, all that only informs is down."""
    for matches in NEEDLESS.values():
        good.cluster.faults.add(Failure(matches, times=999, **fault))
    # Far less than any of the silent ones would take.
    async with asyncio.timeout(20):
        plan = await good.plan(Kind.ROLLBACK, to_color="blue")
        assert any("the history could not be read" in words for words in plan.warnings)
        record = await good.carry_out(plan, waived=())
    assert record.outcome is Outcome.UNVERIFIED
    assert (await good.selector())["color"] == "blue"


async def test_i12_a_webhook_that_knows_no_dry_run_blocks_a_switch_and_no_rollback(good, monkeypatch):
    said = "unknown: admission webhook x does not support dry run"

    async def answer(*_):
        return said

    monkeypatch.setattr(Drafting, "_dry_run", answer)
    with pytest.raises(PlanError, match="does not support dry run"):
        await good.carry_out(await good.plan(Kind.SWITCH))
    plan = await good.plan(Kind.ROLLBACK)
    assert f"the dry run: {said}" in plan.warnings
    await good.carry_out(plan)
    assert (await good.selector())["color"] == "blue"


async def test_i13_a_rollback_does_not_ask_after_the_health_of_what_it_leaves(good, hurried):
    with listening(good) as heard:
        await good.plan(Kind.ROLLBACK)
        unready(good, "fraud-green-0", "fraud-green-1")
        plan = await good.plan(Kind.ROLLBACK)
    assert plan.stopping() == ()
    assert not any("/services/" in path and "/proxy" in path for _, path in heard), "it could take its time to answer"
    await good.carry_out(plan, waived=(), reason="")
    assert (await good.selector())["color"] == "blue"


async def test_i13_more_pods_on_the_sick_side_ask_for_none_on_the_other(good):
    for number in (2, 3):
        await good.cluster.pod(f"fraud-green-{number}", {"app": "fraud", "color": "green"})
    assert (await good.plan(Kind.ROLLBACK)).stopping() == ()


async def test_i14_a_rollback_goes_to_the_last_known_good(good):
    plan = await good.plan(Kind.ROLLBACK)
    assert (plan.to_color, plan.to_release.version, plan.reason_required) == ("blue", "12", False)


async def test_i14_rolling_back_twice_does_not_return_to_the_bad_one(good):
    await good.do(Kind.ROLLBACK)
    with pytest.raises(PlanError, match="green v13 was itself rolled back from") as refused:
        await good.plan(Kind.ROLLBACK)
    assert refused.value.exit_code == 6
    named = await good.plan(Kind.ROLLBACK, to_color="green")
    with pytest.raises(PlanError, match="quarantine FAIL") as refused:
        await good.carry_out(named, waived=("quarantine",))
    assert refused.value.exit_code == 6
    forward = await good.plan(Kind.SWITCH)
    assert [gate.name for gate in forward.stopping(["answers"])] == ["quarantine"]


async def test_i14_a_console_killed_in_the_middle_of_a_rollback_does_not_make_the_bad_one_good(good):
    """Killed right after the write: there is an intent without an outcome, and the traffic is on blue."""
    await good.remember(move(good.cluster, 3, Kind.ROLLBACK, "green", "blue", 1.0, Outcome.OPEN))
    change(good, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})
    with pytest.raises(PlanError, match="itself rolled back from"):
        await good.plan(Kind.ROLLBACK)


async def test_i14_the_clocks_of_two_bastions_do_not_turn_the_verdict_round(good):
    """The rollback's clock is an hour behind the switch's: it still came after it."""
    await good.remember(move(good.cluster, 3, Kind.ROLLBACK, "green", "blue", 2 * 3600.0))
    change(good, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})
    with pytest.raises(PlanError, match="itself rolled back from"):
        await good.plan(Kind.ROLLBACK)


async def test_i14_many_failed_attempts_do_not_push_the_verdict_out(good):
    await good.remember(move(good.cluster, 3, Kind.ROLLBACK, "green", "blue", 100.0))
    failed = [move(good.cluster, 10 + n, Kind.SWITCH, "blue", "green", 50.0, Outcome.FAILED) for n in range(KEEP)]
    await good.remember(*failed)
    change(good, "services", "fraud", {"spec": {"selector": {"color": "blue"}}})
    assert len(await good.records()) == KEEP
    with pytest.raises(PlanError, match="itself rolled back from"):
        await good.plan(Kind.ROLLBACK)


async def test_i14_a_release_without_a_record_takes_a_reason(desk):
    plan = await desk.plan(Kind.ROLLBACK)
    assert plan.reason_required
    assert any("no record says that green v13 was ever good" in words for words in plan.warnings)
    with pytest.raises(PlanError, match="a reason is needed"):
        await desk.carry_out(plan, reason="", waived=())


async def test_i14_naming_the_colour_makes_it_no_better_known(desk):
    assert (await desk.plan(Kind.ROLLBACK, to_color="green")).reason_required


async def test_i14_what_was_left_within_its_watch_window_is_not_known_good(desk):
    await desk.remember(move(desk.cluster, 1, Kind.SWITCH, "blue", "green", 3600.0))
    await desk.remember(move(desk.cluster, 2, Kind.SWITCH, "green", "blue", 3590.0))
    assert (await desk.plan(Kind.ROLLBACK)).reason_required


async def test_i14_a_rollback_by_someone_else_meanwhile_is_heeded(good):
    """Planned to blue; meanwhile a colleague rolled back from blue, and the traffic came back to green."""
    plan = await good.plan(Kind.ROLLBACK)
    await good.remember(move(good.cluster, 3, Kind.ROLLBACK, "blue", "green", 1.0))
    with pytest.raises(PlanError, match="v12 was rolled back from meanwhile"):
        await good.carry_out(plan)


async def test_i17_the_intent_is_on_record_before_the_first_change(desk):
    plan = await desk.plan()
    seen = []

    def note(method, path):
        if patches(method, path):
            stored = desk.cluster.store.get("configmaps", "ml", "mlconsole-history-fraud")["data"]["records"]
            seen.append((plan.id in stored, [line["id"] for line in desk.lines()]))
        return False

    desk.cluster.faults.add(Failure(note))
    await desk.carry_out(plan, reason="p95 doubled")
    assert seen[0] == (True, [plan.id])
    (record,) = await desk.records()
    assert (record.user, record.reason, record.plan_hash) == ("admin", "p95 doubled", plan.hash)
    assert (record.from_color, record.to_color, record.context) == ("blue", "green", "demo")
    assert [line.get("outcome", "open") for line in desk.lines()] == ["open", "unverified"]


@pytest.mark.parametrize("where", ["cluster", "disk"])
async def test_i17_without_a_record_no_switch_and_a_loud_rollback(good, hurried, where, tmp_path):
    forward = Desk(good.cluster, tmp_path)
    await good.do(Kind.ROLLBACK)
    change(good, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
    switch, back = await forward.plan(Kind.SWITCH), await forward.plan(Kind.ROLLBACK)
    if where == "cluster":
        good.cluster.faults.add(Failure(lambda m, p: m in ("PUT", "POST") and "/configmaps" in p, status=403, times=99))
    else:
        (tmp_path / "state").chmod(0o500)
        forward.journal.path = tmp_path / "not-a-folder" / "audit.jsonl"
        (tmp_path / "not-a-folder").write_text("")
    with pytest.raises(PlanError, match="nothing was changed"):
        await forward.carry_out(switch)
    assert (await good.selector())["color"] == "green"
    await forward.carry_out(back)
    assert (await good.selector())["color"] == "blue"
    assert any("WARNING" in step.words for step in forward.steps if step.step == "record")


async def test_i17_interrupted_after_the_write_is_left_open_to_be_taken_up(desk, tmp_path):
    """Its executor is told to end while it looks for the traffic: nothing is decided, and that is on record."""
    patient = Desk(desk.cluster, tmp_path, Settings(defaults=ServiceSettings(verify=Verify(deadline=60.0))))
    plan = await patient.plan()
    record = await patient.carry_out(plan, at="verify", then=lambda: patient.runner.stop())
    assert (record.outcome, record.message) == (Outcome.OPEN, "its executor was told to end")
    assert [(item.id, item.outcome) for item in await desk.records()] == [(plan.id, Outcome.OPEN)]
    past = await history.read(desk.connection, "ml", "fraud")
    assert (past.operation.phase, past.operation.halted) == (Phase.VERIFY, record.message)
    found = await underway.read(desk.connection, patient.settings, "ml", "fraud")
    assert (found.alive, found.standing) == (False, Standing.UNVERIFIED)
    assert found.verbs == ("resume", "abort", "abandon")


async def test_i17_a_history_that_a_newer_console_wrote_to_is_kept(desk):
    name = "mlconsole-history-fraud"
    newer = '{"id":"n","kind":"canary","service":"fraud"}'
    body = {"metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "mlconsole"}}}
    await desk.cluster.post(f"{desk.cluster.core}/configmaps", {**body, "data": {"records": newer + "\n"}})
    plan = await desk.plan()
    assert any("history line 1" in words for words in plan.warnings)
    await desk.carry_out(plan)
    assert newer in desk.cluster.store.get("configmaps", "ml", name)["data"]["records"].splitlines()


async def test_an_older_good_release_on_the_idle_colour_is_offered_and_said_to_be_older(desk):
    """v12 was good, then v99 was; v99 stands nowhere any more, blue has v12 again, green is sick."""
    other = move(desk.cluster, 2, Kind.SWITCH, "blue", "green", 2 * DAY).to_release
    lost = type(other)(version="99", image="registry.local/x:99")
    await desk.remember(
        move(desk.cluster, 1, Kind.SWITCH, "green", "blue", 3 * DAY),
        move(desk.cluster, 2, Kind.SWITCH, "blue", "green", 2 * DAY, to_release=lost),
        move(desk.cluster, 3, Kind.SWITCH, "green", "green", DAY, from_release=lost),
    )
    change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
    plan = await desk.plan(Kind.ROLLBACK)
    assert plan.to_color == "blue"
    assert any("v99, the last known good, stands on no idle colour" in words for words in plan.warnings)
