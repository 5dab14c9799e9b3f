"""Counts of categories in two samples: a row a feature, a column a category, short rows ending in zeros."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXPECTED = 5.0
"""A category that is expected less often in either sample is pooled with the others like it: the chi-square
distribution fits no smaller counts."""


def pooled(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """The same counts with one more column, the last: what the rare categories have together.

    Where even that is rare, it goes to the smallest category that is not.
    """
    import numpy as np

    both = reference + current
    expected = _least_expected(both, reference, current)
    rare = (expected < EXPECTED) & (both > 0)
    one, other = (np.where(rare, 0.0, counts) for counts in (reference, current))
    rest = [np.where(rare, counts, 0.0).sum(axis=1) for counts in (reference, current)]
    few = _least_expected((rest[0] + rest[1])[:, None], reference, current)[:, 0] < EXPECTED
    kept = one + other
    few &= kept.sum(axis=1) > 0
    smallest = np.where(kept > 0, kept, math.inf).argmin(axis=1)
    row = np.flatnonzero(few)
    for counts, more in zip((one, other), rest, strict=True):
        counts[row, smallest[row]] += more[row]
        more[row] = 0.0
    return np.column_stack((one, rest[0])), np.column_stack((other, rest[1]))


def _least_expected(both: Floats, reference: Floats, current: Floats) -> Floats:
    """How often a category is expected in the sample that has less of everything."""
    import numpy as np

    n, m = reference.sum(axis=1, keepdims=True), current.sum(axis=1, keepdims=True)
    found: Floats = both * np.minimum(n, m) / np.where(n + m > 0, n + m, 1.0)
    return found


def chi_square(reference: Floats, current: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The statistic of homogeneity of two rows of counts, and its degrees of freedom."""
    import numpy as np

    n, m = reference.sum(axis=1, keepdims=True), current.sum(axis=1, keepdims=True)
    both = reference + current
    whole = np.where(n + m > 0, n + m, 1.0)
    found = np.zeros(len(both))
    for counts, size in ((reference, n), (current, m)):
        expected = both * size / whole
        found += np.divide((counts - expected) ** 2, expected, out=np.zeros_like(both), where=expected > 0).sum(axis=1)
    df = np.maximum((both > 0).sum(axis=1) - 1, 0)
    return found, df


def variation(reference: Floats, current: Floats) -> Floats:
    """The total variation distance, less what sampling alone makes of it, and never less than nothing.

    Many categories in small samples are always some way apart: half the sum of the mean distances of as many normal
    deviations is taken off.
    """
    import numpy as np

    n, m = (np.maximum(counts.sum(axis=1, keepdims=True), 1.0) for counts in (reference, current))
    share = (reference + current) / (n + m)
    noise = np.sqrt(2 / math.pi * share * (1 - share) * (1 / n + 1 / m)).sum(axis=1) / 2
    found: Floats = np.abs(reference / n - current / m).sum(axis=1) / 2 - noise
    return np.clip(found, 0.0, 1.0)
