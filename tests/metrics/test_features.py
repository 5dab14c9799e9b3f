"""Cumulative values, as servers export them, as what drift is judged of."""

import math

import pytest

from mlconsole.domain.drift import DriftVerdict, Kind, key_of
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.domain.statistics.judging import judge_all
from mlconsole.domain.statistics.verdicts import table
from mlconsole.metrics.exposition import PREDICTION, Parser
from mlconsole.metrics.features import Seen, pair, seen_by_prometheus
from mlconsole.metrics.features import table as features_table
from mlconsole.metrics.prometheus import Row
from mlconsole.metrics.queries import LABEL

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


def seen(counts, references, rows=None):
    found = Seen()
    found.counts, found.references, found.rows, found.at = counts, references, rows or {}, 1.0
    return found


MOVED = {1.0: 500.0, 2.0: 800.0, 3.0: 900.0, 4.0: 950.0, math.inf: 1000.0}
BLUE, GREEN = (Color(name, f"fraud-{name}", 1, 1, release=Release("fraud", name[0])) for name in ("blue", "green"))
SERVICE = ModelService("ml", "fraud", Shape.BLUE_GREEN, color_key="color", live="green", colors=(BLUE, GREEN))


def test_each_colour_is_a_family_and_what_is_said_of_all_is_said_of_the_live_one():
    found = features_table(
        SERVICE,
        5.0,
        {
            ("blue", "b"): seen({"x": MOVED}, {"x": REFERENCE}, {"x": 9000.0}),
            ("green", "g"): seen({"x": SEEN, PREDICTION: SEEN}, {"x": REFERENCE, PREDICTION: REFERENCE}, {"x": 9000.0}),
        },
    )
    assert found.verdict is DriftVerdict.OK
    assert [(row.feature, row.color, row.kind, row.verdict, row.n_reference) for row in found.features] == [
        ("x", "blue", Kind.NUMERIC, DriftVerdict.DRIFTED, 9000),
        ("prediction", "green", Kind.PREDICTION, DriftVerdict.OK, 9000),
        ("x", "green", Kind.NUMERIC, DriftVerdict.OK, 9000),
    ]
    assert found.pictures[key_of(found.features[0])].current == pytest.approx((0.5, 0.3, 0.1, 0.05, 0.05))


def test_without_a_reference_of_its_own_a_colour_is_held_against_the_other():
    found = features_table(SERVICE, 5.0, {("blue", "b"): seen({"x": SEEN}, {}), ("green", "g"): seen({"x": MOVED}, {})})
    assert found.references == {"blue": "green, live", "green": "blue, live"}
    assert {(row.color, row.n_reference, row.verdict) for row in found.features} == {
        ("blue", 1000, DriftVerdict.DRIFTED),
        ("green", 1000, DriftVerdict.DRIFTED),
    }


def test_the_prediction_and_the_rows_of_a_reference_are_read_from_a_page():
    page = Parser().page(
        b'ml_prediction_value_bucket{le="1"} 4\nml_prediction_value_bucket{le="+Inf"} 9\n'
        b'ml_prediction_reference_share{le="1"} 0.25\nml_feature_reference_rows{feature="x"} 7000\n'
    )
    assert page.features == {PREDICTION: {1.0: 4.0, math.inf: 9.0}}
    assert (page.references, page.rows) == ({PREDICTION: {1.0: 0.25}}, {"x": 7000.0})


def test_the_same_from_rows_of_prometheus():
    one = [Row({LABEL: "fraud-green", "version": "g", "le": "+Inf"}, (1.0,), (9.0,))]
    two = [Row({LABEL: "fraud-green", "version": "g", "feature": "x"}, (1.0,), (7000.0,))]
    found = seen_by_prometheus(SERVICE, one, two, 1.0)["green", "g"]
    assert (found.counts, found.rows) == ({PREDICTION: {math.inf: 9.0}}, {"x": 7000.0})
