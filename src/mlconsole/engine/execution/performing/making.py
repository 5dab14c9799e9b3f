"""The writes that move no traffic: pin, bring up, retire; and the way back from them (I4, I5, I19)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from mlconsole.cluster import resources
from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.autoscaling import RESOURCE as AUTOSCALERS
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Event, Failed, Halted, Operation, Passed, sending
from mlconsole.domain.patches import reversed_write, without
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError, Write
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.performing.leaving import PODS, leave
from mlconsole.engine.execution.performing.waiting import drain
from mlconsole.engine.fence import unmark
from mlconsole.engine.gateway import Landed
from mlconsole.engine.ledger import Step

UNANSWERED = 5
"""The exit code of what was not answered."""
GONE_SECONDS = 120.0
"""For pods of a removed Deployment to end."""
LOOK = 0.5


async def pin(context: Context, op: Operation) -> Event:
    """Keep the autoscalers from taking away what the plan counts on."""
    return await _make(context, op, Phase.PIN)


async def bring_up(context: Context, op: Operation) -> Event:
    """Make the destination what the plan says."""
    return await _make(context, op, Phase.BRING_UP)


async def retire(context: Context, op: Operation) -> Event:
    """Take down what was left, as long as the traffic is not there (I4)."""
    read = await context.gateway.read(op.plan)
    if not any(read.has(write) for write in op.plan.arrivals):
        return Failed(f"the traffic is not on {op.plan.to_color} any more: what was left stays as it is")
    return await _make(context, op, Phase.RETIRE)


async def _make(context: Context, op: Operation, phase: Phase) -> Event:
    done = []
    for number, write in enumerate(op.plan.writes):
        if write.phase is not phase:
            continue
        if phase is Phase.RETIRE and write in op.plan.arrivals:
            still = await _still_there(context, op)
            if still:
                return Halted(still)
        await context.lock.assure()
        if number not in op.sent:
            op = await context.keep(sending(op, number))
        landed = await context.gateway.make(op.plan, write, context.report)
        if landed is Landed.UNKNOWN:
            return Halted(f"it is not known whether {write.verb} {write.label} was applied: look before anything else")
        done.append(f"{write.label}{' is so already' if landed is Landed.ALREADY else ''}")
    return Passed("; ".join(done))


async def _still_there(context: Context, op: Operation) -> str:
    """Wait until the pods of the removed colours have ended: the selector is about to take them in again.

    Empty when they have, else what is to be done.
    """
    plan, end = op.plan, context.clock() + GONE_SECONDS
    key = plan.color_key
    base = ",".join(f"{name}={value}" for name, value in plan.base.items())
    others = f"{base},{key},{key}!={plan.to_color}"
    while left := await resources.read_all(context.connection, PODS, plan.target.namespace, others):
        if context.clock() > end:
            names = ", ".join(pod.name for pod in left[:3])
            return f"{names} still run after {GONE_SECONDS:.0f} s: resume when they are gone"
        context.report(Step(Phase.RETIRE, f"{len(left)} pods of what was removed are still ending"))
        await asyncio.sleep(LOOK)
    return ""


async def clean_up(context: Context, op: Operation) -> Event:
    """Undo what this operation made, the last first; what somebody changed meanwhile is theirs, and is told.

    What has the traffic by now, whoever moved it there, is left as it is (I4).
    """
    live = (await context.gateway.read(op.plan)).service.live
    if live == op.plan.to_color != op.plan.from_color:
        return Failed(f"{live} has the traffic: what was made of it stays")
    if op.plan.kind is Kind.ADOPT:
        stays = await leave(context, op)
        if stays:
            return Failed(stays)
    elif op.ending is Outcome.RETURNED:
        await drain(context, op)
    left = await _undo(context, op, (number for number in reversed(op.sent) if _is(op, number, Phase.BRING_UP)))
    return Failed("; ".join(left)) if left else Passed(f"what it had made is undone: {op.why}")


async def restore(context: Context, op: Operation) -> Event:
    """Put back what was pinned, and take the operation's words off the Service.

    An API server that fails at it is asked again by whoever takes the operation up: it does not end before.
    """
    removed = {write.name for write in op.plan.writes if write.delete and write.resource == AUTOSCALERS}
    pins = (number for number in reversed(op.sent) if _is(op, number, Phase.PIN))
    left = await _undo(context, op, (number for number in pins if op.plan.writes[number].name not in removed))
    for write in op.inherited:
        left += await _put_back(context, op, write)
    await _unmark(context, op)
    # Where this machine slept, who took the service meanwhile says how it ended.
    await context.lock.assure()
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
        if error.exit_code == UNANSWERED:
            raise
        # An autoscaler may have sized it meanwhile, which is no reason to leave the rest.
        rest = without(back, "/spec/replicas")
        if rest is None:
            return [error.message]
        left = await _put_back(context, op, rest)
        return left or [f"the size of {back.label}"]
    if landed is Landed.UNKNOWN:
        raise ClusterError(f"cannot undo {back.label}", "nobody can say whether it was applied", "look at it")
    return []


def _is(op: Operation, number: int, phase: Phase) -> bool:
    return op.plan.writes[number].phase is phase
