"""What turned out to be true: right or wrong, at once or days later, over the last labels rather than the last one."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any

from mlconsole.monitor.counting import Tally
from mlconsole.monitor.values import as_category, as_number

RIGHT, WRONG = "right", "wrong"
UNMATCHED, FORGOTTEN = "unmatched", "forgotten"

Judge = Callable[[Any, Any], bool]
"""Whether a prediction was right, given what turned out to be true."""


class BadLabel(ValueError):
    """A label that says nothing."""


def within(tolerance: float) -> Judge:
    """Numbers that differ by less than `tolerance`; anything else that is the same."""

    def judge(prediction: Any, actual: Any) -> bool:
        try:
            apart = abs(as_number(prediction) - as_number(actual))
        except TypeError:
            said, true = as_category(prediction), as_category(actual)
            if true is None:
                raise BadLabel("the label is missing") from None
            return said == true
        if math.isnan(apart):
            raise BadLabel("the label or the prediction is missing")
        return apart < tolerance

    return judge


class Labels:
    """The predictions that wait for their label, and the outcomes of the last ones that had it."""

    def __init__(self, judge: Judge, window: int, remember: int, expire: float, clock: Callable[[], float]) -> None:
        self._judge = judge
        self._window = max(1, window)
        self._remember = max(0, remember)
        self._expire = expire
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Hashable, tuple[Any, float]] = OrderedDict()
        self._outcomes: deque[bool] = deque(maxlen=self._window)
        self._right = 0

    @property
    def accuracy(self) -> float | None:
        """The share of the window that was right; None before the first label."""
        with self._lock:
            return self._right / len(self._outcomes) if self._outcomes else None

    def waiting(self, tally: Tally) -> int:
        """How many predictions wait for a label that may still come."""
        with self._lock:
            self._forget(tally)
            return len(self._waiting)

    def wait(self, name: Hashable, prediction: Any, tally: Tally) -> None:
        """Keep a prediction until its label comes."""
        with self._lock:
            self._waiting[name] = (prediction, self._clock())
            self._waiting.move_to_end(name)
            self._forget(tally)

    def came(self, name: Hashable, tally: Tally) -> Any:
        """The prediction that a label came for, and how long it waited is counted; None for one that is not known."""
        with self._lock:
            self._forget(tally)
            found = self._waiting.pop(name, None)
            now = self._clock()
        if found is None:
            tally.labels[UNMATCHED] += 1
            return None
        tally.delay.add(max(0.0, now - found[1]))
        return found[0]

    def judge(self, prediction: Any, actual: Any, tally: Tally) -> None:
        """Count whether a prediction was right. Raises BadLabel, and what the judge raises."""
        if actual is None or prediction is None:
            raise BadLabel("the label or the prediction is missing")
        right = bool(self._judge(prediction, actual))
        tally.labels[RIGHT if right else WRONG] += 1
        with self._lock:
            if len(self._outcomes) == self._window:
                self._right -= self._outcomes[0]
            self._outcomes.append(right)
            self._right += right

    def _forget(self, tally: Tally) -> None:
        """Drop the oldest: those that are too many, and those that waited too long."""
        oldest = self._clock() - self._expire
        while self._waiting:
            name, (_, at) = next(iter(self._waiting.items()))
            if len(self._waiting) <= self._remember and at >= oldest:
                return
            del self._waiting[name]
            tally.labels[FORGOTTEN] += 1
