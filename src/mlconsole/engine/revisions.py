"""Which revision of a plain service's Deployment to go back to (I14)."""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.cluster import fresh
from mlconsole.domain.history import Good, Record, is_bad_revision
from mlconsole.domain.plans import PlanError
from mlconsole.domain.services import Color, Revision


def choose(color: Color, records: Sequence[Record], goods: Sequence[Good], number: int) -> Revision:
    """The revision with that number; for 0 the last known good one, else the newest not rolled back from.

    Raises PlanError where there is none, or where a rollout would not begin.
    """
    name = color.deployment
    if color.paused:
        words = f"the rollout of Deployment {name} is paused: a revision put back would not reach its pods"
        raise PlanError(words, f"kubectl rollout resume deployment/{name}")
    if color.observed_generation < color.generation:
        words = f"the last change of Deployment {name} has no revision yet"
        raise PlanError(words, "try again in a moment; is the controller manager up?", 4)
    earlier = color.revisions[1:]
    kept = ", ".join(str(item.number) for item in earlier) or "none"
    if number:
        found = next((item for item in earlier if item.number == number), None)
        if found is None:
            raise PlanError(f"Deployment {name} has no earlier revision {number}", f"kept are: {kept}", 2)
        return found
    if not earlier:
        raise PlanError(f"Deployment {name} has no earlier revision", "none is kept (revisionHistoryLimit)", 2)
    untainted = [item for item in earlier if not is_bad_revision(item.number, records)]
    if not untainted:
        words = f"every earlier revision of Deployment {name} was itself rolled back from"
        raise PlanError(words, f"deploy a better release, or name one with a reason: {kept}", 6)
    return next((item for good in goods for item in untainted if item.release.same_as(good.release)), untainted[0])


def warnings(read: fresh.Fresh, color: Color, revision: Revision, goods: Sequence[Good]) -> tuple[str, ...]:
    """What a person should know before a revision is put back."""
    found = ["not blue-green: pods are replaced one by one, and the old ones end as the new become ready"]
    spec = read.raw.get(("deployments", color.deployment), {}).get("spec") or {}
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        found = ["not blue-green, strategy Recreate: nothing answers until the new pods are ready"]
    if not any(revision.release.same_as(good.release) for good in goods):
        found.append(f"no record says that revision {revision.number}, {revision.release.label}, was ever good")
    return tuple(found)
