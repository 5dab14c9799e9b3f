"""The one door for every change to the cluster (I9).

What is asked here, before anything is sent: is this still the place that the plan is for, may it be done there (policy,
lock), is the cluster still what the plan saw (identity, uids, selector, capacity: read now). Then the write is sent,
with its precondition and the fencing token. An answer that is lost is read back before anything else.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

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
)
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Record, is_bad, is_bad_revision
from mlconsole.domain.phases import UNMADE, Phase
from mlconsole.domain.plans import FRESH_SECONDS, Gate, Plan, PlanError, Target, Write, changes, well_formed
from mlconsole.domain.recording import BACK
from mlconsole.domain.services import ModelService
from mlconsole.domain.text import visible
from mlconsole.engine import gates
from mlconsole.engine.fence import Fence, claim, fenced
from mlconsole.engine.hints import hints_of
from mlconsole.engine.ledger import Report, Step
from mlconsole.engine.patience import patiently
from mlconsole.engine.planner import Clock, past_of, patience_for
from mlconsole.engine.policy import still_allowed
from mlconsole.gathering import gather

WRITE_SECONDS = 10.0
TRIES = 4
LONGEST_WAIT = 10.0
"""Of what a server asks for before the write is sent again."""


class Seen(Struct, frozen=True):
    """What was read just before a write."""

    fresh: fresh.Fresh
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


class Landed(enum.Enum):
    """What is known of a write in the end."""

    APPLIED = enum.auto()
    ALREADY = enum.auto()
    """What it would put in place is in place: nothing was sent (I19)."""
    UNKNOWN = enum.auto()
    """It may have been applied, and nobody can say."""


LookAgain = Callable[[Seen], Awaitable[Seen]]
"""What a write rests on, read again where it is too old; it raises where the write must not be sent any more."""


class Gateway:
    """Sends the writes of plans on one connection. `fence` says, and asserts, what lock they are sent under.

    `carrier` is who carries a plan out where that is somebody else than who made it, and `reached` what they call
    its place: it was taken up again.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        fence: Fence,
        clock: Clock = time.time,
        carrier: str = "",
        reached: Target | None = None,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._fence = fence
        self._clock = clock
        self._carrier = carrier
        self._reached = reached

    # ---- before

    async def examine(self, plan: Plan, waived: tuple[str, ...] = ()) -> Seen:
        """Compare the cluster, read now, with what the plan saw (I1, I6, I8). Raises PlanError, ClusterError."""
        target = plan.target
        self.assert_allowed(plan)
        began = self._clock()
        try:
            read, past, _, _ = await gather(
                self.read(plan),
                past_of(self._connection, plan.kind, target.namespace, plan.service),
                self.assert_namespace(plan),
                self._check_user(plan),
            )
        except TimeoutError as error:
            raise PlanError(f"{target.server} did not answer in time; nothing was changed", "try again", 5) from error
        except NotFound as error:
            raise PlanError(f"{target.namespace}/{plan.service} is gone: {error.why}", "look again", 4) from error
        self._compare(plan, read, past, waived)
        return Seen(read, past, began)

    def assert_allowed(self, plan: Plan, *, undo: bool = False) -> None:
        """The place is the plan's, and its rules let it be: a freeze holds up no undoing. Raises PlanError."""
        target, identity = plan.target, self._connection.identity
        if identity != self._expected(plan):
            raise PlanError(f"this console now looks at {identity.context}, the plan is for {target.context}", "", 4)
        environment = self._settings.environment(identity.context, target.namespace)
        kind = Kind.ROLLBACK if undo else plan.kind
        refusal = still_allowed(self._settings, environment, kind, self._clock())
        if refusal:
            raise PlanError(f"refused: {refusal.value} ({refusal.evidence})", "", 3)

    def _compare(self, plan: Plan, read: fresh.Fresh, past: history.Past, waived: tuple[str, ...]) -> None:
        main = plan.write
        if main.body is None and read.uid_of(main.resource, main.name) != plan.target.uid:
            words = f"{plan.target.namespace}/{plan.service} was deleted and made anew meanwhile"
            raise PlanError(words, "plan again", 4)
        if plan.moves_traffic:
            _check_records(plan, waived, past.records)
            _same_source(read.service, plan)
            if not plan.revision and not plan.writes_of(Phase.BRING_UP):
                capacity = _still_possible(read.service, plan, self._clock())
                if read.meets(main):
                    _stop_at(capacity, plan, waived)
            if not read.meets(main):
                raise PlanError(f"{main.name} is not what the plan saw any more", "look again and plan again", 4)

    def _expected(self, plan: Plan) -> Identity:
        """What the connection must be for this plan. Its user's name in the kubeconfig is fixed; see `_check_user`."""
        target = self._reached or plan.target
        return Identity(target.context, target.server, target.ca_digest, self._connection.identity.user)

    async def read(self, plan: Plan) -> fresh.Fresh:
        """The plan's service now; asked again where the connection broke. Raises ClusterError, TimeoutError."""
        target, hints = plan.target, hints_of(self._settings.service(plan.target.namespace, plan.service))

        def ask() -> Awaitable[fresh.Fresh]:
            return fresh.read(self._connection, target.namespace, plan.service, hints, plan.base or None)

        return await patiently(ask, WRITE_SECONDS, unanswered=True)

    async def assert_namespace(self, plan: Plan) -> None:
        """The namespace is the one planned for; where it cannot be read, the object's own uid says so.

        Raises PlanError; and for what goes forward ClusterError, TimeoutError.
        """
        if not plan.target.namespace_uid:
            return
        try:
            uid = await self._heard(plan, lambda: self._connection.namespace_uid(plan.target.namespace))
        except (ClusterError, TimeoutError):
            if not plan.backward:
                raise
            return
        if uid != plan.target.namespace_uid:
            raise PlanError(f"namespace {plan.target.namespace} was deleted and made anew meanwhile", "plan again", 4)

    async def _check_user(self, plan: Plan) -> None:
        """The credentials are still of the user who was shown: a kubeconfig may have been changed meanwhile."""
        try:
            user = visible(await self._heard(plan, self._connection.whoami))
        except (ClusterError, TimeoutError):
            if not plan.backward:
                raise
            return
        unsaid, known = self._connection.identity.user, self._carrier or plan.target.user
        if user != known and unsaid not in (user, known):
            done = "taken up" if self._carrier else "made"
            raise PlanError(f"you are {user} to the server now, the plan was {done} by {known}", "", 4)

    async def _heard(self, plan: Plan, ask: Callable[[], Awaitable[str]]) -> str:
        """An answer that what goes forward needs, and waits for."""
        return await patiently(ask, patience_for(plan.kind), unanswered=not plan.backward)

    # ---- the traffic

    async def move(self, plan: Plan, waived: tuple[str, ...], seen: Seen, report: Report) -> Landed:
        """Send the write that moves the traffic; what it rests on is at most `FRESH_SECONDS` old (I1).

        Raises PlanError and ClusterError when it was not applied.
        """

        async def look_again(seen: Seen) -> Seen:
            if self._clock() - seen.at <= FRESH_SECONDS:
                return seen
            report(Step("check", "reading the cluster again before the write"))
            again = await self.examine(plan, waived)
            if plan.writes_of(Phase.BRING_UP) and not plan.revision:
                _stop_at(_still_possible(again.fresh.service, plan, self._clock()), plan, waived)
            return again

        if plan.writes_of(Phase.BRING_UP):
            # What it rests on was made since it was looked at.
            seen = Seen(seen.fresh, seen.past, float("-inf"))
        return await self._send(plan, plan.write, seen, look_again, report)

    # ---- everything else

    async def make(self, plan: Plan, write: Write, report: Report, *, undo: bool = False) -> Landed:
        """Send a write that moves no traffic, unless what it would put in place is there already (I19).

        Raises PlanError and ClusterError when it was not applied.
        """

        async def look_again(seen: Seen) -> Seen:
            read = await self.read(plan)
            if not read.meets(write):
                raise PlanError(f"{write.label} is not what the plan saw any more", "look again and plan again", 4)
            _not_under_traffic(read.service, plan, write)
            return Seen(read, seen.past, self._clock())

        self.assert_allowed(plan, undo=undo)
        read = await self.read(plan)
        if read.has(write):
            return Landed.ALREADY
        _not_under_traffic(read.service, plan, write)
        return await self._send(plan, write, Seen(read, history.Past(), float("-inf")), look_again, report)

    async def withdraw(self, plan: Plan, write: Write, report: Report) -> None:
        """Take a pod of a copy out of the Service, which has no colour (I4).

        Whoever asks looks again: an answer that is lost is none. Raises PlanError, ClusterError and TimeoutError.
        """
        self.assert_allowed(plan, undo=True)
        live = (await self.read(plan)).service.live
        if live == plan.to_color:
            raise PlanError(f"{live} has the traffic now: {write.label} stays", "look again and plan again", 4)
        self._fence.assert_held(plan)
        async with asyncio.timeout(WRITE_SECONDS):
            await writes.send(self._connection, write, expect=self._expected(plan))
        report(Step("write", f"{write.label} is out of Service {plan.service}"))

    async def claim(self, plan: Plan, seen: Seen, report: Report) -> None:
        """Put the fencing token on the Service before anything else is written (I7). Raises as `make` does."""
        if not self._fence.token:
            return  # a rollback that could not get the lock: there is no token to put there
        if await self.make(plan, claim(plan, seen.fresh, self._fence), report) is Landed.UNKNOWN:
            raise PlanError(f"it is not known whether {plan.service} could be claimed", "look again and plan again", 5)

    async def made(self, plan: Plan, write: Write) -> str:
        """The uid of the object that a plan's `write` made, as its annotation says; empty where there is none."""
        if write.body is None:
            return ""
        read = await self.read(plan)
        return read.uid_of(write.resource, write.name) if read.has(write) else ""

    async def rehearse(self, plan: Plan) -> float:
        """Send the write that would move the traffic with dryRun=All; the seconds that the server took.

        Raises ClusterError where it would refuse, TimeoutError.
        """
        self.assert_allowed(plan)
        began = time.monotonic()
        async with asyncio.timeout(WRITE_SECONDS):
            await writes.send(self._connection, plan.write, expect=self._expected(plan), dry_run=True)
        return time.monotonic() - began

    # ---- sending

    async def _send(self, plan: Plan, write: Write, seen: Seen, look_again: LookAgain, report: Report) -> Landed:
        """Send one write, again where the server asks for time and where it is seen not to have been applied.

        What it tests lets it count once.
        """
        lost = False
        for _ in range(TRIES):
            try:
                seen = await look_again(seen)
                answer = await self._once(plan, write, seen, report)
            except (PlanError, ClusterError, TimeoutError) as error:
                landed = await self._applied(plan, write) if lost else False
                if landed:
                    return _written(plan, write, report)
                if landed is None:
                    return Landed.UNKNOWN  # the first write may still land
                if isinstance(error, Invalid):
                    sent, seen = seen, await look_again(Seen(seen.fresh, seen.past, float("-inf")))
                    if self._fenced(plan, write, sent) != self._fenced(plan, write, seen):
                        continue  # somebody annotated the Service meanwhile, which is nobody's business
                    raise PlanError(f"the API server refused the write: {error.message}", error.hint) from error
                raise
            applied = answer is Sent.APPLIED
            if answer in (Sent.LOST, Sent.BROKEN):
                found = await self._applied(plan, write)
                if found is None:
                    return Landed.UNKNOWN
                applied, lost = found, lost or answer is Sent.LOST
            if applied:
                return _written(plan, write, report)
            if answer is Sent.CONTESTED:
                # What was seen is read again, never assumed.
                seen = Seen(seen.fresh, seen.past, float("-inf"))
        if lost:
            return Landed.UNKNOWN
        words = f"the API server did not take the write in {TRIES} tries; nothing was changed"
        raise PlanError(words, "try again", 5)

    def _fenced(self, plan: Plan, write: Write, seen: Seen) -> Write:
        return fenced(write, seen.fresh, plan, self._fence)

    async def _once(self, plan: Plan, write: Write, seen: Seen, report: Report) -> Sent:
        self._fence.assert_held(plan)
        write = self._fenced(plan, write, seen)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await writes.send(self._connection, write, expect=self._expected(plan))
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

    async def _applied(self, plan: Plan, write: Write) -> bool | None:
        """Whether the write is there; None when nobody can say."""
        try:
            return (await self.read(plan)).has(write)
        except (ClusterError, TimeoutError):
            return None


def _written(plan: Plan, write: Write, report: Report) -> Landed:
    words = f"{write.verb} {write.label}"
    if write.resource == "services" and write not in plan.writes:
        words = (
            f"Service {write.name} says what is under way" if len(write.patch) > 1 else f"Service {write.name} is free"
        )
    told = changes(plan, write)
    report(Step("write", (told if write == plan.write else f"{words}: {told}") if told else words))
    return Landed.APPLIED


def _check_records(plan: Plan, waived: tuple[str, ...], records: tuple[Record, ...]) -> None:
    """Nobody rolled back from the destination since it was planned (I14); where traffic came from it may go back to."""
    if plan.id.endswith(BACK):
        return
    bad = is_bad_revision(plan.revision, records) if plan.revision else is_bad(plan.to_release, records)
    if bad and not (not plan.backward or plan.revision):
        raise PlanError(f"{plan.to_release.label} was rolled back from meanwhile", "plan again", 4)
    if bad and "quarantine" not in waived:
        raise PlanError(f"{plan.to_release.label} was rolled back from meanwhile", "plan again", 6)


def _stop_at(capacity: Gate, plan: Plan, waived: tuple[str, ...]) -> None:
    """Raises PlanError where the destination has too few pods, and nobody answered for that (I1)."""
    if capacity.stops and not (capacity.waivable and capacity.name in waived):
        why = f"capacity: {plan.to_color} has {capacity.value}, needed are {capacity.limit}"
        raise PlanError(why, "wait for its pods, or waive it with a reason if any is ready", 6)


def _same_source(service: ModelService, plan: Plan) -> None:
    """Raises PlanError where the traffic is not where the plan saw it (I6)."""
    if not plan.revision and service.live != plan.from_color:
        words = f"{service.key} is on {service.live or 'no colour'} now, the plan saw {plan.from_color or 'none'}"
        raise PlanError(words, "plan again", 4)


def _not_under_traffic(service: ModelService, plan: Plan, write: Write) -> None:
    """Raises PlanError where a write on the destination, which had no traffic, would meet it now (I4)."""
    target = service.color(plan.to_color)
    if target is None or plan.kind in UNMADE or plan.from_color in (plan.to_color, ""):
        return
    if write.resource == "deployments" and write.name == target.deployment and service.live in (plan.to_color, ""):
        words = f"{write.label} has the traffic now, the plan saw it without: it is left as it is"
        raise PlanError(words, "look again and plan again", 4)


def _still_possible(service: ModelService, plan: Plan, now: float) -> Gate:
    """The capacity of the destination now; PlanError when the service is no longer what the plan saw (I2, I6)."""
    destination = service.color(plan.to_color)
    if destination is None:
        raise PlanError(f"{service.key} has no colour {plan.to_color} any more", "look again and plan again", 4)
    if not destination.release.same_as(plan.to_release):
        raise PlanError(
            f"{plan.to_color} runs {destination.release.label} now, the plan saw {plan.to_release.label}",
            "plan again",
            4,
        )
    if not well_formed({**plan.base, service.color_key: plan.to_color}, service):
        raise PlanError(f"the selector of {service.key} is not what the plan saw any more", "plan again", 4)
    return gates.destination_capacity(service, destination, plan.kind, now)
