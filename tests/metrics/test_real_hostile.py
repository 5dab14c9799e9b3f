"""A real Prometheus that scrapes what no server should export: the chart has what its HTTP API says, digit by digit."""

import contextlib
import math
import time

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from mlconsole.domain.telemetry import histogram_quantile

from . import native
from .conftest import REAL, feeds, real_prometheus, service, settled, until

pytestmark = [pytest.mark.real_prometheus, REAL, pytest.mark.asyncio(loop_scope="module")]
POD = "churn-blue-7d9f8b6c5-abcde"
EDGES = (0.01, 0.05, 0.25, 1.0)


class Target:
    """A pod's /metrics, as a test wants it, in a namespace of its own."""

    def __init__(self, namespace, text, binary):
        self.namespace, self.text, self.binary = namespace, text, binary
        self.began = time.monotonic()
        self.kinds = set()
        self.port = 0

    @property
    def group(self):
        """What Prometheus is told of it."""
        return {"targets": [f"127.0.0.1:{self.port}"], "labels": {"namespace": self.namespace, "pod": POD}}

    async def handle(self, request):
        seconds = time.monotonic() - self.began
        self.kinds.add(request.headers.get("Accept", "").partition(";")[0])
        if self.binary is not None:
            return web.Response(body=self.binary(seconds), headers={"Content-Type": native.KIND})
        return web.Response(text=self.text(seconds))

    @contextlib.asynccontextmanager
    async def serving(self):
        app = web.Application()
        app.router.add_get("/metrics", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        yield
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus(tmp_path_factory):
    """A real Prometheus that scrapes every target twice a second as a pod of blue, all at one time."""
    folder = tmp_path_factory.mktemp("hostile")
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = await stack.enter_async_context(real_prometheus(folder / "prometheus", session))
        made.pages = {name: Target(name, text, BINARY.get(name)) for name, text in (TEXTS | BINARY).items()}
        for target in made.pages.values():
            await stack.enter_async_context(target.serving())
        made.target_ports([target.group for target in made.pages.values()])
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def looking(prometheus):
    """Look at a panel of a target through the real Prometheus."""
    async with feeds() as feed:

        def start(target, panel):
            made = feed(prometheus_url=prometheus.url, scrape=False, refresh=0.5, range=60.0)
            made.show_panel(panel)
            shown = service({"blue": [POD]}, namespace=target)
            made.key = shown.key
            made.fleet([shown])
            made.select(shown)
            return made

        yield start


def panel_of(feed, name):
    told = feed.telemetry(feed.key)
    return next((panel for panel in told.panels if panel.id == name), None) if told else None


def known(feed, name, count):
    """The panel, once each of its lines has so many points."""
    panel = panel_of(feed, name)
    full = panel and panel.series and all(sum(map(math.isfinite, line.values)) >= count for line in panel.series)
    return panel if full else None


async def same_as_the_api(prometheus, feed, name, label=""):
    """Every point that cannot change any more is the HTTP API's, and none is missing; how many there were."""
    told = feed.telemetry(feed.key)
    panel = next(panel for panel in told.panels if panel.id == name)
    settled = told.end - 4
    compared = 0
    stats = [None] if label else list(dict.fromkeys(line.stat for line in panel.series))
    for stat, query in zip(stats, panel.query.splitlines(), strict=True):
        rows = await prometheus.range(query, told.start, told.end, told.step)
        for labels, points in rows.items():
            wanted = dict(labels).get(label) if label else stat
            line = next((line for line in panel.series if line.stat == wanted), None)
            shown = dict(zip(line.times, line.values, strict=True)) if line else {}
            for at, text in points.items():
                if at <= settled:
                    value = float(text)
                    here = shown.get(at, math.nan)
                    assert here == value or (not math.isfinite(value) and math.isnan(here)), (query, at)
                    compared += math.isfinite(value)
            assert all(math.isnan(value) or at in points for at, value in shown.items() if at <= settled)
    return compared


def counters(seconds, since=0.0):
    """What a model server would export that has run since then: 50 requests a second, some slow, some failed."""
    count = int(50 * (seconds - since))
    lines = [
        f'ml_predictions_total{{status="success"}} {count - count // 10}',
        f'ml_predictions_total{{status="error"}} {count // 10}',
        f"ml_prediction_errors_total {count // 10}",
    ]
    shares = (0.31, 0.62, 0.9, 0.99)
    lines += [
        f'ml_prediction_duration_seconds_bucket{{le="{edge}"}} {int(count * share)}'
        for edge, share in zip(EDGES, shares, strict=True)
    ]
    return "\n".join([*lines, f'ml_prediction_duration_seconds_bucket{{le="+Inf"}} {count}', ""])


def native_page(seconds):
    """Schema 3: eight buckets for each power of two; index 0 ends at 1 s, index -24 at 0.125 s."""
    count = int(40 * seconds)
    return native.page("ml_prediction_duration_seconds", {}, {-24: 9 * count, -8: count}, 2.0 * count)


LONG = "x" * 10_000
WORDS = ("NaN", "+Inf", "0.5", "-Inf")
TEXTS = {
    "steady": counters,
    "begun-anew": lambda seconds: counters(seconds, since=seconds - seconds % 4),
    "not-finite": lambda seconds: f"ml_model_accuracy {WORDS[int(seconds / 2) % 4]}\n",
    "gone": lambda seconds: "ml_predictions_in_flight 3\n",
    "long": lambda seconds: (
        f'ml_prediction_class_total{{class="{LONG}"}} {int(seconds * 7)}\nml_prediction_class_total{{class="b"}} 1\n'
    ),
}
BINARY = {"native": native_page}
"""What the targets export, by the time that they have run."""


async def test_every_point_of_every_line_is_the_http_apis(prometheus, looking):
    asking = looking("steady", "")
    await until(lambda: settled(asking) and all(known(asking, name, 8) for name in ("latency", "errors", "rate")))
    for name in ("latency", "errors", "rate"):
        assert await same_as_the_api(prometheus, asking, name) > 3
    asking.show_panel("heat")
    await until(lambda: known(asking, "heat", 8))
    assert await same_as_the_api(prometheus, asking, "heat", "le") > 15


async def test_percentiles_are_those_of_the_buckets(prometheus, looking):
    asking = looking("steady", "latency")
    await until(lambda: settled(asking) and known(asking, "latency", 6))
    asking.show_panel("heat")
    await until(lambda: known(asking, "heat", 6))
    latency, heat = panel_of(asking, "latency"), panel_of(asking, "heat")
    at = asking.telemetry(asking.key).end - 4
    index = latency.series[0].times.index(at)
    buckets = [(float(line.stat), line.values[line.times.index(at)]) for line in heat.series]
    for line, q in zip(latency.series, (0.5, 0.95, 0.99), strict=True):
        assert line.values[index] == pytest.approx(histogram_quantile(q, buckets), rel=1e-9)


async def test_a_native_histogram_has_the_percentiles_of_histogram_quantile(prometheus, looking):
    asking = looking("native", "latency")
    panel = await until(lambda: known(asking, "latency", 8))
    assert "application/vnd.google.protobuf" in prometheus.pages["native"].kinds
    assert "_bucket" not in panel.query
    assert [line.stat for line in panel.series] == ["p50", "p95", "p99"]
    assert await same_as_the_api(prometheus, asking, "latency") > 3
    p50, p95, _ = (line.last for line in panel.series)
    assert 2 ** (-25 / 8) <= p50 <= 2 ** (-24 / 8)
    assert 2 ** (-9 / 8) <= p95 <= 2 ** (-8 / 8)
    # The rows of the fleet speak the same dialect.
    await until(lambda: asking.glances(asking.key) and asking.glances(asking.key)[0].p95)
    assert 2 ** (-9 / 8) <= asking.glances(asking.key)[0].p95 <= 2 ** (-8 / 8)


async def test_a_counter_that_begins_anew_is_no_negative_rate(prometheus, looking):
    asking = looking("begun-anew", "rate")
    await until(lambda: known(asking, "rate", 12))
    assert await same_as_the_api(prometheus, asking, "rate") > 6
    [line] = panel_of(asking, "rate").series
    values = [value for value in line.values if math.isfinite(value)]
    assert min(values) >= 0
    assert 5 < max(values) < 60


async def test_nan_and_infinity_are_gaps(prometheus, looking):
    asking = looking("not-finite", "accuracy")
    await until(lambda: known(asking, "accuracy", 3))
    assert await same_as_the_api(prometheus, asking, "accuracy") >= 1
    [line] = panel_of(asking, "accuracy").series
    assert {value for value in line.values if math.isfinite(value)} == {0.5}
    assert any(map(math.isnan, line.values))


async def test_a_target_that_is_gone_is_a_gap_at_once(prometheus, looking):
    asking = looking("gone", "in_flight")
    await until(lambda: known(asking, "in_flight", 3))
    prometheus.target_ports([target.group for name, target in prometheus.pages.items() if name != "gone"])
    await until(lambda: math.isnan(panel_of(asking, "in_flight").series[0].values[-3]))
    prometheus.target_ports([target.group for target in prometheus.pages.values()])
    await until(lambda: math.isfinite(panel_of(asking, "in_flight").series[0].values[-3]))
    values = panel_of(asking, "in_flight").series[0].values
    first = next(index for index, value in enumerate(values) if math.isfinite(value))
    assert any(map(math.isnan, values[first:])), "what was not there is not drawn over"
    assert await same_as_the_api(prometheus, asking, "in_flight") > 3


async def test_a_class_of_ten_kilobytes(prometheus, looking):
    asking = looking("long", "predictions")
    await until(lambda: known(asking, "predictions", 6))
    assert await same_as_the_api(prometheus, asking, "predictions", "class") > 3
    assert max(len(line.label) for line in panel_of(asking, "predictions").series) <= 60
