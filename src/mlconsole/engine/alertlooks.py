"""One look at the rules: their figures from what the console reads anyway, their queries from Prometheus.

What too few requests stand behind, what is old, and what names another colour is unknown (I21, I22).
"""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from msgspec import Struct

from mlconsole.cluster.errors import redact
from mlconsole.domain import conditions, health
from mlconsole.domain.alerts import Look, Rule, panel_of
from mlconsole.domain.computing import Facts
from mlconsole.domain.conditions import Condition, ConditionError
from mlconsole.domain.drift import DriftTable, DriftVerdict, Kind
from mlconsole.domain.health import FEW_REQUESTS
from mlconsole.domain.services import Color, Health, ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.domain.text import visible
from mlconsole.engine.alertrules import SERVING
from mlconsole.metrics.matching import quoted
from mlconsole.metrics.prometheus import Reply

STALE = 120.0
"""Seconds after which a figure says nothing about now."""
NO_DATA = "no data"
_PLACES = re.compile(r"\{(version|color|namespace|service)\}")
_OF_NOTHING = ("isNil", "len", "default")
"""Functions that have an answer where a query has none."""
NO_LIMITS = health.Thresholds(None, None)


Glances = Callable[[str], Sequence[Glance]]
"""The figures of a service's colours now."""
Drift = Callable[[str], DriftTable]
"""The drift table of a service; one without features says why there is none."""
Ask = Callable[[Sequence[str]], Awaitable[Sequence[Reply]]]
"""Asks Prometheus some queries."""


class Due(Struct, frozen=True):
    """A rule on a service, to look at now."""

    service: ModelService
    rule: Rule


@functools.lru_cache(maxsize=512)
def parsed(text: str) -> Condition | None:
    """A condition, read; None for one that is none: the settings were checked before."""
    try:
        return conditions.parse(text)
    except ConditionError:
        return None


def panel(rule: Rule) -> str:
    """The chart that shows what a rule is about."""
    condition = parsed(rule.condition)
    return panel_of(condition.figures if condition else (), rule.name)


class Looks:
    """Looks at rules."""

    def __init__(self, glances: Glances, drift: Drift, ask: Ask, clock: Callable[[], float] = time.time) -> None:
        self._glances = glances
        self._drift = drift
        self._ask = ask
        self._clock = clock

    async def look(self, due: Sequence[Due]) -> list[Look]:
        """A look at each, in order. Raises nothing that a source can cause."""
        asking = [item for item in due if item.rule.query]
        texts = [filled(item.rule, item.service) for item in asking]
        replies = iter(await self._ask(texts) if texts else ())
        asked = iter(texts)
        now = self._clock()
        found = []
        for item in due:
            if item.rule.query:
                found.append(_by_query(item, next(asked), next(replies), now))
            elif item.rule.name == SERVING and parsed(item.rule.condition) is None:
                found.append(serving(item.service, now))
            else:
                found.append(self._by_figures(item, now))
        return found

    def _by_figures(self, item: Due, now: float) -> Look:
        service, rule = item.service, item.rule
        condition = parsed(rule.condition)
        if condition is None:
            return Look(now, None, None, why="its condition cannot be read")
        clear = parsed(rule.clear) if rule.clear else None
        wanted = condition.figures | (clear.figures if clear else frozenset())
        color = service.live_color if rule.color == "live" else service.idle_color
        if color is None:
            return Look(now, None, None, why=f"there is no {rule.color} colour")
        mine, why = self._of(service, color, {name for name in wanted if not name.startswith("live.")}, now)
        values = dict(mine)
        if any(name.startswith("live.") for name in wanted):
            live = service.live_color
            its, problem = (
                self._of(service, live, {name.removeprefix("live.") for name in wanted}, now)
                if live is not None
                else ({}, "there is no live colour")
            )
            values |= {f"live.{name}": value for name, value in its.items()}
            why = why or problem
        facts = Facts(values)
        holds = condition.holds(facts)
        clears = clear.holds(facts) if clear else None if holds is None else not holds
        words = ", ".join(f"{name} = {conditions.words(name, values.get(name))}" for name in sorted(condition.figures))
        return Look(now, holds, clears, words, why or NO_DATA)

    def _of(
        self, service: ModelService, color: Color, wanted: Collection[str], now: float
    ) -> tuple[dict[str, float | None], str]:
        """The figures of a colour, and why some of them are unknown."""
        glance = next((one for one in self._glances(service.key) if one.color == color.name), None)
        values, why = glanced(glance, now)
        if any(name.startswith("drift.") for name in wanted):
            share, worst, problem = drifted(self._drift(service.key), color.name)
            values |= {"drift.share": share, "drift.worst": worst}
            if not (set(wanted) - {"drift.share", "drift.worst"}):
                why = problem
            why = why or problem
        return values, why


def glanced(glance: Glance | None, now: float) -> tuple[dict[str, float | None], str]:
    """The figures of a glance by the names of a condition; of too few requests only the rate."""
    if glance is None:
        return {}, NO_DATA
    if now - glance.at > STALE:
        return {}, f"the newest figures are {now - glance.at:.0f} s old"
    values = {
        "p50": glance.p50,
        "p95": glance.p95,
        "p99": glance.p99,
        "error_share": glance.error_share,
        "rate": glance.requests_per_second,
    }
    if glance.samples < FEW_REQUESTS:
        few = f"only {glance.samples:.0f} requests, {FEW_REQUESTS:.0f} are needed"
        return {"rate": glance.requests_per_second}, few
    missing = [name for name, value in values.items() if value is None]
    return dict(values), f"{NO_DATA} for {', '.join(missing)}" if missing else ""


def drifted(table: DriftTable, color: str) -> tuple[float | None, float | None, str]:
    """The share of a colour's features that drifted, the largest PSI, and why they are unknown."""
    rows = [row for row in table.features if row.color == color and row.kind is not Kind.PREDICTION]
    judged = [row for row in rows if row.verdict is not DriftVerdict.UNKNOWN]
    if not rows:
        return None, None, table.problem or "no figures of its features"
    if not judged or 2 * len(judged) < len(rows):
        why = next((row.why for row in rows if row.why), "") or table.problem or "no figures of its features"
        return None, None, f"{len(rows) - len(judged)} of {len(rows)} features cannot be judged: {why}"
    count = sum(row.verdict is DriftVerdict.DRIFTED for row in judged)
    worst = [row.psi for row in judged if row.psi is not None]
    return count / len(judged), max(worst, default=None), ""


def serving(service: ModelService, now: float) -> Look:
    """Whether nothing serves, whatever the figures are."""
    state, words = health.judge(service, None, NO_LIMITS)
    if state is Health.UNKNOWN:
        return Look(now, None, None, why=words)
    live = service.live_color
    fine = f"{live.ready}/{live.wish} ready" if live is not None else ""
    bad = state is Health.BAD
    return Look(now, bad, not bad, words if bad else fine)


# ---- queries


def filled(rule: Rule, service: ModelService) -> str:
    """A rule's query with the words for the service filled in, as they stand in a string of PromQL."""
    color = service.live_color if rule.color == "live" else service.idle_color
    values = {
        "version": color.release.version if color else "",
        "color": color.name if color else "",
        "namespace": service.namespace,
        "service": service.name,
    }
    return _PLACES.sub(lambda found: quoted(values[found[1]])[1:-1], rule.query)


def _by_query(item: Due, query: str, reply: Reply, now: float) -> Look:
    condition = parsed(item.rule.condition)
    shown = visible(" ".join(query.split()), 2000)
    if condition is None:
        return Look(now, None, None, why="its condition cannot be read", query=shown)
    if reply.failure is not None:
        why = redact(f"{reply.failure.why} {reply.failure.hint}".strip())
        return Look(now, None, None, why=why, query=shown)
    foreign = _foreign(reply, item.service)
    if foreign:
        return Look(now, None, None, why=foreign, query=shown)
    result = tuple(row.values[-1] if row.values else math.nan for row in reply.rows)
    facts = Facts({}, result)
    holds = condition.holds(facts)
    clear = parsed(item.rule.clear) if item.rule.clear else None
    clears = clear.holds(facts) if clear else None if holds is None else not holds
    why = "" if holds is not None else (f"{NO_DATA}: the query gave nothing" if not result else "no number came back")
    if len(result) > 1 and holds is None:
        why = f"the query gave {len(result)} series, one is wanted: sum or select"
    values = f"result = {', '.join(f'{value:.4g}' for value in result[:5])}" if result else "no result"
    return Look(now, holds, clears, values, why, shown)


def _foreign(reply: Reply, service: ModelService) -> str:
    """Whose the figures are, where their own labels say that they are another service's."""
    for row in reply.rows:
        labels: Mapping[str, str] = row.labels
        namespace = labels.get("namespace", service.namespace)
        if namespace != service.namespace:
            return f"what came back is of namespace {visible(namespace, 60)}, not of {service.namespace}"
    return ""
