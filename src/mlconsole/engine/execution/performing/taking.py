"""Take the service: its lock, a look at what the plan rests on, and the intent on record (I1, I7, I17)."""

from __future__ import annotations

import asyncio
import contextlib

from msgspec.structs import replace

from mlconsole.cluster import history, leases
from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.history import Outcome, Record
from mlconsole.domain.operation import Event, Operation, Passed
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Write
from mlconsole.domain.recording import record_of
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.lock import HURRY
from mlconsole.engine.gateway import Seen
from mlconsole.engine.ledger import Step
from mlconsole.engine.planner import past_of
from mlconsole.gathering import gather


async def lock(context: Context, op: Operation) -> Event:
    """Take the lock, and at the same time compare the cluster with the plan: one round trip."""
    context.gateway.assert_allowed(op.plan, undo=op.then in _UNDOING)
    context.report(Step("check", "reading the cluster again"))
    taken, looked = await asyncio.gather(_take(context, op), _look(context, op), return_exceptions=True)
    for result in (taken, looked):
        if isinstance(result, BaseException):
            with contextlib.suppress(ClusterError, TimeoutError):
                await context.lock.release()
            raise result
    assert isinstance(looked, Seen)
    context.seen = looked
    context.ledger.past = looked.past
    return Passed(str(taken))


_UNDOING = frozenset({Phase.CLEAN_UP, Phase.RETURN, Phase.RESTORE})
"""What is taken up only to be ended, which no freeze holds up."""


async def _take(context: Context, op: Operation) -> str:
    """The words of it; a rollback that cannot get a lock goes on without, and says so (I12)."""
    plan = op.plan
    force = bool(plan.preempts) or "lock" in op.waived

    def mine(held: leases.Held) -> bool:
        # A later token is that of somebody who takes up the same operation.
        return context.mine(held.operation) or (held.operation == op.id and held.token <= op.token)

    take = context.lock.take(plan, force=force, mine=mine)
    if not plan.backward:
        return f"lock taken, token {await take}"
    try:
        async with asyncio.timeout(HURRY):
            return f"lock taken, token {await take}"
    except (ClusterError, TimeoutError) as error:
        context.report(Step("lock", f"WARNING: no lock: {error or 'no answer in time'}; going on, this is a rollback"))
        return "without a lock"


async def _look(context: Context, op: Operation) -> Seen:
    if op.then is None:
        return await context.gateway.examine(op.plan, op.waived)
    # Taken up again: what the plan saw has been changed by itself.
    read, past, _ = await gather(
        context.gateway.read(op.plan),
        past_of(context.connection, op.plan.kind, op.plan.target.namespace, op.plan.service),
        context.gateway.assert_namespace(op.plan),
    )
    # What its traffic's write rests on is looked at once more before that is sent (I1).
    return Seen(read, past, float("-inf"))


async def record(context: Context, op: Operation) -> Event:
    """Write the intent down, and with it what became of an operation that this one took the service from."""
    assert context.seen is not None
    before = context.seen.past.operation
    if before is not None and before.id != op.id and not before.ended:
        op = context.note(replace(op, inherited=_pinned(before)))
    overtaken = _overtaken(context.seen.past, op)
    await context.ledger.intend(record_of(op), op, context.report, overtaken, context.lock.taken_from)
    if any(write.phase in (Phase.PIN, Phase.BRING_UP) for write in op.plan.writes):
        # What follows writes elsewhere first: the Service names this operation, and its token, from now on.
        await context.gateway.claim(op.plan, context.seen, context.report)
    return Passed()


def _pinned(before: Operation) -> tuple[Write, ...]:
    """What another operation pinned and did not put back."""
    sent = (before.plan.writes[number] for number in reversed(before.sent))
    back = (reversed_write(write) for write in sent if write.phase is Phase.PIN)
    # The last pin first: each is put back to what was there before it.
    return (*(write for write in back if write is not None), *before.inherited)


def _overtaken(past: history.Past, op: Operation) -> tuple[Record, ...]:
    """The records of operations that nobody ended, and that nobody will; who ended them, and why.

    Of one whose traffic had arrived that stays true: only what came after it is cut short.
    """
    words = f"overtaken by {op.plan.kind} {op.id} of {op.by}" + (f": {op.reason}" if op.reason else "")
    before = past.operation.id if past.operation is not None and not past.operation.ended else ""
    return tuple(
        replace(
            item,
            outcome=Outcome.OVERTAKEN if item.outcome is Outcome.OPEN else item.outcome,
            ended_at=item.ended_at or op.started_at,
            message=f"{item.message}; {words}".strip("; "),
            token=max(item.token, op.token),
        )
        for item in past.records
        if item.id != op.id and (item.outcome is Outcome.OPEN or item.id == before)
    )
