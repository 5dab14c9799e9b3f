"""The writes that move no traffic: pin, bring up, retire; and the way back from them (I4, I5, I19)."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.operation import Event, Failed, Halted, Operation, Passed, sending
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError, Write, reversed_write
from mlconsole.engine.execution.context import Context
from mlconsole.engine.fence import unmark
from mlconsole.engine.gateway import Landed


async def pin(context: Context, op: Operation) -> Event:
    """Keep the autoscalers from taking away what the plan counts on."""
    return await _make(context, op, Phase.PIN)


async def bring_up(context: Context, op: Operation) -> Event:
    """Make the destination what the plan says."""
    return await _make(context, op, Phase.BRING_UP)


async def retire(context: Context, op: Operation) -> Event:
    """Take down what was left."""
    return await _make(context, op, Phase.RETIRE)


async def _make(context: Context, op: Operation, phase: Phase) -> Event:
    done = []
    for number, write in enumerate(op.plan.writes):
        if write.phase is not phase:
            continue
        await context.lock.assure()
        if number not in op.sent:
            op = await context.keep(sending(op, number))
        landed = await context.gateway.make(op.plan, write, context.report)
        if landed is Landed.UNKNOWN:
            return Halted(f"it is not known whether {write.verb} {write.label} was applied: look before anything else")
        done.append(f"{write.label}{' is so already' if landed is Landed.ALREADY else ''}")
    return Passed("; ".join(done))


async def clean_up(context: Context, op: Operation) -> Event:
    """Undo what this operation made, the last first; what somebody changed meanwhile is theirs, and is told."""
    left = await _undo(context, op, (number for number in reversed(op.sent) if _is(op, number, Phase.BRING_UP)))
    return Failed("; ".join(left)) if left else Passed(f"what it had made is undone: {op.why}")


async def restore(context: Context, op: Operation) -> Event:
    """Put back what was pinned, and take the operation's words off the Service.

    An API server that fails at it is asked again by whoever takes the operation up: it does not end before.
    """
    left = await _undo(context, op, (number for number in reversed(op.sent) if _is(op, number, Phase.PIN)))
    for write in op.inherited:
        left += await _put_back(context, op, write)
    await _unmark(context, op)
    return Passed("; ".join(f"left as somebody else made it: {words}" for words in left))


async def _unmark(context: Context, op: Operation) -> None:
    if not op.token:
        return
    write = unmark(op.plan, await context.gateway.read(op.plan))
    if write is not None:
        await context.lock.assure()
        await context.gateway.make(op.plan, write, context.report, undo=True)


async def _undo(context: Context, op: Operation, numbers: Iterable[int]) -> list[str]:
    left = []
    for number in numbers:
        write = op.plan.writes[number]
        back = reversed_write(write, await context.gateway.made(op.plan, write))
        if back is not None:
            left += await _put_back(context, op, back)
    return left


async def _put_back(context: Context, op: Operation, back: Write) -> list[str]:
    """Nothing, or what is left as it is because somebody else changed it. Raises ClusterError."""
    await context.lock.assure()
    try:
        landed = await context.gateway.make(op.plan, back, context.report, undo=True)
    except PlanError as error:
        return [error.message]
    if landed is Landed.UNKNOWN:
        raise ClusterError(f"cannot undo {back.label}", "nobody can say whether it was applied", "look at it")
    return []


def _is(op: Operation, number: int, phase: Phase) -> bool:
    return op.plan.writes[number].phase is phase
