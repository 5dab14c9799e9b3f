"""The lock of a service: one holder, a token that only grows, and nothing of what others wrote there lost."""

import asyncio
import json

import msgspec
import pytest

from mlconsole.cluster import leases
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Conflict, Invalid, NotFound
from mlconsole.cluster.leases import Expiry, Lost

ANN, BOB = "ann@bastion/op-1", "bob@laptop/op-2"
NOTES = {"mlconsole.io/operation": "op-1"}


@pytest.fixture
async def other(cluster):
    """A second console's connection to the same cluster."""
    connection = await Connection.open(kubeconfig=cluster.kubeconfig, namespace=cluster.namespace)
    yield connection
    await connection.close()


async def take(cluster, holder=ANN, seen=None, connection=None, **more):
    where = connection or cluster.connection
    return await leases.acquire(where, cluster.namespace, "fraud", holder, 15, NOTES, seen, **more)


def path(cluster):
    return f"/apis/coordination.k8s.io/v1/namespaces/{cluster.namespace}/leases/mlconsole-fraud"


async def test_a_lock_is_taken_renewed_and_given_up(cluster):
    where = (cluster.connection, cluster.namespace, "fraud")
    assert await leases.read(*where) is None
    held = await take(cluster)
    assert (held.holder, held.token, held.duration, held.operation) == (ANN, 1, 15.0, "op-1")
    assert held.annotations["mlconsole.io/operation"] == "op-1"
    read = await leases.read(*where)
    assert read.same_claim(held)
    assert abs(read.said_at - read.renewed_at) < 5, "both are the server's time"
    renewed = await leases.renew(*where, held, {"mlconsole.io/phase": "ready", "mlconsole.io/operation": None})
    assert renewed.renewed_at > held.renewed_at
    assert renewed.annotations["mlconsole.io/phase"] == "ready"
    assert "mlconsole.io/operation" not in renewed.annotations
    await leases.release(*where, renewed)
    free = await leases.read(*where)
    assert (free.free, free.token, free.holder) == (True, 1, "")
    assert Expiry().expired(free)
    assert (await take(cluster, BOB, free)).token == 2


async def test_of_many_who_take_it_at_once_one_does(cluster, other):
    tries = [
        take(cluster, f"{number}@bastion/op-{number}", connection=[cluster.connection, other][number % 2])
        for number in range(8)
    ]
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(item, leases.Held) for item in found) == 1, found
    assert sum(isinstance(item, Conflict) for item in found) == 7, found


async def test_who_was_overtaken_is_told_by_whom(cluster, other):
    where = (cluster.connection, cluster.namespace, "fraud")
    held = await take(cluster)
    taken = await take(cluster, BOB, await leases.read(*where), other)
    assert taken.token == held.token + 1
    with pytest.raises(Lost, match="bob@laptop") as lost:
        await leases.renew(*where, held)
    assert lost.value.holder == BOB
    await leases.release(*where, held)
    assert (await leases.read(*where)).same_claim(taken), "what is not ours is not given up"
    with pytest.raises(Conflict):
        await take(cluster, ANN, held)


async def test_two_who_go_on_with_one_operation_do_not_both_hold_it(cluster, other):
    held = await take(cluster)
    seen = await leases.read(other, cluster.namespace, "fraud")
    again = await take(cluster, ANN, seen, other)
    with pytest.raises(Lost):
        await leases.renew(cluster.connection, cluster.namespace, "fraud", held)
    assert (await leases.renew(other, cluster.namespace, "fraud", again)).token == 2


async def test_a_try_whose_answer_was_lost_is_recognised(cluster, other):
    held = await take(cluster)
    again = await take(cluster)
    assert again.same_claim(held)
    with pytest.raises(Conflict):
        await take(cluster, connection=other)


async def test_what_others_put_there_stays(cluster, other):
    where = (cluster.connection, cluster.namespace, "fraud")
    held = await take(cluster)
    await cluster.merge(path(cluster), {"metadata": {"labels": {"team": "fraud"}, "annotations": {"note": "x"}}})
    asked = [{"verb": "keep", "by": f"bob-{number}"} for number in range(5)]
    given = await asyncio.gather(
        leases.renew(*where, held), *(leases.ask(other, *where[1:], json.dumps(item)) for item in asked)
    )
    renewed = await leases.renew(*where, given[0])
    assert sorted(leases.requests(renewed), key=lambda item: item["by"]) == asked
    assert renewed.annotations["note"] == "x"
    assert renewed.whole["metadata"]["labels"]["team"] == "fraud"
    taken = await take(cluster, BOB, renewed)
    assert len(leases.requests(taken)) == 5, "an operation that is taken over still has them"
    await leases.release(*where, taken)
    assert leases.requests(await leases.read(*where)) == []


async def test_requests_are_bounded(cluster):
    await take(cluster)
    for number in range(leases.MOST_REQUESTS + 3):
        await leases.ask(cluster.connection, cluster.namespace, "fraud", json.dumps({"n": number}))
    await leases.ask(cluster.connection, cluster.namespace, "fraud", json.dumps({"n": -1, "reason": "x" * 17_000}))
    found = leases.requests(await leases.read(cluster.connection, cluster.namespace, "fraud"))
    assert [item["n"] for item in found] == [-1]


async def test_nothing_can_be_asked_where_there_is_no_lock(cluster):
    with pytest.raises(NotFound, match="no operation ever had its lock"):
        await leases.ask(cluster.connection, cluster.namespace, "fraud", "{}")


async def test_a_lock_that_was_deleted_is_lost_and_its_token_still_grows(cluster):
    where = (cluster.connection, cluster.namespace, "fraud")
    held = await take(cluster, least=6)
    assert held.token == 7
    await cluster.delete(path(cluster))
    with pytest.raises(Lost, match="deleted"):
        await leases.renew(*where, held)
    assert await leases.read(*where) is None, "a renewal makes no Lease"
    await leases.release(*where, held)
    assert (await take(cluster, least=held.token)).token == 8


async def test_the_lease_reads_well_with_kubectl(cluster):
    await take(cluster)
    found = msgspec.json.decode(await cluster.connection.get(path(cluster)))
    assert found["metadata"]["labels"]["mlconsole.io/service"] == "fraud"
    assert found["spec"]["holderIdentity"] == ANN
    assert found["spec"]["acquireTime"] == found["spec"]["renewTime"]
    with pytest.raises(Invalid):
        await cluster.merge(path(cluster), {"spec": {"leaseDurationSeconds": 0}})
