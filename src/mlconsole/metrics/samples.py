"""What was scraped lately of some pods: the samples of the families that panels read, by series."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence

from mlconsole.metrics import promql
from mlconsole.metrics.exposition import Sample as Line
from mlconsole.metrics.promql import Labels, Matcher

MOST_SAMPLES = 1_000_000
"""16 MB of them; of more the oldest go."""
NAME = "__name__"


class _Series:
    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.named = dict(labels)
        self.bare = tuple(pair for pair in labels if pair[0] != NAME)
        self.times = array("d")
        self.values = array("d")


class Samples(promql.Source):
    """The samples of the last `keep` seconds."""

    def __init__(self, keep: float) -> None:
        self.keep = keep
        self._room = math.inf
        """Seconds that there is room for, where that is less."""
        self.patience = promql.LOOKBACK
        """Seconds after which a pod that is not read any more has no level."""
        self.first, self.last = math.inf, 0.0
        """When it was read first, and last."""
        self._by_name: dict[str, dict[Labels, _Series]] = {}
        self._found: dict[tuple[Matcher, ...], list[_Series]] = {}
        """By what was looked for, until there are other series."""
        self._count = 0
        self._pruned = 0.0

    def add(self, at: float, target: dict[str, str], lines: Iterable[Line]) -> None:
        """What a pod said at a moment. Its own labels of the target's names are kept as Prometheus keeps them."""
        for line in lines:
            own = {f"exported_{name}" if name in target else name: value for name, value in line.labels.items()}
            labels = tuple(sorted({**own, **target, NAME: line.name}.items()))
            known = self._by_name.setdefault(line.name, {})
            series = known.get(labels)
            if series is None:
                series = known[labels] = _Series(labels)
                self._found.clear()
            if not series.times or at > series.times[-1]:
                series.times.append(at)
                series.values.append(line.value)
                self._count += 1
        self.first, self.last = min(self.first, at), max(self.last, at)
        if self._count > MOST_SAMPLES:
            oldest = min(series.times[0] for known in self._by_name.values() for series in known.values())
            self._room = 0.75 * (self.last - oldest)
            self._prune()
        elif self.last - self._pruned > self.keep / 8:
            self._prune()

    def retain(self, pods: Collection[str]) -> None:
        """Forget the pods that are no more."""
        self._found.clear()
        for known in self._by_name.values():
            for labels in [labels for labels, series in known.items() if series.named.get("pod") not in pods]:
                self._count -= len(known.pop(labels).times)

    def _prune(self) -> None:
        self._pruned = self.last
        self._found.clear()
        for name, known in list(self._by_name.items()):
            for labels, series in list(known.items()):
                old = bisect_left(series.times, self.last - min(self.keep, self._room))
                del series.times[:old], series.values[:old]
                self._count -= old
                if not series.times:
                    del known[labels]
            if not known:
                del self._by_name[name]

    # ---- as the language asks

    def _matching(self, matchers: Sequence[Matcher]) -> list[_Series]:
        known = self._found.get(tuple(matchers))
        if known is None:
            names = [
                name for name in self._by_name if all(one.holds({NAME: name}) for one in matchers if one.name == NAME)
            ]
            rest = [one for one in matchers if one.name != NAME]
            known = self._found[tuple(matchers)] = [
                series
                for name in names
                for series in self._by_name[name].values()
                if all(one.holds(series.named) for one in rest)
            ]
        return known

    def latest(self, matchers: Sequence[Matcher], at: float, lookback: float) -> Iterator[tuple[Labels, float]]:
        """Of each series the last sample before `at`, if it is not too old."""
        since = at - min(lookback, self.patience)
        for series in self._matching(matchers):
            end = bisect_right(series.times, at)
            if end and series.times[end - 1] >= since:
                yield series.labels, series.values[end - 1]

    def over(self, matchers: Sequence[Matcher], start: float, end: float) -> Iterator[tuple[Labels, promql.Sample]]:
        """Of each series the samples from `start` to `end`."""
        for series in self._matching(matchers):
            first, last = bisect_left(series.times, start), bisect_right(series.times, end)
            if first < last:
                yield series.bare, (series.times[first:last], series.values[first:last])
