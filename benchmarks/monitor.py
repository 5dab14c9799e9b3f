"""What a prediction with 20 features costs the server that counts it (budget: at most 20 microseconds).

Run: python benchmarks/monitor.py [predictions]

The peer is prometheus_client used straightforwardly: `HISTOGRAM.labels(feature=...).observe(value)` for each feature.
Times are of the processor, of all threads: what is done in the background counts too. Each is the median of rounds in a
process of its own, since prometheus_client decides at its import whether several processes share their figures.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

FEATURES = 20
ROUNDS = 5
BUDGET = 20.0
MODES = ("one process", "several processes")


def rows(count: int) -> list[list[float]]:
    drawn = random.Random(5)
    return [[drawn.gauss(0, 1) for _ in range(FEATURES)] for _ in range(count)]


def ours() -> dict[str, Callable[[Any], None]]:
    from prometheus_client import CollectorRegistry

    from mlconsole.monitor import ModelMonitor, reference

    training = rows(2000)
    columns = {f"feature_{index}": column for index, column in enumerate(zip(*training, strict=True))}
    known = reference.from_columns(columns, prediction=[row[0] for row in training])
    monitor = ModelMonitor("m", "1", color="blue", reference=known, registry=CollectorRegistry())
    names = tuple(columns)

    def block(row: list[float]) -> None:
        with monitor.prediction(row) as one:
            one.prediction = 0.3

    return {
        "log_prediction, a list": lambda row: monitor.log_prediction(row, 0.3, latency=0.02),
        "log_prediction, a dict": lambda row: monitor.log_prediction(dict(zip(names, row, strict=True)), 0.3),
        "  with a label": lambda row: monitor.log_prediction(row, 0.3, 0.35, latency=0.02),
        "  with an id for a late one": lambda row: monitor.log_prediction(row, 0.3, latency=0.02, id=id(row)),
        "with monitor.prediction()": block,
    }


def peers() -> dict[str, Callable[[Any], None]]:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    edges = [-2 + 4 * index / 19 for index in range(20)]
    values = Histogram("feature_value", "x", ["feature", "model", "version", "color"], buckets=edges, registry=registry)
    count = Counter("predictions", "x", ["status", "model", "version", "color"], registry=registry)
    latency = Histogram("duration", "x", ["model", "version", "color"], registry=registry)
    names = [f"feature_{index}" for index in range(FEATURES)]
    who = {"model": "m", "version": "1", "color": "blue"}
    children = [values.labels(feature=name, **who) for name in names]

    def by_labels(row: list[float]) -> None:
        count.labels(status="success", **who).inc()
        latency.labels(**who).observe(0.02)
        for name, value in zip(names, row, strict=True):
            values.labels(feature=name, **who).observe(value)

    def by_children(row: list[float]) -> None:
        count.labels(status="success", **who).inc()
        latency.labels(**who).observe(0.02)
        for child, value in zip(children, row, strict=True):
            child.observe(value)

    return {"prometheus_client, labels().observe()": by_labels, "  children made beforehand": by_children}


def measure(count: int) -> None:
    """In a process of its own: microseconds of each, a line each."""
    given = rows(count)
    for name, call in (ours() | peers()).items():
        times = []
        for _ in range(ROUNDS):
            started = time.process_time()
            for row in given:
                call(row)
            times.append((time.process_time() - started) / count * 1e6)
        print(f"{name}\t{statistics.median(times)}")


def measured(mode: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        several = {"PROMETHEUS_MULTIPROC_DIR": folder} if mode == MODES[1] else {}
        ran = subprocess.run(
            [sys.executable, __file__, "measure", str(count)],
            env={**os.environ, **several},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return {name: float(value) for name, value in (line.split("\t") for line in ran.stdout.splitlines())}


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        measure(int(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    found = [measured(mode, count) for mode in MODES]
    print(
        f"{'microseconds a prediction, ' + str(FEATURES) + ' features':<42}" + "".join(f"{mode:>20}" for mode in MODES)
    )
    for name in found[0]:
        print(f"{name:<42}" + "".join(f"{one[name]:20.1f}" for one in found))
    worst = max(one["log_prediction, a list"] for one in found)
    print(f"budget {BUDGET:.0f}: {'met' if worst <= BUDGET else 'MISSED'}")


if __name__ == "__main__":
    main()
