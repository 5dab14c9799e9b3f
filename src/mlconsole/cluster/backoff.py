"""How long to wait before the next try: doubling with jitter, reset by success."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Pauses of `first`, twice that, ... up to `longest` seconds, each spread by a fifth either way."""

    def __init__(
        self, first: float = 0.5, longest: float = 30.0, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first = first
        self._longest = longest
        self._uniform = uniform
        self._next = first

    def reset(self) -> None:
        """After a success."""
        self._next = self._first

    def pause(self, at_least: float = 0.0) -> float:
        """Seconds to wait now; never under `at_least` (a server's Retry-After)."""
        pause, self._next = self._next, min(self._longest, self._next * 2)
        return max(at_least, pause * self._uniform(0.8, 1.2))
