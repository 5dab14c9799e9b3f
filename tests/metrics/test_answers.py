"""What answers say, whoever gave them: Prometheus, VictoriaMetrics, Thanos, Mimir, or nobody that should have."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.metrics import answers
from mlconsole.metrics.answers import Question, read

DATE = {"date": "Tue, 24 Nov 2026 15:00:07 GMT"}


def body(result, **more):
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}} | more).encode()


def told(result, **more):
    return read(200, DATE, body(result, **more), "http://prometheus", 1795532400.0)


def test_a_gap_a_nan_and_an_infinity_are_what_they_are():
    reply = told([{"metric": {"a": "b"}, "values": [[10, "1.5"], [20, "NaN"], [40, "+Inf"], [50, "-Inf"]]}])
    [row] = reply.rows
    assert (row.labels, row.times) == ({"a": "b"}, [10.0, 20.0, 40.0, 50.0])
    assert row.values[0] == 1.5
    assert all(map(math.isnan, row.values[1:]))


def test_every_digit_arrives():
    [row] = told(
        [{"metric": {}, "values": [[1, "0.1000000000000000055511151231257827"], [2, "1.7976931348623157e308"]]}]
    ).rows
    assert row.values == [0.1, 1.7976931348623157e308]


@pytest.mark.parametrize(
    ("more", "warnings"),
    [
        ({"warnings": ["store eu-2 did not answer"]}, ("store eu-2 did not answer",)),
        ({"infos": ["not a counter: x"]}, ("not a counter: x",)),
        ({"warnings": None, "infos": None, "errorType": "", "error": None}, ()),
        ({"isPartial": True, "stats": {"seriesFetched": "3", "executionTimeMsec": 1}}, (answers.PARTIAL,)),
        ({"isPartial": False}, ()),
        ({"isPartial": True, "warnings": ["w"], "infos": ["i"]}, (answers.PARTIAL, "w", "i")),
        ({"warnings": [str(number) for number in range(100)]}, ("0", "1", "2", "3", "4")),
    ],
)
def test_what_is_said_beside_the_figures_is_kept(more, warnings):
    reply = told([], **more)
    assert (reply.rows, reply.failure, reply.warnings) == ((), None, warnings)


def test_an_answer_with_fields_left_out_is_one():
    assert read(200, {}, b'{"data":{"result":null}}', "x", 0.0).failure is None
    assert read(200, {}, b'{"status":"success","data":{"result":[{"value":[1,"2"]}]}}', "x", 0.0).rows[0].labels == {}


def test_samples_of_a_native_histogram_are_no_figures_and_no_error():
    histogram = {"count": "4", "sum": "1", "buckets": [[0, "0", "1", "4"]]}
    reply = told(
        [
            {"metric": {"a": "1"}, "histograms": [[1, histogram]]},
            {"metric": {"a": "2"}, "histogram": [1, histogram]},
            {"metric": {"a": "3"}, "values": [[1, "2"]], "histograms": [[2, histogram]]},
        ]
    )
    assert [row.values for row in reply.rows] == [[], [], [2.0]]


def test_a_scalar_is_of_no_colour():
    assert read(200, {}, b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', "x", 0.0).rows == ()


def test_a_million_series_are_refused_with_words():
    series = [{"metric": {"a": str(number)}, "value": [1, "1"]} for number in range(answers.MAX_SERIES + 1)]
    failure = told(series).failure
    assert failure.kind == "query"
    assert "over 10,000 series" in failure.why
    assert "narrower" in failure.hint
    assert told(series[:-1]).failure is None


def test_no_more_series_are_asked_for_than_are_read():
    assert Question("up").parameters(6.0) == ("query", {"query": "up", "timeout": "6s", "limit": "10001"})
    word, sent = Question("up", 10, 20, 5).parameters(2.5)
    assert (word, sent["start"], sent["end"], sent["step"], sent["timeout"]) == ("query_range", "10", "20", "5", "2.5s")


def test_a_label_of_ten_kilobytes_is_only_long():
    [row] = told([{"metric": {"class": "x" * 10_000}, "value": [1, "1"]}]).rows
    assert len(row.labels["class"]) == 10_000


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        (DATE, 7.5),
        (DATE | {"age": "0"}, 7.5),
        (DATE | {"age": "120"}, None),
        ({"date": "yesterday"}, None),
        ({"date": "Tue, 24 Nov 99999 15:00:07 GMT"}, None),
        ({}, None),
    ],
)
def test_the_servers_clock_is_read_where_it_is_the_servers(headers, ahead):
    assert read(200, headers, body([]), "x", 1795532400.0).ahead == ahead
    assert read(503, headers, b"no", "x", 1795532400.0).ahead == ahead


@given(st.binary(max_size=200))
def test_no_answer_raises(data):
    reply = read(200, {}, data, "x", 0.0)
    assert reply.failure is not None or reply.rows == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metric", "value", "values"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_no_result_raises(result):
    reply = told(result)
    assert isinstance(reply.rows, tuple)
