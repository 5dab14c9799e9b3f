"""What somebody else's controller writes as well is not changed unasked, and its undoing is noticed (I25)."""

import pytest

from mlconsole.cluster import fresh, writes
from mlconsole.demo.apiserver.patches import JSON
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import Verdict, selector_write
from mlconsole.engine.owners import owner_gate, undone_by

from .conftest import Cluster, cluster, embedded, real

__all__ = ["cluster", "embedded", "real"]
CD = "argocd-controller"


async def read(where: Cluster):
    return await fresh.read(where.connection, where.namespace, "fraud")


async def set_color(where: Cluster, color, manager):
    patch = [{"op": "replace", "path": "/spec/selector/color", "value": color}]
    path = f"{where.core}/services/fraud"
    await where.connection.request("PATCH", path, patch, JSON, params={"fieldManager": manager})


@pytest.fixture
async def service(cluster):
    """A cluster with a blue-green service."""
    await cluster.blue_green()
    return cluster


async def test_a_foreign_owner_stops_what_goes_forward_and_never_the_way_back(service):
    found = await read(service)
    plan = [selector_write(found.service, "green")]
    assert owner_gate(found, plan, Kind.SWITCH) is None
    await set_color(service, "green", CD)
    await set_color(service, "blue", CD)
    found = await read(service)
    gate = owner_gate(found, plan, Kind.SWITCH)
    assert (gate.verdict, gate.stops, gate.waivable) == (Verdict.FAIL, True, True)
    assert "Argo CD" in gate.value
    assert owner_gate(found, plan, Kind.DEPLOY).stops
    back = owner_gate(found, plan, Kind.ROLLBACK)
    assert (back.verdict, back.stops) == (Verdict.FAIL, False)


async def test_who_undid_a_write_is_named(service):
    before = await read(service)
    write = selector_write(before.service, "green")
    await writes.send(service.connection, write, expect=service.connection.identity)
    done = await read(service)
    assert undone_by(done, done, write) == ""
    assert undone_by(before, done, write) == "", "what was never there was not undone"
    await set_color(service, "blue", CD)
    words = undone_by(done, await read(service), write)
    assert words.startswith(f"{CD} changed /spec/selector/color of services {service.namespace}/fraud at 20")
