"""What is written down of an operation, and the rollback within it that has a record of its own."""

from __future__ import annotations

from msgspec.structs import replace

from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.operation import Operation
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.phases import route

BACK = "-back"
"""What the id of a rollback within an operation ends with."""


def record_of(op: Operation, message: str = "") -> Record:
    """The record of an operation as it stands (I17)."""
    plan = op.plan
    outcome = op.ending
    if outcome is Outcome.OPEN and op.arrived_at:
        outcome = Outcome.VERIFIED
    return Record(
        id=plan.id,
        kind=plan.kind,
        service=plan.service,
        namespace=plan.target.namespace,
        at=op.started_at,
        user=op.by,
        host=op.host,
        terminal=op.terminal,
        context=plan.target.context,
        plan_hash=plan.hash,
        reason=op.reason,
        from_color=plan.from_color,
        to_color=plan.to_color,
        from_release=plan.from_release,
        to_release=plan.to_release,
        outcome=outcome,
        verified_at=op.arrived_at,
        message=(message or op.why or op.words) + (f" (taken up by {op.carried_by})" if op.carried_by else ""),
        from_good_since=plan.from_good_since,
        waived=op.waived,
        from_revision=plan.from_revision,
        to_revision=plan.revision,
        moved=plan.moves_traffic and not plan.kind.moves_traffic,
        blameless=op.unkept and plan.backward,
        token=op.token,
    )


def returning(op: Operation, now: float) -> Operation:
    """The rollback that moves the traffic of `op` back, as an operation of its own: it names its destination only."""
    plan = op.plan
    home = reversed_write(plan.write)
    if home is None:  # a traffic write tests what it replaces
        raise ValueError("the write cannot be undone")
    back = replace(
        plan,
        id=f"{plan.id}{BACK}",
        kind=Kind.ROLLBACK,
        created_at=now,
        from_color=plan.to_color,
        to_color=plan.from_color,
        from_release=plan.to_release,
        to_release=plan.from_release,
        writes=(home,),
        diffs=tuple(replace(diff, before=diff.after, after=diff.before) for diff in plan.diffs),
        gates=(),
        route=route(Kind.ROLLBACK),
        fence=str(op.token) if op.token else plan.fence,
        from_good_since=0.0,
        revision=plan.from_revision,
        from_revision=plan.revision,
    )
    return replace(
        op,
        plan=back,
        reason=op.why or op.reason,
        started_at=now,
        sent=(),
        waived=(),
        arrived_at=0.0,
        ending=Outcome.OPEN,
    )
