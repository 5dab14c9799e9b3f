"""A scope connects again by itself, patiently while nothing answers and soon after what was good."""

import asyncio

from msgspec.structs import replace

from mlconsole.cluster.backoff import Backoff
from mlconsole.cluster.cache import ClusterCache
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Unreachable
from mlconsole.config import Cluster as Place
from mlconsole.domain.sources import Condition
from mlconsole.engine import scope as module
from mlconsole.engine.offload import Offload
from mlconsole.engine.scope import Scope

from .conftest import QUICK, clusters


async def test_after_a_good_connection_it_is_soon_tried_again(desk, monkeypatch):
    pauses, opened = [], []
    good = Connection.open.__func__
    reading = ClusterCache.run

    class Told(Backoff):
        def pause(self, at_least=0.0):
            pauses.append(self._next)
            super().pause(at_least)
            return 0.0

    async def connect(cls, **more):
        opened.append(1)
        if len(opened) == 4:
            return await good(cls, **more)
        raise Unreachable("cannot reach the cluster", "a test")

    async def read_and_break(self):
        task = asyncio.create_task(reading(self))
        await clusters.until(lambda: self.complete)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Unreachable("the connection broke", "a test")

    monkeypatch.setattr(module, "Backoff", Told)
    monkeypatch.setattr(Connection, "open", classmethod(connect))
    monkeypatch.setattr(ClusterCache, "run", read_and_break)
    settings = replace(QUICK, cluster=Place(kubeconfig=desk.cluster.kubeconfig, namespace="ml"))
    scope = Scope(settings, None, "ml", lambda _: (), Offload(), lambda: None)
    life = asyncio.create_task(scope.run())
    await clusters.until(lambda: len(pauses) >= 6)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    assert pauses[:6] == [1.0, 2.0, 4.0, 1.0, 2.0, 4.0]
    assert scope.state.condition is Condition.DOWN
