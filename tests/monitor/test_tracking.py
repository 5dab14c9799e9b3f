"""MLflow, for real on SQLite, dead, and hanging."""

import logging
import os
import socket
import time

import pytest
from prometheus_client import CollectorRegistry

from mlconsole.domain.reference import ARTIFACT
from mlconsole.monitor import ModelMonitor
from mlconsole.monitor.reference import load, log_reference
from mlconsole.monitor.tracking import WAITING, Tracker

from .conftest import scrape

DEADLINE = 60.0
LONG = 3600.0


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    return folder, f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def client(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store[1])
    monkeypatch.chdir(store[0])
    import mlflow

    return mlflow.MlflowClient()


def runs_of(client, model):
    experiment = client.get_experiment_by_name(f"{model}_monitoring")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def history(client, run, key):
    return [metric.value for metric in client.get_metric_history(run.info.run_id, key)]


def test_one_run_with_summaries_not_one_a_prediction(client, registry):
    monitor = ModelMonitor("tracked", "7", registry=registry, color="blue", mlflow_every=LONG)
    for number in range(100):
        monitor.log_prediction(None, 0.25, actual=0.25 if number % 4 else 1.0, latency=0.02)
    for _ in range(25):
        monitor.log_error(latency=0.7)
    monitor.close(DEADLINE)
    (run,) = runs_of(client, "tracked")
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model_version": "7"}
    assert run.data.tags["color"] == "blue"
    metrics = run.data.metrics
    assert metrics == pytest.approx(
        {
            "predictions": 125,
            "error_share": 0.2,
            "latency_p50_seconds": 0.01 + 0.015 * 62.5 / 100,
            "latency_p95_seconds": 0.5 + 0.25 * 18.75 / 25,
            "prediction_mean": 0.25,
            "accuracy": 0.75,
        }
    )
    assert history(client, run, "predictions") == [125]


def test_intervals_are_told_each_on_its_own(client, registry):
    monitor = ModelMonitor("intervals", "1", registry=registry)
    tracker = Tracker(monitor.figures, LONG)
    for count in (3, 0, 5):
        for _ in range(count):
            monitor.log_prediction(None, 0.5)
        tracker._step()
    (run,) = runs_of(client, "intervals")
    assert sorted(history(client, run, "predictions")) == [3, 5]


def test_a_run_may_be_given(client, registry):
    run = client.create_run(client.create_experiment("given")).info.run_id
    monitor = ModelMonitor("into-a-run", "1", registry=registry, mlflow_every=LONG, mlflow_run=run)
    monitor.log_prediction(None, 0.5)
    monitor.close(DEADLINE)
    assert client.get_run(run).data.metrics["predictions"] == 1
    assert client.get_run(run).info.status == "RUNNING"  # whose it is ends it
    assert runs_of(client, "into-a-run") == []


def test_a_forked_child_has_a_run_of_its_own(client, registry):
    monitor = ModelMonitor("forked", "1", registry=registry, mlflow_every=LONG)
    monitor.log_prediction(None, 0.5)
    child = os.fork()
    if child == 0:
        for _ in range(2):
            monitor.log_prediction(None, 0.5)
        monitor.close(DEADLINE)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    monitor.close(DEADLINE)
    assert sorted(run.data.metrics["predictions"] for run in runs_of(client, "forked")) == [1, 2]


@pytest.fixture
def hanging():
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_hangs_is_in_nobodys_way(hanging, monkeypatch, registry, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", hanging)
    monitor = ModelMonitor("hanging", "1", registry=registry, mlflow_every=0.001)
    started = time.thread_time()
    for _ in range(1000):
        monitor.log_prediction(None, 0.5)
    assert time.thread_time() - started < 1.0
    monitor.close(0.1)
    assert "given up on" in caplog.text


def test_a_reference_that_does_not_come_does_not_keep_a_server_down(hanging, monkeypatch, registry, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", hanging)
    monkeypatch.setattr("mlconsole.monitor.monitor.PATIENCE", 0.05)
    monitor = ModelMonitor("m", "1", reference="models:/scorer@champion", registry=registry)
    monitor.log_prediction([1.0], 0.5)
    page = scrape(registry)
    assert page.value("ml_predictions_total", status="success") == 1
    assert page.value("ml_monitor_errors_total", kind="reference") == 1
    assert "did not come within" in caplog.text


def test_a_dead_server_costs_a_counter_and_the_oldest(monkeypatch, registry, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monitor = ModelMonitor("dead", "1", registry=registry)
    tracker = Tracker(monitor.figures, LONG)
    for _ in range(WAITING + 2):
        monitor.log_prediction(None, 0.5)
        tracker._step()
    assert len(tracker._queue) == WAITING
    page = scrape(registry)
    assert page.value("ml_monitor_errors_total", kind="mlflow") == WAITING + 2
    assert page.value("ml_monitor_errors_total", kind="mlflow_dropped") == 2
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 2  # one of a kind


def test_without_mlflow_it_serves_on(monkeypatch, registry):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    monitor = ModelMonitor("m", "1", registry=registry, mlflow_every=LONG)
    monitor.log_prediction(None, 0.5)
    page = scrape(registry)
    assert page.value("ml_monitor_errors_total", kind="mlflow") == 1
    assert page.value("ml_predictions_total", status="success") == 1


def test_a_reference_goes_to_its_run_and_comes_back(client, reference):
    run = client.create_run(client.create_experiment("training")).info.run_id
    log_reference(reference, run)
    assert [file.path for file in client.list_artifacts(run, "mlconsole")] == [ARTIFACT]
    client.create_registered_model("scorer")
    client.create_model_version("scorer", "somewhere", run_id=run)
    client.set_registered_model_alias("scorer", "champion", "1")
    for place in (f"runs:/{run}", f"runs:/{run}/{ARTIFACT}", "models:/scorer/1", "models:/scorer@champion"):
        assert load(place) == reference
    served = ModelMonitor("scorer", "1", reference="models:/scorer@champion", registry=CollectorRegistry())
    assert served.figures.reference == reference
