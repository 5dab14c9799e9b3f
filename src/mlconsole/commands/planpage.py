"""A plan, for people and as JSON: what will change, on which grounds, and the way back (I10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlconsole.commands.page import Page
from mlconsole.domain.phases import ALWAYS
from mlconsole.domain.plans import Confirmation, Gate, Plan, Verdict


def show(page: Page, plan: Plan, waived: Sequence[str]) -> None:
    """Everything that the confirmation is bound to."""
    target = plan.target
    page.title(f"{plan.kind.upper()} {target.namespace}/{plan.service}   plan {plan.hash}")
    moves = plan.moves_traffic
    page.facts(
        [
            (
                "from" if moves else "live",
                f"{_place(plan.from_color, plan.from_release.label)}, {plan.pods_from} ready",
            ),
            (
                "to" if moves else "of",
                f"{_place(plan.to_color, plan.to_release.label)}, {plan.pods_to} ready{_more(plan)}",
            ),
            ("cold", plan.cold),
            ("on", f"{target.context} ({target.server}) as {target.user}"),
            ("traffic", plan.load if moves else ""),
            ("dry run", f"the API server: {plan.dry_run}"),
            ("rights", _rights(plan)),
            ("steps", " > ".join(phase for phase in plan.route if phase not in ALWAYS)),
            ("at work", plan.holder and f"{plan.holder} has the service's lock"),
            ("ends", plan.preempts),
            ("way back", plan.way_back),
            (
                "expected",
                f"{plan.expected_seconds:.0f} s until " + ("the traffic is seen there" if moves else "it is done"),
            ),
        ]
    )
    page.table(("CHANGES", "FIELD", "", ""), [(d.object, d.path, d.before, f"-> {d.after}") for d in plan.diffs])
    show_gates(page, plan.gates, waived)
    for warning in plan.warnings:
        page.line(f"WARNING: {warning}", "yellow")
    if plan.confirmation is Confirmation.NAME:
        page.line("PRODUCTION", "bold red")


def show_gates(page: Page, gates: Sequence[Gate], waived: Sequence[str]) -> None:
    """Every gate with its evidence."""
    page.table(("GATE", "", "VALUE", "NEEDED", "EVIDENCE"), [_gate(gate, waived) for gate in gates])


def _place(color: str, label: str) -> str:
    return f"{color or '(no colour)'} {label}" if color else label


def _more(plan: Plan) -> str:
    wanted = f", {plan.replicas} wanted" if plan.replicas else ""
    return f"{wanted}, revision {plan.revision}" if plan.revision else wanted


def _rights(plan: Plan) -> str:
    missing = plan.missing_rights
    if not missing:
        return f"all {len(plan.rights)} are given"
    return "MISSING: " + ", ".join(f"{right.verb} {right.resource}" for right in missing)


def _gate(gate: Gate, waived: Sequence[str]) -> tuple[str, ...]:
    note = ""
    if gate.stops and gate.waivable and gate.name in waived:
        note = "waived; "
    elif gate.verdict is not Verdict.PASS and not gate.blocks:
        note = "informs only; "
    age = f", {gate.age:.0f} s old" if gate.age >= 1 else ""
    return gate.name, gate.verdict, gate.value, gate.limit, f"{note}{gate.evidence}{age}"


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan with stable keys."""
    target = plan.target
    return {
        "id": plan.id,
        "hash": plan.hash,
        "context": target.context,
        "server": target.server,
        "user": target.user,
        "from": {
            "color": plan.from_color or None,
            "version": plan.from_release.version or None,
            "ready": plan.pods_from,
        },
        "to": {
            "color": plan.to_color or None,
            "version": plan.to_release.version or None,
            "ready": plan.pods_to,
            "revision": plan.revision or None,
        },
        "diffs": [{"object": d.object, "path": d.path, "before": d.before, "after": d.after} for d in plan.diffs],
        "gates": [gate_json(gate) for gate in plan.gates],
        "rights": [
            {"verb": right.verb, "resource": right.resource, "name": right.name, "allowed": right.allowed}
            for right in plan.rights
        ],
        "dry_run": plan.dry_run,
        "confirmation": plan.confirmation,
        "reason_required": plan.reason_required,
        "requests_per_second": plan.requests_per_second,
        "way_back": plan.way_back,
        "expected_seconds": plan.expected_seconds,
        "warnings": list(plan.warnings),
        "route": list(plan.route),
        "replicas": plan.replicas or None,
        "cold": plan.cold or None,
        "holder": plan.holder or None,
        "preempts": plan.preempts or None,
    }


def gate_json(gate: Gate) -> dict[str, Any]:
    """A gate with its evidence."""
    return {
        "name": gate.name,
        "verdict": gate.verdict,
        "value": gate.value,
        "limit": gate.limit,
        "evidence": gate.evidence,
        "age": gate.age,
        "blocks": gate.blocks,
        "waivable": gate.waivable,
    }
