"""Cumulative values, as servers export them, as what drift is judged of."""

import math

import pytest

from mlconsole.domain.drift import DriftVerdict
from mlconsole.domain.statistics.judging import judge_all
from mlconsole.domain.statistics.verdicts import table
from mlconsole.metrics.features import pair

REFERENCE = {1.0: 0.1, 2.0: 0.3, 3.0: 0.7, 4.0: 0.9}
SEEN = {1.0: 100.0, 2.0: 300.0, 3.0: 700.0, 4.0: 900.0, math.inf: 1000.0}


def judged(reference, seen, rows=None):
    return table(judge_all([pair("x", "blue", reference, seen, rows)])).features[0]


def test_the_same_is_the_same():
    found = judged(REFERENCE, SEEN)
    assert (found.feature, found.color, found.n_current, found.verdict) == ("x", "blue", 1000, DriftVerdict.OK)
    assert (found.ks, found.psi) == (pytest.approx(0), pytest.approx(0))


def test_counts_that_fall_are_raised_to_the_one_before():
    found = judged(REFERENCE, {**SEEN, 2.0: 350.0, 3.0: 349.0})
    assert found.ks == pytest.approx(0.35)
    assert found.verdict is DriftVerdict.DRIFTED


def test_all_above_the_last_edge_is_drift():
    found = judged(REFERENCE, {**dict.fromkeys(REFERENCE, 0.0), math.inf: 1000.0})
    assert (found.ks, found.verdict) == (pytest.approx(0.9), DriftVerdict.DRIFTED)


def test_how_many_rows_the_reference_rests_on_is_known_or_not():
    assert judged(REFERENCE, SEEN).n_reference is None
    found = judged(REFERENCE, {**SEEN, 2.0: 350.0}, 50_000.0)
    assert found.n_reference == 50_000
    assert found.p_value < judged(REFERENCE, {**SEEN, 2.0: 350.0}).p_value


@pytest.mark.parametrize(
    ("reference", "seen", "words"),
    [
        ({}, SEEN, "no reference"),
        (REFERENCE, {}, "not in the current data"),
        ({1.0: 0.5}, {1.0: 5.0}, "not in the current data"),
        ({1.0: 0.5}, {2.0: 5.0, math.inf: 500.0}, "edges"),
        ({1.0: 0.5, math.inf: 1.0}, {1.0: 5.0, math.inf: 50.0}, "needs 200 values"),
        ({1.0: math.nan}, {1.0: 5.0, math.inf: 500.0}, "no numbers"),
        ({1.0: 1.5}, {1.0: 5.0, math.inf: 500.0}, "no numbers"),
        (REFERENCE, dict.fromkeys(SEEN, 0.0), "no values in the current data"),
    ],
)
def test_what_cannot_be_compared_is_unknown_with_words(reference, seen, words):
    found = judged(reference, seen)
    assert (found.verdict, words in found.why) == (DriftVerdict.UNKNOWN, True), found
