"""Make the plan of a switch or a rollback from what the API server says now (I1, I8, I10, I14, I23).

Nothing here changes anything: the one write is sent with dryRun=All, so that the server's own admission says what it
would do. What is decided is in `domain.plans`; this module gathers what the decisions rest on, in parallel.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import fresh
from mlconsole.cluster.connection import Connection
from mlconsole.config import Settings
from mlconsole.domain import autoscaling, phases, plans
from mlconsole.domain.history import Good, Kind, known_good
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Diff, Plan, PlanError, Write
from mlconsole.domain.policy import PROMOTES
from mlconsole.domain.services import Color, ModelService, Shape
from mlconsole.domain.text import visible
from mlconsole.engine import gates, revisions, validated
from mlconsole.engine.offload import Offload
from mlconsole.engine.planning import adopt, cold, deploy, scale
from mlconsole.engine.planning import grounds as reading
from mlconsole.engine.planning.draft import Clock, Draft, Drafting, Glances
from mlconsole.engine.planning.grounds import Grounds, past_of, patience_for
from mlconsole.engine.planning.rights import rights_for, rollback_target
from mlconsole.engine.planning.routes import unasked

__all__ = ["Clock", "Glances", "Planner", "past_of", "patience_for", "rights_for", "rollback_target"]


class Choice(Struct, frozen=True):
    """Where to go, and what there is to say about it."""

    color: Color
    warnings: tuple[str, ...] = ()
    reason: bool = False
    """Whether a person has to say why: it is not on record as good."""


class Wish(Struct, frozen=True):
    """What a person wants beside the colour and the revision; each kind of operation takes its own."""

    version: str = ""
    """The registered version to deploy, a number or `@alias`."""
    image: str = ""
    replicas: int = -1
    go_on: bool = False
    """Switch to what was deployed when its gates have passed."""


NO_WISH = Wish()


class Planner:
    """Plans for one connection. `offload` is where the registry is asked; without it a worker of its own is."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        glances: Glances,
        clock: Clock = time.time,
        offload: Offload | None = None,
    ) -> None:
        self._drafting = Drafting(connection, settings, glances, clock)
        self._connection = connection
        self._settings = settings
        self._clock = clock
        self._offload = offload

    async def plan(
        self, kind: Kind, namespace: str, name: str, to_color: str = "", revision: int = 0, wish: Wish = NO_WISH
    ) -> Plan:
        """Plan one operation. Raises PlanError where there is none to make, ClusterError where nothing can be read."""
        try:
            grounds = await reading.read(
                self._connection, self._settings.service(namespace, name), kind, namespace, name
            )
            if kind is Kind.DEPLOY:
                draft = await self._deploy(grounds, to_color, wish)
            elif kind in scale.KINDS:
                goods = self._goods(grounds)
                draft = scale.draft(kind, grounds, to_color, wish.replicas, goods, self._clock())
            elif kind in adopt.KINDS:
                draft = await adopt.draft(self._drafting, kind, grounds)
            else:
                draft = self._draft(kind, grounds, to_color, revision)
            draft = await self._validated(kind, grounds, draft)
            return await self._drafting.plan(kind, grounds, draft)
        except TimeoutError as error:
            server = self._connection.identity.server
            words = f"{server} did not answer within {reading.READ_SECONDS:.0f} s"
            raise PlanError(words, "try again, or change the context", 5) from error

    async def _validated(self, kind: Kind, grounds: Grounds, draft: Draft) -> Draft:
        """The draft with the gate on its version's validation, where one is asked for."""
        service = grounds.fresh.service
        settings = self._drafting.of_service(service)
        environment = self._drafting.environment(service.namespace)
        if kind not in PROMOTES or not validated.wanted(settings, environment):
            return draft
        release, uri = draft.to_release or draft.destination.release, self._settings.registry.tracking_uri
        async with self._workers() as offload:
            gate = await validated.validation_gate(
                offload, settings, service, release, uri, self._clock(), blocks=Phase.SWITCH in draft.route
            )
        return replace(draft, gates=(*draft.gates, gate))

    @contextlib.asynccontextmanager
    async def _workers(self) -> AsyncIterator[Offload]:
        offload = self._offload or Offload()
        try:
            yield offload
        finally:
            if offload is not self._offload:
                await offload.close()

    async def _deploy(self, grounds: Grounds, to_color: str, wish: Wish) -> Draft:
        async with self._workers() as offload:
            return await deploy.draft(
                self._drafting,
                grounds,
                offload,
                to_color=to_color,
                version=wish.version,
                image=wish.image,
                replicas=wish.replicas,
                go_on=wish.go_on,
                goods=self._goods(grounds),
            )

    def _draft(self, kind: Kind, grounds: Grounds, to_color: str, revision: int) -> Draft:
        service = grounds.fresh.service
        if kind is Kind.DRILL:
            # The rollback as it would be, of which nothing is sent.
            rehearsed = self._draft(Kind.ROLLBACK, grounds, to_color, revision)
            return replace(rehearsed, route=phases.route(kind), reason=False)
        if service.shape is Shape.PLAIN:
            return self._revision(kind, grounds, revision)
        if revision:
            words = f"{service.key} is blue-green: it goes back to a colour, not to revision {revision}"
            raise PlanError(words, "leave --to-revision out", 2)
        if kind is Kind.ROLLBACK:
            without = unasked(self._drafting.of_service(service), self._drafting.environment(service.namespace))
            found = cold.draft(grounds, self._goods(grounds), to_color, without)
            if found is not None:
                return found
        choice = self._destination(kind, grounds, to_color)
        write = plans.selector_write(service, choice.color.name)
        path = f"spec.selector[{service.color_key}]"
        diff = Diff(f"Service {service.key}", path, service.live or "(missing)", choice.color.name)
        without = unasked(self._drafting.of_service(service), self._drafting.environment(service.namespace))
        route = phases.route(kind, without=without)
        pins = self._pins(kind, grounds, choice.color)
        diffs = (diff, *autoscaling.diffs(pins))
        return Draft(choice.color, (*pins, write), diffs, route, warnings=choice.warnings, reason=choice.reason)

    def _pins(self, kind: Kind, grounds: Grounds, destination: Color) -> tuple[Write, ...]:
        """What keeps the autoscalers still; the way back waits for nothing of the kind (I5, I13)."""
        if kind is Kind.ROLLBACK:
            return ()
        service = grounds.fresh.service
        scalers = grounds.fresh.autoscalers
        return autoscaling.pin_writes(service, service.live_color, destination, scalers)

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
            hint = f"deploy a better release; or `mlconsole switch {service.key} --waive quarantine --reason ...`"
            raise PlanError(words, hint, 6)
        if goods:
            raise PlanError(
                f"the last known good release of {service.key}, {goods[0].release.label}, stands on no idle colour",
                "deploy it again, or name a colour to roll back to, with a reason",
                6,
            )
        if idle is None:
            raise _nowhere(service)
        return _unrecorded(idle)

    def _goods(self, grounds: Grounds) -> list[Good]:
        service = grounds.fresh.service
        settings = self._settings.service(service.namespace, service.name)
        live = service.live_color.release if service.live_color else None
        return known_good(grounds.past.records, self._clock(), settings.watch_window, live)

    def _revision(self, kind: Kind, grounds: Grounds, number: int) -> Draft:
        service = grounds.fresh.service
        color = service.colors[0]
        if kind is not Kind.ROLLBACK:
            raise PlanError(f"{service.key} is not blue-green: it has one Deployment, {color.deployment}", exit_code=2)
        revision = revisions.choose(color, grounds.past.records, self._goods(grounds), number)
        write, diffs = fresh.revision_write(grounds.fresh, revision.number)
        warnings = revisions.warnings(grounds.fresh, color, revision, self._goods(grounds))
        route = phases.route(kind, without=frozenset({Phase.ALIAS}))
        destination = replace(color, release=revision.release)
        return Draft(destination, (write,), diffs, route, warnings=warnings, revision=revision.number)


def _named_or_idle(service: ModelService, to_color: str) -> Color:
    idle = service.idle_color
    name = to_color or (idle.name if idle else "")
    names = ", ".join(color.name for color in service.colors)
    if not name and len(service.colors) == 1:
        raise _nowhere(service)
    if not name:
        raise PlanError(f"{service.key} has no single idle colour", f"say which one: {names}", 2)
    if name == service.live:
        raise PlanError(f"{service.key} is on {name} already: nothing to change", exit_code=0)
    color = service.color(name)
    if color is None:
        raise PlanError(f"{service.key} has no colour {visible(name, 63)}", f"it has {names}", 2)
    return color


def _nowhere(service: ModelService) -> PlanError:
    """Why there is no colour to go to."""
    names = ", ".join(color.name for color in service.colors)
    if len(service.colors) == 1:
        words = f"{service.key} has one colour, {names}: nothing was deployed beside it yet"
        return PlanError(words, f"mlconsole deploy {service.key} --version N", 6)
    return PlanError(f"{service.key} has no single idle colour to go to", f"name one: {names}", 6)


def _unrecorded(color: Color) -> Choice:
    words = f"no record says that {color.name} {color.release.label} was ever good: a reason is needed"
    return Choice(color, (words,), reason=True)
