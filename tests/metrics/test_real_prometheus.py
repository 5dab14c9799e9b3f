"""Against a real Prometheus that scrapes real model servers: what is shown is what its HTTP API says."""

import asyncio
import math
import time

import pytest

from mlconsole.config import ServiceSettings
from mlconsole.domain.drift import DriftVerdict
from mlconsole.domain.sources import Condition
from mlconsole.domain.telemetry import histogram_quantile
from mlconsole.engine.offload import Offload

from .conftest import REAL, close, service, until

pytestmark = [pytest.mark.real_prometheus, REAL]
BLUE, GREEN = "churn-blue-7d9f8b6c5-abcde", "churn-green-5b7c9d8f6-fghij"
SERVICE = service({"blue": [BLUE], "green": [GREEN]})


async def until_fresh(feed, since):
    await until(lambda: min((glance.at for glance in feed.glances("ml/churn")), default=0.0) >= since)


@pytest.fixture
async def traffic(pods):
    """Two colours under load until the test ends; green has no errors, blue many."""
    await pods.start(BLUE, "blue", "7", FAULT="errors")
    await pods.start(GREEN, "green", "8")
    tasks = [asyncio.create_task(pods.load(name)) for name in (BLUE, GREEN)]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_figures_are_those_of_the_http_api_and_of_scraping(pods, traffic, prometheus, feed):
    prometheus.targets(pods)
    offload = Offload()
    rate = 'sum by (color) (rate(ml_predictions_total{namespace="$namespace",pod=~"$pods"}[5s]))'
    own = {"churn": ServiceSettings(queries={"rate": rate})}
    asking = feed(worker=offload, services=own, prometheus_url=prometheus.url, refresh=1.0)
    scraping = feed(refresh=1.0)
    for one in (asking, scraping):
        one.fleet([SERVICE])
        one.select(SERVICE)
    try:
        await until(lambda: len(asking.glances("ml/churn")) == 2 and len(scraping.glances("ml/churn")) == 2)
        await prometheus.until_rows('count_over_time(ml_predictions_total{status="success"}[1m]) >= 12', 2)
        await until_fresh(asking, time.time())
        await until_fresh(scraping, time.time())
        assert asking.state.condition is Condition.LIVE
        assert asking.state.name == "prom"

        for glance in asking.glances("ml/churn"):
            pod = {"blue": BLUE, "green": GREEN}[glance.color]
            window = asking._observer._fleet.window
            at = {"time": str(glance.at)}
            [(_, rate)] = await prometheus.query(f'sum(rate(ml_predictions_total{{pod="{pod}"}}[5s]))', **at)
            assert glance.requests_per_second == pytest.approx(rate, rel=0.1)
            bucket = f'sum by (le) (rate(ml_prediction_duration_seconds_bucket{{pod="{pod}"}}[{window}s]))'
            [(_, p95)] = await prometheus.query(f"histogram_quantile(0.95, {bucket})", **at)
            assert glance.p95 == pytest.approx(p95, rel=0.1)
            buckets = sorted((float(labels["le"]), value) for labels, value in await prometheus.query(bucket, **at))
            assert histogram_quantile(0.95, buckets) == pytest.approx(p95)

        asked = {glance.color: glance for glance in asking.glances("ml/churn")}
        scraped = {glance.color: glance for glance in scraping.glances("ml/churn")}
        for color in ("blue", "green"):
            assert close(asked[color].requests_per_second, scraped[color].requests_per_second, 0.35)
            assert close(asked[color].p50, scraped[color].p50, 0.35)
        assert asked["green"].error_share == scraped["green"].error_share == 0
        assert 0.2 < asked["blue"].error_share < 0.4
        assert 0.2 < scraped["blue"].error_share < 0.4
    finally:
        await offload.close()


async def test_the_panels_are_what_a_range_query_gives(pods, traffic, prometheus, feed):
    prometheus.targets(pods)
    await prometheus.until_rows("ml_prediction_errors_total", 2)
    asking = feed(prometheus_url=prometheus.url, refresh=1.0, range=60.0)
    asking.fleet([SERVICE])
    asking.select(SERVICE)

    def points():
        telemetry = asking.telemetry("ml/churn")
        series = [line for panel in telemetry.panels for line in panel.series] if telemetry else []
        return len(series) == 10 and all(sum(map(math.isfinite, line.values)) > 5 for line in series)

    await until(points)
    telemetry = asking.telemetry("ml/churn")
    shown = ["latency", "errors", "rate", "heat", "in_flight", "accuracy", "predictions", "cpu", "memory"]
    assert [panel.id for panel in telemetry.panels if panel.id in shown] == [
        name for name in shown if name in {panel.id for panel in telemetry.panels}
    ]
    assert [panel.id for panel in telemetry.panels if panel.series] == ["latency", "errors", "rate"]
    assert telemetry.source == "prometheus"
    assert telemetry.step == 1
    latency = telemetry.panels[0]
    assert {(line.color, line.stat) for line in latency.series} == {
        (color, stat) for color in ("blue", "green") for stat in ("p50", "p95", "p99")
    }
    p95_query = latency.query.splitlines()[1]
    line = next(line for line in latency.series if (line.color, line.stat) == ("green", "p95"))
    known = [(at, value) for at, value in zip(line.times, line.values, strict=True) if math.isfinite(value)]
    for at, value in known[-6:-3]:
        rows = await prometheus.query(p95_query, time=str(at))
        [expected] = [number for labels, number in rows if labels["deployment"] == "churn-green"]
        assert value == pytest.approx(expected, rel=1e-6), at


async def test_drift_by_prometheus_and_by_scraping(pods, prometheus, feed):
    await pods.start(BLUE, "blue", "7")
    await pods.start(GREEN, "green", "8")
    prometheus.targets(pods)
    await prometheus.until_rows("ml_predictions_total", 4)
    asking = feed(prometheus_url=prometheus.url, refresh=0.5)
    scraping = feed(refresh=0.5)
    for one in (asking, scraping):
        one.fleet([SERVICE])
        one.select(SERVICE)
    seen = {("tenure", "blue"), ("spend", "blue"), ("tenure", "green"), ("spend", "green")}
    table = await until(
        lambda: (
            (found := scraping.drift("ml/churn"))
            and {(row.feature, row.color) for row in found.features} >= seen
            and found
        )
    )
    assert {row.verdict for row in table.features} == {DriftVerdict.UNKNOWN}
    await asyncio.gather(pods.predict(BLUE, 600), pods.predict(GREEN, 300, features=[1e6, 1e6, 1e6]))

    def judged(one):
        asking._observer._drift_asked = -math.inf
        found = one.drift("ml/churn")
        rows = {(row.feature, row.color): row for row in found.features} if found else {}
        return rows if len(rows) == 6 and all(row.n_current >= 250 for row in rows.values()) else None

    for one in (scraping, asking):
        rows = await until(lambda one=one: judged(one))
        assert {row.verdict for key, row in rows.items() if key[1] == "blue"} == {DriftVerdict.OK}
        assert {row.verdict for key, row in rows.items() if key[1] == "green"} == {DriftVerdict.DRIFTED}
        assert [row.color for row in one.drift("ml/churn").features[:3]] == ["green"] * 3


async def test_a_prometheus_that_goes_and_comes_back(pods, traffic, prometheus, feed):
    prometheus.targets(pods)
    asking = feed(prometheus_url=prometheus.url, refresh=0.5)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: asking.glances("ml/churn"))
    pods.asked.clear()
    assert not pods.asked
    await prometheus.stop()
    await until(lambda: asking.state.condition is Condition.DOWN)
    assert asking.state.name == "prom"
    assert "cannot be reached" in asking.state.message
    assert "scraped meanwhile" in asking.state.message
    await until(lambda: asking.telemetry("ml/churn") and asking.telemetry("ml/churn").source == "scrape")
    await until(lambda: len(asking.glances("ml/churn")) == 2)
    since = asking.state.since
    assert since <= time.time()
    await prometheus.start()
    asking.reconnect()
    await until(lambda: asking.state.condition is Condition.LIVE)
    assert asking.state.message == ""
    await until(lambda: asking.telemetry("ml/churn") and asking.telemetry("ml/churn").source == "prometheus")
    await until(lambda: not asking._scraper._reading)
    pods.asked.clear()
    fetched = len(asking.told)
    await until(lambda: len(asking.told) > fetched + 3)
    assert pods.asked == []
