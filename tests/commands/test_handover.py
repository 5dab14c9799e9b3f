"""`mlconsole handover`: an operation is let go where it is, and anybody takes it up at once."""

import pytest

from commands.conftest import journal, live

APPROVED = (
    '[environments.any]\napproval = true\n[defaults.smoke]\nenabled = false\n[defaults.verify]\ndeadline = "1s"\n'
)


@pytest.fixture
async def waiting(guarded, leave, home):
    """A switch of `operator` that waits for a second person; `second` is at the keyboard now."""
    (home / "mlconsole.toml").write_text(APPROVED)
    guarded("operator")
    left = await leave("approval")
    guarded("second")
    return left


@pytest.mark.parametrize("far", [False, True], ids=["here", "elsewhere"])
async def test_handed_over_and_taken_up_at_once_by_another_user(run, fraud, home, waiting, monkeypatch, far):
    if far:
        monkeypatch.setenv("XDG_STATE_HOME", str(home / "other-state"))
    found = {}
    while found.get("phase") != "approval":  # the cluster is told a little later than this machine
        (found,) = (await run("operations", "--output", "json")).json["operations"]
    ended = await run("handover", "fraud", "--yes", "--reason", "my shift")
    assert ended.code == 0, ended
    assert "free to be taken up: handed over by second: my shift" in ended.out
    assert "`mlconsole resume ml/fraud` goes on with it, on any machine" in ended.out
    assert live(fraud) == "blue"
    (found,) = (await run("operations", "--output", "json")).json["operations"]
    assert (found["alive"], found["holder"], found["seconds_left"]) == (False, None, 0.0)
    assert (found["stopped"], found["carried_by"]) == ("handed over by second: my shift", None)
    ended = await run("abort", "fraud", "--yes", "--output", "json")
    assert (ended.code, ended.json["outcome"], live(fraud)) == (0, "aborted", "blue"), ended.err
    assert ended.json["record"]["user"] == "operator"
    assert ended.json["message"].endswith("(taken up by second)")


async def test_as_json(run, waiting):
    ended = await run("handover", "fraud", "--yes", "--output", "json")
    assert (ended.code, ended.json["asked"], ended.json["outcome"]) == (0, "handover", "open"), ended.err
    assert ended.json["message"] == "handed over by second"
    assert ended.json["operation"]["can"] == ["abort", "approve", "handover"]


async def test_a_person_is_asked_and_the_focus_is_on_no(run, waiting, answers):
    answers("")
    ended = await run("handover", "fraud")
    assert (ended.code, "nothing was changed" in ended.err) == (1, True), ended
    assert waiting.folder.operation().running
    answers("y")
    assert (await run("handover", "fraud")).code == 0


async def test_read_only_does_not_ask_for_it(run, waiting):
    ended = await run("handover", "fraud", "--yes", "--read-only", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 3
    assert waiting.folder.operation().running


async def test_nothing_to_hand_over(run, fraud):
    ended = await run("handover", "fraud", "--yes", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 4
    assert "nothing is under way on ml/fraud: there is nothing to hand over" in ended.json["error"]
    assert journal() == []


async def test_what_was_handed_over_is_not_handed_over_again(run, waiting):
    assert (await run("handover", "fraud", "--yes")).code == 0
    ended = await run("handover", "fraud", "--yes", "--output", "json")
    assert ended.code == 4
    assert ended.json["hint"] == "what can be asked: resume, abort, abandon"
