"""One look at the cluster without a screen: what `mlconsole status`, `switch` and `rollback` run in their own process.

The same planner, the same gateway, the same records as the console's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from mlconsole.cluster import fresh, history, resources
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.discovery import Hints, describe, is_candidate
from mlconsole.cluster.errors import ClusterError, Forbidden, NotFound
from mlconsole.cluster.inventory import Inventory
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Record
from mlconsole.domain.plans import Plan
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import view
from mlconsole.engine.audit import Journal, default_path
from mlconsole.engine.gateway import Consent, Gateway, Report
from mlconsole.engine.hints import hints_of
from mlconsole.engine.planner import Planner
from mlconsole.engine.protocol import Detail, FleetRow

READ = (
    resources.SERVICES,
    resources.DEPLOYMENTS,
    resources.REPLICA_SETS,
    resources.PODS,
    resources.SLICES,
    resources.AUTOSCALERS,
)
READ_SECONDS = 60.0


class Session:
    """An open connection with its planner and gateway. Made by `Session.open`."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.connection = connection
        self.glances: Mapping[str, Sequence[Glance]] = {}
        """The figures by service key, for whoever asks for them to put here; none are unknown."""
        self._settings = settings
        self._planner = Planner(connection, settings, self._glances)
        self._gateway = Gateway(connection, settings, Journal(default_path(os.environ)))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Session]:
        """Connect where the settings say. Raises ClusterError."""
        cluster = settings.cluster
        namespace = "" if cluster.all_namespaces else cluster.namespace
        connection = await Connection.open(context=cluster.context, namespace=namespace, kubeconfig=cluster.kubeconfig)
        try:
            yield cls(connection, settings)
        finally:
            await connection.close()

    def key(self, service: str) -> tuple[str, str]:
        """(namespace, name) of `name` or `namespace/name`."""
        namespace, _, name = service.rpartition("/")
        return namespace or self.connection.namespace or "default", name

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
            read = await fresh.read(self.connection, namespace, name, hints_of(settings))
            records, problem = await self._history(namespace, name)
        return view.detail(
            read.service,
            self._glances(read.service.key),
            settings,
            records,
            model=None,
            registry_problem="not asked",
            history_problem=problem,
            events=(),
            allowed=None,
            round_trip=0.05,
            now=time.time(),
        )

    async def plan(self, kind: Kind, service: str, to_color: str = "", revision: int = 0) -> Plan:
        """Plan an operation. Raises PlanError, ClusterError."""
        namespace, name = self.key(service)
        return await self._planner.plan(kind, namespace, name, to_color, revision)

    async def execute(self, plan: Plan, consent: Consent, report: Report) -> Record:
        """Carry out a plan. Raises PlanError, ClusterError."""
        return await self._gateway.execute(plan, consent, report)

    def _glances(self, key: str) -> Sequence[Glance]:
        return self.glances.get(key, ())

    def _hints(self, namespace: str, name: str) -> Hints:
        return hints_of(self._settings.service(namespace, name))

    async def _inventory(self) -> Inventory:
        inventory = Inventory()
        kinds = await resources.served(self.connection, READ)
        inventory.has_slices = any(kind.resource is resources.SLICES for kind in kinds)
        lists = await asyncio.gather(*(self._read(kind) for kind in kinds))
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

    async def _history(self, namespace: str, name: str) -> tuple[tuple[Record, ...], str]:
        try:
            past = await history.read(self.connection, namespace, name)
        except ClusterError as error:
            return (), str(error)
        return past.records, "; ".join(past.complaints)
