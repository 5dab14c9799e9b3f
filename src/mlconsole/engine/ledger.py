"""Write down what is about to be done and what came of it: on this machine, and in the cluster (I17)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import events, history
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.operation import Operation
from mlconsole.domain.plans import PlanError
from mlconsole.engine.audit import Journal
from mlconsole.engine.patience import patiently
from mlconsole.gathering import gather

FORWARD_SECONDS = 10.0
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
    """The journal of this machine and the history in the cluster, side by side, for one operation."""

    def __init__(self, connection: Connection, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._journal = journal
        self._clock = clock
        self._writing = asyncio.Lock()
        self.past = history.Past()
        """The history as it was last seen or written."""
        self.more: dict[str, str] = {}
        """What else is to be written there with the next record."""

    async def intend(
        self,
        record: Record,
        operation: Operation,
        report: Report,
        overtaken: Sequence[Record] = (),
        taken_from: str = "",
    ) -> None:
        """Write the intent down before anything changes, and with it what became of operations that it overtook.

        `taken_from` is who was at work on the service and had its lock taken by force: an Event says so at once.
        Raises PlanError for what goes forward and cannot be recorded; a rollback goes on, and says so.
        """
        # Also the way back within an operation that goes forward.
        hurry = record.kind is Kind.ROLLBACK
        seconds = ROLLBACK_SECONDS if hurry else FORWARD_SECONDS
        local, cluster, untold = await gather(
            self._locally(record, seconds),
            _told("the cluster", self._in_cluster((*overtaken, record), operation, seconds)),
            self._loudly(record, taken_from, seconds),
        )
        if taken_from:
            silent = f"; no Event of it in {untold}" if untold else ""
            report(Step("lock", f"WARNING: taken by force from {taken_from}{silent}"))
        loud = "; ".join(words for words in (local, cluster) if words)
        if loud and not hurry:
            words = f"the intent could not be written down: {loud}; nothing was changed"
            raise PlanError(words, f"a {record.kind} is not done without a record", 1)
        if loud:
            report(Step("record", f"WARNING: no record in {loud}; going on, this is a rollback"))
        else:
            report(Step("record", "intent recorded"))

    async def keep(self, operation: Operation) -> None:
        """Put the state of the operation where every console sees it. Raises ClusterError, TimeoutError."""
        async with self._writing:
            self.past = await patiently(
                lambda: history.keep(self._connection, operation, self.past), FORWARD_SECONDS, unanswered=True
            )

    async def close(self, record: Record, operation: Operation, report: Report, seconds: float = CLOSE_SECONDS) -> bool:
        """Write an outcome down everywhere it can be; a place that fails is said, and changes nothing else.

        Whether the cluster has it: where it has not, it is told once more with what comes next.
        """
        record = replace(record, ended_at=self._clock())
        local, cluster, event = await gather(
            self._locally(record, seconds),
            _told("the cluster", self._in_cluster((record,), operation, seconds)),
            _told("an event", patiently(lambda: events.tell(self._connection, record), seconds)),
        )
        loud = "; ".join(words for words in (local, cluster, event) if words)
        words = record.message + (f" (the outcome is not recorded everywhere: no record in {loud})" if loud else "")
        report(Step("done" if operation.ended or operation.halted else "arrived", words, record.outcome))
        return not cluster

    async def note(self, record: Record, operation: Operation, report: Report) -> None:
        """Write down the outcome of what was done on the way, and an Event of it."""
        await self.close(record, operation, lambda step: report(Step("record", step.words)))

    async def _in_cluster(self, records: Sequence[Record], operation: Operation, seconds: float) -> None:
        async with self._writing:
            self.past = await patiently(
                lambda: history.append(self._connection, list(records), self.past, operation, self.more),
                seconds,
                unanswered=True,
            )

    async def _loudly(self, record: Record, taken_from: str, seconds: float) -> str:
        """Empty, or why there is no Event of a lock that was taken by force."""
        if not taken_from:
            return ""
        tell = patiently(lambda: events.tell_taken(self._connection, record, taken_from), seconds)
        return await _told("the cluster", tell)

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
