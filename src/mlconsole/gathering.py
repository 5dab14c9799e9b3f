"""Wait for several things at once, and never lose the word to stop.

`asyncio.gather` passes on the first failure of its members, also when its caller was cancelled meanwhile: whoever
catches that failure to try again, as a mirror or an executor does, then never ends. Here the cancellation comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


@overload
async def gather(a: Awaitable[A], b: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def gather(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> tuple[A, B, C]: ...
@overload
async def gather(a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /) -> tuple[A, B, C, D]: ...
@overload
async def gather(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], /
) -> tuple[A, B, C, D, E]: ...
@overload
async def gather(*asked: Awaitable[A]) -> list[A]: ...
async def gather(*asked: Awaitable[Any]) -> Any:
    """What each gives, in order. Raises the first failure; CancelledError where the caller was cancelled."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        return await asyncio.gather(*asked)
    except Exception:
        if task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
