"""Predictions measured: every metric with its interval, beside a baseline's on the same rows, of all rows or of slices.

Against a baseline the difference is drawn, not its two sides: rows that are hard for both then do not count as doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mlconsole.domain.statistics.bootstrap import USUAL, Plan, intervals
from mlconsole.domain.statistics.scores import Family, Rows, families
from mlconsole.domain.validation import Figure, Rule, same

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def measure(rows: Rows, rules: Mapping[str, Rule], plan: Plan = USUAL) -> dict[str, Figure]:
    """Every metric of the rows by its name; one that does not exist on these rows is NaN."""
    by_name = {same(metric): rule for metric, rule in rules.items()}
    found: dict[str, Figure] = {}
    for family in families(rows):
        found |= _figures(family, by_name, len(rows), plan)
    return found


def values(rows: Rows) -> dict[str, float]:
    """The metrics alone."""
    import numpy as np

    found: dict[str, float] = {}
    for family in families(rows):
        with np.errstate(all="ignore"):
            found |= zip(family.metrics, family.current(family.sums.total).tolist(), strict=True)
    return found


def _figures(family: Family, rules: Mapping[str, Rule], n: int, plan: Plan) -> dict[str, Figure]:
    import numpy as np

    compared = [at for at, metric in enumerate(family.metrics) if metric in rules and family.baseline is not None]
    asked = [rules[family.metrics[at]] for at in compared]
    combine = _combined(family, compared, asked)
    drawn = intervals(family.sums, combine, plan)
    with np.errstate(all="ignore"):
        current = family.current(family.sums.total).tolist()
        baseline = family.baseline(family.sums.total).tolist() if family.baseline is not None else [None] * len(current)
    losses = dict(zip(compared, drawn[len(current) :], strict=True))
    return {
        metric: Figure(current[at], n, drawn[at], baseline[at], losses.get(at))
        for at, metric in enumerate(family.metrics)
    }


def _combined(family: Family, compared: list[int], rules: list[Rule]) -> Callable[[Floats], Floats]:
    """Sums to the metrics, and to how much worse those are that are compared."""
    import numpy as np

    if not compared or family.baseline is None:
        return family.current
    other = family.baseline
    signs = np.array([1.0 if rule.higher else -1.0 for rule in rules])
    relative = np.array([rule.relative for rule in rules])

    def combine(sums: Floats) -> Floats:
        mine, its = family.current(sums), other(sums)
        unit = np.where(relative, np.abs(its[..., compared]), 1.0)
        return np.concatenate([mine, signs * (its - mine)[..., compared] / unit], axis=-1)

    return combine
