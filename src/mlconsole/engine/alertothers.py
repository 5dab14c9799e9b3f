"""Others' alerts, from one reading to the next: what is new, what has ended, what stands because its source is away."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from mlconsole.cluster.errors import redact
from mlconsole.domain import alerts
from mlconsole.domain.alerts import Alert, State
from mlconsole.domain.services import ModelService
from mlconsole.engine import protocol
from mlconsole.metrics.alertmanager import Others


class OthersAlerts:
    """What Prometheus and Alertmanager tell, and told last."""

    def __init__(self) -> None:
        self._told = Others()
        self._gone: list[Alert] = []
        """Those that ended a while ago."""

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All that is to be listed."""
        return (*self._told.alerts, *self._gone)

    @property
    def failures(self) -> tuple[str, ...]:
        """The sources that are away, and why."""
        return tuple(f"{name}: {redact(item.why)}" for name, item in self._told.failures.items())

    @property
    def silences(self) -> tuple[protocol.Silence, ...]:
        """Those in force."""
        return tuple(
            protocol.Silence(item.id, item.matchers, item.ends_at, item.by, item.comment, item.starts_at)
            for item in self._told.silences
        )

    def take(self, told: Others, services: Iterable[ModelService], now: float) -> list[Alert]:
        """What is told now; of a source that is away what it told last, marked as not known now. Those that began."""
        before, away = self._told, set(told.failures)
        stale = [
            replace(item, unknown_since=item.unknown_since or now, why=redact(told.failures[source].why))
            for item in before.alerts
            for source in item.sources
            if source in away
        ]
        places = _places(services)
        fresh = [replace(item, service=alerts.service_of(item.labels, places)) for item in told.alerts]
        now_there = {item.id for item in (*fresh, *stale)}
        ended = [item for item in before.alerts if item.id not in now_there and item.state is State.FIRING]
        self._gone += [replace(item, state=State.RESOLVED, since=now, ends_at=now) for item in ended]
        self._gone = [item for item in self._gone if now - item.ends_at <= alerts.KEPT_RESOLVED]
        silences = told.silences if "alertmanager" not in away else before.silences
        self._told = replace(told, alerts=(*fresh, *stale), silences=silences)
        old = {item.id for item in before.alerts if item.state is State.FIRING}
        new = {item.id: item for item in reversed(fresh) if item.state is State.FIRING and item.id not in old}
        return list(new.values())


def _places(services: Iterable[ModelService]) -> dict[tuple[str, str], str]:
    """By namespace and the name of a Service, a Deployment or a pod: the service."""
    found: dict[tuple[str, str], str] = {}
    for service in services:
        names = [service.name]
        for color in service.colors:
            names += [color.deployment, *(pod.name for pod in color.pods)]
        found |= {(service.namespace, name): service.key for name in reversed(names)}
    return found
