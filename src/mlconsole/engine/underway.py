"""An operation that is under way, or was interrupted: who has it, how it stands, and how it can go on (I18).

What stands in the history's ConfigMap is compared with the live objects and the lock. Nothing is changed before
somebody says so; then another executor takes the operation up, or a request is left for the one that is at work.
"""

from __future__ import annotations

import os
import socket
import time

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import fresh, history, leases
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import redact
from mlconsole.config import Settings
from mlconsole.domain import resuming
from mlconsole.domain.operation import Operation, Request, Verb, ways
from mlconsole.domain.plans import PlanError, Target
from mlconsole.domain.resuming import Seen, Standing
from mlconsole.domain.text import visible
from mlconsole.engine import gates
from mlconsole.engine.execution.folder import Folder, root
from mlconsole.engine.execution.process import Executor
from mlconsole.engine.hints import hints_of
from mlconsole.engine.patience import patiently
from mlconsole.engine.policy import member_gate
from mlconsole.gathering import gather

SECONDS = 20.0
RESUME, ABORT, ABANDON = "resume", "abort", "abandon"


class UnderWay(Struct, frozen=True):
    """An operation that has not ended."""

    operation: Operation
    alive: bool
    """Whether an executor has its lock."""
    holder: str = ""
    """Who holds the service's lock; empty for nobody."""
    here: bool = False
    """Whether its executor runs on this machine."""
    standing: Standing | None = None
    """What it has come to; None while an executor is at work."""
    seconds_left: float = 0.0
    """Until the lock of an executor that gives no sign of life may be taken."""
    asker: str = ""
    """Who looks, where that decides what they can ask."""

    @property
    def verbs(self) -> tuple[str, ...]:
        """What can be asked of it."""
        if self.alive:
            return ways(self.operation, self.asker)
        return ways_on(self.operation, self.standing)


def ways_on(operation: Operation, state: Standing | None) -> tuple[str, ...]:
    """How an interrupted operation can go on: not where its plan is not whole, nor where it was overtaken."""
    return (ABANDON,) if operation.masked or state is Standing.OVERTAKEN else (RESUME, ABORT, ABANDON)


async def read(connection: Connection, settings: Settings, namespace: str, service: str) -> UnderWay | None:
    """What is under way on a service; None where nothing is. Raises ClusterError, TimeoutError."""
    past, held = await gather(
        patiently(lambda: history.read(connection, namespace, service), SECONDS),
        patiently(lambda: leases.read(connection, namespace, service), SECONDS),
    )
    operation = past.operation
    if operation is None:
        return None
    operation = latest(operation)
    here = folder_of(operation.id).alive
    left = leases.Expiry().left(held) if held is not None else 0.0
    held_by_it = held is not None and held.operation == operation.id and left > 0
    surely_dead = not here and operation.host == socket.gethostname() and folder_of(operation.id).path.is_dir()
    alive = here or (held_by_it and not operation.halted and not surely_dead)
    holder = visible(held.holder, 120) if held is not None and left > 0 else ""
    if alive:
        # Nobody is the second person to themselves.
        asked = Verb.APPROVE in ways(operation)
        asker = visible(await patiently(connection.whoami, SECONDS)) if asked else ""
        return UnderWay(operation, True, holder, here, asker=asker)
    live = await patiently(
        lambda: fresh.read(connection, namespace, service, hints_of(settings.service(namespace, service))), SECONDS
    )
    return UnderWay(operation, False, holder, here, resuming.standing(operation, seen_of(operation, live)), left)


def latest(operation: Operation) -> Operation:
    """An operation as it was kept last: its executor's machine knows it a little earlier than the cluster."""
    kept = folder_of(operation.id).operation()
    if kept is None or kept.ended or (kept.token, kept.phase_at) < (operation.token, operation.phase_at):
        return operation
    return kept


def seen_of(operation: Operation, live: fresh.Fresh) -> Seen:
    """The live objects, compared with an operation."""
    plan = operation.plan
    in_place = tuple(number for number, write in enumerate(plan.writes) if live.has(write))
    if not plan.moves_traffic:
        return Seen(in_place)
    return Seen(in_place, moved=any(live.has(write) for write in plan.arrivals), home=live.meets(plan.write))


def folder_of(operation: str) -> Folder:
    """The folder of an operation on this machine, if it was ever carried out here."""
    return Folder(root(os.environ) / operation.replace("/", "_"))


def assert_allowed(connection: Connection, settings: Settings, under: UnderWay) -> None:
    """Raise PlanError where nothing may be changed: to ask for something is a change too (I9)."""
    environment = settings.environment(connection.identity.context, under.operation.plan.target.namespace)
    policy = gates.policy_gate(environment, settings.read_only)
    if policy:
        raise PlanError(f"refused: {policy.value} ({policy.evidence})", "", 3)


FORWARD = frozenset({RESUME, str(Verb.KEEP), str(Verb.APPROVE)})
"""Words by which an operation goes on to its end; the others end it, or leave it to somebody else."""


async def assert_may_go_on(connection: Connection, settings: Settings, under: UnderWay, how: str) -> None:
    """Raise PlanError where this user may not have it go on: the rules hold for whoever resumes, keeps or approves.

    Raises ClusterError, TimeoutError where the server does not say who asks.
    """
    plan = under.operation.plan
    environment = settings.environment(connection.identity.context, plan.target.namespace)
    if how not in FORWARD or plan.backward:
        return
    gate = await patiently(lambda: member_gate(connection, settings, environment, plan.kind), SECONDS)
    if gate is not None and gate.stops:
        raise PlanError(f"refused: {gate.value} ({gate.evidence})", f"needed: {gate.limit}", 3)


def assert_second(operation: Operation, verb: str, by: str) -> None:
    """Raise PlanError for who would approve what they began themselves."""
    if verb == Verb.APPROVE and by == operation.by:
        words = f"{by} began it, and cannot be the second person to approve it"
        raise PlanError(words, "somebody else has to, as a user of their own", 3)


def request_of(operation: Operation, verb: Verb, by: str, reason: str) -> Request:
    """A request to whoever carries an operation out."""
    return Request(verb, operation.id, visible(by), time.time(), redact(reason), socket.gethostname())


async def ask(connection: Connection, under: UnderWay, verb: Verb, by: str, reason: str = "") -> None:
    """Leave a request for the executor at work: on its machine in its folder, from elsewhere on the Lease.

    Raises PlanError where there is nothing of the kind to ask, ClusterError, OSError.
    """
    operation = under.operation
    assert_second(operation, verb, by)
    can = ways(operation, by)
    if verb not in can:
        words = f"{operation.plan.kind} of {operation.key} is in phase {operation.phase}"
        raise PlanError(
            f"{words}: there is nothing to {verb.said}",
            f"it can be asked to: {', '.join(way.said for way in can) or 'nothing'}",
            4,
        )
    request = request_of(operation, verb, by, reason)
    if under.here and verb is not Verb.APPROVE:
        folder_of(operation.id).ask(request)
        return
    target = operation.plan.target
    text = msgspec.json.encode(request).decode()
    # A second person's word is left where the API server knows who wrote it.
    await patiently(lambda: leases.ask(connection, target.namespace, operation.plan.service, text), SECONDS)


async def reached(connection: Connection, operation: Operation) -> Target:
    """The place of an operation as this machine calls it: the very one, by its namespace's uid (I8).

    Context, server and CA are what the machine of the plan called it, and another one may call it otherwise.
    Raises PlanError where it is another place or nobody can say, ClusterError, TimeoutError.
    """
    target, here = operation.plan.target, connection.identity
    if (here.context, here.server, here.ca_digest) == (target.context, target.server, target.ca_digest):
        return target
    uid = await patiently(lambda: connection.namespace_uid(target.namespace), SECONDS) if target.namespace_uid else ""
    if not uid or uid != target.namespace_uid:
        words = f"namespace {target.namespace} of {here.context} is not the one that {operation.key} was planned in"
        raise PlanError(words, f"choose the context that leads to {visible(target.server, 120)}", 4)
    return replace(target, context=here.context, server=here.server, ca_digest=here.ca_digest)


def take_up(under: UnderWay, how: str, by: str, reason: str, executor: Executor, where: Target | None = None) -> Folder:
    """Let another executor go on with an operation that lost its own: to its end, back, or to be left as it is.

    `where` is what its place is called here. Raises PlanError where that cannot be, OSError.
    """
    operation, now = under.operation, time.time()
    if under.alive:
        words = f"{operation.plan.kind} of {operation.key} is being carried out by {under.holder or operation.by}"
        raise PlanError(words, "it can be asked to abort; `mlconsole operations` shows it", 4)
    if how not in under.verbs:
        words = f"{operation.plan.kind} of {operation.key} was overtaken by someone: there is nothing to {how}"
        if operation.masked:
            words = (
                f"{operation.plan.kind} of {operation.key} holds secrets: its plan is whole on {operation.host} alone"
            )
        raise PlanError(words, "abandon it with a reason; then plan again", 4)
    if how == ABANDON:
        if not reason.strip():
            raise PlanError("a reason is needed", "say why it is abandoned: it goes on record", 2)
        taken = resuming.abandoned(operation, by, redact(reason), now)
    else:
        assert under.standing is not None
        taken = resuming.resumed(operation, under.standing, now)
        if how == ABORT:
            taken = resuming.aborting(taken, by, redact(reason), now)
    if folder_of(operation.id).alive:
        raise PlanError(f"{operation.key} was taken up on this machine just now", "`mlconsole operations` shows it", 4)
    return executor.begin(resuming.carried(taken, by, socket.gethostname(), where))
