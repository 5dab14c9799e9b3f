"""Confidence intervals by the bootstrap, for any figure that is a function of sums over rows.

Rows are drawn anew with replacement (Efron 1979), `resamples` times with one seed. No row is copied for that: of sums
only the number of times that a row was drawn counts. Where rows are of few kinds (a truth and what was predicted), how
often each kind comes is one multinomial draw; else the rows' weights are multiplied with all their terms at once. More
rows than `BLOCKS` are put into as many blocks at random first: a sum of blocks varies as a sum of rows does.

The interval is BCa (Efron 1987, "Better Bootstrap Confidence Intervals", JASA 82), whose acceleration is from the
jackknife; where the figure lies outside of all of its draws, it is that of percentiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from mlconsole.domain.validation import CONFIDENCE, Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Combine = Callable[[Floats], Floats]
    """Sums along the last axis to figures along the last axis."""

RESAMPLES = 2000
SEED = 20
BLOCKS = 4000
CELLS = 1 << 22
"""Numbers that are held at once."""
DEFINED = 0.95
"""The share of draws in which a figure has to exist, or it has no interval."""


class Plan(Struct, frozen=True):
    """How intervals are made."""

    confidence: float = CONFIDENCE
    resamples: int = RESAMPLES
    seed: int = SEED


USUAL = Plan()


class Sums(Protocol):
    """What was summed over the rows, and how it would be otherwise."""

    total: Floats

    def draws(self, plan: Plan) -> Iterator[Floats]:
        """The same sums of rows drawn anew, some resamples at a time."""

    def without(self) -> Iterator[tuple[Floats, Floats]]:
        """The same sums without one of the rows, and how many rows are alike."""


class Kinds:
    """Rows of few kinds: the sums are how many there are of each."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self.total = counts.astype("float64")
        self._counts = counts

    def draws(self, plan: Plan) -> Iterator[Floats]:
        """How many of each kind come, drawn from all."""
        import numpy as np

        rng = np.random.default_rng(plan.seed)
        shares = self.total / self.total.sum()
        for size in _sizes(plan.resamples, len(shares)):
            yield rng.multinomial(int(self._counts.sum()), shares, size=size).astype(np.float64)

    def without(self) -> Iterator[tuple[Floats, Floats]]:
        """One less of each kind in turn."""
        import numpy as np

        at = 0
        for size in _sizes(len(self.total), len(self.total)):
            rows = np.tile(self.total, (size, 1))
            rows[np.arange(size), np.arange(at, at + size)] -= 1
            yield rows, self.total[at : at + size]
            at += size


class Terms:
    """Rows each with terms of its own."""

    def __init__(self, terms: Floats, seed: int = SEED) -> None:
        import numpy as np

        self.total = terms.sum(axis=0)
        if len(terms) > BLOCKS:
            order = np.random.default_rng(seed).permutation(len(terms))
            ends = np.linspace(0, len(terms), BLOCKS + 1).astype(np.int64)[:-1]
            terms = np.add.reduceat(terms[order], ends, axis=0)
        self._terms = terms

    def draws(self, plan: Plan) -> Iterator[Floats]:
        """Weights that say how often each row was drawn, times the terms."""
        import numpy as np

        rng, rows = np.random.default_rng(plan.seed), len(self._terms)
        for size in _sizes(plan.resamples, rows):
            drawn = rng.integers(0, rows, (size, rows)) + np.arange(size)[:, None] * rows
            weights = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows)
            yield weights.astype(np.float64) @ self._terms

    def without(self) -> Iterator[tuple[Floats, Floats]]:
        """Without each row, or block, in turn."""
        import numpy as np

        yield self.total - self._terms, np.ones(len(self._terms))


def _sizes(wanted: int, width: int) -> Iterator[int]:
    most = max(1, CELLS // max(1, width))
    while wanted > 0:
        yield min(most, wanted)
        wanted -= most


def intervals(sums: Sums, combine: Combine, plan: Plan = USUAL) -> list[Interval | None]:
    """The interval of each figure that `combine` makes of sums; None where it has none."""
    import numpy as np

    with np.errstate(all="ignore"):
        figures = combine(sums.total)
        draws = np.concatenate([combine(part) for part in sums.draws(plan)])
        left = [(combine(part), weights) for part, weights in sums.without()]
    jackknife = np.concatenate([part for part, _ in left])
    weights = np.concatenate([part for _, part in left])
    return [
        _interval(float(figure), draws[:, at], jackknife[:, at], weights, plan.confidence)
        for at, figure in enumerate(figures)
    ]


def _interval(figure: float, draws: Floats, jackknife: Floats, weights: Floats, confidence: float) -> Interval | None:
    import numpy as np

    there = draws[np.isfinite(draws)]
    if not math.isfinite(figure) or len(there) < DEFINED * len(draws):
        return None
    tail = (1 - confidence) / 2
    below = float((there < figure).mean() + (there == figure).mean() / 2)
    ends = [tail, 1 - tail]
    if 0 < below < 1:
        ends = _corrected(below, _acceleration(jackknife, weights), tail)
    low, high = np.quantile(there, ends).tolist()
    return Interval(low, high, float(there.std()))


def _acceleration(jackknife: Floats, weights: Floats) -> float:
    import numpy as np

    there = np.isfinite(jackknife)
    values, weights = jackknife[there], weights[there]
    if not weights.sum():
        return 0.0
    apart = np.average(values, weights=weights) - values
    spread = float((weights * apart**2).sum())
    return float((weights * apart**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def _corrected(below: float, acceleration: float, tail: float) -> list[float]:
    """The shares of the draws that lie below both ends, with the bias and the acceleration taken out."""
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    found = []
    for share in (tail, 1 - tail):
        z = bias + normal.inv_cdf(share)
        room = 1 - acceleration * z
        found.append(normal.cdf(bias + z / room) if room > 0 else share)
    return found
