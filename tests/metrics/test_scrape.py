"""Scraping real model servers, and pods that answer what no model server should."""

import asyncio
import math
import time

import pytest
from msgspec.structs import replace

from mlconsole.cluster.errors import Unreachable
from mlconsole.domain.drift import Basis, DriftVerdict, key_of
from mlconsole.domain.sources import Condition
from mlconsole.metrics import local, scrape
from mlconsole.metrics.scrape import Scraper
from mlconsole.metrics.scrapedpanels import ScrapedPanels

from .conftest import pod, service, until

BLUE, GREEN = "churn-blue-7d9f8b6c5-abcde", "churn-green-5b7c9d8f6-fghij"
SERVICE = service({"blue": [BLUE], "green": [GREEN]})
KEY = "ml/churn"


def page(requests, errors=0, color="blue", version="7", extra=""):
    labels = f'model="churn",version="{version}",color="{color}"'
    return (
        f'ml_predictions_total{{{labels},status="success"}} {requests}\n'
        f"ml_prediction_errors_total{{{labels}}} {errors}\n"
        f'ml_prediction_duration_seconds_bucket{{{labels},le="0.1"}} {requests}\n'
        f'ml_prediction_duration_seconds_bucket{{{labels},le="+Inf"}} {requests}\n{extra}'
    ).encode()


def counting(per_read=10, **more):
    """A pod whose counters grow with each read."""
    total = 0

    async def answer():
        nonlocal total
        total += per_read
        return page(total, **more)

    return answer


async def test_figures_panels_and_drift_of_real_servers(pods, feed):
    await pods.start(BLUE, "blue", "7")
    await pods.start(GREEN, "green", "8", FAULT="errors")
    scraping = feed(range=60.0)
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    assert scraping.state.name == "scrape"
    await until(lambda: scraping.state.condition is Condition.LIVE)
    load = [asyncio.create_task(pods.load(name)) for name in (BLUE, GREEN)]
    try:
        await until(lambda: sum(glance.samples > 60 for glance in scraping.glances(KEY)) == 2)
        blue, green = scraping.glances(KEY)
        assert (blue.color, green.color) == ("blue", "green")
        assert blue.error_share == 0
        assert 0.1 < green.error_share < 0.6
        for glance in (blue, green):
            assert 0.001 < glance.p50 <= glance.p95 <= glance.p99 < 1
            assert time.time() - glance.at < 5
        telemetry = scraping.telemetry(KEY)
        assert telemetry.source == "scrape"
        assert (telemetry.step, len(telemetry.panels[0].series)) == (0.2, 6)
        assert all(line.times == telemetry.panels[0].series[0].times for p in telemetry.panels for line in p.series)
        rates = [line.last for line in telemetry.panels[2].series]
        assert all(5 < rate < 80 for rate in rates)
        assert KEY in scraping.told
        await until(lambda: {row.verdict for row in scraping.drift(KEY).features} == {DriftVerdict.OK})
        assert {row.n_current >= 200 for row in scraping.drift(KEY).features} == {True}
        table = scraping.drift(KEY)
        assert {row.n_reference is not None and row.n_reference >= 200 for row in table.features} == {True}
        assert table.pictures.keys() == {key_of(row) for row in table.features}
        assert {one.basis for one in table.references.values()} == {Basis.SERVERS}
    finally:
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)


async def test_a_server_that_is_killed_and_starts_again_counts_on(pods, feed):
    await pods.start(BLUE, "blue", "7")
    scraping = feed()
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await pods.predict(BLUE, 50)
    await until(lambda: pods.asked)
    await pods.predict(BLUE, 20)
    await until(lambda: scraping.glances(KEY))
    await pods.kill(BLUE)
    await until(lambda: "gave no metrics" in scraping.state.message)
    await pods.start(BLUE, "blue", "7")
    await pods.predict(BLUE, 30)
    scraping.reconnect()

    def counted():
        [glance] = scraping.glances(KEY)
        return glance.samples >= 29

    await until(counted)
    [glance] = scraping.glances(KEY)
    assert glance.samples <= 100.1
    assert glance.requests_per_second >= 0
    # Green never was there: its pod's problem stays told.
    await until(lambda: GREEN in scraping.state.message)


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        (b"<html>502 Bad Gateway</html>\n", "HTML"),
        (b"ml_predictions_total 12", "cut short"),
        (b"# nothing of ours\n", "exports no ml_predictions_total"),
        (b'ml_predictions_total NaN\nml_prediction_duration_seconds_bucket{le="+Inf"} 1\n', "no count"),
        (b"\xff\xff\n", "UTF-8"),
        (page(5, color="green"), "says color=green: not counted"),
        (Unreachable("no route to [bold]\x1b[31m", "because"), "no route to"),
    ],
)
async def test_a_pod_that_answers_nonsense_is_told_and_the_others_live(pods, feed, instead, words):
    pods.instead = {BLUE: instead, GREEN: counting(color="green")}
    scraping = feed()
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: any(glance.color == "green" for glance in scraping.glances(KEY)) and scraping.state.message)
    assert scraping.state.condition is Condition.LIVE
    assert words in scraping.state.message
    assert BLUE in scraping.state.message
    assert "\x1b" not in scraping.state.message
    known = [glance for glance in scraping.glances(KEY) if glance.requests_per_second is not None]
    assert [glance.color for glance in known] == ["green"]
    await until(lambda: words in scraping.telemetry(KEY).problem)
    # And when it answers as it should, it counts.
    pods.instead[BLUE] = counting()
    scraping.reconnect()
    await until(lambda: len(scraping.glances(KEY)) == 2 and not scraping.state.message)


async def test_a_pod_that_hangs_holds_up_nobody(pods, feed, monkeypatch):
    monkeypatch.setattr(scrape, "DEADLINE", 0.3)
    hangs = asyncio.Event()
    pods.instead = {BLUE: hangs.wait, GREEN: counting(color="green")}
    scraping = feed(refresh=0.1)
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: scraping.glances(KEY) and scraping.state.message)
    assert "no answer in 0.3 s" in scraping.state.message
    before = len(pods.asked)
    await until(lambda: len(pods.asked) > before + 10)


async def test_without_a_cluster_it_is_down_and_comes_back(pods, feed):
    pods.instead = {name: Unreachable("pods cannot be scraped", "there is no connection") for name in (BLUE, GREEN)}
    scraping = feed()
    assert "no running pod" in scraping.state.message
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: scraping.state.condition is Condition.DOWN)
    assert "there is no connection" in scraping.state.message
    assert scraping.state.hint
    pods.instead = {name: counting(color=color) for name, color in ((BLUE, "blue"), (GREEN, "green"))}
    scraping.reconnect()
    await until(lambda: scraping.state.condition is Condition.LIVE)
    await until(lambda: len(scraping.glances(KEY)) == 2)


async def test_pods_come_and_go(pods, feed):
    pods.instead = {name: counting() for name in (BLUE, "new", "pending", "going")}
    scraping = feed(refresh=0.1)
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: scraping.glances(KEY))
    blue, green = SERVICE.colors
    changed = (pod("new"), pod("pending", ready=False), replace(pod("going"), terminating=True))
    other = replace(SERVICE, colors=(replace(blue, pods=changed), replace(green, pods=())))
    scraping.fleet([other])
    scraping.select(other)
    await until(lambda: "new" in {name for _, name, _, _ in pods.asked})
    pods.asked.clear()
    await until(lambda: len(pods.asked) > 5)
    assert {(namespace, name, port, path) for namespace, name, port, path in pods.asked} == {
        ("ml", "new", "http", "/metrics")
    }
    scraping.fleet([])
    scraping.select(None)
    assert scraping.glances(KEY) == ()


async def test_drift_is_of_no_pod_that_fell_silent(pods, feed, monkeypatch):
    labels = 'feature="land",model="churn",version="7",color="blue"'
    pods.instead = {BLUE: counting(extra=f'ml_feature_category_total{{{labels},category="de"}} 30\n')}
    scraping = feed(refresh=0.1)
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: (table := scraping.drift(KEY)) and table.features)
    monkeypatch.setattr(scraping._scraper, "_clock", lambda: time.time() + 700)
    assert scraping.drift(KEY).features == ()


async def test_another_cluster_starts_from_nothing(pods, feed):
    pods.instead = {BLUE: counting(), GREEN: counting(color="green")}
    scraping = feed(refresh=0.1)
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: scraping.glances(KEY) and scraping.drift(KEY))
    scraping.place("")
    assert scraping.glances(KEY) == ()
    assert scraping.telemetry(KEY) is None
    assert scraping.drift(KEY) is None
    assert scraping.state.condition is Condition.STARTING
    assert scraping.state.last_contact == 0
    # The same services again, in the other cluster.
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: scraping.glances(KEY))


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


async def served(fetches, services, selected, seconds, answer):
    """How often each pod was read in some seconds of a fleet's life, on a clock of its own."""
    clock = Clock()

    async def fetch(namespace, name, port, path):
        fetches[name] = fetches.get(name, 0) + 1
        return answer

    scraper = Scraper(5.0, fetch, lambda key: None, clock)
    scraper.active = True
    scraper.fleet(services)
    scraper.select(selected)
    end = clock.now + seconds
    while clock.now < end:
        while scraper._start_due() is None and scraper._reading:
            await asyncio.gather(*scraper._reading)
            await asyncio.sleep(0)
        if scraper._reading:
            await asyncio.gather(*scraper._reading)
        clock.now += 0.1
    return scraper


async def test_a_large_fleet_shares_a_budget_and_the_selected_service_comes_first():
    services = [
        service(
            {"blue": [f"s{n}-blue-{i}" for i in range(10)], "green": [f"s{n}-green-{i}" for i in range(10)]}, f"s{n}"
        )
        for n in range(250)
    ]
    fetches = {}
    scraper = await served(fetches, services, services[7], 300.0, page(1))
    mine = [count for name, count in fetches.items() if name.startswith("s7-")]
    others = [count for name, count in fetches.items() if not name.startswith("s7-")]
    assert len(mine) == 20
    assert min(mine) >= 50
    # Only the live colour of the others, each within the budget.
    assert len(others) == 249 * 10
    assert sum(others) <= 300 * scrape.PER_SECOND * 2
    assert max(others) <= 4
    assert scraper.state.condition is Condition.LIVE
    assert scraper.glances("ml/s7")


def predicted(count):
    """A page of KServe's server."""
    return (
        f"request_predict_seconds_count {count}\nrequest_predict_seconds_sum {count}\n"
        f'request_predict_seconds_bucket{{le="0.1"}} {count}\nrequest_predict_seconds_bucket{{le="+Inf"}} {count}\n'
    ).encode()


async def test_figures_of_another_dialect_are_made_once_a_round_and_its_charts_a_little_at_each_call(monkeypatch):
    made = []
    whole = ScrapedPanels.glances
    monkeypatch.setattr(ScrapedPanels, "glances", lambda *args: made.append(whole(*args)) or made[-1])
    names = {color: [f"churn-{color}-7d9f8b6c5-abcd{n}" for n in range(8)] for color in ("blue", "green")}
    subject, fetches = service(names), {}
    scraper = await served(fetches, [subject], subject, 60.0, predicted(500))
    assert 8 <= len(made) <= sum(fetches.values()) / 16
    assert [glance.color for glance in scraper.glances(KEY)] == ["blue", "green"]
    # The charts: who calls has other things to do, and is called again for the rest.
    monkeypatch.setattr(local, "AT_ONCE", 0.0)
    told = scraper._changed = Told()
    while not (rate := next(panel for panel in scraper.telemetry(KEY).panels if panel.id == "rate")).series:
        told.append("asked")
    assert rate.series[0].last == 0
    assert told.count(KEY) >= told.count("asked") > 25


class Told(list):
    """The keys that were told."""

    __call__ = list.append


async def test_pods_without_figures_are_asked_ever_less_often():
    fetches = {}
    plain = service({"blue": ["web-blue-1"], "green": ["web-green-1"]}, "web")
    await served(fetches, [plain], plain, 1200.0, b"# other figures\n")
    assert max(fetches.values()) < 15


async def test_every_read_is_planned_again_whatever_goes_wrong():
    async def fetch(namespace, name, port, path):
        raise ValueError("a bug of the fetcher")

    scraper = Scraper(5.0, fetch, lambda key: None, Clock())
    scraper.active = True
    scraper.fleet([SERVICE])
    scraper._clock.now += 1
    scraper._start_due()
    results = await asyncio.gather(*scraper._reading, return_exceptions=True)
    assert {str(result) for result in results} == {"a bug of the fetcher"}
    assert scraper._due[0][0] > scraper._clock.now


async def test_gaps_stay_gaps_in_the_panels():
    clock = Clock()

    async def fetch(namespace, name, port, path):
        return b""

    scraper = Scraper(5.0, fetch, lambda key: None, clock)
    scraper.fleet([SERVICE])
    scraper.select(SERVICE)
    scraper.show_range(600.0)
    target = scraper._targets[KEY][BLUE]
    for second in [*range(0, 100, 5), *range(450, 500, 5)]:
        clock.now = 1_000_000.0 + second
        scraper._count_page(target, clock.now, scraper._parser.page(page(second * 2)))
    telemetry = scraper.telemetry(KEY)
    [line] = telemetry.panels[2].series
    values = dict(zip(line.times, line.values, strict=True))
    assert values[1_000_060.0] == pytest.approx(2.0)
    assert math.isnan(values[1_000_200.0])
    assert values[1_000_490.0] == pytest.approx(2.0)
    assert scraper.telemetry(KEY) is telemetry


async def test_it_ends_at_once_also_when_it_was_just_woken(pods, feed):
    pods.instead = {BLUE: counting(), GREEN: counting(color="green")}
    scraping = feed()
    scraping.fleet([SERVICE])
    await until(lambda: len(pods.asked) >= 2 and not scraping._scraper._reading)
    # asyncio.wait_for of Python 3.11 loses a cancellation that comes with what it waits for.
    scraping.reconnect()
    await asyncio.wait_for(scraping.stop(), 60)
    assert not scraping._tasks


async def test_a_colour_that_comes_is_on_the_chart(pods, feed):
    pods.instead = {BLUE: counting(), GREEN: counting(color="green")}
    scraping = feed(refresh=0.1)
    alone = replace(SERVICE, colors=SERVICE.colors[:1])
    scraping.fleet([alone])
    scraping.select(alone)
    await until(lambda: scraping.telemetry(KEY) and scraping.telemetry(KEY).panels[2].series)
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: {line.color for line in scraping.telemetry(KEY).panels[2].series} == {"blue", "green"})


async def test_the_first_figures_come_before_the_first_bin_is_full(pods, feed):
    pods.instead = {BLUE: counting(), GREEN: counting(color="green")}
    scraping = feed(refresh=600.0)
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    await until(lambda: len(scraping.glances(KEY)) == 2)
    [blue, _] = scraping.glances(KEY)
    assert blue.samples == pytest.approx(10.0)
    assert blue.requests_per_second == pytest.approx(10.0 / scrape.SOON, rel=0.5)


async def test_a_service_of_a_large_fleet_gets_fine_figures_when_it_is_selected():
    services = [service({"blue": [f"s{n}-blue-{i}" for i in range(10)]}, f"s{n}", versions=("1",)) for n in range(20)]
    scraper = await served({}, services, services[0], 60.0, page(1))
    assert {ledger.width for ledger in scraper._books["ml/s3"].colors.values()} == {30.0}
    assert scraper.glances("ml/s3")
    scraper.select(services[3])
    target = scraper._targets["ml/s3"]["s3-blue-0"]
    for _ in range(4):
        scraper._clock.now += 5
        scraper._count_page(target, scraper._clock.now, scraper._parser.page(page(1)))
    assert {ledger.width for ledger in scraper._books["ml/s3"].colors.values()} == {5.0}
    assert scraper.telemetry("ml/s3").panels[2].series[0].last == 0.0
