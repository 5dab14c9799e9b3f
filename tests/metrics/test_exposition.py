import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mlconsole.demo import plainmodels
from mlconsole.demo.modelserver import Figures, Model
from mlconsole.metrics.exposition import MAX_BODY, Malformed, Parser

PREDICTIONS = "ml_predictions_total"


def ours(text, *names, parser=None):
    return [(s.name, s.labels, s.value) for s in (parser or Parser()).samples(text, names)]


def library(text, *names):
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return [(s.name, s.labels, s.value) for s in samples if s.name in names]


def same(one, other):
    # As text: NaN is not equal to itself, and the library gives whole numbers as int.
    return [(n, ls, repr(float(v))) for n, ls, v in one] == [(n, ls, repr(float(v))) for n, ls, v in other]


values = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
figures = st.floats(0, 1e15, allow_nan=False) | st.just(math.inf) | st.just(math.nan)


@given(st.lists(st.tuples(values, values, figures), min_size=1, max_size=8, unique_by=lambda row: row[:2]))
def test_any_labels_and_numbers_are_read_as_the_library_reads_them(rows):
    registry = CollectorRegistry()
    gauge = Gauge(PREDICTIONS, "x", ["status", "model"], registry=registry)
    Gauge("other", "y", ["z"], registry=registry).labels(rows[0][0]).set(1)
    for status, model, value in rows:
        gauge.labels(status, model).set(value)
    text = generate_latest(registry).decode()
    parser = Parser()
    for _ in range(2):  # the second time from memory
        assert same(ours(text, PREDICTIONS, parser=parser), library(text, PREDICTIONS))


@pytest.fixture
def page_text(tmp_path):
    """The page of an embedded model server that has seen a thousand requests."""
    figures = Figures(Model(plainmodels.write(tmp_path)["fraud-scorer", "12"]), "blue")
    drawn = random.Random(1)
    for _ in range(1000):
        figures.seen([drawn.gauss(40, 20) for _ in range(5)])
        figures.statuses["success"] += 1
        figures.duration.add(drawn.lognormvariate(-3, 0.5))
    return figures.text()


def test_the_page_of_a_model_server(page_text):
    families = (
        PREDICTIONS,
        "ml_prediction_duration_seconds_bucket",
        "ml_feature_value_bucket",
        "process_start_time_seconds",
    )
    families += ("ml_feature_reference_share", "ml_prediction_errors_total")
    assert same(ours(page_text, *families), library(page_text, *families))
    page = Parser().page(page_text.encode())
    assert (page.requests, page.errors, page.color, page.version) == (1000, 0, "blue", "12")
    assert page.buckets[math.inf] == 1000
    assert len(page.features) == len(page.references) == 5
    assert page.features["amount"].keys() == {*page.references["amount"], math.inf}
    assert Parser().page(page_text.encode(), features=False).features == {}


def test_the_page_of_the_plain_client_library():
    registry = CollectorRegistry()
    counter = Counter("ml_predictions_total", "n", ["status"], registry=registry)
    counter.labels("success").inc(7)
    counter.labels("error").inc(3)
    Histogram("ml_prediction_duration_seconds", "s", registry=registry).observe(0.02)
    page = Parser().page(generate_latest(registry))
    assert (page.requests, page.errors) == (10, 3)
    assert page.buckets[0.025] == page.buckets[math.inf] == 1


@pytest.mark.parametrize(
    ("text", "requests", "errors"),
    [
        ("ml_predictions_total 5\n", 5, None),
        ('ml_predictions_total{status="ok"} 5\n', 5, 0),
        ('ml_predictions_total{status="ok",} 5 1700000000000\n', 5, 0),
        ('  ml_predictions_total { status = "ok" , model="a b" }   5 # {trace="x"} 1 2\n', 5, 0),
        ('ml_predictions_total{status="a\\"} 9\\\\"} 5\r\n', 5, 0),
        ("ml_predictions_total 1e3\nml_prediction_errors_total 2\n", 1000, 2),
        ("ml_predictions_total NaN\nml_prediction_errors_total 2\n", None, None),
        ("ml_predictions_total +Inf\n", None, None),
        ('ml_predictions_total{status="a"} -1\nml_predictions_total{status="b"} 4\n', None, None),
        ("# ml_predictions_total 4\nml_predictions_total_created 4\n", None, None),
        ('ml_predictions_total{x="' + "y" * 10_000 + '"} 5\n', 5, None),
        ("", None, None),
    ],
)
def test_lines_as_servers_write_them(text, requests, errors):
    page = Parser().page(text.encode())
    assert (page.requests, page.errors) == (requests, errors)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>\n", "HTML"),
        (b'{"error": "x"}\n', "JSON"),
        (b"ml_predictions_total 12", "cut short"),
        (b"#\n" * (MAX_BODY // 2), "cut short"),
        (b"#\n" * 60_000, "more than"),
        (b"ml_predictions_total\n", "value is missing"),
        (b"ml_predictions_total 1 2 3\n", "value is missing"),
        (b"ml_predictions_total ten\n", "no number"),
        (b'ml_predictions_total{status="a 5\n', "labels"),
        (b"\xff\xfe\x00ml\n", "UTF-8"),
    ],
)
def test_what_is_no_page_is_refused_with_words(body, words):
    with pytest.raises(Malformed, match=words):
        Parser().page(body)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_page_or_malformed(data):
    for body in (data, data + b"\n", b"ml_predictions_total{" + data + b"\n"):
        try:
            Parser().page(body)
        except Malformed:
            continue


def test_labels_that_never_repeat_do_not_fill_the_memory():
    parser = Parser(remembered=10)
    for number in range(100):
        parser.page(f'ml_predictions_total{{id="{number}"}} 1\n'.encode())
    assert len(parser._known) <= 10
