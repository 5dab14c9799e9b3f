"""What is said of features, side by side: sure and large enough, or not; and never ok for want of a look."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlconsole.domain.drift import (
    MINIMUM_SAMPLE,
    OTHER,
    DriftVerdict,
    FeatureDrift,
    Kind,
    Limits,
    Method,
    by_effect,
    overall,
)
from mlconsole.domain.reference import Categorical, Numeric
from mlconsole.domain.statistics import samples
from mlconsole.domain.statistics.judging import Pair, judge, judge_all
from mlconsole.domain.statistics.verdicts import USUAL, benjamini_hochberg, detectable, table

NORMAL = NormalDist()
EDGES = tuple(NORMAL.inv_cdf(part / 20) for part in range(1, 20))
OK, LOOK, DRIFTED, UNKNOWN = DriftVerdict.OK, DriftVerdict.LOOK, DriftVerdict.DRIFTED, DriftVerdict.UNKNOWN


def normal(rng, n, moved=0.0, missing=0):
    """A histogram of n drawn values of a normal distribution."""
    shares = np.diff([0.0, *(NORMAL.cdf(edge - moved) for edge in EDGES), 1.0])
    return Numeric(EDGES, tuple(map(float, rng.multinomial(n, shares))), missing)


def judged(*pairs, limits=USUAL):
    return table(judge_all(pairs), limits)


def one(reference, current, limits=USUAL, **more):
    return judged(Pair("x", reference, current, **more), limits=limits).features[0]


def spread(n, missing=0):
    """A histogram that is exactly normal."""
    shares = np.diff([0.0, *(NORMAL.cdf(edge) for edge in EDGES), 1.0])
    return Numeric(EDGES, tuple((shares * n).tolist()), missing)


# ---- no wolf, and none overlooked


@pytest.mark.parametrize(
    ("n", "m"), [(10_000_000, 10_000_000), (100_000, 10_000_000), (1000, 10_000_000), (5000, 1000)]
)
def test_of_a_thousand_features_the_one_that_moved_is_found_and_no_other(n, m):
    rng = np.random.default_rng(n + m)
    pairs = [Pair(f"f{i}", normal(rng, n), normal(rng, m, 0.5 if i == 617 else 0.0)) for i in range(1000)]
    found = table(judge_all(pairs))
    assert [row.feature for row in found.features if row.verdict is DRIFTED] == ["f617"]
    assert (found.features[0].feature, found.share, found.verdict) == ("f617", 0.001, DRIFTED)
    assert sum(row.verdict is OK for row in found.features) == 999
    # By the tests alone, without the limit on the effect, no more than the nominal share either.
    assert sum(row.p_value < 0.05 for row in found.features) <= 70
    assert sum(row.q_value < 0.05 for row in found.features) <= 2


def test_no_drift_at_ten_million_rows_flags_nothing_in_any_of_many_worlds():
    rng = np.random.default_rng(5)
    flagged = [
        judged(*(Pair(f"f{i}", normal(rng, 10_000_000), normal(rng, 10_000_000)) for i in range(100))).share
        for _ in range(20)
    ]
    assert flagged == [0.0] * 20


def test_a_difference_that_is_sure_and_small_is_no_drift():
    rng = np.random.default_rng(1)
    found = one(normal(rng, 10_000_000), normal(rng, 10_000_000, 0.02))
    assert found.q_value < 1e-100
    assert found.verdict is OK


def test_raw_values_find_it_too_and_cry_no_wolf():
    rng = np.random.default_rng(11)
    pairs = (
        Pair(f"f{i}", samples.values(rng.normal(size=2000)), samples.values(rng.normal(0.5 * (i == 9), size=2000)))
        for i in range(100)
    )
    found = table(judge_all(pairs))
    assert [row.feature for row in found.features if row.verdict is DRIFTED] == ["f9"]
    assert sum(row.verdict is OK for row in found.features) == 99
    assert {row.method for row in found.features} == {Method.RAW}


def test_the_references_own_noise_counts():
    """The same shares, as if known exactly, would make a sure difference of what a small reference got by chance."""
    rng = np.random.default_rng(4)
    small, large = normal(rng, 300), normal(rng, 10_000_000)
    found = judge(small, large)
    assert found.p_value > 0.01
    exact = stats.kstwobign.sf(math.sqrt(10_000_000) * found.ks)
    assert exact < 1e-6


def test_a_reference_of_unknown_size_is_taken_for_a_small_one_and_that_is_said():
    shares = Numeric(EDGES, tuple(count / 1000 for count in spread(1000).counts))
    rng = np.random.default_rng(2)
    current = normal(rng, 10_000_000, 0.02)
    found = judged(Pair("x", shares, current, known_rows=False))
    assert found.features[0].n_reference is None
    assert found.features[0].p_value == pytest.approx(judge(spread(1000), current).p_value)
    assert found.features[0].p_value > judge(spread(1_000_000), current).p_value
    assert "unknown, taken for 1000" in found.why


# ---- verdicts


@pytest.mark.parametrize(
    ("reference", "current", "verdict", "words"),
    [
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (500, 500)), OK, ""),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (1000, 0)), DRIFTED, "one bin holds 100%"),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (90, 90)), UNKNOWN, "needs 200 values"),
        (Numeric((1.0,), (50, 50)), Numeric((1.0,), (900, 900)), UNKNOWN, "200 values in the reference"),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (0, 0)), UNKNOWN, "no values in the current data"),
        (Numeric((1.0,), (0, 0)), Numeric((1.0,), (500, 500)), UNKNOWN, "no values in the reference"),
        (Numeric((1.0,), (500, 500)), None, UNKNOWN, "not in the current data"),
        (None, Numeric((1.0,), (500, 500)), UNKNOWN, "no reference"),
        (Numeric((1.0,), (500, 500)), Numeric((2.0,), (500, 500)), UNKNOWN, "edges"),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (math.nan, 500)), UNKNOWN, "no numbers"),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (-5, 500)), UNKNOWN, "no numbers"),
        (Numeric((1.0,), (500, 500)), Categorical({"a": 500}), UNKNOWN, "text in the current data, numbers in"),
        (Categorical({"a": 500}), Numeric((1.0,), (500, 500)), UNKNOWN, "numbers in the current data, text in"),
        (Categorical({"a": 500, "b": 500}), Categorical({"a": 500, "b": 500}), OK, ""),
        (Categorical({"a": 500, "b": 500}), Categorical({"a": 900, "b": 100}), DRIFTED, ""),
        (Categorical({"a": 1000}), Categorical({"a": 800, "z\x1b": 200}), DRIFTED, "unseen (20.0%): z␛"),
        (Categorical({"a": 1000}), Categorical({"a": 950, "z": 50}), LOOK, "unseen (5.0%): z"),
        (Categorical({"a": 1000}), Categorical({"a": 999, "z": 1}), OK, ""),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (500, 500), 1000), DRIFTED, "missing 0.0%, now 50.0%"),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (500, 500), 50), LOOK, "missing 0.0%, now 4.8%"),
        (Numeric((1.0,), (500, 500), 50), Numeric((1.0,), (500, 500), 50), OK, ""),
        (Numeric((1.0,), (500, 500)), Numeric((1.0,), (0, 0), 1000), DRIFTED, "missing 0.0%, now 100.0%"),
    ],
)
def test_verdicts(reference, current, verdict, words):
    found = one(reference, current)
    assert found.verdict is verdict, found
    assert words in found.why


def test_a_few_outliers_are_worth_a_look_and_no_drift():
    usual = Numeric((0.0, 1.0, 1000.0), (50_000, 50_000, 0, 0))
    found = one(usual, Numeric((0.0, 1.0, 1000.0), (48_000, 48_000, 0, 4000)))
    assert (found.verdict, found.ks) == (LOOK, pytest.approx(0.04))
    assert "PSI 0." in found.why


def test_too_few_among_many_is_unknown_not_ok():
    few = [Pair(f"f{i}", spread(1000), spread(220)) for i in range(1000)]
    found = judged(*few).features[0]
    assert found.verdict is UNKNOWN
    assert "only a change of 0.20" in found.why
    assert judged(few[0]).features[0].verdict is OK


def test_the_limits_are_the_callers():
    reference, current = Categorical({"a": 5000, "b": 5000}), Categorical({"a": 5300, "b": 4700})
    assert one(reference, current).verdict is OK
    assert one(reference, current, Limits(min_effect=0.02)).verdict is DRIFTED
    assert one(reference, current, Limits(alpha=1e-9, min_effect=0.02)).verdict is UNKNOWN


def test_edges_that_both_have_are_enough_and_text_of_six_digits_is_the_same():
    reference = Numeric((1.23456789, 2.0, 3.0), (100, 200, 300, 400))
    same = one(reference, Numeric((1.23457, 2.0, 3.0), (100, 200, 300, 400)))
    assert (same.ks, same.why) == (0.0, "")
    fewer = one(reference, Numeric((2.0, 2.5, 3.0), (600, 0, 0, 400)))
    assert fewer.ks == pytest.approx(0.3)
    assert "compared at the 2 edges that both have" in fewer.why


def test_a_sample_of_the_reference_is_compared_raw():
    rng = np.random.default_rng(3)
    values, now = np.sort(rng.normal(size=1500)), rng.normal(0.1, size=3000)
    reference = Numeric((0.0,), (500_000, 500_000), 0, tuple(values))
    found = one(reference, samples.values(now))
    expected = stats.ks_2samp(values, now, method="asymp")
    assert (found.method, found.n_reference) == (Method.RAW, 1500)
    assert (found.ks, found.p_value) == (
        pytest.approx(expected.statistic),
        pytest.approx(stats.ks_2samp(values, now).pvalue),
    )
    few = Numeric((0.0,), (500_000, 500_000), 0, tuple(values[:999]))
    assert one(few, samples.values(now)).method is Method.BINS


def test_raw_values_beside_bins_are_put_into_them():
    reference = Numeric((0.0, 1.0), (250, 250, 500))
    found = one(reference, samples.values(np.array([0.0] * 250 + [1.0] * 250 + [1.5] * 500 + [math.nan] * 10)))
    assert (found.ks, found.psi, found.n_current) == (0.0, 0.0, 1000)
    assert found.missing_current == pytest.approx(10 / 1010)


def test_infinities_are_values_and_are_told():
    reference = samples.values(np.linspace(0, 1, 1000))
    found = one(reference, samples.values(np.r_[np.linspace(0, 1, 900), [math.inf] * 60, [-math.inf] * 40]))
    assert found.ks == pytest.approx(0.06, abs=0.005)
    assert math.isfinite(found.wasserstein)
    assert "100 infinite values" in found.why
    nothing_else = one(reference, samples.values(np.full(500, math.inf)))
    assert (nothing_else.ks, nothing_else.wasserstein, nothing_else.verdict) == (1.0, None, DRIFTED)


def test_the_others_of_a_server_are_the_rare_ones_of_the_reference():
    reference = Categorical({"a": 700, "b": 280, "rare": 10, "rarer": 10})
    found = one(reference, Categorical({"a": 700, "b": 280, OTHER: 20}))
    assert (found.variation, found.unseen, found.verdict) == (0.0, (), OK)
    strange = one(Categorical({"a": 700, "b": 300}), Categorical({"a": 700, "b": 200, OTHER: 100}))
    assert (strange.unseen, strange.unseen_share) == (("(others)",), 0.1)


def test_a_thousand_categories_and_more_are_compared_with_the_rest_as_one():
    rng = np.random.default_rng(8)
    reference, current = ({str(i): float(n) for i, n in enumerate(rng.poisson(30, 3000))} for _ in range(2))
    found = one(Categorical(reference), Categorical(current))
    assert found.verdict is OK
    assert found.bins <= 1000
    assert "3000 categories" in found.why


def test_the_prediction_is_a_row_of_its_own_kind_and_not_one_of_the_features():
    moved = Pair("score", spread(5000), normal(np.random.default_rng(1), 5000, 1.0), prediction=True)
    found = judged(moved, Pair("x", spread(5000), spread(5000)))
    assert (found.share, found.verdict) == (0.0, DRIFTED)
    assert found.features[0].kind is Kind.PREDICTION
    assert found.why == "the prediction drifted; 0 of 1 features drifted"


# ---- all of them


def row(verdict=OK, **more):
    return FeatureDrift(feature="x", verdict=verdict, **more)


@pytest.mark.parametrize(
    ("rows", "limits", "share", "verdict"),
    [
        ([row()] * 9 + [row(DRIFTED)], Limits(), 0.1, DRIFTED),
        ([row()] * 9 + [row(DRIFTED)], Limits(max_share=0.1), 0.1, OK),
        ([row()] * 9 + [row(LOOK)], Limits(), 0.0, OK),
        ([row()] * 5 + [row(UNKNOWN)] * 5, Limits(), 0.0, OK),
        ([row()] * 5 + [row(UNKNOWN)] * 6, Limits(), 0.0, UNKNOWN),
        ([row()] * 5 + [row(UNKNOWN, gone=True)], Limits(), 0.0, UNKNOWN),
        ([row(DRIFTED), row(UNKNOWN, gone=True)], Limits(), 1.0, DRIFTED),
        ([row(), row(UNKNOWN, kind=Kind.PREDICTION)], Limits(), 0.0, UNKNOWN),
        ([row(), row(DRIFTED, kind=Kind.PREDICTION)], Limits(max_share=0.5), 0.0, DRIFTED),
        ([row(UNKNOWN)], Limits(), None, UNKNOWN),
        ([], Limits(), None, UNKNOWN),
    ],
)
def test_what_is_said_of_all_of_them(rows, limits, share, verdict):
    assert overall(rows, limits)[:2] == (share, verdict)


def test_the_largest_effect_comes_first_and_those_without_one_last():
    rows = [
        FeatureDrift(feature=name, effect=effect) for name, effect in zip("abcd", (0.1, None, 0.3, 0.1), strict=True)
    ]
    assert [row.feature for row in by_effect(rows)] == ["c", "a", "d", "b"]


@given(st.lists(st.none() | st.floats(0, 1), max_size=30))
def test_benjamini_hochberg_is_scipys(p_values):
    found = benjamini_hochberg(p_values)
    known = [p for p in p_values if p is not None]
    expected = stats.false_discovery_control(known) if known else []
    assert [q for q in found if q is not None] == pytest.approx(expected)
    assert [q is None for q in found] == [p is None for p in p_values]


def test_benjamini_and_hochbergs_own_example():
    """Their paper of 1995, section 4.1: of 15 p-values the four smallest are called discoveries at 0.05."""
    published = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    published += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert [q < 0.05 for q in benjamini_hochberg(published)] == [True] * 4 + [False] * 11


def test_missing_shares_are_hypotheses_of_the_same_family():
    found = judged(Pair("a", spread(1000, 10), spread(1000, 40)), Pair("b", spread(1000), spread(1000)))
    a = next(row for row in found.features if row.feature == "a")
    table_of = [[1000, 10], [1000, 40]]
    assert a.missing_p_value == pytest.approx(stats.chi2_contingency(table_of, correction=False).pvalue)
    assert a.missing_q_value == pytest.approx(a.missing_p_value * 3)


# ---- the minimum detectable effect


@pytest.mark.parametrize(("n", "m"), [(2000, 2000), (100_000, 1000)])
@pytest.mark.parametrize("alpha", [0.05, 5e-5])
def test_a_distance_of_the_minimum_is_found_four_times_out_of_five(n, m, alpha):
    rng = np.random.default_rng(7)
    least = detectable(judge(spread(n), spread(m)), alpha)
    # The worst case: all that differs does so at one threshold in the middle.
    edges = (0.0,)
    found = [
        judge(
            Numeric(edges, tuple(map(float, rng.multinomial(n, [0.5 - least / 2, 0.5 + least / 2])))),
            Numeric(edges, tuple(map(float, rng.multinomial(m, [0.5 + least / 2, 0.5 - least / 2])))),
        ).p_value
        < alpha
        for _ in range(400)
    ]
    assert 0.74 <= np.mean(found) <= 0.9


@pytest.mark.parametrize("bins", [2, 10, 200])
@pytest.mark.parametrize("alpha", [0.05, 5e-5])
def test_of_categories_it_is_what_the_noncentral_distribution_says(bins, alpha):
    one = FeatureDrift(feature="x", method=Method.CHI_SQUARE, n_reference=50_000, n_current=50_000, bins=bins)
    least = detectable(one, alpha)
    power = stats.ncx2.sf(stats.chi2.isf(alpha, bins - 1), bins - 1, 25_000 * 4 * least**2)
    assert power == pytest.approx(0.8, abs=0.04)


def test_the_minimum_sample_is_one_that_can_be_judged_alone():
    found = one(spread(10_000), spread(MINIMUM_SAMPLE))
    assert found.verdict is OK
