"""A real Prometheus that scrapes what no server should export: the chart has what its HTTP API says, digit by digit.

What only has to be kept is there at once, as a history; what only scraping shows (the end of a target, a histogram that
no text has) is scraped.
"""

import json
import math
import time
from urllib.parse import urlencode

import pytest

from mlconsole.config import ServiceSettings, Settings
from mlconsole.domain.telemetry import histogram_quantile
from mlconsole.metrics.board import Board
from mlconsole.metrics.fleet import Fleet
from mlconsole.metrics.prometheus import Endpoint, ask

from . import native, stores
from .conftest import REAL, service

pytestmark = [pytest.mark.real_prometheus, REAL]
SPAN = 120
BACK = 300
EDGES = (0.01, 0.05, 0.25, 1.0)
SHARES = (0.31, 0.62, 0.9, 0.99)
LONG = "x" * 10_000


def counters(seconds):
    """What a model server would export that has run so long: 50 requests a second, some slow, some failed."""
    count = int(50 * seconds)
    found = [
        ("counter", "ml_predictions_total", {"status": "success"}, count - count // 10),
        ("counter", "ml_predictions_total", {"status": "error"}, count // 10),
        ("counter", "ml_prediction_errors_total", {}, count // 10),
    ]
    name = "ml_prediction_duration_seconds_bucket"
    for edge, share in zip(EDGES, SHARES, strict=True):
        found.append(("histogram", name, {"le": str(edge)}, int(count * share)))
    return [*found, ("histogram", name, {"le": "+Inf"}, count)]


def odd(seconds):
    """A level that is a number now and then."""
    return [("gauge", "ml_model_accuracy", {}, (math.nan, math.inf, 0.5, -math.inf)[int(seconds / 2) % 4])]


def classes(seconds):
    """A class of 10 kB, and one of which nothing comes."""
    name = "ml_prediction_class_total"
    return [("counter", name, {"class": LONG}, int(seconds * 7)), ("counter", name, {"class": "b"}, 1)]


HISTORIES = {
    "steady": counters,
    "anew": lambda seconds: counters(seconds % 40),
    "odd": odd,
    "long": classes,
}
SCRAPED = ("native", "leaving")


def pod(name):
    return f"{name}-blue-7d9f8b6c5-abcde"


SERVICES = {name: service({"blue": [pod(name)]}, name=name) for name in (*HISTORIES, *SCRAPED)}


class Place:
    """A Prometheus, and what it scrapes."""

    def __init__(self, store, server):
        self.store, self.server = store, server
        self.leaving = "ml_predictions_in_flight 3\n"

    def query(self, word, **params):
        """What the HTTP API itself says."""
        return json.loads(stores.got(f"{self.store.url}/api/v1/{word}?{urlencode(params)}"))["data"]["result"]

    def answered(self, asked):
        replies = ask(Endpoint(self.store.url), [item.question for item in asked])
        for item, reply in zip(asked, replies, strict=True):
            assert reply.failure is None, reply.failure
            item.take(reply)

    def looked(self, name, panel, seconds=SPAN, until=None, board=None):
        """A panel on the screen, as far as the history goes."""
        board = board or Board(SERVICES[name], ServiceSettings(), 1.0)
        for _ in range(2):
            board.show(seconds, self.store.known if until is None else until, 0.0, panel)
            self.answered(board.questions(time.time(), 30))
        return board.telemetry(time.time(), False, "")

    def until(self, true):
        """Until it is so, of what is scraped."""
        end = time.monotonic() + stores.SECONDS
        while not (found := true()):
            assert time.monotonic() < end
            time.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A Prometheus with the histories, that scrapes two targets."""
    server, began = stores.Pages(), time.monotonic()
    store = stores.Prometheus(tmp_path_factory.mktemp("hostile"))
    made = Place(store, server)
    zero = int(time.time()) - BACK
    targets = {
        f"/{name}": stores.Target(lambda at, samples=samples: samples(at - zero + 1000.0), labels(name))
        for name, samples in HISTORIES.items()
    }
    store.history(targets, server.port, range(zero, zero + BACK, stores.STEP))
    # Schema 3: eight buckets for each power of two; index 0 ends at 1 s, index -24 at 0.125 s.
    server.pages["/native"] = lambda: (natives(time.monotonic() - began + 100.0), native.KIND)
    server.pages["/leaving"] = lambda: made.leaving
    store.scrape({f"/{name}": stores.Target(None, labels(name)) for name in SCRAPED}, server.port)
    try:
        store.start()
        yield made
    finally:
        store.stop()
        server.close()


def labels(name):
    return {"namespace": "ml", "pod": pod(name)}


def natives(seconds):
    count = int(40 * seconds)
    return native.page("ml_prediction_duration_seconds", {}, {-24: 9 * count, -8: count}, 2.0 * count)


def panel_of(told, name):
    return next(panel for panel in told.panels if panel.id == name)


def same_as_the_api(place, told, name, label=""):
    """Every point is the HTTP API's, and none is missing; how many there were."""
    panel, compared = panel_of(told, name), 0
    stats = [None] if label else list(dict.fromkeys(line.stat for line in panel.series))
    for stat, query in zip(stats, panel.query.splitlines(), strict=True):
        for row in place.query("query_range", query=query, start=told.start, end=told.end, step=told.step):
            points = dict(row["values"])
            wanted = row["metric"].get(label) if label else stat
            line = next((line for line in panel.series if line.stat == wanted), None)
            shown = dict(zip(line.times, line.values, strict=True)) if line else {}
            for at, text in points.items():
                value, here = float(text), shown.get(at, math.nan)
                assert here == value or (not math.isfinite(value) and math.isnan(here)), (query, at)
                compared += math.isfinite(value)
            assert all(math.isnan(value) or at in points for at, value in shown.items())
    return compared


def test_every_point_of_every_line_is_the_http_apis(place):
    for name in ("latency", "errors", "rate"):
        assert same_as_the_api(place, place.looked("steady", name), name) >= SPAN
    assert same_as_the_api(place, place.looked("steady", "heat"), "heat", "le") >= 5 * SPAN


def test_percentiles_are_those_of_the_buckets(place):
    latency = panel_of(place.looked("steady", "latency"), "latency")
    heat = panel_of(place.looked("steady", "heat"), "heat")
    for index in range(0, SPAN, 7):
        buckets = [(float(line.stat), line.values[index]) for line in heat.series]
        for line, q in zip(latency.series, (0.5, 0.95, 0.99), strict=True):
            assert line.values[index] == pytest.approx(histogram_quantile(q, buckets), rel=1e-9)


def test_a_counter_that_begins_anew_is_no_negative_rate(place):
    told = place.looked("anew", "rate")
    assert same_as_the_api(place, told, "rate") == SPAN
    [line] = panel_of(told, "rate").series
    assert 40 < min(line.values) < 49, "what came between the last sample and the new beginning is not known"
    assert max(line.values) == 50


def test_nan_and_infinity_are_gaps(place):
    told = place.looked("odd", "accuracy")
    assert same_as_the_api(place, told, "accuracy") > SPAN / 8
    [line] = panel_of(told, "accuracy").series
    assert {value for value in line.values if math.isfinite(value)} == {0.5}
    assert any(map(math.isnan, line.values))


def test_a_class_of_ten_kilobytes(place):
    told = place.looked("long", "predictions")
    assert same_as_the_api(place, told, "predictions", "class") == 2 * SPAN
    assert max(len(line.label) for line in panel_of(told, "predictions").series) <= 60


def scraped(place, name, panel, count, board=None):
    """The telemetry of what is scraped, once each line of the panel has so many points."""
    told = place.looked(name, panel, 60, 0.0, board)
    found = next((one for one in told.panels if one.id == panel), None) if told else None
    full = found and found.series and all(sum(map(math.isfinite, line.values)) >= count for line in found.series)
    return told if full else None


def test_a_native_histogram_has_the_percentiles_of_histogram_quantile(place):
    told = place.until(lambda: scraped(place, "native", "latency", 3))
    panel = panel_of(told, "latency")
    assert "application/vnd.google.protobuf" in place.server.wanted["/native"]
    assert "_bucket" not in panel.query
    assert [line.stat for line in panel.series] == ["p50", "p95", "p99"]
    p50, p95, _ = (line.last for line in panel.series)
    assert 2 ** (-25 / 8) <= p50 <= 2 ** (-24 / 8)
    assert 2 ** (-9 / 8) <= p95 <= 2 ** (-8 / 8)
    # Of a moment that is past: the API's own figures, to the digit.
    past = place.looked("native", "latency", 60, told.end - 1)
    assert same_as_the_api(place, past, "latency") >= 6
    # The rows of the fleet speak the same dialect.
    fleet, mine = Fleet(Settings()), SERVICES["native"]
    for _ in range(2):
        place.answered(fleet.questions([mine], "", time.time()))
        fleet.settle({mine.key: mine}, time.time(), 0.0)
    assert 2 ** (-9 / 8) <= fleet.figures.glances[mine.key][0].p95 <= 2 ** (-8 / 8)


def test_a_target_that_is_gone_is_a_gap_at_once(place):
    board = Board(SERVICES["leaving"], ServiceSettings(), 1.0, anew=1.0)
    place.until(lambda: scraped(place, "leaving", "in_flight", 1, board))

    def newest():
        told = place.looked("leaving", "in_flight", 60, 0.0, board)
        return told, panel_of(told, "in_flight").series[0].values

    board._existing_due = math.inf  # as it is for a minute
    place.leaving = None
    place.until(lambda: math.isnan(newest()[1][-1]))
    place.leaving = "ml_predictions_in_flight 3\n"
    place.until(lambda: math.isfinite(newest()[1][-1]))
    told, values = newest()
    first = next(index for index, value in enumerate(values) if math.isfinite(value))
    assert any(map(math.isnan, values[first:])), "what was not there is not drawn over"
    past = place.looked("leaving", "in_flight", 60, told.end - 1)
    assert same_as_the_api(place, past, "in_flight") >= 2
