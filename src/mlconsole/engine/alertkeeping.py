"""The file of the alerts (`alertstate`), used beside everything else: without a disk the alerts go on, and say so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TypeVar, TypeVarTuple

from mlconsole.engine.alertstate import AlertState, Firing, Kept

SEEN_PULSE = 60.0
"""Seconds between two signs that a firing is still looked at."""
SECONDS = 5.0
"""For the disk to answer."""
AGAIN = 30.0
"""Until a disk that did not is used again."""
log = logging.getLogger(__name__)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Keeping:
    """Reads and changes the file in a thread; what the disk refuses is `problem`."""

    def __init__(self, state: AlertState) -> None:
        self._state = state
        self._silent_until = float("-inf")
        self.problem = ""
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        self.kept = Kept()
        """What was read last."""
        self.problem = ""
        self._seen_at = float("-inf")

    async def begin(self, name: str, at: float) -> float:
        """When a firing began: now, unless another console saw it begin."""
        began = await self._on_disk(self._state.begin, name, at)
        return at if began is None else began

    async def over(self, name: str, at: float) -> None:
        """A firing has ended."""
        await self._on_disk(self._state.over, name, at)

    async def renew(self, firing: Sequence[str], now: float) -> None:
        """Read what people did meanwhile, and say now and then which firings are still looked at."""
        self.kept = await self._on_disk(self._state.read) or self.kept
        if firing and now - self._seen_at >= SEEN_PULSE:
            self._seen_at = now
            await self._on_disk(self._state.seen, list(firing), now)

    def elsewhere(self, name: str, now: float) -> Firing | None:
        """A firing that another console sees."""
        kept = self.kept.firing.get(name)
        return kept if kept is not None and now - kept.seen <= 3 * SEEN_PULSE else None

    async def _on_disk(self, work: Callable[[*Ts], T], *args: *Ts) -> T | None:
        now = asyncio.get_running_loop().time()
        if now < self._silent_until:
            return None
        try:
            async with asyncio.timeout(SECONDS):
                found = await asyncio.to_thread(work, *args)
        except OSError as error:
            if isinstance(error, TimeoutError):
                self._silent_until = now + AGAIN
            why = error.strerror or str(error) or f"the disk gave no answer within {SECONDS:g} s"
            self.problem = f"what is done about alerts cannot be kept: {why}"
            log.warning("%s", self.problem)
            return None
        self.problem = ""
        return found
