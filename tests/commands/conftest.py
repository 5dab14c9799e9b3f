"""The command line in this process, on an embedded API server, in a home of its own."""

import asyncio
import json
import logging
import os
from typing import NamedTuple

import pytest

from cluster import conftest as clusters
from engine import conftest as desks
from mlconsole.cli import main
from mlconsole.commands.rights import needs
from mlconsole.demo.apiserver.auth import Rule, User
from mlconsole.demo.apiserver.patches import MERGE
from mlconsole.demo.apiserver.server import serve

embedded = clusters.embedded
SOURCES = ("KUBECONFIG", "MLFLOW_TRACKING_URI", "PROMETHEUS_URL", "DOCKER_HOST")
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


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(home, capsys):
    """`await run("status", ...)`: the command line, in a thread with an event loop of its own."""

    def within(arguments):
        try:
            return main(arguments)
        except SystemExit as ended:  # argparse's own
            return ended.code

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
    (home / "mlconsole.toml").write_text('[defaults.verify]\ndeadline = "1s"\n')
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
    """The same cluster for two users with the printed rights alone: `guarded("operator")`, `guarded("viewer")`."""
    users = {"t-operator": User("operator", rules=granted(False)), "t-viewer": User("viewer", rules=granted(True))}
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
