"""What the watch cache promises, on the embedded API server and on a real one."""

import asyncio

import pytest

from mlconsole.cluster.reflector import CHUNK
from mlconsole.domain.services import Shape
from mlconsole.domain.sources import Condition

from ..conftest import until


async def test_a_blue_green_service_is_found_with_its_pods(cluster, mirror):
    await cluster.blue_green()
    cache = mirror(cluster)
    key = f"{cluster.namespace}/fraud"
    service = await until(lambda: cache.complete and cache.services.get(key))
    assert (service.shape, service.live, service.color_key) == (Shape.BLUE_GREEN, "blue", "color")
    assert service.base == {"app": "fraud"}
    blue, green = service.colors
    assert (blue.name, blue.ready, blue.release.version) == ("blue", 2, "12")
    assert (green.name, green.ready, green.release.version) == ("green", 2, "13")
    assert blue.release.digest == "sha256:" + "a" * 64
    await until(lambda: cache.state().condition is Condition.LIVE)
    assert cache.state().usable(cache.state().last_contact)


async def test_changes_arrive_and_concern_only_their_service(cluster, mirror):
    await cluster.blue_green("fraud")
    await cluster.blue_green("churn")
    cache = mirror(cluster)
    key = f"{cluster.namespace}/fraud"
    await until(lambda: cache.complete and len(cache.services) == 2)
    churn = cache.services[f"{cluster.namespace}/churn"]
    await cluster.pod_ready("fraud-green-0", ready=False)
    await until(lambda: cache.services[key].color("green").ready == 1)
    await cluster.delete(f"{cluster.core}/pods/fraud-blue-1")
    await until(lambda: len(cache.services[key].color("blue").pods) == 1)
    await cluster.merge(f"{cluster.core}/services/fraud", {"spec": {"selector": {"color": "green"}}})
    await until(lambda: cache.services[key].live == "green")
    assert cache.services[f"{cluster.namespace}/churn"].colors == churn.colors
    await cluster.delete(f"{cluster.core}/services/fraud")
    await until(lambda: key not in cache.services)


async def test_the_second_colour_may_come_later(cluster, mirror):
    await cluster.service("fraud", {"app": "fraud", "version": "blue"})
    cache = mirror(cluster)
    key = f"{cluster.namespace}/fraud"
    await until(lambda: key in cache.services and cache.services[key].shape is Shape.MALFORMED)
    await cluster.deployment("fraud-blue", {"app": "fraud", "version": "blue"})
    await until(lambda: cache.services[key].shape is Shape.BLUE_GREEN)
    assert [color.name for color in cache.services[key].colors] == ["blue"]
    await cluster.deployment("fraud-green", {"app": "fraud", "version": "green"})
    await until(lambda: len(cache.services[key].colors) == 2)
    await cluster.merge(f"{cluster.core}/services/fraud", {"spec": {"selector": {"version": None}}})
    await until(lambda: cache.services[key].shape is Shape.BOTH)


async def test_a_list_longer_than_a_chunk_is_whole(cluster, mirror):
    count = CHUNK + 7
    limit = asyncio.Semaphore(20)

    async def make(number):
        async with limit:
            body = {
                "metadata": {"name": f"record-{number:04d}", "labels": {"app.kubernetes.io/managed-by": "mlconsole"}}
            }
            await cluster.post(f"{cluster.core}/configmaps", body)

    await asyncio.gather(*(make(number) for number in range(count)))
    cache = mirror(cluster)
    await until(lambda: len(cache.inventory.configmaps) == count)


async def test_all_namespaces(cluster, mirror):
    await cluster.blue_green()
    cache = mirror(cluster, namespace="")
    await until(lambda: cache.complete and f"{cluster.namespace}/fraud" in cache.services)
    assert "default/kubernetes" not in cache.services


@pytest.mark.parametrize("selector", [None, {}])
async def test_a_service_without_selector_is_shown_as_what_it_is(cluster, mirror, selector):
    await cluster.service("bare", selector)
    await cluster.service("far", None, type="ExternalName", externalName="example.com")
    cache = mirror(cluster)
    found = await until(lambda: len(cache.services) == 2 and cache.services)
    assert found[f"{cluster.namespace}/bare"].shape is Shape.MALFORMED
    assert "no selector" in found[f"{cluster.namespace}/bare"].problems[0]
    assert "ExternalName" in found[f"{cluster.namespace}/far"].problems[0]
