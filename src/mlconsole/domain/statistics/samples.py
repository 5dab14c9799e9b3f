"""Distances of two samples of raw numbers, each sorted once.

The KS distance and its p-value are those of `scipy.stats.ks_2samp`. It looks up every value of both samples in both;
here two sorted samples are merged, and the same pass gives the area between them, Wasserstein's distance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from mlconsole.domain.statistics.histograms import NORMAL_IQR

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXACT = 10_000
"""scipy counts paths for samples up to this size."""
PAIRS = 10_000_000
"""For samples of different sizes with more pairs than these that takes longer than all the rest: then it is as for
large ones, by the asymptotic distribution."""
DECILES = 10
CHUNK = 1 << 20
"""Values of the reference that are merged with the other sample at once: ten million rows take no more memory."""


class Values(Struct, frozen=True):
    """A column of numbers."""

    numbers: Floats
    """Sorted, without NaN; infinities are values."""
    missing: int = 0

    @property
    def n(self) -> int:
        """Values that were there."""
        return len(self.numbers)


def values(column: Floats) -> Values:
    """A column in any order, NaN for what is missing."""
    import numpy as np

    numbers = np.sort(np.asarray(column, dtype=np.float64))
    present = int(np.searchsorted(numbers, np.nan))
    return Values(numbers[:present], len(numbers) - present)


def distances(reference: Floats, current: Floats) -> tuple[float, float]:
    """The KS distance of two sorted samples, neither empty, and the area between their cumulative shares."""
    import numpy as np

    cuts = reference[CHUNK::CHUNK]
    ends = (np.append(np.searchsorted(sample, cuts), len(sample)) for sample in (reference, current))
    n, m = len(reference), len(current)
    farthest = area = between = 0.0
    begin, start, last = 0, 0, float(min(reference[0], current[0]))
    for end, stop in zip(*(part.tolist() for part in ends), strict=True):
        if end == begin and stop == start:
            continue
        merged = np.concatenate((reference[begin:end], current[start:stop]))
        order = merged.argsort(kind="stable")
        merged = merged[order]
        seen = np.cumsum(order < end - begin)
        apart = np.abs((seen + begin) / n - (np.arange(1, len(merged) + 1) - seen + start) / m)
        with np.errstate(all="ignore"):  # one infinity less another, and steps that are larger than any number
            steps = np.diff(merged)
            # Not a dot product: BLAS would wake its threads for it.
            within = float((apart[:-1] * steps).sum())
        area += between * (float(merged[0]) - last) + within
        # Of equal values only the last one shows how far apart they are.
        farthest = max(farthest, float(apart[:-1][steps > 0].max(initial=0.0)), float(apart[-1]))
        between, last = float(apart[-1]), float(merged[-1])
        begin, start = end, stop
    return min(1.0, farthest), area


def exact(reference: Floats, current: Floats, distance: float) -> float | None:
    """The p-value by counting orders, where that is quickly done; else None."""
    n, m = len(reference), len(current)
    if max(n, m) > EXACT:
        return None
    if n == m:
        return _square(n, round(distance * n))
    if n * m > PAIRS:
        return None
    from scipy.stats import ks_2samp

    return float(ks_2samp(reference, current, method="exact").pvalue)


def _square(n: int, h: int) -> float:
    """Gnedenko and Korolyuk's sum: the share of all orders of two samples of size n that are h/n apart or more."""
    if h == 0:
        return 1.0
    whole = 2 * math.lgamma(n + 1)
    found = math.fsum(
        (1 if k % 2 else -1) * math.exp(whole - math.lgamma(n - k * h + 1) - math.lgamma(n + k * h + 1))
        for k in range(1, n // h + 1)
    )
    return min(1.0, max(0.0, 2 * found))


def asymptotic(distances: Floats, n: Floats, m: Floats) -> Floats:
    """The p-values of many features, as `method="asymp"` has them."""
    import numpy as np
    from scipy.stats import kstwo

    found: Floats = np.clip(kstwo.sf(distances, np.round(n * m / (n + m))), 0.0, 1.0)
    return found


def scaled(area: float, reference: Floats) -> float | None:
    """Wasserstein's distance in standard deviations of the reference.

    None where that has no spread and the other sample is elsewhere.
    """
    unit = scale(reference) if len(reference) else 0.0
    if unit > 0 and math.isfinite(area):
        return area / unit
    return 0.0 if area == 0 else None


def scale(numbers: Floats) -> float:
    """One standard deviation of sorted numbers, by their quartiles, which a few outliers do not move.

    By their variance where the quartiles fall together.
    """
    import numpy as np

    low, high = (_quantile(numbers, share) for share in (0.25, 0.75))
    return (high - low) / NORMAL_IQR or float(np.std(numbers))


def _quantile(numbers: Floats, share: float) -> float:
    """As numpy has it: straight between two values."""
    at = share * (len(numbers) - 1)
    below = math.floor(at)
    low, high = float(numbers[below]), float(numbers[min(below + 1, len(numbers) - 1)])
    return low + (at - below) * (high - low)


def finite(numbers: Floats) -> Floats:
    """The finite ones of sorted numbers."""
    import numpy as np

    return numbers[np.searchsorted(numbers, -math.inf, "right") : np.searchsorted(numbers, math.inf, "left")]


def deciles(numbers: Floats) -> Floats:
    """Edges that cut sorted numbers into tenths; fewer where many are the same, none beyond the finite."""
    import numpy as np

    known = finite(numbers)
    if not len(known):
        return np.zeros(0)
    at = np.ceil(np.arange(1, DECILES) / DECILES * len(known)).astype(int) - 1
    return np.unique(known[at])


def counts(numbers: Floats, edges: Floats) -> Floats:
    """How many of sorted numbers lie in each bin: above the edge before it, at most at its own."""
    import numpy as np

    ends = np.searchsorted(numbers, edges, side="right")
    return np.diff(ends, prepend=0, append=len(numbers)).astype(np.float64)
