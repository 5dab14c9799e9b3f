"""The operations of one console: plans that wait for a word, and the executors that carry them out.

A plan is kept here until it is confirmed by its hash or discarded; the UI never sends a plan back, only its hash. Its
executor is started with it, so that it is warm when the word comes, and goes on without this console.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Settings
from mlconsole.domain.history import Kind
from mlconsole.domain.operation import Verb
from mlconsole.domain.plans import Plan, PlanError
from mlconsole.engine import protocol, underway
from mlconsole.engine.answering import describe
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution.folder import Entry, Folder
from mlconsole.engine.execution.process import Executor, begin_with, follow
from mlconsole.engine.planner import Wish
from mlconsole.engine.scope import Scope

CHANGE = "change the context"
"""What to do where there is no connection; each face of the console knows how."""
OUTDATED = 4
"""The exit code of what another consent cannot mend: only another plan can."""
Publish = Callable[[protocol.Publication], Awaitable[None]]


class Operations:
    """Answers the UI's `MakePlan`, `Confirm` and `Discard` for the scope that it looks at."""

    def __init__(self, settings: Settings, scope: Callable[[], Scope | None], publish: Publish) -> None:
        self._settings = settings
        self._scope = scope
        self._publish = publish
        self._plans: dict[int, tuple[Plan, Scope]] = {}
        self._executors: dict[int, Executor] = {}
        """Those that wait for a word."""
        self._starting: set[int] = set()
        """Requests whose executor is being started, and still wanted."""
        self._confirmed: set[int] = set()
        """Those whose executor is at work and followed."""

    def planning(self, scope: Scope) -> Plan | None:
        """The plan that is shown last of those that wait for a word, in a scope."""
        return next((plan for plan, where in reversed(self._plans.values()) if where is scope), None)

    def close(self) -> None:
        """Dismiss the executors that still wait."""
        for request in list(self._executors):
            self._forget(request)

    async def make(self, intent: protocol.MakePlan) -> None:
        """Plan, and show the plan or why there is none; neither if it was discarded meanwhile."""
        scope = self._scope()
        if scope is None or scope.planner is None:
            words = "there is no connection to the cluster"
            await self._refuse(intent.request, intent.service, PlanError(words, CHANGE, 5))
            return
        if not await self._start(intent.request, scope):
            return
        namespace, _, name = intent.service.partition("/")
        try:
            wish = Wish(intent.version, intent.image, intent.replicas, intent.go_on)
            plan = await scope.planner.plan(Kind(intent.kind), namespace, name, intent.to_color, intent.revision, wish)
        except (PlanError, ClusterError, TimeoutError) as error:
            if intent.request in self._executors:
                self._forget(intent.request)
                await self._refuse(intent.request, intent.service, error)
            return
        if intent.request in self._executors:
            self._plans[intent.request] = (plan, scope)
            await self._publish(protocol.Planned(intent.request, plan, plan.hash))

    async def _start(self, request: int, scope: Scope) -> bool:
        """Start an executor for a plan; whether the plan is still wanted by then."""
        self._starting.add(request)
        executor = await asyncio.to_thread(Executor, self._at(scope))
        if request not in self._starting:
            executor.dismiss()
            return False
        self._starting.discard(request)
        self._executors[request] = executor
        return True

    def _at(self, scope: Scope) -> Settings:
        """The settings for an executor: it goes where the scope looks, whatever the console looks at later."""
        return scope.settled(self._settings)

    def discard(self, intent: protocol.Discard) -> None:
        """Forget a plan, also one that is still being made."""
        self._forget(intent.request)

    def _forget(self, request: int) -> None:
        self._starting.discard(request)
        self._plans.pop(request, None)
        executor = self._executors.pop(request, None)
        if executor is not None:
            executor.dismiss()

    async def confirm(self, intent: protocol.Confirm) -> None:
        """Have the plan that was shown carried out, in the scope that it was made for (I8)."""
        if intent.request in self._confirmed:
            return
        plan, scope = self._plans.get(intent.request, (None, None))
        executor = self._executors.get(intent.request)
        if plan is None or executor is None or scope is not self._scope():
            self._forget(intent.request)
            await self._refuse(intent.request, "", PlanError("that plan is no longer here", "plan again", 4))
            return
        service = f"{plan.target.namespace}/{plan.service}"
        consent = Consent(intent.hash, intent.reason, intent.typed, intent.waived)
        try:
            folder = begin_with(plan, consent, executor, time.time())
        except (PlanError, OSError) as error:
            if isinstance(error, OSError) or error.exit_code == OUTDATED:
                self._forget(intent.request)
            await self._refuse(intent.request, service, error)
            return
        # Handed on: what comes next is another plan (I6).
        del self._plans[intent.request], self._executors[intent.request]
        self._confirmed.add(intent.request)
        try:
            await self.attach(intent.request, service, folder, executor)
        finally:
            self._confirmed.discard(intent.request)

    async def ask(self, intent: protocol.Ask) -> None:
        """Leave a request for an executor at work; have another one take up what was interrupted."""
        scope = self._scope()
        connection = scope.connection if scope else None
        if scope is None or connection is None:
            words = "there is no connection to the cluster"
            await self._refuse(intent.request, intent.service, PlanError(words, CHANGE, 5))
            return
        try:
            under = await self._under_way(connection, intent.service)
            underway.assert_allowed(connection, self._settings, under)
            # As the server sees them: under the kubeconfig's name a person would be a second one to themselves.
            async with asyncio.timeout(underway.SECONDS):
                by = await connection.whoami()
            await underway.assert_may_go_on(connection, self._settings, under, intent.verb)
            if under.alive:
                await underway.ask(connection, under, Verb(intent.verb), by, intent.reason)
                words = f"asked {under.holder or under.operation.by} to {Verb(intent.verb).said}"
                await self._publish(protocol.Progress(intent.request, intent.service, "ask", words, time.time()))
                folder, executor = underway.folder_of(under.operation.id), None
            else:
                where = await underway.reached(connection, under.operation)
                executor = await asyncio.to_thread(Executor, self._at(scope))
                try:
                    folder = underway.take_up(under, intent.verb, by, intent.reason, executor, where)
                except PlanError:
                    executor.dismiss()
                    raise
        except (PlanError, ClusterError, TimeoutError, OSError) as error:
            await self._refuse(intent.request, intent.service, error)
            return
        if folder.path.is_dir():
            await self.attach(intent.request, intent.service, folder, executor)

    async def follow(self, intent: protocol.Attach) -> None:
        """Tell what the executor of an operation says, from its beginning; from elsewhere, what the cluster has."""
        scope = self._scope()
        connection = scope.connection if scope else None
        if connection is None:
            return
        try:
            under = await self._under_way(connection, intent.service)
        except (PlanError, ClusterError, TimeoutError) as error:
            await self._refuse(intent.request, intent.service, error)
            return
        folder = underway.folder_of(under.operation.id)
        if under.here and folder.path.is_dir():
            await self.attach(intent.request, intent.service, folder)

    async def _under_way(self, connection: Connection, service: str) -> underway.UnderWay:
        namespace, _, name = service.partition("/")
        found = await underway.read(connection, self._settings, namespace, name)
        if found is None:
            raise PlanError(f"nothing is under way on {service}", "", 4)
        return found

    async def attach(self, request: int, service: str, folder: Folder, executor: Executor | None = None) -> None:
        """Tell what an executor says, as long as it says something. A UI that is gone stops nothing."""
        told, last = False, None
        with contextlib.suppress(ConnectionError):
            async for entry in follow(folder, executor):
                last = entry
                if entry.ended and entry.exit_code and not told:
                    refused = protocol.Refused(request, service, entry.words, entry.hint, entry.exit_code)
                    await self._publish(refused)
                else:
                    told = told or entry.outcome is not None
                    await self._publish(_progress(request, service, entry))
            if last is None or not last.ended:
                words = "its executor is gone; `mlconsole operations` shows how it stands"
                await self._publish(protocol.Refused(request, service, words))

    async def _refuse(self, request: int, service: str, error: Exception) -> None:
        message, hint, code = describe(error)
        await self._publish(protocol.Refused(request, service, message, hint, code))


def _progress(request: int, service: str, entry: Entry) -> protocol.Progress:
    return protocol.Progress(request, service, entry.step, entry.words, entry.at, entry.outcome, entry.ended)
