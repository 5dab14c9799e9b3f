"""Carries out one operation: performs the phase that it is in, tells the machine, keeps what the machine says.

What was decided is kept on this machine before anything follows from it, and in the cluster before every write. A
request, a lost lock or the end of this process comes between two awaits: a write that is under way is always awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from msgspec.structs import replace

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, ServerError, TooManyRequests, Unreachable, redact
from mlconsole.config import Settings
from mlconsole.domain.history import Outcome
from mlconsole.domain.operation import (
    Asked,
    Event,
    Expired,
    Failed,
    Halted,
    Operation,
    Overtaken,
    Request,
    advance,
)
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError
from mlconsole.domain.recording import record_of
from mlconsole.domain.text import visible
from mlconsole.engine.answering import describe
from mlconsole.engine.audit import Journal
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.folder import Entry, Folder
from mlconsole.engine.execution.lock import Lock
from mlconsole.engine.execution.performing import PERFORMERS
from mlconsole.engine.gateway import Gateway
from mlconsole.engine.ledger import Ledger, Step

WRITING = frozenset(
    {
        Phase.LOCK,
        Phase.RECORD,
        Phase.PIN,
        Phase.BRING_UP,
        Phase.SWITCH,
        Phase.ALIAS,
        Phase.RETIRE,
        Phase.CLEAN_UP,
        Phase.RETURN,
        Phase.RESTORE,
    }
)
"""Phases that are not broken off: what somebody asks meanwhile is heard when their write is settled."""
WAYS_OUT = frozenset({Phase.CLEAN_UP, Phase.RETURN, Phase.RESTORE})
"""Phases that are not given up over an API server that is away: what they undo would stay as it is."""
OUTAGE = 900.0
"""Seconds that it may be away before somebody has to take the operation up again (I20)."""
AGAIN = 2.0
UNANSWERED = 5
"""The exit code of what was not answered."""
PUBLISH = 1.0
"""Seconds between two tellings of the state to the cluster, where no write waits for it."""


class Runner:
    """One operation on one connection."""

    def __init__(
        self,
        operation: Operation,
        connection: Connection,
        settings: Settings,
        journal: Journal,
        folder: Folder,
        *,
        clock: Callable[[], float] = time.time,
        mine: Callable[[str], bool] = lambda _: False,
        hear: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self.operation = operation
        self.error: Exception | None = None
        """What ended it, where that was an error."""
        self._outage = 0.0
        """Since when a way out finds the API server away; 0 while it does not."""
        self._folder = folder
        self._clock = clock
        self._hear = hear
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._told: Operation | None = None
        self._recorded: Outcome | None = None if operation.then is None else Outcome.OPEN
        """The outcome that is surely on record; None while nothing is. What an executor before this one had decided, it
        may not have come to write down."""
        plan = operation.plan
        holder = f"{operation.carrier}@{operation.host}/{plan.id}"
        lock = Lock(connection, operation, holder, self.ask)
        ledger = Ledger(connection, journal, clock)
        self.context = Context(
            connection,
            settings,
            gateway=Gateway(connection, settings, lock, clock, operation.carried_by, operation.reached),
            ledger=ledger,
            lock=lock,
            report=self.report,
            clock=clock,
            mine=mine,
            keep=self._keep_everywhere,
            note=self._note,
        )

    # ---- life

    async def run(self) -> Operation:
        """Carry it out to its end, or to where it cannot go on; what it is then."""
        context = self.context
        keepers = [asyncio.create_task(context.lock.run()), asyncio.create_task(self._publishing())]
        self._keep(self.operation)
        try:
            while self.operation.running:
                event = await self._next()
                if event is None:
                    continue
                before = self._locked(self.operation)
                self.operation = advance(before, event, self._clock())
                await self._changed(before)
        finally:
            for task in keepers:
                task.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await self._leave()
        self._say_the_end()
        return self.operation

    def _locked(self, op: Operation) -> Operation:
        """`op` with the token that it has by now."""
        token = self.context.lock.token
        return replace(op, tokens=(*op.tokens, token)) if token and token != op.token else op

    def _say_the_end(self) -> None:
        """The last line: how it ended, and for a refusal what to do and what a shell twin ends with."""
        op, outcome = self.operation, record_of(self.operation).outcome
        hint, code = "", 0
        if outcome in (Outcome.FAILED, Outcome.OVERTAKEN) or op.halted:
            _, hint, code = describe(self.error) if self.error else ("", "", 1)
        if op.halted:
            hint = hint or f"`mlconsole resume {op.key}` goes on with it, on any machine"
        # Where the disk is full it is on record in the cluster.
        with contextlib.suppress(OSError):
            last = op.halted or op.why or op.words
            self._folder.say(Entry(self._clock(), "end", last, outcome, hint, code, ended=True))

    async def _leave(self) -> None:
        """Give up the lock, so that nobody waits for it: it is over, or somebody else goes on with it."""
        try:
            await self.context.lock.release()
        except (ClusterError, TimeoutError) as error:
            self.report(Step("lock", f"the lock could not be given up, it runs out by itself: {error or 'no answer'}"))
        await self.context.close()

    def ask(self, request: Request) -> None:
        """Hand a request to it. Its words are somebody's, and go on record (I27, I28)."""
        said = replace(request, by=visible(request.by), reason=redact(request.reason))
        self._requests.put_nowait(said)

    def stop(self) -> None:
        """End at the next safe point: what is under way is settled, the operation stays, to be taken up again."""
        if not self._stopped.done():
            self._stopped.set_result("its executor was told to end")

    async def _next(self) -> Event | None:
        """What happens next: the phase comes to something, somebody asks for something, or the lock is lost.

        None where the phase is to be performed once more.
        """
        op = self.operation
        work = asyncio.ensure_future(PERFORMERS[op.phase](self.context, op))
        asked = asyncio.ensure_future(self._requests.get())
        lost = self.context.lock.lost
        try:
            waiting: set[asyncio.Future[object]] = {work, asked, lost, self._stopped}  # type: ignore[arg-type]
            if op.phase in WRITING:
                await asyncio.wait({work})
            else:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and not self._is_away(op, work):
                return self._result(work)
            if work.done():
                # What it does again is what is not done yet (I19).
                await asyncio.wait({lost, self._stopped}, timeout=AGAIN)
            if lost.done():
                return Overtaken(f"the lock is somebody else's: {lost.result()}")
            if self._stopped.done():
                return Halted(self._stopped.result())
            return Asked(asked.result()) if asked.done() and not work.done() else None
        finally:
            if asked.done() and not asked.cancelled() and work.done():
                # It came together with the end of the phase: it is heard next.
                self._requests.put_nowait(asked.result())
            for task in (work, asked):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, PlanError, ClusterError, TimeoutError):
                await work

    def _is_away(self, op: Operation, work: asyncio.Future[Event]) -> bool:
        """Whether a way out failed because the API server gave no answer, and it is waited for."""
        error = None if work.cancelled() else work.exception()
        silent = isinstance(error, (Unreachable, ServerError, TooManyRequests, TimeoutError))
        away = op.phase in WAYS_OUT and (silent or (isinstance(error, PlanError) and error.exit_code == UNANSWERED))
        self._outage = (self._outage or time.monotonic()) if away else 0.0
        if not away or time.monotonic() - self._outage > OUTAGE:
            return False
        self.report(Step(op.phase, f"the API server gives no answer, trying again: {error or 'no answer in time'}"))
        return True

    def _result(self, work: asyncio.Future[Event]) -> Event:
        """What a phase came to; what it raised is why it failed."""
        try:
            return work.result()
        except (PlanError, ClusterError, TimeoutError) as error:
            self.error = error
            words = getattr(error, "message", "") or str(error) or "no answer in time"
            if self.context.lock.lost.done():
                return Overtaken(words)
            if self._outage:
                return Halted(f"the API server gave no answer for {OUTAGE / 60:.0f} min: {words}")
            return Expired(words) if isinstance(error, TimeoutError) else Failed(words)

    # ---- keeping

    async def _changed(self, before: Operation) -> None:
        op = self.operation
        self._keep(op)
        self.context.lock.say(op.phase)
        if before.phase is Phase.RECORD and self._recorded is None:
            self._recorded = Outcome.OPEN
        if op.phase is not before.phase and op.words != before.words:
            self.report(Step(before.phase, op.words))
        arrived = op.arrived_at and not before.arrived_at
        if arrived or op.ended or op.halted:
            await self._settle(op)

    async def _settle(self, op: Operation) -> None:
        """Tell everybody an outcome: that the traffic arrived, or that it is over."""
        record = record_of(op)
        if self._recorded is None:
            return  # refused before it was on record: the last line says why
        if self._recorded is record.outcome and not op.halted:
            await self._quietly(op)
            self.report(Step("done", record.message, record.outcome))
            return
        if await self.context.ledger.close(record, op, self.report):
            self._recorded = record.outcome

    def _keep(self, op: Operation) -> None:
        """Keep it on this machine. A disk that is full ends nothing: the cluster has it too."""
        try:
            self._folder.keep(op)
        except OSError as error:
            words = f"WARNING: {self._folder.path}: {error.strerror}: kept in the cluster alone"
            self.report(Step("record", words))

    def _note(self, op: Operation) -> Operation:
        self.operation = op
        self._keep(op)
        return op

    async def _keep_everywhere(self, op: Operation) -> Operation:
        self.operation = op
        self._keep(op)
        await self.context.ledger.keep(op)
        self._told = op
        return op

    async def _publishing(self) -> None:
        """Let every console see how far it is: beside the work, never in its way."""
        while True:
            await asyncio.sleep(PUBLISH)
            op = self.operation
            if op is not self._told and op.token and op.phase not in (Phase.LOCK, Phase.RECORD, Phase.DONE):
                await self._quietly(op)

    async def _quietly(self, op: Operation) -> None:
        try:
            await self.context.ledger.keep(op)
            self._told = op
        except (ClusterError, TimeoutError) as error:
            self.report(
                Step("record", f"the state could not be written to the cluster: {error or 'no answer in time'}")
            )

    def report(self, step: Step) -> None:
        """Say what happened: in the folder, and to whoever listens in this process."""
        self._hear(step)
        with contextlib.suppress(OSError):
            self._folder.say(Entry(self._clock(), step.step, step.words, step.outcome))
