"""The counts behind the metrics: every thread has its own, so that no prediction waits for a lock.

`x += 1` on a shared figure loses counts between threads, and a lock per figure is what makes prometheus_client's own
`observe` dear: 20 features take 20 of them. Here a thread writes its tally alone; whoever wants the figures adds the
tallies up. The tally of a thread that ended is kept as part of the sum. A forked child begins at nothing.
"""

from __future__ import annotations

import sys
import threading
import weakref
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import isfinite, isnan
from typing import Any

from mlconsole.domain.reference import Categorical, Distribution, Numeric
from mlconsole.monitor.values import LONGEST, OTHER, as_category, as_number

MOST_CATEGORIES = 500
"""Of one feature; the rarer ones of a reference that has more are counted as `OTHER`."""
LOCK = threading.RLock()
"""Held while tallies are added up or exported, and over a fork, so that no child inherits half a sum."""


class Numbers:
    """Counts under upper edges, and their sum."""

    __slots__ = ("counts", "edges", "missing", "odd", "sum")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0.0
        """Of the finite ones."""
        self.missing = 0
        self.odd = 0
        """Missing ones that were there and no numbers."""

    def add(self, value: Any) -> None:
        """Count a value, whatever it is."""
        if value.__class__ is not float:
            try:
                value = as_number(value)
            except TypeError:
                self.odd += 1
                self.missing += 1
                return
        if isfinite(value):
            self.counts[bisect_left(self.edges, value)] += 1
            self.sum += value
        elif isnan(value):
            self.missing += 1
        else:
            self.counts[bisect_left(self.edges, value)] += 1

    def add_many(self, values: Any) -> None:
        """Count a column: by numpy where it is an array of numbers."""
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(values, numpy.ndarray) or values.dtype.kind not in "fiub":
            for value in values:
                self.add(value)
            return
        there = values.astype(float, copy=False)
        there = there[~numpy.isnan(there)]
        self.missing += values.size - there.size
        self.sum += float(there[numpy.isfinite(there)].sum())
        bins = numpy.bincount(numpy.searchsorted(self.edges, there), minlength=len(self.counts)).tolist()
        for index, count in enumerate(bins):
            self.counts[index] += count

    def take(self, other: Numbers) -> None:
        """Add another's counts."""
        self.counts = [mine + others for mine, others in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum
        self.missing += other.missing
        self.odd += other.odd

    @property
    def n(self) -> int:
        """Values that were there."""
        return sum(self.counts)


class Categories:
    """Counts of the categories of the reference, and of all others as one."""

    __slots__ = ("counts", "missing", "odd")

    def __init__(self, names: Iterable[str]) -> None:
        self.counts = {**dict.fromkeys(names, 0), OTHER: 0}
        self.missing = 0
        self.odd = 0

    def add(self, value: Any) -> None:
        """Count a value, whatever it is."""
        if value.__class__ is not str or not 0 < len(value) <= LONGEST:
            try:
                value = as_category(value)
            except TypeError:
                self.odd += 1
                value = None
            if value is None:
                self.missing += 1
                return
        counts = self.counts
        counts[value if value in counts else OTHER] += 1

    def add_many(self, values: Any) -> None:
        """Count a column."""
        for value in values.tolist() if hasattr(values, "tolist") else values:
            self.add(value)

    def take(self, other: Categories) -> None:
        """Add another's counts."""
        for name, count in other.counts.items():
            self.counts[name] += count
        self.missing += other.missing
        self.odd += other.odd


Column = Numbers | Categories


def column_of(distribution: Distribution) -> Column:
    """An empty column as the reference has it."""
    if isinstance(distribution, Numeric):
        return Numbers(distribution.edges)
    return Categories(kept(distribution))


def kept(distribution: Categorical) -> list[str]:
    """The categories that are told apart: all, or the most frequent ones."""
    names = [name for name in distribution.counts if name != OTHER]
    if len(names) <= MOST_CATEGORIES:
        return names
    return sorted(names, key=lambda name: -distribution.counts[name])[:MOST_CATEGORIES]


class Shape:
    """Which columns a tally has."""

    def __init__(
        self,
        features: dict[str, Distribution],
        prediction: Distribution | None,
        seconds: tuple[float, ...],
        delays: tuple[float, ...],
    ) -> None:
        self.names = tuple(features)
        self.features = features
        self.prediction = prediction
        self.seconds = seconds
        self.delays = delays


class Tally:
    """What one thread counted."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.columns = [column_of(shape.features[name]) for name in shape.names]
        self._adders: Sequence[Callable[[Any], None]] = [column.add for column in self.columns]
        # Without a reference there is no histogram of the predictions; their mean is known all the same.
        self.prediction: Column = Numbers(()) if shape.prediction is None else column_of(shape.prediction)
        self.duration = Numbers(shape.seconds)
        self.delay = Numbers(shape.delays)
        self.statuses: defaultdict[str, int] = defaultdict(int)
        self.labels: defaultdict[str, int] = defaultdict(int)
        self.problems: defaultdict[str, int] = defaultdict(int)
        self.in_flight = 0
        """Begun less ended, of this thread: another one may end what it began."""

    def add_row(self, values: Sequence[Any]) -> None:
        """Count a row, as long as the columns are many."""
        for add, value in zip(self._adders, values, strict=True):
            add(value)

    def take(self, other: Tally) -> None:
        """Add another thread's."""
        for mine, others in zip(self.columns, other.columns, strict=True):
            mine.take(others)  # type: ignore[arg-type]
        self.prediction.take(other.prediction)  # type: ignore[arg-type]
        self.duration.take(other.duration)
        self.delay.take(other.delay)
        self.in_flight += other.in_flight
        for into, source in (
            (self.statuses, other.statuses),
            (self.labels, other.labels),
            (self.problems, other.problems),
        ):
            for key, count in list(source.items()):  # at once: its thread may add a key meanwhile
                into[key] += count


class _Mine:
    """Lives as long as the thread, or the greenlet, that a tally belongs to."""

    __slots__ = ("__weakref__",)


class Tallies:
    """The tallies of all threads."""

    def __init__(self, shape: Shape, on_thread: Callable[[], None]) -> None:
        self.shape = shape
        self._on_thread = on_thread
        """Called when a thread counts for the first time."""
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child the threads are gone and the counts are the parent's."""
        self._local = threading.local()
        self._ended = Tally(self.shape)
        self._living: list[tuple[weakref.ref[_Mine], Tally]] = []

    def mine(self) -> Tally:
        """This thread's."""
        try:
            return self._local.tally  # type: ignore[no-any-return]
        except AttributeError:
            return self._new()

    def total(self) -> Tally:
        """The sum of all, for the caller to keep."""
        with LOCK:
            self._retire()
            total = Tally(self.shape)
            total.take(self._ended)
            for _, tally in self._living:
                total.take(tally)
            return total

    def _new(self) -> Tally:
        tally, mine = Tally(self.shape), _Mine()
        with LOCK:
            self._retire()
            self._living.append((weakref.ref(mine), tally))
        self._local.tally, self._local.mine = tally, mine
        self._on_thread()
        return tally

    def _retire(self) -> None:
        for entry in [entry for entry in self._living if entry[0]() is None]:
            self._ended.take(entry[1])
            self._living.remove(entry)
