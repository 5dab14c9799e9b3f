"""The one door for every change to the cluster (I9).

A plan comes in with a person's consent. What is asked here, in this order: is the consent for this very plan; may it be
done (policy, gates, rights); is the cluster still what the plan saw (identity, uids, selector, capacity: read now).
Then the intent is written down, the one write is sent with its precondition, and the traffic is watched arriving.
From consent to the API server's answer that is three round trips: read, intent, write.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import events, fresh, history, writes
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Conflict, Forbidden, Invalid, Unauthorized
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.plans import Confirmation, Gate, Plan, PlanError, well_formed
from mlconsole.domain.services import ModelService
from mlconsole.engine import gates, verify
from mlconsole.engine.audit import Journal
from mlconsole.engine.hints import hints_of
from mlconsole.engine.planner import Clock

PLAN_SECONDS = 300.0
"""A plan older than this is planned again before it is carried out."""
WRITE_SECONDS = 10.0


class Consent(Struct, frozen=True):
    """What a person said to a plan."""

    hash: str
    """Of the plan that was shown (I10)."""
    reason: str = ""
    typed: str = ""
    waived: tuple[str, ...] = ()


class Step(Struct, frozen=True):
    """Something that happened on the way."""

    step: str
    words: str
    outcome: Outcome | None = None


Report = Callable[[Step], None]


class Gateway:
    """Carries out plans on one connection, one at a time a service."""

    def __init__(self, connection: Connection, settings: Settings, journal: Journal, clock: Clock = time.time) -> None:
        self._connection = connection
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._running: set[str] = set()

    async def execute(self, plan: Plan, consent: Consent, report: Report) -> Record:
        """Carry out `plan`. Returns the record with its outcome.

        Raises PlanError when it is refused and ClusterError when nothing could be read: then nothing was changed.
        """
        key = f"{plan.target.namespace}/{plan.service}"
        if key in self._running:
            raise PlanError(f"an operation on {key} is under way here", "wait for its end", 4)
        self._running.add(key)
        try:
            check_consent(plan, consent, self._clock())
            report(Step("check", "reading the cluster again"))
            past = await self._check_now(plan, consent)
            record = self._intent(plan, consent)
            past = await self._record(record, past, plan.kind, report)
            return await self._carry_out(plan, record, past, report)
        finally:
            self._running.discard(key)

    # ---- before

    async def _check_now(self, plan: Plan, consent: Consent) -> history.Past:
        """Compare the cluster, read now, with what the plan saw."""
        target, identity = plan.target, self._connection.identity
        if (identity.context, identity.server, identity.ca_digest) != (target.context, target.server, target.ca_digest):
            raise PlanError(f"this console now looks at {identity.context}, the plan is for {target.context}", "", 4)
        environment = self._settings.environment(identity.context, target.namespace)
        policy = gates.policy_gate(environment, self._settings.read_only)
        if policy:
            raise PlanError(f"refused: {policy.value} ({policy.evidence})", "", 3)
        settings = self._settings.service(target.namespace, plan.service)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                uid, read, past = await asyncio.gather(
                    self._connection.namespace_uid(target.namespace),
                    fresh.read(self._connection, target.namespace, plan.service, hints_of(settings), plan.base),
                    self._past(plan),
                )
        except TimeoutError as error:
            raise PlanError(f"{target.server} did not answer in time; nothing was changed", "try again", 5) from error
        if uid != target.namespace_uid or read.uid_of(plan.write.resource, plan.write.name) != target.uid:
            raise PlanError(f"{target.namespace}/{plan.service} was deleted and made anew meanwhile", "plan again", 4)
        capacity = None if plan.revision else _still_possible(read.service, plan, self._clock())
        if capacity and capacity.stops and not (capacity.waivable and capacity.name in consent.waived):
            why = f"capacity: {plan.to_color} has {capacity.value}, needed are {capacity.limit}"
            raise PlanError(why, "wait for its pods, or waive it with a reason if any is ready", 6)
        return past

    async def _past(self, plan: Plan) -> history.Past:
        try:
            return await history.read(self._connection, plan.target.namespace, plan.service)
        except ClusterError as error:
            return history.Past(complaints=(f"the history could not be read: {error}",))

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
            reason=consent.reason,
            from_color=plan.from_color,
            to_color=plan.to_color,
            from_release=plan.from_release,
            to_release=plan.to_release,
            from_good_since=plan.from_good_since,
            waived=consent.waived,
        )

    async def _record(self, record: Record, past: history.Past, kind: Kind, report: Report) -> history.Past:
        """Write the intent down, here and in the cluster, before anything changes (I17)."""
        loud = []
        try:
            await asyncio.to_thread(self._journal.append, record)
        except OSError as error:
            loud.append(f"the local journal {self._journal.path} could not be written: {error.strerror}")
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                past = await history.append(self._connection, record, past)
        except (ClusterError, TimeoutError) as error:
            loud.append(f"the intent could not be written in the cluster: {error or 'no answer in time'}")
        if loud and kind is Kind.SWITCH:
            raise PlanError("; ".join(loud) + "; nothing was changed", "a switch is not done without a record", 1)
        for words in loud:
            report(Step("record", f"WARNING: {words}; going on, this is a rollback"))
        if not loud:
            report(Step("record", "intent recorded"))
        return past

    # ---- the change and after

    async def _carry_out(self, plan: Plan, record: Record, past: history.Past, report: Report) -> Record:
        try:
            applied = await self._write(plan, report)
        except (ClusterError, PlanError) as error:
            await self._close(replace(record, outcome=Outcome.FAILED, message=str(error)), past, report)
            raise
        if not applied:
            message = "it is not known whether the write was applied: look before anything else"
            report(Step("write", message, Outcome.OPEN))
            return replace(record, message=message)
        settings = self._settings.service(plan.target.namespace, plan.service)
        last = ""

        def say(words: str) -> None:
            nonlocal last
            if words != last:
                last = words
                report(Step("verify", words))

        outcome, words = await verify.arrival(self._connection, plan, settings, say)
        verified_at = self._clock() if outcome is Outcome.VERIFIED else 0.0
        record = replace(record, outcome=outcome, verified_at=verified_at, message=words)
        return await self._close(record, past, report)

    async def _write(self, plan: Plan, report: Report) -> bool:
        """Send the one write. True when it was applied, False when that cannot be known."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await writes.patch(self._connection, plan.write, expect=self._connection.identity)
        except (Conflict, Invalid) as error:
            # The `test` of the patch, or admission: either way the cluster is not what the plan saw.
            raise PlanError(
                f"{plan.service} changed since it was planned: {error}", "look again and plan again", 4
            ) from error
        except (Forbidden, Unauthorized):
            raise
        except (ClusterError, TimeoutError) as error:
            report(Step("write", f"no clear answer to the write ({error or 'timeout'}); reading back"))
            return await self._read_back(plan)
        report(Step("write", f"{plan.diffs[0].path}: {plan.diffs[0].before} -> {plan.diffs[0].after}"))
        return True

    async def _read_back(self, plan: Plan) -> bool:
        """Whether the write is there: PlanError when it is seen not to be, False when nothing is seen."""
        settings = self._settings.service(plan.target.namespace, plan.service)
        for _ in range(5):
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    read = await fresh.read(
                        self._connection, plan.target.namespace, plan.service, hints_of(settings), plan.base
                    )
            except (ClusterError, TimeoutError):
                await asyncio.sleep(1.0)
                continue
            if read.has(plan.write):
                return True
            raise PlanError("the write was not applied; nothing was changed", "plan again", 5)
        return False

    async def _close(self, record: Record, past: history.Past, report: Report) -> Record:
        """Write the outcome down everywhere it can be; a place that fails is said, and changes nothing else."""
        record = replace(record, ended_at=self._clock())
        loud = []
        try:
            await asyncio.to_thread(self._journal.append, record)
        except OSError as error:
            loud.append(f"local journal: {error.strerror}")
        for what, write in (
            ("history", lambda: history.append(self._connection, record, past)),
            ("event", lambda: events.tell(self._connection, record)),
        ):
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await write()
            except (ClusterError, TimeoutError) as error:
                loud.append(f"{what}: {error or 'no answer in time'}")
        words = record.message + (f" (the outcome is not recorded everywhere: {'; '.join(loud)})" if loud else "")
        report(Step("done", words, record.outcome))
        return record


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
    if plan.dry_run != "accepted":
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
    after = {**service.selector, service.color_key: plan.to_color}
    if not well_formed(after, service):
        raise PlanError(f"the selector of {service.key} would not be its base labels and one colour", "", 1)
    return gates.destination_capacity(service, destination, plan.kind, now)
