"""The phases that wait: for a second person, for the watch window, for a word, for the last request (I20)."""

from __future__ import annotations

import asyncio

from mlconsole.cluster.errors import ClusterError
from mlconsole.domain import owners
from mlconsole.domain.operation import Event, Expired, Operation, Overtaken, Passed
from mlconsole.domain.plans import escape_pointer
from mlconsole.domain.text import visible
from mlconsole.engine.execution.context import Context
from mlconsole.engine.ledger import Step

APPROVAL_SECONDS = 3600.0
ASK_SECONDS = 3600.0
LOOK = 2.0
"""Seconds between two looks at the cluster while it is watched."""
TICK = 0.2


async def approval(context: Context, op: Operation) -> Event:
    """Wait for a second person."""
    context.report(Step("approval", "waiting for a second person's approval"))
    await _until(context, op.phase_at + APPROVAL_SECONDS)
    return Expired(f"nobody approved it within {APPROVAL_SECONDS / 60:.0f} min")


async def keep(context: Context, op: Operation) -> Event:
    """Commit-confirmed: wait for somebody to keep it."""
    seconds = context.service_settings(op).watch.keep_within
    context.report(Step("keep", f"unless somebody keeps it within {seconds:.0f} s, traffic goes back"))
    await _until(context, op.phase_at + seconds)
    return Expired(f"nobody kept it within {seconds:.0f} s")


async def ask(context: Context, op: Operation) -> Event:
    """Wait for a person to say how it goes on; nothing is done without."""
    context.report(Step("ask", f"{op.why}: keep it, or abort to move the traffic back"))
    await _until(context, op.phase_at + ASK_SECONDS)
    return Expired(f"nobody answered within {ASK_SECONDS / 60:.0f} min")


async def watch(context: Context, op: Operation) -> Event:
    """Watch the release under traffic until its window has passed."""
    end = op.arrived_at + context.service_settings(op).watch_window
    while (left := end - context.clock()) > 0:
        gone = await _moved_by_others(context, op)
        if gone:
            return Overtaken(gone)
        await asyncio.sleep(min(LOOK, left))
    return Passed("the watch window has passed")


async def _moved_by_others(context: Context, op: Operation) -> str:
    """Why this operation is over: somebody else moved the traffic; empty where nobody did, or nobody can say."""
    try:
        async with asyncio.timeout(10):
            read = await context.gateway.read(op.plan)
    except (ClusterError, TimeoutError):
        return ""
    service = read.service
    if op.plan.revision or service.live == op.plan.to_color:
        return ""
    item = read.raw.get(("services", op.plan.service)) or {}
    manager, _ = owners.last_writer(item, f"/spec/selector/{escape_pointer(service.color_key)}")
    return f"{visible(manager or 'somebody else', 80)} moved the traffic to {service.live or 'no colour'}"


async def drain(context: Context, op: Operation) -> Event:
    """Wait until no request reaches the colour that was left, or its time has passed."""
    seconds = context.service_settings(op).watch.drain
    await _until(context, op.phase_at + seconds)
    return Passed(f"{op.plan.from_color or 'what was left'} had {seconds:.0f} s to drain")


async def _until(context: Context, end: float) -> None:
    while (left := end - context.clock()) > 0:
        # In steps: a machine that slept is late, not lost.
        await asyncio.sleep(min(TICK, left))
