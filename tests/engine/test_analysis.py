"""The analyst on real model servers in the embedded world, and on an API server alone."""

import asyncio
import contextlib
import time

import pytest
from msgspec.structs import replace

from mlconsole.cluster import fresh, proxy
from mlconsole.cluster.connection import Connection
from mlconsole.config import Metrics, ServiceSettings, Settings
from mlconsole.configoperations import Analysis as Wanted
from mlconsole.demo.apiserver.faults import Failure
from mlconsole.domain.analysis import Spec
from mlconsole.domain.plans import Verdict
from mlconsole.domain.services import Color, ModelService, Release, Shape
from mlconsole.engine import analysis
from mlconsole.engine.analysis import Analyst
from mlconsole.engine.figures import FromPods, Window
from mlconsole.metrics.prometheus import Reply, Row

NOBODY = Settings(metrics=Metrics(scrape=False))
TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "slo"},
    "spec": {
        "metrics": [
            {"name": "errors", "successCondition": "result[0] < 1", "provider": {"prometheus": {"query": "x"}}},
            {"name": "load", "successCondition": "result[0] < 1", "provider": {"job": {}}},
        ]
    },
}


class NoWorker:
    """Nothing may be handed to a worker."""

    async def run(self, function, *args, timeout):
        raise AssertionError(f"{function} was called")


class Answering:
    """A worker that answers each question as it is told: `answer(query)` gives the reply."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def run(self, function, endpoint, questions, *, timeout):
        self.asked += [question.query for question in questions]
        return [self.answer(question.query) for question in questions]


class Place:
    """A service of the embedded world, read anew each time."""

    def __init__(self, connection, world):
        self.connection = connection
        self.world = world

    async def service(self, name="fraud-scorer"):
        return (await fresh.read(self.connection, "ml", name)).service

    async def predict(self, service, color, count):
        """Requests to a colour that has no traffic, as a smoke test or parity sends them."""
        for pod in color.pods:
            number = await proxy._number(self.connection, "ml", pod.name, service.ports[0].target)
            path = f"/api/v1/namespaces/ml/pods/{pod.name}:{number}/proxy/predict"
            for _ in range(count):
                await self.connection.exchange("POST", path, {"features": [0.1] * self.features(service)})

    @contextlib.asynccontextmanager
    async def traffic(self, service, color):
        """Requests to a colour, one after the other, beside those of the world's own load."""

        async def sending():
            while True:
                await self.predict(service, color, 1)

        task = asyncio.create_task(sending())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def features(self, service):
        stream = next(item for item in self.world.load._streams if item.service == service.name)
        return len(stream.mean)


@pytest.fixture
async def place(world):
    """The embedded world through a connection of its own."""
    connection = await Connection.open(kubeconfig=str(world.folder / "kubeconfig"), namespace="ml")
    yield Place(connection, world)
    await connection.close()


def quick(name, condition, **more):
    return Spec(name, condition, **{"interval": 0.5, "count": 3, **more})


def by_name(gates):
    return {gate.name: gate for gate in gates}


async def test_the_live_colour_is_measured_from_its_pods_own_counters(place):
    service = await place.service()
    live = service.live_color
    await place.predict(service, live, 10)
    specs = [
        quick("slow", "p95 < 1us", count=2, failure_limit=9),
        quick("load", "rate > 0 and error_share < 0.5 and p95 < 10s", count=2),
    ]
    changes, words = [], []
    analyst = Analyst(place.connection, Settings(), NoWorker())
    gates = by_name(await analyst.run(service, live, live, specs, say=words.append, on_change=changes.append))
    assert gates["load"].verdict is Verdict.PASS
    assert gates["load"].evidence.startswith(f"GET /metrics of 3 pods of {live.name} through the API server, since ")
    assert "n = " in gates["load"].evidence
    assert gates["load"].age < 30
    assert gates["slow"].verdict is Verdict.UNKNOWN
    assert "none passed: 2 measurements" in gates["slow"].value
    assert changes
    assert any(line.startswith("slow: FAIL: p95 = ") for line in words)


async def test_an_idle_colour_is_unknown_and_the_evidence_says_that_this_is_by_design(place):
    service = await place.service()
    idle = service.idle_color
    analyst = Analyst(place.connection, Settings(), NoWorker())
    [gate] = await analyst.run(service, idle, service.live_color, [quick("latency", "p95 < 10s")])
    assert gate.verdict is Verdict.UNKNOWN
    assert "p95 = unknown; only 0 requests, 20 are needed" in gate.value
    assert f"{idle.name} gets no traffic before the switch, so that only smoke and parity requests count" in gate.value
    assert gate.stops


async def test_requests_of_a_smoke_test_count_for_an_idle_colour(place):
    service = await place.service()
    idle = service.idle_color
    await place.predict(service, idle, 10)
    analyst = Analyst(place.connection, Settings(), NoWorker())
    compared = quick("compared", "error_share <= live + 0.5", interval=1.0, count=6, inconclusive_limit=6)
    async with place.traffic(service, service.live_color):
        gates = by_name(await analyst.run(service, idle, service.live_color, [quick("latency", "p95 < 10s"), compared]))
    assert gates["latency"].verdict is Verdict.PASS
    assert "n = 30" in gates["latency"].evidence
    assert gates["compared"].verdict is Verdict.PASS, gates["compared"]


async def test_a_failure_in_the_watch_window_ends_it_at_once(place):
    service = await place.service()
    analyst = Analyst(place.connection, Settings(), NoWorker())
    began = time.time()
    specs = [quick("fine", "rate > 0"), quick("bad", "rate < 0")]
    gates = by_name(await analyst.run(service, service.live_color, service.idle_color, specs, began, began + 300))
    assert gates["bad"].verdict is Verdict.FAIL
    assert time.time() - began < 60


async def test_the_watch_window_is_measured_to_its_end(place):
    service = await place.service()
    analyst = Analyst(place.connection, Settings(), NoWorker())
    began = time.time()
    seen = []
    [gate] = await analyst.run(
        service,
        service.live_color,
        service.idle_color,
        [quick("fine", "rate > 0", count=1)],
        began,
        began + 5,
        on_change=lambda gates: seen.append(gates[0].verdict),
    )
    assert time.time() >= began + 5
    assert gate.verdict is Verdict.PASS
    assert len(seen) >= 3
    assert seen[0] is Verdict.UNKNOWN


async def test_too_little_traffic_yet_does_not_end_the_watch_and_is_not_good_at_its_end(place):
    service = await place.service()
    idle = service.idle_color
    analyst = Analyst(place.connection, Settings(), NoWorker())
    began = time.time()
    seen = []
    [gate] = await analyst.run(
        service,
        idle,
        service.live_color,
        [quick("latency", "p95 < 10s", inconclusive_limit=0)],
        began,
        began + 2.5,
        on_change=lambda gates: seen.append(gates[0].value),
    )
    assert time.time() >= began + 2.5
    assert "came too early" in seen[0]
    assert gate.verdict is Verdict.UNKNOWN
    assert "none passed" in gate.value


async def test_what_another_version_counted_is_not_the_candidates(place):
    service = await place.service()
    live = service.live_color
    other = Color(live.name, live.deployment, 3, 3, release=Release(live.release.model, "99"), pods=live.pods)
    analyst = Analyst(place.connection, Settings(), NoWorker())
    [gate] = await analyst.run(service, other, None, [quick("load", "rate > 0", inconclusive_limit=1)])
    assert gate.verdict is Verdict.UNKNOWN
    assert f"is of v99 and says version={live.release.version}: not counted" in gate.value


async def test_it_can_be_cancelled_at_any_time(place):
    service = await place.service()
    analyst = Analyst(place.connection, Settings(), NoWorker())
    looked = asyncio.Event()
    task = asyncio.create_task(
        analyst.run(
            service,
            service.live_color,
            None,
            [quick("load", "rate > 0", count=None)],
            on_change=lambda _: looked.set(),
        )
    )
    async with asyncio.timeout(60):
        await looked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_colour_that_was_left_is_judged_by_what_it_did_before(place):
    service = await place.service()
    idle = service.idle_color
    await place.predict(service, idle, 10)
    window = Window(service, service.live_color, idle, time.time() + 60, moved=True)
    _, its = await FromPods(place.connection, ServiceSettings()).look(window, ("live.p95",))
    assert its.n == 30
    assert its.values["p95"] > 0
    assert its.query.endswith("since its processes began")


async def test_a_pod_that_says_that_it_is_of_the_other_colour_is_not_counted(place, monkeypatch):
    service = await place.service()
    stranger = service.idle_color.pods[0].name
    get = proxy.pod_get

    async def led_astray(connection, namespace, pod, port, path, timeout):
        return await get(connection, namespace, stranger, port, path, timeout)

    monkeypatch.setattr(proxy, "pod_get", led_astray)
    unversioned = replace(service.live_color, release=Release())
    source = FromPods(place.connection, ServiceSettings())
    found, _ = await source.look(Window(service, unversioned, None, 1.0), ("p95",))
    assert found.error
    assert f"is of {service.live} and says color={service.idle_color.name}: not counted" in found.why


# ---- an API server alone

GREEN = Color("green", "fraud-green", 2, 2, release=Release(version="13"))
BLUE = Color("blue", "fraud-blue", 2, 2, release=Release(version="12"))
SERVICE = ModelService("ml", "fraud", Shape.BLUE_GREEN, color_key="color", live="blue", colors=(BLUE, GREEN))


def wanted(**analyses):
    metrics = Metrics(prometheus_url="http://127.0.0.1:1")
    return Settings(defaults=ServiceSettings(analysis=analyses), metrics=metrics)


def vector(*rows):
    return Reply(tuple(Row(labels, [time.time()], [value]) for labels, value in rows))


async def gates_of(embedded, settings, answer, when="before"):
    worker = Answering(answer)
    analyst = Analyst(embedded.connection, settings, worker)
    specs = await analyst.specs(SERVICE, when)
    found = await analyst.run(SERVICE, GREEN, BLUE, specs, time.time() - 60)
    return by_name(found), worker


async def test_a_query_of_the_settings_is_asked_with_the_candidate_filled_in(embedded):
    query = 'sum by (version) (rate(errors{version="{version}",slot="{color}",ns="{namespace}/{service}"}[{since}]))'
    settings = wanted(own=Wanted("result < 0.05", query, interval=0.5, count=2))
    gates, worker = await gates_of(embedded, settings, lambda _: vector(({"version": "13"}, 0.01)))
    assert gates["own"].verdict is Verdict.PASS
    assert gates["own"].limit == "result < 0.05"
    assert 'errors{version="13",slot="green",ns="ml/fraud"}[60s]' in worker.asked[0]
    assert worker.asked[-1] in gates["own"].evidence


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([({"version": "12"}, 0.01)], "what came back is of version 12, not of v13"),
        ([({"color": "blue"}, 0.01)], "what came back is of blue, not of green"),
        ([({"deployment": "fraud-blue", "namespace": "ml"}, 0.01)], "is of blue, not of green"),
        ([], "no data"),
        ([({}, float("nan"))], "result = nan"),
        ([({"le": "1"}, 0.01), ({"le": "2"}, 0.01)], "gave 2 series, one is wanted"),
    ],
)
async def test_an_answer_about_something_else_or_about_nothing_is_unknown(embedded, rows, words):
    settings = wanted(own=Wanted("result < 0.05", "x", interval=0.5, count=1))
    gates, _ = await gates_of(embedded, settings, lambda _: vector(*rows))
    assert gates["own"].verdict is Verdict.UNKNOWN
    assert words in gates["own"].value


async def test_an_answer_that_names_nobody_is_said_to(embedded):
    settings = wanted(own=Wanted("result < 0.05", "x", interval=0.5, count=1))
    gates, _ = await gates_of(embedded, settings, lambda _: vector(({}, 0.01)))
    assert gates["own"].verdict is Verdict.PASS
    assert "the answer names no colour and no version" in gates["own"].evidence


async def test_a_template_of_the_cluster_is_one_gate_as_good_as_its_worst_metric(embedded):
    await embedded.post("/apis/argoproj.io/v1alpha1/namespaces/ml/analysistemplates", TEMPLATE)
    gates, _ = await gates_of(embedded, wanted(slo=Wanted(template="slo", count=1)), lambda _: vector(({}, 0.5)))
    assert {name: (gate.verdict, gate.blocks) for name, gate in gates.items()} == {
        "slo": (Verdict.UNKNOWN, True),
        "slo.errors": (Verdict.PASS, False),
        "slo.load": (Verdict.UNKNOWN, False),
    }
    assert "provider job is not asked here" in gates["slo"].value


async def test_a_template_that_is_not_there_is_unknown(embedded):
    gates, _ = await gates_of(embedded, wanted(slo=Wanted(template="absent")), lambda _: vector())
    assert gates["slo"].verdict is Verdict.UNKNOWN
    assert "there is no AnalysisTemplate ml/absent" in gates["slo"].value


async def test_what_is_measured_before_and_what_after(embedded):
    analyses = {when: Wanted("p95 < 1", when=when) for when in ("before", "after", "both")}
    analyst = Analyst(embedded.connection, wanted(**analyses), NoWorker())
    assert [spec.name for spec in await analyst.specs(SERVICE, "before")] == ["before", "both"]
    assert [spec.name for spec in await analyst.specs(SERVICE, "after")] == ["after", "both"]


async def test_without_a_source_everything_is_unknown(embedded):
    analyst = Analyst(embedded.connection, NOBODY, NoWorker())
    specs = [quick("latency", "p95 < 1"), quick("own", "result < 1", query="x")]
    gates = by_name(await analyst.run(SERVICE, GREEN, BLUE, specs, time.time() - 60))
    assert {gate.verdict for gate in gates.values()} == {Verdict.UNKNOWN}
    assert "no Prometheus, and scraping is off" in gates["latency"].value
    assert "no Prometheus is asked here" in gates["own"].value


async def test_a_worker_that_does_not_answer_is_unknown(embedded):
    def late(_):
        raise TimeoutError

    settings = wanted(latency=Wanted("p95 < 1", interval=0.5, count=1))
    gates, _ = await gates_of(embedded, settings, late)
    assert gates["latency"].verdict is Verdict.UNKNOWN
    assert "gave no answer within" in gates["latency"].value


async def test_an_api_server_that_goes_away_is_unknown_not_a_failure(embedded):
    await embedded.blue_green()
    analyst = Analyst(embedded.connection, Settings(), NoWorker())
    embedded.faults.failures.insert(0, Failure(lambda method, path: True, status=503, times=1000))
    [gate] = await analyst.run(SERVICE, GREEN, BLUE, [quick("latency", "p95 < 1")], time.time() - 60)
    assert gate.verdict is Verdict.UNKNOWN
    assert "the pods cannot be listed" in gate.value


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Wanted(), "analysis.x: it has no condition, and names no template"),
        (Wanted("p95 <"), "a value is missing at its end"),
        (Wanted("result < 1"), "`result` is that of a query, and there is none"),
        (Wanted("p95 < 1", "up"), "does not look at the `result` of its query"),
    ],
)
def test_what_cannot_be_measured_says_why(item, words):
    assert words in analysis._own("x", item).problem


@pytest.mark.parametrize("item", [Wanted("p95 < 1.2 * live"), Wanted("result < 1", "up")])
def test_what_is_right_has_no_mistake(item):
    assert analysis._own("x", item).problem == ""
