"""The engine of one console: sources in, snapshots out.

It owns the scope (one context and namespace), the registry's and the metrics' feeds, and the channel to the UI. What
changed is published at most ten times a second, and only if it differs from what the UI was sent last. It ends with
the UI.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from mlconsole.cluster import logs
from mlconsole.cluster.cache import ClusterCache
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Settings
from mlconsole.domain.history import Record
from mlconsole.domain.phases import Phase
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import SourceState
from mlconsole.domain.telemetry import Mark
from mlconsole.domain.text import lines
from mlconsole.engine import alertstate, pipelines, protocol, view
from mlconsole.engine.alerts import Alerts
from mlconsole.engine.alertsources import AlertSources
from mlconsole.engine.alertstate import AlertState
from mlconsole.engine.channel import Channel
from mlconsole.engine.feeds import Feeds
from mlconsole.engine.operations import Operations
from mlconsole.engine.overview import Overview
from mlconsole.engine.places import Places
from mlconsole.engine.rights import Rights
from mlconsole.engine.scope import Scope

PULSE = 0.1
"""Seconds between two publications: ten a second at most."""
HEARTBEAT = 5.0
SIGN_OF_LIFE = 1.0
"""Seconds after which the sources are told again though their condition did not change."""
DETAIL_PULSE = 0.25
"""Seconds between two looks at the selected service: what is around it changes all the time."""
FEEDS_PULSE = 0.5
log = logging.getLogger(__name__)

UiChannel = Channel[protocol.Intent, protocol.Publication]


class Engine:
    """One console's engine. `run` is its life."""

    def __init__(self, channel: UiChannel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._known_states: tuple[SourceState, ...] = ()
        self._feeds_at = float("-inf")
        self._feeds_waiting = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired: set[asyncio.Task[None]] = set()
        """Scopes that were left and are not ended yet."""
        self._places = Places(settings)
        self._scope: Scope | None = None
        self._scope_task: asyncio.Task[None] | None = None
        self._feeds = Feeds(settings, self._wake.set, lambda: self._scope)
        place = AlertState(alertstate.folder(os.environ))
        sources = AlertSources(settings, self._feeds.offload, self._feeds, self._feeds.service_get)
        offload = self._feeds.offload
        self._alerts = Alerts(
            settings, offload, offload.lane("causes"), self._feeds, sources, lambda: self._scope, self._wake.set, place
        )
        self._operations = Operations(settings, lambda: self._scope, self._publish)
        self._context: str | None = settings.cluster.context
        self._namespace: str | None = "" if settings.cluster.all_namespaces else settings.cluster.namespace
        self._rights = Rights(self._spawn, self._wake.set)
        self._forget()

    def _forget(self) -> None:
        """Start from nothing: another place."""
        self._selected = ""
        self._rows: dict[str, protocol.FleetRow] = {}
        self._sent: dict[type, protocol.Publication] = {}
        self._pods = 0
        self._complete = False
        self._fleet_reset = True
        self._rights.forget()
        self._detail_at = float("-inf")
        self._detail_due = True
        self._sources_at = float("-inf")
        self._overview = Overview(self._settings)
        self._operations_due, self._any_under_way, self._operations_at = True, False, float("-inf")
        self._presence_due, self._presence_at = True, float("-inf")
        self._phases: dict[str, Phase] = {}
        """Of the operations under way, as they were seen last."""

    # ---- life

    async def run(self) -> None:
        """Serve the UI until it is gone."""
        self._look_at(self._context, self._namespace)
        self._feeds.start()
        self._spawn(self._alerts.run())
        publisher = asyncio.create_task(self._publishing())
        try:
            while True:
                receiver = asyncio.create_task(self._channel.receive())
                done, _ = await asyncio.wait({receiver, publisher}, return_when=asyncio.FIRST_COMPLETED)
                if publisher in done:
                    receiver.cancel()
                    with contextlib.suppress(ConnectionError):
                        publisher.result()
                    return
                intent = receiver.result()
                if intent is None:
                    return
                self._take(intent)
        finally:
            await self._end(publisher)

    async def _end(self, publisher: asyncio.Task[None]) -> None:
        """End everything. Operations under way have processes of their own, which go on."""
        for tasks in ({publisher, *self._tasks}, self._scopes()):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._operations.close()
        await self._feeds.stop()
        self._channel.close()

    def _scopes(self) -> set[asyncio.Task[None]]:
        return self._retired | ({self._scope_task} if self._scope_task else set())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside everything else; its failure is logged and told, never lost."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, ConnectionError):
            log.error("a task of the engine failed", exc_info=error)
            self._spawn(self._publish(protocol.Notice("error", f"{type(error).__name__}; the log file says more")))

    # ---- intents

    def _take(self, intent: protocol.Intent) -> None:
        match intent:
            case protocol.Select(service):
                self._select(service)
            case protocol.ShowRange(seconds, end, compare):
                self._feeds.show_range(seconds, end, compare)
            case protocol.ShowPanel(panel):
                self._feeds.show_panel(panel)
            case protocol.Show(panes):
                self._feeds.show(panes)
            case protocol.ChangePlace(context, namespace):
                self._forget()
                self._look_at(context or None, namespace)
            case protocol.MakePlan() | protocol.Confirm() | protocol.Discard() | protocol.Ask() | protocol.Attach():
                self._operate(intent)
            case protocol.ReadLog():
                self._spawn(self._read_log(intent))
            case protocol.HandleAlert():
                self._spawn(self._handle_alert(intent))
            case protocol.AskCause(ident):
                self._spawn(self._tell_cause(ident))
            case protocol.Reconnect():
                if self._scope:
                    self._scope.reconnect()
                self._feeds.reconnect()
        self._wake.set()

    def _operate(
        self, intent: protocol.MakePlan | protocol.Confirm | protocol.Discard | protocol.Ask | protocol.Attach
    ) -> None:
        match intent:
            case protocol.MakePlan():
                self._spawn(self._operations.make(intent))
            case protocol.Confirm():
                self._spawn(self._operations.confirm(intent))
            case protocol.Discard():
                self._operations.discard(intent)
            case protocol.Ask():
                self._spawn(self._operations.ask(intent))
            case protocol.Attach():
                self._spawn(self._operations.follow(intent))

    def _select(self, service: str) -> None:
        if service != self._selected:
            self._selected = service
            self._detail_at, self._detail_due = float("-inf"), True
            for kind in (protocol.Detail, protocol.Registry, protocol.Charts, protocol.Drift, protocol.Pipelines):
                self._sent.pop(kind, None)
        self._feeds.select(self._service())

    def _look_at(self, context: str | None, namespace: str | None) -> None:
        if self._scope_task:
            self._scope_task.cancel()
            self._retired.add(self._scope_task)
            self._scope_task.add_done_callback(self._retired.discard)
        scope = Scope(self._settings, context, namespace, self._feeds.glances, self._feeds.offload, self._wake.set)
        self._scope = scope
        self._alerts.leave()
        self._scope_task = asyncio.create_task(scope.run())
        self._scope_task.add_done_callback(self._scope_ended)
        self._context, self._namespace = context, namespace
        self._enter(self._places.place(scope, context, namespace, ()))

    def _enter(self, place: protocol.Place) -> None:
        """Let the feeds look at a place: when it was chosen, and when more is known of where it is."""
        home = self._context == self._settings.cluster.context
        self._feeds.place_changed(place.context, place.namespace, home=home)

    def _scope_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("the scope ended", exc_info=error)
            if task is self._scope_task:
                # What broke it is in the log; the console looks again.
                asyncio.get_running_loop().call_later(5.0, self._look_again, task)

    def _look_again(self, ended: asyncio.Task[None]) -> None:
        if ended is self._scope_task:
            self._look_at(self._context, self._namespace)

    async def _read_log(self, asked: protocol.ReadLog) -> None:
        log = protocol.Log(asked.pod, namespace=asked.namespace, previous=asked.previous)
        connected = self._scope.connection if self._scope else None
        if connected is None:
            await self._publish(replace(log, problem="there is no connection to the cluster"))
            return
        try:
            # One more than is shown: then it is known whether there are earlier ones.
            text = await logs.tail(connected, asked.namespace, asked.pod, previous=asked.previous, lines=logs.LINES + 1)
        except (ClusterError, TimeoutError) as error:
            await self._publish(replace(log, problem=str(error) or "no answer in time"))
            return
        await self._publish(replace(log, lines=tuple(lines(text, logs.LINES))))

    async def _handle_alert(self, asked: protocol.HandleAlert) -> None:
        await self._publish(await self._alerts.handle(asked))

    async def _tell_cause(self, ident: str) -> None:
        cause, operation = await self._alerts.cause(ident)
        await self._publish(protocol.AlertCause(ident, cause, operation))

    # ---- publications

    async def _publish(self, message: protocol.Publication) -> None:
        await self._channel.send(message)

    def _changed(self, message: protocol.Publication) -> Iterator[protocol.Publication]:
        if self._sent.get(type(message)) != message:
            self._sent[type(message)] = message
            yield message

    async def _publishing(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await self._wake.wait()
            self._wake.clear()
            started = time.monotonic()
            await self._publish_all()
            await asyncio.sleep(max(0.0, PULSE - (time.monotonic() - started)))

    async def _publish_all(self) -> None:
        """Tell what is new. The place may be left while a message is sent: then no more is told of it."""
        scope = self._scope
        if scope is None:
            return
        for message in self._news(scope):
            await self._publish(message)
            if scope is not self._scope:
                return

    def _news(self, scope: Scope) -> Iterator[protocol.Publication]:
        """What is new, made when it is asked for."""
        seen = {item.namespace for item in self._services().values()}
        place = self._places.place(scope, self._context, self._namespace, seen)
        if not self._feeds.is_at(place.context, place.namespace):
            self._enter(place)
            self._feeds.services_changed(list(self._services().values()), self._service())
        yield from self._changed(place)
        yield from self._sources(protocol.Sources((scope.state, *self._feed_states())))
        if scope.cache is not None:
            yield from self._fleet(scope.cache)
            yield from self._under_way(scope.cache, scope.user)
        yield from self._presence(scope)
        yield from self._changed(self._alerts.publication())
        service = self._service()
        if service is not None and scope.cache is not None and self._detail_is_due():
            yield from self._details(scope, scope.cache, service)

    def _detail_is_due(self) -> bool:
        """Whether the selected service is to be shown again now; if it is only soon, the publisher is woken then."""
        now = time.monotonic()
        wait = self._detail_at + (DETAIL_PULSE if self._detail_due else 1.0) - now
        if wait > 0:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake.set)
            return False
        self._detail_at, self._detail_due = now, False
        return True

    def _feed_states(self) -> tuple[SourceState, ...]:
        """The other sources, asked at most every `FEEDS_PULSE`: thousands of pods are looked at for them."""
        now = time.monotonic()
        if now - self._feeds_at >= FEEDS_PULSE:
            self._feeds_at, self._feeds_waiting, self._known_states = now, False, self._feeds.states()
        elif not self._feeds_waiting:
            self._feeds_waiting = True
            asyncio.get_running_loop().call_later(self._feeds_at + FEEDS_PULSE - now, self._wake.set)
        return self._known_states

    def _sources(self, message: protocol.Sources) -> Iterator[protocol.Publication]:
        """Another condition at once; other words and the age of the last contact every now and then."""
        before = self._sent.get(protocol.Sources)
        known = before.states if isinstance(before, protocol.Sources) else ()
        changed = [state.condition for state in message.states] != [state.condition for state in known]
        if changed or time.monotonic() - self._sources_at >= SIGN_OF_LIFE:
            self._sources_at = time.monotonic()
            self._sent[protocol.Sources] = message
            yield message

    # ---- fleet

    def _services(self) -> dict[str, ModelService]:
        return self._scope.cache.services if self._scope and self._scope.cache else {}

    def _service(self) -> ModelService | None:
        return self._services().get(self._selected)

    def _fleet(self, cache: ClusterCache) -> Iterator[protocol.Publication]:
        taken = cache.take()
        touched = {service.key for service in taken.services} | self._feeds.take_touched()
        namespace = self._selected.partition("/")[0]
        if self._selected in touched or namespace in taken.events or taken.jobs or taken.histories:
            self._detail_due = True
        self._operations_due |= taken.histories or taken.leases
        self._presence_due |= taken.leases
        if taken.services or taken.removed:
            self._feeds.services_changed(list(cache.services.values()), self._service())
        changed = [row for key in touched if (row := self._row(key)) is not None]
        for row in changed:
            self._rows[row.service.key] = row
        for key in taken.removed:
            self._rows.pop(key, None)
        count, complete = len(cache.inventory.pods), cache.complete
        if changed or taken.removed or self._fleet_reset or (count, complete) != (self._pods, self._complete):
            reset, self._fleet_reset = self._fleet_reset, False
            self._pods, self._complete = count, complete
            yield protocol.Fleet(tuple(changed), taken.removed, reset, count, complete)

    def _under_way(self, cache: ClusterCache, user: str) -> Iterator[protocol.Publication]:
        """The operations: when a history or a lock changed, and every second while there are any, for locks run out."""
        now = time.monotonic()
        if self._operations_due or (self._any_under_way and now - self._operations_at >= SIGN_OF_LIFE):
            self._operations_due, self._operations_at = False, now
            found = self._overview.lines(cache.inventory, cache.services, user)
            self._any_under_way = bool(found.lines)
            phases = {line.operation.id: line.operation.phase for line in found.lines}
            if phases != self._phases:
                self._phases = phases
                # An alias may have moved with it: until that is read, traffic and registry seem to disagree.
                self._feeds.read_registry()
            yield from self._changed(found)

    def _presence(self, scope: Scope) -> Iterator[protocol.Publication]:
        """Who else is here: when a Lease changed, and every few seconds, for marks run out."""
        scope.presence.say(self._selected, self._operations.planning(scope))
        now = time.monotonic()
        if scope.cache is not None and (self._presence_due or now - self._presence_at >= HEARTBEAT):
            self._presence_due, self._presence_at = False, now
            yield from self._changed(scope.presence.others(scope.cache.inventory))

    def _row(self, key: str) -> protocol.FleetRow | None:
        """The row of a service if it differs from the one that was sent."""
        service = self._services().get(key)
        if service is None:
            return None
        settings = self._settings.service(service.namespace, service.name)
        if settings.hidden:
            return None
        row = view.fleet_row(service, self._feeds.glances(key), settings)
        before = self._rows.get(key)
        row = replace(row, since=before.since if before and before.health is row.health else time.time())
        return row if row != before else None

    # ---- the selected service

    def _details(self, scope: Scope, cache: ClusterCache, service: ModelService) -> Iterator[protocol.Publication]:
        settings = self._settings.service(service.namespace, service.name)
        inventory = cache.inventory
        stored = inventory.configmaps.get(service.namespace, f"mlconsole-history-{service.name}")
        records, history_problem = view.records_of(stored)
        registry = self._feeds.registry(service, settings)
        yield from self._changed(registry)
        rights = self._rights.of(scope, service)
        yield from self._changed(
            view.detail(
                service,
                self._feeds.glances(service.key),
                settings,
                records,
                model=registry.model,
                registry_problem=registry.problem,
                history_problem=history_problem,
                events=view.events_of(service, inventory),
                allowed=rights.rollback,
                missing=rights.missing,
                round_trip=scope.round_trip,
                now=time.time(),
                kept=view.kept_of(stored.data if stored else None),
            )
        )
        yield from self._telemetry(service, records)
        runs = pipelines.from_jobs(inventory.jobs.all(), service.namespace, service.name)
        runs += pipelines.from_registry(registry.model, service.name)
        yield from self._changed(protocol.Pipelines(service.key, pipelines.newest_first(runs), registry.problem))

    def _telemetry(self, service: ModelService, records: Sequence[Record]) -> Iterator[protocol.Publication]:
        telemetry = self._feeds.telemetry(service.key)
        if telemetry is not None:
            yield from self._changed(protocol.Charts(replace(telemetry, marks=self._marks(service, records))))
        table = self._feeds.drift(service.key)
        if table is not None:
            yield from self._changed(protocol.Drift(table))

    def _marks(self, service: ModelService, records: Sequence[Record]) -> tuple[Mark, ...]:
        found = (*view.marks(records), *self._alerts.marks(service.key))
        return tuple(sorted(found, key=lambda mark: mark.at))
