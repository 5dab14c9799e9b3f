"""Look at an operation again and again, wherever its executor runs, and say what changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mlconsole.domain.history import Record
from mlconsole.domain.operation import Operation
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError
from mlconsole.engine.ledger import Report, Step
from mlconsole.engine.session import Session
from mlconsole.engine.underway import UnderWay

LOOK = 0.5
"""Seconds between two looks."""


async def until(
    session: Session, before: Operation, enough: Callable[[UnderWay], bool], report: Report, seconds: float | None
) -> UnderWay | Record:
    """Follow an operation until it is `enough`, interrupted, or over: how it is then, or what went on record.

    `seconds` None is for as long as it takes: every phase has an end of its own (I20). Raises PlanError when it is not
    enough in time, or over without a record; ClusterError, TimeoutError.
    """
    told, end = (before.phase, before.words), None if seconds is None else time.monotonic() + seconds
    while True:
        under = await session.under_way(before.key)
        if under is None or under.operation.id != before.id:
            return await _record(session, before)
        op = under.operation
        if (op.phase, op.words) != told:
            told = (op.phase, op.words)
            report(Step(op.phase, op.words))
        if enough(under) or not under.alive:
            return under
        if end is not None and time.monotonic() >= end:
            words = f"asked, and not seen to be heard within {seconds:.0f} s: it is in phase {op.phase}"
            raise PlanError(words, f"`mlconsole operations {op.key} --follow` shows how it goes on", 1)
        await asyncio.sleep(LOOK)


async def _record(session: Session, before: Operation) -> Record:
    past = await session.past(before.key)
    found = next((record for record in past.records if record.id == before.id), None)
    if found is None:
        words = f"operation {before.id} of {before.key} is over, and nothing about it is on record"
        raise PlanError(words, f"`mlconsole status {before.key}` looks at what is there", 1)
    return found


def leaving(op: Operation) -> bool:
    """Whether an operation is on its way out."""
    return op.leaving or op.phase in (Phase.CLEAN_UP, Phase.RETURN, Phase.RESTORE, Phase.DONE)
