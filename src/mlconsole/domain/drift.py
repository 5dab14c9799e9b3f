"""Drift of a feature from histograms: live counts against the shares of the training data, over the same edges.

PSI is `sum((p - q) * ln(p / q))` over the bins, empty bins given half an observation so that it stays finite; the
usual reading is 0.1 for a look and 0.25 for a shift. KS from bins is the largest distance between the two cumulative
shares at the edges: a lower bound of the true statistic.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

MINIMUM_SAMPLE = 200
PSI_LOOK = 0.1
PSI_DRIFTED = 0.25


class DriftVerdict(enum.StrEnum):
    """What the figures of a feature say."""

    DRIFTED = "drifted"
    LOOK = "look"
    UNKNOWN = "unknown"
    OK = "ok"


class FeatureDrift(Struct, frozen=True):
    """One feature of one colour against its training data."""

    feature: str
    color: str
    n: int
    psi: float | None
    ks: float | None
    verdict: DriftVerdict
    why: str = ""


class DriftTable(Struct, frozen=True):
    """Every feature of a service, the largest effect first."""

    service: str
    at: float
    features: tuple[FeatureDrift, ...] = ()
    problem: str = ""
    reference: str = "training shares exported by the servers"


def bins(cumulative: Sequence[float]) -> list[float]:
    """Counts (or shares) per bin from cumulative ones."""
    return [after - before for before, after in zip((0.0, *cumulative), cumulative, strict=False)]


def psi(reference: Sequence[float], counts: Sequence[float]) -> float:
    """The population stability index of `counts` against `reference` shares, one value a bin.

    Raises ValueError if the lengths differ or either sums to nothing.
    """
    total, whole = sum(counts), sum(reference)
    if len(reference) != len(counts) or total <= 0 or whole <= 0:
        raise ValueError("PSI needs two histograms over the same bins, neither empty")
    size = len(counts)
    floor = 0.5 / (total + 0.5 * size)
    result = 0.0
    for share, count in zip(reference, counts, strict=True):
        expected, seen = max(share / whole, floor), max(count / total, floor)
        result += (seen - expected) * math.log(seen / expected)
    return result


def ks(reference: Sequence[float], counts: Sequence[float]) -> float:
    """The largest distance of the cumulative shares at the edges, 0 to 1: a lower bound of the KS statistic.

    Raises ValueError as `psi` does.
    """
    total, whole = sum(counts), sum(reference)
    if len(reference) != len(counts) or total <= 0 or whole <= 0:
        raise ValueError("KS needs two histograms over the same bins, neither empty")
    expected = seen = distance = 0.0
    for share, count in zip(reference, counts, strict=True):
        expected += share / whole
        seen += count / total
        distance = max(distance, abs(expected - seen))
    return min(1.0, distance)


def judge(feature: str, color: str, reference: Sequence[float], counts: Sequence[float]) -> FeatureDrift:
    """The row of one feature. Both sequences hold one value a bin; too few observations are unknown, not ok (I21)."""
    numbers = (*reference, *counts)
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        return FeatureDrift(feature, color, 0, None, None, DriftVerdict.UNKNOWN, "counts that are no numbers")
    n = int(sum(counts))
    if n < MINIMUM_SAMPLE:
        return FeatureDrift(feature, color, n, None, None, DriftVerdict.UNKNOWN, f"needs {MINIMUM_SAMPLE} observations")
    try:
        index, distance = psi(reference, counts), ks(reference, counts)
    except ValueError as error:
        return FeatureDrift(feature, color, n, None, None, DriftVerdict.UNKNOWN, str(error))
    # PSI of a sample from the reference itself is about (bins - 1) / n: that much is noise.
    noise = 2 * max(0, len(counts) - 1) / n
    verdict = DriftVerdict.OK
    if index > PSI_DRIFTED + noise:
        verdict = DriftVerdict.DRIFTED
    elif index > PSI_LOOK + noise:
        verdict = DriftVerdict.LOOK
    return FeatureDrift(feature, color, n, index, distance, verdict)


def by_effect(rows: Sequence[FeatureDrift]) -> tuple[FeatureDrift, ...]:
    """Rows with the largest effect first, the unknown ones last, ties by name."""
    return tuple(sorted(rows, key=lambda row: (row.psi is None, -(row.psi or 0.0), row.feature, row.color)))


def judge_cumulative(
    feature: str, color: str, reference: Mapping[float, float], counts: Mapping[float, float]
) -> FeatureDrift:
    """`judge`, from cumulative values by upper edge: the counts with +Inf, the shares without (the rest is above).

    Counts that fall are raised to their predecessor: Prometheus extrapolates each bucket by itself.
    """
    edges = sorted(counts)
    if not reference:
        return _unknown(feature, color, counts, "the server exports no reference for it")
    if edges[-1:] != [math.inf] or sorted(edge for edge in reference if math.isfinite(edge)) != edges[:-1]:
        return _unknown(feature, color, counts, "its edges are not those of the reference")
    shares = [reference[edge] for edge in edges[:-1]]
    rising = list(itertools.accumulate((counts[edge] for edge in edges), max))
    return judge(feature, color, bins([*shares, 1.0]), bins(rising))


def _unknown(feature: str, color: str, counts: Mapping[float, float], why: str) -> FeatureDrift:
    n = max((count for count in counts.values() if math.isfinite(count)), default=0.0)
    return FeatureDrift(feature, color, int(n), None, None, DriftVerdict.UNKNOWN, why)
