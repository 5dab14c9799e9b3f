"""An embedded world with load on it, operations whose executor dies, and a second one that goes on."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from mlconsole.cluster.errors import NotFound
from mlconsole.config import load
from mlconsole.engine import underway
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution import process
from mlconsole.engine.session import Session

NAME = "fraud-scorer"
HISTORY = f"/api/v1/namespaces/ml/configmaps/mlconsole-history-{NAME}"
DEADLINE = 60.0
CONFIG = """\
[defaults]
watch_window = "500ms"
[defaults.watch]
drain = "200ms"
[defaults.deploy]
progress_deadline = "30s"
"""


@pytest.fixture(scope="package")
def world():
    """A world of its own, in a process."""
    command = [sys.executable, "-m", "mlconsole", "demo", "--headless", "--no-registry", "--output", "json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield json.loads(child.stdout.readline())
    child.terminate()
    assert child.wait(DEADLINE) == 0


class Mortal(process.Executor):
    """An executor that dies at its n-th write."""

    def __init__(self, settings, number, when, tally):
        self.tally = tally
        command = [sys.executable, "-m", "kills.mortal", str(number), when, str(tally)]
        self.begun = 0
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd="tests", start_new_session=True)
        self._write(msgspec.json.encode(settings))

    async def ended(self):
        """How it ended: negative for a signal."""
        return await asyncio.wait_for(asyncio.to_thread(self._process.wait), DEADLINE)


class Stage:
    """Where operations are killed and taken up again, and what came of it."""

    def __init__(self, world, folder, session, settings):
        self.world, self.folder, self.session, self.settings = world, folder, session, settings
        self.outcomes = Counter()

    async def live(self):
        """The colour with the traffic."""
        return (await self.session.detail(NAME)).service.live

    async def begin(self, number, when, kind, **wish):
        """Begin an operation that dies at its n-th write; (its plan, whether it died, its writes)."""
        await self.forget()
        plan = await self.session.plan(kind, NAME, **wish)
        waived = tuple(gate.name for gate in plan.gates if gate.stops)
        tally = self.folder / f"{kind}-{number}-{when}"
        executor = Mortal(self.settings, number, when, tally)
        process.begin_with(plan, Consent(plan.hash, "a test", plan.service, waived), executor, plan.created_at)
        code = await executor.ended()
        return plan, code != 0, tally.read_text().splitlines()

    async def forget(self):
        """Begin with an empty history: no release is good or bad because of the operation before."""
        with contextlib.suppress(NotFound):
            await self.session.connection.request("DELETE", HISTORY)

    async def go_on(self, how):
        """Take up what was left, if anything was: (what it had come to, how it ended)."""
        under = await self.session.under_way(NAME)
        if under is None:
            return "nothing left", None
        assert not under.alive, "its executor is dead, and this machine knows"
        done = await self.session.take_up(under, how, "a test", lambda _: None)
        folder = underway.folder_of(done.id)
        async for _ in process.follow(folder):
            pass
        return str(under.standing), folder.operation()

    async def history(self):
        """What stands in the history's ConfigMap."""
        try:
            return (await self.get(HISTORY))["data"]
        except NotFound:
            return {}

    def said(self, plan):
        """What the executors of an operation said."""
        entries, _ = underway.folder_of(plan.id).entries()
        return [f"{entry.step}: {entry.words}" for entry in entries]

    async def lease(self):
        """The service's lock."""
        return await self.get(f"/apis/coordination.k8s.io/v1/namespaces/ml/leases/mlconsole-{NAME}")

    async def get(self, path):
        return msgspec.json.decode(await self.session.connection.get(path))

    def lost(self):
        """Requests through the Service that got no good answer."""
        counts = json.loads(Path(self.world["stats"]).read_text())
        found = counts.get("ml/" + NAME) or counts["services"]["ml/" + NAME]
        return found["failed"] + found["refused"]


@pytest.fixture
async def stage(world, tmp_path, monkeypatch):
    """A session in the world, with a state folder of its own."""
    config = tmp_path / "mlconsole.toml"
    config.write_text(CONFIG)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    options = {"kubeconfig": world["kubeconfig"], "namespace": "ml", "config": str(config)}
    settings = load(options, {}).settings
    async with Session.open(settings) as session:
        yield Stage(world, tmp_path, session, settings)
