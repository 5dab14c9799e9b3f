"""Validation from Python: a model's answers against a baseline's metrics, and its data against what it was trained on.

    from mlconsole.validation import ModelValidator

It needs numpy and pyarrow, and nothing of the console. `mlconsole validate` does more (docs/validation.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlconsole.domain.drift import DriftVerdict, Limits
from mlconsole.domain.plans import Verdict
from mlconsole.domain.validation import MIN_ROWS, Check, Figure, Threshold, find, judge, rule_of

__all__ = ["ModelValidator"]

_SAID = {Verdict.PASS: "PASSED", Verdict.FAIL: "FAILED", Verdict.UNKNOWN: "UNKNOWN"}
_DRIFT = {DriftVerdict.DRIFTED: "DETECTED", DriftVerdict.UNKNOWN: "UNKNOWN"}
_NAMES = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1_score": "f1"}
"""What the metrics are called here, and in `domain.statistics`."""


class ModelValidator:
    """Holds a model to what is known of its predecessor.

    `baseline_metrics` are by name (`accuracy`, `precision`, `recall`, `f1_score`); `validation_results` has what was
    found: NAME_validation to PASSED, FAILED or UNKNOWN, COLUMN_drift to DETECTED, OK or UNKNOWN; `checks` says why.
    """

    def __init__(self, baseline_metrics: Mapping[str, float], *, min_rows: int = MIN_ROWS) -> None:
        self.baseline_metrics = dict(baseline_metrics)
        self.min_rows = min_rows
        self.validation_results: dict[str, str] = {}
        self.checks: dict[str, Check] = {}

    def validate_performance(self, y_true: Any, y_pred: Any, threshold: float = 0.05) -> tuple[bool, dict[str, float]]:
        """Whether no metric of the baseline fell by more than `threshold`, and the metrics.

        Precision, recall and F1 are of all classes, weighted by their rows. Passed is only what is known to be good:
        not what rests on fewer than `min_rows` rows, nor where the baseline has none of these metrics. Raises
        ValueError for answers that are not one for each truth, or that are missing.
        """
        from mlconsole.domain.statistics.measuring import measure

        rule = rule_of("accuracy", Threshold(max_drop=threshold))
        figures = measure(_rows(y_true, y_pred), dict.fromkeys(_NAMES.values(), rule))
        found = []
        for name, inner in _NAMES.items():
            baseline = find(self.baseline_metrics, name)
            if baseline is not None:
                figure = figures.get(inner, Figure(float("nan")))
                (check,) = judge(name, rule, figure, baseline, self.min_rows)
                self.validation_results[f"{name}_validation"] = _SAID[check.verdict]
                self.checks[f"{name}_validation"] = check
                found.append(check.verdict)
        passed = bool(found) and all(verdict is Verdict.PASS for verdict in found)
        return passed, {name: figures[inner].value for name, inner in _NAMES.items() if inner in figures}

    def validate_data_drift(self, reference_data: Any, current_data: Any, limits: Limits | None = None) -> bool:
        """Whether the data is known not to have drifted. Data frames, Arrow tables, or mappings of columns.

        Columns of times, of identifiers and of what cannot be compared are left out.
        """
        from mlconsole.domain.statistics.judging import Pair, judge_all
        from mlconsole.domain.statistics.verdicts import table

        reference, current = _columns(reference_data), _columns(current_data)
        pairs = []
        for name, column in reference.items():
            other = current.get(name)
            if not isinstance(column, str) and not isinstance(other, str):
                pairs.append(Pair(name, column, other))
        found = table(judge_all(pairs), limits or Limits())
        for row in found.features:
            self.validation_results[f"{row.feature}_drift"] = _DRIFT.get(row.verdict, "OK")
        return found.verdict is DriftVerdict.OK


def _rows(y_true: Any, y_pred: Any) -> Any:
    import pyarrow as pa

    from mlconsole.domain.statistics.scores import Task
    from mlconsole.tables.errors import TableError
    from mlconsole.tables.files import in_memory
    from mlconsole.tables.predictions import Wanted, read

    truth, said = _array(y_true), _array(y_pred)
    if len(truth) != len(said):
        raise ValueError(f"{len(truth)} truths and {len(said)} predictions: one for each is wanted")
    try:
        found = read(in_memory(pa.table({"y_true": truth, "y_pred": said})), Wanted(task=Task.CLASSES))
    except TableError as error:
        raise ValueError(error.message) from error
    if found.unanswered or len(found.rows) < len(truth):
        raise ValueError(f"{len(truth) - len(found.rows)} truths or predictions are missing")
    from msgspec.structs import replace

    return replace(found.rows, positive=None)


def _array(values: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if hasattr(values, "to_numpy"):
        return pa.array(values, from_pandas=True)
    array = np.asarray(values)
    return pa.array(array.ravel() if array.ndim == 2 and array.shape[1] == 1 else array)


def _columns(data: Any) -> dict[str, Any]:
    """The columns by name; words for one that cannot be compared."""
    import pyarrow as pa

    from mlconsole.tables.columns import column_of

    if isinstance(data, pa.Table):
        return {name: column_of(data.column(name)) for name in data.column_names}
    found = {}
    for name in data:
        try:
            found[str(name)] = column_of(pa.chunked_array([_array(data[name])]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            found[str(name)] = f"values of several kinds: {error}"
    return found
