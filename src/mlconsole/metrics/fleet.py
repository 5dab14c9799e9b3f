"""The figures now of a whole fleet, out of a handful of Prometheus' answers."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.metrics import queries
from mlconsole.metrics.prometheus import Reply

Values = dict[tuple[str, str], float]
"""By colour and statistic."""
Places = Mapping[tuple[str, str], tuple[str, str]]
"""Service and colour by namespace and Deployment."""


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

    def settle(self, service: ModelService, window: float, now: float) -> None:
        """Make the rows of a service."""
        general = self._general.get(service.key, {})
        values = {**general, **self._own.get(service.key, {})}
        at = self._at.get(service.key, now)
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
