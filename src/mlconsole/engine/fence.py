"""The fencing token: a write of somebody who lost the lock meanwhile fails at the server itself (I7).

The Service holds, as an annotation, the token of who wrote to it last. Every write on it tests that this is still what
was seen, and sets its own. Absence is tested as null, which the API server's JSON Patch takes for a missing member.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from mlconsole.cluster.discovery import COLOR_KEY
from mlconsole.cluster.fresh import Fresh
from mlconsole.domain.plans import Plan, PlanError, Write, escape_pointer
from mlconsole.domain.recording import BACK
from mlconsole.engine.planning.draft import FENCE

OPERATION = "mlconsole.io/operation"
"""The annotation of a Service that says what is under way, for a reader with kubectl alone."""


class Fence(Protocol):
    """The lock that a write is sent under."""

    token: int
    """0 for a rollback that could not get it: such a one tests the token, and sets none."""

    def knows(self, token: str, plan: Plan) -> bool:
        """Whether a token is that which the plan saw, or one of this operation's own."""

    def assert_held(self, plan: Plan) -> None:
        """Raise PlanError unless the lock is surely still ours."""


def fenced(write: Write, seen: Fresh, plan: Plan, fence: Fence) -> Write:
    """`write` with the token's test and its setting, where it is one on the Service.

    Raises PlanError when the token there is neither what the plan saw nor our own: somebody else was here.
    """
    if write.resource != "services" or write.verb != "patch":
        return write
    there = seen.raw.get((write.resource, write.name)) or {}
    annotations = (there.get("metadata") or {}).get("annotations")
    found = (annotations or {}).get(FENCE)
    if not fence.knows(found or "", plan):
        words = f"somebody else operated on {write.namespace}/{write.name} meanwhile"
        raise PlanError(words, "look again and plan again", 4)
    return replace(write, patch=(*_steps(annotations, found, plan, fence), *write.patch))


def _steps(
    annotations: dict[str, str] | None, found: str | None, plan: Plan, fence: Fence
) -> tuple[dict[str, Any], ...]:
    at = "/metadata/annotations"
    if annotations is None:
        test = {"op": "test", "path": at, "value": None}
        return (test, {"op": "add", "path": at, "value": _marks(plan, fence)}) if fence.token else (test,)
    test = {"op": "test", "path": f"{at}/{escape_pointer(FENCE)}", "value": found}
    marks = _marks(plan, fence).items() if fence.token else ()
    return (test, *({"op": "add", "path": f"{at}/{escape_pointer(key)}", "value": value} for key, value in marks))


def _marks(plan: Plan, fence: Fence) -> dict[str, str]:
    said = {"id": plan.id, "kind": plan.kind, "to": f"{plan.to_color} {plan.to_release.label}".strip()}
    said["by"] = plan.target.user
    marks = {FENCE: str(fence.token), OPERATION: msgspec.json.encode(said).decode()}
    # Whoever takes the colour out of the selector takes with it which label it was.
    return marks | ({COLOR_KEY: plan.color_key} if plan.color_key else {})


def claim(plan: Plan, seen: Fresh, fence: Fence) -> Write:
    """The write that sets the token on the Service, for an operation that begins elsewhere.

    What else `fenced` puts before it makes the place for the token, and tests the one before.
    """
    uid = {"op": "test", "path": "/metadata/uid", "value": seen.uid_of("services", plan.service)}
    token = {"op": "add", "path": f"/metadata/annotations/{escape_pointer(FENCE)}", "value": str(fence.token)}
    return Write("services", plan.target.namespace, plan.service, (uid, token))


def unmark(plan: Plan, seen: Fresh) -> Write | None:
    """The write that takes the words of an operation off the Service; None where they are not there, or another's."""
    there = seen.raw.get(("services", plan.service)) or {}
    annotations = (there.get("metadata") or {}).get("annotations") or {}
    said = annotations.get(OPERATION, "")
    if not any(f'"id":"{name}"' in said for name in (plan.id, f"{plan.id}{BACK}")):
        return None
    # That it is still there is what the token's own setting sees to; the token's test, that it is ours to remove.
    remove = {"op": "remove", "path": f"/metadata/annotations/{escape_pointer(OPERATION)}"}
    return Write("services", plan.target.namespace, plan.service, (remove,))
