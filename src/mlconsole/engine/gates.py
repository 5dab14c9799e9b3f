"""The gates of a plan, each with its evidence (I1, I14, I21).

What blocks depends on the kind: a switch stops at everything that is not a PASS; a rollback stops only at what makes
its destination no destination, and at the policy.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from mlconsole.cluster.connection import Connection
from mlconsole.config import Environment, ServiceSettings
from mlconsole.domain.history import Kind, Record, is_bad
from mlconsole.domain.plans import Gate, Verdict, capacity_gate
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import answers

ASKED_PODS = 3
"""Pods of the destination that are asked who they are."""
STALE_GLANCE = 60.0


def policy_gate(environment: Environment, read_only: bool) -> Gate | None:
    """The environment's refusal of any write, or None."""
    if read_only:
        return Gate(
            "policy", Verdict.FAIL, "read-only", "", "--read-only or read_only in mlconsole.toml", waivable=False
        )
    if environment.read_only:
        evidence = f"mlconsole.toml, environment {environment.name}: read_only"
        return Gate("policy", Verdict.FAIL, "read-only", "", evidence, waivable=False)
    return None


def quarantine_gate(destination: Color, records: Sequence[Record], kind: Kind) -> Gate | None:
    """A release that was rolled back from stays bad until a person says otherwise (I14)."""
    if not is_bad(destination.release, records):
        return None
    why = f"{destination.release.label} was rolled back from"
    return Gate("quarantine", Verdict.FAIL, "rolled back from", "never", why, waivable=kind is Kind.SWITCH)


def destination_capacity(service: ModelService, destination: Color, kind: Kind, now: float) -> Gate:
    """`capacity_gate` for this move; the colour that is left counts for a switch only."""
    current = service.live_color if kind is Kind.SWITCH else None
    return capacity_gate(destination, current, kind, now)


async def answers_gate(
    connection: Connection, service: ModelService, destination: Color, settings: ServiceSettings, kind: Kind
) -> Gate:
    """Whether the destination's ready pods answer, as the version they should be."""
    pods = [pod.name for pod in destination.pods if pod.ready and not pod.terminating][:ASKED_PODS]
    blocks = kind is Kind.SWITCH
    if not pods:
        return Gate("answers", Verdict.UNKNOWN, "no ready pod to ask", blocks=blocks)
    path = settings.verify.path
    asked = await asyncio.gather(
        *(answers.through_pod(connection, service, pod, path, destination.release) for pod in pods)
    )
    worst = min(asked, key=lambda answer: _GRADE[answer.match])
    verdict = Verdict.FAIL if _GRADE[worst.match] == 0 else Verdict.PASS
    evidence = f"GET {path} on {', '.join(pods)} through the API server"
    return Gate("answers", verdict, worst.words, destination.release.label, evidence, blocks=blocks)


_GRADE = {answers.Match.FAILED: 0, answers.Match.OTHER: 0, answers.Match.UNNAMED: 1, answers.Match.SAME: 2}


def figure_gates(
    destination: Color, glance: Glance | None, settings: ServiceSettings, kind: Kind, now: float
) -> list[Gate]:
    """The gates on error share and p95 that the configuration asks for; no data is unknown and blocks (I21)."""
    wanted = [
        ("errors", settings.gates.max_error_share, glance.error_share if glance else None, "{:.2%}"),
        ("p95", settings.gates.max_p95_seconds, glance.p95 if glance else None, "{:.3f} s"),
    ]
    blocks = kind is Kind.SWITCH
    age = now - glance.at if glance else 0.0
    gates = []
    for name, limit, value, form in wanted:
        if limit is None:
            continue
        evidence = f"{destination.name}, from {glance.samples:.0f} requests" if glance else "no metrics for this colour"
        if value is None or not math.isfinite(value) or age > STALE_GLANCE:
            gate = Gate(name, Verdict.UNKNOWN, "no fresh data", form.format(limit), evidence, age, blocks=blocks)
        else:
            verdict = Verdict.PASS if value <= limit else Verdict.FAIL
            gate = Gate(name, verdict, form.format(value), form.format(limit), evidence, age, blocks=blocks)
        gates.append(gate)
    return gates
