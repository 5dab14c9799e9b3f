"""A model server as a small process of its own: the seed's serving contract over HTTP, with Prometheus' figures.

Standard library only: it is forked a dozen times and has to start in milliseconds. What the model computes is real (a
logistic score); the time it takes is drawn from a lognormal and awaited, so that charts live and no core burns.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the duration histogram, in seconds."""
LINGER = 0.3
"""Seconds that a stopping server still accepts, until everybody has heard that it is going."""
PATIENCE = 1.0
"""Seconds that it then leaves a kept connection open for one more request, whose answer says that it was the last.

A connection that is closed unasked may meet a request that is on its way: that one is lost.
"""
MAX_BODY = 1 << 20
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error"}
REASONS |= {413: "Content Too Large", 503: "Service Unavailable"}


def say(event: str, **facts: object) -> None:
    """Write one line of the log."""
    line = json.dumps({"time": round(time.time(), 3), "event": event, **facts})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Histogram:
    """Counts under upper edges, and their sum."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value in its bucket."""
        self.sum += value
        for index, edge in enumerate(self.edges):
            if value <= edge:
                self.counts[index] += 1
                return
        self.counts[-1] += 1

    def lines(self, name: str, labels: str) -> list[str]:
        """The series of the histogram, cumulative in `le`."""
        total, out = 0, []
        for edge, count in zip((*self.edges, math.inf), self.counts, strict=True):
            total += count
            out.append(f'{name}_bucket{{{labels},le="{_edge(edge)}"}} {total}')
        return [*out, f"{name}_sum{{{labels}}} {self.sum:.9g}", f"{name}_count{{{labels}}} {total}"]


def _edge(value: float) -> str:
    return "+Inf" if value == math.inf else repr(float(value))


class Model:
    """The logistic model of a JSON file. Raises OSError, ValueError and KeyError for a file that is none."""

    def __init__(self, path: Path) -> None:
        data: dict[str, Any] = json.loads(path.read_text())
        self.name, self.version = str(data["model"]), str(data["version"])
        self.features: list[str] = data["features"]
        self._weights = [c / (s or 1.0) for c, s in zip(data["coef"], data["scale"], strict=True)]
        self._bias = data["intercept"] - sum(w * m for w, m in zip(self._weights, data["mean"], strict=True))
        self.accuracy = float(data.get("accuracy", 0.0))
        self.edges: dict[str, list[float]] = data.get("edges", {})
        self.shares: dict[str, list[float]] = data.get("reference_share", {})
        self.rows: dict[str, float] = data.get("reference_rows", {})
        self.prediction_edges: list[float] = data.get("prediction_edges", [])
        self.prediction_shares: list[float] = data.get("prediction_share", [])
        self._means: list[float] = data["mean"]

    def predict(self, values: list[float | None]) -> float:
        """The probability for one row; what is missing is taken to be as it is on average."""
        filled = (mean if value is None else value for value, mean in zip(values, self._means, strict=True))
        score = self._bias + sum(w * x for w, x in zip(self._weights, filled, strict=True))
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, score))))


class Fault:
    """What is wrong with this server, and since when: FAULT=latency|errors|crashloop, FAULT_AT in epoch seconds."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.kind = env.get("FAULT", "")
        self._at = float(env.get("FAULT_AT") or 0.0)

    def on(self, kind: str) -> bool:
        """Whether this fault has begun."""
        return self.kind == kind and time.time() >= self._at

    @property
    def wait(self) -> float:
        """Seconds until it begins."""
        return max(0.0, self._at - time.time())


class Figures:
    """What the server counts."""

    def __init__(self, model: Model, color: str) -> None:
        self._model = model
        self.labels = f'model="{model.name}",version="{model.version}",color="{color}"'
        self.statuses: defaultdict[str, int] = defaultdict(int, {"success": 0, "error": 0})
        self.errors = 0
        self.duration = Histogram(SECONDS)
        self.in_flight = 0
        self.features = {name: Histogram(tuple(edges)) for name, edges in model.edges.items()}
        self.missing = dict.fromkeys(model.features, 0)
        self.predictions = Histogram(tuple(model.prediction_edges))
        self._started = time.time()

    def seen(self, values: Sequence[float | None]) -> None:
        """Count a row's features in their histograms."""
        for name, value in zip(self._model.features, values, strict=True):
            if value is None:
                self.missing[name] += 1
            elif name in self.features:
                self.features[name].add(value)

    def text(self) -> str:
        """The exposition."""
        lines = ["# TYPE ml_predictions_total counter"]
        lines += [f'ml_predictions_total{{{self.labels},status="{k}"}} {v}' for k, v in self.statuses.items()]
        lines += [
            "# TYPE ml_prediction_errors_total counter",
            f"ml_prediction_errors_total{{{self.labels}}} {self.errors}",
        ]
        lines += ["# TYPE ml_prediction_duration_seconds histogram"]
        lines += self.duration.lines("ml_prediction_duration_seconds", self.labels)
        lines += [
            "# TYPE ml_predictions_in_flight gauge",
            f"ml_predictions_in_flight{{{self.labels}}} {self.in_flight}",
        ]
        lines += ["# TYPE ml_model_accuracy gauge", f"ml_model_accuracy{{{self.labels}}} {self._model.accuracy:.6g}"]
        lines += ["# TYPE process_start_time_seconds gauge", f"process_start_time_seconds {self._started:.3f}"]
        lines += ["# TYPE process_resident_memory_bytes gauge", f"process_resident_memory_bytes {_resident()}"]
        return "\n".join([*lines, *self._seen_lines(), *self._reference_lines()]) + "\n"

    def _seen_lines(self) -> list[str]:
        lines = ["# TYPE ml_feature_value histogram"]
        for name, histogram in self.features.items():
            lines += histogram.lines("ml_feature_value", f'feature="{name}",{self.labels}')
        lines += ["# TYPE ml_feature_missing_total counter"]
        for name, count in self.missing.items():
            lines.append(f'ml_feature_missing_total{{feature="{name}",{self.labels}}} {count}')
        if self._model.prediction_edges:
            lines += ["# TYPE ml_prediction_value histogram"]
            lines += self.predictions.lines("ml_prediction_value", self.labels)
        return lines

    def _reference_lines(self) -> list[str]:
        model = self._model
        lines = ["# TYPE ml_feature_reference_share gauge"]
        for name, shares in model.shares.items():
            place = f'ml_feature_reference_share{{feature="{name}",{self.labels}'
            lines += _shares(place, model.edges.get(name, []), shares)
        lines += ["# TYPE ml_feature_reference_rows gauge"]
        for name, rows in model.rows.items():
            lines.append(f'ml_feature_reference_rows{{feature="{name}",{self.labels}}} {rows:.9g}')
        if model.prediction_edges:
            lines += ["# TYPE ml_prediction_reference_share gauge"]
            place = f"ml_prediction_reference_share{{{self.labels}"
            lines += _shares(place, model.prediction_edges, model.prediction_shares)
        return lines


def _shares(place: str, edges: list[float], shares: list[float]) -> list[str]:
    return [f'{place},le="{_edge(edge)}"}} {share:.6g}' for edge, share in zip(edges, shares, strict=False)]


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class Server:
    """The HTTP side."""

    def __init__(self, model: Model, env: Mapping[str, str]) -> None:
        self._model = model
        self._fault = Fault(env)
        self._figures = Figures(model, env.get("COLOR", ""))
        self._median = float(env.get("COMPUTE_MS") or 30.0) / 1000.0
        self._stopping = asyncio.Event()
        self._open: dict[asyncio.StreamWriter, bool] = {}
        """Connections, and whether a request is under way on each."""
        self._drained: asyncio.Event | None = None
        self._left = asyncio.Event()
        """Nobody is connected any more."""
        self._random = random.Random(os.getpid())

    async def run(self, host: str, port: int) -> int:
        """Serve until SIGTERM; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        server = await asyncio.start_server(self._serve, host, port, limit=MAX_BODY, backlog=256)
        say("start", model=self._model.name, version=self._model.version, address=f"{host}:{port}")
        if await self._until_stop():
            return 1
        await asyncio.sleep(LINGER)
        server.close()
        self._left.clear()
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._left.wait()
        for writer, busy in list(self._open.items()):
            if not busy:
                writer.close()
        if any(self._open.values()):
            self._drained = asyncio.Event()
            await self._drained.wait()
        say("stop")
        return 0

    async def _until_stop(self) -> bool:
        """Wait for SIGTERM; True when the fault to crash came first."""
        if self._fault.kind != "crashloop":
            await self._stopping.wait()
            return False
        try:
            async with asyncio.timeout(self._fault.wait + 0.4):
                await self._stopping.wait()
        except TimeoutError:
            say("error", message="RuntimeError: CUDA-free build: cannot map the model's weights (injected fault)")
            return True
        return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = False
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            del self._open[writer]
            writer.close()
            if not self._open:
                self._left.set()
            if self._drained and not any(self._open.values()):
                self._drained.set()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self._open[writer] = True
        start, *lines = head.split("\r\n")
        method, target, protocol = start.split(" ", 2)
        headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        content = await _body(reader, headers)
        if content is None:
            status, kind, body = 413, "text/plain", b"body too large\n"
        else:
            status, kind, body = await self._answer(method, target.partition("?")[0], content)
        keep = headers.get("connection", "").lower() != "close" and protocol == "HTTP/1.1" and content is not None
        keep = keep and not self._stopping.is_set()
        answer = (
            f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"X-Model-Version: {self._model.version}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
        )
        writer.write(answer.encode() + body)
        await writer.drain()
        self._open[writer] = False
        return keep

    async def _answer(self, method: str, path: str, content: bytes) -> tuple[int, str, bytes]:
        if path == "/predict":
            return await self._predict(content) if method == "POST" else (405, "text/plain", b"POST only\n")
        if path == "/health":
            return _json(200, {"status": "ok"})
        if path == "/ready":
            ready = not self._stopping.is_set()
            return _json(200 if ready else 503, {"ready": ready, "model_version": self._model.version})
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", self._figures.text().encode()
        return _json(404, {"error": "not found"})

    async def _predict(self, content: bytes) -> tuple[int, str, bytes]:
        started = time.perf_counter()
        try:
            values = [None if value is None else float(value) for value in json.loads(content)["features"]]
            finite = all(value is None or math.isfinite(value) for value in values)
            if len(values) != len(self._model.features) or not finite:
                wanted = len(self._model.features)
                raise ValueError(f"{wanted} finite numbers are wanted, null for a missing one")
        except (ValueError, KeyError, TypeError) as error:
            self._count("invalid", started)
            return _json(400, {"error": f"features: {error}"})
        self._figures.seen(values)
        self._figures.in_flight += 1
        try:
            return await self._computed(values, started)
        finally:
            self._figures.in_flight -= 1

    async def _computed(self, values: list[float | None], started: float) -> tuple[int, str, bytes]:
        slow = self._fault.on("latency")
        spread = 0.7 if slow else 0.35
        await asyncio.sleep(self._random.lognormvariate(math.log(self._median * (9.0 if slow else 1.0)), spread))
        if self._fault.on("errors") and self._random.random() < 0.3:
            self._figures.errors += 1
            self._count("error", started)
            return _json(500, {"error": "the feature store did not answer (injected fault)"})
        prediction = self._model.predict(values)
        self._figures.predictions.add(prediction)
        self._count("success", started)
        answer = {"prediction": prediction, "model": self._model.name, "model_version": self._model.version}
        return _json(200, answer)

    def _count(self, status: str, started: float) -> None:
        self._figures.statuses[status] += 1
        self._figures.duration.add(time.perf_counter() - started)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes | None:
    """What a request brings; None where it is more than is taken. `kubectl create --raw` sends it in pieces."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        length = int(headers.get("content-length") or 0)
        return None if length > MAX_BODY else await reader.readexactly(length)
    found = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        if size < 0 or len(found) + size > MAX_BODY:
            return None
        found += (await reader.readexactly(size + 2))[:-2]
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # a trailer
    return found


def _json(status: int, value: object) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(value).encode()


def main(env: Mapping[str, str]) -> int:
    """Serve the model at MODEL_PATH on HOST:PORT; the exit code."""
    try:
        model = Model(Path(env["MODEL_PATH"]))
    except (OSError, ValueError, KeyError) as error:
        say("error", message=f"cannot load the model: {type(error).__name__}: {error}")
        return 1
    return asyncio.run(Server(model, env).run(env.get("HOST", "127.0.0.1"), int(env.get("PORT") or 8000)))


if __name__ == "__main__":
    sys.exit(main(os.environ))
