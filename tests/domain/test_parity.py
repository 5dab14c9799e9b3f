import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.parity import FEW, Given, Limits, Pair, agree, flipped, judge, measure, percentile, score_of
from mlconsole.domain.plans import Verdict

LIMITS = Limits()


def pair(first, second, live=0.1, target=0.1):
    return Pair(Given(first, score_of(first), live), Given(second, score_of(second), target))


def verdicts(pairs, limits=LIMITS):
    return {gate.name: gate.verdict for gate in judge(measure(pairs, limits), limits, "")}


@pytest.mark.parametrize(
    ("first", "second", "agreeing", "flip"),
    [
        (0.7, 0.7 + 1e-9, True, False),
        (0.7, 0.8, False, False),
        (0.4, 0.6, False, True),
        ([0.4], 0.6, False, True),
        ([[0.7]], 0.7, True, False),
        (3, 2, False, True),
        (3.0, 2.0, False, False),
        (1, 1.0, True, False),
        ("fraud", "fraud", True, False),
        ("fraud", "fine", False, True),
        (True, False, False, True),
        (True, 1, False, True),
        ([0.1, 0.9], [0.2, 0.8], False, False),
        ([0.1, 0.9], [0.9, 0.1], False, True),
        ([0.1, 0.9], [0.1, 0.8, 0.1], False, True),
        (["a", "b"], ["a", "b"], True, False),
        (["a", "b"], ["a", "c"], False, True),
        ({"a": 0.1}, {"a": 0.2}, False, False),
        ({"a": 1}, {"b": 1}, False, True),
        ("1", 1, False, True),
    ],
)
def test_what_agrees_and_what_flips(first, second, agreeing, flip):
    assert agree(first, second, 1e-6) is agreeing
    assert flipped(first, second, 0.5) is flip


@pytest.mark.parametrize(
    ("value", "beside", "score"),
    [
        (0.7, {}, 0.7),
        ([0.2, 0.8], {}, 0.8),
        ("fraud", {"probability": 0.6}, 0.6),
        ("fraud", {"score": True}, None),
        ("fraud", {}, None),
        (True, {}, None),
        (10**400, {}, None),
    ],
)
def test_the_score_of_an_answer(value, beside, score):
    assert score_of(value, beside) == score


def test_the_same_answers_pass_and_the_evidence_says_what_was_counted():
    gates = judge(measure([pair(0.7, 0.7)] * FEW, LIMITS), LIMITS, "POST /predict")
    assert {gate.verdict for gate in gates} == {Verdict.PASS}
    assert [gate.name.removeprefix("parity.") for gate in gates] == [
        "disagreement",
        "flips",
        "score",
        "latency",
        "errors",
    ]
    assert gates[0].evidence == "POST /predict; 20 of 20 answered by both; tolerance 0.05"
    assert (gates[3].value, gates[3].limit) == ("1.00 times", "2.00 times or less")


def test_each_limit_fails_by_itself():
    fine = [pair(0.7, 0.7)] * 19
    assert verdicts([*fine, pair(0.9, 0.1), pair(0.9, 0.1)])["parity.flips"] is Verdict.FAIL
    assert verdicts([pair(0.7, 0.78)] * 20)["parity.disagreement"] is Verdict.FAIL
    assert verdicts([pair(0.6, 0.8)] * 20)["parity.score"] is Verdict.FAIL
    assert verdicts([pair(0.7, 0.7, 0.1, 0.3)] * 20)["parity.latency"] is Verdict.FAIL
    error = Pair(Given(0.7, 0.7, 0.1), Given(seconds=0.1, error="answered 500"))
    assert verdicts([*fine, error, pair(0.7, 0.7)])["parity.errors"] is Verdict.FAIL
    both = Pair(Given(error="answered 500"), Given(error="answered 500"))
    assert verdicts([*fine, both, pair(0.7, 0.7)])["parity.errors"] is Verdict.PASS


def test_few_answers_and_none_are_unknown():
    assert set(verdicts([pair(0.7, 0.7)] * (FEW - 1)).values()) == {Verdict.UNKNOWN}
    assert set(verdicts([]).values()) == {Verdict.UNKNOWN}
    silent = Pair(Given(0.7, 0.7, 0.1), Given(silent="the API server is away"))
    assert set(verdicts([silent] * 50).values()) == {Verdict.UNKNOWN}
    words = verdicts([pair("a", "a")] * FEW)
    assert (words["parity.score"], words["parity.flips"]) == (Verdict.UNKNOWN, Verdict.PASS)


def test_a_limit_that_is_not_set_gives_no_gate():
    assert set(verdicts([], Limits(max_score_shift=None, max_flips=None))) == {
        "parity.disagreement",
        "parity.latency",
        "parity.errors",
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
GIVEN = st.builds(
    lambda value, seconds, error, silent: Given(value, score_of(value), seconds, error, silent),
    VALUES,
    st.floats(0, 60),
    st.sampled_from(["", "", "", "500"]),
    st.sampled_from(["", "", "", "away"]),
)
PAIRS = st.lists(st.builds(Pair, GIVEN, GIVEN), max_size=40)


@given(PAIRS)
def test_shares_are_shares_and_swapping_the_colours_turns_only_the_signs(pairs):
    found = measure(pairs, LIMITS)
    back = measure([Pair(one.target, one.live) for one in pairs], LIMITS)
    for share in (found.disagreement, found.flips, found.live_errors, found.target_errors):
        assert share is None or 0 <= share <= 1
    assert (found.disagreement, found.flips) == (back.disagreement, back.flips)
    assert (found.live_errors, found.live_p95) == (back.target_errors, back.target_p95)
    assert found.score_shift == pytest.approx(back.score_shift) if found.score_shift is not None else True


@given(VALUES)
def test_an_answer_agrees_with_itself_and_is_no_flip(value):
    assert agree(value, value, 0.0)
    assert not flipped(value, value, 0.5)


@given(PAIRS)
def test_a_gate_never_passes_on_what_is_not_known(pairs):
    found = measure(pairs, LIMITS)
    for gate in judge(found, LIMITS, ""):
        if gate.verdict is Verdict.PASS:
            assert (found.asked - found.silent if gate.name == "parity.errors" else found.compared) >= FEW
            assert "nan" not in gate.value
            assert "inf" not in gate.value


@given(st.lists(st.floats(0, 100), min_size=1))
def test_the_percentile_is_a_value_that_95_in_100_do_not_pass(values):
    p95 = percentile(values)
    assert p95 in values
    assert sum(value <= p95 for value in values) >= math.floor(0.95 * len(values))
