"""What is under way: listed, followed, and told what to do, also by somebody elsewhere; each exit code for a reason."""

import asyncio

import pytest

from commands.conftest import ALONE, journal, live

APPROVED = "[environments.any]\napproval = true\n" + ALONE
SLOW = ALONE.replace("1s", "60s")
WORDS = ("resume", "abort", "abandon", "keep", "approve", "handover")


@pytest.fixture
async def waiting(leave, home):
    """A switch that waits for a second person."""
    (home / "mlconsole.toml").write_text(APPROVED)
    return await leave("approval")


@pytest.fixture
async def killed(leave, home):
    """A switch whose executor was killed when its traffic had been moved, and nobody had seen it arrive."""
    (home / "mlconsole.toml").write_text(SLOW)
    left = await leave("verify")
    left.kill()
    (home / "mlconsole.toml").write_text(ALONE)
    return left


@pytest.fixture
def elsewhere(home, monkeypatch):
    """This console runs on another machine: it has none of the executor's files."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "other-state"))


async def outcome(run):
    """The last operation's, as it is on record in the cluster."""
    return (await run("audit", "fraud", "--output", "json")).json["operations"][0]["outcome"]


# ---- listed


async def test_nothing_is_under_way(run, fraud):
    for arguments in ((), ("fraud",), ("--follow",), ("fraud", "--follow")):
        ended = await run("operations", *arguments)
        assert ended.code == 0, ended.err
        assert "nothing is under way" in ended.out
    assert (await run("operations", "--output", "json")).json["operations"] == []


@pytest.mark.parametrize("command", ["operations", "audit", "keep", "approve", "abort", "resume", "abandon"])
async def test_a_slip_of_the_keys_is_no_service_where_nothing_is_under_way(run, fraud, command):
    sure = () if command in ("operations", "audit") else ("--yes", "--reason", "because")
    ended = await run(command, "fruad", "--output", "json", *sure)
    assert ended.code == 2
    assert ended.json["error"] == "there is no Service ml/fruad"
    assert ended.json["hint"] == "there is fraud"


@pytest.mark.parametrize(
    "words", [("status",), ("switch", "--dry-run"), ("rollback", "--dry-run"), ("drill", "--yes"), ("adopt", "--yes")]
)
async def test_a_slip_of_the_keys_is_told_with_what_there_is_where_it_is_planned(run, fraud, words):
    command, *more = words
    ended = await run(command, "fruad", "--output", "json", *more)
    assert ended.code == 2
    assert ended.json["error"] == "there is no Service ml/fruad"
    assert ended.json["hint"] == "there is fraud"


async def test_what_waits_is_listed_with_all_that_can_be_asked(run, guarded, waiting):
    ended = await run("operations", "--output", "json")
    (found,) = ended.json["operations"]
    assert ended.code == 0
    assert (found["kind"], found["service"], found["phase"], found["alive"]) == ("switch", "fraud", "approval", True)
    assert found["here"] is True
    assert set(found["can"]) == {"abort", "handover"}, "nobody is the second person to themselves"
    assert found["to"] == {"color": "green", "version": "13"}
    assert found["holder"].endswith(found["id"])
    text = (await run("operations")).out
    for words in ("approval", "at work", "mlconsole abort ml/fraud", found["holder"]):
        assert words in text
    guarded("second")
    (found,) = (await run("operations", "fraud", "--output", "json")).json["operations"]
    assert {"abort", "approve"} <= set(found["can"])


async def test_from_elsewhere_it_is_the_same_but_for_the_place(run, waiting, elsewhere):
    found = {}
    while found.get("phase") != "approval":  # the cluster is told a little later
        (found,) = (await run("operations", "-A", "--output", "json")).json["operations"]
    assert (found["alive"], found["here"]) == (True, False)


async def test_what_was_killed_says_what_it_has_come_to(run, killed):
    (found,) = (await run("operations", "--output", "json")).json["operations"]
    assert (found["alive"], found["standing"]) == (False, "applied but unverified")
    assert found["can"] == ["resume", "abort", "abandon"]
    ended = await run("operations")
    assert "INTERRUPTED, applied but unverified" in ended.out
    assert "`mlconsole resume ml/fraud`" in ended.out


async def test_a_viewer_may_look(run, guarded, waiting):
    guarded("viewer")
    for arguments in ((), ("fraud",)):
        (found,) = (await run("operations", *arguments, "--output", "json")).json["operations"]
        assert found["phase"] == "approval"


async def test_what_nobody_carries_out_cannot_be_followed(run, killed):
    ended = await run("operations", "fraud", "--follow", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 1
    assert "applied but unverified" in ended.json["error"]


async def test_another_machine_s_is_followed_to_its_end(run, leave, home, elsewhere, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    (home / "mlconsole.toml").write_text(ALONE.replace("1s", "3s"))
    await leave("verify")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "other-state"))
    ended = await run("operations", "--follow", "--output", "json")
    assert ended.code == 1, ended.err
    assert ended.json["record"]["outcome"] == "unverified"


# ---- nothing to ask


@pytest.mark.parametrize("word", WORDS)
async def test_without_an_operation(run, fraud, word):
    ended = await run(word, "fraud", "--yes", "--reason", "x", "--output", "json")
    if word in ("keep", "approve", "handover"):
        assert (ended.code, ended.json["exit_code"]) == (4, 4)
        assert "nothing is under way" in ended.json["error"]
    else:
        assert (ended.code, ended.json["outcome"], ended.json["operation"]) == (0, "none", None)
        assert (ended.json["namespace"], ended.json["service"]) == ("ml", "fraud")
    assert journal() == []


@pytest.mark.parametrize("word", ["resume", "abandon", "keep"])
async def test_4_what_cannot_be_asked_of_one_that_waits(run, fraud, waiting, word):
    ended = await run(word, "fraud", "--yes", "--reason", "x", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 4
    assert "abort, handover" in ended.json["hint"]
    assert waiting.folder.alive


@pytest.mark.parametrize("word", ["keep", "approve", "handover"])
async def test_4_what_cannot_be_asked_of_one_that_was_killed(run, killed, word):
    ended = await run(word, "fraud", "--yes", "--output", "json")
    assert ended.code == 4
    assert "resume, abort, abandon" in ended.json["hint"]


async def test_4_what_may_be_alive_elsewhere_is_not_taken_up(run, killed, elsewhere):
    """Its lock is fresh: only its own machine knows that nobody renews it."""
    ended = await run("resume", "fraud", "--yes", "--output", "json")
    assert ended.code == 4, ended.err
    assert "being carried out by" in ended.json["error"]


@pytest.mark.parametrize("word", WORDS)
async def test_2_nobody_to_ask(run, fraud, word):
    ended = await run(word, "fraud")
    assert ended.code == 2
    assert "--yes" in ended.err


@pytest.mark.parametrize("word", ["abort", "approve", "handover"])
async def test_3_read_only(run, waiting, word):
    ended = await run(word, "fraud", "--yes", "--read-only", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 3
    assert "read-only" in ended.json["error"]
    assert waiting.folder.operation().phase == "approval"


async def test_3_a_viewer_may_not_ask(run, guarded, waiting, elsewhere):
    guarded("viewer")
    ended = await run("abort", "fraud", "--yes", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 3, ended.err
    assert waiting.folder.operation().phase == "approval"


@pytest.mark.parametrize("word", WORDS)
async def test_5_unreachable(run, fraud, home, word):
    near = fraud.server.kubeconfig(namespace="ml")
    (home / "far").write_text(near.replace(fraud.server.url, "http://127.0.0.1:1"))
    ended = await run(word, "fraud", "--yes", "--reason", "x", "--kubeconfig", str(home / "far"), "--output", "json")
    assert ended.code == ended.json["exit_code"] == 5, ended.err


# ---- asked


@pytest.mark.parametrize("answer", ["", "n", "abort"])
async def test_the_focus_is_on_no(run, fraud, waiting, answers, answer):
    answers(answer)
    ended = await run("abort", "fraud")
    assert ended.code == 1
    assert "nothing was changed" in ended.err
    assert "SWITCH ml/fraud" in ended.out
    assert waiting.folder.operation().phase == "approval"


async def test_abort_ends_it_before_the_traffic_moves(run, fraud, waiting, answers):
    answers("y")
    ended = await run("abort", "fraud", "--reason", "not today")
    assert (ended.code, live(fraud)) == (0, "blue"), ended
    assert "aborted" in ended.out
    assert "not today" in ended.out
    assert await outcome(run) == "aborted"
    assert (await run("operations", "--output", "json")).json["operations"] == []


async def test_abort_from_another_machine(run, fraud, waiting, elsewhere):
    ended = await run("abort", "fraud", "--yes", "--output", "json")
    assert (ended.code, ended.json["outcome"], live(fraud)) == (0, "aborted", "blue"), ended.err
    assert ended.json["operation"]["here"] is False
    assert ended.json["record"]["outcome"] == "aborted"


async def test_nobody_approves_their_own(run, fraud, waiting):
    ended = await run("approve", "fraud", "--yes", "--output", "json")
    assert ended.code == ended.json["exit_code"] == 3
    assert "second person" in ended.json["error"]
    assert live(fraud) == "blue"


async def test_a_second_person_approves(run, fraud, guarded, leave, home, answers):
    (home / "mlconsole.toml").write_text(APPROVED)
    guarded("operator")
    left = await leave("approval")
    guarded("second")
    answers("y")
    ended = await run("approve", "fraud", "--reason", "seen")
    assert ended.code == 0, ended
    assert "CHANGES" in ended.out, "what is approved is shown"
    assert "approved" in ended.out
    while left.folder.alive:
        await asyncio.sleep(0.05)
    assert live(fraud) == "green"
    assert await outcome(run) == "unverified"


# ---- taken up again


async def test_resume_goes_on_with_what_was_killed(run, fraud, killed):
    ended = await run("resume", "fraud", "--yes", "--wait", "--output", "json")
    assert (ended.code, ended.json["outcome"]) == (1, "unverified"), ended.err
    assert live(fraud) == "green"
    assert ended.json["operation"]["standing"] == "applied but unverified"
    assert "verify" in [step["step"] for step in ended.json["steps"]]
    assert (await run("operations", "--output", "json")).json["operations"] == []


async def test_abort_of_what_was_killed_brings_the_traffic_back(run, fraud, killed):
    ended = await run("abort", "fraud", "--yes", "--output", "json")
    assert live(fraud) == "blue"
    # No model server answers: that the traffic is back is seen by nobody.
    assert (ended.code, ended.json["outcome"]) == (1, "unverified"), ended.err


async def test_abort_of_what_was_killed_before_it_moved_anything(run, fraud, waiting):
    waiting.kill()
    ended = await run("abort", "fraud", "--yes", "--output", "json")
    assert (ended.code, ended.json["outcome"], live(fraud)) == (0, "aborted", "blue"), ended.err


@pytest.mark.parametrize(("reason", "code"), [((), 2), (("--reason", "by hand"), 0)])
async def test_abandon_takes_a_reason_and_leaves_all_as_it_is(run, fraud, killed, reason, code):
    ended = await run("abandon", "fraud", "--yes", *reason, "--output", "json")
    assert (ended.code, live(fraud)) == (code, "green"), ended.err
    if code == 0:
        assert ended.json["outcome"] == "abandoned"
        assert "by hand" in ended.json["message"]
        assert await outcome(run) == "abandoned"


async def test_abandon_asks_for_its_reason(run, fraud, killed, answers):
    answers("by hand", "y")
    ended = await run("abandon", "fraud")
    assert ended.code == 0, ended
    assert "by hand" in ended.out


async def test_overtaken_there_is_only_to_abandon(run, fraud, killed):
    # Somebody moves it back with kubectl.
    await fraud.merge(f"{fraud.core}/services/fraud", {"spec": {"selector": {"color": "blue"}}})
    ended = await run("resume", "fraud", "--yes", "--output", "json")
    assert ended.code == 4
    assert "overtaken by someone" in ended.json["error"]
    ended = await run("abandon", "fraud", "--yes", "--reason", "kubectl was faster", "--output", "json")
    assert (ended.code, live(fraud)) == (0, "blue"), ended.err
