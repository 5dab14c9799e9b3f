"""Real model servers, a real Prometheus where the binary is, and a stand-in for what a real one answers on bad days."""

import asyncio
import contextlib
import itertools
import json
import math
import os
import random
import shutil
import socket
import sys
import time

import aiohttp
import pytest
from aiohttp import web

from mlconsole.cluster.errors import Unreachable
from mlconsole.config import Auth, Metrics, Settings
from mlconsole.demo import plainmodels
from mlconsole.domain.services import Color, ModelService, PodState, Port, Release, Shape
from mlconsole.metrics.feed import MetricsFeed
from mlconsole.metrics.fleet import WINDOWS

DEADLINE = 90.0
REAL = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus binary on PATH")
FEATURES = plainmodels.FEATURES["churn"]


async def until(true, seconds=DEADLINE, pause=0.02):
    """Wait for a condition; what it returned."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "not within the deadline"
        await asyncio.sleep(pause)
    return found


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def pod(name, ready=True):
    return PodState(name, ready, "Running" if ready else "Pending")


def service(pods, name="churn", namespace="ml", live="blue", port="http", versions=("7", "8")):
    """A blue-green service; `pods` by colour."""
    colors = tuple(
        Color(
            color,
            f"{name}-{color}",
            len(names),
            len(names),
            release=Release(name, version),
            pods=tuple(map(pod, names)),
        )
        for (color, names), version in zip(pods.items(), versions, strict=False)
    )
    return ModelService(
        namespace, name, Shape.BLUE_GREEN, color_key="color", live=live, colors=colors, ports=(Port(80, "http", port),)
    )


class Inline:
    """Runs the worker's functions in a thread: the same code without the start of a process."""

    async def run(self, function, *args, timeout):
        async with asyncio.timeout(timeout):
            return await asyncio.to_thread(function, *args)


class Pods:
    """Model servers by pod name, reached as the API server's proxy reaches them."""

    def __init__(self, folder):
        self.folder = folder
        self.files = plainmodels.write(folder / "models")
        self.ports = {}
        self.models = {}
        self.processes = {}
        self.asked = []
        self.instead = {}
        """Answers in place of a pod's own: bytes, or an exception."""
        self.session = None

    async def start(self, name, color, version="7", model="churn", **env):
        port = self.ports.get(name) or free_port()
        log = (self.folder / f"{name}.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mlconsole.demo.modelserver",
            env={
                **os.environ,
                "MODEL_PATH": str(self.files[model, version]),
                "COLOR": color,
                "PORT": str(port),
                "COMPUTE_MS": "2",
                **env,
            },
            stdout=log,
            stderr=log,
        )
        log.close()
        self.ports[name], self.processes[name], self.models[name] = port, process, self.files[model, version]
        await until(lambda: b"start" in (self.folder / f"{name}.log").read_bytes())
        await until_answers(self.session, f"http://127.0.0.1:{port}/health")

    async def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        await process.wait()

    async def load(self, name, per_second=40.0):
        """An open loop: so many requests a second, however slow the machine is."""
        began = time.monotonic()
        for number in itertools.count(1):
            await self.predict(name, 1)
            await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))

    async def predict(self, name, count, features=None):
        drawn = random.Random(time.monotonic())
        model = json.loads(self.models[name].read_text())
        for _ in range(count):
            row = features or [drawn.gauss(m, s) for m, s in zip(model["mean"], model["scale"], strict=True)]
            url = f"http://127.0.0.1:{self.ports[name]}/predict"
            async with self.session.post(url, json={"features": row}) as answer:
                await answer.read()

    async def fetch(self, namespace, name, port, path):
        self.asked.append((namespace, name, port, path))
        instead = self.instead.get(name)
        if isinstance(instead, BaseException):
            raise instead
        if callable(instead):
            return await instead()
        if instead is not None:
            return instead
        try:
            async with self.session.get(f"http://127.0.0.1:{self.ports[name]}{path}") as answer:
                return await answer.read()
        except (aiohttp.ClientError, KeyError) as error:
            raise Unreachable(f"pod {name} gave no metrics", str(error)) from error


async def until_answers(session, url):
    end = time.monotonic() + DEADLINE
    while True:
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        assert time.monotonic() < end, f"{url} does not answer"
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def model_servers(folder):
    """Model servers, ended with the block."""
    made = Pods(folder)
    async with aiohttp.ClientSession() as session:
        made.session = session
        yield made
        for name in list(made.processes):
            await made.kill(name)


@pytest.fixture
async def pods(tmp_path):
    """Model servers, ended with the test."""
    async with model_servers(tmp_path) as made:
        yield made


@pytest.fixture
async def feed(pods):
    """Start a feed that ends with the test: `feed(prometheus_url=..., refresh=...)`; `told` are the changed keys."""
    async with feeds(pods.fetch) as start:
        yield start


@contextlib.asynccontextmanager
async def feeds(of_pods=None):
    """Start feeds that end with the block."""
    started = []

    def start(worker=None, services=None, auth=None, fetch=None, proxy=None, **metrics):
        metrics.setdefault("refresh", 0.2)
        settings = Settings(metrics=Metrics(**metrics, auth=auth or Auth()), services=services or {})
        told = []
        made = MetricsFeed(settings, worker or Inline(), fetch or of_pods, told.append, proxy)
        made.told = told
        started.append(made)
        made.charting = True
        made.start()
        return made

    yield start
    for made in started:
        await made.stop()


class StandIn:
    """A server in Prometheus' place: `answer` is a handler, or JSON data by the path's last word."""

    def __init__(self):
        self.url = ""
        self.asked = []
        self.headers = []
        self.answer = None
        self.error = None
        """(status, body, content type) of every answer, instead of data."""

    async def handle(self, request):
        query = dict(request.query)
        self.asked.append((request.path.rpartition("/")[2], query))
        self.headers.append(request.headers)
        if self.error is not None:
            if callable(self.error):
                return await self.error(request)
            status, body, kind = self.error
            return web.Response(status=status, text=body, content_type=kind)
        return web.json_response(self.answer(request.path, query))


def vector(*rows, warnings=()):
    """An instant answer: rows of (labels, value)."""
    result = [{"metric": labels, "value": [time.time(), str(value)]} for labels, value in rows]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return body | ({"warnings": list(warnings)} if warnings else {})


def matrix(query, *rows):
    """A range answer: rows of (labels, value at a time)."""
    times = range(int(query["start"]), int(query["end"]) + 1, int(query["step"]))
    result = [{"metric": labels, "values": [[at, str(value(at))] for at in times]} for labels, value in rows]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


@pytest.fixture
async def stand_in():
    """A server on a real socket that answers as it is told."""
    made = StandIn()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class RealPrometheus:
    """Debian's prometheus on a loopback port."""

    def __init__(self, folder, session):
        self.folder = folder
        self.session = session
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def targets(self, pods, namespace="ml"):
        """Scrape these pods, with the labels that Prometheus gives pods on Kubernetes."""
        groups = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": namespace, "pod": name}}
            for name, port in pods.ports.items()
        ]
        self.target_ports(groups)

    def target_ports(self, groups):
        """Scrape these, as a file of service discovery has them."""
        (self.folder / "targets.json").write_text(json.dumps(groups))

    async def start(self):
        (self.folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"
            "scrape_configs:\n- job_name: pods\n  honor_labels: true\n"
            f"  file_sd_configs: [{{files: ['{self.folder}/targets.json'], refresh_interval: 1s}}]\n"
        )
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                "prometheus",
                f"--config.file={self.folder}/prometheus.yml",
                f"--storage.tsdb.path={self.folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--enable-feature=native-histograms",
                stdout=log,
                stderr=log,
            )
        await until_answers(self.session, f"{self.url}/-/ready")

    async def stop(self):
        if self.process is not None:
            self.process.kill()
            await self.process.wait()
            self.process = None

    async def query(self, query, **params):
        """What the HTTP API itself says: [(labels, value)]."""
        async with self.session.get(f"{self.url}/api/v1/query", params={"query": query, **params}) as answer:
            body = await answer.json()
        assert body["status"] == "success", body
        return [(row["metric"], float(row["value"][1])) for row in body["data"]["result"]]

    async def range(self, query, start, end, step):
        """What the HTTP API itself says of a range: {labels: {time: value as it is written}}."""
        params = {"query": query, "start": str(start), "end": str(end), "step": str(step)}
        async with self.session.get(f"{self.url}/api/v1/query_range", params=params) as answer:
            body = await answer.json()
        assert body["status"] == "success", body
        rows = body["data"]["result"]
        return {tuple(sorted(row["metric"].items())): dict(row["values"]) for row in rows}

    async def until_rows(self, query, count):
        end = time.monotonic() + DEADLINE
        while len(await self.query(query)) < count:
            assert time.monotonic() < end, f"{query} never had {count} rows"
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def real_prometheus(folder, session):
    """A real Prometheus that scrapes nothing yet."""
    folder.mkdir()
    made = RealPrometheus(folder, session)
    made.target_ports([])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def prometheus(tmp_path, pods):
    """A real Prometheus of the test's own, that scrapes nothing yet."""
    async with real_prometheus(tmp_path / "prometheus", pods.session) as made:
        yield made


def settled(feed):
    """Whether it knows how often its Prometheus scrapes: its rates look back as far from now on."""
    board = feed._observer._board
    return board is not None and board._window == WINDOWS[0]


def close(one, other, share):
    """Whether two figures differ by at most a share of the larger."""
    return math.isclose(one, other, rel_tol=share)
