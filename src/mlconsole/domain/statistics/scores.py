"""The metrics of predictions, as scikit-learn has them, each a function of sums over rows.

That is what makes a bootstrap of them cheap (`bootstrap`). Of labels the sums are how many rows there are of each truth
and prediction; of numbers and probabilities those of the errors' terms. The area under the ROC curve is no such sum: it
is taken in its placement values, DeLong's (1988) structural components, which differ from it by what vanishes with n.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from mlconsole.domain.statistics.bootstrap import Kinds, Sums, Terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

LABELS = ("accuracy", "precision", "recall", "f1")
CHANCES = ("auc", "log_loss", "brier")
NUMBERS = ("rmse", "mse", "mae", "mape", "r2")


class Task(enum.StrEnum):
    """What is predicted."""

    CLASSES = "classification"
    NUMBERS = "regression"


class Answers(Struct, frozen=True, eq=False):
    """What one model said of the rows: each is there or not."""

    said: Codes | Floats | None = None
    """The class, as an index of the classes; or the number."""
    score: Floats | None = None
    """How sure it was of the positive class."""


class Rows(Struct, frozen=True, eq=False):
    """The truth, what the version said of it, and what the baseline did, row by row."""

    task: Task
    truth: Codes | Floats
    current: Answers
    baseline: Answers | None = None
    classes: int = 0
    positive: int | None = None
    """The class that precision, recall and F1 are of; None for all, each weighted by its rows."""

    def __len__(self) -> int:
        return len(self.truth)

    def at(self, rows: NDArray[np.bool_]) -> Rows:
        """Some of them."""
        baseline = None if self.baseline is None else _at(self.baseline, rows)
        return Rows(self.task, self.truth[rows], _at(self.current, rows), baseline, self.classes, self.positive)


class Family(Struct, frozen=True, eq=False):
    """Metrics that are made of the same sums."""

    metrics: tuple[str, ...]
    sums: Sums
    current: Callable[[Floats], Floats]
    """Sums to metrics, along the last axis."""
    baseline: Callable[[Floats], Floats] | None = None
    """The same of the baseline's."""


def _at(answers: Answers, rows: NDArray[np.bool_]) -> Answers:
    said = None if answers.said is None else answers.said[rows]
    return Answers(said, None if answers.score is None else answers.score[rows])


def families(rows: Rows) -> list[Family]:
    """Every metric that can be made of the rows; none of no rows."""
    if not len(rows):
        return []
    if rows.task is Task.NUMBERS:
        return [_numbers(rows)] if rows.current.said is not None else []
    found = [_labels(rows)] if rows.current.said is not None else []
    return found + (_chances(rows) if rows.current.score is not None and rows.positive is not None else [])


# ---- classes


def _labels(rows: Rows) -> Family:
    import numpy as np

    both = rows.baseline is not None and rows.baseline.said is not None
    columns = [rows.truth, rows.current.said]
    if both and rows.baseline is not None:
        columns.append(rows.baseline.said)
    kinds, counts = _kinds([np.asarray(column, dtype=np.int64) for column in columns], rows.classes)
    made = [_of_labels(kinds[0], said, rows.classes, rows.positive) for said in kinds[1:]]
    return Family(LABELS, Kinds(counts), made[0], made[1] if both else None)


def _kinds(columns: Sequence[Codes], base: int) -> tuple[list[Codes], Codes]:
    """The different rows, by column, and how many there are of each."""
    import numpy as np

    key = columns[0]
    for column in columns[1:]:
        key = key * base + column
    different, counts = np.unique(key, return_counts=True)
    found = []
    for _ in columns[1:]:
        different, code = np.divmod(different, base)
        found.append(code)
    return [different, *reversed(found)], counts


def _of_labels(truth: Codes, said: Codes, classes: int, positive: int | None) -> Callable[[Floats], Floats]:
    """Counts of kinds to `LABELS`."""
    import numpy as np

    wanted = np.arange(classes) if positive is None else np.array([positive])
    is_so, is_said = truth[:, None] == wanted, said[:, None] == wanted
    into = [part.astype(np.float64) for part in (is_so & is_said, is_so, is_said)]
    right = (truth == said).astype(np.float64)

    def combine(counts: Floats) -> Floats:
        hits, so, predicted = (counts @ part for part in into)
        precision, recall = _ratio(hits, predicted), _ratio(hits, so)
        f1 = _ratio(2 * hits, so + predicted)
        shares = _ratio(so, so.sum(axis=-1, keepdims=True)) if positive is None else np.ones_like(so)
        accuracy = counts @ right / counts.sum(axis=-1)
        return np.stack([accuracy, *((part * shares).sum(axis=-1) for part in (precision, recall, f1))], axis=-1)

    return combine


def _ratio(above: Floats, below: Floats) -> Floats:
    """A share; 0 of nothing, as scikit-learn has it."""
    import numpy as np

    found: Floats = np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)
    return found


# ---- chances


def _chances(rows: Rows) -> list[Family]:
    import numpy as np

    truth = rows.truth == rows.positive
    sides = [rows.current.score]
    if rows.baseline is not None and rows.baseline.score is not None:
        sides.append(rows.baseline.score)
    scores = [np.asarray(score, dtype=np.float64) for score in sides]
    placed = [_placed(truth, score) for score in scores]
    terms = np.column_stack(
        [truth, ~truth, *(part for _, values in placed for part in (truth * values, ~truth * values))]
    )
    made = [_of_places(2 + 2 * number, area) for number, (area, _) in enumerate(placed)]
    found = [Family(("auc",), Terms(terms), made[0], made[1] if len(made) > 1 else None)]
    if all(((score >= 0) & (score <= 1)).all() for score in scores):
        losses = [part for score in scores for part in _losses(truth, score)]
        terms = np.column_stack([np.ones(len(truth)), *losses])
        made = [_of_means(1), _of_means(3)]
        found.append(Family(("log_loss", "brier"), Terms(terms), made[0], made[1] if len(scores) > 1 else None))
    return found


def _placed(truth: NDArray[np.bool_], score: Floats) -> tuple[float, Floats]:
    """The area under the ROC curve, and of each row the share of the other class that it is on the right side of."""
    import numpy as np

    ups, downs = np.sort(score[truth]), np.sort(score[~truth])
    found = np.full(len(score), np.nan)
    if len(ups) and len(downs):
        found[truth] = _share_below(downs, score[truth])
        found[~truth] = 1 - _share_below(ups, score[~truth])
    return float(found[truth].mean()) if len(ups) else float("nan"), found


def _share_below(ordered: Floats, values: Floats) -> Floats:
    """Ties count half."""
    import numpy as np

    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    found: Floats = (left + right) / (2 * len(ordered))
    return found


def _of_places(at: int, area: float) -> Callable[[Floats], Floats]:
    import numpy as np

    def combine(sums: Floats) -> Floats:
        up, down = sums[..., at] / sums[..., 0], sums[..., at + 1] / sums[..., 1]
        return np.clip(up + down - area, 0.0, 1.0)[..., None]

    return combine


def _losses(truth: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    import numpy as np

    least = np.finfo(np.float64).eps
    chance = np.clip(np.where(truth, score, 1 - score), least, 1 - least)
    return -np.log(chance), (truth - score) ** 2


def _of_means(at: int) -> Callable[[Floats], Floats]:
    def combine(sums: Floats) -> Floats:
        found: Floats = sums[..., at : at + 2] / sums[..., :1]
        return found

    return combine


# ---- numbers


def _numbers(rows: Rows) -> Family:
    import numpy as np

    truth = np.asarray(rows.truth, dtype=np.float64)
    # Around the mean, or the squares of large numbers that lie close together would leave nothing of their spread.
    centred = truth - truth.mean()
    columns = [np.ones(len(truth)), centred, centred**2]
    both = rows.baseline is not None and rows.baseline.said is not None
    for answers in (rows.current, rows.baseline):
        if answers is not None and answers.said is not None:
            columns += _errors(truth, np.asarray(answers.said, dtype=np.float64))
    return Family(NUMBERS, Terms(np.column_stack(columns)), _of_errors(3), _of_errors(6) if both else None)


def _errors(truth: Floats, said: Floats) -> list[Floats]:
    import numpy as np

    with np.errstate(all="ignore"):
        error = np.abs(said - truth)
        return [error**2, error, error / np.maximum(np.abs(truth), np.finfo(np.float64).eps)]


def _of_errors(at: int) -> Callable[[Floats], Floats]:
    """Sums to `NUMBERS`."""
    import numpy as np

    def combine(sums: Floats) -> Floats:
        n, first, second = sums[..., 0], sums[..., 1], sums[..., 2]
        squares, absolute, shares = (sums[..., at + number] for number in range(3))
        spread = second - first**2 / n
        r2 = 1 - np.divide(squares, spread, out=np.full(np.shape(spread), np.nan), where=spread > 0)
        return np.stack([np.sqrt(squares / n), squares / n, absolute / n, shares / n, r2], axis=-1)

    return combine
