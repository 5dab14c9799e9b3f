"""Ask again where a server only asks for time: an overloaded API server must not stand in the way of a rollback.

What is refused is told at once; "too many requests" and a server's own errors are tried again, within a bound. What is
not answered at all is told at once too, to a person who waits for it; an executor has the time to ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mlconsole.cluster.errors import ServerError, TooManyRequests, Unreachable

PAUSE = 0.25
"""Seconds before the second try where the server does not say; doubled for every further one."""

T = TypeVar("T")


async def patiently(ask: Callable[[], Awaitable[T]], seconds: float, *, unanswered: bool = False) -> T:
    """What `ask` gives, tried again while the server asks for time and `seconds` are not over.

    `unanswered` also where the connection broke: for what may be sent twice.
    Raises TimeoutError at the end of them, or what `ask` raises.
    """
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + seconds, PAUSE
    async with asyncio.timeout_at(end):
        while True:
            try:
                return await ask()
            except (TooManyRequests, ServerError, Unreachable) as error:
                if isinstance(error, Unreachable) and not unanswered:
                    raise
                wait = pause if isinstance(error, Unreachable) else max(pause, error.retry_after)
                if loop.time() + wait >= end:
                    raise
            await asyncio.sleep(wait)
            pause *= 2
