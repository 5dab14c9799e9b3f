"""Every operation as a process, in the embedded world: real pods, real traffic, somebody else's word in between."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from commands.worlds import DEADLINE, Terminal, command, shell
from mlconsole.cluster.errors import NotFound
from mlconsole.config import load
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.session import Session

CONFIG = """\
[defaults]
watch_window = "1s"
[defaults.deploy]
resolve = false
progress_deadline = "6s"
[defaults.watch]
drain = "200ms"
"""
HISTORY = "/api/v1/namespaces/ml/configmaps/mlconsole-history-"
KEEP = CONFIG + 'keep_within = "{}"\n'
SURE = ("--yes", "--reason", "a test")


@pytest.fixture
def person(environ):
    """Somebody's environment, with a configuration in it: `person(text)`."""

    def sit(text=CONFIG):
        path = Path(environ["XDG_CONFIG_HOME"]) / "mlconsole" / "mlconsole.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return environ

    return sit


def forget(world, service):
    """Empty a service's history: nothing is good or bad there because of the test before."""

    async def delete():
        settings = load({"kubeconfig": world["kubeconfig"], "namespace": "ml"}, {}).settings
        async with Session.open(settings) as session:
            with contextlib.suppress(NotFound):
                await session.connection.request("DELETE", HISTORY + service)

    asyncio.run(delete())


@pytest.fixture
def ranker(world, person):
    """`person`, beside a service whose history is empty."""
    forget(world, "ranker")
    return person


@pytest.fixture
def elsewhere(environ, tmp_path):
    """The same person on another machine: it has none of the executors' files."""
    return {**environ, "XDG_STATE_HOME": str(tmp_path / "other-state")}


def said(environ, *arguments):
    """What a command says as JSON, with its exit code."""
    ended = shell(environ, *arguments, "--output", "json")
    found = json.loads(ended.stdout)
    assert found.get("exit_code", ended.returncode) == ended.returncode
    return found | {"exit_code": ended.returncode}


def colors(environ, service):
    (found,) = said(environ, "status", service)["services"]
    return {color["color"]: color for color in found["colors"]} | {"live": found["live"]}


def start(environ, *arguments):
    """A command beside the test."""
    return subprocess.Popen(
        command(*arguments),
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until_phase(environ, service, phase):
    """Wait until an operation is in a phase, and somebody carries it out."""
    end = time.monotonic() + DEADLINE
    while True:
        found = said(environ, "operations", service)["operations"]
        if found and found[0]["phase"] == phase and found[0]["alive"]:
            return found[0]
        assert time.monotonic() < end, found


# ---- one colour


def test_scale(person):
    environ = person()
    assert said(environ, "scale", "churn", "green", "3", *SURE)["outcome"] == "verified"
    assert colors(environ, "churn")["green"]["ready"] == 3
    again = said(environ, "scale", "churn", "--yes", "green", "3")
    assert (again["exit_code"], again["outcome"], again["plan"]) == (0, "none", None)
    refused = said(environ, "scale", "churn", "green", "2", *SURE)
    assert (refused["exit_code"], "last known good" in refused["error"]) == (6, True)
    back = said(environ, "scale", "churn", "green", "2", *SURE, "--waive", "way-back")
    assert (back["exit_code"], back["record"]["kind"]) == (0, "scale")
    assert colors(environ, "churn")["green"]["wish"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("churn", "blue", "0"), 6, "has the traffic"),
        (("churn", "red", "1"), 2, "no colour red"),
        (("churn", "1"), 2, "blue, green"),
        (("churn", "green", "many"), 2, "no number of pods"),
        (("churn", "green", "1", "--waive", "nothing"), 2, "no gate"),
    ],
)
def test_scale_is_refused(person, arguments, code, words):
    ended = shell(person(), "scale", *arguments, "--yes")
    assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr


def test_restart_pause_unpause(person):
    environ = person()
    before = colors(environ, "churn")["green"]
    restarted = shell(environ, "restart", "churn", "green", *SURE)
    assert (restarted.returncode, "restartedAt" in restarted.stdout) == (0, True), restarted.stderr
    assert said(environ, "pause", "churn", "green", *SURE)["outcome"] == "verified"
    refused = shell(environ, "restart", "churn", "green", *SURE)
    assert (refused.returncode, "unpause" in refused.stderr) == (6, True)
    assert said(environ, "pause", "churn", "green", *SURE)["outcome"] == "none"
    assert said(environ, "unpause", "churn", "green", *SURE)["outcome"] == "verified"
    assert colors(environ, "churn")["green"]["ready"] == before["wish"]


def test_drill(person):
    environ = person()
    ended = said(environ, "drill", "churn", *SURE)
    assert (ended["exit_code"], ended["outcome"]) == (0, "verified"), ended
    assert colors(environ, "churn")["live"] == "blue"
    assert said(environ, "audit", "churn", "--kind", "drill", "--limit", "1")["operations"][0]["reason"] == "a test"


def test_adopt_and_undo(person):
    environ = person()
    assert list(colors(environ, "eta")) == [None, "live"]
    refused = shell(environ, "switch", "eta", *SURE)
    assert (refused.returncode, "not blue-green" in refused.stderr) == (2, True)
    adopted = said(environ, "adopt", "eta", "--wait", *SURE)
    assert (adopted["exit_code"], adopted["outcome"], adopted["phase"]) == (0, "verified", "done"), adopted
    assert colors(environ, "eta")["live"] == "blue"
    assert said(environ, "adopt", "eta", *SURE)["outcome"] == "none"
    undone = said(environ, "adopt", "eta", "--undo", "--wait", *SURE)
    assert (undone["exit_code"], undone["kind"], undone["outcome"]) == (0, "release", "verified"), undone
    assert list(colors(environ, "eta")) == [None, "live"]


# ---- deploy


def test_deploy_and_what_is_there_already(person):
    environ = person()
    deploy = ("deploy", "churn", "--version", "v8", "--image", "demo.local/churn:8")
    planned = said(environ, *deploy, "--dry-run")
    assert (planned["exit_code"], planned["plan"]["to"]["version"]) == (0, "8")
    assert colors(environ, "churn")["green"]["version"] == "7"
    ended = shell(environ, *deploy, *SURE)
    assert ended.returncode == 0, ended.stderr
    assert "`mlconsole switch ml/churn` moves it there" in ended.stdout
    assert (colors(environ, "churn")["green"]["version"], colors(environ, "churn")["live"]) == ("8", "blue")
    assert said(environ, *deploy, *SURE)["outcome"] == "none"
    back = said(environ, "deploy", "churn", "--version", "7", "--image", "demo.local/churn:7", "--replicas", "2", *SURE)
    assert back["exit_code"] == 0


def test_deploy_of_an_image_that_is_not_there_is_undone(person):
    environ = person()
    ended = shell(environ, "deploy", "churn", "--version", "9", "--image", "demo.local/churn:9", *SURE)
    assert ended.returncode == 1, ended.stdout
    assert "demo.local/churn:9" in ended.stderr
    green = colors(environ, "churn")["green"]
    assert (green["image"], green["version"]) == ("demo.local/churn:7", "7")
    assert said(environ, "audit", "churn", "--limit", "1")["operations"][0]["outcome"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version", "0"), 2),
        (("--version", "latest"), 2),
        (("--version", "8", "--wait"), 2),
        ((), 2),
        (("--version", "@champion"), 5),
        (("--version", "8", "--image", "NOT AN IMAGE"), 2),
        (("--version", "8", "--image", "demo.local/churn:8", "--to", "blue"), 6),
    ],
)
def test_deploy_is_refused(person, arguments, code):
    ended = shell(person(), "deploy", "churn", "--yes", *arguments)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr


def test_deploy_and_switch_to_the_very_end(ranker):
    environ = ranker()
    before = colors(environ, "ranker")
    idle = "blue" if before["live"] == "green" else "green"
    wanted = "3" if before[idle]["version"] != "3" else "4"
    image = f"demo.local/ranker:{wanted}"
    ended = said(environ, "deploy", "ranker", "--version", wanted, "--image", image, "--switch", "--wait", *SURE)
    assert (ended["exit_code"], ended["outcome"], ended["phase"], ended["ahead"]) == (0, "verified", "done", []), ended
    steps = [step["step"] for step in ended["steps"]]
    assert steps.index("bring-up") < steps.index("verify") < steps.index("watch") < steps.index("drain")
    after = colors(environ, "ranker")
    assert (after["live"], after[idle]["version"]) == (idle, wanted)


# ---- a word in between


def test_kept_from_another_machine(ranker, elsewhere):
    environ = ranker(KEEP.format("90s"))
    before = colors(environ, "ranker")["live"]
    with start(environ, "switch", "ranker", "--wait", *SURE) as switching:
        # Whoever reads a pipe is told as it happens.
        assert any("mlconsole keep ml/ranker" in line for line in switching.stdout)
        until_phase(elsewhere, "ranker", "keep")
        kept = said(elsewhere, "keep", "ranker", "--yes")
        assert (kept["exit_code"], kept["operation"]["here"]) == (0, False), kept
        text, _ = switching.communicate(timeout=DEADLINE)
    assert switching.returncode == 0, text
    assert colors(environ, "ranker")["live"] != before


def test_not_kept_goes_back(ranker):
    environ = ranker(KEEP.format("1s"))
    before = colors(environ, "ranker")["live"]
    ended = said(environ, "switch", "ranker", "--wait", *SURE)
    assert (ended["exit_code"], ended["outcome"], ended["phase"]) == (1, "returned", "done"), ended
    assert "nobody kept it" in ended["message"]
    assert colors(environ, "ranker")["live"] == before


def test_aborted_in_the_watch_window_goes_back(ranker, elsewhere):
    environ = ranker(CONFIG.replace('"1s"', '"30s"', 1))
    before = colors(environ, "ranker")["live"]
    ended = said(environ, "switch", "ranker", *SURE)
    assert (ended["exit_code"], ended["outcome"], ended["ahead"][0]) == (0, "verified", "watch"), ended
    ended = shell(elsewhere, "abort", "ranker", "--yes", "--reason", "p95")
    assert (ended.returncode, "returned" in ended.stdout) == (0, True), ended.stderr
    assert colors(environ, "ranker")["live"] == before


def test_ctrl_c_while_it_is_watched_leaves_it_running(ranker):
    environ = ranker(CONFIG.replace('"1s"', '"8s"', 1))
    terminal = Terminal(environ, "switch", "ranker", "--wait", *SURE)
    terminal.until("verified")
    terminal.type(b"\x03")
    code, text = terminal.end()
    assert (code, "goes on without this command" in text) == (130, True), text
    following = Terminal(environ, "operations", "ranker", "--follow")
    following.until("lock taken")
    following.type(b"\x03")
    code, text = following.end()
    assert (code, "goes on" in text) == (130, True), text
    followed = shell(environ, "operations", "ranker", "--follow")
    assert followed.returncode == 0, followed.stderr
    assert "the watch window has passed" in followed.stdout
    assert said(environ, "operations", "ranker")["operations"] == []


ASKS = """
[services.ranker.analysis.slow]
condition = "p95 < 0.000001"
when = "after"
interval = "500ms"
count = 1
"""


@pytest.mark.parametrize(("word", "code", "outcome"), [("keep", 0, "verified"), ("abort", 1, "returned")])
def test_a_gate_fails_while_it_is_watched_and_somebody_answers(ranker, elsewhere, word, code, outcome):
    environ = ranker(CONFIG.replace('"1s"', '"20s"', 1) + ASKS)
    before = colors(environ, "ranker")["live"]
    with start(environ, "switch", "ranker", "--wait", *SURE) as switching:
        found = until_phase(elsewhere, "ranker", "ask")
        assert {"abort", "keep"} <= set(found["can"])
        text = shell(elsewhere, "operations", "ranker").stdout
        assert "it asks" in text
        assert "slow" in text
        assert shell(elsewhere, word, "ranker", "--yes", "--reason", "seen").returncode == 0
        text, _ = switching.communicate(timeout=DEADLINE)
    assert (switching.returncode, outcome in text) == (code, True), text
    assert (colors(environ, "ranker")["live"] == before) is (word == "abort")


def test_6_a_gate_on_the_way_refuses_and_what_was_made_is_undone(person):
    environ = person(CONFIG + "[services.churn.smoke]\npayload = {features = []}\n")
    before = colors(environ, "churn")["green"]
    ended = said(environ, "deploy", "churn", "--version", "8", "--image", "demo.local/churn:8", *SURE)
    assert ended["exit_code"] == 6, ended
    assert "smoke" in ended["error"]
    after = colors(environ, "churn")["green"]
    assert (after["version"], after["image"]) == (before["version"], before["image"])


def test_4_locked_by_another_unless_the_glass_is_broken(ranker, elsewhere):
    environ = ranker(CONFIG.replace('"1s"', '"60s"', 1))
    before = colors(environ, "ranker")["live"]
    with start(environ, "switch", "ranker", "--wait", *SURE) as switching:
        until_phase(environ, "ranker", "watch")
        ended = said(elsewhere, "switch", "ranker", *SURE)
        assert (ended["exit_code"], "lock" in ended["error"]) == (4, True), ended
        assert shell(elsewhere, "switch", "ranker", "--yes", "--waive", "lock").returncode == 2
        ended = said(elsewhere, "switch", "ranker", *SURE, "--waive", "lock")
        assert (ended["exit_code"], ended["outcome"]) == (0, "verified"), ended
        text, _ = switching.communicate(timeout=DEADLINE)
    assert switching.returncode == 4, text
    assert colors(environ, "ranker")["live"] == before
    assert shell(elsewhere, "abort", "ranker", "--yes").returncode == 0


def test_a_rollback_takes_the_service_from_what_goes_forward(ranker):
    environ = ranker(CONFIG.replace('"1s"', '"60s"', 1))
    before = colors(environ, "ranker")["live"]
    assert shell(environ, "switch", "ranker", *SURE).returncode == 0
    ended = said(environ, "rollback", "ranker", *SURE)
    assert (ended["exit_code"], ended["outcome"]) == (0, "verified"), ended
    assert "switch" in ended["plan"]["preempts"]
    assert colors(environ, "ranker")["live"] == before
    assert said(environ, "operations", "ranker")["operations"] == []


def test_resumed_after_a_kill_it_comes_to_its_end(ranker):
    environ = ranker(KEEP.format("90s"))
    before = colors(environ, "ranker")["live"]
    assert shell(environ, "switch", "ranker", *SURE).returncode == 0
    found = until_phase(environ, "ranker", "keep")
    folder = Folder(Path(environ["XDG_STATE_HOME"]) / "mlconsole" / "operations" / found["id"])
    os.kill(int((folder.path / "pid").read_text().split()[0]), signal.SIGKILL)
    while folder.alive:
        time.sleep(0.02)
    with start(environ, "resume", "ranker", "--wait", "--yes") as resuming:
        until_phase(environ, "ranker", "keep")
        kept = said(environ, "keep", "ranker", "--yes")
        assert kept["exit_code"] == 0, kept
        text, _ = resuming.communicate(timeout=DEADLINE)
    assert (resuming.returncode, "verified" in text) == (0, True), text
    assert colors(environ, "ranker")["live"] != before


def test_2_more_than_one_to_follow(world, ranker):
    environ = ranker(CONFIG.replace('"1s"', '"60s"', 1))
    forget(world, "fraud-scorer")
    for service in ("ranker", "fraud-scorer"):
        ended = shell(environ, "switch", service, *SURE)
        assert ended.returncode == 0, ended.stderr
    listed = shell(environ, "operations")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["SERVICE", "ml/fraud-scorer", "ml/ranker"]
    ended = shell(environ, "operations", "--follow")
    assert (ended.returncode, "ml/fraud-scorer, ml/ranker" in ended.stderr) == (2, True), ended.stderr
    for service in ("ranker", "fraud-scorer"):
        assert shell(environ, "abort", service, "--yes").returncode == 0
    forget(world, "fraud-scorer")
