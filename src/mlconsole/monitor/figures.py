"""All that is known of one model version in this process: its counts, its labels, its reference."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Iterator

from mlconsole.domain.reference import Reference
from mlconsole.monitor.counting import Shape, Tallies, Tally
from mlconsole.monitor.families import Series, Who, counted, referred
from mlconsole.monitor.labels import Labels

LOG = logging.getLogger("mlconsole.monitor")
DELAYS = (1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)
"""Upper edges of the delay of labels, in seconds."""
ALIVE: weakref.WeakSet[Figures] = weakref.WeakSet()
"""Those to forget in a forked child."""


class Figures:
    """What the metrics of a model version are made of. Several monitors of the same one share it."""

    def __init__(self, who: Who, reference: Reference | None, seconds: tuple[float, ...], labels: Labels) -> None:
        self.who = who
        self.reference = reference
        self.labels = labels
        self.users = 0
        self.on_thread: list[Callable[[], None]] = []
        """Called when a thread counts for the first time in this process: what needs threads of its own starts then."""
        features = reference.features if reference else {}
        shape = Shape(features, reference.prediction if reference else None, seconds, DELAYS)
        self.tallies = Tallies(shape, self._new_thread)
        self._referred = tuple(referred(who, reference)) if reference else ()
        self._said: set[str] = set()
        ALIVE.add(self)

    def reset(self) -> None:
        """Begin at nothing."""
        self.tallies.reset()
        self.labels.reset()

    def total(self) -> Tally:
        """The counts of all threads."""
        return self.tallies.total()

    def series(self) -> Iterator[Series]:
        """What is exported."""
        waiting = self.labels.waiting(self.tallies.mine())
        yield from counted(self.who, self.total(), self.labels.accuracy, waiting)
        yield from self._referred

    def failed(self, kind: str, error: Exception) -> None:
        """Count what monitoring could not do, and say the first of its kind. Never raises."""
        # The last line of defence: what is wrong by now (a log handler, say) must not reach the request.
        with contextlib.suppress(Exception):
            self.tallies.mine().problems[kind] += 1
            if kind not in self._said:
                self._said.add(kind)
                LOG.error(
                    "monitoring of %s v%s failed in %s: %s: %s; serving goes on, more of these are only counted "
                    "in ml_monitor_errors_total",
                    *(*self.who[:2], kind, type(error).__name__, error),
                    exc_info=error,
                )

    def _new_thread(self) -> None:
        for start in self.on_thread:
            try:
                start()
            except Exception as error:  # no more threads, or the interpreter is ending
                self.failed("start", error)
