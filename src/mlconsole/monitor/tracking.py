"""MLflow: a summary of what was counted every so often, from a thread of its own, to one run of this process.

The seed opened a run per prediction: a request to the tracking server in every request. Here a server that is down, or
hangs, costs a counter and the oldest of the summaries that wait; nothing of it is ever in a request's way.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from mlconsole.monitor.counting import Numbers, Tally
from mlconsole.monitor.families import ERROR
from mlconsole.monitor.figures import Figures

LOG = logging.getLogger("mlconsole.monitor")
WAITING = 60
"""Summaries that wait for a tracking server; the oldest is given up on."""
AT_EXIT = 5.0
"""Seconds that the end of the process may take for the last summary."""
Summary = dict[str, float]


class Tracker:
    """Sends the summaries of one model version. Raises ImportError where there is no mlflow."""

    def __init__(self, figures: Figures, every: float, run: str = "") -> None:
        # Here and not in the thread: importing takes a second in which requests would wait for the interpreter.
        import mlflow

        self._mlflow: Any = mlflow
        self._figures = figures
        self._every = every
        self._given = run
        self._lock = threading.Lock()
        self._pid = 0
        self._reset()

    def _reset(self) -> None:
        self._run = self._given
        self._pid = os.getpid()
        self._queue: deque[tuple[int, Summary]] = deque()
        self._before: Tally | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Send from now on, in this process."""
        if self._pid != os.getpid():  # forked: the parent's run, thread and counts are not ours
            self._lock = threading.Lock()
            self._reset()
        with self._lock:
            if self._thread is None:
                self._before = Tally(self._figures.tallies.shape)
                self._thread = threading.Thread(target=self._work, name="mlconsole-monitor-mlflow", daemon=True)
                self._thread.start()
                atexit.unregister(self.close)
                atexit.register(self.close)

    def close(self, timeout: float = AT_EXIT) -> None:
        """Send the last summary, if it takes no longer than `timeout`."""
        atexit.unregister(self.close)
        thread = self._thread
        self._end.set()
        if thread is None or self._pid != os.getpid():
            return
        thread.join(timeout)
        if thread.is_alive():
            LOG.warning("MLflow did not take the last summary within %g s; it is given up on", timeout)

    def _work(self) -> None:
        end = self._end
        while not end.wait(self._every):
            self._step()
        self._step()
        if self._run and not self._given and not self._queue:
            self._do("mlflow", lambda: self._mlflow.MlflowClient().set_terminated(self._run))

    def _step(self) -> None:
        """Summarise, and send what waits."""
        total = self._figures.total()
        before = self._before or Tally(total.shape)
        summary = summarise(before, total, self._figures.labels.accuracy)
        self._before = total
        if summary:
            self._queue.append((int(time.time() * 1000), summary))
        if len(self._queue) > WAITING:
            self._queue.popleft()
            self._figures.failed("mlflow_dropped", OverflowError("the tracking server did not answer for too long"))
        while self._queue and self._do("mlflow", self._send):
            self._queue.popleft()

    def _send(self) -> None:
        at, summary = self._queue[0]
        client = self._mlflow.MlflowClient()
        self._run = self._run or self._new_run(client)
        metric = self._mlflow.entities.Metric
        client.log_batch(self._run, metrics=[metric(key, value, at, 0) for key, value in summary.items()])

    def _new_run(self, client: Any) -> str:
        model, version, color = self._figures.who
        name = f"{model}_monitoring"
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        tags = {"model_version": version, "color": color, "host": socket.gethostname(), "pid": str(self._pid)}
        run = client.create_run(number, tags=tags, run_name=f"{model}-{version}-{self._pid}")
        client.log_param(run.info.run_id, "model_version", version)
        return str(run.info.run_id)

    def _do(self, kind: str, call: Any) -> bool:
        try:
            call()
        except Exception as error:  # of mlflow, its store, its transport
            self._figures.failed(kind, error)
            return False
        return True


def summarise(before: Tally, now: Tally, accuracy: float | None) -> Summary:
    """What happened between two totals; empty where nothing did."""
    return dict(_summarised(before, now, accuracy))


def _summarised(before: Tally, now: Tally, accuracy: float | None) -> Iterator[tuple[str, float]]:
    count = sum(now.statuses.values()) - sum(before.statuses.values())
    if count <= 0:
        return
    yield "predictions", count
    yield "error_share", (now.statuses[ERROR] - before.statuses[ERROR]) / count
    latencies = [after - earlier for after, earlier in zip(now.duration.counts, before.duration.counts, strict=True)]
    if sum(latencies):
        yield "latency_p50_seconds", quantile(now.duration.edges, latencies, 0.5)
        yield "latency_p95_seconds", quantile(now.duration.edges, latencies, 0.95)
    if isinstance(now.prediction, Numbers) and isinstance(before.prediction, Numbers):
        predicted = now.prediction.n - before.prediction.n
        average = (now.prediction.sum - before.prediction.sum) / predicted if predicted else math.nan
        if math.isfinite(average):
            yield "prediction_mean", average
    if accuracy is not None:
        yield "accuracy", accuracy


def quantile(edges: tuple[float, ...], counts: list[int], share: float) -> float:
    """As Prometheus' histogram_quantile has it: linear within a bucket, the last edge above them all."""
    rank, below = share * sum(counts), 0.0
    for index, edge in enumerate(edges):
        if counts[index] and below + counts[index] >= rank:
            low = edges[index - 1] if index else min(0.0, edge)
            return low + (edge - low) * (rank - below) / counts[index]
        below += counts[index]
    return edges[-1] if edges else math.nan
