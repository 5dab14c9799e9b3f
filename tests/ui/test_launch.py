"""Opening the console in a real pseudo-terminal, and what is left on it when it cannot be opened or breaks."""

import os
import pty
import subprocess
import sys

import pytest

from terminal import Program

CRASH = """
import sys
from mlconsole.ui import launch
from mlconsole.ui.screens.main import MainScreen
def broken(self):
    raise ValueError("a bug of the console")
MainScreen.on_mount = broken
sys.exit(launch.run({}))
"""

PAINTED = """
import sys
from mlconsole import cli
from mlconsole.ui.screens.main import MainScreen
def painted(self):
    with open("modules", "w") as file:
        file.write("\\n".join(sys.modules))
    self.app.exit(0)
MainScreen._fill = painted
sys.exit(cli.main([]))
"""


@pytest.fixture
def terminal(tmp_path):
    """Run a command on a pseudo-terminal of its own: `terminal(*command)` gives (exit code, what it wrote)."""

    def run(*command):
        environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path)}
        environ |= {"KUBECONFIG": str(tmp_path / "none"), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        environ.pop("MLCONSOLE_CONFIG", None)
        ours, theirs = pty.openpty()
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=tmp_path)
        os.close(theirs)
        written = b""
        try:
            while data := os.read(ours, 65536):
                written += data
        except OSError:
            pass  # what a pseudo-terminal says when nobody has its other end any more
        os.close(ours)
        return process.wait(60), written.decode(errors="replace")

    return run


def test_an_error_of_its_own_leaves_a_line_and_no_traceback(terminal, tmp_path):
    code, written = terminal(sys.executable, "-c", CRASH)
    assert code == 1
    assert "mlconsole ended over an error of its own" in written
    assert "Traceback" not in written
    log = (tmp_path / "state" / "mlconsole" / "mlconsole.log").read_text()
    assert "ValueError: a bug of the console" in log


def test_what_a_key_opens_and_what_a_pane_holds_is_imported_after_the_first_paint(terminal, tmp_path):
    code, written = terminal(sys.executable, "-c", PAINTED)
    assert code == 0, written
    imported = (tmp_path / "modules").read_text().split()
    late = {"hashlib", "numpy", "importlib.resources", "mlconsole.ui.chart.widget"}
    late |= {"kubernetes", "aiohttp", "mlflow", "pandas", "scipy", "prometheus_api_client", "docker"}
    assert not late.intersection(imported)
    screens = [name for name in imported if name.startswith("mlconsole.ui.screens.")]
    assert screens == ["mlconsole.ui.screens.main"]
    engine = {f"mlconsole.engine.{name}" for name in ("protocol", "channel", "spawn")}
    assert {name for name in imported if name.startswith("mlconsole.engine.")} <= engine
    adapters = ("cluster", "registry", "metrics", "images", "pipelines", "monitor", "demo")
    assert not [name for name in imported if name.startswith(tuple(f"mlconsole.{folder}" for folder in adapters))]


def test_a_wrong_configuration_is_refused_before_the_screen_opens(terminal, tmp_path):
    (tmp_path / "mlconsole.toml").write_text("[cluster]\nnamespac = 'ml'\n")
    code, written = terminal(sys.executable, "-m", "mlconsole")
    assert code == 2
    assert "mlconsole.toml:2: unknown key `cluster.namespac`; did you mean `namespace`?" in written
    assert "\x1b[?1049h" not in written


def test_without_a_terminal_it_says_what_works_without_one(tmp_path):
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "mlconsole"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environ,
        timeout=60,
    )
    assert done.returncode == 2
    assert "mlconsole status" in done.stderr


@pytest.mark.parametrize("term", ["dumb", "unknown", "ansi"])
def test_a_terminal_that_is_said_to_be_dumb_is_painted_as_any_other(tmp_path, term):
    folders = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
    program = Program([sys.executable, "-m", "mlconsole"], 70, 20, TERM=term, **folders)
    try:
        program.wait_for("no cluster is configured", 60)
        assert "1 Fleet" in program.text
        program.press("q")
        assert program.wait(60) == 0
    finally:
        program.close()


def test_a_terminal_that_goes_without_a_signal_ends_the_console(tmp_path):
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "LANG": "C.UTF-8"}
    environ |= {"KUBECONFIG": str(tmp_path / "none"), "TERM": "xterm-256color"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mlconsole"]
    # A session of its own without a controlling terminal: nobody sends it SIGHUP.
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=tmp_path, start_new_session=True
    )
    os.close(theirs)
    written = b""
    while b"Fleet" not in written:
        written += os.read(ours, 65536)
    os.close(ours)
    try:
        assert process.wait(60) != 0
    finally:
        process.kill()
