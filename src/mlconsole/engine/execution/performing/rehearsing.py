"""A drill: the way back, gone without taking it, and timed (design, section 8)."""

from __future__ import annotations

import time

from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.history import Kind
from mlconsole.domain.operation import Event, Failed, Operation, Passed
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.services import Color
from mlconsole.engine import gates
from mlconsole.engine.execution.context import Context
from mlconsole.gathering import gather


async def rehearse(context: Context, op: Operation) -> Event:
    """Ask the API server for the write, and the standby for answers; how long both took is part of the result."""
    began = time.monotonic()
    read = await context.gateway.read(op.plan)
    service, settings = read.service, context.service_settings(op)
    destination = service.color(op.plan.to_color)
    if destination is None:
        return Failed(f"{op.plan.service} has no colour {op.plan.to_color} any more")
    if not destination.release.same_as(op.plan.to_release):
        return _elsewhere(op, destination)
    tried, answered = await gather(
        _write(context, op), gates.answers_gate(context.connection, service, destination, settings, Kind.SWITCH)
    )
    found = [gates.destination_capacity(service, destination, Kind.ROLLBACK, context.clock()), tried, answered]
    seconds = time.monotonic() - began
    bad = [gate for gate in found if gate.verdict is not Verdict.PASS]
    if bad:
        return Failed("; ".join(f"{gate.name} {gate.verdict}: {gate.value}" for gate in bad), tuple(found))
    words = f"{destination.name} {destination.release.label} would have the traffic: {destination.ready} ready"
    return Passed(f"{words}, {answered.value}, the write accepted, all in {seconds:.1f} s", tuple(found))


def _elsewhere(op: Operation, destination: Color) -> Failed:
    """The way back has to be made first: what stands in its place proves nothing of it."""
    wanted, found = op.plan.to_release.label, f"{destination.name} has {destination.release.label}"
    evidence = f"Deployment {destination.deployment}, read now"
    gate = Gate("release", Verdict.FAIL, found, wanted, evidence)
    words = f"nothing of {wanted} is up to be asked: {op.plan.cold or found}"
    return Failed(f"{words}; what a rollback does first was not rehearsed", (gate,))


async def _write(context: Context, op: Operation) -> Gate:
    evidence = f"PATCH {op.plan.write.label} with dryRun=All"
    try:
        seconds = await context.gateway.rehearse(op.plan)
    except (ClusterError, TimeoutError) as error:
        return Gate("write", Verdict.FAIL, str(error) or "no answer in time", "accepted", evidence)
    return Gate("write", Verdict.PASS, f"accepted in {seconds:.2f} s", "accepted", evidence)
