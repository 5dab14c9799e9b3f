"""The gate on foreign owners: what somebody else's controller writes as well is not changed unasked (I25)."""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.cluster.fresh import Fresh
from mlconsole.domain import owners
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import Gate, Verdict, Write

NAME = "owners"


def owner_gate(fresh: Fresh, writes: Sequence[Write], kind: Kind) -> Gate | None:
    """Whether the fields that `writes` change are nobody else's; None where they are not.

    It stops what goes forward until a person says why; for a rollback it only informs (I13).
    """
    words = owners.foreign(fresh.raw, writes)
    if not words:
        return None
    evidence = "managedFields, ownerReferences, labels and annotations, read now"
    return Gate(NAME, Verdict.FAIL, "; ".join(words), "nobody else's", evidence, blocks=kind is not Kind.ROLLBACK)


def undone_by(before: Fresh, after: Fresh, write: Write) -> str:
    """Who undid a write that was in place, in words; empty while it is still there."""
    if not before.has(write) or after.has(write):
        return ""
    item = after.raw.get((write.resource, write.name))
    if item is None:
        return f"{write.label} was deleted"
    path = next((step["path"] for step in write.patch if step["op"] != "test" and not _there(after, write, step)), "")
    manager, at = owners.last_writer(item, path)
    who = f"{manager or 'somebody'} changed {path or 'it'} of {write.label}"
    return f"{who} at {at}" if at else who


def _there(fresh: Fresh, write: Write, step: dict[str, object]) -> bool:
    return fresh.has(Write(write.resource, write.namespace, write.name, (step,)))
