"""The alerts from the shell: one look, and looking all the time without a screen."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time

import pytest

from mlconsole.cli import COMMANDS
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.demo.apiserver.patches import MERGE

DEADLINE = 60.0
HASTY = """
import sys
from mlconsole.cli import main
from mlconsole.engine import alertrules, alerts
alerts.PULSE, alertrules.SERVING_SECONDS = 0.2, 1.0
sys.exit(main(sys.argv[1:]))
"""
"""`mlconsole`, which looks more often than a person needs, and calls sooner."""
QUICK = """
[metrics]
scrape = false
[alerts.serving]
condition = "rate < 0"
enabled = false
[alerts.quiet]
condition = "rate < 1"
severity = "info"
"""


def unready(fraud, ready="False"):
    """Say of the live colour's pods whether they are ready."""
    for pod in fraud.store.list("pods", "ml")[0]:
        if "blue" in pod["metadata"]["name"]:
            body = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}}
            fraud.store.patch("pods", "ml", pod["metadata"]["name"], body, MERGE, subresource="status")


# ---- one look


async def test_one_look_says_what_holds_and_what_is_not_known(run, fraud, home):
    unready(fraud)
    (home / "mlconsole.toml").write_text(
        QUICK.replace("enabled = false", "").replace("[alerts.serving]", "[alerts.no]")
    )
    ended = await run("alerts", "--output", "json")
    assert ended.code == 0
    rules = {rule["rule"]: rule for rule in ended.json["rules"]}
    assert (rules["serving"]["holds"], rules["serving"]["severity"]) == (True, "page")
    assert (rules["quiet"]["holds"], rules["quiet"]["why"]) == (None, "no data")
    assert ended.json["alerts"] == ended.json["silences"] == []
    page = (await run("alerts", "fraud")).out
    assert "FAIL" in page
    assert "UNKNOWN" in page
    assert "serving" in page


async def test_a_service_that_is_not_there(run, fraud):
    ended = await run("alerts", "nobody")
    assert ended.code == 2
    assert "there is no model service nobody" in ended.err


async def test_a_cluster_that_cannot_be_read(run, home):
    ended = await run("alerts", "--output", "json")
    assert ended.code == 5
    assert "error" in ended.json


async def test_one_look_calls_nobody(run, fraud, home):
    unready(fraud)
    command = json.dumps([sys.executable, "-c", f"open({str(home / 'told')!r}, 'w').close()"])
    (home / "mlconsole.toml").write_text(f'[notify]\ncommand = {command}\n[alerts.quiet]\ncondition = "rate < 1"\n')
    await run("alerts")
    assert not (home / "told").exists()


def test_both_are_commands_of_looking():
    assert {"alerts", "watch"} <= set(COMMANDS)


# ---- looking all the time


class Watch:
    """A `mlconsole watch --headless`, and what it says."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    async def until(self, event, **wanted):
        """The next line of an event that is as wanted."""
        async with asyncio.timeout(DEADLINE):
            while raw := await self.process.stdout.readline():
                line = json.loads(raw)
                self.lines.append(line)
                if line["event"] == event and all(line.get(key) == value for key, value in wanted.items()):
                    return line
        raise AssertionError(self.lines)


@pytest.fixture
async def watch(home):
    """Start watches that end with the test: `await watch()`."""
    running = []

    async def start(*arguments):
        command = [sys.executable, "-c", HASTY, "watch", "--headless", "-n", "ml", *arguments]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=dict(os.environ))
        running.append(process)
        return Watch(process)

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_it_says_what_fires_tells_a_command_once_and_ends_on_sigterm(watch, fraud, home):
    text = f"import sys; open({str(home / 'told')!r}, 'a').write(sys.stdin.read() + '\\n')"
    command = json.dumps([sys.executable, "-c", text])
    rule = '[alerts.no-figures]\ncondition = "rate < 1"\n'
    (home / "mlconsole.toml").write_text(f"[metrics]\nscrape = false\n[notify]\ncommand = {command}\n{rule}")
    found = await watch()
    started = await found.until("started")
    assert (started["notify"], started["rules"], started["namespace"]) == (["command"], ["no-figures"], "ml")
    await found.until("source", name="k8s", condition="live")
    unready(fraud)
    fired = await found.until("firing", alert="serving")
    assert (fired["service"], fired["namespace"], fired["severity"], fired["context"]) == (
        "fraud",
        "ml",
        "page",
        "demo",
    )
    await asyncio.to_thread(_until_told, home / "told", 1)
    unready(fraud, "True")
    await found.until("resolved", alert="serving", id=fired["id"])
    await asyncio.to_thread(_until_told, home / "told", 2)
    found.process.send_signal(signal.SIGTERM)
    assert (await found.until("stopped"))["signal"] == "SIGTERM"
    assert await found.process.wait() == 0
    told = [json.loads(line) for line in (home / "told").read_text().splitlines()]
    assert [(line["alert"], line["status"]) for line in told] == [("serving", "firing"), ("serving", "resolved")]
    assert not [line for line in found.lines if line.get("alert") == "no-figures"]


def _until_told(path, count):
    end = time.monotonic() + DEADLINE
    while not path.exists() or path.read_text().count("\n") < count:
        assert time.monotonic() < end, "not told"
        time.sleep(0.02)


async def test_it_survives_a_cluster_that_goes_away_and_changes_nothing(watch, fraud, home):
    (home / "mlconsole.toml").write_text("[metrics]\nscrape = false\n")
    heard = []
    fraud.faults.failures.insert(0, Failure(lambda method, path: bool(heard.append((method, path)))))
    found = await watch()
    await found.until("source", name="k8s", condition="live")
    gone = Failure(lambda method, path: True, status=503, times=1_000_000)
    fraud.faults.failures.append(gone)
    fraud.faults.drop_watches()
    await found.until("source", name="k8s", condition="stale")
    fraud.faults.failures.remove(gone)
    await found.until("source", name="k8s", condition="live")
    found.process.send_signal(signal.SIGINT)
    await found.until("stopped")
    assert await found.process.wait() == 0
    assert {method for method, _ in heard} <= {"GET", "POST"}
    assert {path for method, path in heard if method == "POST"} <= {
        path for _, path in heard if "selfsubject" in path.lower()
    }


async def test_without_headless_it_says_where_the_screen_is(run):
    ended = await run("watch")
    assert ended.code == 2
    assert "the console" in ended.err


async def test_the_rights_to_look_are_all_that_it_takes(run, guarded, home):
    guarded("viewer")
    (home / "mlconsole.toml").write_text("[metrics]\nscrape = false\n")
    ended = await run("alerts", "--output", "json")
    assert ended.code == 0
    assert {rule["holds"] for rule in ended.json["rules"] if rule["rule"] == "serving"} == {False}
