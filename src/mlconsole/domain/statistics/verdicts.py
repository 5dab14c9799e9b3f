"""What the figures of many features mean, set side by side.

None is called changed by chance alone, and none because so much was counted that nothing is quite the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from msgspec.structs import replace

from mlconsole.domain.drift import (
    ASSUMED_ROWS,
    LOOK_SHARE,
    MINIMUM_SAMPLE,
    POWER,
    PSI_LOOK,
    SEEN,
    DriftTable,
    DriftVerdict,
    FeatureDrift,
    Limits,
    Method,
    by_effect,
    overall,
)

USUAL = Limits()


def table(
    rows: Sequence[FeatureDrift],
    limits: Limits = USUAL,
    *,
    service: str = "",
    at: float = 0.0,
    reference: str = "",
    current: str = "",
    problem: str = "",
) -> DriftTable:
    """The table of rows that `judging` made, each with its verdict, and what is said of all of them.

    Every test is one of a family: of the values of each feature, and of the missing share of those that miss any.
    """
    asked = [row.p_value if _enough(row) else None for row in rows]
    missing = [row.missing_p_value for row in rows]
    q_values = benjamini_hochberg([*asked, *missing])
    family = max(1, sum(p is not None for p in (*asked, *missing)))
    settled = []
    for index, row in enumerate(rows):
        judged = replace(
            row,
            q_value=q_values[index],
            missing_q_value=q_values[len(rows) + index],
            mde=detectable(row, limits.alpha / family),
        )
        verdict, why = _verdict(judged, limits)
        settled.append(replace(judged, verdict=verdict, why="; ".join(part for part in (why, row.why) if part)))
    share, verdict, why = overall(settled, limits)
    if any(row.n_reference is None and row.method is not Method.NONE for row in rows):
        why += f"; how many rows the reference rests on is unknown, taken for {ASSUMED_ROWS}"
    return DriftTable(
        service, at, by_effect(settled), problem, reference, current, share, verdict, why=why, limits=limits
    )


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """The smallest rate of false discoveries at which each would be one; None stays out of the family."""
    asked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    least = 1.0
    for rank in range(len(asked), 0, -1):
        p, index = asked[rank - 1]
        least = min(least, p * len(asked) / rank)
        found[index] = least
    return found


def detectable(row: FeatureDrift, alpha: float) -> float | None:
    """The smallest distance that is found with `POWER` at this alpha, were it the only one in its family.

    Of KS: its critical value, and room for the power (the shares at the worst threshold are normal, of a variance of at
    most 1/4). Of categories: the distance is at most half the root of the noncentrality that chi-square needs, so any
    change as far is found at least as often.
    """
    n = _effective(row)
    if row.method is Method.NONE or not n:
        return None
    critical, z = _normal(alpha)
    if row.method is not Method.CHI_SQUARE:
        return min(1.0, (math.sqrt(-math.log(alpha / 2) / 2) + z / 2) / math.sqrt(n))
    df = row.bins - 1
    if df < 1:
        return None
    # Wilson and Hilferty's cube, then the normal approximation of the noncentral distribution.
    scale = 2 / (9 * df)
    limit = df * (1 - scale + critical * math.sqrt(scale)) ** 3
    ahead = limit - df
    noncentrality = ahead + 2 * z * z + z * math.sqrt(max(0.0, 4 * z * z + 4 * ahead + 2 * df))
    return min(1.0, math.sqrt(max(0.0, noncentrality) / n) / 2)


@functools.lru_cache(maxsize=64)
def _normal(alpha: float) -> tuple[float, float]:
    """What a normal deviation exceeds with a chance of alpha, and what it stays below with that of `POWER`."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - alpha), NormalDist().inv_cdf(POWER)


def _effective(row: FeatureDrift) -> float:
    n, m = row.n_reference if row.n_reference is not None else ASSUMED_ROWS, row.n_current
    return n * m / (n + m) if n and m else 0.0


def _enough(row: FeatureDrift) -> bool:
    enough = row.n_reference is None or row.n_reference >= MINIMUM_SAMPLE
    return enough and row.n_current >= MINIMUM_SAMPLE


def _verdict(row: FeatureDrift, limits: Limits) -> tuple[DriftVerdict, str]:
    """What is said of a row, and why."""
    sure = row.q_value is not None and row.q_value < limits.alpha
    lost = row.missing_q_value is not None and row.missing_q_value < limits.alpha
    change = abs((row.missing_current or 0.0) - (row.missing_reference or 0.0)) if lost else 0.0
    distance = row.distance or 0.0 if sure else 0.0
    told = [f"missing {row.missing_reference or 0:.1%}, now {row.missing_current or 0:.1%}"] if lost else []
    if sure and row.unseen:
        told.append(f"unseen ({row.unseen_share:.1%}): {', '.join(row.unseen)}")
    if max(change, distance) >= limits.min_effect:
        return DriftVerdict.DRIFTED, "; ".join(told)
    few = _few(row, limits)
    if few is not None and change < LOOK_SHARE:
        return DriftVerdict.UNKNOWN, few
    unstable = sure and row.psi is not None and row.psi >= PSI_LOOK + _noise(row)
    if unstable:
        told.append(f"PSI {row.psi:.2f}")
    if unstable or change >= LOOK_SHARE or (sure and row.unseen_share >= LOOK_SHARE):
        return DriftVerdict.LOOK, "; ".join(told)
    return DriftVerdict.OK, ""


def _few(row: FeatureDrift, limits: Limits) -> str | None:
    """Why nothing can be said to be ok, if so."""
    if row.p_value is None:
        return ""
    if row.n_current < MINIMUM_SAMPLE:
        return f"needs {MINIMUM_SAMPLE} values"
    if not _enough(row):
        return f"needs {MINIMUM_SAMPLE} values in the reference"
    if row.mde is not None and row.mde > SEEN * limits.min_effect:
        return f"too few values: only a change of {row.mde:.2f} would be seen"
    return None


def _noise(row: FeatureDrift) -> float:
    """Twice what PSI is between two samples of the same: about (bins - 1) (1/n + 1/m)."""
    n = _effective(row)
    return 2 * max(0, row.bins - 1) / n if n else math.inf
