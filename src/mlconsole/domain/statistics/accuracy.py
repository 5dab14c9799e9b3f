"""Accuracy by labels that came late: how sure it is, how it went, whether it is below what the training promised."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec.structs import replace

from mlconsole.domain.drift import MIN_EFFECT, MINIMUM_SAMPLE, Accuracy, DriftVerdict

RIGHT, WRONG = "right", "wrong"
Z = 1.959963984540054
"""Of a normal distribution, 95 % lie within so many standard deviations."""
FEW = 20
"""Labels of a step that say something."""


def judge(
    color: str, labels: Mapping[int, Mapping[str, float]], step: float, most: int, trained: float | None, now: float
) -> Accuracy:
    """The accuracy of a colour by its labels in steps of time, the last `most` of them as of `now`.

    It is held against what the training said as drift is: a fall that is sure and of `MIN_EFFECT` or more counts, a
    smaller one that is sure is worth a look. One that is better than promised is ok.
    """
    last = max((int(now // step), *labels))
    rows = [labels.get(index, {}) for index in range(last - most + 1, last + 1)]
    right, wrong = (math.fsum(row.get(outcome, 0.0) for row in rows) for outcome in (RIGHT, WRONG))
    low, high = wilson(right, right + wrong)
    found = Accuracy(color, right, wrong, low, high, tuple(map(_share, rows)), step, trained, until=(last + 1) * step)
    if found.n < MINIMUM_SAMPLE:
        return replace(found, why=f"{found.n:.0f} labels of {MINIMUM_SAMPLE}")
    if trained is None or not 0 <= trained <= 1:
        return replace(found, why="nothing says what it was when the version was trained")
    value = found.value or 0.0
    if high >= trained:
        return replace(found, verdict=DriftVerdict.OK)
    verdict = DriftVerdict.DRIFTED if trained - value >= MIN_EFFECT else DriftVerdict.LOOK
    return replace(found, verdict=verdict, why=f"{trained - value:.1%} below what it was when it was trained")


def wilson(right: float, n: float) -> tuple[float, float]:
    """The interval of a share (Wilson 1927): unlike the simple one it holds at few labels, and near 0 and 1."""
    if n <= 0:
        return 0.0, 1.0
    share, spread = right / n, Z * Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(row: Mapping[str, float]) -> float | None:
    n = row.get(RIGHT, 0.0) + row.get(WRONG, 0.0)
    return row.get(RIGHT, 0.0) / n if n >= FEW else None
