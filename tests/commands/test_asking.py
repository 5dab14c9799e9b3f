"""The question at a terminal: No is the default, production takes the name, a rollback never does."""

import pytest

from commands.conftest import ALONE, journal, live
from mlconsole.commands.operate import Operation

WAIVED = ("--reason", "a test", "--waive", "answers")
PRODUCTION = "[environments.prod]\nproduction = true\n" + ALONE


@pytest.mark.parametrize("answer", ["", "n", "no", "ja", "fraud"])
async def test_anything_but_yes_is_no(run, fraud, answers, answer):
    answers(answer)
    ended = await run("switch", "fraud", *WAIVED)
    assert (ended.code, live(fraud), journal()) == (1, "blue", [])
    assert "nothing was changed" in ended.err


@pytest.mark.parametrize("answer", ["y", "YES"])
async def test_yes(run, fraud, answers, answer):
    answers(answer)
    ended = await run("switch", "fraud", *WAIVED)
    assert live(fraud) == "green", ended.err
    assert "[y/N]" in ended.err
    assert "spec.selector[color]" in ended.out


@pytest.mark.parametrize(("answer", "after"), [("y", "blue"), ("Fraud", "blue"), ("fraud", "green")])
async def test_production_takes_the_name(run, fraud, home, answers, answer, after):
    (home / "mlconsole.toml").write_text(PRODUCTION)
    answers(answer)
    ended = await run("switch", "fraud", *WAIVED)
    assert live(fraud) == after, ended.err
    assert "PRODUCTION" in ended.err


async def test_a_missing_reason_is_asked_for(run, fraud, answers):
    answers("green was good", "y")
    ended = await run("rollback", "fraud")
    assert live(fraud) == "green", ended.err
    assert journal()[0]["reason"] == "green was good"


async def test_what_no_answer_would_change_is_said_before_the_question(run, fraud, answers):
    answers("y")
    ended = await run("switch", "fraud")
    assert (ended.code, live(fraud)) == (6, "blue")
    assert "[y/N]" not in ended.err


async def test_with_json_the_plan_is_shown_beside_it(run, fraud, answers):
    answers("y")
    ended = await run("switch", "fraud", *WAIVED, "--output", "json")
    assert ended.json["kind"] == "switch"
    assert "CHANGES" in ended.err


@pytest.mark.parametrize("step", ["check", "write"])
async def test_ctrl_c_says_that_it_goes_on_and_it_does(run, fraud, monkeypatch, step):
    as_it_is = Operation._report

    def interrupted(self, reported):
        as_it_is(self, reported)
        if reported.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Operation, "_report", interrupted)
    ended = await run("switch", "fraud", "--yes", *WAIVED)
    assert ended.code == 130
    assert "goes on" in ended.err
    assert "mlconsole abort ml/fraud" in ended.err
    followed = await run("operations", "fraud", "--follow")
    assert (followed.code, live(fraud)) == (1, "green"), followed
    assert "unverified" in followed.out


async def test_ctrl_c_before_the_answer_changes_nothing(run, fraud, answers, monkeypatch):
    answers()

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mlconsole.commands.asking.ask", interrupted)
    ended = await run("switch", "fraud", *WAIVED)
    assert (ended.code, live(fraud)) == (130, "blue")
    assert "nothing was changed" in ended.err
    assert journal() == []
