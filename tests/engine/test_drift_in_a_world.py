"""From the model servers of a world over their figures to what a console is told of drift: what moved, no more."""

import asyncio
import socket
from pathlib import Path

import pytest

from mlconsole.config import Cluster, Metrics, Registry, Settings
from mlconsole.demo.world import Options, World
from mlconsole.domain.drift import Basis, DriftVerdict, Kind
from mlconsole.engine import protocol
from mlconsole.engine.channel import engine_end, ui_end
from mlconsole.engine.engine import Engine

from .conftest import until

KEY = "ml/fraud-scorer"
MOVED = {"amount", "hour"}
"""What the scenario draws elsewhere."""
ROWS = 2500
AT_ONCE = 12
PATIENCE = 240.0
"""Seconds: a world of a dozen processes and its traffic, on a machine that may be busy."""


class Watched:
    """A world, what a console's engine says of its drift, and traffic of the world's own drawing."""

    def __init__(self, world):
        self.world = world
        self.tables = []

    async def listen(self, channel):
        while (message := await channel.receive()) is not None:
            if isinstance(message, protocol.Drift) and message.table.service == KEY:
                self.tables.append(message.table)

    async def send(self, count):
        """Requests beside the load, as the load draws them."""
        load = self.world.load
        stream = load._streams[0]
        left = iter(range(count))

        async def one_after_the_other():
            for _ in left:
                await load._request(stream, load.counts[KEY])

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))

    def rows(self):
        """Those of the live colour, by name, once every one of them can be judged by the registry's reference."""
        table = self.tables[-1] if self.tables else None
        if table is None or table.references.get("green") is None:
            return None
        mine = {row.feature: row for row in table.features if row.color == "green"}
        judged = mine and all(row.n_current >= ROWS for row in mine.values())
        return mine if judged and table.references["green"].basis is Basis.REGISTRY else None


@pytest.fixture
async def watch(monkeypatch, tmp_path):
    """Start a world with a scenario, and an engine whose console looks at its first service."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    world, (here, there), tasks = World(), socket.socketpair(), []
    channel = await ui_end(here)

    async def start(scenario):
        await world.start(Options(scenario=scenario, fault_after=0.0))
        kubeconfig = str(Path(world.describe()["kubeconfig"]))
        settings = Settings(
            cluster=Cluster(kubeconfig=kubeconfig, namespace="ml"),
            metrics=Metrics(refresh=1.0),
            registry=Registry(tracking_uri=world.tracking_uri),
        )
        found = Watched(world)
        tasks.append(asyncio.create_task(Engine(await engine_end(there), settings).run()))
        tasks.append(asyncio.create_task(found.listen(channel)))
        await channel.send(protocol.Select(KEY))
        return found

    yield start
    channel.close()
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    await world.stop()


async def test_what_the_scenario_moves_drifts_and_nothing_else(watch):
    watched = await watch("drift")
    await until(lambda: watched.tables and watched.tables[-1].features, PATIENCE)
    await watched.send(ROWS + 200)
    rows = await until(watched.rows, PATIENCE)
    drifted = {name for name, row in rows.items() if row.verdict is DriftVerdict.DRIFTED}
    features = {name for name, row in rows.items() if row.kind is not Kind.PREDICTION}
    assert drifted & features == MOVED
    assert {rows[name].verdict for name in features - MOVED} == {DriftVerdict.OK}
    # A model whose inputs moved says something else.
    assert rows["prediction"].verdict is DriftVerdict.DRIFTED
    table = watched.tables[-1]
    assert table.verdict is DriftVerdict.DRIFTED
    assert table.references["green"].words == "training of v13, by the registry"
    assert [table.features[at].feature for at in (0, 1)] == sorted(MOVED, key=lambda name: -rows[name].effect)
    assert {row.n_reference for row in rows.values()} == {300 + 150 * 13}


async def test_on_a_good_day_nothing_ever_drifts(watch):
    watched = await watch("")
    await until(lambda: watched.tables and watched.tables[-1].features, PATIENCE)
    await watched.send(ROWS + 200)
    rows = await until(watched.rows, PATIENCE)
    assert {row.verdict for row in rows.values()} == {DriftVerdict.OK}
    for table in watched.tables:
        odd = [row for row in table.features if row.verdict in (DriftVerdict.DRIFTED, DriftVerdict.LOOK)]
        assert odd == []
    assert sum(any(row.n_current >= 200 for row in table.features) for table in watched.tables) >= 3
