"""The program itself, as a process, in the embedded world: traffic that moves, a terminal, Ctrl-C."""

import json
import os
import subprocess

from commands.worlds import COMMAND, Terminal, shell


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
    plan = json.loads(ended.stdout)["plan"]
    # Which one depends on what was done to it before.
    assert (plan["to"]["color"], plan["to"]["ready"]) == (None, 1)
    assert plan["to"]["version"] in ("4", "5")
    assert f"roll back to revision {plan['to']['revision'] + 1}" in plan["way_back"]


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
