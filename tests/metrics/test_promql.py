"""The part of PromQL that is computed here: its language, its refusals, and that a real Prometheus says the same."""

import asyncio
import json
import math
import random
import time
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.config import ServiceSettings
from mlconsole.domain.services import PodState
from mlconsole.engine.figures import FromPods, Window
from mlconsole.metrics import local, panels, promql, queries
from mlconsole.metrics.answers import Question
from mlconsole.metrics.exposition import Parser, Sample
from mlconsole.metrics.local import LocalBoard, answer
from mlconsole.metrics.samples import Samples
from mlconsole.metrics.since import Counting

from . import stores
from .conftest import until
from .dialects import BLUE, EXPORTERS, GREEN, written
from .test_dialects import EXACT, HASHES, SERVICES, TRAFFIC, pod

NOW = 100_000


def samples(*lines, every=5, seconds=300, keep=3600.0):
    """A minute-long history of series: (name, labels, value by seconds)."""
    made = Samples(keep)
    for at in range(NOW - seconds, NOW + 1, every):
        for name, labels, value in lines:
            made.add(float(at), {"namespace": "ml"}, [Sample(name, labels, value(at))])
    return made


RISING = ("x_total", {"pod": "p-7d9-abcde", "code": "200"}, lambda at: float(at))
FAILED = ("x_total", {"pod": "p-7d9-abcde", "code": "500"}, lambda at: at / 4)
LEVEL = ("level", {"pod": "p-7d9-abcde"}, lambda at: 7.0)


def computed(text, made=None):
    reply = answer(made or samples(RISING, FAILED, LEVEL), Question(text))
    assert reply.failure is None, reply.failure
    return {tuple(sorted(row.labels.items())): row.values[-1] for row in reply.rows}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum(rate(x_total[1m]))", 1.25),
        ('sum(increase(x_total{code=~"5.."}[100s]))', 25.0),
        ('sum(rate(x_total{code!~"5..|4.."}[1m]))', 1.0),
        ('sum(rate(x_total{code!="200",}[1m]))', 0.25),
        ("avg(rate(x_total[1m])) * 2 + 1", 2.25),
        ("max(x_total) - min(x_total)", NOW * 0.75),
        ("count(x_total)", 2.0),
        ("-sum(level) / 2 / 1e1", -0.35),
        ("0*sum(nothing) or sum(level)", 7.0),
        ("(sum(level) or sum(x_total)) + .5", 7.5),
        ("sum(level) / (0 * sum(level))", math.nan),
    ],
)
def test_the_language(text, value):
    [found] = computed(text).values()
    assert found == pytest.approx(value, nan_ok=True)


def test_labels_are_grouped_replaced_and_matched():
    text = 'sum by (deployment,code) (label_replace(x_total,"deployment","$1-x","pod","(.+)-[a-z0-9]+-[a-z0-9]+"))'
    assert computed(text) == {
        (("code", "200"), ("deployment", "p-x")): NOW,
        (("code", "500"), ("deployment", "p-x")): NOW / 4,
    }
    assert computed('sum by (code) (x_total) / sum by (code) (x_total{code="500"})') == {(("code", "500"),): 1.0}
    assert computed('count by (__name__) ({__name__=~"x_total|level|other"})') == {
        (("__name__", "level"),): 1.0,
        (("__name__", "x_total"),): 2.0,
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("predict_linear(x[5m],60)", "predict_linear()"),
        ("rate(x[5m] offset 1h)", "offset"),
        ("x[5m]", "a range"),
        ("sum(x) and sum(y)", "'and'"),
        ("rate(x[5m:1m])", "':1m'"),
        ("sum(x", "an end too soon"),
        ('x{a=~"("}', "the pattern"),
        ("sum(1)", "a number"),
        ("x{a~b}", "'~b}'"),
        ("", "an end too soon"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(text, word):
    failure = answer(samples(RISING, ("x", {"a": "b"}, lambda at: 1.0)), Question(text)).failure
    assert failure.kind == "query"
    assert failure.why.startswith("without a Prometheus ")
    assert word.strip("'") in failure.why


@given(st.text(alphabet="sumratexby(){}[]\"=~,.5m+-*/ or$'`\\", max_size=40))
def test_no_text_breaks_it(text):
    reply = answer(samples(RISING, seconds=5), Question(text))
    assert reply.failure is not None or isinstance(reply.rows, tuple)


def test_a_reset_is_no_loss_and_a_gap_no_level():
    reset = ("x_total", {}, lambda at: float(at % 100))
    assert computed("rate(x_total[300s])", samples(reset))[(("namespace", "ml"),)] == pytest.approx(1.0, rel=0.06)
    made = samples(LEVEL)
    made.patience = 15.0
    made.last = NOW + 16.0
    assert computed("sum(level)", made) == {}


def test_samples_are_kept_so_long_and_so_many(monkeypatch):
    made = samples(RISING, every=1, seconds=1000, keep=100.0)
    [(_, (times, _))] = list(made.over([promql.Matcher("__name__", "=", "x_total")], 0.0, NOW))
    assert 100 <= len(times) <= 115
    monkeypatch.setattr("mlconsole.metrics.samples.MOST_SAMPLES", 500)
    made = samples(RISING, LEVEL, every=1, seconds=2000)
    assert made._count <= 501
    assert computed("sum(level)", made) == {(): 7.0}
    made.retain([])
    assert (made._count, computed("sum(level)", made)) == (0, {})


def test_there_is_room_for_so_many_samples_however_long_they_are_wanted(monkeypatch):
    monkeypatch.setattr("mlconsole.metrics.samples.MOST_SAMPLES", 500)
    made = Samples(300.0)
    for at in range(NOW, NOW + 2000):
        made.keep = max(made.keep, 3600.0)
        made.add(float(at), {"namespace": "ml"}, [Sample("level", {"pod": "p-7d9-abcde"}, 7.0)])
        assert made._count <= 501
    [(_, (times, _))] = list(made.over([promql.Matcher("__name__", "=", "level")], 0.0, NOW + 2000.0))
    assert 370 <= len(times) <= 501


# ---- every dialect, without a Prometheus


def scraped(exporter, moments):
    """What scraping has of an exporter: its pages, read as those of pods are."""
    made, parser = Samples(7200.0), Parser()
    for at in moments:
        for color, traffic in TRAFFIC.items():
            lines = written(exporter.page(traffic, at - NOW + 50_000.0, pod(exporter, color))).encode()
            place = {"namespace": "ml", "pod": pod(exporter, color)}
            made.add(float(at), place, parser.families(lines, local.wanted()))
    return made


def drawn(board, shown):
    """What a board tells when all of it is computed, and after how many calls."""
    calls = 1
    told = board.telemetry(shown, 30, "", NOW)
    while board.unfinished:
        told, calls = board.telemetry(shown, 30, "", NOW), calls + 1
    return told, calls


SERVING = [one for one in EXPORTERS if not one.labels]


@pytest.mark.parametrize("exporter", SERVING, ids=lambda one: one.name)
def test_every_panel_of_a_dialect_without_a_prometheus(exporter):
    made = scraped(exporter, range(NOW - 200, NOW + 1, 5))
    board = LocalBoard(SERVICES[exporter.name], ServiceSettings(), 1.0, made)
    wanted = {color: exporter.figures(traffic) for color, traffic in TRAFFIC.items()}
    for name, lines in wanted["blue"].items():
        told, _ = drawn(board, (60.0, 0.0, 0.0, name))
        panel = next(panel for panel in told.panels if panel.id == name)
        found = {(line.color, line.stat): line for line in panel.series}
        assert (told.source, panel.problem) == ("scrape", "")
        assert set(found) == {(color, line) for color in TRAFFIC for line in lines}, name
        for (color, line), one in found.items():
            assert one.values == pytest.approx([wanted[color][name][line]] * 60, rel=EXACT, abs=1e-9), (name, line)
    reasons = {panel.id: panel.problem for panel in told.panels}
    assert "takes a Prometheus that scrapes cAdvisor" in reasons["throttling"]


def test_what_takes_long_is_computed_a_little_at_each_call(monkeypatch):
    exporter = next(one for one in SERVING if one.name == "kserve")
    made = scraped(exporter, range(NOW - 200, NOW + 1, 5))
    whole, few = drawn(LocalBoard(SERVICES["kserve"], ServiceSettings(), 1.0, made), (60.0, 0.0, 0.0, "latency"))
    monkeypatch.setattr(local, "AT_ONCE", 0.0)
    board = LocalBoard(SERVICES["kserve"], ServiceSettings(), 1.0, made)
    first = board.telemetry((60.0, 0.0, 0.0, "latency"), 30, "", NOW)
    assert not any(panel.series for panel in first.panels)
    assert {panel.problem for panel in first.panels if panel.id == "latency"} == {"being computed"}
    board.telemetry((30.0, 0.0, 0.0, "latency"), 30, "", NOW)
    told, calls = drawn(board, (60.0, 0.0, 0.0, "latency"))
    assert (told.panels, calls > 3 * 60 > few) == (whole.panels, True)
    assert any(panel.series for panel in told.panels)


@pytest.mark.parametrize("exporter", [one for one in SERVING if "rate" in one.figures(BLUE)], ids=lambda one: one.name)
def test_the_row_of_a_service_of_another_dialect(exporter):
    made = scraped(exporter, range(NOW - 60, NOW + 1, 5))
    rows = local.glances(SERVICES[exporter.name], made, 30, NOW)
    assert [row.color for row in rows] == ["blue", "green"]
    for row, traffic in zip(rows, (BLUE, GREEN), strict=True):
        assert row.requests_per_second == pytest.approx(traffic.rate)
        assert row.p95 == pytest.approx(exporter.figures(traffic).get("latency", {}).get("p95"))


def test_restarts_are_the_api_servers_count():
    subject = SERVICES["triton"]
    made = Samples(3600.0)
    for at in range(NOW - 1800, NOW + 1, 60):
        count = 3 if at > NOW - 600 else 1
        one = PodState(pod(SERVING[6], "blue"), True, "Running", restarts=count, started_at=NOW - 3000.0)
        color = subject.colors[0].__class__("blue", "triton-blue", 1, 1, pods=(one,))
        for since, line in local.restarts(color, one.name, float(at), 3600.0):
            made.add(since, {"namespace": "ml", "pod": one.name}, [line])
    board = LocalBoard(subject, ServiceSettings(), 10.0, made)
    told, _ = drawn(board, (600.0, 0.0, 0.0, "restarts"))
    panel = next(panel for panel in told.panels if panel.id == "restarts")
    assert panel.series[0].values[-1] == pytest.approx(3.0, rel=0.02)


# ---- as the real one


@pytest.mark.real_prometheus
@pytest.mark.skipif(bool(stores.missing(stores.Prometheus)), reason=stores.missing(stores.Prometheus))
def test_a_real_prometheus_says_the_same_of_the_same_samples(tmp_path):
    """Of uneven, resetting, interrupted samples, to the last digits: every query of the file."""
    drawn = random.Random(7)
    base = int(time.time()) - 900
    lines, made = [], Samples(3600.0)
    for one in SERVING:
        for color, traffic in TRAFFIC.items():
            at, place = float(base), {"namespace": "ml", "pod": pod(one, color)}
            while at < base + 600:
                at = round(at + drawn.choice((2.0, 5.0, 5.0, 7.5, 40.0)), 3)
                page = one.page(traffic, at % 257 + drawn.random(), place["pod"])
                made.add(at, place, [Sample(name, labels, value) for _, name, labels, value in page])
                for _, name, labels, value in page:
                    inner = ",".join(f"{key}={json.dumps(text)}" for key, text in {**labels, **place}.items())
                    lines.append((name, at, f"{name}{{{inner}}} {value!r}"))
    store = stores.Prometheus(tmp_path)
    store.samples = [(line, at) for _, at, line in sorted(lines)]
    store.scrape({}, 1)
    compared = 0
    try:
        store.start()
        for one in SERVING:
            scope = queries.Scope([SERVICES[one.name]])
            for definition in panels.definitions().values():
                for dialect in definition.dialect:
                    if not frozenset(name for _, name, *_ in one.page(BLUE, 1.0, "p")).issuperset(dialect.needs):
                        continue
                    for stat, text in dialect.queries.items():
                        query = panels.filled(text, scope, 60, stat)
                        compared += same(store, made, query, base)
    finally:
        store.stop()
    assert compared > 5_000


def same(store, made, query, base):
    """How many points are the same; each is."""
    sent = {"query": query, "start": base, "end": base + 600, "step": 23}
    data = json.loads(stores.got(f"{store.url}/api/v1/query_range?{urlencode(sent)}"))["data"]["result"]
    theirs = {(*sorted(row["metric"].items()), at): float(value) for row in data for at, value in row["values"]}
    mine = answer(made, Question(query, base, base + 600, 23))
    assert mine.failure is None, mine.failure
    ours = {
        (*sorted(row.labels.items()), at): value
        for row in mine.rows
        for at, value in zip(row.times, row.values, strict=True)
    }
    assert set(theirs) == set(ours), query
    for key, value in theirs.items():
        expected = value if math.isfinite(value) else math.nan
        assert ours[key] == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), (query, key)
    return len(theirs)


# ---- in the console


async def test_panels_of_real_model_servers_without_a_prometheus(pods, feed):
    subject = SERVICES["mlconsole"]
    names = {color.name: color.pods[0].name for color in subject.colors}
    await pods.start(names["blue"], "blue", "7")
    await pods.start(names["green"], "green", "8")
    scraping = feed(refresh=0.3, range=60.0)
    scraping.show_panel("in_flight")
    scraping.fleet([subject])
    scraping.select(subject)
    load = [asyncio.create_task(pods.load(name)) for name in names.values()]

    def panel(name):
        told = scraping.telemetry(subject.key)
        found = next((one for one in told.panels if one.id == name), None) if told else None
        return found if found and {line.color for line in found.series} == set(HASHES) else None

    try:
        for name in ("in_flight", "memory", "heat", "accuracy", "latency", "rate"):
            scraping.show_panel(name)
            found = await until(lambda name=name: panel(name))
            assert found.problem == ""
            assert scraping.telemetry(subject.key).source == "scrape"
        scraping.show_panel("memory")
        used = (await until(lambda: panel("memory"))).series[0].last
        assert 10 * 2**20 < used < 500 * 2**20
    finally:
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)


async def test_a_service_of_another_dialect_has_its_row_and_its_panels(feed):
    exporter = next(one for one in EXPORTERS if one.name == "kserve")
    subject, began = SERVICES["kserve"], time.monotonic()

    async def page(_namespace, name, _port, _path):
        traffic = TRAFFIC["green" if "green" in name else "blue"]
        return written(exporter.page(traffic, time.monotonic() - began + 1000.0, name)).encode()

    scraping = feed(fetch=page, refresh=0.2, range=60.0)
    scraping.fleet([subject])
    rows = await until(lambda: len(scraping.glances(subject.key)) == 2 and scraping.glances(subject.key))
    assert [row.p95 for row in rows] == pytest.approx([0.475, 0.475])
    assert scraping.state.message == ""
    scraping.select(subject)

    def shown(name):
        told = scraping.telemetry(subject.key)
        return next((one for one in told.panels if one.id == name and len(one.series) > 1), None) if told else None

    latency = await until(lambda: shown("latency"))
    assert {line.stat: line.last for line in latency.series if line.color == "blue"} == pytest.approx(
        {"p50": 0.25, "p95": 0.475, "p99": 0.495}
    )
    assert "request_predict_seconds_bucket" in latency.query
    scraping.show_panel("heat")
    assert len((await until(lambda: shown("heat"))).series) == 2 * 15


class Gate:
    """The pods of an exporter's colours as a gate without a Prometheus reads them at some moments, the last is now."""

    def __init__(self, name, since, moments, *, moved=False):
        self.subject = SERVICES[name]
        exporter = next(one for one in EXPORTERS if one.name == name)
        blue, green = self.subject.colors
        self.now = float(moments[0])
        self.window = Window(self.subject, green, blue, since, moved)
        self.source = FromPods(None, ServiceSettings(), clock=lambda: self.now)
        self.source._problems = dict.fromkeys(TRAFFIC, ())
        self.source._pods = dict.fromkeys(TRAFFIC, 1)
        for color in self.subject.colors:
            self.source._counting[color.name] = Counting(color, since)
        for at in moments:
            self.now = float(at)
            for color in self.subject.colors:
                page = written(exporter.page(TRAFFIC[color.name], at - NOW + 50_000.0, color.pods[0].name)).encode()
                assert self.source._told(self.subject, color, color.pods[0].name, self.now, page)

    def figures(self, color, *names):
        return self.source._of(self.window, color, names)


def test_a_gate_without_a_prometheus_reads_the_dialect_of_the_pods():
    gate = Gate("istio", NOW - 100.0, range(NOW - 100, NOW + 1, 5))
    for color in gate.subject.colors:
        found = gate.figures(color, "p95", "error_share", "rate")
        traffic = TRAFFIC[color.name]
        assert found.values == pytest.approx({"p95": 0.475, "error_share": traffic.errors, "rate": traffic.rate})
        assert (found.n, found.why) == (pytest.approx(traffic.rate * 100), "")
    assert not gate.source._told(gate.subject, gate.subject.colors[0], "p", gate.now, b"other_total 1\n")


def test_a_rate_of_another_dialect_is_over_the_time_that_it_was_read():
    gate = Gate("kserve", NOW - 60.0, (NOW - 10, NOW))
    gate.now += 5.0
    found = gate.figures(gate.window.target, "rate")
    assert found.values["rate"] == pytest.approx(TRAFFIC["green"].rate)
    assert (found.n, found.age) == (pytest.approx(TRAFFIC["green"].rate * 10), 5.0)


def test_what_another_dialect_counted_before_the_switch_is_not_known():
    gate = Gate("kserve", NOW - 60.0, range(NOW - 60, NOW + 1, 5), moved=True)
    left = gate.figures(gate.window.live, "p95", "rate")
    assert (left.values, left.n) == ({}, None)
    assert left.why == "what blue did before the switch is not known: its pages are read only since"
    assert "since it was first read" in left.query
    assert gate.figures(gate.window.target, "p95").values["p95"] == pytest.approx(0.475)
