import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.plans import Verdict
from mlconsole.domain.registry import Field
from mlconsole.domain.smoke import Answer, Wanted, fault, judge, misfit

RIGHT = Answer("fraud-1", 200, 0.1, b'{"prediction": 0.7}')


def answer(body, status=200, seconds=0.1):
    return Answer("fraud-1", status, seconds, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (RIGHT, ""),
        (answer({"prediction": [0.7]}), ""),
        (answer({"prediction": 0}), ""),
        (answer({"error": "no store"}, 500), 'answered 500: {"error": "no store"}'),
        (answer(b"", 204), "answered no JSON: nothing"),
        (answer(b"<html>"), "answered no JSON: <html>"),
        (answer(b"\xff\xfe"), "answered no JSON: ��"),
        (answer(b'{"prediction": NaN}'), 'answered no JSON: {"prediction": NaN}'),
        (answer(b"[" * 900 + b"]" * 900), "answered JSON that is nested more than 20 deep"),
        (answer({"score": 1}), "answered without 'prediction': {\"score\": 1}"),
        (answer([1]), "answered without 'prediction': [1]"),
        (answer({"prediction": None}), "answered 'prediction' as null"),
        (answer({"prediction": 1}, seconds=2.5), "took 2.50 s"),
        (Answer("fraud-1", 200, 0.1, RIGHT.body, wrong="answered as v12"), "answered as v12"),
    ],
)
def test_what_is_wrong_with_an_answer(given, words):
    assert fault(given, Wanted(max_seconds=1.0)) == words


def test_any_json_will_do_where_no_key_is_asked_for():
    assert fault(answer([1, 2]), Wanted(key="")) == ""
    assert fault(answer(b"1, 2"), Wanted(key="")) == "answered no JSON: 1, 2"


def test_an_answer_is_text_and_nothing_else():
    words = fault(answer(b"\x1b[31mred [bold]x[/bold]"), Wanted())
    assert words == "answered no JSON: ␛[31mred [bold]x[/bold]"


@pytest.mark.parametrize(
    ("value", "types", "words"),
    [
        (0.7, "double", ""),
        (1, "float64[-1]", ""),
        ([0.7], "float64[-1]", ""),
        ("0.7", "double", 'gave "0.7" where the signature says double'),
        (True, "double", "gave true where the signature says double"),
        (1, "long", ""),
        (1.0, "int64[-1]", ""),
        (0.7, "int64[-1]", "gave 0.7 where the signature says int64[-1]"),
        ([1, None], "int64[-1]", "gave null where the signature says int64[-1]"),
        ([0.1, 0.9], "float64[-1,2]", ""),
        ([[0.1, 0.9]], "float64[-1,2]", ""),
        ([[0.1, 0.5, 0.4]], "float64[-1,2]", "gave 3 values a row, the signature float64[-1,2]"),
        ("fraud", "string", ""),
        (1, "string", "gave 1 where the signature says string"),
        (False, "boolean", ""),
        ("no", "boolean", 'gave "no" where the signature says boolean'),
        ([0.1, 0.2], "array<double>", ""),
        ({"x": 1}, "object", ""),
    ],
)
def test_a_value_is_held_to_the_signature(value, types, words):
    assert misfit(value, (Field("", types),)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"label": "a", "score": 0.5}, ""),
        ([{"label": "a", "score": 0.5}], ""),
        ([["a", 0.5]], ""),
        ({"label": "a"}, "gave no score"),
        (["a"], 'gave "a" where the signature has 2 columns'),
        (["a", 1, 2], "gave 3 values where the signature has 2"),
        ({"label": 1, "score": 0.5}, "gave 1 where the signature says label: string"),
    ],
)
def test_several_outputs_are_held_to_their_names(value, words):
    outputs = (Field("label", "string"), Field("score", "double"), Field("note", "string", required=False))
    assert misfit(value, outputs if isinstance(value, dict) else outputs[:2]) == words


def test_the_gate_says_the_worst_answer_and_how_many():
    bad = answer({"error": "\x1b[2J"}, 500, 0.4)
    gate = judge([RIGHT, answer({"x": 1}), bad], Wanted(max_seconds=1), "POST /predict to fraud-1")
    assert gate.verdict is Verdict.FAIL
    assert gate.value.startswith("2 of 3 wrong; pod fraud-1 answered 500: ")
    assert gate.value.isprintable()
    assert gate.limit == "all answer 'prediction' within 1 s"
    assert gate.evidence == "POST /predict to fraud-1; schema: none in the signature; slowest 0.400 s"


def test_a_pod_that_was_not_asked_is_unknown_and_a_wrong_answer_is_worse():
    silent = Answer("fraud-2", silent="not allowed")
    gate = judge([RIGHT, silent], Wanted(), "")
    assert (gate.verdict, gate.value) == (Verdict.UNKNOWN, "1 of 2 not known; pod fraud-2: not allowed")
    assert judge([silent, answer(b"")], Wanted(), "").verdict is Verdict.FAIL
    assert judge([], Wanted(), "").verdict is Verdict.UNKNOWN


ANSWERS = st.builds(
    Answer,
    pod=st.just("p"),
    status=st.sampled_from([200, 200, 204, 301, 500]),
    seconds=st.floats(0, 10),
    body=st.binary(max_size=20) | st.sampled_from([b'{"prediction": 1}', b'{"prediction": [[]]}']),
    silent=st.sampled_from(["", "", "away"]),
)


@given(st.lists(ANSWERS, max_size=6), st.sampled_from(["double", "int64[-1]", "float64[-1,2]", "string", "odd[x]"]))
def test_a_gate_passes_only_where_every_answer_is_right(answers, kind):
    wanted = Wanted(max_seconds=5, outputs=(Field("", kind),))
    gate = judge(answers, wanted, "")
    right = bool(answers) and all(not one.silent and not fault(one, wanted) for one in answers)
    assert (gate.verdict is Verdict.PASS) == right
