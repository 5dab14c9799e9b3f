"""What a server with the monitor library exports, through a real Prometheus and by scraping, up to the drift table."""

import asyncio
import contextlib
import math
import random

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from mlconsole.config import Metrics, Settings
from mlconsole.domain.drift import Basis, DriftVerdict, Kind
from mlconsole.domain.reference import Brought, Categorical, Numeric, Reference
from mlconsole.metrics import features, queries
from mlconsole.metrics.answers import Reply, Row
from mlconsole.metrics.features import Past
from mlconsole.metrics.observer import Observer
from mlconsole.monitor import ModelMonitor

from .conftest import REAL, Inline, matrix, service, until, vector

POD = "churn-green-5b7c9d8f6-fghij"
SERVICE = service({"green": [POD]}, versions=("8",), live="green")
REFERENCE = Reference(
    {
        "amount": Numeric((1.0, 2.0, 3.0), (1000.0, 1000.0, 1000.0, 1000.0)),
        "land": Categorical({"de": 2000.0, "fr": 2000.0}),
        "age": Numeric((30.0, 60.0), (990.0, 1980.0, 990.0), missing=40.0),
    },
    Categorical({"yes": 400.0, "no": 3600.0}),
    rows=4000,
)
MISSING = 0.3
UNSEEN = 0.2


@pytest.fixture
async def monitored(pods):
    """A server that the monitor library counts for; `land` has unseen values, `age` often none."""
    registry = CollectorRegistry()
    monitor = ModelMonitor("churn", "8", color="green", reference=REFERENCE, registry=registry)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    pods.ports[POD] = server.server_port
    drawn = random.Random(1)

    def predict(count):
        for index in range(count):
            land = "xx" if drawn.random() < UNSEEN else drawn.choice(["de", "fr"])
            age = None if drawn.random() < MISSING else drawn.choice([20.0, 40.0, 40.0, 70.0])
            row = {"amount": drawn.uniform(0.0, 4.0), "land": land, "age": age}
            guess = "yes" if index % 10 == 0 else "no"
            # One in five is labelled wrong.
            monitor.log_prediction(row, guess, latency=0.001, actual=guess if index % 5 else "other")

    yield predict
    monitor.close()
    server.shutdown()
    await asyncio.to_thread(thread.join)
    server.server_close()


@contextlib.asynccontextmanager
async def predicting(predict):
    """Predictions all the while."""

    async def go_on():
        while True:
            predict(20)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(go_on())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def judged(found):
    rows = {row.feature: row for row in found.features} if found else {}
    return found if len(rows) == 4 and all(row.n_current >= 400 for row in rows.values()) else None


def check(found):
    rows = {row.feature: row for row in found.features}
    assert {name: row.verdict for name, row in rows.items()} == {
        "amount": DriftVerdict.OK,
        "land": DriftVerdict.DRIFTED,
        "age": DriftVerdict.DRIFTED,
        "prediction": DriftVerdict.OK,
    }
    assert (rows["land"].kind, rows["land"].unseen) == (Kind.CATEGORICAL, ("(others)",))
    assert rows["land"].unseen_share == pytest.approx(UNSEEN, abs=0.08)
    assert rows["age"].missing_current == pytest.approx(MISSING, abs=0.08)
    assert rows["age"].missing_reference == pytest.approx(0.01)
    assert (rows["prediction"].kind, rows["prediction"].n_reference) == (Kind.PREDICTION, 4000)
    assert {name: row.n_reference for name, row in rows.items() if name != "prediction"} == {
        "amount": 4000,
        "land": 4000,
        "age": 3960,
    }
    assert found.references["green"].basis is Basis.SERVERS
    [accuracy] = found.accuracy
    assert accuracy.value == pytest.approx(0.8, abs=0.03)


async def test_by_scraping(monitored, feed):
    scraping = feed()
    scraping.fleet([SERVICE])
    scraping.select(SERVICE)
    async with predicting(monitored):
        check(await until(lambda: judged(scraping.drift("ml/churn"))))


@pytest.mark.real_prometheus
@REAL
async def test_by_a_real_prometheus(monitored, pods, prometheus, feed):
    prometheus.targets(pods)
    asking = feed(prometheus_url=prometheus.url, scrape=False, refresh=0.5)
    asking.fleet([SERVICE])
    asking.select(SERVICE)

    def again():
        asking._observer._drift_asked = asking._observer._labels_asked = -math.inf
        found = judged(asking.drift("ml/churn"))
        return found if found and found.accuracy and found.accuracy[0].n >= 400 else None

    async with predicting(monitored):
        check(await until(again))


# ---- an earlier window, and what the registry brings


def told(query):
    """A server that exports no reference: what it counts moved since yesterday."""
    text = query["query"]
    if "ml_feature_value_bucket" not in text or "increase" not in text:
        return vector()
    share = 0.5 if "offset" in text else 0.8
    who = {"namespace": "ml", "deployment": "churn-green", "version": "8", "feature": "x"}
    return vector(({**who, "le": "1.0"}, 1000 * share), ({**who, "le": "+Inf"}, 1000))


async def test_where_there_is_nothing_better_an_earlier_window_is_asked_for(stand_in, feed):
    stand_in.answer = lambda _path, query: told(query)
    asking = feed(prometheus_url=stand_in.url, scrape=False, drift_past=7200.0)
    asking.fleet([SERVICE])
    asking.select(SERVICE)

    def held():
        found = asking.drift("ml/churn")
        return found if found and found.references and found.references["green"].basis is Basis.PAST else None

    found = await until(held)
    assert found.references["green"].words == "green v8 2 h earlier"
    assert (found.features[0].verdict, found.features[0].ks) == (DriftVerdict.DRIFTED, pytest.approx(0.3))
    past = [query["query"] for _, query in stand_in.asked if "offset" in query["query"]]
    assert len(past) == 1
    assert f"[{queries.PAST_WINDOW:.0f}s] offset 7200s" in past[0]


async def test_the_windows_before_it_was_looked_at_are_asked_for_once(stand_in, feed):
    ends = []

    def answer(path, query):
        if not path.endswith("query_range") or "ml_feature_value_bucket" not in query["query"]:
            return told(query)
        ends.append(int(query["end"]))
        who = {"namespace": "ml", "deployment": "churn-green", "version": "8", "feature": "x"}
        moved = ends[0] - 2 * int(query["step"])
        below = ({**who, "le": "1.0"}, lambda at: 800 if at >= moved else 500)
        return matrix(query, below, ({**who, "le": "+Inf"}, lambda _at: 1000))

    worker = Inline()
    run, ran = worker.run, []

    async def noted(function, *args, timeout):
        ran.append(function)
        return await run(function, *args, timeout=timeout)

    worker.run = noted
    stand_in.answer = answer
    asking = feed(prometheus_url=stand_in.url, scrape=False, worker=worker)
    known = {"green": Brought(Reference({"x": Numeric((1.0,), (500.0, 500.0))}, rows=1000), "training of v8")}
    asking._observer._bring = lambda _service: known
    asking.charting = False
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    found = await until(lambda: asking.earlier)
    assert ran.count(features.earlier) == 1, "so many windows are judged in the worker"
    verdicts = [table.features[0].verdict for table in found]
    assert verdicts == [DriftVerdict.OK] * (queries.EARLIER - 3) + [DriftVerdict.DRIFTED] * 3
    assert [round(table.at) for table in found][-1] == ends[0] <= asking.drift("ml/churn").at - 599
    asking.judge_again()
    await until(lambda: sum("ml_feature_reference_rows" in query["query"] for _, query in stand_in.asked) > 2)
    assert len(ends) == 1


async def test_the_windows_before_are_of_the_service_that_is_looked_at(stand_in, feed):
    worker, begun, go_on = Inline(), asyncio.Event(), asyncio.Event()
    run = worker.run

    async def slowly(function, *args, timeout):
        if function is features.earlier:
            begun.set()
            await go_on.wait()
        return await run(function, *args, timeout=timeout)

    worker.run = slowly
    stand_in.answer = lambda path, query: matrix(query) if path.endswith("query_range") else told(query)
    asking = feed(prometheus_url=stand_in.url, scrape=False, worker=worker)
    asking._observer._bring = lambda _service: {"green": Brought(Reference({"x": Numeric((1.0,), (500.0, 500.0))}))}
    asking.charting = False
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    async with asyncio.timeout(30):
        await begun.wait()
        judging = asking._observer._judging
        asking.select(None)
        go_on.set()
        await asyncio.gather(judging, return_exceptions=True)
    assert judging.cancelled()
    assert asking.earlier == ()


async def test_without_an_earlier_window_it_is_said_and_none_is_asked_for(stand_in, feed):
    stand_in.answer = lambda _path, query: told(query)
    asking = feed(prometheus_url=stand_in.url, scrape=False, drift_past=0.0)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    words = "metrics.drift_past is 0"

    def said():
        asking._observer._drift_asked = -math.inf
        found = asking.drift("ml/churn")
        return found if found and found.references and words in found.references["green"].instead else None

    found = await until(said)
    assert (found.references["green"].basis, found.verdict) == (Basis.NONE, DriftVerdict.UNKNOWN)
    assert not any("offset" in query["query"] for _, query in stand_in.asked)


async def test_what_the_registry_brings_counts_from_the_next_look_on(stand_in, feed):
    stand_in.answer = lambda _path, query: told(query)
    asking = feed(prometheus_url=stand_in.url, scrape=False)
    known = {"green": Brought(problem="being read")}
    asking._observer._bring = lambda _service: known
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: asking.drift("ml/churn") and asking.drift("ml/churn").references)
    assert "being read" in asking.drift("ml/churn").references["green"].instead
    known["green"] = Brought(Reference({"x": Numeric((1.0,), (800.0, 200.0))}, rows=1000), "training of v8")
    asking.judge_again()
    await until(lambda: asking.drift("ml/churn").references["green"].basis is Basis.REGISTRY)
    assert asking.drift("ml/churn").features[0].verdict is DriftVerdict.OK


class Late:
    """A worker whose answers are there when they are let go."""

    def __init__(self):
        self.asked, self.free = asyncio.Event(), asyncio.Event()
        self.free.set()

    async def run(self, _ask, _endpoint, questions, timeout):
        self.asked.set()
        await self.free.wait()
        who = {"namespace": "ml", "deployment": "churn-green", "version": "8", "feature": "x", "le": "+Inf"}
        return [Reply((Row(who, [1.0], [1000.0]),)) for _ in questions]


async def test_what_comes_late_of_the_service_before_is_not_the_selected_ones():
    late = Late()
    asking = Observer(Settings(metrics=Metrics(prometheus_url="http://127.0.0.1:1")), late, lambda _key: None)
    other = service({"green": ["fraud-green-5b7c9d8f6-fghij"]}, name="fraud")
    asking.fleet([SERVICE, other])
    asking.select(SERVICE)
    assert await asking._round()
    assert asking.drift(SERVICE.key).features
    late.free.clear()
    late.asked.clear()
    asking.judge_again()
    asking._labels_asked = -math.inf
    round_ = asyncio.create_task(asking._round())
    await late.asked.wait()
    asking.select(other)
    late.free.set()
    assert await round_
    assert asking.drift(other.key) is None
    assert (asking._labels, asking._references, asking._past) == ((), (), Past())
