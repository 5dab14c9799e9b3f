"""The operations of one console: plans that wait for a word, and those that are being carried out.

A plan is kept here until it is confirmed by its hash or discarded; the UI never sends a plan back, only its hash.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from mlconsole.cluster.errors import ClusterError, Forbidden, NotFound, Unauthorized, Unreachable
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import Plan, PlanError
from mlconsole.engine import protocol
from mlconsole.engine.gateway import Consent, Gateway, Step
from mlconsole.engine.scope import Scope

OUTDATED = 4
"""The exit code of what another consent cannot mend: only another plan can."""
Publish = Callable[[protocol.Publication], Awaitable[None]]


class Operations:
    """Answers the UI's `MakePlan`, `Confirm` and `Discard` for the scope that it looks at."""

    def __init__(self, scope: Callable[[], Scope | None], publish: Publish) -> None:
        self._scope = scope
        self._publish = publish
        self._plans: dict[int, tuple[Plan, Scope]] = {}
        self._making: set[int] = set()
        """Requests whose plan is being made, and still wanted."""
        self._running: set[int] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def make(self, intent: protocol.MakePlan) -> None:
        """Plan, and show the plan or why there is none; neither if it was discarded meanwhile."""
        self._making.add(intent.request)
        try:
            await self._make(intent)
        finally:
            self._making.discard(intent.request)

    async def _make(self, intent: protocol.MakePlan) -> None:
        scope = self._scope()
        if scope is None or scope.planner is None:
            words = "there is no connection to the cluster"
            await self._refuse(intent.request, intent.service, PlanError(words, "c changes the context", 5))
            return
        namespace, _, name = intent.service.partition("/")
        try:
            plan = await scope.planner.plan(Kind(intent.kind), namespace, name, intent.to_color, intent.revision)
        except (PlanError, ClusterError, TimeoutError) as error:
            if intent.request in self._making:
                await self._refuse(intent.request, intent.service, error)
            return
        if intent.request in self._making:
            self._plans[intent.request] = (plan, scope)
            await self._publish(protocol.Planned(intent.request, plan, plan.hash))

    def discard(self, intent: protocol.Discard) -> None:
        """Forget a plan, also one that is still being made."""
        self._making.discard(intent.request)
        self._plans.pop(intent.request, None)

    async def confirm(self, intent: protocol.Confirm) -> None:
        """Carry out the plan that was shown, in the scope that it was made for (I8)."""
        if intent.request in self._running:
            return
        plan, scope = self._plans.get(intent.request, (None, None))
        if plan is None or scope is None or scope.gateway is None:
            self._plans.pop(intent.request, None)
            await self._refuse(intent.request, "", PlanError("that plan is no longer here", "plan again", 4))
            return
        self._running.add(intent.request)
        self._idle.clear()
        try:
            await self._execute(intent, plan, scope.gateway)
        finally:
            self._running.discard(intent.request)
            if not self._running:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no operation is under way."""
        await self._idle.wait()

    async def _execute(self, intent: protocol.Confirm, plan: Plan, gateway: Gateway) -> None:
        service = f"{plan.target.namespace}/{plan.service}"
        steps: asyncio.Queue[Step | None] = asyncio.Queue()
        teller = asyncio.create_task(self._tell(intent.request, service, steps))

        def report(step: Step) -> None:
            if step.step != "check":
                # Its intent is on record: what comes next is another plan (I6).
                self._plans.pop(intent.request, None)
            steps.put_nowait(step)

        failed: Exception | None = None
        try:
            consent = Consent(intent.hash, intent.reason, intent.typed, intent.waived)
            await gateway.execute(plan, consent, report)
        except (PlanError, ClusterError, TimeoutError) as error:
            failed = error
        finally:
            steps.put_nowait(None)
            await teller
        if failed is not None:
            if describe(failed)[2] == OUTDATED:
                self._plans.pop(intent.request, None)
            await self._refuse(intent.request, service, failed)

    async def _tell(self, request: int, service: str, steps: asyncio.Queue[Step | None]) -> None:
        """Publish every step. A UI that is gone stops nothing that it began."""
        while (step := await steps.get()) is not None:
            with contextlib.suppress(ConnectionError):
                words = protocol.Progress(request, service, step.step, step.words, time.time(), step.outcome)
                await self._publish(words)

    async def _refuse(self, request: int, service: str, error: Exception) -> None:
        message, hint, code = describe(error)
        await self._publish(protocol.Refused(request, service, message, hint, code))


def describe(error: Exception) -> tuple[str, str, int]:
    """(message, hint, exit code) of a refusal or a failure, the codes being those of the shell twins."""
    if isinstance(error, PlanError):
        return error.message, error.hint, error.exit_code
    hint = getattr(error, "hint", "")
    message = getattr(error, "message", "") or str(error) or "no answer in time"
    for kinds, code in (((Forbidden, Unauthorized), 3), ((NotFound,), 2), ((Unreachable, TimeoutError), 5)):
        if isinstance(error, kinds):
            return message, hint, code
    return message, hint, 1
