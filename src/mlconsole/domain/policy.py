"""The rules of a place, as gates: each refusal names its rule, and where that is written.

They bind what goes forward. The way back is never refused but by read-only, which refuses every write (I12, I13). None
of them can be waived by the person whom it binds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.freezes import Window, frozen, told
from mlconsole.domain.history import Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.services import Color

FREE = frozenset({Kind.ROLLBACK, Kind.DRILL})
"""What is no step forward: nothing but read-only refuses it."""
CARE = frozenset({Kind.SCALE, Kind.RESTART, Kind.PAUSE})
"""What keeps alive that which serves: a freeze lets it pass."""
PROMOTES = frozenset({Kind.SWITCH, Kind.DEPLOY})
"""What may put another release under the traffic; an adoption moves it between two of the same one."""
STEPS = {"smoke": Phase.SMOKE, "parity": Phase.PARITY}
"""Gates that are a phase of their own."""
PLANNED = ("capacity", "rollout", "answers", "errors", "p95", "validation")
"""Gates that a plan has before it is carried out, and that may be required too."""
RULES = ("policy", "freeze", "groups", "min-idle", "required", "approval")
"""The gates of this module that can stop a plan."""

Written = Callable[[str], str]
"""From a key of the place's table (`freeze.christmas`) to where it is written (`mlconsole.toml:12`), or empty."""


class Rules(Struct, frozen=True):
    """The rules of a place."""

    environment: str = ""
    groups: tuple[str, ...] = ()
    min_idle: float = 0.0
    required_gates: tuple[str, ...] = ()
    require_reason: bool = False
    confirm: bool = False
    approval: bool = False
    windows: tuple[Window, ...] = ()


class Place(Struct, frozen=True):
    """The rules, and where each of them is written."""

    rules: Rules
    written: Written

    def evidence(self, key: str) -> str:
        """`mlconsole.toml:12: environments.prod.min_idle`."""
        dotted = f"environments.{self.rules.environment}.{key}"
        where = self.written(key)
        return f"{where}: {dotted}" if where else dotted


def is_rule(gate: str) -> bool:
    """Whether a gate, by its name, is a rule of the place rather than a measurement."""
    return gate.partition(".")[0] in RULES


def read_only_gate(where: str) -> Gate:
    """The refusal of every write; `where` names what says so."""
    return Gate("policy", Verdict.FAIL, "read-only", "", where, waivable=False)


def freeze_gate(place: Place, kind: Kind, now: float) -> Gate | None:
    """The freeze that is on, or None."""
    if kind in FREE or kind in CARE:
        return None
    found = frozen(place.rules.windows, now)
    if found is None:
        return None
    window, until = found
    end = f"until {told(until, window.timezone)}" if until else "and no end is in sight"
    value = f"frozen {end}" + (f": {window.reason}" if window.reason else "")
    return Gate("freeze", Verdict.FAIL, value, "outside", place.evidence(f"freeze.{window.name}"), waivable=False)


def groups_gate(place: Place, kind: Kind, user: str, groups: Sequence[str] | None) -> Gate | None:
    """Whether the user is one of those who may go forward; None where everybody may. `groups` None: not known."""
    wanted = place.rules.groups
    if not wanted or kind in FREE:
        return None
    limit, evidence = f"a member of {' or '.join(wanted)}", place.evidence("groups")
    if groups is None:
        value = f"the server does not say in which groups {user} is"
        return Gate("groups", Verdict.UNKNOWN, value, limit, evidence, waivable=False)
    mine = [group for group in wanted if group in groups]
    if mine:
        return Gate("groups", Verdict.PASS, f"{user} is in {mine[0]}", limit, evidence, waivable=False)
    return Gate("groups", Verdict.FAIL, f"{user} is in none of them", limit, evidence, waivable=False)


def min_idle_gate(place: Place, kind: Kind, route: Sequence[Phase], destination: Color, now: float) -> Gate | None:
    """Whether the release has been ready on the idle colour for long enough; None where nothing asks for it.

    It is ready since as many of its pods as it should have are: a pod that was replaced begins anew.
    """
    least = place.rules.min_idle
    if not least or kind not in PROMOTES or Phase.SWITCH not in route:
        return None
    limit, evidence = f"ready for {_lasting(least)}", place.evidence("min_idle")
    since = ready_since(destination)
    if Phase.BRING_UP in route:
        value = "it would be switched to as soon as it is ready"
        return Gate("min-idle", Verdict.FAIL, value, limit, evidence, waivable=False)
    if not since:
        return Gate("min-idle", Verdict.UNKNOWN, "not all of its pods are ready", limit, evidence, waivable=False)
    idle = max(0.0, now - since)
    if idle >= least:
        return Gate("min-idle", Verdict.PASS, f"ready for {_lasting(idle)}", limit, evidence, waivable=False)
    value = f"ready for {_lasting(idle)}, {_lasting(least - idle)} to go"
    return Gate("min-idle", Verdict.FAIL, value, limit, evidence, waivable=False)


def ready_since(color: Color) -> float:
    """Since when a colour has had the ready pods that it should have; 0 while it has not, or nobody knows."""
    times = sorted(pod.ready_since for pod in color.pods if pod.ready and not pod.terminating)
    need = max(1, color.minimum, color.wish)
    return times[need - 1] if len(times) >= need and times[0] > 0 else 0.0


def _lasting(seconds: float) -> str:
    whole = int(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    said = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(said[:2]) or f"{seconds:.1f} s"


# ---- gates that are required


def required_gates(
    place: Place, kind: Kind, route: Sequence[Phase], gates: Iterable[Gate], analyses: Iterable[str]
) -> list[Gate]:
    """One refusal for each gate that a move of the traffic must have passed and that this one has not.

    `gates` are those of the plan, `analyses` the names of what is measured before the switch.
    """
    if kind not in PROMOTES or Phase.SWITCH not in route:
        return []
    has = {gate.name for gate in gates} | {name for name, phase in STEPS.items() if phase in route}
    has |= set(analyses) if Phase.ANALYSIS in route else set()
    evidence = place.evidence("required_gates")
    return [
        Gate(f"required.{name}", Verdict.FAIL, f"{name} is no gate of this plan", name, evidence, waivable=False)
        for name in place.rules.required_gates
        if name not in has
    ]


def requires(required: Iterable[str], gate: str) -> bool:
    """Whether a gate, or the one that it is a part of (`parity` of `parity.flips`), is required."""
    return any(gate == name or gate.startswith(f"{name}.") for name in required)


def bound(place: Place, kind: Kind, gates: Iterable[Gate]) -> list[Gate]:
    """The gates, those that are required not to be waived."""
    if kind in FREE:
        return list(gates)
    required = place.rules.required_gates
    return [replace(gate, waivable=False) if requires(required, gate.name) else gate for gate in gates]


# ---- what a person is asked for


def demands(place: Place, kind: Kind, route: Sequence[Phase]) -> list[Gate]:
    """What the rules ask of persons, for whoever wonders why: none of it is refused here but a missing approval."""
    rules = place.rules
    if kind in FREE:
        return []
    found = []
    if rules.require_reason:
        found.append(_told("reason", "a reason is asked for", place.evidence("require_reason")))
    if rules.confirm:
        found.append(_told("confirm", "the service's name has to be typed", place.evidence("confirm")))
    if rules.approval and kind in PROMOTES and Phase.SWITCH in route:
        evidence = place.evidence("approval")
        if Phase.APPROVAL in route:
            found.append(_told("approval", "a second person is asked before the switch", evidence))
        else:
            value = "this plan asks no second person"
            found.append(Gate("approval", Verdict.FAIL, value, "one", evidence, waivable=False))
    return found


def _told(name: str, words: str, evidence: str) -> Gate:
    return Gate(name, Verdict.PASS, words, "", evidence, waivable=False, blocks=False)
