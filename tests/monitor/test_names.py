"""The names are a contract: the console's panels and drift table ask for them."""

import logging
import math
import subprocess
import sys

import pytest
from prometheus_client import REGISTRY, Counter

from mlconsole.domain.reference import Categorical, Numeric, Reference, encode
from mlconsole.metrics.exposition import Parser
from mlconsole.monitor import ModelMonitor

from .conftest import WHO, scrape

FEATURES = {"amount": 70.0, "hour": 13, "country": "de"}


IMPORTED = """
import sys
known = set(sys.modules)
import mlconsole.monitor.reference
assert "prometheus_client" not in sys.modules  # a training needs none
from mlconsole.monitor import *
new = set(sys.modules) - known
print(*sorted({name.partition(".")[0] for name in new} - sys.stdlib_module_names - {"typing_extensions"}))
print(*sorted(name for name in new if name.startswith("mlconsole.") and not name.startswith("mlconsole.monitor")))
"""


def test_importing_it_imports_no_more_than_a_slim_image_has():
    # msgspec looks for typing_extensions, and does without.
    ran = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "mlconsole msgspec prometheus_client",
        "mlconsole.domain mlconsole.domain.reference",
    ]


def test_every_metric_says_who(monitor, registry):
    monitor.log_prediction(FEATURES, 0.6, 0.65, latency=0.02)
    page = scrape(registry)
    assert all(WHO.items() <= sample.labels.items() for sample in page.samples)
    assert {
        sample.name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for sample in page.samples
    } == {
        *("ml_predictions_total", "ml_prediction_errors_total", "ml_prediction_duration_seconds"),
        *("ml_predictions_in_flight", "ml_predictions_unlabelled", "ml_predictions_forgotten_total"),
        *("ml_model_accuracy", "ml_labels_total", "ml_label_delay_seconds", "ml_labels_unmatched_total"),
        *("ml_feature_value", "ml_feature_missing_total", "ml_feature_category_total", "ml_prediction_value"),
        *("ml_feature_reference_rows", "ml_feature_reference_share", "ml_feature_reference_missing_share"),
        *("ml_feature_reference_category_share", "ml_prediction_reference_share"),
    }


def test_the_console_reads_it(monitor, registry):
    monitor.log_prediction(FEATURES, 0.6, latency=0.02)
    monitor.log_error(0.5)
    page = Parser().page(scrape(registry).text.encode())
    assert (page.requests, page.errors, page.color, page.version) == (2, 1, "green", "13")
    assert page.buckets[0.025] == 1
    assert page.features["amount"] == {10.0: 0, 50.0: 0, 100.0: 1, math.inf: 1}
    assert page.references["amount"] == {10.0: 0.1, 50.0: 0.5, 100.0: 0.9}


def test_the_reference_is_told(monitor, registry):
    page = scrape(registry)
    assert page.value("ml_feature_reference_rows", feature="amount") == 125
    assert page.value("ml_feature_reference_missing_share", feature="amount") == 0.2
    assert page.all("ml_feature_reference_category_share", feature="country") == {
        (("category", "at"),): 0.6,
        (("category", "de"),): 0.3,
        (("category", "__other__"),): 0.1,
    }
    assert page.all("ml_prediction_reference_share") == {
        (("le", "0.25"),): 0.4,
        (("le", "0.5"),): 0.7,
        (("le", "0.75"),): 0.9,
    }


def test_bounds_of_a_reference_with_ten_thousand_categories(registry):
    names = {f"c{number}": float(number) for number in range(10_000)}
    ModelMonitor("m", "1", reference=Reference({"x": Categorical(names)}), registry=registry).log_prediction(
        ["c1"], None
    )
    page = scrape(registry)
    assert len(page.all("ml_feature_category_total")) == 501
    assert page.value("ml_feature_category_total", feature="x", category="__other__") == 1
    assert sum(page.all("ml_feature_reference_category_share").values()) == pytest.approx(1)


def test_classes_are_counted_by_name(registry):
    reference = Reference({}, Categorical({"spam": 30.0, "ham": 70.0}))
    monitor = ModelMonitor("m", "1", reference=reference, registry=registry)
    monitor.log_prediction(None, "spam", "spam")
    monitor.log_prediction(None, "eggs", "ham")
    page = scrape(registry)
    counts = {"spam": 1, "ham": 0, "__other__": 1}
    assert page.all("ml_prediction_class_total") == {(("class", name),): count for name, count in counts.items()}
    assert page.all("ml_prediction_reference_class_share")[(("class", "spam"),)] == 0.3
    assert page.value("ml_model_accuracy") == 0.5


def test_as_the_seed_calls_it(monkeypatch, caplog):
    monkeypatch.setenv("COLOR", "blue")
    monitor = ModelMonitor("seed-model", "3")
    try:
        for _ in range(2):
            monitor.log_prediction([1.0, 2.0, 3.0, 4.0], 0.87, actual=0.9, latency=0.031)
        seed = {"model": "seed-model", "version": "3", "color": "blue"}
        assert REGISTRY.get_sample_value("ml_predictions_total", {**seed, "status": "success"}) == 2
        assert REGISTRY.get_sample_value("ml_prediction_duration_seconds_sum", seed) == pytest.approx(0.062)
        assert REGISTRY.get_sample_value("ml_model_accuracy", seed) == 1.0
        assert [record.levelno for record in caplog.records] == [logging.WARNING]  # no reference: said once
        assert "no reference" in caplog.text
    finally:
        monitor.close()
    assert REGISTRY.get_sample_value("ml_model_accuracy", seed) is None


def test_two_models_share_a_page_and_two_monitors_of_one_model_a_count(registry, reference):
    one = ModelMonitor("m", "1", reference=reference, registry=registry)
    again = ModelMonitor("m", "1", reference=reference, registry=registry)
    other = ModelMonitor("m", "2", registry=registry)
    for monitor in (one, again, other):
        monitor.log_prediction(None, 0.5)
    one.close()
    page = scrape(registry)
    values = {s.labels["version"]: s.value for s in page.samples if s.name == "ml_predictions_total" and s.value}
    assert values == {"1": 2, "2": 1}


def test_a_reference_may_be_a_file(registry, reference, tmp_path):
    file = tmp_path / "reference.json"
    file.write_bytes(encode(reference))
    monitor = ModelMonitor("m", "1", reference=str(file), registry=registry)
    assert monitor.figures.reference == reference


@pytest.mark.parametrize("content", [None, b"{", encode(Reference({"x": Numeric((2.0, 1.0), (1.0, 1.0, 1.0))}))])
def test_a_reference_that_cannot_be_read_does_not_keep_a_server_down(registry, tmp_path, caplog, content):
    file = tmp_path / "reference.json"
    if content is not None:
        file.write_bytes(content)
    monitor = ModelMonitor("m", "1", reference=file, registry=registry)
    monitor.log_prediction([1.0], 0.5)
    page = scrape(registry)
    assert page.value("ml_monitor_errors_total", kind="reference") == 1
    assert page.value("ml_predictions_total", status="success") == 1
    assert "reference" in caplog.text


def test_a_name_that_is_taken_is_said(registry, caplog):
    Counter("ml_predictions", "of the application", registry=registry)
    monitor = ModelMonitor("m", "1", registry=registry)
    monitor.log_prediction(None, 0.5)
    monitor.close()
    assert "ml_predictions_total" in caplog.text
