"""When a series changed: the moment, the interval that holds it, and how sure that is.

The statistic is the CUSUM of the ranks (Pettitt 1979), weighted by the standard deviation that it has at each point, so
that a change near an end is found as well; ranks make one wild value count as one value. Its significance is that of a
permutation test: the series is shuffled in blocks as long as its own memory (a rate over 30 s, read every 5 s, repeats
itself six times; Kunsch 1989 for the blocks), and the confidence is the share of the shuffled series whose statistic
stays below (Taylor 2000). On noise it is therefore wrong in the nominal share of series, whatever its distribution.
Further changes are looked for on both sides of one that was found (binary segmentation, Scott and Knott 1974).

The interval is by bootstrap: residuals about the two medians are drawn again in blocks, the change is located in each
draw, and the middle 95 % are the interval. A figure that looks back over a window shows a change late and smeared over
it: the estimate is set back by half the window, the interval's start by all of it.

A steady trend is no change: where a straight line (Theil and Sen, robust as well) fits better than the two levels on
each side of the change, it is called a trend and has no moment.

Pettitt, A. N. (1979), A non-parametric approach to the change-point problem, Applied Statistics 28, 126-135.
Taylor, W. A. (2000), Change-point analysis: a powerful new tool for detecting changes.
Scott, A. J. and Knott, M. (1974), A cluster analysis method for grouping means, Biometrics 30, 507-512.
Kunsch, H. R. (1989), The jackknife and the bootstrap for general stationary observations, Annals of Statistics 17.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

ALPHA = 0.05
"""The share of series without a change in which one is found."""
LEAST = 4
"""Values on either side of a change."""
DRAWS = 399
BLOCKS = 3.0
"""Windows that a block is long: what lies in two neighbours has then little in common."""
STRAIGHT = 0.95
"""Of what a level leaves, at most, a trend's line leaves: a bump in the middle is none."""
MOST = 720
"""Values that are looked at; of a longer series every second, third, ..."""
MOST_CHANGES = 4
SEED = 20260101
"""The same series has the same changes, whoever asks, and however often."""


class Shape(enum.StrEnum):
    """What a series does."""

    STEP = "step"
    TREND = "trend"
    """It moves all the time: there is no moment."""


class Change(Struct, frozen=True):
    """One change of a series."""

    shape: Shape
    at: float
    """The best estimate, seconds since the epoch; of a trend the series' begin."""
    earliest: float
    latest: float
    confidence: float
    """One less the p-value: at most 0.9975."""
    before: float
    """The median on this side, up to the change before."""
    after: float
    n: int
    """Values that it rests on."""

    @property
    def rises(self) -> bool:
        """Whether the values are higher after it."""
        return self.after > self.before


def changes(
    times: Sequence[float], values: Sequence[float], window: float = 0.0, alpha: float = ALPHA
) -> tuple[Change, ...]:
    """The changes of a series, in time's order. `times` rise; NaN and infinities are gaps.

    `window` is the time that each value looks back over. Empty where there is none, and where there is too little to
    say.
    """
    import numpy as np

    stamps, series = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    known = np.isfinite(series)
    stamps, series = stamps[known], series[known]
    if len(series) > MOST:
        every = -(-len(series) // MOST)
        stamps, series = stamps[::-1][::every][::-1], series[::-1][::every][::-1]
    if len(series) < 2 * LEAST or np.ptp(series) == 0:
        return ()
    step = float(np.median(np.diff(stamps)))
    block = max(1, min(len(series) // 8, round(BLOCKS * window / step) if step > 0 else 1))
    random = np.random.default_rng(SEED)
    found = sorted(_segmented(series, 0, len(series), block, alpha, random))
    if not found:
        return ()
    if _is_trend(stamps, series, found):
        confidence = max(one.confidence for one in found)
        third = max(1, len(series) // 3)
        ends = float(np.median(series[:third])), float(np.median(series[-third:]))
        begin, end = float(stamps[0]), float(stamps[-1])
        return (Change(Shape.TREND, begin, begin, end, confidence, *ends, len(series)),)
    return tuple(_change(stamps, series, found, number, window, block, random) for number in range(len(found)))


class _Cut(Struct, frozen=True, order=True):
    """A change by index: the first value after it."""

    index: int
    confidence: float


def _segmented(series: Any, start: int, end: int, block: int, alpha: float, random: Any) -> list[_Cut]:
    """The cuts between `start` and `end`: the surest one, then those on both sides of it."""
    waiting, found = [(start, end, alpha)], list[_Cut]()
    while waiting and len(found) < MOST_CHANGES:
        low, high, level = waiting.pop(0)
        if high - low < 2 * LEAST:
            continue
        part = series[low:high]
        index, p_value = _tested(part, block, random)
        if p_value > level:
            continue
        index = _refined(part, index)
        found.append(_Cut(low + index, 1.0 - p_value))
        # Two more looks: each has half of what may go wrong.
        waiting += [(low, low + index, level / 2), (low + index, high, level / 2)]
    return found


def _tested(part: Any, block: int, random: Any) -> tuple[int, float]:
    """Where a series would be cut, and how often shuffled ones look as much like a change as it does."""
    import numpy as np

    index, score = _located(part[None, :])
    n = len(part)
    blocks = -(-n // block)
    orders = random.permuted(np.tile(np.arange(blocks), (DRAWS, 1)), axis=1)
    taken = (orders[:, :, None] * block + np.arange(block)).reshape(DRAWS, -1)
    # The last block may be short: what it lacks is left out of every draw.
    taken = taken[taken < n].reshape(DRAWS, n)
    _, scores = _located(part[taken])
    return int(index[0]), float((1 + np.count_nonzero(scores >= score[0] - 1e-12)) / (DRAWS + 1))


def _located(rows: Any) -> tuple[Any, Any]:
    """For each row the index of the first value after its likeliest change, and the statistic there."""
    import numpy as np

    n = rows.shape[1]
    ranks = _ranks(rows)
    sums = np.cumsum(ranks - ranks.mean(axis=1, keepdims=True), axis=1)[:, :-1]
    left = np.arange(1, n)
    scores = np.abs(sums) / np.sqrt(left * (n - left))
    scores[:, : LEAST - 1] = scores[:, n - LEAST :] = -1.0
    best = np.argmax(scores, axis=1)
    return best + 1, np.take_along_axis(scores, best[:, None], axis=1)[:, 0]


def _refined(part: Any, index: int) -> int:
    """A cut at the place where the two levels beside it leave least (by absolute values, as medians do)."""
    import numpy as np

    levels = float(np.median(part[:index])), float(np.median(part[index:]))
    return int(_least(part[None, :], *levels)[0])


def _least(rows: Any, before: float, after: float) -> Any:
    """For each row the index of the first value after the cut that leaves least about two levels."""
    import numpy as np

    n = rows.shape[1]
    left = np.cumsum(np.abs(rows - before) - np.abs(rows - after), axis=1)[:, LEAST - 1 : n - LEAST]
    return np.argmin(left, axis=1) + LEAST


def _ranks(rows: Any) -> Any:
    """The ranks within each row, ties with their mean."""
    import numpy as np

    n = rows.shape[1]
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    places = np.broadcast_to(np.arange(n, dtype=float), rows.shape)
    new = np.ones(rows.shape, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.maximum.accumulate(np.where(new, places, 0.0), axis=1)
    ends = np.ones(rows.shape, dtype=bool)
    ends[:, :-1] = new[:, 1:]
    last = np.minimum.accumulate(np.where(ends, places, float(n))[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(rows.shape)
    np.put_along_axis(ranks, order, (first + last) / 2.0, axis=1)
    return ranks


def _is_trend(stamps: Any, series: Any, found: Sequence[_Cut]) -> bool:
    """Whether a straight line leaves less than the two levels beside the surest change do, and than no line at all."""
    import numpy as np

    surest = max(found, key=lambda one: one.confidence).index
    levels = np.concatenate((_about_median(series[:surest]), _about_median(series[surest:])))
    scale = stamps - stamps[0]
    thin = max(1, len(series) // 120)
    x, y = scale[::thin], series[::thin]
    one, other = np.triu_indices(len(x), 1)
    slope = np.median((y[other] - y[one]) / (x[other] - x[one]))
    left, flat = (np.abs(_about_median(part)).sum() for part in (series - slope * scale, series))
    return bool(left < np.abs(levels).sum() and left < STRAIGHT * flat)


def _about_median(part: Any) -> Any:
    import numpy as np

    return part - np.median(part)


def _change(
    stamps: Any, series: Any, found: Sequence[_Cut], number: int, window: float, block: int, random: Any
) -> Change:
    """One cut as a change, between its neighbours."""
    import numpy as np

    cut = found[number]
    low = found[number - 1].index if number else 0
    high = found[number + 1].index if number + 1 < len(found) else len(series)
    before, after = series[low : cut.index], series[cut.index : high]
    draws = np.concatenate((_drawn(before, block, random), _drawn(after, block, random)), axis=1)
    levels = float(np.median(before)), float(np.median(after))
    located = _least(draws, *levels)
    first, last = np.quantile(located, (0.025, 0.975), method="nearest")
    first, last = min(int(first), cut.index - low), max(int(last), cut.index - low)
    middle = _between(stamps, cut.index) - window / 2
    earliest = float(stamps[low + first - 1]) - window
    latest = float(stamps[min(low + last, high - 1)])
    return Change(Shape.STEP, middle, earliest, latest, cut.confidence, *levels, high - low)


def _between(stamps: Any, index: int) -> float:
    """The moment between the value before a cut and the one after it; not in the middle of a long gap."""
    before, after = float(stamps[index - 1]), float(stamps[index])
    return max((before + after) / 2, after - (float(stamps[-1]) - float(stamps[0])) / len(stamps))


def _drawn(part: Any, block: int, random: Any) -> Any:
    """The level of a part with its own residuals in another order, many times."""
    import numpy as np

    n = len(part)
    size = min(block, n)
    starts = random.integers(0, n - size + 1, size=(DRAWS, -(-n // size)))
    taken = (starts[:, :, None] + np.arange(size)).reshape(DRAWS, -1)[:, :n]
    return part[taken]
