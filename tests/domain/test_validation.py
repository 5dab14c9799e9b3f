"""What is said of a metric: by its threshold, by its direction, by its interval; and of all of them."""

import math
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from mlconsole.domain.plans import Verdict
from mlconsole.domain.validation import (
    KNOWN,
    Against,
    BadThreshold,
    Certainty,
    Check,
    Figure,
    Interval,
    Rule,
    Threshold,
    Validation,
    find,
    judge,
    judge_slices,
    known,
    overall,
    rule_of,
    rules_of,
    worst_slices,
)

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
figures = st.floats(-1e6, 1e6)
rules = st.builds(
    Rule,
    st.booleans(),
    st.none() | figures,
    st.none(),
    st.none() | st.floats(0, 1e3),
    st.booleans(),
)


def one(metric, threshold, figure, baseline=None, min_rows=100, sure=False):
    (check,) = judge(metric, rule_of(metric, threshold), figure, baseline, min_rows, sure=sure)
    return check


# ---- directions and limits


@pytest.mark.parametrize(
    ("metric", "worse", "better"),
    [("f1", 0.85, 0.95), ("accuracy", 0.85, 0.95), ("auc", 0.85, 0.95), ("r2", 0.85, 0.95), ("test_f1", 0.85, 0.95)],
)
def test_higher_is_better(metric, worse, better):
    assert one(metric, Threshold(max_drop=0.02), Figure(worse), 0.9).verdict is FAIL
    assert one(metric, Threshold(max_drop=0.02), Figure(better), 0.9).verdict is PASS


@pytest.mark.parametrize("metric", ["log_loss", "brier", "rmse", "mae", "mape"])
def test_lower_is_better_and_a_drop_is_a_share_of_the_baseline(metric):
    assert one(metric, Threshold(max_drop=0.1), Figure(112.0), 100.0).verdict is FAIL
    check = one(metric, Threshold(max_drop=0.1), Figure(108.0), 100.0)
    assert (check.verdict, check.limit, check.loss) == (PASS, pytest.approx(110.0), pytest.approx(0.08))
    assert check.words == "8.0% worse, 10.0% worse at most"
    assert one(metric, Threshold(max_drop=10, relative=False), Figure(112.0), 100.0).verdict is FAIL


def test_a_floor_a_ceiling_and_the_baseline_are_three_checks():
    found = judge("gain", Rule(True, floor=1.0, ceiling=5.0, max_drop=0.5), Figure(4.0), 4.2, 100)
    assert [(check.against, check.verdict) for check in found] == [
        (Against.FLOOR, PASS),
        (Against.CEILING, PASS),
        (Against.BASELINE, PASS),
    ]
    found = judge("gain", Rule(True, floor=4.5, ceiling=3.0, max_drop=0.1), Figure(4.0), 4.2, 100)
    assert {check.verdict for check in found} == {FAIL}


def test_the_limit_itself_passes():
    assert one("f1", Threshold(min=0.8), Figure(0.8)).verdict is PASS
    assert one("f1", Threshold(max_drop=0.0), Figure(0.9), 0.9).verdict is PASS


@pytest.mark.parametrize(
    ("metric", "threshold", "words"),
    [
        ("gain", Threshold(max_drop=0.1), "say better"),
        ("gain", Threshold(), "say better"),
        ("f1", Threshold(max_drop=-0.1), "0 or more"),
        ("f1", Threshold(min=math.nan), "min is no number"),
        ("f1", Threshold(min=0.9, max=0.8), "nothing passes"),
        ("f1", Threshold(better="up"), "higher"),
    ],
)
def test_a_threshold_that_says_too_little_is_refused(metric, threshold, words):
    with pytest.raises(BadThreshold, match=words):
        rule_of(metric, threshold)


def test_an_own_metric_says_which_way_is_better():
    assert rule_of("gain", Threshold(better="higher", max_drop=1.0)).higher
    assert not rule_of("cost", Threshold(better="lower", max_drop=1.0)).higher
    assert rule_of("gain", Threshold(min=3.0)).max_drop is None  # a floor needs no direction
    assert known("val_rmse") == KNOWN["rmse"]
    assert known("gain") is None


def test_without_thresholds_what_is_known_by_its_name_is_judged():
    assert set(rules_of({}, ["f1", "rmse", "epochs"])) == {"f1", "rmse"}
    assert set(rules_of({"f1": Threshold(min=0.8)}, ["f1", "rmse"])) == {"f1"}
    assert find({"f1_score": 0.9}, "f1") == 0.9
    assert find({"roc_auc": 0.9}, "f1") is None


# ---- unknown is not good


@pytest.mark.parametrize(
    ("figure", "baseline", "words"),
    [
        (None, 0.9, "there is no such metric"),
        (Figure(math.nan), 0.9, "it is no number"),
        (Figure(math.inf), 0.9, "it is no number"),
        (Figure(0.99, n=99), 0.9, "needs 100 rows"),
        (Figure(0.99), None, "the baseline has no such metric"),
        (Figure(0.99), math.nan, "the baseline's is no number"),
    ],
)
def test_what_is_missing_or_too_little_is_unknown(figure, baseline, words):
    check = one("f1", Threshold(max_drop=0.5), figure, baseline)
    assert (check.verdict, check.words) == (UNKNOWN, words)


def test_a_share_of_nothing_is_unknown():
    assert one("rmse", Threshold(max_drop=0.1), Figure(0.0), 0.0).verdict is UNKNOWN


@given(rules, figures, figures, st.none() | st.integers(0, 99))
def test_too_few_rows_never_pass(rule, value, baseline, n):
    found = judge("m", rule, None if n is None else Figure(value, n), baseline, 100)
    assert all(check.verdict is UNKNOWN for check in found)


# ---- a better metric never turns a pass into a failure


@given(rules, figures, st.floats(0, 1e6), figures, st.booleans())
def test_better_is_never_worse(rule, value, gain, baseline, sure):
    assume(rule.higher or rule.floor is None)
    order = [FAIL, UNKNOWN, PASS]
    half = Interval(value - 1, value + 1, 0.5)
    step = gain if rule.higher else -gain
    better = Figure(value + step, 500, Interval(half.low + step, half.high + step, 0.5))
    before = judge("m", rule, Figure(value, 500, half), baseline, 100, sure=sure)
    after = judge("m", rule, better, baseline, 100, sure=sure)
    for one_before, one_after in zip(before, after, strict=True):
        assert order.index(one_after.verdict) >= order.index(one_before.verdict)


@given(figures, st.floats(0, 1e6), figures)
def test_the_two_directions_are_mirror_images(value, drop, baseline):
    up = judge("m", Rule(True, max_drop=drop), Figure(value), baseline, 100)[0]
    down = judge("m", Rule(False, max_drop=drop), Figure(-value), -baseline, 100)[0]
    assert (up.verdict, up.loss) == (down.verdict, down.loss)


# ---- doubt


def test_worse_beyond_doubt_and_what_may_be_worse_are_said_apart():
    surely = one("f1", Threshold(max_drop=0.01), Figure(0.80, 5000, Interval(0.78, 0.82, 0.01)), 0.9)
    perhaps = one("f1", Threshold(max_drop=0.01), Figure(0.88, 500, Interval(0.84, 0.92, 0.02)), 0.9)
    assert (surely.verdict, surely.certainty) == (FAIL, Certainty.BEYOND_DOUBT)
    assert surely.words == "0.100 worse, 0.010 worse at most; beyond doubt"
    assert (surely.low, surely.high) == (pytest.approx(0.08), pytest.approx(0.12))
    assert (perhaps.verdict, perhaps.certainty) == (FAIL, Certainty.MAY_BE)
    assert perhaps.words == "0.020 worse, 0.010 worse at most; may be chance"


def test_the_difference_on_the_same_rows_counts_where_it_is_known():
    figure = Figure(0.88, 5000, Interval(0.8, 0.95, 0.04), baseline=0.9, loss=Interval(0.015, 0.025, 0.002))
    check = one("f1", Threshold(max_drop=0.01), figure, 0.5)
    assert (check.verdict, check.certainty, check.baseline) == (FAIL, Certainty.BEYOND_DOUBT, 0.9)
    assert check.p_value < 1e-6


def test_where_it_has_to_be_sure_a_pass_in_doubt_is_unknown():
    figure = Figure(0.9, 500, Interval(0.87, 0.93, 0.015))
    assert one("f1", Threshold(min=0.88), figure).verdict is PASS
    assert "may be worse" in one("f1", Threshold(min=0.88), figure).words
    assert one("f1", Threshold(min=0.88), figure, sure=True).verdict is UNKNOWN
    assert one("f1", Threshold(min=0.86), figure, sure=True).verdict is PASS
    assert one("f1", Threshold(min=0.86), Figure(0.9), sure=True).verdict is UNKNOWN
    assert one("f1", Threshold(min=0.95), figure, sure=True).verdict is FAIL


# ---- slices


def a_slice(name, loss, p, verdict=FAIL, **changes):
    check = Check(metric="f1", against=Against.BASELINE, verdict=verdict, value=0.9 - loss, loss=loss, n=500)
    return replace(check, p_value=p, slice=name, words="worse; may be chance", **changes)


def test_of_many_slices_one_that_is_beyond_by_chance_does_not_fail():
    found = judge_slices([a_slice("c=0", 0.1, 0.03), *(a_slice(f"c={i}", 0.0, 0.5, PASS) for i in range(49))], 0.05)
    assert (found[0].verdict, found[0].certainty) == (UNKNOWN, Certainty.MAY_BE)
    assert found[0].words == "worse; may be chance among 50 checks of slices"
    found = judge_slices([a_slice("c=0", 0.1, 1e-6), *(a_slice(f"c={i}", 0.0, 0.5, PASS) for i in range(49))], 0.05)
    assert (found[0].verdict, found[0].certainty) == (FAIL, Certainty.BEYOND_DOUBT)


def test_the_worst_slice_is_named_among_those_that_can_be_judged():
    few = Check(metric="f1", slice="c=few", value=0.1, n=3, words="needs 100 rows")
    checks = [a_slice("c=a", 0.1, 0.5), a_slice("c=b", 0.2, 0.5), few]
    assert worst_slices(checks, {"f1": rule_of("f1", Threshold())}) == {"f1": "c=b"}
    lower = [Check(metric="rmse", slice=f"c={v}", value=float(v), n=500) for v in (1, 3, 2)]
    assert worst_slices(lower, {"rmse": rule_of("rmse", Threshold())}) == {"rmse": "c=3"}


# ---- all of it


def checks(*verdicts):
    return tuple(Check(metric=f"m{i}", verdict=verdict, words="w") for i, verdict in enumerate(verdicts))


@pytest.mark.parametrize(
    ("found", "slices", "drift", "verdict", "why"),
    [
        ((PASS, PASS), (), None, PASS, "2 checks passed"),
        ((PASS, UNKNOWN), (), None, UNKNOWN, "m1: w"),
        ((UNKNOWN, FAIL, FAIL), (), None, FAIL, "m1: w; and 1 more"),
        ((), (), None, UNKNOWN, "nothing was judged"),
        ((PASS,), (UNKNOWN, PASS), None, PASS, "1 check passed; 1 of 2 checks of slices are unknown"),
        ((PASS,), (FAIL,), None, FAIL, "m0: w"),
        ((PASS,), (), FAIL, FAIL, "data: d"),
        ((PASS,), (), UNKNOWN, UNKNOWN, "data: d"),
        ((), (), PASS, PASS, "data: d"),
    ],
)
def test_the_worst_decides_and_unknown_never_passes(found, slices, drift, verdict, why):
    whole = Validation(model="m", checks=checks(*found), slices=checks(*slices), drift=drift, drift_why="d")
    assert overall(whole) == (verdict, why)


def test_a_screen_can_import_it():
    probe = "import sys; from mlconsole.domain import validation; print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"
