"""The phases that wait: for a second person, for the watch window, for a word, for the last request (I20)."""

from __future__ import annotations

import asyncio

from mlconsole.cluster.errors import ClusterError
from mlconsole.cluster.fresh import Fresh
from mlconsole.domain import owners
from mlconsole.domain.history import Outcome
from mlconsole.domain.operation import Event, Expired, Failed, Operation, Overtaken, Passed
from mlconsole.domain.plans import PlanError, Verdict, escape_pointer
from mlconsole.domain.text import visible
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.performing.proving import analyst_of
from mlconsole.engine.ledger import Step

APPROVAL_SECONDS = 3600.0
ASK_SECONDS = 3600.0
LOOK = 2.0
"""Seconds between two looks at the cluster while it is watched."""
LOOK_SECONDS = 10.0
EMPTY_LOOKS = 3
"""Looks in a row that find no ready pod where the traffic is: then it failed, whatever the analyses say."""
TICK = 0.2
LONGEST_DRAIN = 5
"""Times its drain time that a colour is waited for which is still asked: a client may keep its connection for ever."""
DRAIN_LOOK = 5.0
QUIET = 0.1
"""Requests a second that are none."""


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
    """Watch the release under traffic until its window has passed: what it does, and what others do to it (I25)."""
    end = op.arrived_at + context.service_settings(op).watch_window
    measuring = asyncio.ensure_future(_measured(context, op, end))
    looking = asyncio.ensure_future(_overtaken(context, op, end))
    try:
        done, _ = await asyncio.wait({measuring, looking}, return_when=asyncio.FIRST_COMPLETED)
        early = next((task.result() for task in done if not isinstance(task.result(), Passed)), None)
        return early or await measuring
    except (PlanError, ClusterError, TimeoutError) as error:
        # What could not be looked at did not fail: a person is asked (I21).
        return Expired(f"it could not be watched: {error or 'no answer in time'}")
    finally:
        for task in (measuring, looking):
            task.cancel()
        await asyncio.gather(measuring, looking, return_exceptions=True)


async def _measured(context: Context, op: Operation, end: float) -> Event:
    """What the analyses say of it; where there are none, that its time has passed."""
    service = (await _read(context, op, end)).service
    target, left = service.color(op.plan.to_color), service.color(op.plan.from_color)
    analyst = analyst_of(context, op)
    specs = await analyst.specs(service, "after")
    if not specs or target is None:
        await _until(context, end)
        return Passed("the watch window has passed")
    gates = await analyst.run(
        service,
        target,
        left,
        specs,
        since=op.arrived_at,
        until=end,
        say=lambda words: context.report(Step("watch", words)),
    )
    words = "; ".join(f"{gate.name} {gate.verdict}: {gate.value}" for gate in gates)
    if any(gate.verdict is Verdict.FAIL for gate in gates):
        return Failed(words, tuple(gates))
    # Unknown is not good, and no reason to move traffic unasked either (I21).
    unknown = any(gate.verdict is Verdict.UNKNOWN for gate in gates)
    return Expired(words, tuple(gates)) if unknown else Passed(words, tuple(gates))


async def _read(context: Context, op: Operation, end: float) -> Fresh:
    """The service now; an API server that is away is asked again as long as the window is open."""
    while True:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await context.gateway.read(op.plan)
        except (ClusterError, TimeoutError) as error:
            if context.clock() >= end:
                raise
            context.report(Step("watch", f"could not look: {error or 'no answer in time'}"))
        await asyncio.sleep(min(LOOK, max(TICK, end - context.clock())))


async def _overtaken(context: Context, op: Operation, end: float) -> Event:
    empty = 0
    while (left := end - context.clock()) > 0:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                read = await context.gateway.read(op.plan)
        except (ClusterError, TimeoutError):
            # Nobody can say.
            await asyncio.sleep(min(LOOK, left))
            continue
        gone = _moved_by_others(op, read)
        if gone:
            return Overtaken(gone, locked=True)
        empty = empty + 1 if _deserted(op, read) else 0
        if empty == EMPTY_LOOKS:
            return Failed(f"{op.plan.to_color or op.plan.service} has the traffic and no ready pod")
        await asyncio.sleep(min(LOOK, left))
    return Passed()


def _deserted(op: Operation, read: Fresh) -> bool:
    """Whether nobody answers where the traffic is."""
    color = read.service.color(op.plan.to_color)
    return color is None or color.ready == 0


def _moved_by_others(op: Operation, read: Fresh) -> str:
    """Why this operation is over: somebody else moved the traffic; empty where nobody did."""
    service = read.service
    if op.plan.revision or service.live == op.plan.to_color:
        return ""
    item = read.raw.get(("services", op.plan.service)) or {}
    # By the key that this operation wrote: where that was taken out, the service may seem to have another.
    paths = (f"/spec/selector/{escape_pointer(op.plan.color_key)}", "/spec/selector")
    manager = next((name for path in paths if (name := owners.last_writer(item, path)[0])), "")
    return f"{visible(manager or 'somebody else', 80)} moved the traffic to {service.live or 'no colour'}"


async def drain(context: Context, op: Operation) -> Event:
    """Wait until its time has passed and, as far as figures say, no request reaches the colour that was left (I4)."""
    seconds = context.service_settings(op).watch.drain
    left = op.plan.to_color if op.ending is Outcome.RETURNED else op.plan.from_color
    await _until(context, op.phase_at + seconds)
    rate = await _quiet(context, op, left, op.phase_at + LONGEST_DRAIN * seconds)
    words = f"{left or 'what was left'} had {max(seconds, context.clock() - op.phase_at):.0f} s to drain"
    return Passed(words + (f", and still gets {rate:.1f} requests/s" if rate else ""))


async def _quiet(context: Context, op: Operation, left: str, end: float) -> float:
    """Wait until nobody asks a colour any more, or `end`; how often it is asked then, 0 where nobody can say."""
    analyst, rate = analyst_of(context, op), 0.0
    while (time_left := end - context.clock()) > 0:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                service = (await context.gateway.read(op.plan)).service
        except (ClusterError, TimeoutError):
            return 0.0
        color = service.color(left)
        found = await analyst.rate(service, color, op.arrived_at, min(DRAIN_LOOK, time_left)) if color else None
        rate = found or 0.0
        if rate <= QUIET:
            return 0.0
        context.report(Step("drain", f"{left or 'what was left'} still gets {rate:.1f} requests/s"))
        await asyncio.sleep(min(LOOK, max(TICK, end - context.clock())))
    return rate


async def _until(context: Context, end: float) -> None:
    while (left := end - context.clock()) > 0:
        # In steps: a machine that slept is late, not lost.
        await asyncio.sleep(min(TICK, left))
