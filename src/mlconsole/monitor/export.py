"""From counts to prometheus_client: a collector that is asked at every scrape, or the files of several processes.

In one process nothing is kept twice: the collector adds the tallies up when it is asked. Where prometheus_client runs
in its multiprocess mode (PROMETHEUS_MULTIPROC_DIR) each process writes what it counted into its files once a second,
from a thread of its own, and whoever is scraped adds the files up.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, multiprocess, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from mlconsole.monitor.counting import LOCK
from mlconsole.monitor.families import ALL, COUNTER, GAUGE, HISTOGRAM, WHO, Family, Series, Who, edge_text
from mlconsole.monitor.figures import ALIVE, Figures

LOG = logging.getLogger("mlconsole.monitor")
EVERY = 1.0
"""Seconds between two writes of a process's counts."""
Metric = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def is_multiprocess() -> bool:
    """Whether prometheus_client keeps its values in files; it decides so when it is imported."""
    return bool(getattr(values.ValueClass, "_multiprocess", False))


class Shared:
    """The figures of the models of one place (a registry, or the files), one of each name, version and colour."""

    def __init__(self) -> None:
        self.figures: dict[Who, Figures] = {}

    def join(self, figures: Figures) -> Figures:
        """Have these exported; those that are there already where they are the same model's."""
        with LOCK:
            there = self.figures.get(figures.who)
            if there is not None and there.reference == figures.reference:
                figures = there
            elif there is not None:
                LOG.warning("a second monitor of %s with another reference takes the first one's place", figures.who)
            self.figures[figures.who] = figures
            figures.users += 1
        return figures

    def leave(self, figures: Figures) -> None:
        """Export them no more, once nobody counts into them."""
        with LOCK:
            figures.users -= 1
            if figures.users <= 0 and self.figures.get(figures.who) is figures:
                del self.figures[figures.who]

    def series(self) -> Iterator[Series]:
        """All of them."""
        for figures in list(self.figures.values()):
            yield from figures.series()


class Collector(Shared):
    """Those of a registry, collected at every scrape."""

    def describe(self) -> Iterable[Metric]:
        """The names, for the registry to see whether somebody else has one of them."""
        return [_metric(family) for family in ALL]

    def collect(self) -> Iterable[Metric]:
        """The families. A failure of ours must not cost the other collectors' figures: it is logged and counted."""
        try:
            return list(self._collected())
        except Exception as error:
            for figures in self.figures.values():
                figures.failed("collect", error)
            return []

    def _collected(self) -> Iterable[Metric]:
        found: dict[str, Metric] = {}
        for one in self.series():
            metric = found.get(one.family.name)
            if metric is None:
                metric = found[one.family.name] = _metric(one.family)
            if isinstance(metric, HistogramMetricFamily):
                metric.add_metric(one.labels, list(_cumulative(one)), one.value)
            else:
                metric.add_metric(one.labels, one.value)
        return found.values()


def _metric(family: Family) -> Metric:
    labels = (*WHO, *family.labels)
    if family.kind == COUNTER:
        return CounterMetricFamily(family.name, family.help, labels=labels)
    if family.kind == GAUGE:
        return GaugeMetricFamily(family.name, family.help, labels=labels)
    return HistogramMetricFamily(family.name, family.help, labels=labels)


def _cumulative(one: Series) -> Iterator[tuple[str, int]]:
    total = 0
    for edge, count in zip((*one.edges, float("inf")), one.counts, strict=True):
        total += count
        yield edge_text(edge), total


class Files(Shared):
    """Those of this process in prometheus_client's files."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Begin anew in a forked child, whose files are its own."""
        self._written: dict[tuple[str, tuple[str, ...]], tuple[Any, float]] = {}

    def write(self) -> None:
        """Write what has changed since the last time."""
        with LOCK:
            for figures in list(self.figures.values()):
                try:
                    for one in figures.series():
                        self._write(one)
                except Exception as error:
                    figures.failed("write", error)

    def _write(self, one: Series) -> None:
        family, labels = one.family, one.labels
        names = (*WHO, *family.labels)
        if family.kind != HISTOGRAM:
            self._set(family, family.name, names, labels, one.value)
            return
        self._set(family, f"{family.name}_sum", names, labels, one.value)
        for edge, count in zip((*one.edges, float("inf")), one.counts, strict=True):
            self._set(family, f"{family.name}_bucket", (*names, "le"), (*labels, edge_text(edge)), count)

    def _set(self, family: Family, name: str, names: tuple[str, ...], labels: tuple[str, ...], value: float) -> None:
        held, before = self._written.get((name, labels), (None, 0.0))
        if held is not None and value == before:
            return
        if held is None:
            # The values as prometheus_client's own metrics make them: https://github.com/prometheus/client_python
            base = family.name.removesuffix("_total")
            held = values.ValueClass(family.kind, base, name, names, labels, family.help, multiprocess_mode=family.mode)
        if family.kind == GAUGE:
            held.set(value, time.time())
        else:
            held.inc(value - before)  # on top of what a process of the same number left in the file
        self._written[name, labels] = (held, value)


class Writer:
    """The thread that writes the files, started with the first count of a process."""

    def __init__(self) -> None:
        self.files = Files()
        self.reset()

    def reset(self) -> None:
        """Threads do not survive a fork."""
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self.files.reset()

    def start(self) -> None:
        """Write from now on, and once more at the end."""
        with LOCK:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mlconsole-monitor", daemon=True)
                self._thread.start()
                atexit.unregister(self.files.write)
                atexit.register(self.files.write)

    def _run(self) -> None:
        end = self._end
        while not end.wait(EVERY):
            self.files.write()


WRITER = Writer()
_COLLECTORS: weakref.WeakKeyDictionary[CollectorRegistry, Collector] = weakref.WeakKeyDictionary()


def place_for(registry: CollectorRegistry) -> Shared:
    """Where figures are exported from. Raises ValueError where somebody else has the names."""
    if is_multiprocess():
        return WRITER.files
    with LOCK:
        found = _COLLECTORS.get(registry)
        if found is None:
            found = Collector()
            registry.register(found)
            _COLLECTORS[registry] = found
        return found


def scraped(registry: CollectorRegistry) -> CollectorRegistry:
    """The registry to answer a scrape from: that of all processes, where there are several."""
    if not is_multiprocess():
        return registry
    WRITER.files.write()
    every = CollectorRegistry()
    multiprocess.MultiProcessCollector(every)  # type: ignore[no-untyped-call]
    return every


def _forked() -> None:
    with contextlib.suppress(RuntimeError):  # not held, where the fork was made by other means than os.fork
        LOCK.release()
    WRITER.reset()
    for figures in list(ALIVE):
        figures.reset()


os.register_at_fork(before=LOCK.acquire, after_in_parent=LOCK.release, after_in_child=_forked)
