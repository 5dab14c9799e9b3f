"""Distances of two histograms over the same bins: a row a feature, a column a bin, short rows ending in zeros.

What bins know of a distribution is its cumulative share at the edges. The KS distance of the values themselves lies
between the largest distance at an edge and that of the worst case, in which within some bin one sample lies all on the
left and the other all on the right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NORMAL_IQR = 1.3489795003921634
"""Interquartile range of a normal distribution, in standard deviations."""


def shares(counts: Floats) -> Floats:
    """Counts as shares of their row; zeros where a row has none."""
    import numpy as np

    total = counts.sum(axis=1, keepdims=True)
    return counts / np.where(total > 0, total, 1.0)


def ks(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """The bounds of the KS distance, from shares."""
    import numpy as np

    one, other = np.cumsum(reference, axis=1), np.cumsum(current, axis=1)
    lower = np.abs(one - other).max(axis=1, initial=0.0)
    before_one, before_other = one - reference, other - current
    upper = np.maximum(one - before_other, other - before_one).max(axis=1, initial=0.0)
    lower = np.minimum(lower, 1.0)
    return lower, np.clip(upper, lower, 1.0)


def psi(reference: Floats, current: Floats, n: Floats, bins: NDArray[np.int64]) -> Floats:
    """The population stability index, from shares: `sum((p - q) * ln(p / q))`.

    An empty bin is given half an observation of the smaller sample, which has `n`, so that it stays finite.
    """
    import numpy as np

    floor = (0.5 / (n + 0.5 * bins))[:, None]
    expected, seen = np.maximum(reference, floor), np.maximum(current, floor)
    found: Floats = ((seen - expected) * np.log(seen / expected)).sum(axis=1)
    return found


def jensen_shannon(reference: Floats, current: Floats) -> Floats:
    """The Jensen-Shannon distance (the root of the divergence, in bits), 0 to 1, from shares."""
    import numpy as np

    middle = (reference + current) / 2
    whole = np.zeros(len(reference))
    for part in (reference, current):
        ratio = np.divide(part, middle, out=np.ones_like(part), where=part > 0)
        whole += (part * np.log2(ratio)).sum(axis=1) / 2
    return np.sqrt(np.clip(whole, 0.0, 1.0))


def wasserstein(edges: Floats, reference: Floats, current: Floats) -> Floats:
    """The area between the two cumulative shares from the first edge to the last, each straight within a bin.

    What lies beyond the outermost edges has no place and is not counted. `edges` ends in repetitions of the last.
    """
    import numpy as np

    apart = (np.cumsum(reference, axis=1) - np.cumsum(current, axis=1))[:, : edges.shape[1]]
    left, right, width = np.abs(apart[:, :-1]), np.abs(apart[:, 1:]), np.diff(edges, axis=1)
    crossed = apart[:, :-1] * apart[:, 1:] < 0
    both = np.where(left + right > 0, left + right, 1.0)
    height = np.where(crossed, (left**2 + right**2) / (2 * both), (left + right) / 2)
    found: Floats = (height * width).sum(axis=1)
    return found


def spread(edges: Floats, reference: Floats) -> Floats:
    """The standard deviation that a normal distribution with the same quartiles has; 0 where they fall together."""
    return (_quantile(edges, reference, 0.75) - _quantile(edges, reference, 0.25)) / NORMAL_IQR


def _quantile(edges: Floats, reference: Floats, share: float) -> Floats:
    """Straight within a bin; an outermost edge for what lies beyond it."""
    import numpy as np

    whole = np.cumsum(reference, axis=1)[:, : edges.shape[1]]
    row = np.arange(len(edges))
    reached = whole >= share
    at = np.where(reached.any(axis=1), reached.argmax(axis=1), edges.shape[1] - 1)
    before = np.maximum(at - 1, 0)
    low, high = whole[row, before], whole[row, at]
    part = np.clip((share - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    found: Floats = edges[row, before] + part * (edges[row, at] - edges[row, before])
    return found
