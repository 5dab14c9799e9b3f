"""What plans rest on and what they end in: fresh reads, writes with preconditions, records, rights, the proxy, logs."""

import asyncio

import msgspec
import pytest

from mlconsole.cluster import access, events, fresh, history, proxy, writes
from mlconsole.cluster.access import Check
from mlconsole.cluster.connection import Identity
from mlconsole.cluster.errors import ClusterError, Conflict, Invalid, NotFound, WrongTarget
from mlconsole.domain.history import Kind, Outcome, Record, config_map_name
from mlconsole.domain.plans import Write, selector_write
from mlconsole.domain.services import Shape


async def selector_of(cluster, name="fraud"):
    return msgspec.json.decode(await cluster.connection.get(f"{cluster.core}/services/{name}"))["spec"]["selector"]


def record(cluster, number, outcome=Outcome.OPEN, **more):
    return Record(
        f"op-{number}", Kind.SWITCH, "fraud", cluster.namespace, float(number), "ann", outcome=outcome, **more
    )


async def test_a_fresh_read_sees_what_a_cache_would_not_yet(cluster):
    await cluster.blue_green()
    read = await fresh.read(cluster.connection, cluster.namespace, "fraud")
    assert (read.service.shape, read.service.live) == (Shape.BLUE_GREEN, "blue")
    assert [color.ready for color in read.service.colors] == [2, 2]
    await cluster.pod_ready("fraud-green-0", ready=False)
    again = await fresh.read(cluster.connection, cluster.namespace, "fraud", base={"app": "fraud"})
    assert again.service.color("green").ready == 1
    assert again.uid_of("services", "fraud") == again.service.uid != ""
    assert again.uid_of("deployments", "fraud-green")
    moved = await fresh.read(cluster.connection, cluster.namespace, "fraud", base={"app": "other"})
    assert moved.service.color("blue").ready == 2, "a base that is no longer true is not believed"


async def test_a_fresh_read_of_nothing(cluster):
    with pytest.raises(NotFound, match="fraud"):
        await fresh.read(cluster.connection, cluster.namespace, "fraud")


async def test_a_switch_is_tested_against_what_was_seen(cluster):
    await cluster.blue_green()
    connection, expect = cluster.connection, cluster.connection.identity
    read = await fresh.read(connection, cluster.namespace, "fraud")
    write = selector_write(read.service, "green")
    await writes.patch(connection, write, expect=expect, dry_run=True)
    assert await selector_of(cluster) == {"app": "fraud", "color": "blue"}, "a dry run changes nothing"
    # An annotation by someone else must not stand in the way of an emergency.
    await cluster.merge(f"{cluster.core}/services/fraud", {"metadata": {"annotations": {"note": "x"}}})
    await writes.patch(connection, write, expect=expect)
    assert await selector_of(cluster) == {"app": "fraud", "color": "green"}
    assert (await fresh.read(connection, cluster.namespace, "fraud")).has(write)
    with pytest.raises((Invalid, Conflict)):
        await writes.patch(connection, write, expect=expect)
    assert await selector_of(cluster) == {"app": "fraud", "color": "green"}


@pytest.mark.parametrize("text", ["a && b < c > d", "two\u2028lines\u2029", 'grün 😀 \\ " \t\n'])
async def test_what_is_tested_may_be_any_text(cluster, text):
    """A command with `&&` in it: the server tests text, and its own JSON is not everybody's."""
    await cluster.service("fraud", {"app": "fraud"})
    await cluster.merge(f"{cluster.core}/services/fraud", {"metadata": {"annotations": {"note": text}}})
    seen = msgspec.json.decode(await cluster.connection.get(f"{cluster.core}/services/fraud"))
    assert seen["metadata"]["annotations"] == {"note": text}
    for path, value in (("/metadata/annotations/note", text), ("/metadata/annotations", {"note": text})):
        steps = ({"op": "test", "path": path, "value": value}, {"op": "replace", "path": path, "value": value})
        write = Write("services", cluster.namespace, "fraud", steps)
        await writes.patch(cluster.connection, write, expect=cluster.connection.identity)
    other = ({"op": "test", "path": "/metadata/annotations/note", "value": text + "&"}, *steps)
    write = Write("services", cluster.namespace, "fraud", other)
    with pytest.raises(Invalid):
        await writes.patch(cluster.connection, write, expect=cluster.connection.identity)


async def test_of_two_writers_one_wins(cluster):
    await cluster.blue_green()
    connection = cluster.connection
    read = await fresh.read(connection, cluster.namespace, "fraud")
    write = selector_write(read.service, "green")
    results = await asyncio.gather(
        *(writes.patch(connection, write, expect=connection.identity) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, bytes) for result in results) == 1, results


async def test_nothing_is_sent_to_another_target(cluster):
    await cluster.blue_green()
    write = Write("services", cluster.namespace, "fraud", ({"op": "remove", "path": "/spec/selector"},))
    elsewhere = Identity("prod", "https://prod", "0", "ann")
    with pytest.raises(WrongTarget, match="prod"):
        await writes.patch(cluster.connection, write, expect=elsewhere)
    assert await selector_of(cluster) == {"app": "fraud", "color": "blue"}


async def test_the_field_manager_is_ours(cluster):
    await cluster.blue_green()
    read = await fresh.read(cluster.connection, cluster.namespace, "fraud")
    await writes.patch(cluster.connection, selector_write(read.service, "green"), expect=cluster.connection.identity)
    found = msgspec.json.decode(await cluster.connection.get(f"{cluster.core}/services/fraud"))
    assert writes.FIELD_MANAGER in {entry["manager"] for entry in found["metadata"]["managedFields"]}


async def test_a_revision_is_put_back_whole(cluster):
    labels = {"app": "eta"}
    await cluster.deployment("eta", labels, "1")
    await cluster.service("eta", labels)

    async def sets():
        found = msgspec.json.decode(await cluster.connection.get(f"{cluster.apps}/replicasets"))["items"]
        return [item for item in found if item["metadata"].get("ownerReferences")]

    if cluster.store is not None:
        pytest.skip("no controller makes ReplicaSets of a bare API server")
    for _ in range(200):
        if len(await sets()) == 1:
            break
        await asyncio.sleep(0.05)
    container = [{"name": "model", "image": "registry.local/eta:2", "env": [{"name": "API_TOKEN", "value": "s3cr3t"}]}]
    await cluster.merge(f"{cluster.apps}/deployments/eta", {"spec": {"template": {"spec": {"containers": container}}}})
    for _ in range(200):
        read = await fresh.read(cluster.connection, cluster.namespace, "eta")
        if len(read.service.colors[0].revisions) == 2:
            break
        await asyncio.sleep(0.05)
    numbers = [revision.number for revision in read.service.colors[0].revisions]
    assert numbers == [2, 1]
    write, diffs = fresh.revision_write(read, 1)
    assert any(":2" in diff.before and ":1" in diff.after for diff in diffs)
    assert "s3cr3t" not in repr(diffs)
    await writes.patch(cluster.connection, write, expect=cluster.connection.identity)
    again = await fresh.read(cluster.connection, cluster.namespace, "eta")
    assert again.service.colors[0].release.image.endswith(":1")
    with pytest.raises((Invalid, Conflict)):
        await writes.patch(cluster.connection, write, expect=cluster.connection.identity)


async def test_the_history_loses_no_record(cluster):
    connection = cluster.connection
    assert await history.read(connection, cluster.namespace, "fraud") == history.Past()
    past = await history.append(connection, [record(cluster, 1)], history.Past())
    # Both of these think that they are the second; neither may overwrite the other.
    await asyncio.gather(
        history.append(connection, [record(cluster, 2)], past), history.append(connection, [record(cluster, 3)], past)
    )
    await history.append(connection, [record(cluster, 4)], history.Past())
    done = record(cluster, 1, Outcome.VERIFIED, reason="because")
    await history.append(connection, [done], past)
    found = await history.read(connection, cluster.namespace, "fraud")
    assert found.records[0].id == "op-1"
    assert {item.id for item in found.records} == {"op-1", "op-2", "op-3", "op-4"}
    assert (found.records[0].outcome, found.records[0].reason) == (Outcome.VERIFIED, "because")


async def test_a_broken_history_is_told_and_not_fatal(cluster):
    name = config_map_name("fraud")
    body = {"metadata": {"name": name}, "data": {"records": "not json\n"}}
    await cluster.post(f"{cluster.core}/configmaps", body)
    past = await history.read(cluster.connection, cluster.namespace, "fraud")
    assert past.records == ()
    assert past.complaints


async def test_an_operation_leaves_an_event_on_its_service(cluster):
    await cluster.blue_green()
    ended = record(cluster, 7, Outcome.VERIFIED, from_color="blue", to_color="green", reason="latency", ended_at=9.0)
    await events.tell(cluster.connection, ended)
    found = msgspec.json.decode(await cluster.connection.get(f"{cluster.core}/events"))["items"]
    (event,) = [item for item in found if item["involvedObject"]["name"] == "fraud" and item["reason"] == "Switch"]
    service = msgspec.json.decode(await cluster.connection.get(f"{cluster.core}/services/fraud"))
    assert event["involvedObject"]["uid"] == service["metadata"]["uid"]
    assert "latency" in event["message"]


async def test_rights_are_asked_for(cluster):
    checks = [
        Check("patch", "", "services", "", cluster.namespace, "fraud"),
        Check("create", "apps", "deployments", "", cluster.namespace),
    ]
    rights = await access.review(cluster.connection, checks)
    assert [(right.check, right.allowed) for right in rights] == [(check, True) for check in checks]


async def test_who_and_where(cluster):
    identity = cluster.connection.identity
    assert identity.server.startswith("http")
    assert identity.context
    assert await cluster.connection.whoami()
    uid = await cluster.connection.namespace_uid(cluster.namespace)
    assert len(uid) > 10
    with pytest.raises(NotFound):
        await cluster.connection.namespace_uid("nowhere-at-all")


async def test_the_proxy_of_nothing_is_an_answer_or_an_error_with_words(cluster):
    await cluster.service("fraud", {"app": "fraud"})
    reply = await proxy.service_get(cluster.connection, cluster.namespace, "fraud", "80", "/ready")
    assert reply.status in (404, 503), "before the endpoints controller has seen the Service, and after"
    with pytest.raises(ClusterError):
        await proxy.pod_get(cluster.connection, cluster.namespace, "nobody", "http", "/ready")


async def test_a_name_that_exists_is_a_conflict(cluster):
    await cluster.service("fraud", {"app": "fraud"})
    with pytest.raises(Conflict, match="fraud"):
        await cluster.service("fraud", {"app": "fraud"})


async def test_an_object_the_server_refuses_says_why(cluster):
    with pytest.raises(Invalid) as refused:
        await cluster.post(f"{cluster.core}/configmaps", {"metadata": {"name": "Not_A_Name"}})
    assert "Not_A_Name" in str(refused.value)
