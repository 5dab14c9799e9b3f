"""The lock of a service for the length of an operation: taken, kept, watched for requests, and given up (I7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from mlconsole.cluster import leases
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Conflict
from mlconsole.domain.operation import Operation, Request
from mlconsole.domain.plans import Plan, PlanError
from mlconsole.domain.text import visible
from mlconsole.engine.patience import patiently

DURATION = 15.0
"""Seconds without a sign of life after which a lock may be taken by somebody else."""
RENEW = 4.0
MARGIN = 3.0
"""Seconds that have to be left of a lock for a write to be sent under it."""
SECONDS = 10.0
HURRY = 2.0
"""A rollback does not wait longer for its lock."""
PLAN = "mlconsole.io/plan"
PHASE = "mlconsole.io/phase"


def awake() -> float:
    """Seconds, those included in which the machine slept: a lock runs out in them too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lock:
    """One service's lock. `run` keeps it; `lost` says when it is not ours any more."""

    def __init__(
        self, connection: Connection, operation: Operation, holder: str, asked: Callable[[Request], None]
    ) -> None:
        self._connection = connection
        self._at = operation.plan.target.namespace, operation.plan.service
        self._before = operation.tokens
        self._holder = holder
        self._reason = operation.reason
        self._asked = asked
        self._heard: set[tuple[str, float]] = set()
        self._held: leases.Held | None = None
        self._sure_until = float("-inf")
        self._phase = ""
        self.token = 0
        self.taken_from = ""
        """Who held it when it was taken by force; empty where nobody did."""
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why the lock is not ours any more."""

    # ---- a write's view of it

    def knows(self, token: str, plan: Plan) -> bool:
        """Whether a token is that which the plan saw, or one of this operation's own."""
        return token == plan.fence or token in {str(item) for item in (*self._before, self.token)}

    def assert_held(self, plan: Plan) -> None:
        """Raise PlanError unless it is surely ours: for as long as a write takes. A rollback goes without (I12)."""
        if self.lost.done():
            raise PlanError(f"the lock of {'/'.join(self._at)} is lost: {self.lost.result()}", "look again", 4)
        if not self.token and not plan.backward:
            raise PlanError(f"the lock of {'/'.join(self._at)} is not held", "plan again", 4)

    async def assure(self) -> None:
        """Renew it where it could run out under the next write. Raises PlanError when it is somebody else's by now."""
        if self._held is not None and self._sure_until - awake() < MARGIN:
            await self._renew()

    # ---- life

    async def take(self, plan: Plan, *, force: bool, mine: Callable[[leases.Held], bool]) -> int:
        """Take it; the token. `force` takes it from the holder that the plan saw; `mine` knows a dead executor.

        Raises PlanError when somebody else has it, ClusterError, TimeoutError.
        """
        seen = leases.held_of(plan.lease) if plan.lease is not None else None
        free = seen is None or seen.free
        for _ in range(3):
            if not free:
                seen = await patiently(lambda: leases.read(self._connection, *self._at), SECONDS, unanswered=True)
            holder = "" if free or seen is None else _holder(seen, mine)
            if holder and not (force and visible(seen.holder if seen else "", 120) == plan.holder):
                raise PlanError(
                    f"{'/'.join(self._at)} is held by {holder}",
                    "`mlconsole operations` shows what is under way; a rollback takes it over",
                    4,
                )
            try:
                return await self._take(plan, seen, holder)
            except Conflict:
                free = False  # somebody was faster: what they have is looked at
        raise PlanError(f"somebody else took the lock of {'/'.join(self._at)}", "look again and plan again", 4)

    async def _take(self, plan: Plan, seen: leases.Held | None, holder: str) -> int:
        annotations = {PLAN: f"{plan.kind} to {plan.to_color} {plan.to_release.label}".strip()}
        if holder:
            annotations[leases.TAKEN] = ": ".join(filter(None, (f"taken by force for a {plan.kind}", self._reason)))
        least = int(plan.fence) if plan.fence.isdigit() else 0
        began = awake()
        self._held = await patiently(
            lambda: leases.acquire(self._connection, *self._at, self._holder, DURATION, annotations, seen, least=least),
            SECONDS,
            unanswered=True,
        )
        self._sure_until = began + DURATION
        self.token, self.taken_from = self._held.token, holder
        for raw in leases.requests(self._held):
            self._hear(raw, old=True)  # it was for an executor before this one
        return self.token

    def say(self, phase: str) -> None:
        """What others see of the operation's progress, with the next renewal."""
        self._phase = phase

    async def run(self) -> None:
        """Keep it until cancelled or lost. An API server that does not answer is asked again: it may be ours yet."""
        while not self.lost.done():
            await asyncio.sleep(RENEW)
            if self._held is None:
                continue
            try:
                await self._renew()
            except (PlanError, ClusterError, TimeoutError):
                continue

    async def _renew(self) -> None:
        assert self._held is not None
        began = awake()
        try:
            async with asyncio.timeout(SECONDS):
                self._held = await leases.renew(self._connection, *self._at, self._held, {PHASE: self._phase})
        except leases.Lost as error:
            if not self.lost.done():
                self.lost.set_result(visible(error.why, 400))
            raise PlanError(error.what, error.why, 4) from error
        self._sure_until = began + DURATION
        for raw in leases.requests(self._held):
            self._hear(raw)

    def _hear(self, raw: dict[str, object], *, old: bool = False) -> None:
        try:
            request = msgspec.convert(raw, Request)
        except msgspec.ValidationError:
            return
        if (request.by, request.at) not in self._heard:
            self._heard.add((request.by, request.at))
            if not old:
                self._asked(request)

    async def release(self) -> None:
        """Give it up. Raises ClusterError, TimeoutError."""
        if self._held is not None and not self.lost.done():
            held, self._held = self._held, None
            async with asyncio.timeout(SECONDS):
                await leases.release(self._connection, *self._at, held)


def _holder(seen: leases.Held, mine: Callable[[leases.Held], bool]) -> str:
    """Who holds a lock and may be alive; empty for one that may be taken."""
    gone = mine(seen) or leases.Expiry().expired(seen)
    return "" if gone else visible(seen.holder, 120)
