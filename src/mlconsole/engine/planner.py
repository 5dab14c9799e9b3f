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
from mlconsole.cluster.errors import (
    ClusterError,
    Forbidden,
    NotFound,
    ServerError,
    TooManyRequests,
    Unreachable,
    redact,
)
from mlconsole.config import Environment, ServiceSettings, Settings
from mlconsole.domain import plans
from mlconsole.domain.history import Good, Kind, known_good
from mlconsole.domain.meter import expected_seconds
from mlconsole.domain.plans import ACCEPTED, Diff, Gate, Plan, PlanError, Right, Target, Write
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.domain.telemetry import Glance
from mlconsole.domain.text import visible
from mlconsole.engine import answers, gates, revisions
from mlconsole.engine.hints import hints_of
from mlconsole.engine.patience import patiently

READ_SECONDS = 20.0
HURRY_SECONDS = 2.0
"""For what a rollback can do without: the history, the rights, the dry run, names."""
Clock = Callable[[], float]
Glances = Callable[[str], Sequence[Glance]]
"""From a service's key to what is known of its colours' figures now."""


class Grounds(Struct, frozen=True):
    """Everything read for a plan, at one time."""

    fresh: fresh.Fresh
    past: history.Past
    namespace_uid: str
    user: str
    round_trip: float
    """Seconds of one request to the API server, measured while reading."""
    complaints: tuple[str, ...] = ()
    """What could not be read and is not needed."""


class Choice(Struct, frozen=True):
    """Where to go, and what there is to say about it."""

    color: Color
    warnings: tuple[str, ...] = ()
    reason: bool = False
    """Whether a person has to say why: it is not on record as good."""


class Planner:
    """Plans for one connection."""

    def __init__(self, connection: Connection, settings: Settings, glances: Glances, clock: Clock = time.time) -> None:
        self._connection = connection
        self._settings = settings
        self._glances = glances
        self._clock = clock

    async def plan(self, kind: Kind, namespace: str, name: str, to_color: str = "", revision: int = 0) -> Plan:
        """Plan one operation. Raises PlanError where there is none to make, ClusterError where nothing can be read."""
        try:
            grounds = await self._read(kind, namespace, name)
            service = grounds.fresh.service
            if service.shape is Shape.PLAIN:
                return await self._plan_revision(kind, grounds, revision)
            choice = self._destination(kind, grounds, to_color)
            write = plans.selector_write(service, choice.color.name)
            path = f"spec.selector[{service.color_key}]"
            diff = Diff(f"Service {service.key}", path, service.live or "(missing)", choice.color.name)
            return await self._finish(kind, grounds, choice, write, (diff,))
        except TimeoutError as error:
            server = self._connection.identity.server
            words = f"{server} did not answer within {READ_SECONDS:.0f} s"
            raise PlanError(words, "try again, or change the context", 5) from error

    # ---- reading

    async def _read(self, kind: Kind, namespace: str, name: str) -> Grounds:
        hints = hints_of(self._settings.service(namespace, name))
        complaints: list[str] = []
        read, past, (uid, round_trip), user = await asyncio.gather(
            patiently(lambda: fresh.read(self._connection, namespace, name, hints), READ_SECONDS),
            past_of(self._connection, kind, namespace, name),
            self._namespace(kind, namespace, complaints),
            self._user(kind, complaints),
        )
        return Grounds(read, past, uid, user, round_trip, (*complaints, *past.complaints))

    async def _namespace(self, kind: Kind, namespace: str, complaints: list[str]) -> tuple[str, float]:
        """The namespace's uid, and the seconds that it took; without it the object's own uid pins the plan (I8)."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(patience_for(kind)):
                uid = await self._connection.namespace_uid(namespace)
        except (ClusterError, TimeoutError) as error:
            if isinstance(error, NotFound) or (kind is Kind.SWITCH and not isinstance(error, Forbidden)):
                raise
            complaints.append(f"the namespace could not be read: {error or 'no answer in time'}")
            uid = ""
        return uid, time.monotonic() - started

    async def _user(self, kind: Kind, complaints: list[str]) -> str:
        try:
            async with asyncio.timeout(patience_for(kind)):
                return visible(await self._connection.whoami())
        except (ClusterError, TimeoutError) as error:
            if kind is Kind.SWITCH:
                raise
            complaints.append(f"the server did not say who you are: {error or 'no answer in time'}")
            return self._connection.identity.user

    # ---- deciding

    def _destination(self, kind: Kind, grounds: Grounds, to_color: str) -> Choice:
        service = grounds.fresh.service
        if service.shape is Shape.MALFORMED:
            raise PlanError(f"{service.key}: {'; '.join(service.problems)}", exit_code=2)
        goods = self._goods(grounds)
        if kind is Kind.SWITCH:
            return Choice(_named_or_idle(service, to_color))
        if to_color:
            color = _named_or_idle(service, to_color)
            known = any(color.release.same_as(good.release) for good in goods)
            return Choice(color) if known else _unrecorded(color)
        found = plans.place_of(service, goods)
        if found is not None:
            good, color = found
            newest = goods[0].release
            if good.release.same_as(newest):
                return Choice(color)
            words = f"{newest.label}, the last known good, stands on no idle colour; {color.name} {color.release.label}"
            return Choice(color, (f"{words} was known good before it",))
        return self._without_record(service, grounds, goods)

    def _without_record(self, service: ModelService, grounds: Grounds, goods: Sequence[Good]) -> Choice:
        """A rollback where nothing that is known good stands on the other colour."""
        idle = service.idle_color
        if idle is not None and gates.quarantine_gate(idle, grounds.past.records, Kind.ROLLBACK):
            label = f"{idle.name} {idle.release.label}"
            words = f"{label} was itself rolled back from: {service.key} has no other known good release to go back to"
            raise PlanError(words, "deploy a better release to the idle colour", 6)
        if goods:
            raise PlanError(
                f"the last known good release of {service.key}, {goods[0].release.label}, stands on no idle colour",
                "deploy it again, or name a colour to roll back to, with a reason",
                6,
            )
        if idle is None:
            names = ", ".join(color.name for color in service.colors)
            raise PlanError(f"{service.key} has no single idle colour to roll back to", f"name one: {names}", 6)
        return _unrecorded(idle)

    def _goods(self, grounds: Grounds) -> list[Good]:
        service = grounds.fresh.service
        settings = self._settings.service(service.namespace, service.name)
        live = service.live_color.release if service.live_color else None
        return known_good(grounds.past.records, self._clock(), settings.watch_window, live)

    async def _plan_revision(self, kind: Kind, grounds: Grounds, number: int) -> Plan:
        service = grounds.fresh.service
        color = service.colors[0]
        if kind is not Kind.ROLLBACK:
            raise PlanError(f"{service.key} is not blue-green: it has one Deployment, {color.deployment}", exit_code=2)
        revision = revisions.choose(color, grounds.past.records, self._goods(grounds), number)
        write, diffs = fresh.revision_write(grounds.fresh, revision.number)
        destination = replace(color, release=revision.release)
        warnings = revisions.warnings(grounds.fresh, color, revision, self._goods(grounds))
        return await self._finish(kind, grounds, Choice(destination, warnings), write, diffs, revision.number)

    async def _finish(
        self, kind: Kind, grounds: Grounds, choice: Choice, write: Write, diffs: tuple[Diff, ...], revision: int = 0
    ) -> Plan:
        service, now, destination = grounds.fresh.service, self._clock(), choice.color
        settings = self._settings.service(service.namespace, service.name)
        environment = self._settings.environment(self._connection.identity.context, service.namespace)
        uid = grounds.fresh.uid_of(write.resource, write.name)
        write = plans.pinned(write, uid)
        complaints = list(grounds.complaints)
        found, rights, dry_run, good_since = await asyncio.gather(
            self._gates(kind, grounds, destination, settings, environment, revision),
            self._rights(kind, service, write, complaints),
            self._dry_run(kind, write),
            self._good_since(kind, service, settings, now),
        )
        live = service.live_color
        glance = _of(self._glances(service.key), live.name if live else "")
        warnings = [*choice.warnings, *complaints]
        warnings += [
            f"you may not {right.verb} {right.resource}: the traffic may stay unseen, the record incomplete"
            for right in rights
            if not (right.allowed or right.needed)
        ]
        if dry_run != ACCEPTED and kind is Kind.ROLLBACK:
            warnings.append(f"the dry run: {dry_run}")
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
                uid,
            ),
            service=service.name,
            created_at=now,
            from_color=live.name if live else service.live,
            to_color=destination.name,
            from_release=live.release if live else Release(),
            to_release=destination.release,
            base=service.base,
            write=write,
            diffs=tuple(_told(diff) for diff in diffs),
            gates=tuple(found),
            rights=tuple(rights),
            confirmation=plans.confirmation_for(kind, environment.production),
            reason_required=choice.reason or environment.require_reason,
            revision=revision,
            from_revision=service.colors[0].revisions[0].number if revision else 0,
            dry_run=dry_run,
            requests_per_second=glance.requests_per_second if glance else None,
            pods_from=live.ready if live else 0,
            pods_to=destination.ready,
            way_back=_way_back(service, live, revision),
            expected_seconds=expected_seconds(grounds.past.records, grounds.round_trip),
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
        quarantine = gates.quarantine_gate(destination, grounds.past.records, kind, revision)
        found = [gate for gate in (policy, quarantine) if gate]
        if revision:
            return found
        service, now = grounds.fresh.service, self._clock()
        found.append(gates.destination_capacity(service, destination, kind, now))
        found.append(gates.rollout_gate(destination, kind))
        if not grounds.past.known:
            found.append(gates.unread_history_gate("; ".join(grounds.past.complaints), kind))
        found.append(await gates.answers_gate(self._connection, service, destination, settings, kind))
        glance = _of(self._glances(service.key), destination.name)
        return found + gates.figure_gates(destination, glance, settings, kind, now)

    async def _rights(self, kind: Kind, service: ModelService, write: Write, complaints: list[str]) -> list[Right]:
        checks = rights_for(service.namespace, write)
        try:
            async with asyncio.timeout(patience_for(kind)):
                reviewed = await access.review(self._connection, checks)
        except (ClusterError, TimeoutError) as error:
            if kind is Kind.SWITCH:
                raise
            complaints.append(f"your rights could not be asked for: {error or 'no answer in time'}")
            return []
        return [
            Right(found.check.verb, found.check.label, found.check.name, found.allowed, found.why, _needed(found.check))
            for found in reviewed
        ]

    async def _dry_run(self, kind: Kind, write: Write) -> str:
        """What the server says to the write; a webhook that knows no dry run, or no answer, says nothing about it."""
        identity = self._connection.identity
        try:
            await patiently(
                lambda: writes.patch(self._connection, write, expect=identity, dry_run=True), patience_for(kind)
            )
        except (Unreachable, TooManyRequests, ServerError, TimeoutError) as error:
            return f"unknown: {error or 'no answer in time'}"
        except ClusterError as error:
            return f"{'unknown' if 'does not support dry run' in error.message else 'refused'}: {error}"
        return ACCEPTED

    async def _good_since(self, kind: Kind, service: ModelService, settings: ServiceSettings, now: float) -> float:
        """Since when the live release stands as it should, or 0: it becomes the way back of a first switch.

        What a rollback leaves is not asked: it is sick, and could take its time (I13).
        """
        live = service.live_color
        if kind is Kind.ROLLBACK or live is None or service.shape is not Shape.BLUE_GREEN:
            return 0.0
        if live.ready < max(1, live.wish):
            return 0.0
        since = max((pod.ready_since for pod in live.pods if pod.ready), default=now)
        if now - since < settings.watch_window or any(point.color != live.name for point in service.endpoints):
            return 0.0
        answer = await answers.through_service(self._connection, service, settings.verify.path, live.release)
        return since if answer.match is answers.Match.SAME else 0.0


def patience_for(kind: Kind) -> float:
    """Seconds for what an operation may need: a switch waits for it, a rollback goes on without."""
    return READ_SECONDS if kind is Kind.SWITCH else HURRY_SECONDS


def _named_or_idle(service: ModelService, to_color: str) -> Color:
    idle = service.idle_color
    name = to_color or (idle.name if idle else "")
    names = ", ".join(color.name for color in service.colors)
    if not name:
        raise PlanError(f"{service.key} has no single idle colour", f"say which one: {names}", 2)
    if name == service.live:
        raise PlanError(f"{service.key} is on {name} already: nothing to change", exit_code=0)
    color = service.color(name)
    if color is None:
        raise PlanError(f"{service.key} has no colour {visible(name, 63)}", f"it has {names}", 2)
    return color


def _unrecorded(color: Color) -> Choice:
    words = f"no record says that {color.name} {color.release.label} was ever good: a reason is needed"
    return Choice(color, (words,), reason=True)


def _told(diff: Diff) -> Diff:
    """A difference as it may be shown: no control character, no credential (I27, I28)."""
    return Diff(redact(diff.object), redact(diff.path), redact(diff.before), redact(diff.after))


def rollback_target(service: ModelService) -> Write:
    """The object that a rollback of `service` would write, for asking about rights."""
    if service.shape is Shape.PLAIN and service.colors:
        return Write("deployments", service.namespace, service.colors[0].deployment, ())
    return Write("services", service.namespace, service.name, ())


def rights_for(namespace: str, write: Write) -> list[access.Check]:
    """Every verb that the plan and its rollback need, the write first: they are the same ones (I23)."""
    group = "apps" if write.resource == "deployments" else ""
    return [
        access.Check("patch", group, write.resource, "", namespace, write.name),
        access.Check("get", "", "services", "", namespace, ""),
        access.Check("list", "apps", "deployments", "", namespace, ""),
        access.Check("list", "apps", "replicasets", "", namespace, ""),
        access.Check("list", "", "pods", "", namespace, ""),
        access.Check("get", "", "configmaps", "", namespace, ""),
        access.Check("create", "", "configmaps", "", namespace, ""),
        access.Check("update", "", "configmaps", "", namespace, ""),
        access.Check("create", "", "events", "", namespace, ""),
        access.Check("get", "", "services", "proxy", namespace, ""),
    ]


def _needed(check: access.Check) -> bool:
    """Without an Event or a look through the proxy a switch is told less of, and done all the same."""
    return check.resource != "events" and not check.subresource


async def past_of(connection: Connection, kind: Kind, namespace: str, name: str) -> history.Past:
    """The service's records; the way back never waits for a history that cannot be read (I12)."""
    try:
        return await patiently(lambda: history.read(connection, namespace, name), patience_for(kind))
    except (ClusterError, TimeoutError) as error:
        return history.Past(complaints=(f"the history could not be read: {error or 'no answer in time'}",))


def _of(glances: Sequence[Glance], color: str) -> Glance | None:
    return next((glance for glance in glances if glance.color == color), None)


def _way_back(service: ModelService, live: Color | None, revision: int) -> str:
    if revision:
        current = service.colors[0].revisions[0].number
        return f"roll back to revision {current}"
    if live is None:
        return "none: no colour had the traffic alone"
    return f"{live.name} {live.release.label} stays up, {live.ready}/{live.wish} ready"
