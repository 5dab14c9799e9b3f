"""Series, panels and marks; and the quantile of a histogram as Prometheus computes it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from msgspec import Struct


class Series(Struct, frozen=True):
    """One line of a panel."""

    color: str
    stat: str
    """`p50`, `p95`, `p99`, `rate`, `errors`; in a heat map the bucket's `le` as Prometheus writes it."""
    times: tuple[float, ...]
    """Seconds since the epoch, rising, a step apart."""
    values: tuple[float, ...]
    """In the panel's unit; NaN where there is no sample: a gap, never a zero."""
    label: str = ""
    """What else tells it from its neighbours: a pod, a class, a version; the legend shows it in place of `stat`."""
    ghost: str = ""
    """What earlier time it is of, in words (`yesterday`); its times are shifted to lie under the present."""

    @property
    def last(self) -> float | None:
        """The last value that is a number, or None."""
        return next((value for value in reversed(self.values) if math.isfinite(value)), None)


class Panel(Struct, frozen=True):
    """Series of one unit that belong on one chart."""

    id: str
    """`latency`, `errors`, `rate`."""
    title: str
    unit: str
    """`s`, `ratio`, `1/s`, `B`, `cores`; another word stands after the figures as it is."""
    series: tuple[Series, ...] = ()
    query: str = ""
    """The exact query or what was scraped."""
    problem: str = ""
    """Why there is nothing, if there is nothing."""
    form: str = "lines"
    """`lines`, `stacked`, `heat`. Heat: a series a bucket, its values cumulative over `le`, as a histogram has them."""
    scale: str = "linear"
    """`linear`, `log`."""
    thresholds: tuple[tuple[float, str], ...] = ()
    """(value, words): lines across the chart."""


class Mark(Struct, frozen=True):
    """An instant on every chart."""

    at: float
    kind: str
    """`switch`, `rollback`, `deploy`, another kind of operation, `alert`."""
    words: str


class Telemetry(Struct, frozen=True):
    """What the panels of a service show."""

    service: str
    """`namespace/name`."""
    fetched_at: float
    start: float
    end: float
    step: float
    source: str
    """`prometheus` or `scrape`."""
    panels: tuple[Panel, ...] = ()
    marks: tuple[Mark, ...] = ()
    problem: str = ""
    until: float = 0.0
    """The end that was asked for; 0 where it is now."""
    compare: float = 0.0
    """By how many seconds the series with a `ghost` are shifted; 0 where none was asked for."""


class Glance(Struct, frozen=True):
    """The figures of one colour, now. None is unknown, never zero."""

    color: str
    requests_per_second: float | None = None
    error_share: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    """Latencies in seconds."""
    samples: float = 0.0
    """Requests that the figures rest on."""
    at: float = 0.0


DAY = 86400.0
WEEK = 7 * DAY


def ghost_words(seconds: float) -> str:
    """What a line is called that is shifted by so many seconds."""
    if seconds in (DAY, WEEK):
        return "yesterday" if seconds == DAY else "last week"
    parts = []
    for size, name in ((DAY, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:.0f} {name}")
    return f"{' '.join(parts[:2]) or '0 s'} before"


def histogram_quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float:
    """The `q` quantile (0 to 1) of a classic histogram, as Prometheus' `histogram_quantile` gives it.

    `buckets` are (upper bound, cumulative count or rate), bounds rising, the last one +Inf. Linear within a bucket;
    the first bucket starts at 0 if its bound is positive; a quantile in the +Inf bucket gives the highest finite bound.
    NaN without a +Inf bucket, with fewer than two buckets, or without observations. Counts that fall are raised to
    their predecessor, as Prometheus does for scrapes that tore.
    Source: https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    if math.isnan(q) or len(buckets) < 2 or not math.isinf(buckets[-1][0]):
        return math.nan
    if q < 0 or q > 1:
        return math.copysign(math.inf, q - 0.5)
    counts: list[float] = []
    for _, count in buckets:
        counts.append(max(count, counts[-1]) if counts else count)
    total = counts[-1]
    if not total > 0:
        return math.nan
    rank = q * total
    index = next(i for i, count in enumerate(counts) if count >= rank)
    if index == len(buckets) - 1:
        return buckets[-2][0]
    upper = buckets[index][0]
    if index == 0 and upper <= 0:
        return upper
    lower = buckets[index - 1][0] if index else 0.0
    below = counts[index - 1] if index else 0.0
    inside = counts[index] - below
    return lower + (upper - lower) * ((rank - below) / inside) if inside > 0 else lower


def increase(samples: Sequence[float]) -> float:
    """How much a counter grew over `samples`, a fall being a reset to zero."""
    return sum(max(after - before, 0.0) if after >= before else after for before, after in itertools.pairwise(samples))
