"""What scraping knows: how much each colour's counters grew, in bins of time.

A pod's counters mean nothing by themselves; what they grew by between two scrapes does. Each growth is spread over the
bins that it covers, so pods that are read at different moments add up, and nothing is counted twice or lost. A chart's
point is the sum of the bins of a window, as `rate(x[30s])` is in Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from mlconsole.domain.telemetry import Glance, histogram_quantile
from mlconsole.metrics.exposition import ERRORS, Page

WINDOW = 30.0
"""Seconds that a figure looks back over."""
LONGEST_GAP = 300.0
"""Seconds after which two scrapes of a pod say nothing about the time between them."""
RESTARTED = 1.0
"""Seconds by which the start of a process must have moved to be another process."""
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
STATS = (*QUANTILES, "rate", "errors")

Buckets = dict[float, float]


class Growth:
    """Requests, errors and durations that came within some time; adds up."""

    __slots__ = ("_since", "buckets", "errors", "errors_known", "requests", "requests_known", "span")

    def __init__(self) -> None:
        self.requests = 0.0
        self.requests_known = False
        self.errors = 0.0
        self.errors_known = False
        self.buckets: Buckets = {}
        """Cumulative counts by upper edge: the edges that all that was added have in common."""
        self.span = 0.0
        """Seconds of it in which at least one pod was watched."""
        self._since = math.inf

    def add(self, other: Growth, part: float = 1.0) -> None:
        """Add `part` of another one; `span` is for the caller, who knows whether both are of the same time."""
        self.requests += other.requests * part
        self.requests_known |= other.requests_known
        self.errors += other.errors * part
        self.errors_known |= other.errors_known
        if not self.buckets:
            self.buckets = {edge: count * part for edge, count in other.buckets.items()}
        elif other.buckets:
            mine, theirs = self.buckets, other.buckets
            if mine.keys() == theirs.keys():
                for edge, count in theirs.items():
                    mine[edge] += count * part
            else:
                # A count under an edge is exact, whatever other edges there are.
                self.buckets = {edge: mine[edge] + theirs[edge] * part for edge in mine if edge in theirs}

    def watch(self, since: float, until: float) -> None:
        """A pod was watched so long; from one scrape of a pod to the next there is no gap."""
        self.span = max(self._since + self.span, until) - min(self._since, since) if self.span else until - since
        self._since = min(self._since, since)

    def stat(self, name: str) -> float:
        """One figure; NaN where it is unknown: no data, no request, no error count."""
        if name == "rate":
            return self.requests / self.span if self.requests_known and self.span > 0 else math.nan
        if name == "errors":
            known = self.errors_known and self.requests > 0
            return min(1.0, self.errors / self.requests) if known else math.nan
        return histogram_quantile(QUANTILES[name], sorted(self.buckets.items()))

    def glance(self, color: str, at: float) -> Glance:
        """The figures as a row shows them."""
        values = {name: _known(self.stat(name)) for name in STATS}
        return Glance(
            color, values["rate"], values["errors"], values["p50"], values["p95"], values["p99"], self.requests, at
        )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def growth(before: Page, after: Page) -> Growth:
    """What a pod's counters grew by from one page to the next. A process that started again counts from zero."""
    anew = restarted(before, after)
    result = Growth()
    if after.requests is not None and before.requests is not None:
        result.requests, result.requests_known = _grown(before.requests, after.requests, anew), True
        if after.errors is not None and ERRORS not in before.odd:
            # A labelled counter is there from its first count on.
            result.errors, result.errors_known = _grown(before.errors or 0.0, after.errors, anew), True
    if after.buckets and before.buckets.keys() == after.buckets.keys():
        result.buckets = grown_buckets(before.buckets, after.buckets, anew)
    return result


def restarted(before: Page, after: Page) -> bool:
    """Whether the process behind a page is not the one that wrote the page before."""
    if before.started is None or after.started is None:
        return False
    return abs(after.started - before.started) > RESTARTED


def grown_buckets(before: Buckets, after: Buckets, anew: bool) -> Buckets:
    """The growth of a histogram: if one bucket fell, all of it began anew."""
    if anew or any(after[edge] < count for edge, count in before.items()):
        return dict(after)
    return {edge: count - before[edge] for edge, count in after.items()}


def _grown(before: float, after: float, anew: bool) -> float:
    return after if anew or after < before else after - before


class Last(Struct, frozen=True):
    """The newest page of a pod."""

    at: float
    page: Page


class ColorLedger:
    """The growth of one colour of one service, in bins of `width` seconds, `keep` seconds back."""

    def __init__(self, width: float, keep: float) -> None:
        self.width = width
        self.keep = keep
        self._bins: dict[int, Growth] = {}
        self._last: dict[str, Last] = {}

    def add(self, pod: str, at: float, page: Page, longest_gap: float = LONGEST_GAP) -> Page | None:
        """Count what a pod's new page says; the page before it, if the two say anything together."""
        last = self._last.get(pod)
        if last is not None and at <= last.at:
            return None
        self._last[pod] = Last(at, page)
        if last is None or at - last.at > longest_gap:
            return None
        self._spread(last.at, at, growth(last.page, page))
        return last.page

    def retain(self, pods: Iterable[str]) -> None:
        """Forget the pods that are no more; what they counted stays."""
        wanted = set(pods)
        for pod in self._last.keys() - wanted:
            del self._last[pod]

    def complete_until(self, patience: float) -> float:
        """The moment until which every pod that answers has said all; one silent for `patience` is not waited for."""
        newest = max((last.at for last in self._last.values()), default=0.0)
        return min((last.at for last in self._last.values() if last.at >= newest - patience), default=0.0)

    @property
    def oldest(self) -> float | None:
        """Where the oldest bin begins."""
        return min(self._bins) * self.width if self._bins else None

    def over(self, end: int, count: int) -> Growth:
        """The growth of the `count` bins that end with bin `end`, which is not one of them."""
        total = Growth()
        for index in range(end - count, end):
            part = self._bins.get(index)
            if part is not None:
                total.add(part)
                total.span += part.span
        return total

    def _spread(self, start: float, end: float, grown: Growth) -> None:
        first, last = int(start // self.width), int(end // self.width)
        for index in range(first, last + 1):
            since, until = max(start, index * self.width), min(end, (index + 1) * self.width)
            if until <= since:
                continue
            into = self._bins.get(index)
            if into is None:
                into = self._bins[index] = Growth()
            into.add(grown, (until - since) / (end - start))
            into.watch(since, until)
        oldest = int((end - self.keep) // self.width)
        for index in [index for index in self._bins if index < oldest]:
            del self._bins[index]


def points(ledger: ColorLedger, ends: Sequence[int], bins: int) -> dict[str, list[float]]:
    """The figures at each of the bins' ends, by stat, every one over `bins` bins."""
    found = [ledger.over(end, bins) for end in ends]
    return {name: [item.stat(name) for item in found] for name in STATS}
