"""What is counted is what a plain count of the same values says."""

import math
import os
import sys
import threading
from bisect import bisect_left
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from mlconsole.domain.reference import Numeric, Reference
from mlconsole.monitor import ModelMonitor
from mlconsole.monitor.counting import Numbers

from .conftest import scrape

FEATURES = {"amount": 70.0, "hour": 13, "country": "de"}
edges = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12, unique=True).map(lambda found: tuple(sorted(found)))
numbers = (
    st.floats() | st.integers(-(10**400), 10**400) | st.none() | st.booleans() | st.sampled_from(["12", b"x", [], {}])
)


@given(edges, st.lists(numbers, max_size=60))
def test_buckets_hold_what_bisecting_the_values_says(upper, values):
    registry = CollectorRegistry()
    reference = Reference({"x": Numeric(upper, (0.0,) * (len(upper) + 1))})
    monitor = ModelMonitor("m", "1", reference=reference, registry=registry)
    for value in values:
        monitor.log_prediction({"x": value}, None)
    there = [v for v in values if isinstance(v, int | float) and not (isinstance(v, float) and math.isnan(v))]
    expected = [0] * (len(upper) + 1)
    for value in there:
        expected[bisect_left(upper, value)] += 1
    page = scrape(registry)
    assert page.buckets("ml_feature_value", feature="x") == expected
    assert page.value("ml_feature_missing_total", feature="x") == len(values) - len(there)
    odd = sum(isinstance(value, str | bytes | list | dict) for value in values)
    assert page.value("ml_monitor_errors_total", kind="feature_type") == odd


@given(edges, st.lists(st.floats(), max_size=60), st.sampled_from(["float64", "float32", "object"]))
def test_a_column_counts_as_its_values_do(upper, values, dtype):
    with np.errstate(over="ignore"):
        column = np.array(values).astype(dtype)
    one, other = Numbers(upper), Numbers(upper)
    one.add_many(column)
    for value in column:
        other.add(value)
    assert (one.counts, one.missing, one.odd) == (other.counts, other.missing, other.odd)
    assert one.sum == pytest.approx(other.sum)


@pytest.mark.parametrize(
    "features",
    [
        FEATURES,
        dict(reversed(FEATURES.items()), beside=1),
        [70.0, 13, "de"],
        (np.float32(70), np.int64(13), np.str_("de")),
        np.array([70.0, 13, "de"], dtype=object),
        [[Decimal(70), np.array([13]), "de"]],
        pd.Series(FEATURES),
        pd.Series(FEATURES)[::-1],
        iter([70.0, 13, "de"]),
    ],
    ids=lambda features: type(features).__name__,
)
def test_a_row_may_come_as_a_server_has_it(monitor, registry, features):
    monitor.log_prediction(features, 0.6)
    page = scrape(registry)
    assert page.buckets("ml_feature_value", feature="amount") == [0, 0, 1, 0]
    assert page.buckets("ml_feature_value", feature="hour") == [0, 0, 1, 0]
    assert page.value("ml_feature_category_total", feature="country", category="de") == 1
    assert page.buckets("ml_prediction_value") == [0, 0, 1, 0]


@pytest.mark.parametrize("features", [[1.0, 2.0], [1.0, 2.0, "at", 4.0], "abc", 7, np.array(7.0), []])
def test_what_is_no_row_is_counted_as_that(monitor, registry, features):
    monitor.log_prediction(features, 0.6)
    page = scrape(registry)
    assert page.value("ml_monitor_errors_total", kind="features") == 1
    assert sum(page.buckets("ml_feature_value", feature="amount")) == 0
    assert page.value("ml_predictions_total", status="success") == 1  # it was made all the same


def test_what_is_missing_or_unseen_has_a_place(monitor, registry):
    for amount, country in (
        (None, "fr"),
        (math.nan, ""),
        (pd.NA, None),
        ("12", pd.NaT),
        (5.0, ["at", "de"]),
        (5.0, "x" * 300),
    ):
        monitor.log_prediction({"amount": amount, "country": country}, 0.1)
    page = scrape(registry)
    assert page.all("ml_feature_missing_total") == {
        (("feature", "amount"),): 4,
        (("feature", "hour"),): 6,
        (("feature", "country"),): 4,
    }
    assert page.value("ml_feature_category_total", feature="country", category="__other__") == 2
    assert page.value("ml_monitor_errors_total", kind="feature_type") == 2
    assert len(page.all("ml_feature_category_total")) == 3  # bounded by the reference


FRAME = pd.DataFrame({"country": ["de", "at", "xx"], "amount": [5.0, math.nan, 70.0], "hour": [7, 8, 20]})
IN_ORDER = FRAME[["amount", "hour", "country"]]


@pytest.mark.parametrize(
    "table",
    [
        FRAME,
        FRAME.astype({"country": "category", "hour": "Int64"}),
        {name: list(column) for name, column in FRAME.items()},
        IN_ORDER.to_numpy(),
        IN_ORDER.to_numpy().tolist(),
        FRAME.to_dict("records"),
    ],
    ids=["frame", "typed-frame", "columns", "array", "lists", "records"],
)
def test_a_batch_counts_as_its_rows_do(monitor, registry, table):
    monitor.log_batch(table, np.array([0.1, 0.6, 0.9]), actuals=[0, 1, 1], latency=0.02)
    page = scrape(registry)
    assert page.value("ml_predictions_total", status="success") == 3
    assert page.value("ml_prediction_duration_seconds_count") == 1
    assert page.buckets("ml_feature_value", feature="amount") == [1, 0, 1, 0]
    assert page.buckets("ml_feature_value", feature="hour") == [0, 2, 0, 1]
    assert page.value("ml_feature_missing_total", feature="amount") == 1
    assert page.value("ml_feature_category_total", feature="country", category="__other__") == 1
    assert page.buckets("ml_prediction_value") == [1, 0, 1, 1]
    assert page.all("ml_monitor_errors_total") == {}


def test_a_batch_of_another_width_is_refused_whole(monitor, registry):
    monitor.log_batch(np.zeros((5, 2)), np.zeros(5))
    monitor.log_batch({"amount": [1, 2], "hour": [1]}, [0, 0])
    page = scrape(registry)
    assert page.value("ml_monitor_errors_total", kind="log_batch") == 2
    assert sum(page.buckets("ml_feature_value", feature="amount")) == 0


def test_threads_lose_nothing_and_leave_nothing(monitor, registry):
    many, each = 40, 500

    def serve():
        for _ in range(each):
            with monitor.prediction([5.0, 7.0, "at"]) as one:
                one.prediction, one.actual = 0.3, 0.3

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            threads = [threading.Thread(target=serve) for _ in range(many // 5)]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                scrape(registry)
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    page = scrape(registry)
    assert page.buckets("ml_feature_value", feature="amount") == [many * each, 0, 0, 0]
    assert page.value("ml_feature_value_sum", feature="amount") == 5.0 * many * each
    assert page.value("ml_predictions_total", status="success") == many * each
    assert page.value("ml_labels_total", outcome="right") == many * each
    assert page.value("ml_predictions_in_flight") == 0
    assert len(monitor.figures.tallies._living) == 1  # of the thread that is left


def test_a_forked_child_begins_at_nothing(monitor, registry):
    monitor.log_prediction([5.0, 7.0, "at"], 0.3, id="a")
    child = os.fork()
    if child == 0:
        monitor.log_prediction([5.0, 7.0, "at"], 0.3)
        monitor.log_label("a", 0.3)
        page = scrape(registry)
        counted = page.value("ml_predictions_total", status="success"), page.value("ml_labels_unmatched_total")
        os._exit(0 if counted == (1, 1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert scrape(registry).value("ml_predictions_total", status="success") == 1
