"""What `doctor` finds: one line a thing that was checked."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Coroutine
from typing import Any

from msgspec import Struct


class State(enum.StrEnum):
    """How it is."""

    OK = "OK"
    WARN = "WARN"
    """The console works without it, and less well."""
    FAIL = "FAIL"
    """Needed, or configured, and not there."""
    OFF = "OFF"
    """Not configured: nothing is expected of it."""


class Finding(Struct, frozen=True):
    """One thing."""

    what: str
    state: State
    words: str = ""
    hint: str = ""
    """What to do."""
    needed: bool = False
    """Whether `doctor` fails with it."""


async def within(seconds: float, what: str, work: Coroutine[Any, Any, list[Finding]], needed: bool) -> list[Finding]:
    """What `work` finds, or that it found nothing in time."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        words = f"no answer within {seconds:.0f} s"
        state = State.FAIL if needed else State.WARN
        return [Finding(what, state, words, "check the network or the VPN", needed)]
