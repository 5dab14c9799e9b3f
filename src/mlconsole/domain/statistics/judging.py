"""A feature beside its reference: every figure of it, of many features at once.

Whether they mean anything is for `verdicts`, which sees them side by side.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.drift import ASSUMED_ROWS, OTHER, FeatureDrift, Kind, Method
from mlconsole.domain.reference import Categorical, Distribution, Numeric
from mlconsole.domain.statistics import categories, histograms, samples, special
from mlconsole.domain.statistics.samples import Values
from mlconsole.domain.text import visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAMED = 5
"""Unseen categories that are named."""
MOST_CATEGORIES = 1000
"""The most frequent ones; the others are compared as one."""
SAMPLE = 1000
"""A reference's sample of at least so many values, or of all, is compared raw."""
COARSE = 0.5
"""Of the values in one bin: what happens within it is not seen, and that is said."""

Column = Distribution | Values


class Pair(Struct, frozen=True):
    """A feature, what it was and what it is. Of the two None is one that is not there."""

    feature: str
    reference: Column | None
    current: Column | None
    color: str = ""
    prediction: bool = False
    known_rows: bool = True
    """Whether the reference's counts are counts; else they are shares, of an unknown number of rows."""


class _Found(Struct):
    """A row in the making, with what the arithmetic needs of it."""

    row: FeatureDrift
    notes: list[str]
    reference: Sequence[float] = ()
    """Counts in bins or of categories."""
    current: Sequence[float] = ()
    edges: Sequence[float] = ()
    rows: tuple[float, float] = (0.0, 0.0)
    """Of both, those without a value too."""
    asymptotic: bool = False
    """Whether the p-value of raw values is yet to come."""


def judge(reference: Distribution, current: Distribution, feature: str = "") -> FeatureDrift:
    """The figures of one feature; `judge_all` for many."""
    return judge_all([Pair(feature, reference, current)])[0]


def judge_all(pairs: Iterable[Pair]) -> list[FeatureDrift]:
    """The figures of every pair, in order. Raw columns are looked at one by one as they come, and not kept."""
    found = [_first_look(pair) for pair in pairs]
    _binned([one for one in found if one.row.method in (Method.RAW, Method.BINS)])
    _counted([one for one in found if one.row.method is Method.CHI_SQUARE])
    _asymptotic([one for one in found if one.asymptotic])
    _missing(found)
    return [_finished(one) for one in found]


def _first_look(pair: Pair) -> _Found:
    """The sizes, the kind of comparison that there can be, and all of it that is done on raw values."""
    n, missing, rows = _size(pair.reference)
    seen, absent, current_rows = _size(pair.current)
    row = FeatureDrift(
        feature=pair.feature,
        color=pair.color,
        kind=Kind.PREDICTION if pair.prediction else _kind(pair.reference or pair.current),
        n_reference=round(n) if pair.known_rows and pair.reference is not None else None,
        n_current=round(seen),
        missing_reference=missing,
        missing_current=absent,
    )
    found = _Found(row, [])
    found.rows = (rows if pair.known_rows else float(ASSUMED_ROWS), current_rows)
    reference, current = _of_one_kind(pair)
    if reference is None or current is None:
        why = "not in the current data" if current is None else "no reference for it"
        return _unknown(found, why, gone=current is None)
    if isinstance(reference, Categorical) is not isinstance(current, Categorical):
        kinds = [("text" if isinstance(one, Categorical) else "numbers") for one in (current, reference)]
        return _unknown(found, f"{kinds[0]} in the current data, {kinds[1]} in the reference", gone=True)
    if not _sound(reference) or not _sound(current):
        return _unknown(found, "counts that are no numbers")
    if not n or not seen:
        return _unknown(found, "no values in the current data" if n else "no values in the reference")
    if isinstance(reference, Categorical) and isinstance(current, Categorical):
        return _categories(found, reference.counts, current.counts)
    assert not isinstance(reference, Categorical)
    assert not isinstance(current, Categorical)
    return _numbers(found, reference, current)


def _of_one_kind(pair: Pair) -> tuple[Column | None, Column | None]:
    """Both sides; one without a single value is of the kind of the other."""
    reference, current = pair.reference, pair.current
    if isinstance(reference, Categorical) and current is not None and not current.n:
        current = Categorical({}, current.missing)
    elif isinstance(current, Categorical) and reference is not None and not reference.n:
        reference = Categorical({}, reference.missing)
    return reference, current


def _unknown(found: _Found, why: str, *, gone: bool = False) -> _Found:
    found.row = replace(found.row, why=why, gone=gone)
    return found


def _size(column: Column | None) -> tuple[float, float | None, float]:
    """Values, the share of rows without one, and rows."""
    n = column.n if column is not None else 0.0
    rows = n + column.missing if column is not None else 0.0
    if column is None or not math.isfinite(rows) or rows <= 0:
        return 0.0, None, 0.0
    return n, column.missing / rows, rows


def _kind(column: Column | None) -> Kind:
    return Kind.CATEGORICAL if isinstance(column, Categorical) else Kind.NUMERIC


def _sound(column: Column) -> bool:
    if isinstance(column, Values):
        return True
    counts = column.counts.values() if isinstance(column, Categorical) else column.counts
    return all(math.isfinite(count) and count >= 0 for count in (*counts, column.missing))


# ---- numbers


def _numbers(found: _Found, reference: Numeric | Values, current: Numeric | Values) -> _Found:
    raw, other = _raw(reference), _raw(current)
    if raw is not None and other is not None:
        return _compared(found, raw, other)
    if isinstance(reference, Values):
        assert isinstance(current, Numeric)
        reference = in_bins(reference, current.edges)
    if isinstance(current, Values):
        current = in_bins(current, reference.edges)
    edges, one, two = aligned(reference, current)
    if not edges:
        return _unknown(found, "its edges are not those of the reference", gone=False)
    if len(edges) < max(len(reference.edges), len(current.edges)):
        found.notes.append(f"compared at the {len(edges)} edges that both have")
    found.row = replace(found.row, method=Method.BINS, bins=len(one))
    found.edges, found.reference, found.current = edges, one, two
    largest = max(max(counts) / total for counts in (one, two) if (total := math.fsum(counts)) > 0)
    if largest > COARSE:
        found.notes.append(f"one bin holds {largest:.0%}: what changes within it is not seen")
    return found


def _raw(column: Numeric | Values) -> Values | None:
    """The values themselves, or as many of them as stand for all."""
    if isinstance(column, Values):
        return column
    if column.sample and len(column.sample) >= min(SAMPLE, column.n):
        import numpy as np

        return samples.values(np.array(column.sample))
    return None


def _compared(found: _Found, reference: Values, current: Values) -> _Found:
    one, two = reference.numbers, current.numbers
    distance, area = samples.distances(one, two)
    infinite = _infinite(one) + _infinite(two)
    if infinite:
        found.notes.append(f"{infinite} infinite values")
        area = samples.distances(samples.finite(one), samples.finite(two))[1] if _both_finite(one, two) else math.inf
    p = samples.exact(one, two, distance)
    edges = samples.deciles(one)
    found.row = replace(
        found.row,
        method=Method.RAW,
        n_reference=len(one),
        n_current=len(two),
        ks=distance,
        p_value=p,
        bins=len(edges) + 1,
        wasserstein=samples.scaled(area, samples.finite(one)),
    )
    found.asymptotic = p is None
    found.reference = samples.counts(one, edges).tolist()
    found.current = samples.counts(two, edges).tolist()
    return found


def _infinite(numbers: Floats) -> int:
    return len(numbers) - len(samples.finite(numbers))


def _both_finite(one: Floats, two: Floats) -> bool:
    return bool(len(samples.finite(one))) and bool(len(samples.finite(two)))


def in_bins(column: Values, edges: Sequence[float]) -> Numeric:
    """Raw values as the counts between edges."""
    import numpy as np

    counts = samples.counts(column.numbers, np.array(edges, dtype=np.float64))
    return Numeric(tuple(edges), tuple(counts.tolist()), float(column.missing))


def aligned(reference: Numeric, current: Numeric) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """The edges that both have, and the counts of both between them.

    Servers export edges as text of six digits: the same to as many is the same.
    """
    if reference.edges == current.edges:
        return reference.edges, reference.counts, current.counts
    mine = {_digits(edge): index for index, edge in enumerate(reference.edges)}
    its = {_digits(edge): index for index, edge in enumerate(current.edges)}
    both = [key for key in mine if key in its]
    edges = [reference.edges[mine[key]] for key in both]
    return (
        edges,
        _merged(reference.counts, [mine[key] for key in both]),
        _merged(current.counts, [its[key] for key in both]),
    )


def _digits(edge: float) -> str:
    return f"{edge:.6g}"


def _merged(counts: Sequence[float], at: Sequence[int]) -> list[float]:
    """Counts between the edges with these indices."""
    ends = [0, *(index + 1 for index in at), len(counts)]
    return [math.fsum(counts[begin:end]) for begin, end in itertools.pairwise(ends)]


def _binned(found: Sequence[_Found]) -> None:
    """What bins say: PSI and Jensen-Shannon of all numbers, KS and Wasserstein where there is nothing else."""
    if not found:
        return
    import numpy as np

    reference, current = (histograms.shares(_matrix(rows)) for rows in zip(*map(_counts, found), strict=True))
    n, m = (np.array(sizes, dtype=np.float64) for sizes in zip(*(_sizes(one.row) for one in found), strict=True))
    sizes = np.array([one.row.bins for one in found])
    psi = histograms.psi(reference, current, np.minimum(n, m), sizes).tolist()
    js = histograms.jensen_shannon(reference, current).tolist()
    lower, upper = histograms.ks(reference, current)
    p = special.kolmogorov(np.sqrt(n * m / (n + m)) * lower).tolist()
    width = max(1, *(len(one.edges) for one in found))
    edges = np.array([[*one.edges, *[one.edges[-1] if one.edges else 0.0] * (width - len(one.edges))] for one in found])
    area, unit = histograms.wasserstein(edges, reference, current), histograms.spread(edges, reference)
    moved = np.divide(area, unit, out=np.full(len(area), np.nan), where=unit > 0).tolist()
    for index, one in enumerate(found):
        one.row = replace(one.row, psi=psi[index], js=js[index])
        if one.row.method is Method.BINS:
            far = moved[index] if math.isfinite(moved[index]) else None
            low, high = float(lower[index]), float(upper[index])
            one.row = replace(one.row, ks=low, ks_upper=high, p_value=p[index], wasserstein=far)


def _counts(one: _Found) -> tuple[Sequence[float], Sequence[float]]:
    return one.reference, one.current


def _sizes(row: FeatureDrift) -> tuple[int, int]:
    return row.n_reference or ASSUMED_ROWS, row.n_current


def _matrix(rows: Sequence[Sequence[float]]) -> Floats:
    """Rows of different lengths, filled up with zeros."""
    import numpy as np

    width = max(map(len, rows))
    return np.array([row if len(row) == width else [*row, *[0.0] * (width - len(row))] for row in rows], dtype=float)


def _asymptotic(found: Sequence[_Found]) -> None:
    if not found:
        return
    import numpy as np

    figures = np.array([(one.row.ks, *_sizes(one.row)) for one in found], dtype=np.float64)
    for one, p in zip(found, samples.asymptotic(*figures.T).tolist(), strict=True):
        one.row = replace(one.row, p_value=p)


# ---- categories


def _categories(found: _Found, reference: dict[str, float], current: dict[str, float]) -> _Found:
    reference, current = _folded(reference, current), _folded(current, reference)
    names = list(dict.fromkeys((*reference, *current)))
    if len(names) > MOST_CATEGORIES:
        names.sort(key=lambda name: -(reference.get(name, 0.0) + current.get(name, 0.0)))
        found.notes.append(f"{len(names)} categories, compared one by one: {MOST_CATEGORIES}")
    kept, rest = names[: MOST_CATEGORIES - 1], names[MOST_CATEGORIES - 1 :]
    counts = [
        [*(side.get(name, 0.0) for name in kept), *([math.fsum(side.get(name, 0.0) for name in rest)] if rest else [])]
        for side in (reference, current)
    ]
    found.reference, found.current = counts
    unseen = sorted(
        (name for name in current if current[name] > 0 and not reference.get(name)), key=current.__getitem__
    )
    share = math.fsum(current[name] for name in unseen) / math.fsum(current.values())
    named = tuple("(others)" if name == OTHER else visible(name, 40) for name in unseen[: -NAMED - 1 : -1])
    found.row = replace(found.row, method=Method.CHI_SQUARE, unseen=named, unseen_share=share)
    if len(unseen) > NAMED:
        found.notes.append(f"{len(unseen)} unseen categories")
    return found


def _folded(counts: dict[str, float], beside: dict[str, float]) -> dict[str, float]:
    """The same counts, those that the other side keeps under `OTHER` put there too."""
    if OTHER not in beside or beside.keys() >= counts.keys():
        return counts
    found = {name: count for name, count in counts.items() if name in beside}
    found[OTHER] = math.fsum(count for name, count in counts.items() if name not in beside or name == OTHER)
    return found


def _counted(found: Sequence[_Found]) -> None:
    if not found:
        return
    import numpy as np

    sides = [histograms.shares(_matrix(rows)) for rows in zip(*map(_counts, found), strict=True)]
    n, m = (np.array(sizes, dtype=np.float64) for sizes in zip(*(_sizes(one.row) for one in found), strict=True))
    bins = np.array([len(one.reference) for one in found])
    psi = histograms.psi(sides[0], sides[1], np.minimum(n, m), bins).tolist()
    js = histograms.jensen_shannon(sides[0], sides[1]).tolist()
    reference, current = categories.pooled(sides[0] * n[:, None], sides[1] * m[:, None])
    chi2, df = categories.chi_square(reference, current)
    p = special.chi_square(chi2, df).tolist()
    apart = categories.variation(reference, current).tolist()
    for index, one in enumerate(found):
        one.row = replace(
            one.row,
            psi=psi[index],
            js=js[index],
            chi2=float(chi2[index]),
            bins=int(df[index]) + 1,
            p_value=p[index],
            variation=apart[index],
        )


# ---- what is missing


def _missing(found: Sequence[_Found]) -> None:
    """The missing share of rows against the reference's: a hypothesis of its own, where anything is missing at all."""
    asked = [one for one in found if one.row.missing_reference is not None and one.row.missing_current is not None]
    asked = [one for one in asked if one.row.missing_reference or one.row.missing_current]
    if not asked:
        return
    import numpy as np

    n, m = np.array([one.rows for one in asked], dtype=np.float64).T
    p, q = np.array([(one.row.missing_reference, one.row.missing_current) for one in asked], dtype=np.float64).T
    both = (p * n + q * m) / (n + m)
    error = np.sqrt(both * (1 - both) * (1 / n + 1 / m))
    z = np.divide(q - p, error, out=np.zeros_like(error), where=error > 0)
    for one, tail in zip(asked, special.two_sided(z).tolist(), strict=True):
        one.row = replace(one.row, missing_p_value=tail)


def _finished(one: _Found) -> FeatureDrift:
    row = one.row
    change = 0.0
    if row.missing_reference is not None and row.missing_current is not None:
        change = abs(row.missing_current - row.missing_reference)
    effect = None if row.distance is None and not change else max(row.distance or 0.0, change)
    return replace(row, effect=effect, why="; ".join((*([row.why] if row.why else ()), *one.notes)))
