"""A prediction under way: timed, counted once, and ended by whatever ends it."""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import ContextVar, Token
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mlconsole.monitor.families import ERROR

if TYPE_CHECKING:
    from mlconsole.monitor.monitor import ModelMonitor

SUCCESS, INVALID, CANCELLED = "success", "invalid", "cancelled"
STATUSES = frozenset({SUCCESS, ERROR, INVALID, CANCELLED})

_CURRENT: ContextVar[Block | None] = ContextVar("mlconsole_monitor_block", default=None)


def around(monitor: ModelMonitor) -> Block | None:
    """The block of this monitor that the caller is in."""
    block = _CURRENT.get()
    return block if block is not None and block.is_open and block.monitor.figures is monitor.figures else None


class Block:
    """`with monitor.prediction(features) as one: one.prediction = model.predict(features)`.

    It never swallows an exception and never raises one of its own. One inside another (the middleware's) leaves the
    counting and the timing to the outer one and only says what the prediction was about.
    """

    def __init__(self, monitor: ModelMonitor, features: Any = None, name: Hashable = None) -> None:
        self.monitor = monitor
        self.features = features
        self.prediction: Any = None
        self.actual: Any = None
        self.id = name
        self.status = SUCCESS
        """How it ended, where no exception says so: `success`, `invalid` (the caller's fault), `error`, `cancelled`."""
        self.rows = 0
        """Predictions that were logged inside of it."""
        self.is_open = False
        self._outer: Block | None = None
        self._token: Token[Block | None] | None = None
        self._began = 0.0

    def __enter__(self) -> Block:
        try:
            self._outer = around(self.monitor)
            if self._outer is None:
                self._token = _CURRENT.set(self)
                self.monitor.figures.tallies.mine().in_flight += 1
                self.is_open = True
        except Exception as error:
            self.monitor.figures.failed("prediction", error)
        self._began = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        latency = perf_counter() - self._began
        if error is not None:
            self.status = ERROR if isinstance(error, Exception) else CANCELLED
        try:
            if self.status == SUCCESS:
                self._describe()
            self.end(latency)
            if self._token is not None:
                _CURRENT.reset(self._token)
        except Exception as problem:
            self.monitor.figures.failed("prediction", problem)

    def end(self, latency: float) -> None:
        """Count it, once."""
        if not self.is_open:
            return
        self.is_open = False
        tally = self.monitor.figures.tallies.mine()
        tally.in_flight -= 1
        tally.statuses[self.status if self.status in STATUSES else ERROR] += max(1, self.rows)
        tally.duration.add(latency)

    def _describe(self) -> None:
        if self.features is not None or self.prediction is not None:
            self.monitor.log_prediction(self.features, self.prediction, self.actual, id=self.id)
