"""The metrics by name: what the counts and the reference are called outside. A contract: the console reads them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from msgspec import Struct
from prometheus_client.utils import floatToGoString

from mlconsole.domain.reference import Categorical, Distribution, Numeric, Reference
from mlconsole.monitor.counting import Categories, Numbers, Tally, kept
from mlconsole.monitor.labels import FORGOTTEN, RIGHT, UNMATCHED, WRONG
from mlconsole.monitor.values import OTHER

WHO = ("model", "version", "color")
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
ERROR = "error"
ALWAYS = ("success", ERROR)
"""Statuses that are told from the start: a rate needs a zero to grow from."""

Who = tuple[str, str, str]


class Family(Struct, frozen=True):
    """A metric: its kind, its labels beside `WHO`, and how one value is made of those of several processes."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    mode: str = ""


class Series(Struct, frozen=True):
    """One series of a family: a value, or the counts of a histogram."""

    family: Family
    labels: tuple[str, ...]
    value: float = 0.0
    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    """Per bucket, the last one above all edges; the value is the sum."""


PREDICTIONS = Family("ml_predictions_total", COUNTER, "Predictions made, by how they ended.", ("status",))
ERRORS = Family("ml_prediction_errors_total", COUNTER, "Predictions that failed.")
DURATION = Family("ml_prediction_duration_seconds", HISTOGRAM, "Time a prediction took.")
IN_FLIGHT = Family("ml_predictions_in_flight", GAUGE, "Predictions under way.", mode="livesum")
ACCURACY = Family("ml_model_accuracy", GAUGE, "Share of the last labels that was right.", mode="livemostrecent")
LABELS = Family("ml_labels_total", COUNTER, "Labels, by whether the prediction was right.", ("outcome",))
DELAY = Family("ml_label_delay_seconds", HISTOGRAM, "Time from a prediction to its label.")
WAITING = Family("ml_predictions_unlabelled", GAUGE, "Predictions that wait for their label.", mode="livesum")
LOST = Family("ml_predictions_forgotten_total", COUNTER, "Predictions given up on before their label came.")
STRAY = Family("ml_labels_unmatched_total", COUNTER, "Labels of predictions that are not known, or no longer.")
VALUE = Family("ml_feature_value", HISTOGRAM, "Values of a feature.", ("feature",))
MISSING = Family("ml_feature_missing_total", COUNTER, "Rows in which a feature was missing.", ("feature",))
CATEGORY = Family(
    "ml_feature_category_total", COUNTER, "Values of a feature that is a category.", ("feature", "category")
)
PREDICTED = Family("ml_prediction_value", HISTOGRAM, "What was predicted.")
CLASS = Family("ml_prediction_class_total", COUNTER, "What was predicted.", ("class",))
PROBLEMS = Family("ml_monitor_errors_total", COUNTER, "What monitoring could not count, by kind.", ("kind",))


def _of_reference(name: str, words: str, *labels: str) -> Family:
    return Family(name, GAUGE, words, labels, "livemax")


ROWS = _of_reference("ml_feature_reference_rows", "Rows the reference rests on.", "feature")
SHARE = _of_reference("ml_feature_reference_share", "Share of the training data up to an edge.", "feature", "le")
MISSING_SHARE = _of_reference(
    "ml_feature_reference_missing_share", "Share of the training data that was missing.", "feature"
)
CATEGORY_SHARE = _of_reference(
    "ml_feature_reference_category_share", "Share of the training data of a category.", "feature", "category"
)
PREDICTED_SHARE = _of_reference("ml_prediction_reference_share", "Share of the training predictions.", "le")
CLASS_SHARE = _of_reference("ml_prediction_reference_class_share", "Share of the training predictions.", "class")

ALL = (
    *(
        PREDICTIONS,
        ERRORS,
        DURATION,
        IN_FLIGHT,
        ACCURACY,
        LABELS,
        DELAY,
        WAITING,
        LOST,
        STRAY,
        VALUE,
        MISSING,
        CATEGORY,
    ),
    *(PREDICTED, CLASS, PROBLEMS, ROWS, SHARE, MISSING_SHARE, CATEGORY_SHARE, PREDICTED_SHARE, CLASS_SHARE),
)


def edge_text(edge: float) -> str:
    """The edge as the label `le` of a bucket has it, so that both are found by the same text."""
    return str(floatToGoString(edge))  # type: ignore[no-untyped-call]


def counted(who: Who, tally: Tally, accuracy: float | None, waiting: int) -> Iterator[Series]:
    """The series of what was counted."""
    shape = tally.shape
    statuses = {**dict.fromkeys(ALWAYS, 0), **tally.statuses}
    for status, count in statuses.items():
        yield Series(PREDICTIONS, (*who, status), count)
    yield Series(ERRORS, who, statuses[ERROR])
    yield _histogram(DURATION, who, tally.duration)
    yield Series(IN_FLIGHT, who, tally.in_flight)
    if accuracy is not None:
        yield Series(ACCURACY, who, accuracy)
    yield from (Series(LABELS, (*who, outcome), tally.labels[outcome]) for outcome in (RIGHT, WRONG))
    yield _histogram(DELAY, who, tally.delay)
    yield Series(WAITING, who, waiting)
    yield Series(LOST, who, tally.labels[FORGOTTEN])
    yield Series(STRAY, who, tally.labels[UNMATCHED])
    for name, column in zip(shape.names, tally.columns, strict=True):
        yield Series(MISSING, (*who, name), column.missing)
        yield from _column(VALUE, CATEGORY, (*who, name), column)
    if shape.prediction is not None:
        yield from _column(PREDICTED, CLASS, who, tally.prediction)
    yield from (Series(PROBLEMS, (*who, kind), count) for kind, count in problems(tally).items())


def problems(tally: Tally) -> dict[str, int]:
    """What could not be counted, by kind."""
    found = dict(tally.problems)
    odd = {"feature_type": sum(column.odd for column in tally.columns)}
    if tally.shape.prediction is not None:
        odd |= {"prediction_type": tally.prediction.odd, "prediction_missing": tally.prediction.missing}
        odd["prediction_missing"] -= tally.prediction.odd
    odd["latency"] = tally.duration.missing
    return found | {kind: found.get(kind, 0) + count for kind, count in odd.items() if count}


def referred(who: Who, reference: Reference) -> Iterator[Series]:
    """The series of the reference, which do not change."""
    for name, distribution in reference.features.items():
        rows = distribution.n + distribution.missing
        yield Series(ROWS, (*who, name), rows)
        yield Series(MISSING_SHARE, (*who, name), distribution.missing / rows if rows else 0.0)
        yield from _shares(SHARE, CATEGORY_SHARE, (*who, name), distribution)
    if reference.prediction is not None:
        yield from _shares(PREDICTED_SHARE, CLASS_SHARE, who, reference.prediction)


def _histogram(family: Family, labels: tuple[str, ...], numbers: Numbers) -> Series:
    return Series(family, labels, numbers.sum, numbers.edges, tuple(numbers.counts))


def _column(
    of_numbers: Family, of_categories: Family, labels: tuple[str, ...], column: Numbers | Categories
) -> Iterable[Series]:
    if isinstance(column, Numbers):
        return (_histogram(of_numbers, labels, column),)
    return (Series(of_categories, (*labels, name), count) for name, count in column.counts.items())


def _shares(
    of_numbers: Family, of_categories: Family, labels: tuple[str, ...], distribution: Distribution
) -> Iterable[Series]:
    n = distribution.n or 1.0
    if isinstance(distribution, Numeric):
        cumulative = itertools.accumulate(distribution.counts)
        return (
            Series(of_numbers, (*labels, edge_text(edge)), count / n)
            for edge, count in zip(distribution.edges, cumulative, strict=False)
        )
    return (Series(of_categories, (*labels, name), share) for name, share in _category_shares(distribution, n))


def _category_shares(distribution: Categorical, n: float) -> Iterator[tuple[str, float]]:
    names = kept(distribution)
    yield from ((name, distribution.counts[name] / n) for name in names)
    yield OTHER, (n - sum(distribution.counts[name] for name in names)) / n if distribution.n else 0.0
