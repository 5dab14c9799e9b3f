"""What the phases of an operation work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mlconsole.cluster.connection import Connection
from mlconsole.config import Environment, ServiceSettings, Settings
from mlconsole.domain.operation import Event, Operation
from mlconsole.engine.execution.lock import Lock
from mlconsole.engine.gateway import Gateway, Seen
from mlconsole.engine.ledger import Ledger, Report
from mlconsole.engine.offload import Offload

Keep = Callable[[Operation], Awaitable[Operation]]


class Context:
    """One operation's means. `seen` is what was read last of what it rests on."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        gateway: Gateway,
        ledger: Ledger,
        lock: Lock,
        report: Report,
        clock: Callable[[], float],
        mine: Callable[[str], bool],
        keep: Keep,
        note: Callable[[Operation], Operation],
    ) -> None:
        self.connection = connection
        self.settings = settings
        self.gateway = gateway
        self.ledger = ledger
        self.lock = lock
        self.report = report
        self.clock = clock
        self.mine = mine
        """Whether an operation's executor ran on this machine and is surely dead."""
        self.keep = keep
        """Keep the operation, here and in the cluster, before a write is sent; it raises where that cannot be."""
        self.note = note
        """Keep it here: what is told to the cluster next tells it."""
        self.offload = Offload()
        self.seen: Seen | None = None

    def service_settings(self, op: Operation) -> ServiceSettings:
        """The settings of the operation's service."""
        return self.settings.service(op.plan.target.namespace, op.plan.service)

    def environment(self, op: Operation) -> Environment:
        """The rules of the operation's place, by what it is called here."""
        return self.settings.environment(op.target.context, op.target.namespace)

    async def close(self) -> None:
        """End the workers."""
        await self.offload.close()


Performer = Callable[[Context, Operation], Awaitable[Event]]
"""Does what a phase is for, and says what came of it. Raises PlanError and ClusterError where it certainly failed."""
