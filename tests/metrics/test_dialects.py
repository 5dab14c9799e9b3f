"""Every dialect of the panels, as others' exporters speak it, through a real Prometheus and a real VictoriaMetrics."""

import functools
import json
import time
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from mlconsole.config import ServiceSettings, Settings
from mlconsole.engine.figures import FromPrometheus, Window
from mlconsole.metrics import panels
from mlconsole.metrics.board import Board
from mlconsole.metrics.fleet import Fleet
from mlconsole.metrics.prometheus import Endpoint, ask

from . import stores
from .conftest import Inline, service
from .dialects import BLUE, EXPORTERS, GREEN, written

EXACT = 1e-9
JITTER = 0.05
"""By which a scrape comes too early or too late, of the seconds between two."""
ROUGH = {"restarts": 0.05}
"""Its hour begins where samples lie farther apart: what is before the first of them is guessed otherwise."""
SPAN = 300
BACK = 480
TRAFFIC = {"blue": BLUE, "green": GREEN}
HASHES = {"blue": "7d9f8b6c5", "green": "5b7c9d8f6"}
AGES = {"blue": 100_000.0, "green": 50_000.0}
"""Seconds that each has run at the start of the history."""


def pod(exporter, color):
    return f"{exporter.name}-{color}-{HASHES[color]}-abcde"


def services():
    return {one.name: service({color: [pod(one, color)] for color in TRAFFIC}, name=one.name) for one in EXPORTERS}


SERVICES = services()


class Exported:
    """The exporters on a port, and a history of them."""

    def __init__(self):
        self.server = stores.Pages()
        self.zero = int(time.time()) - BACK
        self.targets = {}
        for one in EXPORTERS:
            for color in TRAFFIC:
                path = f"/{one.name}/{color}"
                labels = one.labels or {"namespace": "ml", "pod": pod(one, color)}
                self.targets[path] = stores.Target(functools.partial(self._samples, one, color), labels, one.job)
                self.server.pages[path] = lambda path=path: written(self.targets[path].samples(time.time()))

    def _samples(self, one, color, at):
        return one.page(TRAFFIC[color], at - self.zero + AGES[color], pod(one, color))

    @property
    def moments(self):
        """Every scrape of the last minutes, and so many of the hour before as restarts are counted over."""
        return [*range(self.zero - 3600, self.zero, 120), *range(self.zero, int(time.time()) + 1, stores.STEP)]


@pytest.fixture(scope="module")
def exported():
    made = Exported()
    yield made
    made.server.close()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            kind, id=kind.program, marks=pytest.mark.skipif(bool(stores.missing(kind)), reason=stores.missing(kind))
        )
        for kind in (stores.Prometheus, stores.VictoriaMetrics)
    ],
)
def store(request, exported, tmp_path_factory):
    """A real database that has known the exporters for a while, and scrapes them on."""
    made = request.param(tmp_path_factory.mktemp(request.param.program))
    made.history(exported.targets, exported.server.port, exported.moments)
    made.scrape(exported.targets, exported.server.port)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def query(store, word, **params):
    return json.loads(stores.got(f"{store.url}/api/v1/{word}?{urlencode(params, doseq=True)}"))["data"]


def answered(store, asked, until=0):
    """Ask, as of now or as of a moment that was, and hand the answers over."""
    questions = [item.question for item in asked]
    if until:
        questions = [replace(one, start=until - 60, end=until, step=30) for one in questions]
    replies = ask(Endpoint(store.url), questions)
    for item, reply in zip(asked, replies, strict=True):
        assert reply.failure is None, (item.question, reply.failure)
        assert reply.warnings == ()
        item.take(reply)


def shown(store, name, panel, until):
    """A panel of a service, as the console shows it: asked twice, since which metrics there are is asked first."""
    board = Board(SERVICES[name], ServiceSettings(), 1.0)
    for _ in range(2):
        board.show(SPAN, until, 0.0, panel)
        answered(store, board.questions(time.time(), 30))
    told = board.telemetry(time.time(), False, "")
    return {panel.id: panel for panel in told.panels}


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda one: one.name)
def test_every_panel_of_a_dialect_has_the_figures_that_were_exported(store, exporter):
    wanted = {color: exporter.figures(traffic) for color, traffic in TRAFFIC.items()}
    for name, lines in wanted["blue"].items():
        there = shown(store, exporter.name, name, store.known - 10)
        panel = there[name]
        assert panel.problem == "", (name, panel.problem)
        found = {(line.color, line.stat): line for line in panel.series}
        assert set(found) == {(color, line) for color in TRAFFIC for line in lines}, name
        for (color, line), one in found.items():
            assert len(one.values) == SPAN
            expected = pytest.approx([wanted[color][name][line]] * SPAN, rel=ROUGH.get(name, EXACT), abs=1e-12)
            assert one.values == expected, (name, color, line)
    assert {name for name, panel in there.items() if not panel.problem.startswith("none of its metrics")} >= set(
        wanted["blue"]
    )


def test_every_dialect_of_the_file_is_spoken_by_an_exporter():
    """But for native histograms, which no text format has: tests/metrics/test_real_hostile.py."""
    spoken = set()
    for one in EXPORTERS:
        mark = panels.EXPORTED if one.job == "relabelled" else ""
        names = frozenset(mark + name for _, name, *_ in one.page(BLUE, 1.0, pod(one, "blue")))
        for panel, definition in panels.definitions().items():
            spoken |= {(panel, item.name) for item in panels.spoken(definition, [names])}
    all_of_them = {(panel, item.name) for panel, one in panels.definitions().items() for item in one.dialect}
    assert all_of_them - spoken == {
        ("latency", "mlconsole, native histogram"),
        ("heat", "prometheus-fastapi-instrumentator, few buckets"),
    }


EVERY = '{job=~"pods|relabelled",__name__!~"up|scrape_.*"}'


def series(store, start, end):
    return len(query(store, "series", **{"match[]": EVERY, "start": start, "end": end}))


@pytest.fixture(scope="module")
def scraped(store):
    """The same database, once each of its series was scraped."""
    wanted = series(store, store.known - 30, store.known)
    end = time.monotonic() + stores.SECONDS
    while True:
        now = time.time()
        since = int(now - store.known)
        rows = query(store, "query", query=f"count(last_over_time({EVERY}[{since}s]))", time=now, nocache=1)["result"]
        if rows and int(rows[0]["value"][1]) >= wanted:
            return store
        assert time.monotonic() < end, rows
        time.sleep(0.1)


def test_what_is_scraped_goes_on_with_the_history(scraped):
    """No series begins with the first scrape: names and labels are those of the history."""
    before = series(scraped, scraped.known - 30, scraped.known)
    assert before == series(scraped, scraped.known - 30, time.time() + 60) > 1000


def requested():
    """The dialects that tell of requests."""
    return [one for one in EXPORTERS if "rate" in one.figures(BLUE)]


def test_the_rows_of_a_fleet_of_all_dialects(scraped):
    fleet = Fleet(Settings())
    mine = [SERVICES[one.name] for one in requested()]
    for _ in range(2):
        answered(scraped, fleet.questions(mine, "", time.time()), scraped.known)
        fleet.settle({one.key: one for one in mine}, time.time(), 0.0)
    for one in requested():
        rows = {row.color: row for row in fleet.figures.glances[SERVICES[one.name].key]}
        for color, traffic in TRAFFIC.items():
            figures = one.figures(traffic)
            row = rows[color]
            assert row.requests_per_second == pytest.approx(traffic.rate, rel=JITTER), one.name
            assert row.error_share == (pytest.approx(traffic.errors, rel=JITTER) if "errors" in figures else None), (
                one.name
            )
            p95 = figures.get("latency", {}).get("p95")
            assert row.p95 == (pytest.approx(p95, rel=JITTER) if p95 else None), one.name


@pytest.mark.parametrize("exporter", requested(), ids=lambda one: one.name)
async def test_a_gate_reads_what_the_candidate_and_the_live_colour_export(scraped, exporter):
    subject = SERVICES[exporter.name]
    live, target = subject.colors
    source = FromPrometheus(Endpoint(scraped.url), Inline(), ServiceSettings())
    latency = exporter.figures(GREEN).get("latency", {})
    wanted = ["rate", "live.rate"]
    wanted += [
        key for name in ("error_share",) if "errors" in exporter.figures(GREEN) for key in (name, f"live.{name}")
    ]
    wanted += ["p95", "live.p95"] if "p95" in latency else []
    mine, its = await source.look(Window(subject, target, live, time.time() - 120), wanted)
    for figures, traffic in ((mine, GREEN), (its, BLUE)):
        assert figures.why == ""
        assert figures.values["rate"] == pytest.approx(traffic.rate, rel=JITTER)
        assert figures.n == pytest.approx(traffic.rate * 120, rel=JITTER)
        assert 0 <= figures.age < 60
        if "error_share" in wanted:
            assert figures.values["error_share"] == pytest.approx(traffic.errors, rel=JITTER)
        if "p95" in latency:
            assert figures.values["p95"] == pytest.approx(latency["p95"], rel=JITTER)


async def test_a_gate_says_what_a_dialect_does_not_tell(scraped):
    async def why(name, figure):
        subject = SERVICES[name]
        source = FromPrometheus(Endpoint(scraped.url), Inline(), ServiceSettings())
        found, _ = await source.look(Window(subject, subject.colors[1], None, time.time() - 120), [figure])
        assert found.values[figure] is None
        return found.why

    assert await why("triton", "p95") == "Triton does not tell p95, only mean"
    assert await why("torchserve", "error_share") == (
        "no data: the pods of green export nothing that errors is read from (docs/metrics.md)"
    )
    assert (await why("dcgm", "p95")).startswith("no data: the pods of green export nothing that p95 is read from")


def test_what_is_shown_of_the_last_half_minute(scraped):
    """Why so much is asked for again (`board.SETTLED_SECONDS`): VictoriaMetrics repeats what was before."""
    now = int(time.time())

    def values(start):
        text = "time()+0*count(ml_model_accuracy)"
        rows = query(scraped, "query_range", query=text, start=start, end=now, step=1)["result"]
        return [float(value) for _, value in rows[0]["values"]] if rows else []

    whole, young = values(now - 60), values(now - 10)
    assert len(whole) == 61
    if isinstance(scraped, stores.VictoriaMetrics):
        assert len(set(whole[-29:])) == 1
        assert len(set(whole[:29])) == 29
        assert young == []
    else:
        assert whole == list(range(now - 60, now + 1))
        assert young == whole[-11:]
