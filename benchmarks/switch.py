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
from typing import Any

from mlconsole.cluster.connection import Connection
from mlconsole.config import load
from mlconsole.demo.world import Options, World
from mlconsole.domain.history import Kind
from mlconsole.engine.gateway import Consent
from mlconsole.engine.session import Session

SERVICE = "fraud-scorer"
MOVES = 8


class Wire:
    """The requests of a connection: (start, end, method, path)."""

    def __init__(self, connection: Connection) -> None:
        self.requests: list[tuple[float, float, str, str]] = []
        self._exchange = connection.exchange
        connection.exchange = self._noted  # type: ignore[method-assign]

    async def _noted(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return await self._exchange(method, path, *args, **kwargs)
        finally:
            self.requests.append((began, time.perf_counter(), method, path))

    def rounds_until_change(self) -> tuple[int, float]:
        """(round trips one after the other up to the answer to the change, seconds); parallel ones count once."""
        requests = sorted(self.requests)
        change = next(item for item in requests if item[2] == "PATCH" and item[3].endswith(f"/services/{SERVICE}"))
        rounds, end = 0, float("-inf")
        for began, ended, *_ in (item for item in requests if item[0] <= change[0]):
            if began >= end:
                rounds, end = rounds + 1, ended
            else:
                end = max(end, ended) if began != change[0] else end
        return rounds, change[1] - requests[0][0]


async def move(session: Session, wire: Wire, kind: Kind) -> None:
    """One operation; print its row."""
    plan = await session.plan(kind, SERVICE)
    wire.requests.clear()
    began = time.perf_counter()
    record = await session.execute(plan, Consent(plan.hash, reason="benchmark", waived=("quarantine",)), lambda _: None)
    took = time.perf_counter() - began
    rounds, answered = wire.rounds_until_change()
    print(f"{kind:34} {rounds:8} {answered * 1000:8.0f} ms {took * 1000:8.0f} ms   {record.outcome}   budget 3")


async def main() -> None:
    """Print the table."""
    world = World()
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        try:
            await world.start(Options(registry=False))
            options = {"kubeconfig": str(world.folder / "kubeconfig"), "namespace": "ml"}
            async with Session.open(load(options, {}).settings) as session:
                print(f"{'from the confirmation':34} {'rounds':>8} {'to answer':>11} {'to verified':>11}")
                wire = Wire(session.connection)
                await move(session, wire, Kind.ROLLBACK)
                for _ in range(MOVES):
                    await move(session, wire, Kind.SWITCH)
            assert world.load
            counts = world.load.counts[f"ml/{SERVICE}"]
            lost = counts.failed + counts.refused
            print(f"requests meanwhile: {counts.answered} answered, {lost} lost   budget 0")
        finally:
            await world.stop()


if __name__ == "__main__":
    asyncio.run(main())
