"""Faults to practise and to test on: what a real API server and a real network do on a bad day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Failure:
    """Answer the next `times` requests that match with `status`, or after `delay` seconds."""

    matches: Callable[[str, str], bool]
    """From (method, path)."""
    status: int = 0
    times: int = 1
    delay: float = 0.0
    retry_after: int = 0
    after_write: bool = False
    """Do what is asked, then fail: the write whose outcome the client cannot know."""


@dataclass
class Faults:
    """What goes wrong now."""

    failures: list[Failure] = field(default_factory=list)
    silent_watches: bool = False
    """Watches stay open and say nothing, bookmarks included."""
    generation: int = 0
    """Raised to drop every open watch."""

    def add(self, failure: Failure) -> None:
        """Fail some requests from now on."""
        self.failures.append(failure)

    def drop_watches(self) -> None:
        """End every watch that is open now."""
        self.generation += 1

    def take(self, method: str, path: str) -> Failure | None:
        """The failure for this request, used up once."""
        for failure in self.failures:
            if failure.times > 0 and failure.matches(method, path):
                failure.times -= 1
                return failure
        return None
