"""Accuracy by late labels, and Wilson's interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mlconsole.domain.drift import DriftVerdict
from mlconsole.domain.statistics.accuracy import judge, wilson


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_scipys(counts):
    right, n = counts
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_a_label_it_is_anything():
    assert wilson(0, 0) == (0.0, 1.0)
    assert judge("blue", {}, 1800, 12, 0.9, 0.0).value is None


@pytest.mark.parametrize(
    ("right", "wrong", "trained", "verdict", "words"),
    [
        (900, 100, 0.9, DriftVerdict.OK, ""),
        (950, 50, 0.9, DriftVerdict.OK, ""),
        (870, 130, 0.9, DriftVerdict.LOOK, "3.0% below"),
        (700, 300, 0.9, DriftVerdict.DRIFTED, "20.0% below"),
        (70, 30, 0.9, DriftVerdict.UNKNOWN, "100 labels of 200"),
        (900, 100, None, DriftVerdict.UNKNOWN, "nothing says what it was"),
        (900, 100, 91.0, DriftVerdict.UNKNOWN, "nothing says what it was"),
    ],
)
def test_a_fall_counts_where_it_is_sure_and_large(right, wrong, trained, verdict, words):
    found = judge("blue", {7: {"right": right, "wrong": wrong}}, 1800, 12, trained, 7 * 1800.0)
    assert (found.verdict, words in found.why) == (verdict, True), found


def test_only_the_last_steps_count_and_one_with_few_labels_says_nothing():
    labels = {0: {"wrong": 999.0}, 10: {"right": 5.0}, 11: {"right": 30.0, "wrong": 10.0}}
    found = judge("blue", labels, 1800, 3, 0.8, 11.5 * 1800)
    assert (found.n, found.steps, found.until) == (45, (None, None, 0.75), 12 * 1800)


def test_where_labels_have_stopped_the_newest_steps_have_none():
    labels = {8: {"wrong": 100.0}, 11: {"right": 30.0, "wrong": 10.0}}
    found = judge("blue", labels, 1800, 4, 0.8, 13.5 * 1800)
    assert (found.n, found.steps, found.until) == (40, (None, 0.75, None, None), 14 * 1800)


def test_labels_of_a_clock_that_is_ahead_count():
    found = judge("blue", {11: {"right": 40.0}}, 1800, 4, 0.8, 10.9 * 1800)
    assert (found.n, found.until) == (40, 12 * 1800)
