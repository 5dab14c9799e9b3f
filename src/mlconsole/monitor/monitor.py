"""ModelMonitor: what a model server tells of every prediction, at a cost that nobody notices."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry

from mlconsole.domain.reference import Reference, checked
from mlconsole.monitor import export
from mlconsole.monitor.block import STATUSES, SUCCESS, Block, around
from mlconsole.monitor.counting import Tally
from mlconsole.monitor.families import ERROR
from mlconsole.monitor.figures import Figures
from mlconsole.monitor.labels import Judge, Labels, within
from mlconsole.monitor.reference import load
from mlconsole.monitor.tables import Table, table_of
from mlconsole.monitor.tracking import Tracker
from mlconsole.monitor.values import BadRow, row_of

LOG = logging.getLogger("mlconsole.monitor")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the duration's histogram, in seconds."""
TOLERANCE = 0.1
"""How far a prediction may be from what turned out to be true and still be right."""
DAY = 86400.0
PATIENCE = 20.0
"""Seconds that the start of a server waits for its reference."""

Function = TypeVar("Function", bound=Callable[..., Any])


class ModelMonitor:
    """Counts what a model version predicts, for Prometheus and, where wished, for MLflow.

    No call raises: what cannot be counted is counted as that (`ml_monitor_errors_total`) and logged once.
    """

    def __init__(
        self,
        model: str,
        version: str,
        *,
        color: str | None = None,
        reference: Reference | Path | str | None = None,
        registry: CollectorRegistry = REGISTRY,
        seconds: Sequence[float] = SECONDS,
        right: Judge | None = None,
        tolerance: float = TOLERANCE,
        window: int = 1000,
        remember: int = 100_000,
        expire: float = 7 * DAY,
        mlflow_every: float = 0.0,
        mlflow_run: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to count.

        - `color`: that of the Deployment; else what COLOR says in the environment.
        - `reference`: what the training data looked like: the edges of the histograms. Or the file that it is in, or
          where MLflow has it, as `reference.load` takes it.
        - `seconds`: upper edges of the duration's histogram.
        - `right`, `tolerance`: which predictions are right; else numbers that differ by less than `tolerance`, and
          anything else that is equal. `window`: over how many labels the accuracy is.
        - `remember`, `expire`: how many predictions wait for their label, and how many seconds.
        - `mlflow_every`: seconds between two summaries for MLflow, 0 for none; `mlflow_run`: the run that they go to,
          else one of this process.
        """
        who = (str(model), str(version), os.environ.get("COLOR", "") if color is None else str(color))
        known, problem = _reference(reference)
        labels = Labels(right or within(tolerance), window, remember, expire, clock)
        self.figures = Figures(who, known, tuple(sorted(map(float, seconds))), labels)
        self.registry = registry
        self._place: export.Shared | None = None
        self._tracker: Tracker | None = None
        self._says_no_reference = known is None and problem is None
        try:
            self._place = export.place_for(registry)
            self.figures = self._place.join(self.figures)
        except Exception as error:  # somebody else has one of the names
            self.figures.failed("register", error)
        if problem is not None:
            self.figures.failed("reference", problem)
        if export.is_multiprocess() and export.WRITER.start not in self.figures.on_thread:
            self.figures.on_thread.append(export.WRITER.start)
        if mlflow_every > 0:
            self._track(mlflow_every, mlflow_run)

    # ---- what a server calls

    def log_prediction(
        self,
        features: Any,
        prediction: Any,
        actual: Any = None,
        latency: float | None = None,
        id: Hashable = None,  # the word that the callers use
    ) -> None:
        """Count a prediction.

        Features are a mapping, or a sequence or array in the reference's order, or None. `actual` is what turned out
        to be true, where that is known already; where it comes later, `id` is what `log_label` will call it. Inside of
        a `prediction()` or of the middleware the request is counted and timed there, and `latency` is left to them.
        """
        try:
            figures = self.figures
            tally = figures.tallies.mine()
            block = around(self)
            if block is not None:
                block.rows += 1
            else:
                tally.statuses[SUCCESS] += 1
                if latency is not None:
                    tally.duration.add(latency)
            if features is not None:
                self._row(features, tally)
            if prediction is not None:
                tally.prediction.add(prediction)
                if actual is not None:
                    self._judge(prediction, actual, tally)
                elif id is not None:
                    figures.labels.wait(id, prediction, tally)
        except Exception as error:
            self.figures.failed("log_prediction", error)

    def log_batch(
        self,
        features: Any,
        predictions: Any,
        actuals: Iterable[Any] | None = None,
        latency: float | None = None,
        ids: Iterable[Hashable] | None = None,
    ) -> None:
        """Count the predictions of a table: a data frame, a mapping of columns, an array of two dimensions, or rows.

        `latency` is that of the whole batch, and is one observation.
        """
        try:
            table = table_of(features, self.figures.tallies.shape.names, predictions)
            tally = self.figures.tallies.mine()
            block = around(self)
            if block is not None:
                block.rows += table.rows
            else:
                tally.statuses[SUCCESS] += table.rows
                if latency is not None:
                    tally.duration.add(latency)
            self._batch(table, predictions, actuals, ids, tally)
        except Exception as error:
            self.figures.failed("log_batch", error)

    def log_label(self, id: Hashable, actual: Any, *, prediction: Any = None) -> None:
        """What turned out to be true of the prediction `id`.

        It has to be one of this process; where it was another's, say what was predicted.
        """
        try:
            tally = self.figures.tallies.mine()
            if prediction is None and actual is not None:
                prediction = self.figures.labels.came(id, tally)
                if prediction is None:
                    return
            self._judge(prediction, actual, tally)
        except Exception as error:
            self.figures.failed("log_label", error)

    def log_error(self, latency: float | None = None, status: str = ERROR) -> None:
        """Count a prediction that failed (`error`), or that was asked for wrongly (`invalid`)."""
        try:
            tally = self.figures.tallies.mine()
            tally.statuses[status if status in STATUSES else ERROR] += 1
            if latency is not None:
                tally.duration.add(latency)
        except Exception as error:
            self.figures.failed("log_error", error)

    def prediction(self, features: Any = None, id: Hashable = None) -> Block:
        """A block that is timed and counted: `with monitor.prediction(features) as one: one.prediction = ...`."""
        return Block(self, features, id)

    def timed(self, function: Function) -> Function:
        """Have a function timed and counted whose first argument are the features and whose result the prediction."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **options: Any) -> Any:
                with Block(self, args[0] if args else None) as one:
                    one.prediction = await function(*args, **options)
                return one.prediction

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            with Block(self, args[0] if args else None) as one:
                one.prediction = function(*args, **options)
            return one.prediction

        return called  # type: ignore[return-value]

    def flush(self) -> None:
        """Have what was counted so far where a scrape of any process finds it."""
        if isinstance(self._place, export.Files):
            self._place.write()

    def close(self, timeout: float = 5.0) -> None:
        """Export no more; the last summary goes to MLflow, if that takes no longer than `timeout` seconds."""
        try:
            if self._tracker is not None:
                self._tracker.close(timeout)
                self._tracker = None
            self.flush()
            if self._place is not None:
                self._place.leave(self.figures)
                self._place = None
        except Exception as error:
            self.figures.failed("close", error)

    # ---- how

    def _row(self, features: Any, tally: Tally) -> None:
        shape = tally.shape
        if not shape.names:
            if self._says_no_reference:
                self._says_no_reference = False
                LOG.warning(
                    "the monitor of %s v%s has no reference of its training data: its features are not counted "
                    "(mlconsole.monitor.reference makes one)",
                    *self.figures.who[:2],
                )
            return
        try:
            tally.add_row(row_of(features, shape.names))
        except BadRow as error:
            self.figures.failed("features", error)

    def _judge(self, prediction: Any, actual: Any, tally: Tally) -> None:
        try:
            self.figures.labels.judge(prediction, actual, tally)
        except Exception as error:  # of whoever wrote the judge
            self.figures.failed("label", error)

    def _batch(
        self,
        table: Table,
        predictions: Any,
        actuals: Iterable[Any] | None,
        ids: Iterable[Hashable] | None,
        tally: Tally,
    ) -> None:
        for row in table.by_row:
            self._row(row, tally)
        for column, values in table.by_column:
            tally.columns[column].add_many(values)
        if predictions is None:
            return
        tally.prediction.add_many(predictions)
        if actuals is not None:
            for prediction, actual in zip(predictions, actuals, strict=True):
                if actual is not None:
                    self._judge(prediction, actual, tally)
        elif ids is not None:
            for prediction, name in zip(predictions, ids, strict=True):
                self.figures.labels.wait(name, prediction, tally)

    def _track(self, every: float, run: str) -> None:
        try:
            self._tracker = Tracker(self.figures, every, run)
            self.figures.on_thread.append(self._tracker.start)
        except Exception as error:  # mlflow is not installed
            self.figures.failed("mlflow", error)


def _reference(given: Reference | Path | str | None) -> tuple[Reference | None, Exception | None]:
    """The reference, or why there is none: a server must not stay down because of it."""
    try:
        if given is None or isinstance(given, Reference):
            return (None if given is None else checked(given)), None
        return _loaded(given), None
    except Exception as error:
        return None, error


def _loaded(place: Path | str) -> Reference:
    """As `load`, but a tracking server that hangs must not keep a server down. Raises TimeoutError beside."""
    found: list[Reference | Exception] = []

    def loading() -> None:
        try:
            found.append(load(place))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=loading, name="mlconsole-monitor-reference", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not found:
        raise TimeoutError(f"{place} did not come within {PATIENCE:g} s")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]
