"""Two distributions to be drawn on each other, as a few shares of both."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlconsole.domain.drift import Picture
from mlconsole.domain.reference import Categorical, Numeric
from mlconsole.domain.statistics import samples
from mlconsole.domain.statistics.judging import Column, aligned, in_bins
from mlconsole.domain.statistics.samples import Values
from mlconsole.domain.text import visible

__all__ = ["Picture", "picture"]

BINS = 32
CATEGORIES = 8
TAIL = 0.005
"""Of raw values at either end, left to the outermost bins."""


def picture(reference: Column | None, current: Column | None) -> Picture | None:
    """The picture of two columns; None where they cannot be drawn on each other."""
    if reference is None or current is None or not reference.n or not current.n:
        return None
    if isinstance(reference, Categorical) and isinstance(current, Categorical):
        return _categories(reference, current)
    if isinstance(reference, Categorical) or isinstance(current, Categorical):
        return None
    if isinstance(reference, Values) and isinstance(current, Values):
        edges = _grid(reference, current)
        reference, current = in_bins(reference, edges), in_bins(current, edges)
    elif isinstance(reference, Values):
        assert isinstance(current, Numeric)
        reference = in_bins(reference, current.edges)
    elif isinstance(current, Values):
        current = in_bins(current, reference.edges)
    assert isinstance(reference, Numeric)
    assert isinstance(current, Numeric)
    at, one, two = aligned(reference, current)
    return Picture(_shares(one), _shares(two), tuple(at)) if at else None


def _categories(reference: Categorical, current: Categorical) -> Picture:
    sides = (reference, current)
    total = {name: sum(side.counts.get(name, 0.0) / side.n for side in sides) for side in sides for name in side.counts}
    order = sorted(total, key=lambda name: (-total[name], name))
    kept, rest = order[:CATEGORIES], order[CATEGORIES:]
    shares = [[side.counts.get(name, 0.0) for name in kept] for side in sides]
    names = [visible(name, 30) for name in kept]
    if rest:
        names.append(f"{len(rest)} others")
        for side, counts in zip(sides, shares, strict=True):
            counts.append(math.fsum(side.counts.get(name, 0.0) for name in rest))
    return Picture(_shares(shares[0]), _shares(shares[1]), names=tuple(names))


def _grid(reference: Values, current: Values) -> tuple[float, ...]:
    """Edges as far from each other, over nearly all of both; each value its own where they are few."""
    import numpy as np

    both = [samples.finite(side.numbers) for side in (reference, current)]
    if all(np.count_nonzero(np.diff(part)) < BINS for part in both):
        return tuple(np.unique(np.concatenate(both)).tolist())
    ends = [(part[int(TAIL * len(part))], part[int((1 - TAIL) * (len(part) - 1))]) for part in both if len(part)]
    if not ends:
        return ()
    low, high = min(float(low) for low, _ in ends), max(float(high) for _, high in ends)
    if not math.isfinite(high - low):
        return (low,)
    return tuple(np.unique(np.linspace(low, high, BINS - 1)).tolist())


def _shares(counts: Sequence[float]) -> tuple[float, ...]:
    total = math.fsum(counts) or 1.0
    return tuple(count / total for count in counts)
