"""A small real registry on SQLite, and a real MLflow server over the same database."""

import asyncio
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from mlconsole.config import Registry
from mlconsole.engine.offload import Offload
from mlconsole.monitor.reference import from_frame, log_reference
from mlconsole.registry.feed import RegistryFeed

DEADLINE = 120.0
HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]x[/bold] \u202e" + "A" * 99_000
MODEL = "scorer"


def _train(folder, uri):
    """v1: whole; v2: its run deleted, still in a stage; v3: hostile, and never linked to a run."""
    import mlflow
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    client = mlflow.MlflowClient(uri, uri)
    experiment = client.create_experiment("fraud", artifact_location=str(folder / "artifacts"))
    rows = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0], "hour": [1.0, 2.0, 3.0, 5.0]})
    model = LogisticRegression().fit(rows, [0, 0, 1, 1])
    tags = {"mlflow.user": "train", "mlflow.source.git.commit": "3f2c1a9" + "0" * 33, "mlflow.source.name": "train.py"}
    with mlflow.start_run(experiment_id=experiment, run_name="train-1", tags={**tags, "dataset": "june"}):
        mlflow.log_params({"C": 1.0})
        mlflow.log_metrics({"accuracy": 0.91, "broken": float("nan")})
        _datasets(mlflow, folder, rows)
        log_reference(from_frame(rows, [0, 0, 1, 1], sample=4, source="june"), mlflow.active_run().info.run_id)
        mlflow.sklearn.log_model(
            model,
            name="model",
            input_example=rows,
            pip_requirements=["scikit-learn"],
            registered_model_name=MODEL,
        )
    deleted = client.create_run(experiment).info.run_id
    client.create_model_version(MODEL, str(folder / "nowhere"), run_id=deleted, description="second")
    client.transition_model_version_stage(MODEL, "2", "Staging")
    client.delete_run(deleted)
    client.create_model_version(MODEL, str(folder / "nowhere"), tags={"note": HOSTILE, "dirty": "v"})
    client.set_registered_model_alias(MODEL, "champion", "1")
    client.create_registered_model("empty", description="\x1b[1mnothing yet")
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database, database:  # MLflow checks keys
        database.execute("UPDATE model_version_tags SET key = ? WHERE key = 'dirty'", ("\x1b[2Jkey",))


def _datasets(mlflow, folder, rows):
    """One that lies among the run's artifacts, logged under a name, and one whose source is any file of the machine."""
    rows.to_csv(folder / "holdout.csv", index=False)
    mlflow.log_artifact(str(folder / "holdout.csv"), "data")
    source = mlflow.get_artifact_uri("data/holdout.csv")
    mlflow.log_input(mlflow.data.from_pandas(rows, source=source, name="holdout"))
    mlflow.log_input(mlflow.data.from_pandas(rows, source=str(folder / "holdout.csv"), name="elsewhere"))
    mlflow.log_text('{"features": [7.0, 7.0]}\n\n{"features": [8.0, 8.0]}\n', "data/rows.jsonl")


@contextlib.contextmanager
def training(folder):
    """A tracking URI in a folder, and MLflow turned to it: by its variable, and only while it trains."""
    uri = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_LOGGING_LEVEL", "ERROR")
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield uri


@pytest.fixture(scope="session")
def sqlite_uri(tmp_path_factory):
    """The tracking URI of a registry with a few versions."""
    folder = tmp_path_factory.mktemp("registry")
    with training(folder) as uri:
        _train(folder, uri)
    return uri


@pytest.fixture(scope="session")
def server_uri(sqlite_uri, tmp_path_factory):
    """The address of a real MLflow server with the same versions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", sqlite_uri, "--workers", "1"]
    command += ["--artifacts-destination", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _until_healthy(f"http://127.0.0.1:{port}/health", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True), process]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def _until_healthy(url, process, log):
    end = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
            if answer.status == 200:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


@pytest.fixture(params=["sqlite", "server"])
def uri(request):
    """The same registry, directly and through its server."""
    return request.getfixturevalue(f"{request.param}_uri")


class Door:
    """A port that leads to a server, or that is closed."""

    def __init__(self, uri):
        host, port = uri.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._server = None
        self._open = set()
        self.port = 0

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    async def open(self):
        self._server = await asyncio.start_server(self._through, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self):
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _through(self, reader, writer):
        there, to = await asyncio.open_connection(*self._target)
        self._open |= {writer, to}
        with contextlib.suppress(OSError):
            await asyncio.gather(self._copy(reader, to), self._copy(there, writer))
        for end in (writer, to):
            self._open.discard(end)
            end.close()

    async def _copy(self, reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


@pytest.fixture
async def door(server_uri):
    one = Door(server_uri)
    await one.open()
    yield one
    await one.close()


class Watching:
    """A feed, and a way to wait for what it says."""

    def __init__(self, uri):
        self.offload = Offload()
        self._changed = asyncio.Event()
        self.feed = RegistryFeed(Registry(uri, refresh=0.1), self.offload, self._changed.set)

    async def until(self, true):
        async with asyncio.timeout(DEADLINE):
            while not (found := true()):
                await self._changed.wait()
                self._changed.clear()
        return found


@pytest.fixture
async def watching():
    """Makes started feeds, and ends them."""
    made = []

    def make(uri, *names):
        one = Watching(uri)
        made.append(one)
        for name in names:
            one.feed.watch(name)
        one.feed.start()
        return one

    yield make
    for one in made:
        await one.feed.stop()
        await one.offload.close()
