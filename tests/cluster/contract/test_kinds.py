"""What operations make, change and remove besides a selector: Deployments and autoscalers."""

import asyncio
import time

import msgspec
import pytest
from msgspec.structs import replace

from mlconsole.cluster import fresh, resources, writes
from mlconsole.cluster.connection import Identity
from mlconsole.cluster.errors import Conflict, Invalid, NotFound, WrongTarget
from mlconsole.cluster.resources import AUTOSCALERS
from mlconsole.demo.controllers.autoscalers import Autoscalers
from mlconsole.demo.controllers.deployment import Deployments
from mlconsole.demo.controllers.replicaset import ReplicaSets
from mlconsole.domain import owners
from mlconsole.domain.autoscaling import pin_writes
from mlconsole.domain.patches import pinned, reversed_write
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Write, selector_write

LABELS = {"app": "fraud", "color": "green"}
SYNC = 40.0
"""Seconds: a real autoscaler looks every 15 s."""


@pytest.fixture
async def controllers(request, cluster):
    """The cluster with its controllers at work; a real one has its own."""
    if cluster.store is None:
        yield cluster
        return
    loops = [kind(cluster.store).loop for kind in (Deployments, ReplicaSets, Autoscalers)]
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    yield cluster
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result


async def send(cluster, write, dry_run=False):
    body = await writes.send(cluster.connection, write, expect=cluster.connection.identity, dry_run=dry_run)
    return msgspec.json.decode(body)


async def get(cluster, path):
    return msgspec.json.decode(await cluster.connection.get(path))


async def names(cluster, path):
    items = (await get(cluster, path))["items"]
    return sorted(item["metadata"]["name"] for item in items if not item["metadata"].get("deletionTimestamp"))


async def eventually(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := await true()):
        assert time.monotonic() < end, "not within the deadline"
        await asyncio.sleep(0.05)
    return found


def making(cluster, name="fraud-green", replicas=0):
    container = {"name": "model", "image": "registry.local/fraud:13"}
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    return Write("deployments", cluster.namespace, name, body=body, phase=Phase.BRING_UP)


async def scaler(cluster, low=1, high=5, name="fraud-green"):
    kind = (await resources.find(cluster.connection, AUTOSCALERS))[AUTOSCALERS.key]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": target, "minReplicas": low, "maxReplicas": high}
    body = {"metadata": {"name": name}, "spec": spec}
    found = msgspec.json.decode(await cluster.post(kind.path(cluster.namespace), body))
    return found, f"{kind.path(cluster.namespace)}/{name}"


def pin(cluster, low, to, name="fraud-green"):
    patch = (
        {"op": "test", "path": "/spec/minReplicas", "value": low},
        {"op": "replace", "path": "/spec/minReplicas", "value": to},
    )
    return Write("horizontalpodautoscalers", cluster.namespace, name, patch, phase=Phase.PIN)


async def test_a_deployment_is_made_once_and_a_dry_run_makes_none(cluster):
    write = making(cluster)
    would = await send(cluster, write, dry_run=True)
    assert would["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.local/fraud:13"
    with pytest.raises(NotFound):
        await get(cluster, f"{cluster.apps}/deployments/fraud-green")
    made = await send(cluster, write)
    assert made["metadata"]["uid"]
    with pytest.raises(Conflict, match="fraud-green"):
        await send(cluster, write)
    body = {**write.body, "metadata": {"name": "other"}, "spec": {**write.body["spec"], "replicas": -1}}
    with pytest.raises(Invalid):
        await send(cluster, Write("deployments", cluster.namespace, "other", body=body), dry_run=True)


async def test_of_two_who_make_it_one_does(cluster):
    found = await asyncio.gather(*(send(cluster, making(cluster)) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(item, dict) for item in found) == 1, found
    assert sum(isinstance(item, Conflict) for item in found) == 3, found


async def test_a_removal_takes_what_was_seen_and_no_other(cluster):
    made = await send(cluster, making(cluster))
    path = f"{cluster.apps}/deployments/fraud-green"
    undo = reversed_write(making(cluster), made["metadata"]["uid"])
    assert undo.verb == "delete"
    await send(cluster, undo, dry_run=True)
    assert (await get(cluster, path))["metadata"]["uid"] == made["metadata"]["uid"], "a dry run removes nothing"
    await send(cluster, undo)
    with pytest.raises(NotFound):
        await get(cluster, path)
    with pytest.raises(NotFound):
        await send(cluster, undo)
    again = await send(cluster, making(cluster))
    for dry_run in (True, False):
        with pytest.raises(Conflict):
            await send(cluster, undo, dry_run=dry_run)
    assert (await get(cluster, path))["metadata"]["uid"] == again["metadata"]["uid"], "made anew, by somebody else"


async def test_nothing_is_removed_without_a_uid_or_elsewhere(cluster):
    made = await send(cluster, making(cluster))
    undo = Write("deployments", cluster.namespace, "fraud-green", delete=True)
    with pytest.raises(Invalid, match="uid"):
        await send(cluster, undo)
    elsewhere = Identity("prod", "https://prod", "0", "ann")
    for write in (making(cluster, "x"), reversed_write(making(cluster), made["metadata"]["uid"])):
        with pytest.raises(WrongTarget):
            await writes.send(cluster.connection, write, expect=elsewhere)
    assert await names(cluster, f"{cluster.apps}/deployments") == ["fraud-green"]


async def test_what_a_deployment_made_goes_with_it(controllers):
    cluster = controllers
    made = await send(cluster, making(cluster, replicas=2))
    other = {"name": "by-hand", "labels": {"app": "fraud"}}
    spec = {"containers": [{"name": "model", "image": "registry.local/x:1"}], "automountServiceAccountToken": False}
    await cluster.post(f"{cluster.core}/pods", {"metadata": other, "spec": spec})

    async def up():
        return len(await names(cluster, f"{cluster.core}/pods")) == 3

    async def gone():
        left = await names(cluster, f"{cluster.apps}/replicasets")
        return not left and await names(cluster, f"{cluster.core}/pods") == ["by-hand"]

    await eventually(up)
    await send(cluster, reversed_write(making(cluster), made["metadata"]["uid"]))
    await eventually(gone)


async def test_what_is_let_go_stays(controllers):
    cluster = controllers
    await send(cluster, making(cluster, replicas=1))

    async def sets():
        return await names(cluster, f"{cluster.apps}/replicasets")

    (name,) = await eventually(sets)
    await cluster.connection.request(
        "DELETE", f"{cluster.apps}/deployments/fraud-green", {"propagationPolicy": "Orphan"}
    )

    async def nobodys():
        found = await get(cluster, f"{cluster.apps}/replicasets/{name}")
        return not found["metadata"].get("ownerReferences")

    await eventually(nobodys)
    assert await sets() == [name]


async def test_an_autoscalers_minimum_is_pinned_and_put_back(cluster):
    _, path = await scaler(cluster)
    write = pin(cluster, 1, 3)
    assert (await send(cluster, write, dry_run=True))["spec"]["minReplicas"] == 3
    assert (await get(cluster, path))["spec"]["minReplicas"] == 1
    await send(cluster, write)
    with pytest.raises((Invalid, Conflict)):
        await send(cluster, write)
    await send(cluster, reversed_write(write))
    assert (await get(cluster, path))["spec"]["minReplicas"] == 1
    with pytest.raises(Invalid, match="maxReplicas"):
        await send(cluster, pin(cluster, 1, 9))


async def test_autoscaling_v1_shows_the_same_object(cluster):
    made, path = await scaler(cluster)
    older = f"/apis/autoscaling/v1/namespaces/{cluster.namespace}/horizontalpodautoscalers/fraud-green"
    seen = await get(cluster, older)
    assert seen["apiVersion"] == "autoscaling/v1"
    assert seen["metadata"]["uid"] == made["metadata"]["uid"]
    assert seen["spec"]["targetCPUUtilizationPercentage"] == 80
    assert "metrics" not in seen["spec"]
    await cluster.merge(older, {"spec": {"minReplicas": 2}})
    now = await get(cluster, path)
    assert now["spec"]["minReplicas"] == 2
    assert now["spec"]["metrics"] == made["spec"]["metrics"], "what the older version cannot say stays"


async def test_an_autoscaler_holds_its_target_above_its_minimum(controllers):
    cluster = controllers
    await send(cluster, making(cluster, replicas=1))
    _, path = await scaler(cluster)
    await send(cluster, pin(cluster, 1, 3))

    async def raised():
        return (await get(cluster, f"{cluster.apps}/deployments/fraud-green"))["spec"]["replicas"] == 3

    async def told():
        return ((await get(cluster, path)).get("status") or {}).get("desiredReplicas") == 3

    await eventually(raised, SYNC)
    await eventually(told, SYNC)
    read = await fresh.served(cluster.connection)
    assert AUTOSCALERS in [kind.resource for kind in read]


async def managers(cluster, path):
    entries = (await get(cluster, path))["metadata"]["managedFields"]
    return {entry["manager"]: entry["fieldsV1"] for entry in entries if not entry.get("subresource")}


async def test_each_field_has_the_manager_that_wrote_it_last(cluster):
    path = f"{cluster.core}/services/fraud"
    body = {"metadata": {"name": "fraud", "labels": {"a": "1"}}, "spec": {"ports": [{"port": 80}], "selector": LABELS}}
    await cluster.connection.request("POST", f"{cluster.core}/services", body, params={"fieldManager": "helm"})
    patch = [{"op": "add", "path": "/metadata/labels/b", "value": "2"}]
    kind = "application/json-patch+json"
    await cluster.connection.request("PATCH", path, patch, kind, params={"fieldManager": "someone"})
    found = await managers(cluster, path)
    assert "f:a" in found["helm"]["f:metadata"]["f:labels"]
    assert "f:selector" in found["helm"]["f:spec"]
    assert list(found["someone"]) == ["f:metadata"]
    assert set(found["someone"]["f:metadata"]["f:labels"]) == {"f:b"}
    patch = [
        {"op": "replace", "path": "/spec/type", "value": "NodePort"},
        {"op": "remove", "path": "/metadata/labels/a"},
    ]
    await cluster.connection.request("PATCH", path, patch, kind, params={"fieldManager": "someone"})
    found = await managers(cluster, path)
    assert "f:type" in found["someone"]["f:spec"]
    assert "f:type" not in found["helm"]["f:spec"]
    assert "f:labels" not in found["helm"].get("f:metadata", {}) or "f:a" not in found["helm"]["f:metadata"]["f:labels"]


async def test_an_apply_owns_what_it_names(cluster):
    kind = "application/apply-patch+yaml"
    body = making(cluster).body
    path = f"{cluster.apps}/deployments/fraud-green"
    for _ in range(2):
        await cluster.connection.request("PATCH", path, body, kind, params={"fieldManager": "flux", "force": "true"})
    entries = (await get(cluster, path))["metadata"]["managedFields"]
    (entry,) = [item for item in entries if item["manager"] == "flux"]
    assert entry["operation"] == "Apply"
    containers = entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert list(containers) == ['k:{"name":"model"}']
    assert "f:image" in containers['k:{"name":"model"}']


async def owned(cluster, write):
    return owners.foreign((await fresh.read(cluster.connection, cluster.namespace, "fraud")).raw, [write])


@pytest.mark.parametrize("how", ["apply", "update"])
async def test_a_foreign_owner_of_the_colour_is_found(cluster, how):
    await cluster.blue_green()
    path = f"{cluster.core}/services/fraud"
    read = await fresh.read(cluster.connection, cluster.namespace, "fraud")
    write = selector_write(read.service, "green")
    assert owners.foreign(read.raw, [write]) == []
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud"}}
    body["spec"] = {"selector": {"app": "fraud", "color": "blue"}}
    if how == "apply":
        query = {"fieldManager": "kustomize-controller", "force": "true"}
        await cluster.connection.request("PATCH", path, body, "application/apply-patch+yaml", params=query)
    else:
        for color in ("green", "blue"):
            patch = [{"op": "replace", "path": "/spec/selector/color", "value": color}]
            query = {"fieldManager": "argocd-controller"}
            await cluster.connection.request("PATCH", path, patch, "application/json-patch+json", params=query)
    (words,) = await owned(cluster, write)
    assert words.startswith("Flux" if how == "apply" else "Argo CD")
    untouched = Write(
        "services", cluster.namespace, "fraud", ({"op": "add", "path": "/spec/type", "value": "NodePort"},)
    )
    assert await owned(cluster, untouched) == [], "another field is not theirs"
    await send(cluster, write)
    after = await fresh.read(cluster.connection, cluster.namespace, "fraud")
    manager, at = owners.last_writer(after.raw["services", "fraud"], "/spec/selector/color")
    assert manager == writes.FIELD_MANAGER
    assert at


async def test_what_another_controller_made_is_its_own(cluster):
    await cluster.blue_green()
    path = f"{cluster.apps}/deployments/fraud-green"
    before = await get(cluster, path)
    # One that is there: a real cluster removes what its owner has left.
    service = await get(cluster, f"{cluster.core}/services/fraud")
    owner = {"apiVersion": "v1", "kind": "Service", "name": "fraud", "uid": service["metadata"]["uid"]}
    owner["controller"] = True
    await cluster.merge(path, {"metadata": {"ownerReferences": [owner]}})
    step = {"op": "replace", "path": "/spec/template", "value": before["spec"]["template"]}
    (words,) = await owned(cluster, Write("deployments", cluster.namespace, "fraud-green", (step,)))
    assert "belongs to Service fraud" in words


async def test_a_plan_reads_the_autoscalers_of_its_colours_and_those_that_wait(cluster):
    await cluster.blue_green()
    await cluster.deployment("other", {"app": "other"})
    for name in ("fraud-green", "other", "fraud-red"):
        await scaler(cluster, name=name)
    read = await fresh.read(cluster.connection, cluster.namespace, "fraud")
    assert sorted(item["metadata"]["name"] for item in read.autoscalers) == ["fraud-green", "fraud-red"]
    blue, green = (read.service.color(name) for name in ("blue", "green"))
    pins = pin_writes(read.service, replace(blue, ready=3), green, read.autoscalers)
    assert [write.name for write in pins] == ["fraud-green"]
    assert read.meets(pins[0])
    await send(cluster, pinned(pins[0], read.uid_of(AUTOSCALERS.key, "fraud-green")), dry_run=True)
    await send(cluster, pins[0])
    after = await fresh.read(cluster.connection, cluster.namespace, "fraud")
    assert after.has(pins[0])
    await send(cluster, reversed_write(pins[0]))
    assert not (await fresh.read(cluster.connection, cluster.namespace, "fraud")).has(pins[0])


async def test_absence_is_tested_as_null(cluster):
    await cluster.blue_green()
    note = "/metadata/annotations/note"
    missing = ({"op": "test", "path": "/metadata/annotations", "value": None},)
    first = Write(
        "services", cluster.namespace, "fraud", (*missing, {"op": "add", "path": note[:-5], "value": {"x": "y"}})
    )
    await send(cluster, first)
    with pytest.raises((Invalid, Conflict)):
        await send(cluster, first)
    steps = ({"op": "test", "path": note, "value": None}, {"op": "add", "path": note, "value": "1"})
    await send(cluster, Write("services", cluster.namespace, "fraud", steps))
    with pytest.raises((Invalid, Conflict)):
        await send(cluster, Write("services", cluster.namespace, "fraud", steps))
    beneath = ({"op": "test", "path": "/spec/nothing/here", "value": None}, steps[1])
    with pytest.raises((Invalid, Conflict)):
        await send(cluster, Write("services", cluster.namespace, "fraud", beneath))
