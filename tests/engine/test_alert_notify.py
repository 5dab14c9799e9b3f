"""Commands and webhooks: once, bounded, with nothing on a command line; and the file that keeps what was told."""

import asyncio
import fcntl
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from msgspec.structs import replace

from mlconsole.configalerts import Notify, Webhook
from mlconsole.domain.alerts import Alert, Handling, Severity, State
from mlconsole.engine import alertkeeping, alertnotify
from mlconsole.engine.alertkeeping import Keeping
from mlconsole.engine.alertnotify import Notifier
from mlconsole.engine.alertstate import REMEMBERED, RESUMED, AlertState
from mlconsole.engine.offload import WorkerError

from .conftest import until

NOW = 1_700_000_000.0
SLOW = Alert(
    "slow|ml/fraud|1",
    "slow; rm -rf $(HOME)",
    "ml/fraud",
    Severity.PAGE,
    State.FIRING,
    ("rule",),
    NOW,
    NOW,
    value="token=abcdef123456",
)


def lives(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


class Claims(set):
    """What was told."""

    def __call__(self, what):
        first = what not in self
        self.add(what)
        return first


def notifier(clock=lambda: 0.0, **settings):
    return Notifier(Notify(**settings), Claims(), {}, clock)


def writes(path, code=0):
    """A command that keeps its arguments and its input."""
    text = f"import sys; open({str(path)!r}, 'a').write(sys.stdin.read() + '\\n'); sys.exit({code})"
    return (sys.executable, "-c", text)


async def test_a_command_gets_json_on_its_standard_input_once_a_firing(tmp_path):
    async def cause():
        return "began 4 min before"

    one = notifier(command=writes(tmp_path / "told"))
    assert await one.tell(SLOW, "prod", cause)
    assert not await one.tell(SLOW, "prod")
    assert await one.tell(replace(SLOW, state=State.RESOLVED, ends_at=NOW + 60), "prod")
    first, second = map(json.loads, (tmp_path / "told").read_text().splitlines())
    assert (first["alert"], first["status"], first["cause"]) == (SLOW.name, "firing", "began 4 min before")
    assert (first["namespace"], first["service"], first["context"]) == ("ml", "fraud", "prod")
    assert "abcdef" not in first["value"]
    assert (second["status"], second["resolved_at"]) == ("resolved", NOW + 60)
    assert one.problem == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/no/such/program",), "cannot be run"),
        ((sys.executable, "-c", "import sys; sys.exit('password=hunter22')"), "ended with 1: password=<redacted>"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "did not end within 0.5 s, and was killed"),
    ],
)  # fmt: skip
async def test_a_command_that_fails_is_said_and_ends(command, words):
    one = notifier(command=command, command_timeout=0.5)
    assert await one.tell(SLOW, "prod")
    assert words in one.problem


async def test_what_is_said_of_one_alert_leaves_in_its_order(tmp_path):
    told, known = tmp_path / "told", asyncio.Event()

    async def slowly():
        await known.wait()
        return "a cause that takes long to find"

    one = notifier(command=writes(told))
    fires = asyncio.create_task(one.tell(SLOW, "prod", slowly))
    assert await one.tell(replace(SLOW, id="other"), "prod"), "another alert waits for nothing"
    over = asyncio.create_task(one.tell(replace(SLOW, state=State.RESOLVED, ends_at=NOW + 60), "prod"))
    assert await one.tell(replace(SLOW, id="third"), "prod")
    known.set()
    assert await fires
    assert await over
    said = [(item["id"], item["status"]) for item in map(json.loads, told.read_text().splitlines())]
    assert said == [("other", "firing"), ("third", "firing"), (SLOW.id, "firing"), (SLOW.id, "resolved")]


@pytest.mark.parametrize("hangs", [False, True])
async def test_it_is_told_though_its_cause_cannot_be_found(tmp_path, monkeypatch, hangs):
    monkeypatch.setattr(alertnotify, "CAUSE_SECONDS", 0.05)

    async def broken():
        if hangs:
            await asyncio.Event().wait()
        raise WorkerError("WorkerDied", "the common worker died of shifts")

    one = notifier(command=writes(tmp_path / "told"))
    assert await one.tell(SLOW, "prod", broken)
    (line,) = (tmp_path / "told").read_text().splitlines()
    assert (json.loads(line)["id"], json.loads(line)["cause"]) == (SLOW.id, "")


async def test_it_is_told_though_the_disk_keeps_no_claim(tmp_path):
    def refused(what):
        raise OSError(28, "No space left on device")

    one = Notifier(Notify(command=writes(tmp_path / "told")), refused, {})
    assert await one.tell(SLOW, "prod")
    assert (tmp_path / "told").exists()


async def test_what_a_command_started_ends_with_it(tmp_path):
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    text = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    problem = await alertnotify.run((sys.executable, "-c", text), b"{}", 3.0)
    assert "was killed" in problem
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: not lives(pid))


async def test_more_than_the_rate_is_counted_and_said_with_the_next(tmp_path):
    now = [0.0]
    one = notifier(lambda: now[0], command=writes(tmp_path / "told"), per_minute=2)
    told = [await one.tell(replace(SLOW, id=f"a|{n}"), "prod") for n in range(5)]
    assert told == [True, True, False, False, False]
    assert "3 not told" in one.problem
    now[0] = 61.0
    assert await one.tell(replace(SLOW, id="later"), "prod")
    assert json.loads((tmp_path / "told").read_text().splitlines()[-1])["suppressed"] == 3


@pytest.mark.parametrize(
    ("settings", "alert", "concerned"),
    [
        ({}, SLOW, False),
        ({"command": ("x",)}, SLOW, True),
        ({"command": ("x",)}, replace(SLOW, severity=Severity.INFO), False),
        ({"command": ("x",), "severity": "info"}, replace(SLOW, severity=Severity.INFO), True),
        ({"command": ("x",)}, replace(SLOW, state=State.RESOLVED), True),
        ({"command": ("x",), "resolved": False}, replace(SLOW, state=State.RESOLVED), False),
        ({"command": ("x",)}, replace(SLOW, state=State.PENDING), False),
    ],
)
def test_what_is_told_at_all(settings, alert, concerned):
    assert notifier(**settings).concerns(alert) is concerned


# ---- webhooks


@pytest.fixture
async def hook():
    """A server that answers what it is told to, and keeps what came."""

    hook = SimpleNamespace(answers=[], came=[], url="")

    async def take(request):
        hook.came.append((dict(request.headers), await request.json()))
        status = hook.answers.pop(0) if hook.answers else 200
        if status == "slow":
            await asyncio.sleep(30)
        headers = {"Location": "http://127.0.0.1:9/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"
    yield hook
    await runner.cleanup()


async def post(hook, environ=None, **more):
    return await alertnotify.post(Webhook(hook.url, **more), b'{"a": 1}', environ or {}, pause=0.01)


async def test_a_post_with_its_token(hook):
    given = {"bearer_token_env": "HOOK_TOKEN", "headers": {"X-Team": "ml"}}
    assert await post(hook, {"HOOK_TOKEN": "s3cret"}, **given) == ""
    ((headers, body),) = hook.came
    assert (headers["Authorization"], headers["X-Team"], body) == ("Bearer s3cret", "ml", {"a": 1})
    assert "HOOK_TOKEN, which is not set" in await post(hook, **given)
    assert len(hook.came) == 1


@pytest.mark.parametrize(
    ("answers", "tries", "words"),
    [
        ([503, 200], 2, ""),
        ([503, 503, 503, 200], 3, "answered 503"),
        ([400, 200], 1, "answered 400"),
        ([302, 200], 1, "answered 302"),
        (["slow", 200], 2, ""),
    ],
)
async def test_what_is_tried_again(hook, answers, tries, words):
    hook.answers = list(answers)
    found = await post(hook, timeout=0.5, retries=2)
    assert len(hook.came) == tries
    assert (words in found) if words else found == ""


async def test_nobody_there():
    webhook = Webhook("http://127.0.0.1:9/", retries=1)
    assert "notify.webhook" in await alertnotify.post(webhook, b"{}", {}, pause=0.01)


# ---- the file


def test_two_consoles_name_a_firing_alike_and_tell_it_once(tmp_path):
    one, other = AlertState(tmp_path), AlertState(tmp_path)
    assert one.begin("demo|slow|ml/fraud", NOW) == NOW
    assert other.begin("demo|slow|ml/fraud", NOW + 7) == NOW
    assert one.claim("x", NOW)
    assert not other.claim("x", NOW)
    one.over("demo|slow|ml/fraud", NOW + 60)
    assert other.begin("demo|slow|ml/fraud", NOW + 90) == NOW + 90


def test_a_firing_that_nobody_looked_at_for_long_is_another_one(tmp_path):
    state = AlertState(tmp_path)
    state.begin("k", NOW)
    state.seen(["k", "unknown"], NOW + 600)
    assert state.begin("k", NOW + 600 + RESUMED) == NOW
    assert state.begin("k", NOW + 600 + 3 * RESUMED) == NOW + 600 + 3 * RESUMED


def test_what_people_did_is_kept_and_on_record(tmp_path):
    state = AlertState(tmp_path)
    handling = Handling("snooze", "ann", NOW, NOW + 60, "known")
    state.handle("demo|slow|ml/fraud", "slow|ml/fraud|1", handling, "ann", NOW)
    assert AlertState(tmp_path).read().handled == {"demo|slow|ml/fraud": handling}
    state.handle("demo|slow|ml/fraud", "slow|ml/fraud|1", None, "bob", NOW + 1)
    assert state.read().handled == {}
    lines = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert [(line["what"], line["by"]) for line in lines] == [("snooze", "ann"), ("taken back", "bob")]
    assert (tmp_path / "alerts.json").stat().st_mode & 0o777 == 0o600


def test_what_is_long_over_is_forgotten(tmp_path):
    state = AlertState(tmp_path)
    state.claim("old", NOW)
    state.handle("k", "a", Handling("acknowledge", "ann", NOW), "ann", NOW)
    assert state.claim("new", NOW + REMEMBERED + 1)
    assert (set(state.read().told), state.read().handled) == ({"new"}, {})


def test_a_console_that_holds_the_lock_and_does_nothing_stops_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr("mlconsole.engine.alertstate.LOCK_SECONDS", 0.05)
    state = AlertState(tmp_path)
    state.claim("x", NOW)
    with (tmp_path / "alerts.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match=r"another console has held alerts\.lock"):
            state.claim("y", NOW)
    assert state.claim("y", NOW)


async def test_a_disk_that_hangs_holds_up_one_call_and_is_left_alone_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(alertkeeping, "SECONDS", 0.05)
    free, calls = threading.Event(), []

    class Hung(AlertState):
        def begin(self, key, at):
            calls.append(key)
            free.wait(30)
            return at

    keeping = Keeping(Hung(tmp_path))
    try:
        assert [await keeping.begin(name, NOW) for name in "abc"] == [NOW] * 3
    finally:
        free.set()
    assert calls == ["a"]
    assert keeping.problem.endswith("the disk gave no answer within 0.05 s")


def test_a_file_that_is_none_is_as_good_as_none(tmp_path):
    (tmp_path / "alerts.json").write_text('{"told": [')
    assert AlertState(tmp_path).read().told == {}
    assert AlertState(tmp_path).claim("x", NOW)
