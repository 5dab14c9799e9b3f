"""The program itself, as a process, in the embedded world: traffic that moves, a terminal, Ctrl-C."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest

COMMAND = (sys.executable, "-m", "mlconsole")
DEADLINE = 30.0


@pytest.fixture(scope="module")
def world():
    """A world of its own, in a process."""
    command = [*COMMAND, "demo", "--headless", "--no-registry", "--output", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield json.loads(process.stdout.readline())
    process.terminate()
    assert process.wait(DEADLINE) == 0


@pytest.fixture
def environ(world, tmp_path):
    """The environment of a person in that world."""
    kept = {name: os.environ[name] for name in ("PATH",)}
    places = {"HOME": tmp_path, "XDG_STATE_HOME": tmp_path / "state", "XDG_CONFIG_HOME": tmp_path / "config"}
    return {**kept, "KUBECONFIG": world["kubeconfig"], "TERM": "xterm", **{k: str(v) for k, v in places.items()}}


def shell(environ, *arguments):
    return subprocess.run(
        [*COMMAND, "-n", "ml", *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


class Terminal:
    """The program in a pseudo-terminal."""

    def __init__(self, environ, *arguments):
        self.read = b""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(COMMAND[0], [*COMMAND, "-n", "ml", *arguments], environ)
        self.pid = pid

    def until(self, words):
        end = time.monotonic() + DEADLINE
        while words.encode() not in self.read:
            assert time.monotonic() < end, self.read.decode(errors="replace")
            self.read += os.read(self.fd, 65536)

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self):
        """What it wrote, and its exit code."""
        while True:
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                break
            if not more:
                break
            self.read += more
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.read.decode(errors="replace")


def live(environ):
    return json.loads(shell(environ, "status", "fraud-scorer", "--output", "json").stdout)["services"][0]["live"]


def test_switch_and_back(environ):
    assert live(environ) == "green"
    ended = shell(environ, "switch", "fraud-scorer", "--yes", "--reason", "a drill", "--output", "json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["outcome"] == "verified"
    assert live(environ) == "blue"
    ended = shell(environ, "rollback", "fraud-scorer", "--yes", "--reason", "the drill is over")
    assert ended.returncode == 0, ended.stderr
    assert "verified" in ended.stdout
    assert live(environ) == "green"


def test_a_plain_deployment_goes_back_a_revision(environ):
    ended = shell(environ, "rollback", "eta", "--dry-run", "--output", "json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["plan"]["to"] == {"color": None, "version": "4", "ready": 1, "revision": 1}


def test_ctrl_c_at_the_question_changes_nothing(environ):
    terminal = Terminal(environ, "switch", "churn")
    terminal.until("[y/N]")
    terminal.type(b"\x03")
    code, text = terminal.end()
    assert code == 130
    assert "nothing was changed" in text
    assert "Traceback" not in text


def test_a_terminal_has_colours_unless_it_wants_none(environ):
    for extra, colours in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        code, text = Terminal({**environ, **extra}, "status").end()
        assert code == 0
        assert ("\x1b[33m" in text) is colours, text


def test_without_utf_8_there_is_a_question_mark_and_no_traceback(environ):
    ascii_only = {**environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code, text = Terminal(ascii_only, "status", "fraud-scorer").end()
    assert code == 0, text
    assert text.isascii()


def test_a_closed_pipe_is_no_error_to_shout_about(environ):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [*COMMAND, "-n", "ml", "status"], env=environ, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert process.returncode == 1
    assert process.stderr == b""
