"""The alerts of the place that is looked at: rules judged, others' alerts read, what people did kept, and who is told.

Made by the engine of a console and by `mlconsole watch --headless`. What a rule needs is read by the feeds anyway; only
its own queries are asked here. A source that is away leaves what it said last standing, and is said to be away (I29).
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from mlconsole.cluster.errors import redact
from mlconsole.config import Settings
from mlconsole.domain import alerts
from mlconsole.domain.alerts import Alert, Handling, Look, Rule, Severity, State, Track
from mlconsole.domain.attribution import Cause, Verdict
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Mark
from mlconsole.engine import alertcause, alertlooks, protocol, view
from mlconsole.engine.alertcause import Memory
from mlconsole.engine.alertlooks import Due, Looks
from mlconsole.engine.alertnotify import Notifier
from mlconsole.engine.alertrules import SERVING, rules_of
from mlconsole.engine.alertsources import AlertSources
from mlconsole.engine.alertstate import AlertState, Done, Kept
from mlconsole.engine.scope import Scope
from mlconsole.metrics.alertmanager import Others, Wanted
from mlconsole.metrics.answers import Failure
from mlconsole.metrics.asking import Worker

PULSE = 5.0
"""Seconds between two looks at the rules."""
QUERY_PULSE = 15.0
"""Between two looks at those with queries of their own, and at others' alerts."""
SEEN_PULSE = 60.0
MARKS = 100
CAUSE_FRESH = 30.0
log = logging.getLogger(__name__)

Key = tuple[str, str]
"""A service, and a rule's name."""


class Feeds(alertlooks.Figures, Protocol):
    """What is asked of the engine's feeds."""

    def telemetry(self, key: str) -> Any:
        """The panels of a service, where they are read."""


class Alerts:
    """Knows them all. `run` is its life; `changed` is called when `publication` says something else than before."""

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        feeds: Feeds,
        sources: AlertSources,
        scope: Callable[[], Scope | None],
        changed: Callable[[], None],
        state: AlertState,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._sources = sources
        self._feeds = feeds
        self._scope = scope
        self._changed = changed
        self._state = state
        self._clock = clock
        self._looks = Looks(feeds, sources.ask, clock)
        self.notifier = Notifier(settings.notify, lambda what: state.claim(what, clock()))
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: Scope | None = None
        self.happened: Callable[[Alert], None] = lambda _: None
        """Called with each alert that fires or is over."""
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        self._tracks: dict[Key, Track] = {}
        self._rules: dict[Key, Rule] = {}
        self._memories: dict[str, Memory] = {}
        self._marks: deque[tuple[str, Mark]] = deque(maxlen=MARKS)
        self._causes: dict[str, tuple[float, Cause]] = {}
        self._others = Others()
        self._gone: list[Alert] = []
        """Others' alerts that ended a while ago."""
        self._kept = Kept()
        self._problem = self._broken = ""
        self._queried = self._seen_at = float("-inf")
        self._alerts: tuple[Alert, ...] = ()
        self._published = self._make()

    def leave(self) -> None:
        """The place is left now: until the new one was looked at there is nothing to say."""
        self._known = None
        self.forget()

    # ---- life

    async def run(self) -> None:
        """Look until cancelled; what breaks a look is in the log, and the next one comes."""
        try:
            while True:
                try:
                    await self.look()
                    self._broken = ""
                except Exception as error:
                    # A fault of ours: said where the alerts are, for rules that nobody judges must not read as quiet.
                    log.exception("a look at the alerts failed")
                    self._broken = f"the rules are not judged: {redact(repr(error))}; see the log file"
                self._renew()
                await asyncio.sleep(PULSE)
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("an alert could not be told", exc_info=error)

    async def look(self) -> None:
        """One look at everything that is due."""
        scope = self._scope()
        if scope is not self._known:
            self._known = scope
            self.forget()
        if scope is None or scope.cache is None:
            return
        services, now = dict(scope.cache.services), self._clock()
        queries = now - self._queried >= QUERY_PULSE
        if queries:
            self._queried = now
        self._remember(services.values())
        due = self._due(services.values(), queries)
        looks = await self._looks.look(due)
        others = await self._sources.others() if queries else None
        if self._scope() is not scope:
            return
        for item, look in zip(due, looks, strict=True):
            blind = item.rule.name == SERVING and not scope.state.usable(self._clock())
            unread = Look(look.at, None, None, why=f"the cluster is not read: {scope.state.condition}")
            await self._take(scope, item, unread if blind else look)
        self._drop(scope, due, services, queries)
        if others is not None:
            self._take_others(scope, others, services)
        await self._settle()

    def _due(self, services: Iterable[ModelService], queries: bool) -> list[Due]:
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

    def _drop(self, scope: Scope, due: Sequence[Due], services: Mapping[str, ModelService], queries: bool) -> None:
        """Forget the rules of services that are gone; while the cluster is not read nobody knows that they are."""
        if not queries or not scope.state.usable(self._clock()):
            return
        present = {(item.service.key, item.rule.name) for item in due}
        for key in [key for key in self._rules if key not in present]:
            del self._rules[key]
            self._tracks.pop(key, None)
        for service in [service for service in self._memories if service not in services]:
            del self._memories[service]

    async def _take(self, scope: Scope, item: Due, look: Look) -> None:
        """The next state of one rule on one service."""
        key = (item.service.key, item.rule.name)
        before = self._tracks.get(key, Track())
        after = alerts.looked(item.rule, before, look)
        name = f"{_context(scope)}|{item.rule.name}|{item.service.key}"
        if after.state is State.FIRING and before.state is not State.FIRING:
            began = await self._on_disk(self._state.begin, name, after.fired_at, otherwise=after.fired_at)
            after = replace(after, fired_at=began)
            self._tracks[key] = after
            self._fired(scope, item.service, self._alert(key, after))
        elif before.state is State.FIRING and after.state is State.RESOLVED:
            await self._on_disk(self._state.over, name, after.resolved_at, otherwise=None)
            self._over(scope, self._alert(key, after))
        self._tracks[key] = after

    def _alert(self, key: Key, track: Track) -> Alert:
        rule = self._rules[key]
        return alerts.alert_of(rule, key[0], track, alertlooks.panel(rule))

    async def _on_disk(self, work: Callable[..., Any], *args: Any, otherwise: Any) -> Any:
        """Do it with the state's file, beside everything else; without a disk the alerts go on."""
        try:
            found = await asyncio.to_thread(work, *args)
        except OSError as error:
            self._problem = f"what is done about alerts cannot be kept: {error.strerror or error}"
            log.warning("%s", self._problem)
            return otherwise
        self._problem = ""
        return found

    # ---- what fires

    def _fired(self, scope: Scope, service: ModelService | None, alert: Alert) -> None:
        self._marks.append((alert.service, Mark(alert.fired_at, "alert", f"{alert.name} fires")))
        self.happened(alert)
        if self.notifier.concerns(alert) and not self._handled(alert, scope):
            self._spawn(self._tell(scope, alert))

    def _over(self, scope: Scope, alert: Alert) -> None:
        self.happened(alert)
        if self.notifier.concerns(alert):
            self._spawn(self._tell(scope, alert))

    async def _tell(self, scope: Scope, alert: Alert) -> None:
        cause = ""
        if alert.service and alert.state is State.FIRING:
            found = await self.cause(alert.id, alert)
            cause = found.words
        await self.notifier.tell(alert, _context(scope), cause)

    def _handled(self, alert: Alert, scope: Scope) -> bool:
        return replace(alert, handled=self._handling(alert, scope)).quiet(self._clock())

    # ---- others' alerts

    def _take_others(self, scope: Scope, others: Others, services: Mapping[str, ModelService]) -> None:
        """What is told now; of a source that is away what it told last, marked as not known now."""
        now, before = self._clock(), self._others
        away = set(others.failures)
        stale = [
            replace(item, unknown_since=item.unknown_since or now, why=redact(others.failures[source].why))
            for item in before.alerts
            for source in item.sources
            if source in away
        ]
        places = _places(services.values())
        fresh = [replace(item, service=alerts.service_of(item.labels, places)) for item in others.alerts]
        now_there = {item.id for item in (*fresh, *stale)}
        ended = [item for item in before.alerts if item.id not in now_there and item.state is State.FIRING]
        self._gone += [replace(item, state=State.RESOLVED, since=now, ends_at=now) for item in ended]
        self._gone = [item for item in self._gone if now - item.ends_at <= alerts.KEPT_RESOLVED]
        old = {item.id for item in before.alerts if item.state is State.FIRING}
        silences = others.silences if "alertmanager" not in away else before.silences
        self._others = replace(others, alerts=(*fresh, *stale), silences=silences)
        told: set[str] = set()
        for item in fresh:
            if item.state is State.FIRING and item.id not in old and item.id not in told:
                told.add(item.id)
                self._marks.append((item.service, Mark(item.fired_at, "alert", f"{item.name} fires")))

    # ---- what is so

    async def _settle(self) -> None:
        """The look is over: read what people did meanwhile, and say what changed."""
        now = self._clock()
        kept = await self._on_disk(self._state.read, otherwise=None)
        self._kept = kept or self._kept
        scope = self._known
        if scope is not None and now - self._seen_at >= SEEN_PULSE:
            self._seen_at = now
            firing = [key for key, track in self._tracks.items() if track.state is State.FIRING]
            if firing:
                names = [f"{_context(scope)}|{rule}|{service}" for service, rule in firing]
                await self._on_disk(self._state.seen, names, now, otherwise=None)
        self._renew()

    def _renew(self) -> None:
        made = self._make()
        if made != self._published:
            self._published = made
            self._changed()

    def _make(self) -> protocol.Alerts:
        scope = self._known
        own = [self._alert(key, track) for key, track in self._tracks.items() if track.active and key in self._rules]
        found = alerts.merged([*own, *self._others.alerts, *self._gone])
        if scope is not None:
            found = [replace(item, handled=self._handling(item, scope)) for item in found]
        self._alerts = tuple(found)
        notify = self._settings.notify
        failures = [f"{name}: {redact(item.why)}" for name, item in self._others.failures.items()]
        silences = tuple(
            protocol.Silence(item.id, item.matchers, item.ends_at, item.by, item.comment, item.starts_at)
            for item in self._others.silences
        )
        return protocol.Alerts(
            self._alerts,
            silences,
            "; ".join(filter(None, (self._broken, *failures, self._problem, self.notifier.problem))),
            self._no_silence(),
            protocol.Calling(notify.severity, notify.bell, notify.title, notify.terminal),
        )

    def _handling(self, alert: Alert, scope: Scope) -> Handling | None:
        now, kept, place = self._clock(), self._kept.handled, _context(scope)
        acknowledged = kept.get(f"{place}|{alert.id}")
        snoozed = kept.get(f"{place}|{_lasting(alert)}")
        if snoozed is not None and snoozed.until > now:
            return snoozed
        return acknowledged

    def _no_silence(self) -> str:
        if self._sources.silencing:
            return self._sources.silencing
        scope = self._known
        connected = scope.connection if scope else None
        place = (connected.identity.context, connected.namespace) if connected else ("", "")
        if self._settings.read_only or self._settings.environment(*place).read_only:
            return "this place is read-only here"
        return ""

    def rules(self) -> list[tuple[str, Rule, Track]]:
        """Every rule on every service, and where it stands; one that fires for another console fires here as well."""
        scope, now = self._known, self._clock()
        found = []
        for (service, name), rule in sorted(self._rules.items()):
            track = self._tracks.get((service, name), Track())
            kept = self._kept.firing.get(f"{_context(scope)}|{name}|{service}") if scope else None
            elsewhere = kept is not None and now - kept.seen <= 3 * SEEN_PULSE
            if kept is not None and elsewhere and track.state in (State.PENDING, State.INACTIVE):
                track = replace(track, state=State.FIRING, since=kept.at, fired_at=kept.at)
            found.append((service, rule, track))
        return found

    def publication(self) -> protocol.Alerts:
        """What the screen shows."""
        return self._published

    def marks(self, key: str) -> tuple[Mark, ...]:
        """The moments at which alerts of a service began, for its charts."""
        return tuple(mark for service, mark in self._marks if service == key)

    # ---- what people do

    async def handle(self, asked: protocol.HandleAlert) -> protocol.Notice:
        """Acknowledge, snooze, take back, silence."""
        scope, now = self._known, self._clock()
        alert = next((item for item in self._alerts if item.id == asked.id), None)
        if alert is None or scope is None:
            return protocol.Notice("warning", "that alert is over")
        who = scope.user or getpass.getuser()
        if asked.verb == "silence":
            return await self._silence(alert, asked, who)
        until = now + asked.seconds if asked.verb == "snooze" else 0.0
        handling = None if asked.verb == "take back" else Handling(asked.verb, who, now, until, asked.note)
        name = _lasting(alert) if asked.verb == "snooze" else alert.id
        keys = [name] if handling else [alert.id, _lasting(alert)]
        try:
            for key in keys:
                place = f"{_context(scope)}|{key}"
                await asyncio.to_thread(self._state.handle, place, alert.id, handling, who, now)
        except OSError as error:
            return protocol.Notice("error", f"could not be kept: {error.strerror or error}")
        await self._settle()
        words = {"acknowledge": "acknowledged", "snooze": "snoozed", "take back": "calls again"}
        return protocol.Notice("information", f"{alert.name}: {words.get(asked.verb, asked.verb)}")

    async def _silence(self, alert: Alert, asked: protocol.HandleAlert, who: str) -> protocol.Notice:
        refused = self._no_silence()
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
        done = Done(self._clock(), f"silence {made}", alert.id, who, self._clock() + asked.seconds, asked.note)
        await self._on_disk(self._state.write, done, otherwise=None)
        self._queried = float("-inf")
        return protocol.Notice("information", f"{alert.name}: silenced in Alertmanager ({made})")

    # ---- deploy or data

    def _remember(self, services: Iterable[ModelService]) -> None:
        for service in services:
            color = service.live_color
            glance = view.glance_of(self._feeds.glances(service.key), color.name) if color else None
            if color is None or glance is None:
                continue
            memory = self._memories.setdefault(service.key, Memory())
            memory.add("p95", glance.at, color.name, glance.p95)
            memory.add("error_share", glance.at, color.name, glance.error_share)
            memory.add("rate", glance.at, color.name, glance.requests_per_second)
            share, _, _ = alertlooks.drifted(self._feeds.drift(service.key), color.name)
            memory.add("drift.share", glance.at, color.name, share)

    async def cause(self, ident: str, alert: Alert | None = None) -> Cause:
        """What an alert is likely of; kept for a moment."""
        alert = alert or next((item for item in self._alerts if item.id == ident), None)
        scope = self._known
        service = scope.cache.services.get(alert.service) if alert and scope and scope.cache else None
        if alert is None or scope is None or scope.cache is None or service is None:
            return Cause(Verdict.UNKNOWN, "it is about no service here")
        made, known = self._causes.get(ident, (float("-inf"), Cause(Verdict.UNKNOWN, "")))
        if self._clock() - made < CAUSE_FRESH:
            return known
        memory = self._memories.get(service.key, Memory())
        charted = alertcause.points_of(self._feeds.telemetry(service.key), service.live)
        series = alertcause.longest(memory.series(), charted)
        try:
            shifts = await self._worker.run(alertcause.shifts, series, timeout=alertcause.SECONDS)
        except TimeoutError:
            return Cause(Verdict.UNKNOWN, "the worker gave no answer in time")
        except (OSError, RuntimeError) as error:
            return Cause(Verdict.UNKNOWN, f"the worker failed: {type(error).__name__}: {error}")
        inventory = scope.cache.inventory
        records, _ = view.records_of(inventory.configmaps.get(service.namespace, f"mlconsole-history-{service.name}"))
        happenings = alertcause.happenings(service, records, view.events_of(service, inventory))
        about = alertcause.about_of(alert.condition, alert.panel)
        found = alertcause.judged(about, shifts, happenings, alertcause.known(series, about), alert.fired_at)
        self._causes[ident] = (self._clock(), found)
        return found

    def calling(self) -> list[Alert]:
        """Those that call for somebody."""
        now, least = self._clock(), alerts.RANK[Severity(self._settings.notify.severity)]
        return [item for item in self._alerts if item.calls(now) and alerts.RANK[item.severity] <= least]


def _lasting(alert: Alert) -> str:
    """What stays the same from one firing to the next."""
    return alert.id.rpartition("|")[0]


def _context(scope: Scope) -> str:
    return scope.connection.identity.context if scope.connection else ""


def _places(services: Iterable[ModelService]) -> dict[tuple[str, str], str]:
    """By namespace and the name of a Service, a Deployment or a pod: the service."""
    found: dict[tuple[str, str], str] = {}
    for service in services:
        names = [service.name]
        for color in service.colors:
            names += [color.deployment, *(pod.name for pod in color.pods)]
        found |= {(service.namespace, name): service.key for name in reversed(names)}
    return found
