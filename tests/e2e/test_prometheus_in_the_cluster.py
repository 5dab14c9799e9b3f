"""A Prometheus that runs in a real cluster, read through the API server.

Debian's is built without the discovery of pods: it is told them, with the labels that it would have given them.
"""

import asyncio
import json
import math
import shutil
from functools import partial

import pytest

from mlconsole.cluster import fresh
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Metrics, Settings
from mlconsole.demo import manifests
from mlconsole.domain.sources import Condition
from mlconsole.engine.figures import FromPrometheus, Window
from mlconsole.engine.hints import hints_of
from mlconsole.engine.through import through
from mlconsole.metrics.feed import MetricsFeed
from mlconsole.metrics.prometheus import Endpoint

from .conftest import BLUE, DEADLINE, NAME, within

pytestmark = [
    pytest.mark.real_cluster,
    pytest.mark.real_prometheus,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus binary on PATH"),
]
BINDS = {"usr": ("/usr", "/usr"), "lib": ("/usr/lib", "/lib"), "lib64": ("/usr/lib64", "/lib64")}
POD = {
    "metadata": {"name": "prometheus", "labels": {"app": "prometheus"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "prometheus",
                "image": "k8sb.local/busybox:1",
                "imagePullPolicy": "Never",
                "command": [
                    shutil.which("prometheus") or "",
                    "--config.file=/config/prometheus.yml",
                    "--storage.tsdb.path=/data",
                ],
                "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
                "volumeMounts": [
                    *({"name": name, "mountPath": inside, "readOnly": True} for name, (_, inside) in BINDS.items()),
                    {"name": "config", "mountPath": "/config"},
                    {"name": "data", "mountPath": "/data"},
                ],
            }
        ],
        "volumes": [
            *({"name": name, "hostPath": {"path": outside}} for name, (outside, _) in BINDS.items()),
            {"name": "config", "configMap": {"name": "prometheus"}},
            {"name": "data", "emptyDir": {}},
        ],
    },
}


class Inline:
    """Runs the worker's functions in a thread."""

    async def run(self, function, *args, timeout):
        async with asyncio.timeout(timeout):
            return await asyncio.to_thread(function, *args)


@pytest.fixture
async def prometheus(service):
    """Its address: a Service of the cluster."""
    there, request = f"/api/v1/namespaces/{service.namespace}", service.connection.request
    pods = [pod for color in ("blue", "green") for pod in await service.pods(color)]
    targets = [
        {
            "targets": [f"{pod['status']['podIP']}:{manifests.CONTAINER_PORT}"],
            "labels": {"namespace": service.namespace, "pod": pod["metadata"]["name"]},
        }
        for pod in pods
    ]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "pods", "static_configs": targets}],
    }
    body = {"metadata": {"name": "prometheus"}, "data": {"prometheus.yml": json.dumps(config)}}
    await request("POST", f"{there}/configmaps", body)
    await request("POST", f"{there}/pods", POD)
    spec = {"selector": {"app": "prometheus"}, "ports": [{"name": "web", "port": 9090}]}
    await request("POST", f"{there}/services", {"metadata": {"name": "prometheus"}, "spec": spec})

    async def ready():
        try:
            found = await service.get(f"{there}/endpoints/prometheus")
        except ClusterError:
            return False
        return any(subset.get("addresses") for subset in found.get("subsets", ()))

    await within(DEADLINE, ready)
    return f"kube://{service.namespace}/prometheus:web"


async def test_the_board_and_the_gates_are_read_through_the_api_server(service, load_on, prometheus):
    settings = Settings(metrics=Metrics(prometheus_url=prometheus, scrape=False, refresh=0.5, range=60.0))
    subject = (await fresh.read(service.connection, service.namespace, NAME, hints_of(settings.defaults))).service
    proxy = partial(through, service.connection)
    live = subject.live_color
    source = FromPrometheus(Endpoint(prometheus), Inline(), settings.defaults, proxy=proxy)
    window = Window(subject, live, None, min(pod.ready_since for pod in live.pods))

    async def judged():
        found, _ = await source.look(window, ["p95", "error_share"])
        return found if not found.why else None

    found = await within(DEADLINE, judged)
    assert live.release.version == BLUE
    assert found.n >= 20
    assert found.values["error_share"] == 0
    assert 0 < found.values["p95"] < 10

    feed = MetricsFeed(settings, Inline(), None, lambda _: None, proxy)
    feed.charting = True
    feed.fleet([subject])
    feed.select(subject)
    feed.start()

    async def shown():
        told = feed.telemetry(subject.key)
        panels = {panel.id: panel for panel in told.panels} if told else {}
        full = [line for name in ("latency", "rate") for line in (panels[name].series if panels else ())]
        return panels if any(sum(map(math.isfinite, line.values)) > 3 for line in full if line.stat == "p95") else None

    try:
        panels = await within(DEADLINE, shown)
    finally:
        await feed.stop()
    assert (feed.state.condition, feed.state.message) == (Condition.LIVE, "")
    assert {"in_flight", "memory", "heat"} <= set(panels)
    assert panels["rate"].problem == ""
    [rate] = [line.last for line in panels["rate"].series if line.color == "blue"]
    assert rate > 1
