"""Who else is here: this console's mark in the namespace that it looks at, and what the others' say.

A mark is left where that is asked for (`ui.presence`), allowed, and may be written at all: never where the console is
read-only, and not for all namespaces at once. What goes wrong with it is nobody's trouble: it is tried again with the
next renewal, and runs out by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from mlconsole.cluster import access, objects, presence
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Forbidden
from mlconsole.cluster.inventory import Inventory
from mlconsole.cluster.leases import Expiry, mirrored
from mlconsole.config import Settings
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import Plan
from mlconsole.domain.text import visible
from mlconsole.engine import gates, protocol

RENEW = 20.0
CALM = 1.0
"""Seconds in which what changes is gathered: somebody walks through the fleet."""
SECONDS = 5.0
LEAVE = 1.0
"""For taking the mark away: the end of a console waits for it."""
OLD = 3600.0
"""Seconds after which the mark of a console that is gone is swept by another."""
SWEPT = 5
"""Marks that are swept in one round."""
log = logging.getLogger(__name__)


class Presence:
    """One console in one place. `run` keeps its mark, `others` reads the rest."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._mark = presence.Mark("", visible(socket.gethostname(), 60))
        self._name = ""
        self._changed = asyncio.Event()
        self._expiries: dict[tuple[str, str], Expiry] = {}

    def say(self, service: str, plan: Plan | None) -> None:
        """Which service is looked at, and what is planned for one: that one then."""
        plans = words_of(plan) if plan is not None else ""
        if plan is not None:
            service = f"{plan.target.namespace}/{plan.service}"
        if (service, plans) != (self._mark.service, self._mark.plans):
            self._mark = replace(self._mark, service=service, plans=plans)
            self._changed.set()

    # ---- this console

    async def run(self, connection: Connection, user: str, inventory: Inventory) -> None:
        """Keep the mark until cancelled, and take it away; nothing where none is to be left."""
        if not self._wanted(connection) or not await self._allowed(connection):
            return
        self._mark = replace(self._mark, user=user, since=self._mark.since or self._clock())
        self._name = presence.name_of(user, self._mark.host, os.getpid())
        written: presence.Written | None = None
        try:
            while True:
                self._changed.clear()
                try:
                    async with asyncio.timeout(SECONDS):
                        written = await presence.put(connection, connection.namespace, self._name, self._mark, written)
                        await self._sweep(connection, inventory.leases.all())
                except Forbidden:
                    return  # the right was taken away meanwhile
                except (ClusterError, TimeoutError) as error:
                    _say(connection, error)
                await self._rest()
        finally:
            await self._leave(connection, written)

    async def _rest(self) -> None:
        """Until it is to be renewed, or says something else."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW):
                await self._changed.wait()
        if self._changed.is_set():
            await asyncio.sleep(CALM)

    def _wanted(self, connection: Connection) -> bool:
        namespace = connection.namespace
        environment = self._settings.environment(connection.identity.context, namespace)
        shut = gates.policy_gate(environment, self._settings.read_only)
        return bool(self._settings.ui.presence and namespace and shut is None)

    async def _allowed(self, connection: Connection) -> bool:
        """Asked first: a refused write would stand in the API server's log, time and again."""
        while True:
            try:
                async with asyncio.timeout(SECONDS):
                    answers = await access.review(connection, presence.checks(connection.namespace))
                return all(answer.allowed for answer in answers)
            except (ClusterError, TimeoutError) as error:
                _say(connection, error)
            await asyncio.sleep(RENEW)

    async def _sweep(self, connection: Connection, found: Iterable[objects.Lease]) -> None:
        """Take away what consoles left that ended without a word: in a place that is looked at, none gathers."""
        old = [
            lease
            for lease in found
            if presence.is_mark(lease) and lease.metadata.name != self._name and self._age(lease) > OLD
        ]
        for lease in [item for item in old if self._expired(item)][:SWEPT]:
            await presence.sweep(connection, lease)

    async def _leave(self, connection: Connection, written: presence.Written | None) -> None:
        if written is None:
            return
        try:
            async with asyncio.timeout(LEAVE):
                await presence.withdraw(connection, connection.namespace, self._name, written)
        except (ClusterError, TimeoutError) as error:
            _say(connection, error)

    # ---- the others

    def others(self, inventory: Inventory) -> protocol.Presence:
        """Who else is here, as far as their marks are fresh."""
        marks = [lease for lease in inventory.leases.all() if presence.is_mark(lease)]
        there = {(lease.metadata.namespace, lease.metadata.name) for lease in marks}
        for key in self._expiries.keys() - there:
            del self._expiries[key]
        found = [presence.mark_of(lease) for lease in marks if not (self._own(lease) or self._expired(lease))]
        lines = [protocol.Present(mark.user, mark.host, mark.service, mark.plans, mark.since) for mark in found]
        return protocol.Presence(tuple(sorted(lines, key=lambda line: (line.user, line.host, line.since))))

    def _own(self, lease: objects.Lease) -> bool:
        return lease.metadata.name == self._name

    def _expired(self, lease: objects.Lease) -> bool:
        key = lease.metadata.namespace, lease.metadata.name
        return self._expiries.setdefault(key, Expiry()).expired(mirrored(lease))

    def _age(self, lease: objects.Lease) -> float:
        renewed = lease.spec.renew_time
        return self._clock() - (renewed.timestamp() if renewed else lease.metadata.created)


def _say(connection: Connection, error: ClusterError | TimeoutError) -> None:
    log.info("presence in %s: %s", connection.namespace, error or "no answer in time")


def words_of(plan: Plan) -> str:
    """What a plan is, in a few words: `switch to blue v14`, `scale blue v12`."""
    to = f"{plan.to_color} {plan.to_release.label}".strip()
    there = plan.moves_traffic or plan.kind is Kind.DEPLOY
    return f"{plan.kind} {'to ' if there and to else ''}{to}".strip()
