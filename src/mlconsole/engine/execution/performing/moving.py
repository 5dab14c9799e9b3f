"""Move the traffic, see it arrive, and move it back (I1, I2, I3, I13)."""

from __future__ import annotations

import asyncio

from mlconsole.domain.history import Outcome
from mlconsole.domain.operation import Event, Expired, Failed, Halted, Operation, Passed, record_of, returning
from mlconsole.engine import verify as verifying
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.performing.following import alias
from mlconsole.engine.execution.performing.remembering import remember
from mlconsole.engine.gateway import Landed
from mlconsole.engine.ledger import Step

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


async def come_back(context: Context, op: Operation) -> Event:
    """Move the traffic back where it came from, as a rollback of its own, with its own record."""
    back = returning(op, context.clock())
    # Done already by an executor that ended before it could say so: looked at, not sent twice (I19).
    read = await context.gateway.read(back.plan)
    if not read.has(back.plan.write):
        seen = await context.gateway.examine(back.plan)
        context.ledger.past = seen.past
        await asyncio.shield(context.ledger.intend(record_of(back), op, context.report))
        await context.lock.assure()
        landed = await asyncio.shield(context.gateway.move(back.plan, (), seen, context.report))
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
