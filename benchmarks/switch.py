"""A confirmed rollback, and switches to and fro after it, in the embedded world under load.

Budgets: at most 3 round trips from the confirmation to the API server's answer to the change (a bare patch: 1), and no
request lost.

Run: python benchmarks/switch.py
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from mlconsole.cluster.connection import Connection
from mlconsole.config import Settings, load
from mlconsole.demo.world import Options, World
from mlconsole.domain.history import Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.recording import record_of
from mlconsole.engine.audit import Journal
from mlconsole.engine.consent import Consent
from mlconsole.engine.execution.folder import Folder
from mlconsole.engine.execution.process import agreed
from mlconsole.engine.execution.runner import Runner
from mlconsole.engine.session import Session

SERVICE = "fraud-scorer"
MOVES = 8
AFTER = (Phase.WATCH, Phase.KEEP, Phase.DRAIN)
"""What comes when the traffic has arrived."""


class Wire:
    """The requests of a connection: (start, end, whether it is the change)."""

    def __init__(self, connection: Connection) -> None:
        self.requests: list[tuple[float, float, bool]] = []
        self._exchange = connection.exchange
        connection.exchange = self._noted  # type: ignore[method-assign]

    async def _noted(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        began, moves = time.perf_counter(), method == "PATCH" and "/spec/selector" in str((args, kwargs))
        try:
            return await self._exchange(method, path, *args, **kwargs)
        finally:
            self.requests.append((began, time.perf_counter(), moves))

    def rounds_until_change(self) -> tuple[int, float]:
        """(round trips one after the other up to the answer to the change, seconds); parallel ones count once."""
        requests = sorted(self.requests)
        change = next(item for item in requests if item[2])
        rounds, end = 0, float("-inf")
        for began, ended, *_ in (item for item in requests if item[0] <= change[0]):
            if began >= end:
                rounds, end = rounds + 1, ended
            else:
                end = max(end, ended) if began != change[0] else end
        return rounds, change[1] - requests[0][0]


async def move(session: Session, settings: Settings, wire: Wire, kind: Kind) -> None:
    """One operation, carried out as an executor does but in this process, where its requests are seen."""
    planned = await session.plan(kind, SERVICE)
    plan = replace(planned, route=tuple(phase for phase in planned.route if phase not in AFTER))
    operation = agreed(plan, Consent(plan.hash, reason="benchmark", waived=("quarantine",)), time.time())
    folder = Folder(Path(os.environ["XDG_STATE_HOME"]) / "operations" / plan.id)
    folder.make()
    wire.requests.clear()
    journal = Journal(folder.path.parent.parent / "audit.jsonl")
    ended = await Runner(operation, session.connection, settings, journal, folder).run()
    took = (ended.arrived_at or time.time()) - operation.started_at
    rounds, answered = wire.rounds_until_change()
    outcome = record_of(ended).outcome
    print(f"{kind:34} {rounds:8} {answered * 1000:8.0f} ms {took * 1000:8.0f} ms   {outcome}   budget 3")


async def main() -> None:
    """Print the table."""
    world = World()
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        try:
            await world.start(Options(registry=False))
            options = {"kubeconfig": str(world.folder / "kubeconfig"), "namespace": "ml"}
            settings = load(options, {}).settings
            async with Session.open(settings) as session:
                print(f"{'from the confirmation':34} {'rounds':>8} {'to answer':>11} {'to verified':>11}")
                wire = Wire(session.connection)
                await move(session, settings, wire, Kind.ROLLBACK)
                for _ in range(MOVES):
                    await move(session, settings, wire, Kind.SWITCH)
            assert world.load
            counts = world.load.counts[f"ml/{SERVICE}"]
            lost = counts.failed + counts.refused
            print(f"requests meanwhile: {counts.answered} answered, {lost} lost   budget 0")
        finally:
            await world.stop()


if __name__ == "__main__":
    asyncio.run(main())
