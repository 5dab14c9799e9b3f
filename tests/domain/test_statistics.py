"""The arithmetic of drift, against scipy's and against what was published."""

import math
import warnings

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special as scipy_special
from scipy import stats
from scipy.spatial import distance

from mlconsole.domain.reference import Categorical, Numeric
from mlconsole.domain.statistics import categories, histograms, samples, special
from mlconsole.domain.statistics.judging import Pair, judge, judge_all

counts = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=20)
numbers = st.lists(st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


def sides(pairs):
    """Two histograms of pairs of counts, each at least one observation."""
    one, other = np.array(pairs, dtype=float).T[:, None]
    one[0, 0] += 1
    other[0, 0] += 1
    return one, other


def sample(values):
    return samples.values(np.array(values)).numbers


# ---- raw values


@given(numbers, numbers)
def test_ks_of_raw_values_is_scipys(one, other):
    mine, its = sample(one), sample(other)
    found, _ = samples.distances(mine, its)
    assert found == pytest.approx(stats.ks_2samp(one, other).statistic, abs=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            exactly = stats.ks_2samp(one, other).pvalue
        except RuntimeWarning:  # its chance came out a little above one, and it gives another method's
            exactly = 1.0
    assert samples.exact(mine, its, found) == pytest.approx(exactly, rel=1e-9)
    if len(one) > 1 and len(other) > 1:  # of a single value scipy says NaN
        asymptotic = samples.asymptotic(np.array([found]), np.array([len(one)]), np.array([len(other)]))
        assert asymptotic[0] == pytest.approx(stats.ks_2samp(one, other, method="asymp").pvalue, rel=1e-12)


@given(numbers, numbers)
def test_the_area_is_scipys_wasserstein_distance(one, other):
    _, area = samples.distances(sample(one), sample(other))
    assert area == pytest.approx(stats.wasserstein_distance(one, other), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(10_000, 10_000), (10_001, 10_001), (10_000, 700), (30_000, 250), (5000, 5000)])
def test_large_samples_have_scipys_p_value_by_the_same_method(n, m):
    rng = np.random.default_rng(n * m)
    one, other = rng.normal(size=n), rng.normal(0.03, size=m)
    found, _ = samples.distances(sample(one), sample(other))
    exact = samples.exact(sample(one), sample(other), found)
    expected = stats.ks_2samp(one, other).pvalue
    if exact is None:
        exact = samples.asymptotic(np.array([found]), np.array([float(n)]), np.array([float(m)]))[0]
    assert exact == pytest.approx(expected, rel=1e-8)


def test_samples_of_many_chunks_are_one(monkeypatch):
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 50, 5000) / 7, rng.normal(3, 2, size=777)
    whole = samples.distances(sample(one), sample(other))
    monkeypatch.setattr(samples, "CHUNK", 100)
    assert samples.distances(sample(one), sample(other)) == pytest.approx(whole, rel=1e-12)
    assert samples.distances(sample(other), sample(one)) == pytest.approx(whole, rel=1e-12)


def test_a_spread_is_that_of_the_quartiles_and_else_of_the_variance():
    values = sample(np.random.default_rng(2).normal(5, 3, size=1001))
    assert samples.scale(values) == pytest.approx(stats.iqr(values, scale="normal"))
    assert samples.scale(sample([0.0] * 90 + [1.0] * 10)) == pytest.approx(0.3)
    assert samples.scaled(0.0, sample([2.0, 2.0])) == 0.0
    assert samples.scaled(1.0, sample([2.0, 2.0])) is None


@given(numbers)
def test_tenths_hold_every_value_once(values):
    mine = sample(values)
    edges = samples.deciles(mine)
    found = samples.counts(mine, edges)
    assert found.sum() == len(values)
    assert found.tolist() == np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).tolist()
    assert found[:-1].min(initial=1) >= 1


# ---- histograms


@given(counts)
def test_jensen_shannon_is_scipys(pairs):
    one, other = map(histograms.shares, sides(pairs))
    expected = distance.jensenshannon(one[0], other[0], base=2)
    # scipy's root of a difference of nothing may be that of a rounding error.
    assert histograms.jensen_shannon(one, other)[0] == pytest.approx(np.nan_to_num(expected), abs=1e-7)


@given(counts)
def test_ks_lies_between_the_bounds_of_its_bins(pairs):
    """Values are put anywhere into their bins: the distance of the values themselves is never out of bounds."""
    one, other = sides(pairs)
    low, high = histograms.ks(histograms.shares(one), histograms.shares(other))
    rng = np.random.default_rng(int(one.sum()))
    raw = [
        np.concatenate([index + 0.1 + 0.8 * rng.beta(0.2, 0.2, int(n)) for index, n in enumerate(side[0])])
        for side in (one, other)
    ]
    found = stats.ks_2samp(*raw, method="asymp")
    assert low[0] - 1e-9 <= found.statistic <= high[0] + 1e-9
    worst = [
        np.concatenate([index + left + np.zeros(int(n)) for index, n in enumerate(side[0])])
        for side, left in ((one, 0.1), (other, 0.9))
    ]
    swapped = [
        np.concatenate([index + left + np.zeros(int(n)) for index, n in enumerate(side[0])])
        for side, left in ((one, 0.9), (other, 0.1))
    ]
    assert high[0] == pytest.approx(
        max(stats.ks_2samp(*each, method="asymp").statistic for each in (worst, swapped)), abs=1e-12
    )


@given(counts)
def test_a_p_value_from_bins_is_never_smaller_than_that_of_the_values(pairs):
    """The distance at the edges is at most the distance: the chance of as much is at least as large."""
    edges = tuple(float(index) for index in range(len(pairs) - 1))
    one, other = (tuple(map(float, side)) for side in zip(*pairs, strict=True))
    found = judge(Numeric(edges, (one[0] + 1, *one[1:])), Numeric(edges, (other[0] + 1, *other[1:])))
    n, m = sum(one) + 1, sum(other) + 1
    assert found.p_value == pytest.approx(
        stats.kstwobign.sf(math.sqrt(n * m / (n + m)) * found.ks), rel=1e-9, abs=1e-14
    )
    assert found.ks <= found.ks_upper


@given(counts)
def test_psi_is_the_sum_as_published_and_nothing_for_the_same(pairs):
    pairs = [(a + 1, b + 1) for a, b in pairs]
    one, other = map(histograms.shares, sides(pairs))
    n = np.array([1e9])
    found = histograms.psi(one, other, n, np.array([len(pairs)]))[0]
    p, q = one[0], other[0]
    assert found == pytest.approx(float(((q - p) * np.log(q / p)).sum()), rel=1e-9, abs=1e-12)
    # It is the sum of both Kullback-Leibler divergences.
    assert found == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), rel=1e-9, abs=1e-12)
    assert histograms.psi(one, one, n, np.array([len(pairs)]))[0] == 0


def test_psi_of_a_few_bins_by_hand():
    one, other = np.array([[0.2, 0.3, 0.5]]), np.array([[0.3, 0.3, 0.4]])
    expected = 0.1 * math.log(1.5) - 0.1 * math.log(0.8)
    assert histograms.psi(one, other, np.array([1e6]), np.array([3]))[0] == pytest.approx(expected)


def test_psi_of_empty_bins_is_half_an_observation_of_the_smaller_sample():
    one, other = np.array([[0.5, 0.5, 0.0]]), np.array([[0.5, 0.3, 0.2]])
    floor = 0.5 / (100 + 1.5)
    expected = (0.3 - 0.5) * math.log(0.3 / 0.5) + (0.2 - floor) * math.log(0.2 / floor)
    assert histograms.psi(one, other, np.array([100.0]), np.array([3]))[0] == pytest.approx(expected)


def test_wasserstein_of_fine_bins_is_that_of_the_values_in_standard_deviations():
    rng = np.random.default_rng(3)
    one, other = rng.normal(5, 2, size=50_000), rng.normal(6, 3, size=30_000)
    edges = np.linspace(-15, 25, 400)
    found = judge(
        Numeric(tuple(edges), tuple(samples.counts(np.sort(one), edges))),
        Numeric(tuple(edges), tuple(samples.counts(np.sort(other), edges))),
    )
    assert found.wasserstein == pytest.approx(
        stats.wasserstein_distance(one, other) / stats.iqr(one, scale="normal"), rel=5e-3
    )


def test_area_of_shares_that_cross_within_a_bin():
    edges = np.array([[0.0, 1.0, 2.0]])
    one, other = np.array([[0.0, 0.5, 0.5, 0.0]]), np.array([[0.5, 0.0, 0.0, 0.5]])
    # The distance goes from -0.5 to 0 to 0.5: two triangles.
    assert histograms.wasserstein(edges, one, other)[0] == pytest.approx(0.5)
    one, other = np.array([[0.0, 1.0, 0.0]]), np.array([[0.25, 0.0, 0.75]])
    # From -0.25 to 0.75 within one bin: it crosses at a quarter.
    assert histograms.wasserstein(np.array([[0.0, 1.0]]), one, other)[0] == pytest.approx(0.25 * 0.25 / 2 + 0.75**2 / 2)


def test_no_spread_no_unit():
    found = judge(Numeric((0.0,), (500.0, 500.0)), Numeric((0.0,), (400.0, 600.0)))
    assert found.wasserstein is None


def test_features_with_different_bins_do_not_change_each_other():
    rng = np.random.default_rng(6)
    pairs = []
    for size in (2, 9, 40):
        edges = tuple(range(size - 1))
        pair = [Numeric(edges, tuple(map(float, rng.integers(1, 99, size)))) for _ in range(2)]
        pairs.append(Pair(f"n{size}", *pair))
        pair = [Categorical({str(i): float(n) for i, n in enumerate(rng.integers(1, 99, size))}) for _ in range(2)]
        pairs.append(Pair(f"c{size}", *pair))
    for together, pair in zip(judge_all(pairs), pairs, strict=True):
        alone = judge_all([pair])[0]
        for name, value in msgspec.structs.asdict(together).items():
            assert getattr(alone, name) == (pytest.approx(value) if isinstance(value, float) else value), name


# ---- categories


@given(counts)
def test_chi_square_is_scipys_on_the_pooled_table(pairs):
    one, other = categories.pooled(*sides(pairs))
    chi2, df = categories.chi_square(one, other)
    kept = [(a, b) for a, b in zip(one[0], other[0], strict=True) if a + b > 0]
    if len(kept) < 2:
        assert (df[0], special.chi_square(chi2, df)[0]) == (0, 1.0)
        return
    expected = stats.chi2_contingency(np.array(kept).T, correction=False)
    assert (chi2[0], df[0]) == (pytest.approx(expected.statistic, abs=1e-9), expected.dof)
    assert special.chi_square(chi2, df)[0] == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-300)


@given(counts)
def test_pooling_keeps_every_observation_and_leaves_no_rare_category(pairs):
    before = sides(pairs)
    after = categories.pooled(*before)
    totals = [side.sum() for side in before]
    assert [side.sum() for side in after] == pytest.approx(totals)
    both = after[0][0] + after[1][0]
    expected = both[both > 0] * min(totals) / sum(totals)
    assert len(expected) == 1 or expected.min() >= 5


def test_chi_square_of_a_published_table():
    """Agresti, An Introduction to Categorical Data Analysis (2nd edition, table 2.5): X2 = 30.1, df = 2."""
    chi2, df = categories.chi_square(np.array([[762.0, 327.0, 468.0]]), np.array([[484.0, 239.0, 477.0]]))
    assert (round(float(chi2[0]), 1), df[0]) == (30.1, 2)


def test_variation_is_half_the_sum_of_differences_less_the_noise():
    large = categories.variation(np.array([[5e8, 5e8, 0.0]]), np.array([[4e8, 4e8, 2e8]]))
    assert large[0] == pytest.approx(0.2, abs=1e-4)
    rng = np.random.default_rng(1)
    small = [
        categories.variation(*(rng.multinomial(1000, np.full(500, 1 / 500))[None].astype(float) for _ in range(2)))[0]
        for _ in range(20)
    ]
    assert max(small) < 0.05  # without the correction it is 0.4


# ---- tails


@given(st.floats(0, 40))
def test_kolmogorovs_tail_is_scipys(x):
    assert special.kolmogorov(np.array([x]))[0] == pytest.approx(scipy_special.kolmogorov(x), rel=1e-12, abs=1e-14)


@given(st.floats(1e-6, 3000), st.integers(1, 999))
def test_the_tail_of_chi_square_is_scipys(x, df):
    found = special.chi_square(np.array([x]), np.array([df]))[0]
    assert found == pytest.approx(scipy_special.chdtrc(df, x), rel=1e-9, abs=1e-300)


@given(st.floats(-35, 35))
def test_the_tails_of_the_normal_distribution_are_scipys(z):
    assert special.two_sided(np.array([z]))[0] == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)


def test_judging_histograms_imports_no_scipy():
    import subprocess
    import sys

    code = """
import sys
from mlconsole.domain import drift
from mlconsole.domain.statistics import judging, verdicts
assert "numpy" not in sys.modules
from mlconsole.domain.reference import Categorical, Numeric
pairs = [
    judging.Pair("a", Numeric((1.0,), (500, 400), 3), Numeric((1.0,), (500, 500), 30)),
    judging.Pair("b", Categorical({"x": 500, "y": 400}), Categorical({"x": 500, "y": 500})),
]
found = verdicts.table(judging.judge_all(pairs))
assert all(row.p_value < 1 and row.mde for row in found.features), found
sys.stdout.write(" ".join(name for name in ("scipy", "pandas", "pyarrow") if name in sys.modules))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
