"""The figures now of a whole fleet, out of a handful of Prometheus' answers."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from functools import partial

from mlconsole.config import Settings
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.metrics import queries
from mlconsole.metrics.answers import Question, Reply
from mlconsole.metrics.asking import Asked

WINDOWS = (30, 60, 120, 240, 300)
"""Seconds that a rate looks back over: the first that holds four scrapes."""
INTERVAL_SECONDS = 60.0
SURE_COUNT = 12
OWN_IN_TURN = 4
"""Services whose own queries are asked in a round, besides the selected one's."""

Values = dict[tuple[str, str], float]
"""By colour and statistic."""
Places = Mapping[tuple[str, str], tuple[str, str]]
"""Service and colour by namespace and Deployment."""


class Fleet:
    """What is asked about every service, and what its answers make of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names: frozenset[str] = frozenset()
        """The metrics that there are, of those that panels read."""
        self._due = -math.inf
        self._own_turn = 0
        self._anything = False
        """Whether Prometheus has such metrics under whatever labels."""
        self.window = WINDOWS[1]
        self.figures = FleetFigures()
        self.problem = ""

    def questions(self, services: Sequence[ModelService], selected: str, now: float) -> list[Asked]:
        """What is asked in a round."""
        services = [service for service in services if service.colors]
        if not services:
            return []
        scope = queries.Scope(services)
        asked = []
        if now >= self._due:
            self._due = now + INTERVAL_SECONDS
            asked += [
                Asked(Question(queries.interval_query(scope, self._names)), partial(self._take_interval, now)),
                Asked(Question(queries.ANYTHING), self.take_anything),
                Asked(Question(queries.existing_query(scope)), self._take_existing),
            ]
        places = {
            (service.namespace, color.deployment): (service.key, color.name)
            for service in services
            for color in service.colors
        }
        for stat in queries.STATS:
            query = queries.fleet_query(stat, scope, self.window, self._names)
            asked.append(Asked(Question(query), partial(self.figures.take, stat, places)))
        return asked + self._own_questions(services, selected)

    def _own_questions(self, services: Sequence[ModelService], selected: str) -> list[Asked]:
        """The configuration's own queries: of the selected service each round, of the others in turn."""
        asked = []
        first = [service for service in services if service.key == selected]
        others = [service for service in services if service.key != selected and self._queries(service)]
        turn = self._own_turn % max(1, len(others))
        chosen = (others[turn:] + others[:turn])[:OWN_IN_TURN]
        self._own_turn = turn + len(chosen)
        for service in (*first, *chosen):
            for stat in queries.STATS:
                own = queries.override(service, stat, self._queries(service), f"{self.window}s")
                if own is not None:
                    asked.append(Asked(Question(own), partial(self.figures.take_own, stat, service)))
        return asked

    def _queries(self, service: ModelService) -> Mapping[str, str]:
        """The queries of a row's figures that the settings give: as `queries`, or as those of a panel."""
        own = self._settings.service(service.namespace, service.name)
        return {**own.queries, **queries.of_panels(own.panels)}

    def _take_interval(self, now: float, reply: Reply) -> None:
        counts = [row.values[-1] for row in reply.rows if row.values and row.values[-1] > 0]
        if counts:
            interval = 60.0 / max(counts)
            self.window = next((window for window in WINDOWS if window >= 4 * interval), WINDOWS[-1])
        if not counts or max(counts) < SURE_COUNT:
            # Scraped that seldom, or only since a moment, or another dialect is spoken: look again soon.
            self._due = min(self._due, now + INTERVAL_SECONDS / 6)

    def take_anything(self, reply: Reply) -> None:
        """Whether there are such metrics at all."""
        self._anything = bool(reply.rows)

    def _take_existing(self, reply: Reply) -> None:
        if reply.failure is None:
            self._names = frozenset(name for row in reply.rows if (name := row.labels.get("__name__")))

    def settle(self, services: Mapping[str, ModelService], now: float, ahead: float) -> None:
        """The round is over: make the rows. `ahead` is by how much Prometheus' clock is ahead of ours."""
        self.problem = ""
        if services and self.figures.empty and self._anything:
            self.problem = (
                "it has ml_predictions_total, but none with the labels namespace and pod of these services: "
                "give them `queries` in mlconsole.toml"
            )
        for service in services.values():
            self.figures.settle(service, self.window, now, ahead)


class FleetFigures:
    """What was answered last, by service; `settle` makes rows of it."""

    def __init__(self) -> None:
        self._general: dict[str, Values] = {}
        self._own: dict[str, Values] = {}
        """By the configuration's own queries."""
        self._at: dict[str, float] = {}
        """When Prometheus evaluated them, by its own clock."""
        self.glances: dict[str, tuple[Glance, ...]] = {}

    @property
    def empty(self) -> bool:
        """Whether no row was of any service."""
        return not any(self._general.values()) and not any(self._own.values())

    def retain(self, keys: Container[str]) -> None:
        """Forget the services that are no more."""
        for known in (self._general, self._own, self._at, self.glances):
            for key in [key for key in known if key not in keys]:
                del known[key]

    def take(self, stat: str, places: Places, reply: Reply) -> None:
        """The answer to one of the queries about the whole fleet: what is not in it is unknown now."""
        for values in self._general.values():
            for place in [place for place in values if place[1] == stat]:
                del values[place]
        for row in reply.rows:
            found = places.get((row.labels.get("namespace", ""), row.labels.get(queries.LABEL, "")))
            if found is not None and row.values:
                self._general.setdefault(found[0], {})[found[1], stat] = row.values[-1]
                self._at[found[0]] = row.times[-1]

    def take_own(self, stat: str, service: ModelService, reply: Reply) -> None:
        """The answer to a service's own query: it takes the place of the general one, also where it is silent."""
        values = self._own.setdefault(service.key, {})
        for color in service.colors:
            values[color.name, stat] = math.nan
        for row in reply.rows:
            name = queries.color_of(row.labels, service)
            if name is not None and row.values:
                values[name, stat] = row.values[-1]
                self._at[service.key] = row.times[-1]

    def settle(self, service: ModelService, window: float, now: float, ahead: float = 0.0) -> None:
        """Make the rows of a service."""
        general = self._general.get(service.key, {})
        values = {**general, **self._own.get(service.key, {})}
        at = self._at[service.key] - ahead if service.key in self._at else now
        rows = (_glance(color.name, values, general, window, at) for color in service.colors)
        self.glances[service.key] = tuple(row for row in rows if row is not None)


def _glance(color: str, values: Values, general: Values, window: float, at: float) -> Glance | None:
    """A row of figures; how many requests they rest on is told by the general query, whose window is known."""
    known = {stat: value for (name, stat), value in values.items() if name == color and math.isfinite(value)}
    if not known:
        return None
    rate = general.get((color, "rate"), math.nan)
    samples = (rate if math.isfinite(rate) else known.get("rate", 0.0)) * window
    p50, p95, p99 = (known.get(stat) for stat in ("p50", "p95", "p99"))
    return Glance(color, known.get("rate"), known.get("errors"), p50, p95, p99, samples, at)
