"""The rules of the services that there are, and where each stands: from look to look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from mlconsole.config import Settings
from mlconsole.domain import alerts
from mlconsole.domain.alerts import Alert, Look, Rule, State, Track, Unjudged
from mlconsole.domain.services import ModelService
from mlconsole.engine import alertlooks
from mlconsole.engine.alerthands import context
from mlconsole.engine.alertkeeping import Keeping
from mlconsole.engine.alertlooks import Due
from mlconsole.engine.alertrules import SERVING, rules_of
from mlconsole.engine.scope import Scope

Key = tuple[str, str]
"""A service, and a rule's name."""


class Judging:
    """Knows every rule on every service of a place."""

    def __init__(self, settings: Settings, keeping: Keeping, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._keeping = keeping
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        self._tracks: dict[Key, Track] = {}
        self._rules: dict[Key, Rule] = {}

    def due(self, services: Iterable[ModelService], *, queries: bool) -> list[Due]:
        """What is to be looked at now; rules with a query of their own where `queries` are asked."""
        found = []
        for service in services:
            for rule in rules_of(self._settings, service):
                key = (service.key, rule.name)
                if self._rules.get(key) not in (None, rule):
                    self._tracks.pop(key, None)
                self._rules[key] = rule
                if queries or not rule.query:
                    found.append(Due(service, rule))
        return found

    async def take(
        self, scope: Scope, due: Sequence[Due], looks: Sequence[Look], tell: Callable[[Alert], None]
    ) -> None:
        """The next state of each rule. What fires now, and what is over now, is told at once."""
        blind = not scope.state.usable(self._clock())
        for item, look in zip(due, looks, strict=True):
            unread = Look(look.at, None, None, why=f"the cluster is not read: {scope.state.condition}")
            alert = await self._next(scope, item, unread if blind and item.rule.name == SERVING else look)
            if alert is not None:
                tell(alert)

    async def _next(self, scope: Scope, item: Due, look: Look) -> Alert | None:
        key = (item.service.key, item.rule.name)
        before = self._tracks.get(key, Track())
        after = alerts.looked(item.rule, before, look)
        begins = after.state is State.FIRING and before.state is not State.FIRING
        ends = after.state is State.RESOLVED and before.state is State.FIRING
        if begins:
            began = await self._keeping.begin(_name(scope, key), after.fired_at)
            after = replace(after, since=began, fired_at=began)
        elif ends:
            await self._keeping.over(_name(scope, key), after.resolved_at)
        self._tracks[key] = after
        # By the rule that was looked at: the place may have been left meanwhile.
        return _alert(item.rule, key, after) if begins or ends else None

    def drop(self, scope: Scope, due: Sequence[Due]) -> None:
        """Forget the rules of services that are gone; while the cluster is not read nobody knows that they are."""
        if not scope.state.usable(self._clock()):
            return
        present = {(item.service.key, item.rule.name) for item in due}
        for key in [key for key in self._rules if key not in present]:
            del self._rules[key]
            self._tracks.pop(key, None)

    def firing(self, scope: Scope) -> list[str]:
        """The names of the firings, as they are kept."""
        return [_name(scope, key) for key, track in self._tracks.items() if track.state is State.FIRING]

    def alerts(self) -> list[Alert]:
        """Those that are worth a line."""
        tracks = self._tracks.items()
        return [_alert(self._rules[key], key, track) for key, track in tracks if track.active and key in self._rules]

    def unjudged(self) -> tuple[Unjudged, ...]:
        """The rules of which nobody knows whether they hold, together where it is for the same reason."""
        found: dict[tuple[str, str], list[str]] = {}
        for (service, name), track in sorted(self._tracks.items()):
            if track.unknown_since and not track.active:
                found.setdefault((name, track.why), []).append(service)
        return tuple(Unjudged(name, tuple(services), why) for (name, why), services in found.items())

    def rules(self, scope: Scope | None) -> list[tuple[str, Rule, Track]]:
        """Every rule on every service, and where it stands; one that fires for another console fires here as well."""
        now, found = self._clock(), []
        for key, rule in sorted(self._rules.items()):
            track = self._tracks.get(key, Track())
            kept = self._keeping.elsewhere(_name(scope, key), now) if scope else None
            if kept is not None and track.state in (State.PENDING, State.INACTIVE):
                track = replace(track, state=State.FIRING, since=kept.at, fired_at=kept.at)
            found.append((key[0], rule, track))
        return found


def _alert(rule: Rule, key: Key, track: Track) -> Alert:
    return alerts.alert_of(rule, key[0], track, alertlooks.panel(rule))


def _name(scope: Scope, key: Key) -> str:
    return f"{context(scope)}|{key[1]}|{key[0]}"
