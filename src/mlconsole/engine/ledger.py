"""Write down what is about to be done and what came of it: on this machine, and in the cluster (I17)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import events, history
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.plans import PlanError
from mlconsole.engine.audit import Journal
from mlconsole.engine.patience import patiently

SWITCH_SECONDS = 10.0
ROLLBACK_SECONDS = 2.0
"""A rollback does not wait longer for its record."""
CLOSE_SECONDS = 5.0
"""For the outcome: the traffic has moved by then, and a person waits for the last word."""


class Step(Struct, frozen=True):
    """Something that happened on the way of an operation."""

    step: str
    words: str
    outcome: Outcome | None = None


Report = Callable[[Step], None]


class Ledger:
    """The journal of this machine and the history in the cluster, side by side."""

    def __init__(self, connection: Connection, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._journal = journal
        self._clock = clock

    async def intend(self, record: Record, past: history.Past, report: Report) -> history.Past:
        """Write the intent down before anything changes; the history as it then is.

        Raises PlanError for a switch that cannot be recorded; a rollback goes on, and says so.
        """
        hurry = record.kind is Kind.ROLLBACK
        seconds = ROLLBACK_SECONDS if hurry else SWITCH_SECONDS
        written = past

        async def in_cluster() -> None:
            nonlocal written
            written = await patiently(lambda: history.append(self._connection, record, past), seconds)

        local, cluster = await asyncio.gather(self._locally(record, seconds), _told("the cluster", in_cluster()))
        loud = "; ".join(words for words in (local, cluster) if words)
        if loud and not hurry:
            words = f"the intent could not be written down: {loud}; nothing was changed"
            raise PlanError(words, "a switch is not done without a record", 1)
        if loud:
            report(Step("record", f"WARNING: no record in {loud}; going on, this is a rollback"))
        else:
            report(Step("record", "intent recorded"))
        return written

    async def close(self, record: Record, past: history.Past, report: Report, seconds: float | None = None) -> Record:
        """Write the outcome down everywhere it can be; a place that fails is said, and changes nothing else."""
        record = replace(record, ended_at=self._clock())
        seconds = CLOSE_SECONDS if seconds is None else seconds
        failed = await asyncio.gather(
            self._locally(record, seconds),
            _told("the cluster", patiently(lambda: history.append(self._connection, record, past), seconds)),
            _told("an event", patiently(lambda: events.tell(self._connection, record), seconds)),
        )
        loud = "; ".join(words for words in failed if words)
        words = record.message + (f" (the outcome is not recorded everywhere: no record in {loud})" if loud else "")
        report(Step("done", words, record.outcome))
        return record

    async def _locally(self, record: Record, seconds: float) -> str:
        """Empty, or why there is no line in the journal. A disk that hangs holds nobody up."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.to_thread(self._journal.append, record)
        except OSError as error:
            # TimeoutError is an OSError too.
            return f"{self._journal.path}: {error.strerror or 'the disk did not answer in time'}"
        return ""


async def _told(where: str, write: Awaitable[object]) -> str:
    """Empty, or why nothing was written there."""
    try:
        await write
    except (ClusterError, TimeoutError) as error:
        return f"{where}: {error or 'no answer in time'}"
    return ""
