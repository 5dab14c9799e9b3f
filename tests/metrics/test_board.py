"""The panels of the selected service, over real sockets: what is asked for, what is kept, what is said."""

import asyncio
import math
import re
import time
from email.utils import formatdate

import pytest
from aiohttp import web

from mlconsole.config import ServiceSettings
from mlconsole.configpanels import PanelSettings
from mlconsole.domain.sources import Condition
from mlconsole.metrics.answers import Reply, Row
from mlconsole.metrics.board import SETTLED_SECONDS, Board

from .conftest import matrix, service, until, vector

SERVICE = service({"blue": ["churn-blue-6b7-aaaaa"], "green": ["churn-green-6b8-bbbbb"]})
BLUE = {"namespace": "ml", "deployment": "churn-blue"}
GREEN = {"namespace": "ml", "deployment": "churn-green"}
NAMES = (
    "ml_predictions_total",
    "ml_prediction_duration_seconds_bucket",
    "ml_prediction_class_total",
    "container_memory_working_set_bytes",
)


class Server:
    """A Prometheus with some metrics: blue has `names`, green only the requests."""

    def __init__(self, names=NAMES):
        self.names = names
        self.lines = {}
        """More rows of a range, by a word of its query: [(labels, value at a time)]."""

    def __call__(self, path, query):
        text = query["query"]
        if path.endswith("query_range"):
            rows = next((rows for word, rows in self.lines.items() if word in text), [(BLUE, lambda at: 1.0)])
            return matrix(query, *rows)
        if text.startswith("count by (__name__,deployment)"):
            if "exported_pod" in text:
                return vector()
            blue = [(BLUE | {"__name__": name}, 1) for name in self.names]
            return vector(*blue, (GREEN | {"__name__": "ml_predictions_total"}, 1))
        if text.startswith("count by (__name__)"):
            return vector(*(({"__name__": name}, 2) for name in self.names))
        return vector((BLUE, 0.25), (GREEN, 0.5))


@pytest.fixture
def looking(stand_in, feed):
    """Look at the service with settings: `looking(server, panel="", **settings)`."""

    def start(server, panel="", refresh=0.1, range=60.0, **settings):
        stand_in.answer = server
        own = {"ml/churn": ServiceSettings(**settings)}
        made = feed(prometheus_url=stand_in.url, scrape=False, refresh=refresh, range=range, services=own)
        made.show_panel(panel)
        made.fleet([SERVICE])
        made.select(SERVICE)
        return made

    return start


def panels(feed):
    told = feed.telemetry("ml/churn")
    return {panel.id: panel for panel in told.panels} if told else {}


def asked_ranges(stand_in):
    """Those of the charts: the labels that drift needs are another matter."""
    return [query["query"] for query in chart_ranges(stand_in)]


def chart_ranges(stand_in):
    ranges = [query for kind, query in stand_in.asked if kind == "query_range"]
    return [query for query in ranges if "ml_labels_total" not in query["query"]]


async def test_panels_are_those_whose_metrics_there_are(looking):
    asking = looking(Server())
    await until(lambda: len(panels(asking)) == 6)
    assert list(panels(asking)) == ["latency", "errors", "rate", "heat", "predictions", "memory"]
    assert [name for name, panel in panels(asking).items() if panel.series] == ["latency", "errors", "rate"]
    assert panels(asking)["memory"].problem == ""


async def test_only_the_panel_on_the_screen_is_fetched(looking, stand_in):
    asking = looking(Server(), "memory")
    await until(lambda: "memory" in panels(asking) and panels(asking)["memory"].series)
    assert all("container_memory" in text or "resource_limits" in text for text in asked_ranges(stand_in))
    stand_in.asked.clear()
    asking.show_panel("errors")
    await until(lambda: panels(asking)["errors"].series)
    stand_in.asked.clear()
    await until(lambda: len(asked_ranges(stand_in)) > 3)
    assert all("container_memory" not in text for text in asked_ranges(stand_in))
    # What is known of the other one stays.
    assert panels(asking)["memory"].series


async def test_ranges_lie_on_whole_steps_and_only_what_is_new_is_asked_for(looking, stand_in):
    asking = looking(Server(), "rate", range=200.0)
    await until(lambda: len(asked_ranges(stand_in)) > 4)
    ranges = chart_ranges(stand_in)
    [step] = {int(query["step"]) for query in ranges}
    assert all(int(query[key]) % step == 0 for query in ranges for key in ("start", "end"))
    spans = [int(query["end"]) - int(query["start"]) for query in ranges]
    # Anew once it is known how often pods are scraped, and so how far a rate must look back.
    whole = [span for span in spans if span == 199 * step]
    assert spans[0] == 199 * step
    assert len(whole) <= 2
    assert max(span for span in spans if span not in whole) <= SETTLED_SECONDS + 4 * step
    assert asking.telemetry("ml/churn").step == step


def late_reply(question, now):
    """A line that is its own time, as VictoriaMetrics shows it: the newest half minute repeats what was before."""
    if not question.step:
        return Reply((Row(BLUE | {"__name__": "ml_predictions_total"}, [now], [1.0]),))
    times = [float(at) for at in range(question.start, question.end + 1, question.step)]
    old = [at for at in times if at <= now - 30]
    return Reply((Row(BLUE, times, [*old, *[old[-1] if old else math.nan] * (len(times) - len(old))]),))


@pytest.mark.parametrize("every", [1.0, 5.0, 17.0, 60.0])
def test_what_a_database_shows_late_is_what_it_is_in_the_end(every):
    board = Board(SERVICE, ServiceSettings(), 1.0)
    board.show(300.0, 0.0, 0.0, "rate")
    now = 1_000_000.0
    for _ in range(20):
        now += every
        for item in board.questions(now, 30):
            item.take(late_reply(item.question, now))
    [line] = board.telemetry(now, False, "").panels[2].series
    old = [(at, value) for at, value in zip(line.times, line.values, strict=True) if at <= now - 30]
    assert len(old) == 270
    assert all(at == value for at, value in old)
    assert not any(map(math.isnan, line.values))


async def test_a_heat_map_has_a_line_for_each_bucket_from_the_lowest_to_the_highest(looking):
    server = Server()
    server.lines["sum by (namespace,deployment,le)"] = [
        (BLUE | {"le": le}, lambda at, number=number: float(number))
        for number, le in enumerate(["10", "+Inf", "0.5", "2"])
    ]
    asking = looking(server, "heat")
    await until(lambda: "heat" in panels(asking) and panels(asking)["heat"].series)
    heat = panels(asking)["heat"]
    assert (heat.form, heat.scale) == ("heat", "log")
    assert [line.stat for line in heat.series] == ["0.5", "2", "10", "+Inf"]


async def test_of_a_thousand_classes_some_are_shown_and_it_is_said(looking):
    server = Server()
    names = [f"{number:04d}-" + "x" * 10_000 for number in range(100)]
    server.lines["class"] = [(BLUE | {"class": name}, lambda at: 1.0) for name in names]
    asking = looking(server, "predictions")
    await until(lambda: "predictions" in panels(asking) and panels(asking)["predictions"].series)
    panel = panels(asking)["predictions"]
    assert panel.form == "stacked"
    assert len(panel.series) == 40
    assert "40 lines of 100" in panel.problem
    assert all(len(line.label) <= 60 for line in panel.series)


async def test_classes_that_end_are_gaps_and_not_zeros(looking):
    server = Server()
    begun = time.time()
    server.lines["class"] = [
        (BLUE | {"class": "a"}, lambda at: 1.0),
        (BLUE | {"class": "b\x1b[31m"}, lambda at: 2.0 if at < begun - 20 else math.nan),
    ]
    asking = looking(server, "predictions")
    await until(lambda: "predictions" in panels(asking) and len(panels(asking)["predictions"].series) == 2)
    first, second = panels(asking)["predictions"].series
    assert math.isfinite(first.values[-1])
    assert math.isnan(second.values[-1])
    assert second.last == 2.0
    assert "\x1b" not in second.label


async def test_an_hours_gap_is_a_gap(looking):
    server = Server()
    now = time.time()
    lines = [(BLUE, lambda at: math.nan if now - 5400 < at < now - 1800 else 1.0)]
    server.lines["ml_predictions_total"] = lines
    asking = looking(server, "rate", range=7200.0)
    await until(lambda: "rate" in panels(asking) and panels(asking)["rate"].series)
    [line] = panels(asking)["rate"].series
    gap = [at for at, value in zip(line.times, line.values, strict=True) if math.isnan(value)]
    assert 3500 < max(gap) - min(gap) <= 3600
    assert line.times[0] < min(gap)
    assert max(gap) < line.times[-1]


async def test_a_panel_of_the_settings(looking, stand_in):
    own = {
        "tokens": PanelSettings(query="$max by (direction) (tokens{$selector})", label="direction", unit="tok"),
        "memory": PanelSettings(hidden=True),
    }
    server = Server()
    server.lines["tokens{"] = [({"color": "green", "direction": "in"}, lambda at: 7.0)]
    asking = looking(server, "tokens", panels=own)
    await until(lambda: "tokens" in panels(asking) and panels(asking)["tokens"].series)
    panel = panels(asking)["tokens"]
    [line] = panel.series
    assert (line.color, line.label, line.last, panel.unit) == ("green", "in", 7.0, "tok")
    assert panel.query.startswith("max by (namespace,deployment,direction) (label_replace(tokens{namespace=~")
    assert "memory" not in panels(asking)


async def test_what_begins_to_be_exported_appears(looking, monkeypatch):
    monkeypatch.setattr("mlconsole.metrics.board.EXISTING_SECONDS", 0.1)
    server = Server(names=())
    asking = looking(server)
    await until(lambda: panels(asking))
    assert list(panels(asking)) == ["latency", "errors", "rate"]
    server.names = NAMES
    await until(lambda: "memory" in panels(asking))


@pytest.mark.parametrize(("ahead", "words"), [(240.0, "4 min ahead of"), (-600.0, "10 min behind"), (1.0, "")])
async def test_clocks_that_differ_are_told_and_charts_are_by_the_servers(looking, stand_in, ahead, words):
    server = Server()

    async def at_its_time(request):
        answer = web.json_response(server(request.path, dict(request.query)))
        answer.headers["Date"] = formatdate(time.time() + ahead, usegmt=True)
        return answer

    stand_in.error = at_its_time
    asking = looking(server)
    await until(lambda: panels(asking) and panels(asking)["rate"].series and (words in asking.state.message))
    if not words:
        assert asking.state.message == ""
    else:
        assert "charts are by its clock" in asking.state.message
    shift = ahead if words else 0.0
    await until(
        lambda: asking.telemetry("ml/churn") and abs(asking.telemetry("ml/churn").end - time.time() - shift) < 5
    )
    ends = [int(query["end"]) for query in chart_ranges(stand_in)]
    assert abs(ends[-1] - time.time() - shift) < 5
    assert asking.state.condition is Condition.LIVE


async def test_figures_are_as_old_as_they_are_whatever_the_servers_clock_says(looking, stand_in):
    server, ahead = Server(), 300.0

    async def at_its_time(request):
        body = server(request.path, dict(request.query))
        for row in body["data"]["result"]:
            if "value" in row:
                row["value"][0] += ahead
        answer = web.json_response(body)
        answer.headers["Date"] = formatdate(time.time() + ahead, usegmt=True)
        return answer

    stand_in.error = at_its_time
    asking = looking(server)
    await until(lambda: asking.glances("ml/churn"))
    assert all(abs(glance.at - time.time()) < 10 for glance in asking.glances("ml/churn"))


async def test_a_partial_answer_of_victoriametrics_is_told(looking, stand_in):
    server = Server()
    asking = looking(lambda path, query: server(path, query) | {"isPartial": True}, "rate")
    await until(lambda: panels(asking) and panels(asking)["rate"].series)
    assert "partial" in panels(asking)["rate"].problem
    assert "partial" in asking.state.message


async def test_a_million_series_on_one_panel_leave_the_others(looking, stand_in):
    server = Server()
    row = b'{"metric":{"a":"%d"},"value":[1,"1"]},'

    async def many(request):
        if "ml_prediction_errors_total" not in request.query["query"] or "range" not in request.path:
            return web.json_response(server(request.path, dict(request.query)))
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"status":"success","data":{"resultType":"matrix","result":[')
        for start in range(0, 1_000_000, 10_000):
            await response.write(b"".join(row % number for number in range(start, start + 10_000)))
        return response

    stand_in.error = many
    asking = looking(server)
    await until(lambda: panels(asking) and panels(asking)["errors"].problem)
    assert re.search("over 16 MiB|over 10,000 series", panels(asking)["errors"].problem)
    assert panels(asking)["rate"].series
    assert asking.state.condition is Condition.LIVE


async def test_answers_out_of_order_are_put_where_they_belong(looking):
    server = Server()
    asking = looking(lambda path, query: backwards(server(path, query)), "rate")
    await until(lambda: panels(asking) and panels(asking)["rate"].series)
    [line] = panels(asking)["rate"].series
    assert list(line.times) == sorted(line.times)
    assert all(value == 1.0 for value in line.values if math.isfinite(value))


def backwards(body):
    for row in body["data"]["result"]:
        if "values" in row:
            row["values"].reverse()
    return body


async def test_a_panel_that_is_not_there_any_more_does_not_keep_the_feed_busy(looking, stand_in):
    looking(Server(), "no_such_panel", refresh=0.5)
    await until(lambda: len(stand_in.asked) > 8)
    first = len(stand_in.asked)
    await asyncio.sleep(0.4)
    assert len(stand_in.asked) - first < 30
