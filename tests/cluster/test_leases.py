"""When a lock counts as given up, by whose clock."""

import time
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster import connection, leases
from mlconsole.cluster.errors import ServerError
from mlconsole.cluster.leases import Expiry, Held

HELD = Held("ann@bastion/op-1", 3, 15.0, 1000.0, "7", {}, {})


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_lock_expires_when_it_was_seen_unchanged_for_its_duration(clock):
    expiry = Expiry(clock)
    assert expiry.left(HELD) == 15.0
    clock.now += 14.9
    assert not expiry.expired(HELD)
    clock.now += 0.1
    assert expiry.expired(HELD)


def test_a_renewal_starts_the_time_anew_and_another_write_does_not(clock):
    expiry = Expiry(clock)
    expiry.left(HELD)
    clock.now += 10
    assert expiry.left(replace(HELD, resource_version="8", annotations={"x": "y"})) == 5.0
    assert expiry.left(replace(HELD, renewed_at=1010.0)) == 15.0
    clock.now += 20
    assert not expiry.expired(replace(HELD, token=4, renewed_at=1010.0)), "another holder's time starts with it"


def test_the_clock_on_the_wall_decides_nothing(clock):
    assert not Expiry(clock).expired(replace(HELD, renewed_at=1.0)), "unless the server itself says how late it is"


def test_the_servers_own_date_shortens_the_wait(clock):
    late = HELD.renewed_at + HELD.duration
    assert not Expiry(clock).expired(replace(HELD, said_at=late))
    assert Expiry(clock).expired(replace(HELD, said_at=late + leases.DATE_SLACK + 1))


def test_a_lock_without_a_holder_is_free(clock):
    assert Expiry(clock).expired(replace(HELD, holder=""))


async def test_times_are_the_servers_not_this_machines(embedded, monkeypatch):
    where = (embedded.connection, embedded.namespace, "fraud")
    await leases.acquire(*where, "ann@bastion/op-1", 15, {}, None)
    behind = SimpleNamespace(time=lambda: time.time() - 3600, monotonic=time.monotonic)
    monkeypatch.setattr(leases, "time", behind)
    monkeypatch.setattr(connection, "time", behind)
    held = await leases.read(*where)
    renewed = await leases.renew(*where, held)
    assert abs(renewed.renewed_at - held.said_at) < 5, "an hour behind, and the lock is not broken for it"
    assert not Expiry().expired(await leases.read(*where))
    assert 3590 < leases.ahead(embedded.connection) < 3610


async def test_requests_that_are_none_are_left_out(embedded):
    assert leases.requests(replace(HELD, annotations={leases.REQUESTS: "no json"})) == []
    assert leases.requests(replace(HELD, annotations={leases.REQUESTS: '["x", {"verb": "keep"}]'})) == [
        {"verb": "keep"}
    ]
    assert leases.requests(replace(HELD, annotations={leases.REQUESTS: "3"})) == []


async def test_what_is_no_lease_is_an_error_with_words(embedded):
    body = {"metadata": {"name": "mlconsole-fraud"}, "spec": {"holderIdentity": 3}}
    embedded.store.create("leases", {**body, "metadata": {**body["metadata"], "namespace": "ml"}})
    with pytest.raises(ServerError, match="no Lease"):
        await leases.read(embedded.connection, "ml", "fraud")
    assert msgspec.json.decode(await embedded.connection.get("/apis/coordination.k8s.io/v1/namespaces/ml/leases"))
