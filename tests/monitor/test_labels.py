import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from mlconsole.monitor import ModelMonitor

from .conftest import scrape


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@given(st.integers(1, 6), st.lists(st.booleans(), min_size=1, max_size=30))
def test_accuracy_is_of_the_last_labels(window, outcomes):
    registry = CollectorRegistry()
    monitor = ModelMonitor("m", "1", registry=registry, window=window)
    for right in outcomes:
        monitor.log_prediction(None, 1.0, 1.05 if right else 0.0)
    page = scrape(registry)
    last = outcomes[-window:]
    assert page.value("ml_model_accuracy") == sum(last) / len(last)
    assert page.value("ml_labels_total", outcome="right") == sum(outcomes)
    assert page.value("ml_labels_total", outcome="wrong") == len(outcomes) - sum(outcomes)


def test_without_a_label_there_is_no_accuracy(registry):
    ModelMonitor("m", "1", registry=registry).log_prediction(None, 1.0)
    assert scrape(registry).all("ml_model_accuracy") == {}


@pytest.mark.parametrize(
    ("prediction", "actual", "right"),
    [(0.9, 1, True), (0.89, 1, False), ("spam", "spam", True), ("spam", "ham", False), (True, 1, True), ("1", 1, True)],
)
def test_what_is_right(registry, prediction, actual, right):
    ModelMonitor("m", "1", registry=registry, tolerance=0.105).log_prediction(None, prediction, actual)
    assert scrape(registry).value("ml_model_accuracy") == right


def test_what_is_right_may_be_the_services_own(registry):
    monitor = ModelMonitor("m", "1", registry=registry, right=lambda said, true: (said > 0.5) == true)
    monitor.log_prediction(None, 0.7, True)
    assert scrape(registry).value("ml_model_accuracy") == 1


def test_labels_come_late(registry, clock):
    monitor = ModelMonitor("m", "1", registry=registry, clock=clock)
    for name in ("a", "b", "c"):
        monitor.log_prediction(None, 0.2, id=name)
    clock.now += 3000
    monitor.log_label("a", 0.25)
    monitor.log_label("b", 1.0)
    monitor.log_label("a", 0.25)  # twice
    monitor.log_label("stranger", 1.0)
    monitor.log_label("of another process", 1.0, prediction=0.95)
    page = scrape(registry)
    assert page.all("ml_labels_total") == {(("outcome", "right"),): 2, (("outcome", "wrong"),): 1}
    assert page.value("ml_labels_unmatched_total") == 2
    assert page.value("ml_predictions_unlabelled") == 1
    assert page.value("ml_label_delay_seconds_sum") == 6000
    assert page.buckets("ml_label_delay_seconds") == [0, 0, 0, 0, 2, 0, 0, 0, 0, 0]


def test_what_waits_is_bounded_in_number_and_time(registry, clock):
    monitor = ModelMonitor("m", "1", registry=registry, clock=clock, remember=3, expire=60)
    for name in range(5):
        monitor.log_prediction(None, 0.2, id=name)
        clock.now += 10
    monitor.log_label(1, 0.2)
    assert scrape(registry).value("ml_predictions_unlabelled") == 3
    clock.now = 1000.0 + 30 + 60.5  # 2 and 3 are too old
    monitor.log_label(3, 0.2)
    monitor.log_label(4, 0.2)
    page = scrape(registry)
    assert page.value("ml_predictions_unlabelled") == 0
    assert page.value("ml_predictions_forgotten_total") == 4
    assert page.value("ml_labels_unmatched_total") == 2
    assert page.value("ml_labels_total", outcome="right") == 1


def test_a_label_that_is_missing_is_none(registry):
    monitor = ModelMonitor("m", "1", registry=registry)
    monitor.log_prediction(None, 0.2, math.nan)
    monitor.log_prediction(None, 0.2, id="a")
    monitor.log_label("a", None)
    page = scrape(registry)
    assert page.all("ml_model_accuracy") == {}
    assert page.value("ml_monitor_errors_total", kind="label") == 2
