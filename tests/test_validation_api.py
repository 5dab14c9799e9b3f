"""`mlconsole.validation` from Python: the names that people know, on statistics that do not cry wolf."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn import metrics

from mlconsole.domain.drift import Limits
from mlconsole.validation import ModelValidator


def answers(n=1000, wrong=0.1, classes=3):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, classes, n)
    return truth, np.where(rng.random(n) < wrong, rng.integers(0, classes, n), truth)


@pytest.mark.parametrize("kind", [list, np.asarray, pd.Series, pa.array, lambda values: [f"c{v}" for v in values]])
def test_the_metrics_are_scikit_learns_weighted(kind):
    truth, said = answers()
    passed, found = ModelValidator({"accuracy": 0.93}).validate_performance(kind(truth), kind(said))
    assert passed is True
    expected = metrics.precision_recall_fscore_support(truth, said, average="weighted")[:3]
    assert list(found) == ["accuracy", "precision", "recall", "f1_score"]
    assert list(found.values()) == pytest.approx([metrics.accuracy_score(truth, said), *expected])


def test_what_fell_by_more_than_the_threshold_failed():
    truth, said = answers()
    validator = ModelValidator({"accuracy": 0.93, "f1_score": 0.999, "latency": 3.0})
    passed, _ = validator.validate_performance(truth, said, threshold=0.05)
    assert passed is False
    assert validator.validation_results == {"accuracy_validation": "PASSED", "f1_score_validation": "FAILED"}
    assert validator.checks["f1_score_validation"].words.startswith("0.0")
    assert ModelValidator({"f1_score": 0.999}).validate_performance(truth, said, threshold=0.1)[0]


def test_few_rows_and_no_baseline_are_unknown_and_no_pass():
    validator = ModelValidator({"accuracy": 0.5})
    assert validator.validate_performance([0, 1] * 10, [0, 1] * 10)[0] is False
    assert validator.validation_results == {"accuracy_validation": "UNKNOWN"}
    assert ModelValidator({"accuracy": 0.5}, min_rows=10).validate_performance([0, 1] * 10, [0, 1] * 10)[0] is True
    assert ModelValidator({}).validate_performance(*answers())[0] is False
    assert ModelValidator({"accuracy": 0.5}).validate_performance([], [])[0] is False


@pytest.mark.parametrize(
    ("truth", "said", "words"),
    [([1, 0], [1], "2 truths and 1 predictions"), ([1, 0], [1, None], "missing"), ([1, None], [1, 0], "missing")],
)
def test_answers_that_are_not_one_for_each_truth_are_refused(truth, said, words):
    with pytest.raises(ValueError, match=words):
        ModelValidator({"accuracy": 0.9}).validate_performance(truth, said)


def frame(seed, n=2000, moved=0.0):
    rng = np.random.default_rng(seed)
    columns = {f"f{i}": rng.normal(size=n) for i in range(50)}
    land = rng.choice(["de", "fr"], n)
    return pd.DataFrame({**columns, "amount": rng.normal(moved, 1, n), "land": land, "id": [f"r{i}" for i in range(n)]})


def test_of_many_columns_none_is_called_drifted_by_chance():
    validator = ModelValidator({})
    assert validator.validate_data_drift(frame(1), frame(2)) is True
    assert len(validator.validation_results) == 52  # identifiers are no feature
    assert set(validator.validation_results.values()) == {"OK"}


def test_a_column_that_moved_is_detected_from_frames_tables_and_columns():
    for kind in (lambda x: x, pa.Table.from_pandas, lambda x: {name: x[name].tolist() for name in x}):
        validator = ModelValidator({})
        assert validator.validate_data_drift(kind(frame(1)), kind(frame(2, moved=0.5))) is False
        detected = [name for name, said in validator.validation_results.items() if said == "DETECTED"]
        assert detected == ["amount_drift"]
    assert ModelValidator({}).validate_data_drift(frame(1), frame(2, moved=0.5), Limits(min_effect=0.5)) is True


def test_what_cannot_be_judged_is_unknown_and_not_well():
    validator = ModelValidator({})
    assert validator.validate_data_drift(frame(1), frame(2, n=50)) is False
    assert validator.validation_results["amount_drift"] == "UNKNOWN"
    mixed = {"a": pd.date_range("2026-01-01", periods=300), "b": np.arange(300.0)}
    validator = ModelValidator({})
    assert validator.validate_data_drift(mixed, mixed) is True
    assert validator.validation_results == {"b_drift": "OK"}
    assert ModelValidator({}).validate_data_drift({"b": np.arange(300.0)}, {}) is False


def test_it_needs_nothing_of_the_console():
    probe = (
        "import sys; from mlconsole.validation import ModelValidator as M; "
        "M({'accuracy': 0.9}).validate_performance([0, 1] * 100, [0, 1] * 100); "
        "print(sorted({'textual', 'rich', 'kubernetes', 'mlflow', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"
