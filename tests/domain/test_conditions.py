import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain import conditions
from mlconsole.domain.computing import Facts
from mlconsole.domain.conditions import FIGURES, ConditionError

KNOWN = {
    "p50": 0.1,
    "p95": 0.2,
    "p99": 0.4,
    "error_share": 0.02,
    "rate": 5.0,
    "drift.share": 0.25,
    "drift.worst": 0.3,
    "live.p50": 0.1,
    "live.p95": 0.25,
    "live.error_share": 0.0,
}


def holds(text, figures=KNOWN, result=()):
    return conditions.parse(text).holds(Facts(figures, tuple(result)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p95 < 1.2 * live", True),
        ("p95 < 0.5 * live", False),
        ("live * 1.2 > p95", True),
        ("(p95 - live) / live < 0.2", True),
        ("p95 <= live.p95 and error_share <= live.error_share", False),
        ("p50 <= live && p95 <= live", True),
        ("p95 < 300ms", True),
        ("p95 < 0.1s", False),
        ("rate * 1m30s == 450", True),
        ("error_share < 0.01 or rate < 10", True),
        ("not error_share < 0.01", True),
        ("!(error_share < 0.01)", True),
        ("not not p95 < 1", True),
        ("drift.share < 0.2", False),
        ("drift.worst < 2.5e-1", False),
        ("p95 - p50 - 0.05 < 0.1", True),
        ("2 - 1 - 1 == 0", True),
        ("8 / 4 / 2 == 1", True),
        ("1 + 2 * 3 == 7", True),
        ("-p95 < 0", True),
        ("--1 == 1", True),
        ("abs(p95 - live.p95) < 60ms", True),
        ("max(p50, p95) == p95", True),
        ("true", True),
        ("p95 < 1 or p95 < 0 and p95 < 0", True),
    ],
)
def test_what_a_condition_says_of_known_figures(text, expected):
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "result", "expected"),
    [
        ("result[0] >= 0.95", [0.99], True),
        ("result[0] >= 0.95", [0.9], False),
        ("result < 0.05", [0.01], True),
        ("result < 0.05", [], None),
        ("result < 0.05", [0.01, 0.01], None),
        ("result[1] < 1", [0.5], None),
        ("result[0] < 1", [math.nan], None),
        ("isNaN(result[0]) || result[0] < 1", [math.nan], True),
        ("isNaN(result[0]) || result[0] < 1", [2.0], False),
        ("!isNaN(result[0]) && result[0] < 1", [math.nan], False),
        ("isInf(result[0])", [1.0], False),
        ("isInf(result[0])", [math.nan], None),
        ("default(result, 0) < 1", [], True),
        ("default(result[0], 5) < 1", [math.nan], False),
        ("isNil(result)", [], True),
        ("len(result) == 2", [1.0, 2.0], True),
        ("len(result) == 0 or result[0] < 1", [], True),
        ("all(result, # < 1)", [0.5, 0.7], True),
        ("all(result, {# < 1})", [0.5, 1.7], False),
        ("all(result, # < 1)", [0.5, math.nan], None),
        ("all(result, # < 1)", [], None),
        ("any(result, # > 1 and # < 3)", [0.5, 2.0], True),
        ("none(result, # > 1)", [0.5, 0.7], True),
        ("asFloat(result[0]) < 1", [0.5], True),
    ],
)
def test_what_a_condition_says_of_the_result_of_a_query(text, result, expected):
    assert holds(text, {}, result) is expected


@pytest.mark.parametrize(
    ("text", "figures", "expected"),
    [
        ("p95 < 1", {}, None),
        ("p95 < 1", {"p95": None}, None),
        ("p95 < 1", {"p95": math.nan}, None),
        ("p95 < 1", {"p95": math.inf}, None),
        ("p95 != 1", {}, None),
        ("not p95 < 1", {}, None),
        ("p95 < 1.2 * live", {"p95": 0.1}, None),
        ("p95 / rate < 1", {"p95": 0.1, "rate": 0.0}, None),
        ("p95 < 1 or p95 >= 1", {}, None),
        ("p95 < 1 or rate > 1", {"rate": 2.0}, True),
        ("p95 < 1 and rate > 1", {"rate": 0.0}, False),
        ("p95 < 1 and rate > 1", {"rate": 2.0}, None),
        ("0 * p95 == 0", {}, None),
        ("max(p95, 1) > 0", {}, None),
        ("1e308 * 10 > p95", {"p95": 1.0}, None),
    ],
)
def test_what_is_missing_is_unknown(text, figures, expected):
    assert holds(text, figures) is expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("p95", "compare it"),
        ("p94 < 1", "'p94', character 1: there is no such figure"),
        ("live.p94 < 1", "no such figure"),
        ("p95 <", "a value is missing at its end"),
        ("p95 < < 1", "'<', character 7: a value is wanted"),
        ("p95 < 1 2", "'2', character 9: this does not belong here"),
        ("(p95 < 1", "')' is missing"),
        ("0 < p95 < 1", "one comparison at a time"),
        ("p95 < 5%", "write 5 % as 0.05"),
        ("p95 < 200 ms", "'ms', character 11: this does not belong here"),
        ("p95 < 200xs", "is not understood"),
        ("p95 = 1", "is not understood"),
        ("p95 + p99 < live", "here there is p95, p99: write live.p95"),
        ("live < 1", "here there is none"),
        ("live", "nothing is compared"),
        ("p95 and p99", "a condition is wanted here, and this is a number"),
        ("(p95 < 1) < 2", "a number is wanted here, and this is a condition"),
        ("!p95 < 1", "a condition is wanted"),
        ("median(p95) < 1", "there is no such function"),
        ("default(p95) < 1", "default takes 2 values"),
        ("p95[0] < 1", "the result of a query is wanted"),
        ("result[x] < 1", "the number of a series"),
        ("# < 1", "a value is wanted here"),
        ("(" * 60 + "p95 < 1" + ")" * 60, "too many brackets"),
        ("p95 < " + "1" * 2000, "longer than"),
        ("p95 < 1; rm", "is not understood"),
        ("__import__('os') < 1", "is not understood"),
        ("__import__(p95) < 1", "no such function"),
    ],
)
def test_what_is_no_condition_is_said_to_be_none_and_where(text, words):
    with pytest.raises(ConditionError) as caught:
        conditions.parse(text)
    assert words in str(caught.value)


def test_which_figures_a_condition_needs():
    found = conditions.parse(
        "p95 < 1.2 * live and live.drift.share >= drift.share or error_share < 1%".replace("1%", "1")
    )
    assert found.figures == {"p95", "live.p95", "drift.share", "live.drift.share", "error_share"}
    assert not found.with_result
    assert conditions.parse("result[0] < p95").with_result


numbers = st.floats(-1e6, 1e6, allow_nan=False)
names = st.sampled_from([*FIGURES, *(f"live.{name}" for name in FIGURES)])


def terms(depth=2):
    base = names | st.floats(0, 100).map(lambda value: f"{value:.3f}")
    if not depth:
        return base
    smaller = terms(depth - 1)
    return base | st.tuples(smaller, st.sampled_from("+-*/"), smaller).map(lambda t: f"({t[0]} {t[1]} {t[2]})")


def texts(depth=3):
    signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    base = st.tuples(terms(), signs, terms()).map(" ".join)
    if not depth:
        return base
    smaller = texts(depth - 1)
    pair = st.tuples(smaller, st.sampled_from(["and", "or", "&&", "||"]), smaller)
    return base | pair.map(lambda t: f"({t[0]}) {t[1]} ({t[2]})") | smaller.map(lambda text: f"not ({text})")


known = st.dictionaries(names, numbers)


@given(texts(), known, st.dictionaries(names, numbers))
def test_what_is_said_in_spite_of_something_missing_is_said_whatever_that_is(text, figures, missing):
    said = holds(text, figures)
    whole = holds(text, {**missing, **figures})
    if said is not None and whole is not None:
        assert whole is said


@given(texts())
def test_nothing_but_numbers_alone_holds_where_nothing_is_known(text):
    found = conditions.parse(text)
    constant = found.holds(Facts())
    assert (
        constant is None
        or constant is found.holds(Facts(dict.fromkeys(found.figures, 1.5)))
        or (found.holds(Facts(dict.fromkeys(found.figures, 1.5))) is None)
    )


@given(texts(), known)
def test_not_turns_it_round_and_leaves_the_unknown_unknown(text, figures):
    said = holds(text, figures)
    assert holds(f"not ({text})", figures) is (None if said is None else not said)


@given(st.text(max_size=80))
def test_any_text_is_a_condition_or_said_to_be_none(text):
    said = ""
    try:
        said = f"the condition {conditions.parse(text).text}"
    except ConditionError as error:
        said = str(error)
    assert said.startswith("the condition")


@given(st.text("p95live.()<>=&|! 0123456789#result[],andornt{}%", max_size=40))
def test_likely_text_is_a_condition_or_said_to_be_none(text):
    try:
        found = conditions.parse(text)
    except ConditionError:
        return
    assert found.holds(Facts()) in (True, False, None)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("p95", 0.18, "180 ms"),
        ("live.p95", 1.5, "1.50 s"),
        ("error_share", 0.012, "1.20%"),
        ("rate", 4.0, "4.0/s"),
        ("drift.worst", 0.3, "0.3"),
        ("p95", None, "unknown"),
        ("p95", math.nan, "unknown"),
    ],
)
def test_figures_in_words(name, value, shown):
    assert conditions.words(name, value) == shown
