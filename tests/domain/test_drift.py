import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.drift import (
    MINIMUM_SAMPLE,
    DriftVerdict,
    FeatureDrift,
    bins,
    by_effect,
    judge,
    judge_cumulative,
    ks,
    psi,
)

SHARES = [0.1, 0.2, 0.4, 0.2, 0.1]


def drawn(shares, n, seed=1):
    found = random.Random(seed).choices(range(len(shares)), shares, k=n)
    return [found.count(index) for index in range(len(shares))]


counts = st.lists(st.integers(0, 1000), min_size=2, max_size=20)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=20))
def test_both_figures_are_finite_never_negative_and_nothing_for_the_same(pairs):
    reference, seen = [one for one, _ in pairs], [other for _, other in pairs]
    if not sum(reference) or not sum(seen):
        with pytest.raises(ValueError, match="neither empty"):
            psi(reference, seen)
        return
    assert 0 <= psi(reference, seen) < math.inf
    assert 0 <= ks(reference, seen) <= 1
    assert psi(seen, seen) == pytest.approx(0, abs=1e-9)
    assert ks(seen, seen) == pytest.approx(0, abs=1e-9)


@given(counts)
def test_bins_undo_a_running_sum(values):
    total, running = 0, []
    for value in values:
        total += value
        running.append(total)
    assert bins(running) == values


@pytest.mark.parametrize("n", [MINIMUM_SAMPLE, 1000, 100_000])
def test_a_sample_of_the_reference_itself_is_no_drift(n):
    verdicts = [judge("x", "blue", SHARES, drawn(SHARES, n, seed)).verdict for seed in range(200)]
    assert verdicts.count(DriftVerdict.OK) >= 199


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([0, 0, 0, 0, 1000], DriftVerdict.DRIFTED),
        ([200, 250, 350, 130, 70], DriftVerdict.LOOK),
        ([100, 200, 400, 200, 100], DriftVerdict.OK),
        ([10, 20, 40, 20, 10], DriftVerdict.UNKNOWN),
        ([0, 0, 0, 0, 0], DriftVerdict.UNKNOWN),
        ([math.nan, 1, 1, 1, 1000], DriftVerdict.UNKNOWN),
        ([-5, 1, 1, 1, 1000], DriftVerdict.UNKNOWN),
        ([500, 500], DriftVerdict.UNKNOWN),
    ],
)
def test_verdicts(seen, verdict):
    assert judge("x", "blue", SHARES, seen).verdict is verdict


def test_from_cumulative_values_by_edge():
    reference = {1.0: 0.1, 2.0: 0.3, 3.0: 0.7, 4.0: 0.9}
    seen = {1.0: 100.0, 2.0: 300.0, 3.0: 700.0, 4.0: 900.0, math.inf: 1000.0}
    seen |= {2.0: 350.0, 3.0: 349.0}
    found, expected = (
        judge_cumulative("x", "blue", reference, seen),
        judge("x", "blue", SHARES, [100, 250, 0, 550, 100]),
    )
    assert (found.psi, found.ks) == pytest.approx((expected.psi, expected.ks))
    assert (found.n, found.verdict) == (1000, DriftVerdict.DRIFTED)
    found = judge_cumulative("x", "blue", reference, {**dict.fromkeys(reference, 0.0), math.inf: 1000.0})
    assert found.verdict is DriftVerdict.DRIFTED
    assert found.ks == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("reference", "seen", "words"),
    [
        ({}, {1.0: 5.0, math.inf: 500.0}, "no reference"),
        ({1.0: 0.5}, {}, "edges"),
        ({1.0: 0.5}, {1.0: 5.0}, "edges"),
        ({1.0: 0.5}, {2.0: 5.0, math.inf: 500.0}, "edges"),
        ({1.0: 0.5, math.inf: 1.0}, {1.0: 5.0, math.inf: 50.0}, "observations"),
        ({1.0: math.nan}, {1.0: 5.0, math.inf: 500.0}, "no numbers"),
        ({1.0: 1.5}, {1.0: 5.0, math.inf: 500.0}, "no numbers"),
    ],
)
def test_what_cannot_be_compared_is_unknown_with_words(reference, seen, words):
    found = judge_cumulative("x", "blue", reference, seen)
    assert found.verdict is DriftVerdict.UNKNOWN
    assert words in found.why


def test_the_largest_effect_comes_first_and_the_unknown_last():
    rows = [
        FeatureDrift(name, "blue", 500, value, 0.1, DriftVerdict.OK)
        for name, value in (("a", 0.1), ("b", None), ("c", 0.3), ("d", 0.1))
    ]
    assert [row.feature for row in by_effect(rows)] == ["c", "a", "d", "b"]
