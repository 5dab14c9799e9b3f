"""The embedded autoscaler, and that what is pinned is safe from it (I5)."""

import asyncio
import time

import pytest

from mlconsole.demo.apiserver.patches import JSON
from mlconsole.demo.apiserver.store import Store
from mlconsole.demo.controllers.autoscalers import LOAD, Autoscalers
from mlconsole.domain.autoscaling import pin_writes
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.services import Color, ModelService, Shape

NAMES = ("blue", "green")


async def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not within the deadline"
        await asyncio.sleep(0.01)


def load(store, name, pods):
    patch = [{"op": "add", "path": "/metadata/annotations", "value": {LOAD: str(pods)}}]
    store.patch("horizontalpodautoscalers", "ml", name, patch, JSON)


def wish(store, name):
    return store.get("deployments", "ml", name)["spec"]["replicas"]


def scalers(store):
    return [store.get("horizontalpodautoscalers", "ml", name) for name in NAMES]


@pytest.fixture
async def store():
    """Two Deployments of three pods, an autoscaler each, and the controller at work."""
    store = Store()
    store.create("namespaces", {"metadata": {"name": "ml"}})
    for name in NAMES:
        template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "model", "image": "x"}]}}
        spec = {"replicas": 3, "selector": {"matchLabels": {"app": name}}, "template": template}
        store.create("deployments", {"metadata": {"name": name, "namespace": "ml"}, "spec": spec})
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": name}, "minReplicas": 1, "maxReplicas": 6}
        store.create("horizontalpodautoscalers", {"metadata": {"name": name, "namespace": "ml"}, "spec": spec})
    task = asyncio.create_task(Autoscalers(store).loop.run())
    await until(lambda: all(item.get("status") for item in scalers(store)))
    yield store
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_it_follows_its_load_within_its_bounds(store):
    load(store, "blue", 2)
    await until(lambda: wish(store, "blue") == 2)
    load(store, "blue", 40)
    await until(lambda: wish(store, "blue") == 6)
    await until(lambda: scalers(store)[0]["status"]["desiredReplicas"] == 6)
    assert wish(store, "green") == 3


async def test_what_is_pinned_is_not_taken_away_until_it_is_put_back(store):
    service = ModelService("ml", "fraud", Shape.BLUE_GREEN)
    live, target = Color("blue", "blue", 3, 3), Color("green", "green", 3, 3)
    pins = pin_writes(service, live, target, scalers(store))
    assert len(pins) == 2
    for write in pins:
        store.patch(write.resource, write.namespace, write.name, list(write.patch), JSON)
    for name in NAMES:
        load(store, name, 1)
    load(store, "green", 5)
    await until(lambda: wish(store, "green") == 5)
    load(store, "green", 1)
    await until(lambda: wish(store, "green") == 3)
    assert wish(store, "blue") == 3
    for write in pins:
        store.patch(write.resource, write.namespace, write.name, list(reversed_write(write).patch), JSON)
    await until(lambda: wish(store, "blue") == wish(store, "green") == 1)
