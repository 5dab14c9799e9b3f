"""What servers tell of features, as what drift is judged of, and which reference it is held against."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.drift import Basis, DriftVerdict, Kind, key_of
from mlconsole.domain.reference import Brought, Categorical, Numeric, Reference
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.metrics.exposition import PREDICTION, Parser
from mlconsole.metrics.features import Past, table, wants_past
from mlconsole.metrics.prometheus import Row
from mlconsole.metrics.queries import LABEL, LABEL_STEP
from mlconsole.metrics.seen import Counts, FeatureLedger, Seen, seen_by_prometheus

REFERENCE = {1.0: 0.1, 2.0: 0.3, 3.0: 0.7, 4.0: 0.9}
SEEN = {1.0: 100.0, 2.0: 300.0, 3.0: 700.0, 4.0: 900.0, math.inf: 1000.0}
MOVED = {1.0: 500.0, 2.0: 800.0, 3.0: 900.0, 4.0: 950.0, math.inf: 1000.0}
BLUE, GREEN = (Color(name, f"fraud-{name}", 1, 1, release=Release("fraud", name[0])) for name in ("blue", "green"))
SERVICE = ModelService("ml", "fraud", Shape.BLUE_GREEN, color_key="color", live="green", colors=(BLUE, GREEN))


def seen(counts=None, references=None, rows=None, **other):
    found = Seen()
    found.current.buckets, found.exported.buckets, found.rows, found.at = (
        counts or {},
        references or {},
        rows or {},
        1.0,
    )
    for name, value in other.items():
        side, _, what = name.partition("_")
        setattr(getattr(found, side), what, value)
    return found


def told(one, *, brought=None, past=None, other=None):
    """The table of a service of which the live colour saw `one`."""
    rows = {("green", "g"): one} | ({("blue", "b"): other} if other is not None else {})
    return table(SERVICE, 5.0, rows, brought, past or Past())


def judged(reference, counts, rows=None):
    return told(seen({"x": counts}, {"x": reference}, {"x": rows} if rows else {})).features[0]


def test_the_same_is_the_same():
    found = judged(REFERENCE, SEEN)
    assert (found.feature, found.color, found.n_current, found.verdict) == ("x", "green", 1000, DriftVerdict.OK)
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
    ("reference", "counts", "words"),
    [
        (REFERENCE, {}, "not in the current data"),
        ({1.0: 0.5}, {1.0: 5.0}, "not in the current data"),
        ({1.0: 0.5}, {2.0: 5.0, math.inf: 500.0}, "edges"),
        ({1.0: 0.5, math.inf: 1.0}, {1.0: 5.0, math.inf: 50.0}, "needs 200 values"),
        ({1.0: math.nan}, {1.0: 5.0, math.inf: 500.0}, "no numbers"),
        ({1.0: 1.5}, {1.0: 5.0, math.inf: 500.0}, "no numbers"),
        (REFERENCE, dict.fromkeys(SEEN, 0.0), "no values in the current data"),
    ],
)
def test_what_cannot_be_compared_is_unknown_with_words(reference, counts, words):
    found = judged(reference, counts)
    assert (found.verdict, words in found.why) == (DriftVerdict.UNKNOWN, True), found


def test_a_feature_that_the_reference_has_not_is_unknown():
    found = {row.feature: row for row in told(seen({"x": SEEN, "new": SEEN}, {"x": REFERENCE})).features}
    assert (found["new"].verdict, found["new"].why) == (DriftVerdict.UNKNOWN, "no reference for it")
    assert found["x"].verdict is DriftVerdict.OK


def test_each_colour_is_a_family_and_what_is_said_of_all_is_said_of_the_live_one():
    blue = seen({"x": MOVED}, {"x": REFERENCE}, {"x": 9000.0})
    green = seen({"x": SEEN, PREDICTION: SEEN}, {"x": REFERENCE, PREDICTION: REFERENCE}, {"x": 9000.0})
    found = told(green, other=blue)
    assert found.verdict is DriftVerdict.OK
    assert [(row.feature, row.color, row.kind, row.verdict, row.n_reference) for row in found.features] == [
        ("x", "blue", Kind.NUMERIC, DriftVerdict.DRIFTED, 9000),
        ("prediction", "green", Kind.PREDICTION, DriftVerdict.OK, 9000),
        ("x", "green", Kind.NUMERIC, DriftVerdict.OK, 9000),
    ]
    assert found.pictures[key_of(found.features[0])].current == pytest.approx((0.5, 0.3, 0.1, 0.05, 0.05))


# ---- categories, classes, what is missing


def test_categories_unseen_ones_and_classes_are_read_and_judged():
    found = told(
        seen(
            rows={"land": 5000.0},
            current_categories={
                "land": {"de": 400.0, "fr": 400.0, "__other__": 200.0},
                PREDICTION: {"0": 995.0, "1": 5.0},
            },
            exported_categories={"land": {"de": 0.5, "fr": 0.5, "__other__": 0.0}, PREDICTION: {"0": 0.8, "1": 0.2}},
        )
    )
    rows = {row.feature: row for row in found.features}
    assert (rows["land"].kind, rows["land"].verdict) == (Kind.CATEGORICAL, DriftVerdict.DRIFTED)
    assert rows["land"].unseen == ("(others)",)
    assert rows["land"].unseen_share == pytest.approx(0.2)
    assert (rows["prediction"].kind, rows["prediction"].verdict) == (Kind.PREDICTION, DriftVerdict.DRIFTED)
    assert found.pictures[key_of(rows["prediction"])].names == ("0", "1")
    assert found.why.startswith("the prediction drifted")


def test_a_missing_share_that_grew_is_drift_and_is_compared_only_where_both_sides_tell_it():
    told_by_both = seen(
        {"x": SEEN}, {"x": REFERENCE}, {"x": 5000.0}, current_missing={"x": 250.0}, exported_missing={"x": 0.01}
    )
    row = told(told_by_both).features[0]
    assert (row.verdict, row.missing_current) == (DriftVerdict.DRIFTED, pytest.approx(0.2))
    assert row.missing_reference == pytest.approx(0.01)
    assert row.n_reference == 4950
    assert "missing 1.0%, now 20.0%" in row.why
    for one in (
        seen({"x": SEEN}, {"x": REFERENCE}, {"x": 5000.0}, exported_missing={"x": 0.4}),
        seen({"x": SEEN}, {"x": REFERENCE}, {"x": 5000.0}, current_missing={"x": 800.0}),
    ):
        assert told(one).features[0].verdict is DriftVerdict.OK


def test_a_feature_that_came_without_a_single_value_has_drifted():
    one = seen(
        references={"x": REFERENCE}, rows={"x": 5000.0}, current_missing={"x": 900.0}, exported_missing={"x": 0.0}
    )
    row = told(one).features[0]
    assert (row.verdict, row.missing_current, row.effect) == (DriftVerdict.DRIFTED, 1.0, 1.0)


PAGE = """ml_prediction_value_bucket{le="1"} 4
ml_prediction_value_bucket{le="+Inf"} 9
ml_prediction_reference_share{le="1"} 0.25
ml_feature_reference_rows{feature="x"} 7000
ml_feature_missing_total{feature="x"} 3
ml_feature_reference_missing_share{feature="x"} 0.125
ml_feature_category_total{feature="land",category="de"} 5
ml_feature_reference_category_share{feature="land",category="de"} 0.5
ml_prediction_class_total{class="yes"} 2
ml_prediction_reference_class_share{class="yes"} 0.75
ml_labels_total{outcome="right"} 8
"""


def test_everything_of_features_is_read_from_a_page():
    page = Parser().page(PAGE.encode())
    assert page.features == {PREDICTION: {1.0: 4.0, math.inf: 9.0}}
    assert (page.references, page.rows) == ({PREDICTION: {1.0: 0.25}}, {"x": 7000.0})
    assert (page.missing, page.missing_shares) == ({"x": 3.0}, {"x": 0.125})
    assert page.categories == {"land": {"de": 5.0}, PREDICTION: {"yes": 2.0}}
    assert page.category_shares == {"land": {"de": 0.5}, PREDICTION: {"yes": 0.75}}
    assert page.labels == {"right": 8.0}
    assert not Parser().page(PAGE.encode(), features=False).categories


def test_a_value_that_is_no_count_takes_its_family_away_and_no_other():
    page = Parser().page(PAGE.replace('category="de"} 5', 'category="de"} NaN').encode())
    assert page.odd == ("ml_feature_category_total",)
    assert page.categories == {PREDICTION: {"yes": 2.0}}
    assert page.missing == {"x": 3.0}
    page = Parser().page(PAGE.replace('class="yes"} 2', 'class="yes"} -2').encode())
    assert page.categories == {"land": {"de": 5.0}}


def test_the_same_from_rows_of_prometheus():
    who = {LABEL: "fraud-green", "version": "g"}
    counts = [
        ({"le": "+Inf"}, 9.0),
        ({"feature": "x"}, 3.0),
        ({"feature": "land", "category": "de"}, 5.0),
        ({"class": "yes"}, 2.0),
        ({"feature": "x", "le": "broken"}, 2.0),
    ]
    references = [
        ({"feature": "x", "__name__": "ml_feature_reference_rows"}, 7000.0),
        ({"feature": "x", "__name__": "ml_feature_reference_missing_share"}, 0.125),
        ({"feature": "land", "category": "de", "__name__": "ml_feature_reference_category_share"}, 0.5),
        ({"class": "yes", "__name__": "ml_prediction_reference_class_share"}, 0.75),
    ]
    one, two = ([Row({**who, **labels}, (1.0,), (value,)) for labels, value in rows] for rows in (counts, references))
    times = (LABEL_STEP * 4, LABEL_STEP * 5)
    labels = [
        Row({**who, "outcome": name}, times, (4.0, value)) for name, value in (("right", 5.0), ("wrong", math.nan))
    ]
    found = seen_by_prometheus(SERVICE, one, two, 1.0, labels)["green", "g"]
    assert found.current.buckets == {PREDICTION: {math.inf: 9.0}}
    assert found.current.missing == {"x": 3.0}
    assert found.current.categories == {"land": {"de": 5.0}, PREDICTION: {"yes": 2.0}}
    assert (found.rows, found.exported.missing) == ({"x": 7000.0}, {"x": 0.125})
    assert found.exported.categories == {"land": {"de": 0.5}, PREDICTION: {"yes": 0.75}}
    assert found.labels == {3: {"right": 4.0, "wrong": 4.0}, 4: {"right": 5.0, "wrong": 0.0}}


# ---- counting


def page(text, started=1.0):
    return Parser().page(f"process_start_time_seconds {started}\n{text}".encode())


CATEGORY = 'ml_feature_category_total{{feature="land",category="{}"}} {}\n'


def test_growth_of_categories_and_missing_counts_through_a_restart_and_a_new_category():
    ledger = FeatureLedger()
    missing = 'ml_feature_missing_total{{feature="land"}} {}\n'
    ledger.add("p", "green", 1000.0, page(CATEGORY.format("de", 100) + missing.format(10)))
    ledger.add("p", "green", 1010.0, page(CATEGORY.format("de", 130) + CATEGORY.format("xx", 4) + missing.format(15)))
    ledger.add("p", "green", 1020.0, page(CATEGORY.format("de", 7) + missing.format(1), started=1015.0))
    counted = ledger.seen()["green", ""].current
    assert counted.categories == {"land": {"de": 37.0, "xx": 4.0}}
    assert counted.missing == {"land": 6.0}
    ledger.add("p", "green", 5000.0, page(CATEGORY.format("de", 7), started=1015.0))
    assert ledger.seen()["green", ""].current.categories == {}


def test_what_pods_counted_before_they_fell_silent_is_not_of_now_for_ever():
    ledger = FeatureLedger(window=600.0)
    for at, count in ((1000.0, 100), (1010.0, 130)):
        ledger.add("p", "green", at, page(CATEGORY.format("de", count)))
    assert ledger.seen(1500.0)["green", ""].current.categories == {"land": {"de": 30.0}}
    assert ledger.seen(1611.0) == {}


def test_labels_that_were_no_count_on_one_page_are_not_all_new_on_the_next():
    ledger = FeatureLedger()
    label = 'ml_labels_total{{outcome="right"}} {}\n'
    for at, right in ((1000.0, 900), (1010.0, "NaN"), (1020.0, 920), (1030.0, 925)):
        ledger.add("p", "green", at, page(CATEGORY.format("de", at) + label.format(right)))
    assert ledger.seen()["green", ""].labels == {0: {"right": 5.0}}


def test_labels_are_kept_longer_than_the_window_of_drift():
    ledger = FeatureLedger()
    label = 'ml_labels_total{{outcome="right"}} {}\nml_labels_total{{outcome="wrong"}} {}\n'
    for index in range(5):
        ledger.add("p", "green", 1000.0 + 500 * index, page(label.format(90 * index, 10 * index)))
    found = told(ledger.seen()["green", ""], brought={"green": Brought(accuracy=0.93)})
    one = found.accuracy[0]
    assert (one.color, one.n, one.value) == ("green", 400, pytest.approx(0.9))
    assert one.low < 0.9 < one.high < 0.93
    assert (one.verdict, one.steps[-2:]) == (DriftVerdict.LOOK, (pytest.approx(0.9), pytest.approx(0.9)))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_counts_that_are_added_up_are_the_last_total_less_the_first(steps):
    counted, total = Counts(), 5
    before = page(CATEGORY.format("de", total))
    for step in steps:
        total += step
        after = page(CATEGORY.format("de", total))
        counted.grow(before, after)
        before = after
    assert counted.categories == {"land": {"de": sum(steps)}}


# ---- which reference


TRAINED = Reference(
    {"x": Numeric((1.0, 2.0, 3.0, 4.0), (500.0, 1000.0, 2000.0, 1000.0, 500.0)), "unused": Categorical({"a": 1.0})},
    rows=5000,
    made_at=1_790_000_000.0,
    source="train.parquet",
)
KNOWN = {"green": Brought(TRAINED, "training of vg, by the registry")}


def test_the_artifact_of_the_registry_comes_first_and_says_what_it_is():
    found = told(seen({"x": MOVED}, {"x": {1.0: 0.9}}), brought=KNOWN)
    against = found.references["green"]
    assert (against.basis, against.words, against.weak) == (Basis.REGISTRY, "training of vg, by the registry", False)
    assert "train.parquet; made 2026-09-21" in against.detail
    assert "unused of it not exported" in against.detail
    assert [(row.feature, row.n_reference, row.verdict) for row in found.features] == [
        ("x", 5000, DriftVerdict.DRIFTED)
    ]


def test_without_it_the_servers_own_shares_count_and_it_is_said_why():
    found = told(seen({"x": SEEN}, {"x": REFERENCE}), brought={"green": Brought(problem="MLflow is down")})
    against = found.references["green"]
    assert (against.basis, against.instead) == (Basis.SERVERS, "MLflow is down")
    assert against.words == "training of vg, by its servers"


def test_a_reference_of_other_features_is_none():
    brought = {"green": Brought(Reference({"y": Categorical({"a": 1.0})}), "that of the registry")}
    against = told(seen({"x": SEEN}, {"x": REFERENCE}), brought=brought).references["green"]
    assert (against.basis, "none of the features" in against.instead) == (Basis.SERVERS, True)


def test_without_a_reference_of_its_own_a_colour_is_held_against_the_other():
    found = told(seen({"x": MOVED}), other=seen({"x": SEEN}), brought={"green": Brought(problem="no registry")})
    assert {color: (one.basis, one.words) for color, one in found.references.items()} == {
        "blue": (Basis.COLOR, "green now, live"),
        "green": (Basis.COLOR, "blue now, not live"),
    }
    assert found.references["green"].instead == "no registry; the servers export none"
    assert {(row.color, row.n_reference, row.verdict) for row in found.features} == {
        ("blue", 1000, DriftVerdict.DRIFTED),
        ("green", 1000, DriftVerdict.DRIFTED),
    }


FEW = {1.0: 5.0, math.inf: 50.0}


def test_where_the_other_colour_sees_nothing_an_earlier_window_counts_the_same_version_first():
    earlier = {("green", "f"): seen({"x": MOVED}), ("blue", "g"): seen({"x": SEEN})}
    one = seen({"x": MOVED})
    found = told(one, other=seen({"x": FEW}), past=Past(86_400.0, earlier, ""))
    against = found.references["green"]
    assert (against.basis, against.words) == (Basis.PAST, "blue vg 24 h earlier")
    assert against.instead == "the servers export none; blue counted 50 values, of 200"
    assert found.features[0].verdict is DriftVerdict.DRIFTED
    del earlier["blue", "g"]
    assert told(one, past=Past(1800.0, earlier, "")).references["green"].words == "green vf 30 min earlier"


def test_with_nothing_to_hold_it_against_it_is_unknown_and_an_earlier_window_is_asked_for():
    found = told(seen({"x": SEEN}), past=Past(problem="", ago=86_400.0))
    against = found.references["green"]
    assert (against.basis, found.verdict, found.features[0].why) == (
        Basis.NONE,
        DriftVerdict.UNKNOWN,
        "no reference for it",
    )
    assert "blue counted 0 values, of 200" in against.instead
    assert "24 h earlier nothing was counted" in against.instead
    assert wants_past(found)
    assert not wants_past(told(seen({"x": SEEN}, {"x": REFERENCE})))
    assert not wants_past(None)
