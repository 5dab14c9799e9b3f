"""Watch the traffic arrive: an operation is done when that was seen, not when a write was accepted (I3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mlconsole.cluster import fresh
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import ServiceSettings
from mlconsole.domain.history import Outcome
from mlconsole.domain.plans import Plan
from mlconsole.domain.services import Color, ModelService
from mlconsole.engine import answers
from mlconsole.engine.hints import hints_of

PAUSE = 0.25
"""Seconds between two looks."""
IN_A_ROW = 3
"""Answers by the destination's version, one after the other, that count as arrival."""

ROLLOUT_SECONDS = 180.0
"""At least so long is waited for a revision: its pods are replaced one by one."""

Say = Callable[[str], None]


async def arrival(connection: Connection, plan: Plan, settings: ServiceSettings, say: Say) -> tuple[Outcome, str]:
    """Wait until the traffic is seen on the plan's destination, or the deadline has passed.

    Returns VERIFIED, or UNVERIFIED with what was missing. Never raises for what the cluster answers.
    """
    deadline = max(settings.verify.deadline, ROLLOUT_SECONDS) if plan.revision else settings.verify.deadline
    end = time.monotonic() + deadline
    seen, missing = 0, "nothing was read"
    while time.monotonic() < end:
        try:
            async with asyncio.timeout(max(0.5, end - time.monotonic())):
                missing = await _look(connection, plan, settings)
        except (ClusterError, TimeoutError) as error:
            missing = f"could not look: {str(error) or 'no answer in time'}"
        seen = seen + 1 if not missing else 0
        if seen >= IN_A_ROW:
            return Outcome.VERIFIED, f"{IN_A_ROW} answers in a row by {plan.to_release.label}"
        if missing:
            say(missing)
        await asyncio.sleep(PAUSE)
    return Outcome.UNVERIFIED, f"after {deadline:.0f} s: {missing or 'answers were not steady'}"


async def _look(connection: Connection, plan: Plan, settings: ServiceSettings) -> str:
    """What is still missing, in words; empty when everything is there."""
    read = await fresh.read(connection, plan.target.namespace, plan.service, hints_of(settings), plan.base or None)
    service = read.service
    missing = _rolled_out(service, plan) if plan.revision else _switched(service, plan)
    if missing:
        return missing
    answer = await answers.through_service(connection, service, settings.verify.path, plan.to_release)
    same = answer.match is answers.Match.SAME
    # Between two of the same release (an adoption) no version tells them apart, and the endpoints have.
    unnamed = answer.match is answers.Match.UNNAMED and plan.from_release.same_as(plan.to_release)
    return "" if same or unnamed else answer.words


def _switched(service: ModelService, plan: Plan) -> str:
    if service.live != plan.to_color:
        return f"the selector says {service.live or 'no colour'}: someone else changed it"
    strangers = {point.color or "?" for point in service.endpoints if point.color != plan.to_color}
    # Back on a plain Deployment what was made of it is selected too, until it is removed.
    if strangers and plan.to_color:
        return f"endpoints still lead to {', '.join(sorted(strangers))}"
    return _enough(service, service.color(plan.to_color))


def _rolled_out(service: ModelService, plan: Plan) -> str:
    color = service.colors[0] if service.colors else None
    if color is None:
        return f"Deployment {plan.write.name} is gone"
    if not color.settled or not color.release.same_as(plan.to_release):
        return f"{color.updated}/{color.wish} pods replaced"
    if any(not pod.ready or pod.terminating for pod in color.pods):
        return "old pods are still ending"
    return _enough(service, color)


def _enough(service: ModelService, color: Color | None) -> str:
    if color is None:
        return "the destination is gone"
    ready = sum(point.ready for point in service.endpoints if point.color == color.name)
    # "Enough" is what the Deployment asks for; a waived shortage is met by what was there.
    enough = max(1, min(color.wish, color.ready))
    return "" if ready >= enough else f"{ready}/{enough} endpoints ready"
