"""What a person said to a plan, and whether that is enough for it (I10, I11)."""

from __future__ import annotations

from msgspec import Struct

from mlconsole.domain.history import Kind
from mlconsole.domain.plans import ACCEPTED, Confirmation, Gate, Plan, PlanError
from mlconsole.domain.policy import is_rule

PLAN_SECONDS = 300.0
"""A plan older than this is planned again before it is carried out."""


class Consent(Struct, frozen=True):
    """What a person said to a plan."""

    hash: str
    """Of the plan that was shown (I10)."""
    reason: str = ""
    typed: str = ""
    waived: tuple[str, ...] = ()


def check_consent(plan: Plan, consent: Consent, now: float) -> None:
    """Whether the consent is for this plan, and enough for it. Raises PlanError."""
    if consent.hash != plan.hash:
        raise PlanError("the confirmation is for another plan than this", "look at the plan again", 4)
    if now - plan.created_at > PLAN_SECONDS:
        raise PlanError(f"the plan is {now - plan.created_at:.0f} s old", "plan again", 4)
    stopping = plan.stopping(consent.waived)
    if stopping:
        raise PlanError(
            _stopped(stopping), _waiver(stopping), 3 if is_rule(stopping[0].name) else _CODES.get(stopping[0].name, 6)
        )
    refused = [
        right
        for right in plan.missing_rights
        if plan.kind is not Kind.ROLLBACK or (right.verb == "patch" and right.resource.startswith(plan.write.resource))
    ]
    if refused:
        words = ", ".join(f"{right.verb} {right.resource}" for right in refused)
        raise PlanError(
            f"{plan.target.user} may not {words} in {plan.target.namespace}", "ask for the missing verbs", 3
        )
    unsaid = plan.kind is Kind.ROLLBACK and plan.dry_run.startswith("unknown")
    if plan.dry_run != ACCEPTED and not unsaid:
        raise PlanError(f"the API server's dry run: {plan.dry_run}", "nothing was changed", 1)
    if (plan.reason_required or consent.waived) and not consent.reason.strip():
        raise PlanError("a reason is needed", "say why: it goes on record", 2)
    if plan.confirmation is Confirmation.NAME and consent.typed != plan.service:
        raise PlanError(f"production: type the service's name, {plan.service}", "", 2)


_CODES = {"lock": 4, "unfinished": 4}
"""Exit codes of gates that are no measurement."""


def _stopped(stopping: tuple[Gate, ...]) -> str:
    return "; ".join(map(_refusal, stopping))


def _refusal(gate: Gate) -> str:
    """What stops it; of a rule also where that is written."""
    words = f"{gate.name} {gate.verdict}: {gate.value}" + (f", needed {gate.limit}" if gate.limit else "")
    return f"{words} ({gate.evidence})" if is_rule(gate.name) else words


def _waiver(stopping: tuple[Gate, ...]) -> str:
    if all(gate.waivable for gate in stopping):
        return "wait, or waive " + ", ".join(gate.name for gate in stopping) + " with a reason"
    if any(gate.name == "capacity" and not gate.waivable for gate in stopping):
        return "no pod is ready there: scale its Deployment up first"
    if any(is_rule(gate.name) for gate in stopping):
        return "a rule of the place cannot be waived: ask whoever keeps the configuration, or wait"
    return "this cannot be waived"
