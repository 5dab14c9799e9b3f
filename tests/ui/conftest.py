"""The console itself, driven by Textual's pilot, its engine a real process on an embedded world that is one, too."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time

import pytest

from mlconsole.cluster.connection import Connection
from mlconsole.engine.spawn import spawn
from mlconsole.ui.app import Console

DEADLINE = 60.0


@pytest.fixture(scope="session")
def world():
    """An embedded world without a registry, for all tests: each of them brings back what it changed."""
    command = [sys.executable, "-m", "mlconsole.demo", "--headless", "--output", "json", "--no-registry"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    yield json.loads(process.stdout.readline())
    process.terminate()
    process.wait(DEADLINE)


@pytest.fixture
def at_home(world, tmp_path, monkeypatch):
    """The environment of a user of that world, with folders of their own."""
    for name in ("MLFLOW_TRACKING_URI", "PROMETHEUS_URL", "DOCKER_HOST", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", world["kubeconfig"])
    monkeypatch.setenv("MLCONSOLE_CONFIG", world["config"])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
async def cluster(world):
    """A connection of the test's own to the world's API server."""
    connection = await Connection.open(kubeconfig=world["kubeconfig"], namespace="ml")
    yield connection
    await connection.close()


class Driver:
    """A console under a pilot, with words for what a person does and sees."""

    def __init__(self, app, pilot):
        self.app = app
        self.pilot = pilot

    @property
    def text(self):
        """The screen as lines of text."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        assert len(strips) == height
        lines = ["".join(segment.text for segment in strip) for strip in strips]
        assert all(len(line) <= width for line in lines)
        return "\n".join(lines)

    async def until(self, *words, gone=(), seconds=DEADLINE):
        """Wait until all of `words` stand on the screen, and none of `gone`."""
        end = time.monotonic() + seconds
        while True:
            await self.pilot.pause()
            text = self.text
            if all(word in text for word in words) and not any(word in text for word in gone):
                return text
            missing = [word for word in words if word not in text]
            assert time.monotonic() < end, f"{missing} missing, {gone} gone wanted:\n{text}"
            await asyncio.sleep(0.05)  # the whole screen is drawn for a look

    async def press(self, *keys):
        """Press keys."""
        await self.pilot.press(*keys)

    async def look_at(self, name):
        """Select a service of the fleet."""
        await self.until("5 Drift" if self.app.size.width >= 100 else "Fleet", name)
        self.app.query_one("#fleet").table.steered = True
        self.app.query_one("#fleet").table.select(f"ml/{name}")
        await self.until(name)
        end = time.monotonic() + DEADLINE
        while self.app.known.detail is None or self.app.known.detail.service.name != name:
            assert time.monotonic() < end, f"no detail of {name}"
            await asyncio.sleep(0.02)
            await self.pilot.pause()


@pytest.fixture
def console(at_home):
    """Open a console: `async with console(size=(120, 40), options={...}) as driver`."""

    @contextlib.asynccontextmanager
    async def open_console(size=(120, 40), options=None):
        log = at_home / "state" / "mlconsole.log"
        engine = spawn(options or {}, log)
        app = Console(engine, options or {}, log)
        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                yield Driver(app, pilot)
                assert not app.crashed, log.read_text()
        finally:
            app._link.stop()

    return open_console


class SilentLink:
    """Stands where the line to an engine is: what is sent is kept, and nothing comes."""

    def __init__(self):
        self.sent = []
        self.state = {"pid": 0, "exit": None}

    async def run(self):
        await asyncio.Event().wait()

    def send(self, intent):
        self.sent.append(intent)


class SilentDriver(Driver):
    """Of a console whose engine is the test."""

    def __init__(self, app, pilot):
        super().__init__(app, pilot)
        self.bells = 0
        app.bell = self.ring

    def ring(self):
        """The bell."""
        self.bells += 1

    async def filled(self):
        """The panes are there."""
        await self._when(lambda: self.app._main._filled)

    async def selected(self, key):
        """The service is looked at."""
        await self._when(lambda: self.app.known.selected == key)

    async def _when(self, true):
        end = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < end, self.text
            await self.pilot.pause()
            await asyncio.sleep(0.01)

    def told(self, *messages):
        """The engine says something."""
        for message in messages:
            self.app._take(message)

    def sent(self, kind):
        """What was sent to the engine, of one kind."""
        return [intent for intent in self.app._link.sent if isinstance(intent, kind)]


@pytest.fixture
def silent(tmp_path, monkeypatch):
    """Open a console without an engine: `async with silent(size=(120, 40)) as driver`; `driver.told` speaks to it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NO_COLOR", raising=False)

    @contextlib.asynccontextmanager
    async def open_console(size=(120, 40)):
        log = tmp_path / "mlconsole.log"
        app = Console(None, {}, log)
        app._link = SilentLink()
        async with app.run_test(size=size, notifications=True) as pilot:
            yield SilentDriver(app, pilot)
            assert not app.crashed, log.read_text() if log.exists() else "no log"

    return open_console
