"""The command line in this process, on an embedded API server, in a home of its own."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from typing import NamedTuple

import pytest

from cluster import conftest as clusters
from commands import worlds
from engine import conftest as desks
from kills.nursery import Nursery
from mlconsole.cli import main
from mlconsole.commands.operate import Operation
from mlconsole.commands.rights import needs
from mlconsole.demo.apiserver.auth import Rule, User
from mlconsole.demo.apiserver.patches import MERGE
from mlconsole.demo.apiserver.server import serve
from mlconsole.engine import session as sessions
from mlconsole.engine.execution.folder import Folder

embedded = clusters.embedded
world, environ, forks = worlds.world, worlds.environ, worlds.forks
SOURCES = ("KUBECONFIG", "MLFLOW_TRACKING_URI", "PROMETHEUS_URL", "DOCKER_HOST")
DEADLINE = 120.0
ALONE = '[defaults.smoke]\nenabled = false\n[defaults.verify]\ndeadline = "1s"\n'
"""An API server alone: no model server answers, and what cannot be seen to arrive is unverified soon."""
VARIABLES = (*SOURCES, "MLCONSOLE_CONFIG", "XDG_RUNTIME_DIR")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home, and nothing in the environment that points elsewhere."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, inner in (("HOME", ""), ("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state")):
        monkeypatch.setenv(name, str(folder / inner))
    monkeypatch.chdir(folder)
    before = logging.root.handlers[:]
    yield folder
    logging.root.handlers[:] = before


@pytest.fixture
def empty_registry(home, monkeypatch):
    """A registry that the environment names, its model `fraud` without a version: the client, and the experiment."""
    import mlflow

    uri = f"sqlite:///{home}/mlflow.db"
    for name, value in (("TRACKING_URI", uri), ("DISABLE_TELEMETRY", "true"), ("LOGGING_LEVEL", "ERROR")):
        monkeypatch.setenv(f"MLFLOW_{name}", value)
    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("fraud", artifact_location=str(home / "artifacts"))
    client.create_registered_model("fraud")
    return client, experiment


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture(scope="package")
def nursery(tmp_path_factory):
    """Where executors come from: each is a process of its own, forked from one that has everything imported."""
    found = Nursery(tmp_path_factory.mktemp("nursery"))
    yield found
    found.close()


@pytest.fixture
def run(home, capsys, nursery, monkeypatch):
    """`await run("status", ...)`: the command line, in a thread with an event loop of its own."""

    def within(arguments):
        try:
            return main(arguments)
        except SystemExit as ended:  # argparse's own
            return ended.code

    monkeypatch.setattr(sessions, "Executor", nursery.executor)

    async def call(*arguments):
        capsys.readouterr()
        code = await asyncio.to_thread(within, list(arguments))
        return Result(int(code), *capsys.readouterr())

    return call


@pytest.fixture
async def fraud(embedded, home, monkeypatch):
    """Blue v12 live, green v13 idle, two ready pods each; no model server behind them."""
    await embedded.blue_green()
    await desks.settle(embedded)
    for pod in embedded.store.list("pods", "ml")[0]:
        # Nobody listens there: what is asked is refused at once.
        name = pod["metadata"]["name"]
        embedded.store.patch("pods", "ml", name, {"status": {"podIP": "127.77.13.1"}}, MERGE, subresource="status")
    monkeypatch.setenv("KUBECONFIG", embedded.kubeconfig)
    (home / "mlconsole.toml").write_text(ALONE)
    return embedded


def granted(readonly):
    """What `mlconsole rbac` prints, as the rules of a user."""
    return tuple(
        Rule(need.verbs, (need.resource,), (need.group,), ("ml",), ("ml",) if need.named else ())
        for need in needs(readonly)
        if not need.optional
    )


@pytest.fixture
async def guarded(fraud, home, monkeypatch):
    """The same cluster for users with the printed rights alone: `guarded("operator")`, `"second"`, `"viewer"`."""
    users = {f"t-{name}": User(name, rules=granted(name == "viewer")) for name in ("operator", "second", "viewer")}
    server = await serve(fraud.store, users=users)

    def become(name):
        path = home / f"kubeconfig-{name}"
        path.write_text(server.kubeconfig(f"t-{name}", namespace="ml"))
        monkeypatch.setenv("KUBECONFIG", str(path))

    yield become
    await server.close()


@pytest.fixture
def answers(monkeypatch):
    """A person at the terminal who types these lines: `answers("y")`."""

    def sit(*lines):
        typed = iter([*(f"{line}\n" for line in lines), ""])
        monkeypatch.setattr("mlconsole.commands.asking.someone_there", lambda: True)
        monkeypatch.setattr("sys.stdin", type("Keyboard", (), {"readline": staticmethod(lambda: next(typed))}))

    return sit


class Left:
    """An operation whose shell was left; its executor goes on."""

    def __init__(self, home):
        self._root = home / "state" / "mlconsole" / "operations"

    @property
    def folder(self):
        """The newest operation's."""
        return Folder(max(self._root.iterdir(), key=lambda path: path.stat().st_mtime))

    def kill(self):
        """Kill its executor, and wait until it is gone."""
        pid, _ = (self.folder.path / "pid").read_text().split()
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
        end = time.monotonic() + DEADLINE
        while self.folder.alive:
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture
async def leave(run, fraud, home, monkeypatch):
    """`await leave("approval")`: a switch that is begun, its shell left with Ctrl-C at that step."""
    left = Left(home)
    begun = []

    async def call(step, *arguments):
        as_it_is = Operation._report

        def interrupted(self, reported):
            as_it_is(self, reported)
            if reported.step == step:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Operation, "_report", interrupted)
            ended = await run("switch", "fraud", "--yes", "--reason", "a test", "--waive", "answers", *arguments)
        assert ended.code == 130, ended
        begun.append(step)
        return left

    yield call
    if begun:
        left.kill()


def live(cluster, name="fraud"):
    """The colour with the traffic."""
    return cluster.store.get("services", "ml", name)["spec"]["selector"]["color"]


def journal():
    """The lines of the local audit journal."""
    path = os.path.join(os.environ["XDG_STATE_HOME"], "mlconsole", "audit.jsonl")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
