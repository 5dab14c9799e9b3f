import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain import analysis
from mlconsole.domain.analysis import KEPT, Measurement, Spec
from mlconsole.domain.plans import Gate, Verdict

P, F, U = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
LOOKS = {
    "p": Measurement(0.0, P, "p95 = 100 ms", 50.0),
    "f": Measurement(0.0, F, "p95 = 900 ms", 50.0),
    "u": Measurement(0.0, U, "no data"),
    "w": Measurement(0.0, U, "only 3 requests", 3.0, early=True),
    "e": Measurement(0.0, U, "Prometheus is away", error=True),
}


def after(looks, over=False, **spec):
    state = analysis.begin(Spec("latency", "p95 < 1", **spec), 0.0)
    for look in looks:
        state = analysis.measured(state, LOOKS[look])
    return analysis.verdict(state, over=over)


@pytest.mark.parametrize(
    ("looks", "spec", "expected"),
    [
        ("", {}, None),
        ("pp", {}, None),
        ("ppp", {}, P),
        ("f", {}, F),
        ("ppf", {}, F),
        ("f", {"failure_limit": 1}, None),
        ("ff", {"failure_limit": 1}, F),
        ("pfp", {"failure_limit": 1}, P),
        ("uuuu", {"count": 9}, U),
        ("uuu", {"count": 9}, None),
        ("puu", {}, P),
        ("uu", {"inconclusive_limit": 1}, U),
        ("uuu", {}, U),
        ("fff", {"failure_limit": 3}, U),
        ("www", {}, None),
        ("wwwppp", {}, P),
        ("eeee", {"count": 9}, U),
        ("eeee", {"count": 9, "error_limit": 4}, None),
        ("eeeee", {"count": 9, "error_limit": 4}, U),
        ("eeeepeeee", {"count": 9, "error_limit": 4}, None),
        ("eepepp", {"error_limit": 4}, P),
        ("p" * 100, {"count": None}, None),
        ("", {"problem": "there is no such template"}, U),
    ],
)
def test_interval_count_and_limits_mean_what_they_do_in_a_template(looks, spec, expected):
    assert after(looks, **spec) is expected


@pytest.mark.parametrize(
    ("looks", "expected"), [("", U), ("p", P), ("pu", P), ("www", U), ("uu", U), ("wp", P), ("ee", U), ("pf", F)]
)
def test_at_the_end_of_its_time_only_what_passed_is_good(looks, expected):
    assert after(looks, over=True, count=None) is expected


def test_when_it_is_measured_next():
    state = analysis.begin(Spec("x", interval=10.0, delay=3.0), 100.0)
    assert state.due == 103.0
    assert analysis.measured(state, Measurement(104.0, P)).due == 114.0


def test_the_gate_says_what_was_measured_and_what_it_rests_on():
    spec = Spec("latency", "p95 < 1.2 * live", origin="AnalysisTemplate ml/latency")
    state = analysis.begin(spec, 100.0)
    assert analysis.gate(state, 100.0).verdict is U
    look = Measurement(105.0, P, "p95 = 100 ms", 50.0, 2.0, "histogram_quantile(0.95, x)")
    for _ in range(3):
        state = analysis.measured(state, look)
    found = analysis.gate(state, 110.0)
    assert found == Gate(
        "latency",
        P,
        "p95 = 100 ms; 3 of 3 measurements passed",
        "p95 < 1.2 * live",
        "histogram_quantile(0.95, x); n = 50; AnalysisTemplate ml/latency",
        7.0,
    )
    assert found.waivable
    assert found.blocks


def test_a_template_is_as_good_as_its_worst_metric():
    gates = (Gate("t.a", P, "fine"), Gate("t.b", F, "bad"), Gate("t.c", U, "no data"))
    found = analysis.together("t", gates)
    assert (found.name, found.verdict, found.value) == ("t", F, "t.a PASS, t.b FAIL, t.c UNKNOWN: bad")


looks = st.text("pfuwe", max_size=30)
specs = st.builds(
    dict,
    count=st.none() | st.integers(1, 10),
    failure_limit=st.integers(0, 5),
    inconclusive_limit=st.integers(0, 5),
    error_limit=st.none() | st.integers(0, 5),
)


@given(looks, specs, st.booleans())
def test_nothing_is_good_without_a_measurement_that_passed(seen, spec, over):
    if after(seen, over, **spec) is P:
        assert "p" in seen
        assert seen.count("f") <= spec["failure_limit"]
        assert seen.count("u") <= spec["inconclusive_limit"]


@given(looks, looks, specs)
def test_a_failure_stays_one_whatever_follows(seen, more, spec):
    if after(seen, **spec) is F:
        assert after(seen + more, **spec) is F
        assert after(seen + more, over=True, **spec) is F


@given(looks, specs)
def test_at_the_end_of_its_time_there_is_always_an_answer(seen, spec):
    assert after(seen, over=True, **spec) in (P, F, U)
    said = after(seen, **spec)
    assert said is None or said is after(seen, over=True, **spec)


@given(st.text("pfuw", max_size=30), st.text("pfuw", max_size=30), specs)
def test_one_failure_more_makes_nothing_good(one, other, spec):
    order = [P, None, U, F]
    without, with_one = after(one + other, over=True, **spec), after(one + "f" + other, over=True, **spec)
    assert order.index(with_one) >= order.index(without) or with_one is P is without


@given(st.text("pfu", min_size=30, max_size=60))
def test_only_the_last_measurements_are_kept_and_all_are_counted(seen):
    state = analysis.begin(Spec("x", count=None), 0.0)
    for look in seen:
        state = analysis.measured(state, LOOKS[look])
    assert len(state.measurements) == KEPT
    assert state.count == len(seen)
