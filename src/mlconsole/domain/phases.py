"""The phases of an operation, and which of them each kind goes through.

The way forward is a route, chosen when the operation is planned: what a service's settings do not ask for is left out
of it. The ways out (undo, return, ask) are the machine's own: `domain.operation`.
"""

from __future__ import annotations

import enum

from mlconsole.domain.history import Kind


class Phase(enum.StrEnum):
    """Where an operation stands."""

    LOCK = "lock"
    """The service's Lease, and with it the fencing token (I7)."""
    RECORD = "record"
    """The intent, here and in the cluster (I17)."""
    PIN = "pin"
    """Autoscalers kept from taking away what the plan counts on (I5)."""
    BRING_UP = "bring-up"
    READY = "ready"
    SMOKE = "smoke"
    PARITY = "parity"
    ANALYSIS = "analysis"
    APPROVAL = "approval"
    """A second person."""
    SWITCH = "switch"
    VERIFY = "verify"
    """The traffic is seen there (I3)."""
    ALIAS = "alias"
    """The registry's alias follows (I26)."""
    WATCH = "watch"
    KEEP = "keep"
    """Commit-confirmed: somebody keeps it, or it goes back."""
    DRAIN = "drain"
    RETIRE = "retire"
    """What was left is taken down: an adoption's plain Deployment."""
    CLEAN_UP = "clean-up"
    """Undo what this operation made; the traffic was never moved, or was moved back."""
    RETURN = "return"
    """Move the traffic back."""
    ASK = "ask"
    """A person has to say how it goes on."""
    RESTORE = "restore"
    """What was pinned is put back, the lock given up."""
    DONE = "done"


_FORWARD = (
    Phase.LOCK,
    Phase.RECORD,
    Phase.PIN,
    Phase.BRING_UP,
    Phase.READY,
    Phase.SMOKE,
    Phase.PARITY,
    Phase.ANALYSIS,
    Phase.APPROVAL,
    Phase.SWITCH,
    Phase.VERIFY,
    Phase.ALIAS,
    Phase.WATCH,
    Phase.KEEP,
    Phase.DRAIN,
    Phase.RETIRE,
    Phase.RESTORE,
)
"""In this order, whatever is left out."""
ALWAYS = frozenset({Phase.LOCK, Phase.RECORD, Phase.RESTORE})
MOVED = frozenset(
    {Phase.VERIFY, Phase.ALIAS, Phase.WATCH, Phase.KEEP, Phase.DRAIN, Phase.RETIRE, Phase.RETURN, Phase.ASK}
)
"""The traffic may have moved."""
UNDOABLE = frozenset(
    {Phase.PIN, Phase.BRING_UP, Phase.READY, Phase.SMOKE, Phase.PARITY, Phase.ANALYSIS, Phase.APPROVAL}
)
"""Something may have been made, and no traffic moved."""
UNMADE = frozenset({Kind.ADOPT, Kind.RELEASE})
"""Kinds whose way back takes down what they made as well: it is a copy of what serves, and of no other use."""

_ROUTES: dict[Kind, frozenset[Phase]] = {
    Kind.DEPLOY: frozenset({Phase.PIN, Phase.BRING_UP, Phase.READY, Phase.SMOKE, Phase.PARITY, Phase.ANALYSIS}),
    Kind.SWITCH: frozenset(_FORWARD) - {Phase.BRING_UP, Phase.RETIRE},
    Kind.ROLLBACK: frozenset({Phase.SWITCH, Phase.VERIFY, Phase.ALIAS}),
    Kind.SCALE: frozenset({Phase.BRING_UP, Phase.READY}),
    Kind.RESTART: frozenset({Phase.BRING_UP, Phase.READY}),
    Kind.PAUSE: frozenset({Phase.BRING_UP}),
    Kind.UNPAUSE: frozenset({Phase.BRING_UP, Phase.READY}),
    Kind.ADOPT: frozenset(
        {Phase.BRING_UP, Phase.READY, Phase.SMOKE, Phase.SWITCH, Phase.VERIFY, Phase.DRAIN, Phase.RETIRE}
    ),
    Kind.RELEASE: frozenset({Phase.BRING_UP, Phase.READY, Phase.SWITCH, Phase.VERIFY, Phase.DRAIN, Phase.RETIRE}),
    Kind.DRILL: frozenset({Phase.SMOKE}),
}


def route(
    kind: Kind, *, without: frozenset[Phase] = frozenset(), more: frozenset[Phase] = frozenset()
) -> tuple[Phase, ...]:
    """The phases of a kind, in order; `without` what its settings do not ask for, `more` what this one needs."""
    wanted = ((_ROUTES[kind] | more) - without) | ALWAYS
    return tuple(phase for phase in _FORWARD if phase in wanted)
