"""Every exit code, each for a real reason; and what was or was not changed."""

import pytest

from commands.conftest import ALONE, journal, live
from engine.conftest import change
from mlconsole.engine.session import Session

SURE = ("--yes", "--reason", "a test", "--waive", "answers")
"""No pod answers behind an API server alone."""
PRODUCTION = "[environments.prod]\nproduction = true\n" + ALONE


@pytest.fixture
def desk(fraud):
    """What `change` wants."""
    return type("Desk", (), {"cluster": fraud})


async def test_0_nothing_to_do(run, fraud):
    ended = await run("switch", "fraud", "--to", "blue", "--yes", "--output", "json")
    assert ended.code == 0, ended.err
    assert (ended.json["outcome"], ended.json["plan"], ended.json["namespace"]) == ("none", None, "ml")
    assert journal() == []


async def test_1_applied_and_not_verified(run, fraud):
    ended = await run("switch", "fraud", *SURE, "--output", "json")
    assert ended.code == 1, ended.err
    assert ended.json["outcome"] == "unverified"
    assert ended.json["record"]["reason"] == "a test"
    steps = [step["step"] for step in ended.json["steps"]]
    assert list(dict.fromkeys(steps))[:5] == ["check", "lock", "record", "write", "verify"]
    assert live(fraud) == "green"
    assert [line["outcome"] for line in journal() if "outcome" in line] == ["unverified"]


async def test_1_says_it_and_offers_the_way_back(run, fraud):
    ended = await run("switch", "fraud", *SURE)
    assert ended.code == 1
    assert "NOT VERIFIED" in ended.out
    assert "mlconsole rollback ml/fraud" in ended.out


async def test_2_no_such_service(run, fraud):
    for command in ("status", "switch", "rollback"):
        ended = await run(command, "nope", *(() if command == "status" else ("--yes",)))
        assert (ended.code, "nope" in ended.err) == (2, True), ended


async def test_2_no_kubeconfig(run, home):
    ended = await run("status", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 2
    assert "kubeconfig" in ended.json["error"]
    assert "mlconsole demo" in ended.json["hint"]


async def test_2_broken_configuration(run, fraud, home):
    (home / "mlconsole.toml").write_text("[metrics]\nscrap = true\n")
    for command in (("status",), ("switch", "fraud", "--yes"), ("config", "show")):
        ended = await run(*command)
        assert ended.code == 2
        assert "mlconsole.toml:2: unknown key `metrics.scrap`; did you mean `scrape`?" in ended.err


async def test_2_nobody_to_ask(run, fraud):
    ended = await run("switch", "fraud")
    assert ended.code == 2
    assert "--yes" in ended.err
    assert (live(fraud), journal()) == ("blue", [])


@pytest.mark.parametrize(("extra", "code"), [((), 2), (("--confirm", "frau"), 2), (("--confirm", "fraud"), 1)])
async def test_2_production_takes_its_name_beside_yes(run, fraud, home, extra, code):
    (home / "mlconsole.toml").write_text(PRODUCTION)
    ended = await run("switch", "fraud", *SURE, *extra)
    assert ended.code == code, ended.err
    assert ("--confirm fraud" in ended.err) is (code == 2)
    assert live(fraud) == ("blue" if code == 2 else "green")


async def test_rollback_in_production_takes_no_name(run, fraud, home):
    (home / "mlconsole.toml").write_text(PRODUCTION)
    ended = await run("rollback", "fraud", "--yes", "--reason", "green was good")
    assert (ended.code, live(fraud)) == (1, "green"), ended.err
    assert "NOT VERIFIED" in ended.out


async def test_2_a_reason_is_needed(run, fraud):
    ended = await run("rollback", "fraud", "--yes")
    assert (ended.code, live(fraud)) == (2, "blue")
    assert "--reason" in ended.err


async def test_2_a_misspelt_waiver_waives_nothing(run, fraud):
    ended = await run("switch", "fraud", "--yes", "--reason", "x", "--waive", "answer")
    assert (ended.code, live(fraud)) == (2, "blue")
    assert "answers" in ended.err


@pytest.mark.parametrize(
    "arguments", [("statsu",), ("status", "--nope"), ("rollback", "fraud", "--to-revision", "-1"), ("switch",)]
)
async def test_2_usage(run, fraud, arguments):
    ended = await run(*arguments)
    assert ended.code == 2
    assert "Traceback" not in ended.err


async def test_3_read_only(run, fraud):
    for place in (("--read-only", "switch", "fraud"), ("switch", "fraud", "--read-only")):
        ended = await run(*place, *SURE)
        assert (ended.code, live(fraud)) == (3, "blue"), ended.err
        assert "read-only" in ended.err
    assert journal() == []


async def test_3_no_right(run, guarded, fraud):
    guarded("viewer")
    ended = await run("switch", "fraud", *SURE, "--output", "json")
    assert (ended.code, live(fraud)) == (3, "blue"), ended.err
    assert "patch services" in ended.json["error"]


async def test_3_a_rule_of_the_place_with_where_it_is_written(run, fraud, home):
    (home / "mlconsole.toml").write_text(ALONE + '[environments.any.freeze.always]\nreason = "stocktaking"\n')
    ended = await run("switch", "fraud", *SURE, "--output", "json")
    assert (ended.code, live(fraud)) == (3, "blue"), ended.err
    assert "stocktaking" in ended.json["error"]
    assert "mlconsole.toml:" in ended.json["error"]
    ended = await run("rollback", "fraud", "--yes", "--reason", "green was good")
    assert live(fraud) == "green", "a freeze never stops the way back"


async def test_4_changed_meanwhile(run, fraud, desk, monkeypatch):
    as_it_is = Session.execute

    async def overtaken(self, *arguments, **options):
        change(desk, "services", "fraud", {"spec": {"selector": {"color": "green"}}})
        return await as_it_is(self, *arguments, **options)

    monkeypatch.setattr(Session, "execute", overtaken)
    ended = await run("switch", "fraud", *SURE, "--output", "json")
    assert ended.code == ended.json["exit_code"] == 4, ended.err
    assert "green" in ended.json["error"]


async def test_5_unreachable(run, fraud, home):
    near = fraud.server.kubeconfig(namespace="ml")
    (home / "far").write_text(near.replace(fraud.server.url, "http://127.0.0.1:1"))
    for command in (("status",), ("switch", "fraud", "--yes"), ("rollback", "fraud", "--yes")):
        ended = await run(*command, "--kubeconfig", str(home / "far"), "--output", "json")
        assert ended.code == ended.json["exit_code"] == 5, ended.err
        assert "connection refused" in ended.json["error"].lower()


async def test_6_a_gate_refuses(run, fraud):
    ended = await run("switch", "fraud", "--yes", "--output", "json")
    assert (ended.code, live(fraud)) == (6, "blue")
    assert "answers" in ended.json["error"]
    assert "waive" in ended.json["hint"]


async def test_6_none_ready_cannot_be_waived(run, fraud, desk):
    not_ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}}
    for number in range(2):
        change(desk, "pods", f"fraud-green-{number}", not_ready, "status")
    ended = await run("switch", "fraud", *SURE, "--waive", "capacity")
    assert (ended.code, live(fraud)) == (6, "blue"), ended.err
    assert "scale its Deployment up" in ended.err


@pytest.mark.parametrize(("extra", "code"), [((), 6), (("--waive", "answers"), 0)])
async def test_dry_run_changes_nothing_and_says_what_would_refuse(run, fraud, extra, code):
    before = fraud.store.list("services", "ml")[0], fraud.store.list("configmaps", "ml")[0]
    ended = await run("switch", "fraud", "--dry-run", *extra, "--output", "json")
    assert ended.code == code, ended.err
    if not code:
        assert ended.json["outcome"] == "planned"
        assert ended.json["plan"]["diffs"] == [
            {"object": "Service ml/fraud", "path": "spec.selector[color]", "before": "blue", "after": "green"}
        ]
    assert (fraud.store.list("services", "ml")[0], fraud.store.list("configmaps", "ml")[0]) == before
    assert journal() == []


async def test_a_traceback_goes_to_the_log_without_secrets(run, fraud, home, monkeypatch):
    def broken(_):
        raise RuntimeError("token=abcdefgh12345")

    monkeypatch.setattr("mlconsole.commands.status.run", broken)
    ended = await run("status")
    log = home / "state" / "mlconsole" / "mlconsole.log"
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert str(log) in ended.err
    assert "Traceback" in log.read_text()
    assert "abcdefgh" not in ended.err + log.read_text()
