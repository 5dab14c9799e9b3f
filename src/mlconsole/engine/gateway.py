"""The one door for every change to the cluster (I9).

A plan comes in with a person's consent. What is asked here, in this order: is the consent for this very plan; may it be
done (policy, gates, rights); is the cluster still what the plan saw (identity, uids, selector, capacity: read now).
Then the intent is written down, the one write is sent with its precondition, and the traffic is watched arriving.
From consent to the API server's answer that is three round trips: read, intent, write.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import time

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import fresh, history, writes
from mlconsole.cluster.connection import Connection, Identity
from mlconsole.cluster.errors import (
    ClusterError,
    Conflict,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unreachable,
    redact,
)
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Outcome, Record, is_bad, is_bad_revision
from mlconsole.domain.plans import ACCEPTED, FRESH_SECONDS, Confirmation, Gate, Plan, PlanError, well_formed
from mlconsole.domain.services import ModelService
from mlconsole.domain.text import visible
from mlconsole.engine import gates, verify
from mlconsole.engine.audit import Journal
from mlconsole.engine.hints import hints_of
from mlconsole.engine.ledger import Ledger, Report, Step
from mlconsole.engine.patience import patiently
from mlconsole.engine.planner import Clock, past_of, patience_for

__all__ = ["Consent", "Gateway", "Report", "Step", "check_consent"]

PLAN_SECONDS = 300.0
"""A plan older than this is planned again before it is carried out."""
WRITE_SECONDS = 10.0
TRIES = 4
LONGEST_WAIT = 10.0
"""Of what a server asks for before the write is sent again."""
CLOSING_SECONDS = 2.0
"""For the record of an operation whose console is ending."""


class Consent(Struct, frozen=True):
    """What a person said to a plan."""

    hash: str
    """Of the plan that was shown (I10)."""
    reason: str = ""
    typed: str = ""
    waived: tuple[str, ...] = ()


class Seen(Struct, frozen=True):
    """What was read just before the write."""

    past: history.Past
    at: float


class Sent(enum.Enum):
    """What became of a write that was sent."""

    APPLIED = enum.auto()
    LATER = enum.auto()
    """The server had no time for it, and said so."""
    CONTESTED = enum.auto()
    """The server could not settle it among concurrent writes."""
    BROKEN = enum.auto()
    """The server failed of it: applied or not, that is settled."""
    LOST = enum.auto()
    """No answer: it may still arrive."""


class Gateway:
    """Carries out plans on one connection, one at a time a service."""

    def __init__(self, connection: Connection, settings: Settings, journal: Journal, clock: Clock = time.time) -> None:
        self._connection = connection
        self._settings = settings
        self._ledger = Ledger(connection, journal, clock)
        self._clock = clock
        self._running: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is under way here."""
        await self._idle.wait()

    async def execute(self, plan: Plan, consent: Consent, report: Report) -> Record:
        """Carry out `plan`. Returns the record with its outcome.

        Raises PlanError when it is refused and ClusterError when nothing could be read: then nothing was changed.
        """
        key = f"{plan.target.namespace}/{plan.service}"
        if key in self._running:
            raise PlanError(f"an operation on {key} is under way here", "wait for its end", 4)
        self._running.add(key)
        self._idle.clear()
        try:
            check_consent(plan, consent, self._clock())
            report(Step("check", "reading the cluster again"))
            seen = await self._check_now(plan, consent)
            return await self._carry_out(plan, consent, seen, report)
        finally:
            self._running.discard(key)
            if not self._running:
                self._idle.set()

    # ---- before

    async def _check_now(self, plan: Plan, consent: Consent) -> Seen:
        """Compare the cluster, read now, with what the plan saw (I1, I6, I8)."""
        target, identity = plan.target, self._connection.identity
        if identity != self._expected(plan):
            raise PlanError(f"this console now looks at {identity.context}, the plan is for {target.context}", "", 4)
        environment = self._settings.environment(identity.context, target.namespace)
        policy = gates.policy_gate(environment, self._settings.read_only)
        if policy:
            raise PlanError(f"refused: {policy.value} ({policy.evidence})", "", 3)
        began = self._clock()
        try:
            read, past, _, _ = await asyncio.gather(
                patiently(lambda: self._read(plan), WRITE_SECONDS),
                past_of(self._connection, plan.kind, target.namespace, plan.service),
                self._check_namespace(plan),
                self._check_user(plan),
            )
        except TimeoutError as error:
            raise PlanError(f"{target.server} did not answer in time; nothing was changed", "try again", 5) from error
        except NotFound as error:
            raise PlanError(f"{target.namespace}/{plan.service} is gone: {error.why}", "look again", 4) from error
        if read.uid_of(plan.write.resource, plan.write.name) != target.uid:
            raise PlanError(f"{target.namespace}/{plan.service} was deleted and made anew meanwhile", "plan again", 4)
        self._check_records(plan, consent, past.records)
        capacity = None if plan.revision else _still_possible(read.service, plan, self._clock())
        if not read.meets(plan.write):
            raise PlanError(f"{plan.write.name} is not what the plan saw any more", "look again and plan again", 4)
        if capacity and capacity.stops and not (capacity.waivable and capacity.name in consent.waived):
            why = f"capacity: {plan.to_color} has {capacity.value}, needed are {capacity.limit}"
            raise PlanError(why, "wait for its pods, or waive it with a reason if any is ready", 6)
        return Seen(past, began)

    def _expected(self, plan: Plan) -> Identity:
        """What the connection must be for this plan. Its user's name in the kubeconfig is fixed; see `_check_user`."""
        target = plan.target
        return Identity(target.context, target.server, target.ca_digest, self._connection.identity.user)

    async def _read(self, plan: Plan) -> fresh.Fresh:
        settings = self._settings.service(plan.target.namespace, plan.service)
        return await fresh.read(
            self._connection, plan.target.namespace, plan.service, hints_of(settings), plan.base or None
        )

    async def _check_namespace(self, plan: Plan) -> None:
        """The namespace is the one planned for; where it cannot be read, the object's own uid says so."""
        if not plan.target.namespace_uid:
            return
        try:
            async with asyncio.timeout(patience_for(plan.kind)):
                uid = await self._connection.namespace_uid(plan.target.namespace)
        except (ClusterError, TimeoutError):
            if plan.kind is Kind.SWITCH:
                raise
            return
        if uid != plan.target.namespace_uid:
            raise PlanError(f"namespace {plan.target.namespace} was deleted and made anew meanwhile", "plan again", 4)

    async def _check_user(self, plan: Plan) -> None:
        """The credentials are still of the user who was shown: a kubeconfig may have been changed meanwhile."""
        try:
            async with asyncio.timeout(patience_for(plan.kind)):
                user = visible(await self._connection.whoami())
        except (ClusterError, TimeoutError):
            if plan.kind is Kind.SWITCH:
                raise
            return
        unsaid = self._connection.identity.user
        if user != plan.target.user and unsaid not in (user, plan.target.user):
            raise PlanError(f"you are {user} to the server now, the plan was made by {plan.target.user}", "", 4)

    def _check_records(self, plan: Plan, consent: Consent, records: tuple[Record, ...]) -> None:
        """Nobody rolled back from the destination since it was planned (I14)."""
        bad = is_bad_revision(plan.revision, records) if plan.revision else is_bad(plan.to_release, records)
        if bad and not (plan.kind is Kind.SWITCH or plan.revision):
            raise PlanError(f"{plan.to_release.label} was rolled back from meanwhile", "plan again", 4)
        if bad and "quarantine" not in consent.waived:
            raise PlanError(f"{plan.to_release.label} was rolled back from meanwhile", "plan again", 6)

    def _intent(self, plan: Plan, consent: Consent) -> Record:
        return Record(
            id=plan.id,
            kind=plan.kind,
            service=plan.service,
            namespace=plan.target.namespace,
            at=self._clock(),
            user=plan.target.user,
            host=socket.gethostname(),
            context=plan.target.context,
            plan_hash=plan.hash,
            reason=redact(consent.reason.strip()),
            from_color=plan.from_color,
            to_color=plan.to_color,
            from_release=plan.from_release,
            to_release=plan.to_release,
            from_good_since=plan.from_good_since,
            waived=tuple(gate.name for gate in plan.gates if gate.stops and gate.name in consent.waived),
            from_revision=plan.from_revision,
            to_revision=plan.revision,
        )

    # ---- the change and after

    async def _carry_out(self, plan: Plan, consent: Consent, seen: Seen, report: Report) -> Record:
        """From the intent to the outcome; whatever ends it on the way, the record says how far it came (I17)."""
        record, past, sent = self._intent(plan, consent), seen.past, False
        try:
            past = await self._ledger.intend(record, past, report)
            sent = True
            if not await self._write(plan, consent, seen.at, report):
                words = "it is not known whether the write was applied: look before anything else"
                return await self._ledger.close(replace(record, message=words), past, report)
        except (ClusterError, PlanError) as error:
            await self._ledger.close(replace(record, outcome=Outcome.FAILED, message=str(error)), past, report)
            raise
        except asyncio.CancelledError:
            words = "interrupted while the write was under way" if sent else "interrupted before anything was changed"
            outcome = Outcome.OPEN if sent else Outcome.FAILED
            await self._ledger.close(replace(record, outcome=outcome, message=words), past, report, CLOSING_SECONDS)
            raise
        return await self._watch(plan, record, past, report)

    async def _watch(self, plan: Plan, record: Record, past: history.Past, report: Report) -> Record:
        """Watch the traffic arrive (I3)."""
        settings = self._settings.service(plan.target.namespace, plan.service)
        last = ""

        def say(words: str) -> None:
            nonlocal last
            if words != last:
                last = words
                report(Step("verify", words))

        try:
            outcome, words = await verify.arrival(self._connection, plan, settings, say)
        except asyncio.CancelledError:
            words = "applied; the console ended before the traffic was seen there"
            record = replace(record, outcome=Outcome.UNVERIFIED, message=words)
            await self._ledger.close(record, past, report, CLOSING_SECONDS)
            raise
        say(words)
        verified_at = self._clock() if outcome is Outcome.VERIFIED else 0.0
        record = replace(record, outcome=outcome, verified_at=verified_at, message=words)
        return await self._ledger.close(record, past, report)

    async def _write(self, plan: Plan, consent: Consent, seen_at: float, report: Report) -> bool:
        """Send the one write. True when it was applied, False when that cannot be known; else it raises.

        It is sent again where the server asks for time and where it is seen not to have been applied: what it tests
        lets it count once.
        """
        lost = False
        for _ in range(TRIES):
            try:
                seen_at = await self._fresh_enough(plan, consent, seen_at, report)
                answer = await self._send(plan, report)
            except (PlanError, ClusterError) as error:
                landed = await self._applied(plan) if lost else False
                if landed:
                    return self._written(plan, report)
                if landed is None:
                    return False  # the first write may still land
                if isinstance(error, Invalid):
                    await self._check_now(plan, consent)
                    raise PlanError(f"the API server refused the write: {error.message}", error.hint) from error
                raise
            applied = answer is Sent.APPLIED
            if answer in (Sent.LOST, Sent.BROKEN):
                seen = await self._applied(plan)
                if seen is None:
                    return False
                applied, lost = seen, lost or answer is Sent.LOST
            if applied:
                return self._written(plan, report)
            if answer is Sent.CONTESTED:
                # What was seen is read again, never assumed.
                seen_at = float("-inf")
        if lost:
            return False
        words = f"the API server did not take the write in {TRIES} tries; nothing was changed"
        raise PlanError(words, "try again", 5)

    async def _fresh_enough(self, plan: Plan, consent: Consent, seen_at: float, report: Report) -> float:
        """When the cluster was last compared with the plan: at most `FRESH_SECONDS` ago (I1)."""
        if self._clock() - seen_at <= FRESH_SECONDS:
            return seen_at
        report(Step("check", "reading the cluster again before the write"))
        return (await self._check_now(plan, consent)).at

    async def _send(self, plan: Plan, report: Report) -> Sent:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await writes.patch(self._connection, plan.write, expect=self._expected(plan))
        except TooManyRequests as error:
            wait = min(LONGEST_WAIT, max(0.5, error.retry_after))
            report(Step("write", f"the API server asks to wait {wait:.0f} s"))
            await asyncio.sleep(wait)
            return Sent.LATER
        except Conflict:
            return Sent.CONTESTED
        except (Unreachable, ServerError, TimeoutError) as error:
            report(Step("write", f"no clear answer to the write ({error or 'timeout'}); reading back"))
            return Sent.BROKEN if isinstance(error, ServerError) else Sent.LOST
        return Sent.APPLIED

    def _written(self, plan: Plan, report: Report) -> bool:
        report(Step("write", f"{plan.diffs[0].path}: {plan.diffs[0].before} -> {plan.diffs[0].after}"))
        return True

    async def _applied(self, plan: Plan) -> bool | None:
        """Whether the write is there; None when nobody can say."""
        try:
            return (await patiently(lambda: self._read(plan), WRITE_SECONDS)).has(plan.write)
        except (ClusterError, TimeoutError):
            return None


def check_consent(plan: Plan, consent: Consent, now: float) -> None:
    """Whether the consent is for this plan, and enough for it. Raises PlanError."""
    if consent.hash != plan.hash:
        raise PlanError("the confirmation is for another plan than this", "look at the plan again", 4)
    if now - plan.created_at > PLAN_SECONDS:
        raise PlanError(f"the plan is {now - plan.created_at:.0f} s old", "plan again", 4)
    stopping = plan.stopping(consent.waived)
    if stopping:
        raise PlanError(_stopped(stopping), _waiver(stopping), 3 if stopping[0].name == "policy" else 6)
    refused = [
        right
        for right in plan.missing_rights
        if plan.kind is Kind.SWITCH or (right.verb == "patch" and right.resource.startswith(plan.write.resource))
    ]
    if refused:
        words = ", ".join(f"{right.verb} {right.resource}" for right in refused)
        raise PlanError(
            f"{plan.target.user} may not {words} in {plan.target.namespace}", "ask for the missing verbs", 3
        )
    unsaid = plan.kind is Kind.ROLLBACK and plan.dry_run.startswith("unknown")
    if plan.dry_run != ACCEPTED and not unsaid:
        raise PlanError(f"the API server's dry run: {plan.dry_run}", "nothing was changed", 1)
    if (plan.reason_required or consent.waived) and not consent.reason.strip():
        raise PlanError("a reason is needed", "say why: it goes on record", 2)
    if plan.confirmation is Confirmation.NAME and consent.typed != plan.service:
        raise PlanError(f"production: type the service's name, {plan.service}", "", 2)


def _stopped(stopping: tuple[Gate, ...]) -> str:
    return "; ".join(f"{gate.name} {gate.verdict}: {gate.value}, needed {gate.limit}" for gate in stopping)


def _waiver(stopping: tuple[Gate, ...]) -> str:
    if all(gate.waivable for gate in stopping):
        return "wait, or waive " + ", ".join(gate.name for gate in stopping) + " with a reason"
    if any(gate.name == "capacity" and not gate.waivable for gate in stopping):
        return "no pod is ready there: scale its Deployment up first"
    return "this cannot be waived"


def _still_possible(service: ModelService, plan: Plan, now: float) -> Gate:
    """The capacity of the destination now; PlanError when the service is no longer what the plan saw (I2, I6)."""
    if service.live != plan.from_color or service.color(plan.to_color) is None:
        raise PlanError(
            f"{service.key} is on {service.live or 'no colour'} now, the plan saw {plan.from_color or 'none'}",
            "plan again",
            4,
        )
    destination = service.color(plan.to_color)
    assert destination is not None
    if not destination.release.same_as(plan.to_release):
        raise PlanError(
            f"{plan.to_color} runs {destination.release.label} now, the plan saw {plan.to_release.label}",
            "plan again",
            4,
        )
    if not well_formed({**plan.base, service.color_key: plan.to_color}, service):
        raise PlanError(f"the selector of {service.key} is not what the plan saw any more", "plan again", 4)
    return gates.destination_capacity(service, destination, plan.kind, now)
