"""Make the plan of a switch or a rollback from what the API server says now (I1, I8, I10, I14, I23).

Nothing here changes anything: the one write is sent with dryRun=All, so that the server's own admission says what it
would do. What is decided is in `domain.plans`; this module gathers what the decisions rest on, in parallel.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import access, fresh, history, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Environment, ServiceSettings, Settings
from mlconsole.domain import plans
from mlconsole.domain.history import Kind, Record, last_known_good
from mlconsole.domain.meter import expected_seconds
from mlconsole.domain.plans import Diff, Gate, Plan, PlanError, Right, Target, Write
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import answers, gates
from mlconsole.engine.hints import hints_of

Clock = Callable[[], float]
Glances = Callable[[str], Sequence[Glance]]
"""From a service's key to what is known of its colours' figures now."""


class Grounds(Struct, frozen=True):
    """Everything read for a plan, at one time."""

    fresh: fresh.Fresh
    records: tuple[Record, ...]
    history_problem: str
    namespace_uid: str
    user: str
    round_trip: float
    """Seconds of one request to the API server, measured while reading."""


class Planner:
    """Plans for one connection."""

    def __init__(self, connection: Connection, settings: Settings, glances: Glances, clock: Clock = time.time) -> None:
        self._connection = connection
        self._settings = settings
        self._glances = glances
        self._clock = clock

    async def plan(self, kind: Kind, namespace: str, name: str, to_color: str = "", revision: int = 0) -> Plan:
        """Plan one operation. Raises PlanError where there is none to make, ClusterError where nothing can be read."""
        grounds = await self._read(namespace, name)
        service = grounds.fresh.service
        if service.shape is Shape.PLAIN:
            return await self._plan_revision(kind, grounds, revision)
        destination, warnings = self._destination(kind, grounds, to_color)
        write = plans.selector_write(service, destination.name)
        path = f"spec.selector[{service.color_key}]"
        diff = Diff(f"Service {service.key}", path, service.live or "(missing)", destination.name)
        return await self._finish(kind, grounds, destination, write, (diff,), warnings)

    # ---- reading

    async def _read(self, namespace: str, name: str) -> Grounds:
        started = time.monotonic()
        uid_task = asyncio.create_task(self._connection.namespace_uid(namespace))
        user_task = asyncio.create_task(self._connection.whoami())
        try:
            async with asyncio.timeout(20):
                settings = self._settings.service(namespace, name)
                uid = await uid_task
                round_trip = time.monotonic() - started
                read, past, user = await asyncio.gather(
                    fresh.read(self._connection, namespace, name, hints_of(settings)),
                    _past(self._connection, namespace, name),
                    user_task,
                )
        except TimeoutError as error:
            server = self._connection.identity.server
            raise PlanError(f"{server} did not answer within 20 s", "try again, or change the context", 5) from error
        finally:
            uid_task.cancel()
            user_task.cancel()
        return Grounds(read, past[0], past[1], uid, user, round_trip)

    # ---- deciding

    def _destination(self, kind: Kind, grounds: Grounds, to_color: str) -> tuple[Color, list[str]]:
        service = grounds.fresh.service
        if service.shape is Shape.MALFORMED:
            raise PlanError(f"{service.key}: {'; '.join(service.problems)}", exit_code=2)
        if kind is Kind.SWITCH or to_color:
            return self._switch_destination(service, to_color), []
        settings = self._settings.service(service.namespace, service.name)
        live = service.live_color.release if service.live_color else None
        good = last_known_good(grounds.records, self._clock(), settings.watch_window, live)
        if good is not None:
            for color in service.colors:
                if color.name != service.live and color.release.same_as(good.release):
                    return color, []
            raise PlanError(
                f"the last known good release of {service.key}, {good.release.label}, stands on no idle colour",
                "deploy it again, or name a colour to switch to with a reason",
                6,
            )
        idle = service.idle_color
        if idle is None:
            raise PlanError(f"{service.key} has no single idle colour to roll back to", "name one with a switch", 6)
        if gates.quarantine_gate(idle, grounds.records, kind):
            words = (
                f"{idle.name} {idle.release.label} was itself rolled back from: {service.key} is on its last known good"
            )
            raise PlanError(words, "deploy a better release to the idle colour", 6)
        return idle, [f"no record says that {idle.name} {idle.release.label} was ever good: a reason is needed"]

    def _switch_destination(self, service: ModelService, to_color: str) -> Color:
        idle = service.idle_color
        name = to_color or (idle.name if idle else "")
        if not name:
            names = ", ".join(color.name for color in service.colors)
            raise PlanError(f"{service.key} has no single idle colour", f"say which one: {names}", 2)
        if name == service.live:
            raise PlanError(f"{service.key} is on {name} already: nothing to change", exit_code=0)
        color = service.color(name)
        if color is None:
            names = ", ".join(color.name for color in service.colors)
            raise PlanError(f"{service.key} has no colour {name!r}", f"it has {names}", 2)
        return color

    async def _plan_revision(self, kind: Kind, grounds: Grounds, number: int) -> Plan:
        service = grounds.fresh.service
        color = service.colors[0]
        if kind is not Kind.ROLLBACK:
            raise PlanError(f"{service.key} is not blue-green: it has one Deployment, {color.deployment}", exit_code=2)
        earlier = [item for item in color.revisions[1:] if not number or item.number == number]
        if not earlier:
            kept = ", ".join(str(item.number) for item in color.revisions[1:]) or "none"
            what = f"revision {number}" if number else "earlier revision"
            raise PlanError(f"Deployment {color.deployment} has no {what}", f"kept are: {kept}", 2)
        revision = earlier[0]
        write, diffs = fresh.revision_write(grounds.fresh, revision.number)
        destination = replace(color, release=revision.release)
        warnings = ["not blue-green: pods are replaced one by one, and the old ones end as the new become ready"]
        return await self._finish(Kind.ROLLBACK, grounds, destination, write, diffs, warnings, revision.number)

    async def _finish(
        self,
        kind: Kind,
        grounds: Grounds,
        destination: Color,
        write: Write,
        diffs: tuple[Diff, ...],
        warnings: list[str],
        revision: int = 0,
    ) -> Plan:
        service, now = grounds.fresh.service, self._clock()
        settings = self._settings.service(service.namespace, service.name)
        environment = self._settings.environment(self._connection.identity.context, service.namespace)
        async with asyncio.timeout(20):
            found, rights, dry_run, good_since = await asyncio.gather(
                self._gates(kind, grounds, destination, settings, environment, revision),
                self._rights(service, write),
                self._dry_run(write),
                self._good_since(service, settings, now),
            )
        live = service.live_color
        glance = _of(self._glances(service.key), live.name if live else "")
        if grounds.history_problem:
            warnings.append(grounds.history_problem)
        unrecorded = any("no record says" in warning for warning in warnings)
        identity = self._connection.identity
        return Plan(
            id=secrets.token_hex(6),
            kind=kind,
            target=Target(
                identity.context,
                identity.server,
                identity.ca_digest,
                grounds.user,
                service.namespace,
                grounds.namespace_uid,
                grounds.fresh.uid_of(write.resource, write.name),
            ),
            service=service.name,
            created_at=now,
            from_color=live.name if live else "",
            to_color=destination.name,
            from_release=live.release if live else Release(),
            to_release=destination.release,
            base=service.base,
            write=write,
            diffs=diffs,
            gates=tuple(found),
            rights=tuple(rights),
            confirmation=plans.confirmation_for(kind, environment.production),
            reason_required=unrecorded or environment.require_reason,
            revision=revision,
            dry_run=dry_run,
            requests_per_second=glance.requests_per_second if glance else None,
            pods_from=live.ready if live else 0,
            pods_to=destination.ready,
            way_back=_way_back(service, live, revision),
            expected_seconds=expected_seconds(grounds.records, grounds.round_trip),
            from_good_since=good_since,
            warnings=tuple(warnings),
        )

    # ---- evidence

    async def _gates(
        self,
        kind: Kind,
        grounds: Grounds,
        destination: Color,
        settings: ServiceSettings,
        environment: Environment,
        revision: int,
    ) -> list[Gate]:
        policy = gates.policy_gate(environment, self._settings.read_only)
        found = [policy] if policy else []
        if revision:
            return found
        service, now = grounds.fresh.service, self._clock()
        found.append(gates.destination_capacity(service, destination, kind, now))
        quarantine = gates.quarantine_gate(destination, grounds.records, kind)
        if quarantine:
            found.append(quarantine)
        found.append(await gates.answers_gate(self._connection, service, destination, settings, kind))
        glance = _of(self._glances(service.key), destination.name)
        return found + gates.figure_gates(destination, glance, settings, kind, now)

    async def _rights(self, service: ModelService, write: Write) -> list[Right]:
        checks = rights_for(service.namespace, write)
        reviewed = await access.review(self._connection, checks)
        return [
            Right(right.check.verb, right.check.label, right.check.name, right.allowed, right.why) for right in reviewed
        ]

    async def _dry_run(self, write: Write) -> str:
        try:
            await writes.patch(self._connection, write, expect=self._connection.identity, dry_run=True)
        except ClusterError as error:
            return f"refused: {error}"
        return "accepted"

    async def _good_since(self, service: ModelService, settings: ServiceSettings, now: float) -> float:
        """Since when the live release stands as it should, or 0: it becomes the way back of a first switch."""
        live = service.live_color
        if live is None or service.shape is not Shape.BLUE_GREEN or live.ready < max(1, live.wish):
            return 0.0
        since = max((pod.ready_since for pod in live.pods if pod.ready), default=now)
        if now - since < settings.watch_window or any(point.color != live.name for point in service.endpoints):
            return 0.0
        answer = await answers.through_service(self._connection, service, settings.verify.path, live.release)
        return since if answer.match is answers.Match.SAME else 0.0


def rollback_target(service: ModelService) -> Write:
    """The object that a rollback of `service` would write, for asking about rights."""
    if service.shape is Shape.PLAIN and service.colors:
        return Write("deployments", service.namespace, service.colors[0].deployment, ())
    return Write("services", service.namespace, service.name, ())


def rights_for(namespace: str, write: Write) -> list[access.Check]:
    """Every verb that the plan and its rollback need: they are the same ones (I23)."""
    group = "apps" if write.resource == "deployments" else ""
    return [
        access.Check("patch", group, write.resource, "", namespace, write.name),
        access.Check("get", "", "services", "", namespace, ""),
        access.Check("list", "", "pods", "", namespace, ""),
        access.Check("get", "", "configmaps", "", namespace, ""),
        access.Check("create", "", "configmaps", "", namespace, ""),
        access.Check("patch", "", "configmaps", "", namespace, ""),
    ]


async def _past(connection: Connection, namespace: str, name: str) -> tuple[tuple[Record, ...], str]:
    """The service's records; the way back never waits for a history that cannot be read (I12)."""
    try:
        past = await history.read(connection, namespace, name)
    except ClusterError as error:
        return (), f"the history could not be read: {error}"
    return tuple(past.records), "; ".join(past.complaints)


def _of(glances: Sequence[Glance], color: str) -> Glance | None:
    return next((glance for glance in glances if glance.color == color), None)


def _way_back(service: ModelService, live: Color | None, revision: int) -> str:
    if revision:
        current = service.colors[0].revisions[0].number
        return f"roll back to revision {current}"
    if live is None:
        return "none: no colour had the traffic alone"
    return f"{live.name} {live.release.label} stays up, {live.ready}/{live.wish} ready"
