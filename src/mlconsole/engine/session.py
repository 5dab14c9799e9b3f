"""One look at the cluster without a screen: what `mlconsole status`, `switch` and `rollback` run in their own process.

The same planner, the same executors, the same records as the console's.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from mlconsole.cluster import fresh, history, resources
from mlconsole.cluster.colors import Hints
from mlconsole.cluster.connection import NAME_RULE, Connection, is_name
from mlconsole.cluster.discovery import describe, is_candidate
from mlconsole.cluster.errors import ClusterError, Forbidden, NotFound
from mlconsole.cluster.inventory import Inventory
from mlconsole.cluster.namespaces import namespaces
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Operation, Verb
from mlconsole.domain.plans import Plan, PlanError
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.domain.text import visible
from mlconsole.engine import underway, view
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution.folder import Entry, Folder
from mlconsole.engine.execution.process import Executor, begin_with, follow
from mlconsole.engine.hints import hints_of
from mlconsole.engine.ledger import Report, Step
from mlconsole.engine.planner import NO_WISH, Planner, Wish
from mlconsole.engine.protocol import Detail, FleetRow
from mlconsole.engine.underway import UnderWay
from mlconsole.gathering import gather

READ = (
    resources.SERVICES,
    resources.DEPLOYMENTS,
    resources.REPLICA_SETS,
    resources.PODS,
    resources.SLICES,
    resources.AUTOSCALERS,
)
READ_SECONDS = 60.0


class _Meta(msgspec.Struct):
    name: str


class _Named(msgspec.Struct):
    metadata: _Meta


class _Names(msgspec.Struct):
    items: list[_Named]


class Session:
    """An open connection with its planner. Made by `Session.open`."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.glances: Mapping[str, Sequence[Glance]] = {}
        """The figures by service key, for whoever asks for them to put here; none are unknown."""
        self._settings = settings
        self._planner = Planner(connection, settings, self._glances)
        self._executor: Executor | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Session]:
        """Connect where the settings say. Raises ClusterError."""
        cluster = settings.cluster
        namespace = "" if cluster.all_namespaces else cluster.namespace
        connection = await Connection.open(context=cluster.context, namespace=namespace, kubeconfig=cluster.kubeconfig)
        session = cls(connection, settings)
        try:
            yield session
        finally:
            if session._executor is not None:
                session._executor.dismiss()
            await connection.close()

    def key(self, service: str) -> tuple[str, str]:
        """(namespace, name) of `name` or `namespace/name`. Raises PlanError for what cannot be one."""
        namespace, _, name = service.rpartition("/")
        namespace = namespace or self.connection.namespace or "default"
        if not (is_name(namespace) and is_name(name)):
            words = f"{visible(service, 130)!r} cannot be a service"
            raise PlanError(words, f"NAME or NAMESPACE/NAME: {NAME_RULE} each", 2)
        return namespace, name

    async def services(self) -> list[ModelService]:
        """Every service of the namespace (or all) that is not hidden, read now. Raises ClusterError, TimeoutError."""
        async with asyncio.timeout(READ_SECONDS):
            inventory = await self._inventory()
        found = [
            describe(item, inventory, self._hints(item.metadata.namespace, item.metadata.name))
            for item in inventory.services.all()
            if is_candidate(item) and not self._settings.service(item.metadata.namespace, item.metadata.name).hidden
        ]
        return sorted(found, key=lambda service: service.key)

    def row(self, service: ModelService) -> FleetRow:
        """A service in one line, with what is known of its figures."""
        settings = self._settings.service(service.namespace, service.name)
        return view.fleet_row(service, self._glances(service.key), settings)

    async def detail(self, service: str) -> Detail:
        """Everything about one service but what the registry and the metrics say. Raises ClusterError, TimeoutError."""
        namespace, name = self.key(service)
        settings = self._settings.service(namespace, name)
        async with asyncio.timeout(READ_SECONDS):
            async with self._named(service):
                read = await fresh.read(self.connection, namespace, name, hints_of(settings))
            past, problem = await self._history(namespace, name)
        return view.detail(
            read.service,
            self._glances(read.service.key),
            settings,
            past.records,
            model=None,
            registry_problem="not asked",
            history_problem=problem,
            events=(),
            allowed=None,
            round_trip=0.05,
            now=time.time(),
            kept=view.kept_of(past.rest),
        )

    async def plan(self, kind: Kind, service: str, to_color: str = "", revision: int = 0, wish: Wish = NO_WISH) -> Plan:
        """Plan an operation, and have an executor ready for it. Raises PlanError, ClusterError."""
        if self._executor is None:
            self._executor = await asyncio.to_thread(Executor, self._settings)
        namespace, name = self.key(service)
        async with self._named(service):
            return await self._planner.plan(kind, namespace, name, to_color, revision, wish)

    async def execute(self, plan: Plan, consent: Consent, report: Report, *, to_the_end: bool = False) -> Operation:
        """Have a plan carried out by an executor; what it is at its outcome, or at its very end.

        The outcome is known when the traffic has arrived; what comes after (the watch window, a word to keep it) goes
        on without this session. Raises PlanError when it is refused or fails.
        """
        executor, self._executor = self._executor or Executor(self._settings), None
        try:
            folder = begin_with(plan, consent, executor, time.time(), _terminal())
        except PlanError:
            executor.dismiss()
            raise
        return await self._attach(folder, report, executor, to_the_end)

    @contextlib.asynccontextmanager
    async def _named(self, service: str) -> AsyncIterator[None]:
        """Say what there is, where a service that was named is not."""
        try:
            yield
        except NotFound:
            await self.assert_there(service)
            raise

    async def assert_there(self, service: str) -> None:
        """Raise PlanError where there is no such Service: a slip of the keys is not "nothing is under way".

        Asked only where nothing is known of it: an operation outlives its Service. Raises ClusterError, TimeoutError.
        """
        namespace, name = self.key(service)
        path = f"/api/v1/namespaces/{namespace}/services"
        async with asyncio.timeout(READ_SECONDS):
            try:
                await self.connection.get(f"{path}/{name}")
                return
            except NotFound:
                pass
            try:
                listed = msgspec.json.decode(await self.connection.get(path), type=_Names)
            except Forbidden:
                words = f"there is no Service {namespace}/{name}"
                raise PlanError(words, "check the name and the namespace", 2) from None
        names = sorted(item.metadata.name for item in listed.items)
        if not names:
            await self.assert_namespace(namespace)
        near = difflib.get_close_matches(name, names, 3) or names[:5]
        hint = f"there is {', '.join(near)}" if near else f"namespace {namespace} has no Service"
        raise PlanError(f"there is no Service {namespace}/{name}", hint, 2)

    async def assert_namespace(self, namespace: str) -> None:
        """Raise PlanError where there is no such namespace, as far as this user may know.

        Asked only where nothing was found in it: the API server takes a slip of the keys for an empty namespace. What
        was found stands where this cannot be asked.
        """
        if not namespace:
            return
        names: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self.connection.namespace_uid(namespace)
                return
        except NotFound:
            with contextlib.suppress(ClusterError, TimeoutError):
                async with asyncio.timeout(READ_SECONDS):
                    names = await namespaces(self.connection)
        except (ClusterError, TimeoutError):
            return
        near = difflib.get_close_matches(namespace, names, 3) or names[:5]
        words = f"there is no namespace {namespace} in context {self.connection.identity.context}"
        raise PlanError(words, f"there is {', '.join(near)}" if near else "check the name and the context", 2)

    # ---- what is under way

    async def under_way(self, service: str) -> UnderWay | None:
        """The operation under way on a service. Raises ClusterError, TimeoutError."""
        return await underway.read(self.connection, self._settings, *self.key(service))

    async def all_under_way(self) -> list[UnderWay]:
        """Every operation under way in the namespace, or in all. Raises ClusterError, TimeoutError."""
        async with asyncio.timeout(READ_SECONDS):
            keys = await history.under_way(self.connection, self.connection.namespace)
            found = await gather(*(underway.read(self.connection, self._settings, *key) for key in keys))
        return [item for item in found if item is not None]

    def assert_allowed(self, under: UnderWay) -> None:
        """Raise PlanError where nothing may be asked of an operation."""
        underway.assert_allowed(self.connection, self._settings, under)

    async def ask(self, under: UnderWay, verb: Verb, reason: str) -> None:
        """Leave a request for the executor at work. Raises PlanError, ClusterError, TimeoutError, OSError."""
        self.assert_allowed(under)
        await underway.assert_may_go_on(self.connection, self._settings, under, verb)
        await underway.ask(self.connection, under, verb, await self.connection.whoami(), reason)

    async def take_up(
        self, under: UnderWay, how: str, reason: str, report: Report, *, to_the_end: bool = False
    ) -> Operation:
        """Have another executor go on with an interrupted operation; what it is at its outcome, or at its very end.

        Raises PlanError, ClusterError, OSError.
        """
        self.assert_allowed(under)
        await underway.assert_may_go_on(self.connection, self._settings, under, how)
        by, where = await self.connection.whoami(), await underway.reached(self.connection, under.operation)
        executor = await asyncio.to_thread(Executor, self._settings)
        try:
            folder = underway.take_up(under, how, by, reason, executor, where)
        except PlanError:
            executor.dismiss()
            raise
        return await self._attach(folder, report, executor, to_the_end)

    async def attach(self, under: UnderWay, report: Report) -> Operation:
        """Follow an operation whose executor runs on this machine, to its end. Raises PlanError."""
        return await self._attach(underway.folder_of(under.operation.id), report, None, to_the_end=True)

    async def _attach(self, folder: Folder, report: Report, executor: Executor | None, to_the_end: bool) -> Operation:
        async for entry in follow(folder, executor):
            if entry.ended and entry.exit_code:
                raise PlanError(entry.words, entry.hint, _exit_code(entry, folder.operation()))
            if not entry.ended:
                report(Step(entry.step, entry.words, entry.outcome))
            if not to_the_end and entry.outcome not in (None, Outcome.FAILED, Outcome.OVERTAKEN):
                break
        operation = folder.operation()
        settled = operation is not None and operation.arrived_at and not to_the_end
        if operation is None or (operation.running and not settled and not folder.alive):
            words = "its executor is gone"
            raise PlanError(words, "`mlconsole operations` shows how it stands; resume or abort goes on from there", 1)
        return operation

    def _glances(self, key: str) -> Sequence[Glance]:
        return self.glances.get(key, ())

    def _hints(self, namespace: str, name: str) -> Hints:
        return hints_of(self._settings.service(namespace, name))

    async def _inventory(self) -> Inventory:
        inventory = Inventory()
        kinds = await resources.served(self.connection, READ)
        inventory.has_slices = any(kind.resource is resources.SLICES for kind in kinds)
        lists = await gather(*(self._read(kind) for kind in kinds))
        for kind, items in zip(kinds, lists, strict=True):
            table = inventory.table(kind.resource.key)
            for item in items:
                table.put(item)
        return inventory

    async def _read(self, kind: resources.Served) -> list[Any]:
        try:
            return await resources.read_all(self.connection, kind, self.connection.namespace)
        except (Forbidden, NotFound):
            if kind.resource.needed:
                raise
            return []

    async def past(self, service: str) -> history.Past:
        """What is on record of a service's operations. Raises ClusterError, TimeoutError."""
        async with asyncio.timeout(READ_SECONDS):
            return await history.read(self.connection, *self.key(service))

    async def _history(self, namespace: str, name: str) -> tuple[history.Past, str]:
        try:
            past = await history.read(self.connection, namespace, name)
        except ClusterError as error:
            return history.Past(), str(error)
        return past, "; ".join(past.complaints)


def _exit_code(entry: Entry, operation: Operation | None) -> int:
    """What a shell twin ends with after a last word: a gate that said no, or somebody who was faster, is told apart."""
    if operation is None or entry.exit_code != 1:
        return entry.exit_code
    if entry.outcome is Outcome.OVERTAKEN:
        return 4
    refused = any(gate.stops and f"{gate.name} {gate.verdict}" in operation.why for gate in operation.gates)
    return 6 if refused and entry.outcome is Outcome.FAILED else 1


def _terminal() -> str:
    """The terminal that this is typed at; empty where there is none."""
    try:
        return os.ttyname(0)
    except OSError:
        return ""
