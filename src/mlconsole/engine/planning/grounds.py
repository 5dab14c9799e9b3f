"""Everything that a plan rests on, read at one time from the API server and never from the cache (I1, I8)."""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct

from mlconsole.cluster import fresh, history, leases
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Forbidden, NotFound
from mlconsole.config import ServiceSettings
from mlconsole.domain.history import Kind
from mlconsole.domain.text import visible
from mlconsole.engine.hints import hints_of
from mlconsole.engine.patience import patiently
from mlconsole.gathering import gather

READ_SECONDS = 20.0
HURRY_SECONDS = 2.0
"""For what a rollback can do without: the history, the lock, the rights, the dry run, names."""


class Grounds(Struct, frozen=True):
    """What was read."""

    fresh: fresh.Fresh
    past: history.Past
    held: leases.Held | None
    """The service's Lease, if there is one and it could be read."""
    namespace_uid: str
    user: str
    round_trip: float
    """Seconds of one request to the API server, measured while reading."""
    complaints: tuple[str, ...] = ()
    """What could not be read and is not needed."""


def patience_for(kind: Kind) -> float:
    """Seconds for what an operation may need: what goes forward waits for it, a rollback goes on without."""
    return HURRY_SECONDS if kind is Kind.ROLLBACK else READ_SECONDS


async def read(connection: Connection, settings: ServiceSettings, kind: Kind, namespace: str, name: str) -> Grounds:
    """Read it, in parallel. Raises ClusterError where what is needed cannot be read, TimeoutError."""
    hints, complaints = hints_of(settings), list[str]()
    found, past, held, (uid, round_trip), user = await gather(
        patiently(lambda: fresh.read(connection, namespace, name, hints), READ_SECONDS),
        past_of(connection, kind, namespace, name),
        held_of(connection, kind, namespace, name, complaints),
        _namespace(connection, kind, namespace, complaints),
        _user(connection, kind, complaints),
    )
    return Grounds(found, past, held, uid, user, round_trip, (*complaints, *past.complaints))


async def past_of(connection: Connection, kind: Kind, namespace: str, name: str) -> history.Past:
    """The service's records; the way back never waits for a history that cannot be read (I12)."""
    try:
        return await patiently(lambda: history.read(connection, namespace, name), patience_for(kind))
    except (ClusterError, TimeoutError) as error:
        return history.Past(complaints=(f"the history could not be read: {error or 'no answer in time'}",))


async def held_of(
    connection: Connection, kind: Kind, namespace: str, name: str, complaints: list[str]
) -> leases.Held | None:
    """The service's lock; who may not read it, or gets no answer, is told, and a rollback goes on."""
    try:
        return await patiently(lambda: leases.read(connection, namespace, name), patience_for(kind))
    except (ClusterError, TimeoutError) as error:
        # Who may not read it is told so by the access review of the plan.
        if kind is not Kind.ROLLBACK and not isinstance(error, Forbidden):
            raise
        complaints.append(f"the lock could not be read: {error or 'no answer in time'}")
        return None


async def _namespace(connection: Connection, kind: Kind, namespace: str, complaints: list[str]) -> tuple[str, float]:
    """The namespace's uid, and the seconds that it took; without it the object's own uid pins the plan (I8)."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(patience_for(kind)):
            uid = await connection.namespace_uid(namespace)
    except (ClusterError, TimeoutError) as error:
        if isinstance(error, NotFound) or (kind is not Kind.ROLLBACK and not isinstance(error, Forbidden)):
            raise
        complaints.append(f"the namespace could not be read: {error or 'no answer in time'}")
        uid = ""
    return uid, time.monotonic() - started


async def _user(connection: Connection, kind: Kind, complaints: list[str]) -> str:
    try:
        async with asyncio.timeout(patience_for(kind)):
            return visible(await connection.whoami())
    except (ClusterError, TimeoutError) as error:
        if kind is not Kind.ROLLBACK:
            raise
        complaints.append(f"the server did not say who you are: {error or 'no answer in time'}")
        return connection.identity.user
