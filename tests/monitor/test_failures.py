"""Whatever fails in monitoring: the prediction is made, the failure is counted and said once."""

import logging

import pytest

from mlconsole.monitor import ModelMonitor, families

from .conftest import scrape


class Broken:
    """Raises at whatever is done with it."""

    def __getattr__(self, name):
        raise RuntimeError("no such thing")

    def __iter__(self):
        raise RuntimeError("not this way")

    def __float__(self):
        raise RuntimeError("nor this")

    __hash__ = None


def broken_judge(_prediction, _actual):
    raise RuntimeError("cannot say")


def block(monitor):
    with monitor.prediction(Broken()) as one:
        one.prediction = Broken()


CALLS = {
    "features": ("log_prediction", lambda monitor: monitor.log_prediction(Broken(), 0.5)),
    "prediction": ("log_prediction", lambda monitor: monitor.log_prediction(None, Broken())),
    "latency": ("log_prediction", lambda monitor: monitor.log_prediction(None, 0.5, latency=Broken())),
    "id": ("log_prediction", lambda monitor: monitor.log_prediction(None, 0.5, id=Broken())),
    "judge": ("label", lambda monitor: monitor.log_prediction(None, 0.5, 1)),
    "label": ("log_label", lambda monitor: monitor.log_label(Broken(), 1)),
    "batch": ("log_batch", lambda monitor: monitor.log_batch(Broken(), [1])),
    "error": ("log_error", lambda monitor: monitor.log_error(status=Broken())),
    "block": ("log_prediction", block),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_never_raises(registry, reference, caplog, name):
    kind, call = CALLS[name]
    monitor = ModelMonitor("m", "1", reference=reference, registry=registry, right=broken_judge)
    for _ in range(3):
        call(monitor)
    assert scrape(registry).value("ml_monitor_errors_total", kind=kind) == 3
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "serving goes on" in said[0].message


def test_a_log_that_raises_is_no_reason_to_fail(registry):
    class Full(logging.Handler):
        def handle(self, record):
            raise OSError("disk full")

    handler, logger = Full(), logging.getLogger("mlconsole.monitor")
    logger.addHandler(handler)
    try:
        ModelMonitor("m", "1", registry=registry).log_prediction(None, Broken())
    finally:
        logger.removeHandler(handler)
    assert scrape(registry).value("ml_monitor_errors_total", kind="log_prediction") == 1


def test_the_blocks_own_exception_gets_out(monitor, registry):
    with pytest.raises(ZeroDivisionError), monitor.prediction({"amount": 5.0}):
        raise ZeroDivisionError
    page = scrape(registry)
    assert page.value("ml_predictions_total", status="error") == 1
    assert page.value("ml_prediction_errors_total") == 1
    assert page.value("ml_predictions_in_flight") == 0
    assert page.value("ml_prediction_duration_seconds_count") == 1


def test_a_scrape_of_others_goes_on(monitor, registry, monkeypatch, caplog):
    from prometheus_client import Gauge

    Gauge("of_the_application", "x", registry=registry).set(3)
    monkeypatch.setattr(families, "counted", broken_judge)
    monkeypatch.setattr("mlconsole.monitor.figures.counted", broken_judge)
    page = scrape(registry)
    assert page.value("of_the_application") == 3
    assert "failed in collect" in caplog.text


def test_a_thread_that_cannot_start_costs_its_figures_alone(monitor, registry):
    def start():
        raise RuntimeError("can't start new thread")

    monitor.figures.on_thread.append(start)
    monitor.log_prediction({"amount": 5.0}, 0.5)
    page = scrape(registry)
    assert page.value("ml_predictions_total", status="success") == 1
    assert page.value("ml_monitor_errors_total", kind="start") == 1


def test_functions_are_timed_whatever_comes_of_them(monitor, registry):
    @monitor.timed
    def predict(row):
        return 1 / row[0]

    assert predict([2.0, 7.0, "at"]) == 0.5
    with pytest.raises(ZeroDivisionError):
        predict([0.0, 7.0, "at"])
    page = scrape(registry)
    assert page.all("ml_predictions_total") == {(("status", "success"),): 1, (("status", "error"),): 1}
    assert page.buckets("ml_prediction_value") == [0, 1, 0, 0]


async def test_coroutines_too(monitor, registry):
    @monitor.timed
    async def predict(row):
        monitor.log_prediction(row, 0.1)  # told once more inside: one prediction all the same
        return None

    await predict([2.0, 7.0, "at"])
    page = scrape(registry)
    assert page.value("ml_prediction_duration_seconds_count") == 1
