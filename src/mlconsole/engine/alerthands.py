"""What people do about alerts: acknowledge, snooze, take back, silence in Alertmanager."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Mapping

from mlconsole.cluster.errors import redact
from mlconsole.config import Settings
from mlconsole.domain.alerts import Alert, Handling
from mlconsole.engine import protocol
from mlconsole.engine.alertsources import AlertSources
from mlconsole.engine.alertstate import AlertState, Done
from mlconsole.engine.scope import Scope
from mlconsole.metrics.alertmanager import Wanted
from mlconsole.metrics.answers import Failure

WORDS = {"acknowledge": "acknowledged", "snooze": "snoozed", "take back": "calls again"}


class Hands:
    """Does what was asked, and keeps it. The disk's refusals are told in what it answers."""

    def __init__(
        self, settings: Settings, sources: AlertSources, state: AlertState, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._state = state
        self._clock = clock

    async def handle(self, scope: Scope, alert: Alert, asked: protocol.HandleAlert) -> protocol.Notice:
        """Acknowledge, snooze, take back, silence."""
        who, now = scope.user or getpass.getuser(), self._clock()
        if asked.verb == "silence":
            return await self._silence(scope, alert, asked, who)
        until = now + asked.seconds if asked.verb == "snooze" else 0.0
        handling = None if asked.verb == "take back" else Handling(asked.verb, who, now, until, asked.note)
        name = lasting(alert) if asked.verb == "snooze" else alert.id
        keys = [name] if handling else [alert.id, lasting(alert)]
        try:
            for key in keys:
                place = f"{context(scope)}|{key}"
                await asyncio.to_thread(self._state.handle, place, alert.id, handling, who, now)
        except OSError as error:
            return protocol.Notice("error", f"could not be kept: {error.strerror or error}")
        return protocol.Notice("information", f"{alert.name}: {WORDS.get(asked.verb, asked.verb)}")

    def of(self, scope: Scope, alert: Alert, kept: Mapping[str, Handling]) -> Handling | None:
        """What was done about an alert and still holds."""
        place = context(scope)
        snoozed = kept.get(f"{place}|{lasting(alert)}")
        if snoozed is not None and snoozed.until > self._clock():
            return snoozed
        return kept.get(f"{place}|{alert.id}")

    def no_silence(self, scope: Scope | None) -> str:
        """Why no silence can be made; empty where one can."""
        if self._sources.silencing:
            return self._sources.silencing
        connected = scope.connection if scope else None
        place = (connected.identity.context, connected.namespace) if connected else ("", "")
        if self._settings.read_only or self._settings.environment(*place).read_only:
            return "this place is read-only here"
        return ""

    async def _silence(self, scope: Scope, alert: Alert, asked: protocol.HandleAlert, who: str) -> protocol.Notice:
        refused = self.no_silence(scope)
        if refused:
            return protocol.Notice("warning", f"no silence: {refused}")
        if "alertmanager" not in alert.sources:
            return protocol.Notice("warning", "Alertmanager does not know this alert: snooze it instead")
        if alert.altered:
            words = "its labels cannot be given exactly as they are, and a silence of others would hold nothing"
            return protocol.Notice("warning", f"no silence: {words}: snooze it, or silence it in Alertmanager")
        wanted = Wanted({"alertname": alert.name, **alert.labels}, asked.seconds, who, asked.note)
        made = await self._sources.silence(wanted)
        if isinstance(made, Failure):
            return protocol.Notice("error", f"no silence is seen to be made: {redact(made.why)}")
        now, words = self._clock(), f"{alert.name}: silenced in Alertmanager ({made})"
        done = Done(now, f"silence {made}", alert.id, who, now + asked.seconds, asked.note)
        try:
            await asyncio.to_thread(self._state.write, done)
        except OSError as error:
            return protocol.Notice("warning", f"{words}, and not recorded here: {error.strerror or error}")
        return protocol.Notice("information", words)


def lasting(alert: Alert) -> str:
    """What stays the same from one firing to the next."""
    return alert.id.rpartition("|")[0]


def context(scope: Scope) -> str:
    """The name of the place in what is kept."""
    return scope.connection.identity.context if scope.connection else ""
