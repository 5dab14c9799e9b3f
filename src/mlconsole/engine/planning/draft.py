"""From what an operation would do to a plan that can be shown and confirmed: weighed, tried dry, hashed (I10).

Every kind makes a `Draft`; what speaks for and against it is gathered here, the same for all.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, ServerError, TooManyRequests, Unreachable, redact
from mlconsole.config import Environment, ServiceSettings, Settings
from mlconsole.domain import plans
from mlconsole.domain.deploying import marked
from mlconsole.domain.history import Kind
from mlconsole.domain.meter import expected_seconds
from mlconsole.domain.patches import pinned
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import ACCEPTED, Diff, Gate, Plan, Target, Write
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.domain.telemetry import Glance
from mlconsole.engine import answers, gates
from mlconsole.engine.owners import owner_gate
from mlconsole.engine.patience import patiently
from mlconsole.engine.planning import lock
from mlconsole.engine.planning.grounds import Grounds, patience_for
from mlconsole.engine.planning.rights import reviewed
from mlconsole.engine.policy import policy_gates
from mlconsole.gathering import gather

Clock = Callable[[], float]
Glances = Callable[[str], Sequence[Glance]]
"""From a service's key to what is known of its colours' figures now."""
FENCE = "mlconsole.io/fence"
"""The annotation of a Service that holds the token of who wrote to it last (I7)."""


class Draft(Struct, frozen=True):
    """What an operation would do."""

    destination: Color
    writes: tuple[Write, ...]
    diffs: tuple[Diff, ...]
    route: tuple[Phase, ...]
    to_release: Release | None = None
    """Where it is not what the destination runs now."""
    warnings: tuple[str, ...] = ()
    reason: bool = False
    """Whether a person has to say why."""
    gates: tuple[Gate, ...] = ()
    """What this kind of operation asks for beside the common ones."""
    revision: int = 0
    replicas: int = 0
    cold: str = ""
    way_back: str = ""
    expected_seconds: float = 0.0
    """0 for as long as such operations took."""


class Drafting:
    """Makes plans of drafts on one connection."""

    def __init__(self, connection: Connection, settings: Settings, glances: Glances, clock: Clock) -> None:
        self.connection = connection
        self.settings = settings
        self.glances = glances
        self.clock = clock

    def of_service(self, service: ModelService) -> ServiceSettings:
        """The settings of a service."""
        return self.settings.service(service.namespace, service.name)

    def environment(self, namespace: str) -> Environment:
        """The rules of the place."""
        return self.settings.environment(self.connection.identity.context, namespace)

    async def plan(self, kind: Kind, grounds: Grounds, draft: Draft) -> Plan:
        """Weigh a draft. Raises ClusterError where what is needed cannot be asked for."""
        service, now = grounds.fresh.service, self.clock()
        settings, environment = self.of_service(service), self.environment(service.namespace)
        main = next((write for write in draft.writes if write.phase is Phase.SWITCH), draft.writes[0])
        uid = grounds.fresh.uid_of(main.resource, main.name)
        operation = secrets.token_hex(6)
        writes_ = tuple(
            marked(pinned(item, grounds.fresh.uid_of(item.resource, item.name)), operation) for item in draft.writes
        )
        under = lock.read(grounds, kind)
        owners = owner_gate(grounds.fresh, writes_, kind)
        complaints = list(grounds.complaints)
        found, rights, dry_run, good_since = await gather(
            self._gates(kind, grounds, draft, settings),
            reviewed(self.connection, kind, service, writes_, draft.route, complaints),
            self._dry_run(kind, writes_),
            self._good_since(kind, service, settings, now),
        )
        live = service.live_color
        glance = _of(self.glances(service.key), live.name if live else "")
        identity = self.connection.identity
        return Plan(
            id=operation,
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
            to_color=draft.destination.name,
            from_release=live.release if live else Release(),
            to_release=draft.to_release or draft.destination.release,
            base=service.base,
            writes=writes_,
            diffs=tuple(_told(diff) for diff in draft.diffs),
            gates=(*found, *([owners] if owners else []), *under.gates),
            rights=tuple(rights),
            confirmation=plans.confirmation_for(kind, environment.production or environment.confirm),
            reason_required=draft.reason or (environment.require_reason and kind is not Kind.ROLLBACK),
            revision=draft.revision,
            from_revision=service.colors[0].revisions[0].number if draft.revision else 0,
            dry_run=dry_run,
            requests_per_second=glance.requests_per_second if glance else None,
            pods_from=live.ready if live else 0,
            pods_to=draft.destination.ready,
            way_back=draft.way_back or _way_back(service, live, draft.revision),
            expected_seconds=draft.expected_seconds or expected_seconds(grounds.past.records, grounds.round_trip),
            from_good_since=good_since,
            warnings=(*draft.warnings, *under.warnings, *complaints, *_unsaid(kind, rights, dry_run)),
            route=tuple(phase for phase in draft.route if phase is not Phase.PIN or _pins(writes_)),
            replicas=draft.replicas,
            cold=draft.cold,
            lease=grounds.held.whole if grounds.held else None,
            fence=service.annotations.get(FENCE, ""),
            holder=under.holder,
            preempts=under.preempts,
            returns=settings.watch.on_failure == "rollback",
            keeps_failed=settings.deploy.on_failure == "keep",
        )

    async def _gates(self, kind: Kind, grounds: Grounds, draft: Draft, settings: ServiceSettings) -> list[Gate]:
        found = await self._evidence(kind, grounds, draft, settings)
        service = grounds.fresh.service
        return await policy_gates(
            self.connection, self.settings, kind, service, draft.destination, draft.route, found, self.clock()
        )

    async def _evidence(self, kind: Kind, grounds: Grounds, draft: Draft, settings: ServiceSettings) -> list[Gate]:
        destination, service, now = draft.destination, grounds.fresh.service, self.clock()
        if Phase.SWITCH not in draft.route:
            return list(draft.gates)
        quarantine = gates.quarantine_gate(destination, grounds.past.records, kind, draft.revision)
        found = [quarantine] if quarantine else []
        if draft.revision or Phase.BRING_UP in draft.route:
            return [*found, *draft.gates]
        found.append(gates.destination_capacity(service, destination, kind, now))
        found.append(gates.rollout_gate(destination, kind))
        if not grounds.past.known:
            found.append(gates.unread_history_gate("; ".join(grounds.past.complaints), kind))
        found.append(await gates.answers_gate(self.connection, service, destination, settings, kind))
        glance = _of(self.glances(service.key), destination.name)
        return [*found, *gates.figure_gates(destination, glance, settings, kind, now), *draft.gates]

    async def _dry_run(self, kind: Kind, planned: Sequence[Write]) -> str:
        """What the server says to the writes; the first that it does not accept counts.

        One on an object that the plan will have changed by then cannot be tried now.
        """
        changed = set[tuple[str, str]]()
        for write in planned:
            again = write.phase is Phase.RETIRE and (write.resource, write.name) in changed
            changed.add((write.resource, write.name))
            if again:
                continue
            said = await self._try(kind, write)
            if said != ACCEPTED:
                return said
        return ACCEPTED

    async def _try(self, kind: Kind, write: Write) -> str:
        """A webhook that knows no dry run, or no answer, says nothing about a write."""
        identity = self.connection.identity
        try:
            await patiently(
                lambda: writes.send(self.connection, write, expect=identity, dry_run=True), patience_for(kind)
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
        if kind not in (Kind.SWITCH, Kind.DEPLOY) or live is None or service.shape is not Shape.BLUE_GREEN:
            return 0.0
        if live.ready < max(1, live.wish):
            return 0.0
        since = max((pod.ready_since for pod in live.pods if pod.ready), default=now)
        if now - since < settings.watch_window or any(point.color != live.name for point in service.endpoints):
            return 0.0
        answer = await answers.through_service(self.connection, service, settings.verify.path, live.release)
        return since if answer.match is answers.Match.SAME else 0.0


def _unsaid(kind: Kind, rights: Sequence[plans.Right], dry_run: str) -> list[str]:
    """What will stay untold, or was not tried."""
    words = [
        f"you may not {right.verb} {right.resource}: the traffic may stay unseen, the record incomplete"
        for right in rights
        if not (right.allowed or right.needed)
    ]
    return [*words, f"the dry run: {dry_run}"] if dry_run != ACCEPTED and kind is Kind.ROLLBACK else words


def _pins(planned: Sequence[Write]) -> bool:
    return any(write.phase is Phase.PIN for write in planned)


def _told(diff: Diff) -> Diff:
    """A difference as it may be shown: no control character, no credential (I27, I28)."""
    return replace(
        diff,
        object=redact(diff.object),
        path=redact(diff.path),
        before=redact(diff.before),
        after=redact(diff.after),
    )


def _of(glances: Sequence[Glance], color: str) -> Glance | None:
    return next((glance for glance in glances if glance.color == color), None)


def _way_back(service: ModelService, live: Color | None, revision: int) -> str:
    if revision:
        current = service.colors[0].revisions[0].number
        return f"roll back to revision {current}"
    if live is None:
        return "none: no colour had the traffic alone"
    return f"{live.name} {live.release.label} stays up, {live.ready}/{live.wish} ready"
