"""Who else is at work on the service, and what that means for a plan (I7, I12, I18).

What goes forward waits for the lock; to take it from a holder who is alive is to break glass, with a reason. A rollback
takes the service from anything that goes forward: it must never wait for what it is to undo.
"""

from __future__ import annotations

from msgspec import Struct

from mlconsole.cluster import leases
from mlconsole.domain.history import Kind
from mlconsole.domain.operation import Operation
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.text import visible
from mlconsole.engine.execution.folder import died
from mlconsole.engine.planning.grounds import Grounds

NAME = "lock"


class Under(Struct, frozen=True):
    """What is under way on the service."""

    gates: tuple[Gate, ...] = ()
    warnings: tuple[str, ...] = ()
    holder: str = ""
    preempts: str = ""


def read(grounds: Grounds, kind: Kind) -> Under:
    """What there is to say of the lock and of an operation that has not ended.

    An executor that died here holds nothing: it is not waited for, whether or not it came to write a record.
    """
    held, op = grounds.held, grounds.past.operation
    open_op = op if op is not None and not op.ended else None
    if held is None or leases.Expiry().expired(held) or died(held.operation):
        return _interrupted(open_op, kind)
    holder = visible(held.holder, 120)
    what = _words(open_op) if open_op else visible(held.annotations.get("mlconsole.io/plan", "an operation"), 200)
    if kind is Kind.ROLLBACK and open_op is not None and open_op.plan.kind is not Kind.ROLLBACK:
        return Under(warnings=(f"this takes the service from {what}",), holder=holder, preempts=what)
    evidence = f"Lease mlconsole-{grounds.fresh.service.name}: {what}; {_last_sign(held)}"
    gate = Gate(NAME, Verdict.FAIL, f"held by {holder}", "free", evidence)
    return Under((gate,), (f"to waive `{NAME}` breaks the glass: {what} stops where it is; {_LEFT}",), holder)


_LEFT = "what it pinned is put back, what else it made stays, and both records and an Event say who did it and why"


def _last_sign(held: leases.Held) -> str:
    """How long ago its holder was heard of, and when it is free if that was the last time."""
    if not held.said_at:
        return f"free after {held.duration:.0f} s without a sign of life"
    ago = max(0.0, held.said_at - held.renewed_at)
    return f"last sign of life {ago:.0f} s ago, free in {max(0.0, held.duration - ago):.0f} s without another"


def _interrupted(op: Operation | None, kind: Kind) -> Under:
    if op is None:
        return Under()
    words = f"{_words(op)} was interrupted"
    if kind is Kind.ROLLBACK:
        return Under(warnings=(f"{words}; what it had pinned is put back",))
    advice = "resume, abort or abandon it first"
    return Under((Gate("unfinished", Verdict.FAIL, words, advice, "the operation in the history's ConfigMap"),))


def _words(op: Operation) -> str:
    to = f"{op.plan.to_color} {op.plan.to_release.label}".strip()
    return f"{op.plan.kind} to {to} by {visible(op.by, 80)}, in phase {op.phase}"
