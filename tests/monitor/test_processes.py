"""Several processes, as gunicorn forks them: what they counted is told as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Page

WORKERS, ROWS, THREADS = 6, 200, 4
TOTAL = (WORKERS + 1) * ROWS * THREADS


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What the master said: its workers' exit codes, and the page while one was busy and after all."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path_factory.mktemp("values"))}
    command = [sys.executable, str(Path(__file__).with_name("prefork.py")), str(WORKERS), str(ROWS)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert "failed" not in ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture
def page(served):
    return Page(served["after"])


def test_no_worker_hangs_in_a_lock_that_it_inherited(served):
    assert served["codes"] == [0] * (WORKERS + 1)


def test_totals_are_those_of_all_processes(page):
    assert page.value("ml_predictions_total", status="success") == TOTAL + 1
    assert page.buckets("ml_feature_value", feature="amount") == [0, TOTAL + 1, 0, 0]
    assert page.value("ml_feature_value_sum", feature="amount") == 5.0 * (TOTAL + 1)
    assert page.value("ml_feature_category_total", feature="country", category="at") == TOTAL + 1
    assert page.value("ml_prediction_duration_seconds_count") == TOTAL + 1
    assert page.value("ml_labels_total", outcome="wrong") == TOTAL / 4
    assert page.value("ml_labels_total", outcome="right") == TOTAL * 3 / 4
    assert page.all("ml_monitor_errors_total") == {}


def test_gauges_are_added_up_or_not_as_they_mean(page, served):
    assert Page(served["during"]).value("ml_predictions_in_flight") == 1
    assert page.value("ml_predictions_in_flight") == 0
    assert page.value("ml_model_accuracy") == 0.75
    assert page.value("ml_feature_reference_rows", feature="amount") == 125
    assert sorted(page.all("ml_feature_reference_share", feature="amount").values()) == [0.1, 0.5, 0.9]


def test_a_bucket_and_its_share_have_the_same_edge_to_the_letter(page):
    buckets = {dict(labels)["le"] for labels in page.all("ml_feature_value_bucket", feature="amount")}
    assert buckets == {"+Inf"} | {
        dict(labels)["le"] for labels in page.all("ml_feature_reference_share", feature="amount")
    }
