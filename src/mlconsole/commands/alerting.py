"""What `mlconsole alerts` does: look until every rule is known, and say what holds."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from msgspec.structs import replace

from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.page import Page
from mlconsole.commands.running import complete, failures, settings, write_json
from mlconsole.config import Settings
from mlconsole.configalerts import Notify
from mlconsole.domain.alerts import Alert, Rule, State, Track
from mlconsole.domain.plans import PlanError
from mlconsole.domain.sources import Condition
from mlconsole.engine.watching import Watching

PATIENCE = 20.0
"""Seconds in which every rule has to be known: two scrapes, or the first query of a cold worker."""
LOOK = 1.0
SILENT = (Condition.OFF, Condition.DOWN, Condition.DENIED)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    with failures(args):
        return complete(lambda: _run(args, settings(args).settings))


async def _run(args: argparse.Namespace, config: Settings) -> int:
    # One look calls nobody.
    config = replace(config, notify=Notify())
    async with Watching.open(config, judging=False) as watching:
        await _patiently(watching)
        said, rules = watching.alerts.publication(), watching.alerts.rules()
        connection = watching.scope.connection
        place = {"context": connection.identity.context, "namespace": connection.namespace} if connection else {}
        default = connection.namespace if connection else ""
    known = {service for service, _, _ in rules}
    wanted = _wanted(args.service, default, known)
    rules = [item for item in rules if not wanted or item[0] == wanted]
    others = [item for item in said.lines if "rule" not in item.sources and (not wanted or item.service == wanted)]
    if args.output == "json":
        silences = [
            {
                "id": item.id,
                "matchers": item.matchers,
                "by": item.by,
                "comment": item.comment,
                "starts_at": item.starts_at,
                "ends_at": item.ends_at,
            }
            for item in said.silences
        ]
        told = {"rules": [_rule_json(*item) for item in rules], "alerts": [_alert_json(item) for item in others]}
        write_json({**place, "problem": said.problem, **told, "silences": silences})
        return Exit.DONE
    _show(Page(), rules, others, said.problem)
    return Exit.DONE


def _wanted(given: str | None, namespace: str, known: set[str]) -> str:
    if not given:
        return ""
    key = given if "/" in given else f"{namespace}/{given}"
    found = [item for item in known if item == key or (not namespace and item.endswith(f"/{given}"))]
    if len(found) != 1:
        raise Stop(f"there is no model service {given}", f"there are: {', '.join(sorted(known)) or 'none'}", Exit.USAGE)
    return found[0]


async def _patiently(watching: Watching) -> None:
    """Look until every rule is known, or patience ends. Raises PlanError where the cluster cannot be read."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        await asyncio.sleep(LOOK)
        state = watching.scope.state
        if state.condition in (Condition.DOWN, Condition.DENIED):
            code = Exit.UNREACHABLE if state.condition is Condition.DOWN else Exit.DENIED
            raise PlanError(f"the cluster cannot be read: {state.message}", state.hint, code)
        if not watching.complete:
            continue
        await watching.alerts.look()
        rules = watching.alerts.rules()
        if rules and all(track.looked and not track.unknown_since for _, _, track in rules):
            return
        if all(state.condition in SILENT for state in watching.sources()[1:]):
            return  # no figures will come
    if not watching.complete:
        raise PlanError(f"the cluster gave no answer within {PATIENCE:.0f} s", "check the network or the VPN", 5)


def _holds(track: Track) -> bool | None:
    return None if track.unknown_since or not track.looked else track.held_last


def _rule_json(service: str, rule: Rule, track: Track) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "service": service,
        "severity": rule.severity,
        "condition": rule.condition,
        "query": track.query,
        "origin": rule.origin,
        "holds": _holds(track),
        "state": track.state if track.state is not State.RESOLVED else State.INACTIVE,
        "since": track.since or None,
        "value": track.value,
        "why": track.why,
    }


def _alert_json(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "alert": alert.name,
        "service": alert.service,
        "severity": alert.severity,
        "state": alert.state,
        "since": alert.since,
        "value": alert.value,
        "labels": alert.labels,
        "sources": alert.sources,
        "silenced_by": alert.silenced_by,
        "handled": alert.handled,
    }


def _show(page: Page, rules: list[tuple[str, Rule, Track]], others: list[Alert], problem: str) -> None:
    words = {True: "FAIL", False: "OK", None: "UNKNOWN"}
    page.table(
        ("", "severity", "rule", "service", "state", "now"),
        [
            (words[_holds(track)], rule.severity, rule.name, service, _state(track), _now(track))
            for service, rule, track in rules
        ],
    )
    if others:
        page.line()
        page.table(
            ("state", "severity", "alert", "service", "what", "in hand"),
            [
                (item.state, item.severity, item.name, item.service or "-", item.value, "; ".join(item.silenced_by))
                for item in others
            ],
        )
    if not rules and not others:
        page.line("no rule, and no alert of anybody")
    if problem:
        page.line(problem, "yellow")


def _state(track: Track) -> str:
    return track.state if track.state in (State.FIRING, State.PENDING) else ""


def _now(track: Track) -> str:
    return "; ".join(filter(None, (track.value, track.why)))
