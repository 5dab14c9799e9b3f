"""Move the traffic, see it arrive, and move it back (I1, I2, I3, I13)."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from mlconsole.cluster.fresh import Fresh
from mlconsole.domain.history import Outcome, is_bad
from mlconsole.domain.operation import Event, Expired, Failed, Halted, Operation, Passed
from mlconsole.domain.plans import Verdict
from mlconsole.domain.recording import record_of, returning
from mlconsole.engine import gates
from mlconsole.engine import verify as verifying
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.performing.following import alias
from mlconsole.engine.execution.performing.remembering import remember
from mlconsole.engine.gateway import Landed
from mlconsole.engine.ledger import Step

RETURN_SECONDS = 30.0
"""For the pods of the colour that was left, where some are not ready: the traffic is on what does worse meanwhile."""
LOOK = 1.0
UNKNOWN = "it is not known whether the write was applied: look before anything else"


async def switch(context: Context, op: Operation) -> Event:
    """Send the one write that moves the traffic."""
    await context.lock.assure()
    if context.seen is None:
        context.seen = await context.gateway.examine(op.plan, op.waived)
    landed = await context.gateway.move(op.plan, op.waived, context.seen, context.report)
    return Halted(UNKNOWN) if landed is Landed.UNKNOWN else Passed()


async def verify(context: Context, op: Operation) -> Event:
    """Watch the traffic arrive."""
    outcome, words = await _arrival(context, op)
    if outcome is Outcome.VERIFIED and not op.plan.revision:
        await remember(context, op)
    return Passed(words) if outcome is Outcome.VERIFIED else Expired(words)


async def _arrival(context: Context, op: Operation) -> tuple[Outcome, str]:
    last = ""

    def say(words: str) -> None:
        nonlocal last
        if words != last:
            last = words
            context.report(Step("verify", words))

    return await verifying.arrival(context.connection, op.plan, context.service_settings(op), say)


async def _pods(context: Context, back: Operation, read: Fresh) -> tuple[str, ...]:
    """Wait for the pods that the way back needs; what is waived where only some of them came.

    The traffic is on a release that does worse: a few good pods are better for it than none (I15), and never none (I1).
    """
    end = back.phase_at + RETURN_SECONDS
    while (color := read.service.color(back.plan.to_color)) is not None:
        found = gates.destination_capacity(read.service, color, back.plan.kind, context.clock())
        if found.verdict is Verdict.PASS:
            return ()
        has = f"{back.plan.to_color} has {found.value}, needed are {found.limit}"
        if context.clock() >= end:
            context.report(Step("return", f"WARNING: {has}: going back to what there is"))
            return (found.name,)
        context.report(Step("return", f"{has}: waiting for them"))
        await asyncio.sleep(LOOK)
        read = await context.gateway.read(back.plan)
    return ()


async def come_back(context: Context, op: Operation) -> Event:
    """Move the traffic back where it came from, as a rollback of its own, with its own record."""
    back = returning(op, context.clock())
    # Done already by an executor that ended before it could say so: looked at, not sent twice (I19).
    read = await context.gateway.read(back.plan)
    if not read.has(back.plan.write):
        back = replace(back, waived=await _pods(context, back, read))
        seen = await context.gateway.examine(back.plan, back.waived)
        context.ledger.past = seen.past
        if is_bad(back.plan.to_release, seen.past.records):
            words = f"WARNING: {back.plan.to_release.label} was rolled back from before: it is where the traffic was"
            context.report(Step("return", words))
        await asyncio.shield(context.ledger.intend(record_of(back), op, context.report))
        await context.lock.assure()
        landed = await asyncio.shield(context.gateway.move(back.plan, back.waived, seen, context.report))
        if landed is Landed.UNKNOWN:
            return Halted(UNKNOWN)
    outcome, words = await _arrival(context, back)
    await context.ledger.note(record_of(back.settled(outcome, context.clock(), words)), op, context.report)
    if outcome is not Outcome.VERIFIED:
        return Failed(words)
    followed = await alias(context, back)
    if isinstance(followed, Failed):
        context.report(Step("alias", followed.words))
    return Passed(f"traffic is back on {back.plan.to_color} {back.plan.to_release.label}: {op.why}")
