"""The gates of a plan, each with its evidence (I1, I14, I21).

What blocks depends on the kind: a switch stops at everything that is not a PASS; a rollback stops only at what makes
its destination no destination, and at the policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlconsole.cluster.connection import Connection
from mlconsole.config import Environment, ServiceSettings
from mlconsole.domain.autoscaling import Raw
from mlconsole.domain.health import FEW_REQUESTS
from mlconsole.domain.history import Kind, Record, is_bad, is_bad_revision
from mlconsole.domain.plans import Gate, Verdict, capacity_gate
from mlconsole.domain.policy import read_only_gate
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.domain.text import visible
from mlconsole.engine import answers
from mlconsole.gathering import gather

ASKED_PODS = 3
"""Pods of the destination that are asked who they are."""
INFORM_SECONDS = 0.5
"""For an answer that decides nothing."""
STALE_GLANCE = 60.0
"""Seconds after which a figure decides nothing any more (I24)."""


def policy_gate(environment: Environment, read_only: bool) -> Gate | None:
    """The environment's refusal of any write, or None. `engine.policy` also says where it is written."""
    if read_only:
        return read_only_gate("--read-only or read_only in mlconsole.toml")
    if environment.read_only:
        return read_only_gate(f"mlconsole.toml, environment {environment.name}: read_only")
    return None


def quarantine_gate(destination: Color, records: Sequence[Record], kind: Kind, revision: int = 0) -> Gate | None:
    """A release that was rolled back from stays bad until a person says otherwise (I14).

    A rollback never goes there; what goes forward, or the revision of a plain service that somebody names, does with a
    reason.
    """
    bad = is_bad_revision(revision, records) if revision else is_bad(destination.release, records)
    if not bad:
        return None
    what = f"revision {revision}, {destination.release.label}," if revision else destination.release.label
    waivable = kind is not Kind.ROLLBACK or revision > 0
    return Gate(
        "quarantine", Verdict.FAIL, "rolled back from", "never", f"{what} was rolled back from", waivable=waivable
    )


def unread_history_gate(problem: str, kind: Kind) -> Gate:
    """Whether the destination was ever rolled back from cannot be known while the history cannot be read (I21)."""
    return Gate("quarantine", Verdict.UNKNOWN, "not known", "never rolled back", problem, blocks=kind is Kind.SWITCH)


def destination_capacity(service: ModelService, destination: Color, kind: Kind, now: float) -> Gate:
    """`capacity_gate` for a move away from where the traffic is."""
    return capacity_gate(destination, service.live_color, kind, now)


def rollout_gate(destination: Color, kind: Kind) -> Gate:
    """Whether all that the destination serves is the one release: in the middle of a rollout it is two."""
    digests = {pod.digest for pod in destination.pods if pod.ready and not pod.terminating and pod.digest}
    evidence = f"status of Deployment {destination.deployment} and imageID of its ready pods, read now"
    images = f"{len(digests)} image digest{'' if len(digests) == 1 else 's'}"
    value = f"{destination.updated}/{destination.wish} pods of its template, {images}"
    fine = destination.settled and len(digests) <= 1
    verdict = Verdict.PASS if fine else Verdict.FAIL
    return Gate("rollout", verdict, value, "all, at most 1 digest", evidence, blocks=kind is Kind.SWITCH)


def bounds_gate(scaler: Raw, replicas: int) -> Gate | None:
    """Whether an autoscaler lets its Deployment have so many pods; None where it does."""
    spec, meta = scaler.get("spec") or {}, scaler["metadata"]
    least, most = int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 0)
    if least <= replicas <= most:
        return None
    name = visible(meta["name"], 63)
    evidence = f"HorizontalPodAutoscaler {visible(meta.get('namespace', ''), 63)}/{name}"
    value = f"{replicas} asked, which {name} undoes at once"
    return Gate("autoscaler", Verdict.FAIL, value, f"between {least} and {most}", evidence)


async def answers_gate(
    connection: Connection, service: ModelService, destination: Color, settings: ServiceSettings, kind: Kind
) -> Gate:
    """Whether the destination's ready pods answer, as the version they should be.

    For a rollback it only informs, and is not waited for longer than a moment.
    """
    pods = [pod.name for pod in destination.pods if pod.ready and not pod.terminating][:ASKED_PODS]
    blocks = kind is Kind.SWITCH
    if not pods:
        return Gate("answers", Verdict.UNKNOWN, "no ready pod to ask", blocks=blocks)
    path = settings.verify.path
    seconds = None if blocks else INFORM_SECONDS
    asked = await gather(
        *(answers.through_pod(connection, service, pod, path, destination.release, seconds) for pod in pods)
    )
    worst = min(asked, key=lambda answer: _WORST_FIRST.index(answer.match))
    verdict = _VERDICTS[worst.match]
    evidence = f"GET {path} on {', '.join(pods)} through the API server"
    return Gate("answers", verdict, worst.words, destination.release.label, evidence, blocks=blocks)


_VERDICTS = {
    answers.Match.FAILED: Verdict.FAIL,
    answers.Match.OTHER: Verdict.FAIL,
    answers.Match.SILENT: Verdict.UNKNOWN,
    # It may be anything: a switch to it could never be seen to arrive.
    answers.Match.UNNAMED: Verdict.UNKNOWN,
    answers.Match.SAME: Verdict.PASS,
}
_WORST_FIRST = tuple(_VERDICTS)


def figure_gates(
    destination: Color, glance: Glance | None, settings: ServiceSettings, kind: Kind, now: float
) -> list[Gate]:
    """The gates on error share and p95 that the configuration asks for (I21).

    No data, too few samples, stale data are unknown, and unknown blocks a switch.
    """
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
        unknown = _unknown(value, glance, age)
        if unknown or value is None:
            gate = Gate(name, Verdict.UNKNOWN, unknown, form.format(limit), evidence, age, blocks=blocks)
        else:
            verdict = Verdict.PASS if value <= limit else Verdict.FAIL
            gate = Gate(name, verdict, form.format(value), form.format(limit), evidence, age, blocks=blocks)
        gates.append(gate)
    return gates


def _unknown(value: float | None, glance: Glance | None, age: float) -> str:
    """Why a figure says nothing, or empty."""
    if glance is None or value is None or not math.isfinite(value):
        return "no data"
    if age > STALE_GLANCE:
        return f"{age:.0f} s old"
    return f"only {glance.samples:.0f} requests" if glance.samples < FEW_REQUESTS else ""
