"""The phases that prove a release before it gets traffic: ready, smoke test, parity, analysis (I1, I21, I22)."""

from __future__ import annotations

import asyncio

from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.history import Kind
from mlconsole.domain.operation import Event, Expired, Operation, Passed
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.engine import gates
from mlconsole.engine.execution.context import Context
from mlconsole.engine.execution.performing.rehearsing import rehearse
from mlconsole.engine.ledger import Step

LOOK = 1.0


async def ready(context: Context, op: Operation) -> Event:
    """Wait until the destination has the pods that the plan counts on.

    Where nothing was changed for it they were counted when the lock was taken, and are again before the write.
    """
    if not op.plan.writes_of(Phase.BRING_UP) and not op.plan.writes_of(Phase.PIN):
        return Passed()
    end, last = context.clock() + context.service_settings(op).deploy.progress_deadline, ""
    while context.clock() < end:
        gate = await _capacity(context, op)
        if gate.verdict is Verdict.PASS:
            return Passed(gate.value, (gate,))
        if gate.value != last:
            last = gate.value
            context.report(Step("ready", f"{gate.value}, needed {gate.limit}"))
        await asyncio.sleep(LOOK)
    return Expired(f"{last} after {context.service_settings(op).deploy.progress_deadline:.0f} s", (gate,))


async def _capacity(context: Context, op: Operation) -> Gate:
    try:
        service = (await context.gateway.read(op.plan)).service
    except (ClusterError, TimeoutError) as error:
        return Gate("capacity", Verdict.UNKNOWN, f"could not look: {error or 'no answer in time'}", "ready")
    destination = service.color(op.plan.to_color)
    if destination is None:
        return Gate("capacity", Verdict.UNKNOWN, f"no Deployment is {op.plan.to_color} yet", "ready")
    return gates.destination_capacity(service, destination, op.plan.kind, context.clock())


async def smoke(context: Context, op: Operation) -> Event:
    """Ask every pod of the destination for an answer; a drill asks for more than that."""
    if op.plan.kind is Kind.DRILL:
        return await rehearse(context, op)
    return Passed()
