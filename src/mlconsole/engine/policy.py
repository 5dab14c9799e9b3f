"""The rules of a place, from the settings and the server's word on who asks: the gates that they put into a plan.

`still_allowed` asks once more before a write: a freeze may have begun since the plan was made.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.cluster.connection import Connection, Who
from mlconsole.config import Environment, Settings
from mlconsole.domain import policy
from mlconsole.domain.freezes import FreezeError, Window, window
from mlconsole.domain.history import Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.policy import Place, Rules
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.text import visible


async def policy_gates(
    connection: Connection,
    settings: Settings,
    kind: Kind,
    service: ModelService,
    destination: Color,
    route: Sequence[Phase],
    gates: Sequence[Gate],
    now: float,
) -> list[Gate]:
    """All gates of a plan: those of the rules, then `gates`, which the rules may forbid to waive.

    Who asks is asked only where groups count. Raises ClusterError, TimeoutError where the server does not answer.
    """
    environment = settings.environment(connection.identity.context, service.namespace)
    refusal = read_only_gate(settings, environment)
    found = [refusal] if refusal else []
    if kind in policy.FREE:
        return [*found, *gates]
    try:
        place = place_of(settings, environment)
    except FreezeError as error:
        return [*found, _not_understood(error), *gates]
    who = await connection.whois() if environment.groups else Who("")
    analysis = settings.service(service.namespace, service.name).analysis
    measured = [name for name, item in analysis.items() if item.when != "after"]
    rules = (
        policy.freeze_gate(place, kind, now),
        policy.groups_gate(place, kind, visible(who.user), who.groups),
        policy.min_idle_gate(place, kind, route, destination, now),
        *policy.required_gates(place, kind, route, gates, measured),
        *policy.demands(place, kind, route),
    )
    return [*found, *(gate for gate in rules if gate), *policy.bound(place, kind, gates)]


async def member_gate(connection: Connection, settings: Settings, environment: Environment, kind: Kind) -> Gate | None:
    """Whether whoever asks may go forward; None where everybody may. Raises ClusterError, TimeoutError."""
    if kind in policy.FREE or not environment.groups:
        return None
    who = await connection.whois()
    place = _place(settings, Rules(environment.name, environment.groups))
    return policy.groups_gate(place, kind, visible(who.user), who.groups)


def read_only_gate(settings: Settings, environment: Environment) -> Gate | None:
    """The refusal of every write, or None."""
    if settings.read_only:
        where = settings.written("read_only")
        return policy.read_only_gate(where if where.startswith("--") else f"{where}: read_only".removeprefix(": "))
    if environment.read_only:
        return policy.read_only_gate(_place(settings, Rules(environment.name)).evidence("read_only"))
    return None


def still_allowed(settings: Settings, environment: Environment, kind: Kind, now: float) -> Gate | None:
    """What refuses the next write whatever was planned: read-only, or a freeze that has begun meanwhile."""
    refusal = read_only_gate(settings, environment)
    if refusal is not None or kind in policy.FREE:
        return refusal
    try:
        return policy.freeze_gate(place_of(settings, environment), kind, now)
    except FreezeError as error:
        return _not_understood(error)


def may_waive(environment: Environment, kind: Kind, gate: str) -> bool:
    """Whether a gate that an operation passes on its way may be waived: not where the rules require it."""
    return kind in policy.FREE or not policy.requires(environment.required_gates, gate)


def place_of(settings: Settings, environment: Environment) -> Place:
    """The rules of an environment, and where they are written. Raises FreezeError."""
    rules = Rules(
        environment.name,
        environment.groups,
        environment.min_idle,
        environment.required_gates,
        environment.require_reason,
        environment.confirm,
        environment.approval,
        tuple(_window(name, environment) for name in environment.freeze),
    )
    return _place(settings, rules)


def _place(settings: Settings, rules: Rules) -> Place:
    return Place(rules, lambda key: settings.written(f"environments.{rules.environment}.{key}"))


def _window(name: str, environment: Environment) -> Window:
    freeze = environment.freeze[name]
    return window(name, freeze.days, freeze.start, freeze.end, freeze.timezone, visible(freeze.reason, 200))


def _not_understood(error: FreezeError) -> Gate:
    """Settings are checked where they are read; this machine may know fewer time zones than that one did."""
    return Gate("freeze", Verdict.UNKNOWN, f"a freeze cannot be read: {error}", "outside", "", waivable=False)
