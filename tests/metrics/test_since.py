"""The figures of one colour and version since a moment: what counts, and what is said of the rest."""

import asyncio
import math
import time

import pytest
from msgspec.structs import replace

from mlconsole.config import ServiceSettings
from mlconsole.domain.services import PodState
from mlconsole.engine.figures import FromPrometheus, Window
from mlconsole.engine.offload import Offload
from mlconsole.metrics import since
from mlconsole.metrics.exposition import Page, Parser
from mlconsole.metrics.prometheus import Endpoint, Failure, Reply, Row
from mlconsole.metrics.since import Counting

from .conftest import DEADLINE, REAL, service

BLUE, GREEN = "churn-blue-7d9f8b6c5-abcde", "churn-green-5b7c9d8f6-fghij"
SERVICE = service({"blue": [BLUE], "green": [GREEN]})
LIVE, TARGET = SERVICE.colors
MINE = {"namespace": "ml", "deployment": "churn-green", "version": "8"}


def row(value, **labels):
    return Row({**MINE, **labels}, [1.0], [value])


def told(p95, n=None, age=None, **more):
    n, age = [row(500.0)] if n is None else n, age or [row(2.0)]
    replies = {"p95": Reply(tuple(p95)), "n": Reply(tuple(n)), "age": Reply(tuple(age))}
    return since.answered(SERVICE, TARGET, ["p95"], since.Asking(), replies, **more)


def test_the_row_of_the_colour_and_of_its_version_counts():
    found = told([row(9.0, deployment="churn-blue", version="7"), row(0.2), row(8.0, version="7")])
    assert (found.values, found.n, found.age, found.why) == ({"p95": 0.2}, 500.0, 2.0, "")


def test_a_version_may_be_written_with_a_v_and_may_be_missing():
    assert told([row(0.2, version="v8")]).values == {"p95": 0.2}
    assert told([row(0.2, version="")]).values == {"p95": 0.2}


@pytest.mark.parametrize(
    ("p95", "more", "why"),
    [
        ([], {}, "no data"),
        ([row(math.nan)], {}, "no data: the answer is NaN"),
        ([row(0.2, version="7")], {}, "green runs v8, and its figures are those of v7"),
        ([row(0.2, deployment="churn-blue")], {}, "1 series came back, and none of them names green"),
        ([row(0.2, namespace="other")], {}, "none of them names green"),
        ([row(0.2), row(0.3, version="v8")], {}, "several versions at once"),
        ([row(0.2)], {"n": [row(19.0)]}, "only 19 requests, 20 are needed"),
        ([row(0.2)], {"n": []}, "how many requests it rests on is not known"),
        ([row(0.2)], {"age": [row(121.0)]}, "its newest sample is 121 s old"),
    ],
)
def test_anything_else_is_unknown_and_says_why(p95, more, why):
    found = told(p95, **more)
    assert found.values.get("p95") is None
    assert why in found.why


def test_of_a_window_that_is_over_the_age_does_not_matter():
    assert told([row(0.2)], age=[row(500.0)], past=True).values == {"p95": 0.2}


def test_a_refused_query_is_an_error():
    replies = {"p95": Reply(failure=Failure("query", "parse error", "correct it")), "n": Reply(), "age": Reply()}
    found = since.answered(SERVICE, TARGET, ["p95"], since.Asking(), replies)
    assert (found.error, found.why) == (True, "parse error (correct it)")


OURS = frozenset({"ml_predictions_total", "ml_prediction_duration_seconds_bucket"})
KSERVE = frozenset({"request_predict_seconds_bucket", "request_predict_seconds_count"})
TRITON = frozenset({"nv_inference_request_duration_us", "nv_inference_request_success", "nv_inference_request_failure"})


def test_the_queries_are_restricted_to_the_pods_of_the_colour():
    queries = since.asked(SERVICE, TARGET, ["p95", "error_share", "drift.share"], 42, {}, OURS).queries
    assert set(queries) == {"p95", "error_share", "features", "references", "n", "age"}
    for query in queries.values():
        assert r'pod=~"churn\\-green-[a-z0-9]+-[a-z0-9]+"' in query
        assert "blue" not in query
    assert "[42s]" in queries["p95"]
    assert "version" in queries["p95"]


def test_what_names_no_version_is_restricted_to_the_pods_of_the_release():
    old = pod_of("churn-green-7f7f7f7f7-aaaaa", terminating=True)
    target = replace(TARGET, pods=(*TARGET.pods, old))
    asking = since.asked(SERVICE, target, ["p95", "rate"], 42, {}, KSERVE)
    assert set(asking.queries) == {"p95", "rate", "n", "age"}
    assert set(asking.versions.values()) == {""}
    for query in asking.queries.values():
        assert r'pod=~"churn\\-green\\-5b7c9d8f6-[a-z0-9]+"' in query
        assert "request_predict_seconds" in query
        assert "version" not in query


@pytest.mark.parametrize("pods", [("someone-elses-pod",), ()], ids=["named otherwise", "none"])
def test_what_names_no_version_is_unknown_where_the_pods_do_not_tell_the_release(pods):
    target = replace(TARGET, pods=tuple(map(pod_of, pods)))
    asking = since.asked(SERVICE, target, ["p95", "rate"], 42, {}, KSERVE)
    assert asking.queries == {}
    found = since.answered(SERVICE, target, ["p95", "rate"], asking, {})
    assert found.values == {"p95": None, "rate": None}
    assert found.why == "the names of green's pods do not tell which of them are of v8"
    assert not found.early
    assert set(since.asked(SERVICE, target, ["p95"], 42, {}, OURS).queries) == {"p95", "n", "age"}


def pod_of(name, **more):
    return PodState(name, True, "Running", **more)


@pytest.mark.parametrize(
    ("known", "podless", "figure", "why"),
    [
        (frozenset(), (), "p95", "no data: the pods of green export nothing that p95 is read from"),
        (TRITON, (), "p95", "Triton does not tell p95, only mean"),
        (KSERVE, (), "error_share", "no data: the pods of green export nothing that errors is read from"),
        (
            frozenset(),
            {"istio_requests_total"},
            "error_share",
            "istio_requests_total is there without the label pod: nobody can tell which of it is green's",
        ),
    ],
)
def test_what_no_dialect_tells_is_unknown_and_says_why(known, podless, figure, why):
    asking = since.asked(SERVICE, TARGET, [figure], 42, {}, known, podless)
    assert figure not in asking.queries
    replies = {name: Reply((row(500.0 if name == "n" else 2.0, version=""),)) for name in asking.queries}
    found = since.answered(SERVICE, TARGET, [figure], asking, replies)
    assert found.values == {figure: None}
    assert why in found.why
    assert not found.error


def test_a_query_of_the_settings_needs_no_dialect_and_tells_the_requests_too():
    own = {"rate": "sum by (slot) (rate(my_requests{$selector}[$window]))"}
    asking = since.asked(SERVICE, TARGET, ["rate"], 42, own, frozenset())
    assert set(asking.queries) == {"rate", "n"}
    assert asking.queries["n"] == f"({asking.queries['rate']}) * 42"


async def test_colours_whose_pods_are_named_alike_are_told_apart_by_nobody():
    name = "n" * 58
    colors = tuple(replace(color, deployment=f"{name}-{color.name}") for color in SERVICE.colors)
    one = replace(SERVICE, colors=colors)
    source = FromPrometheus(Endpoint("http://127.0.0.1:1"), Offload(), ServiceSettings())
    found, _ = await source.look(Window(one, colors[1], colors[0], time.time() - 60), ("p95",))
    assert (found.values, found.why) == (
        {},
        "Kubernetes cuts the names of the pods of green and blue to the same beginning",
    )


# ---- counted from the pods


def page(requests, errors=0.0, slow=0.0, version="8", started=100.0):
    buckets = {0.1: requests - slow, 1.0: requests, math.inf: requests}
    return Page(requests=requests, errors=errors, buckets=buckets, started=started, version=version, color="green")


def pod(ready_since, name=GREEN):
    return PodState(name, True, "Running", ready_since=ready_since)


def figures(counting, now=1010.0):
    return counting.figures(SERVICE, now, "")


def test_a_pod_that_is_younger_than_the_moment_counts_whole():
    counting = Counting(TARGET, 100.0)
    assert counting.add(pod(105.0), 200.0, page(50.0, 5.0)) == ""
    found = figures(counting, 203.0)
    assert (found.n, found.values["error_share"], found.age) == (50.0, 0.1, 3.0)
    assert found.values["rate"] == pytest.approx(50 / 95)
    counting.add(pod(105.0), 210.0, page(60.0, 5.0))
    assert figures(counting).n == 60.0


def test_of_an_older_pod_counts_what_came_since_it_was_first_read():
    counting = Counting(TARGET, 1000.0)
    counting.add(pod(500.0), 1000.0, page(10_000.0, 9_000.0, started=400.0))
    assert figures(counting).n in (None, 0.0)
    assert figures(counting).values["error_share"] is None
    counting.add(pod(500.0), 1010.0, page(10_040.0, 9_001.0, started=400.0))
    found = figures(counting)
    assert (found.n, found.values["error_share"]) == (40.0, 1 / 40)
    assert found.values["rate"] == pytest.approx(4.0)


def test_a_pod_that_started_again_in_between_counts_from_zero():
    counting = Counting(TARGET, 1000.0)
    counting.add(pod(500.0), 1000.0, page(10_000.0, started=400.0))
    counting.add(pod(1005.0), 1010.0, page(30.0, started=1003.0))
    assert figures(counting).n == 30.0


def test_pods_add_up_and_what_a_lost_one_counted_stays():
    counting = Counting(TARGET, 100.0)
    counting.add(pod(105.0), 200.0, page(50.0))
    counting.add(pod(105.0, "churn-green-5b7c9d8f6-other"), 200.0, page(70.0))
    counting.add(pod(105.0), 210.0, page(60.0))
    assert figures(counting).n == 130.0


def test_the_colour_that_was_left_is_judged_by_all_that_it_did():
    counting = Counting(LIVE, 1000.0, whole=True)
    counting.add(pod(500.0, BLUE), 1001.0, page(10_000.0, 100.0, version="7", started=400.0))
    found = figures(counting)
    assert (found.n, found.values["error_share"]) == (10_000.0, 0.01)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (page(50.0, version="7"), "is of v8 and says version=7: not counted"),
        (Page(), "exports no ml_predictions_total"),
    ],
)
def test_a_page_of_something_else_is_not_counted(one, words):
    counting = Counting(TARGET, 100.0)
    assert words in counting.add(pod(105.0), 200.0, one)
    assert figures(counting).n is None


def test_few_requests_are_unknown():
    counting = Counting(TARGET, 100.0)
    counting.add(pod(105.0), 200.0, page(19.0))
    found = figures(counting)
    assert (found.values["p95"], found.why, found.early) == (None, "only 19 requests, 20 are needed", True)


# ---- real model servers


async def known(source, window, wanted, enough=1.0):
    """Look until everything is known, of so many of the candidate's requests."""
    end = time.monotonic() + DEADLINE
    while True:
        mine, its = await source.look(window(), wanted)
        if not mine.why and not its.why and mine.n >= enough:
            return mine, its
        assert time.monotonic() < end, (mine, its)
        await asyncio.sleep(0.2)


async def read(pods, name):
    return Parser().page(await pods.fetch("ml", name, "http", "/metrics"))


async def test_drift_of_a_real_server_since_it_is_ready(pods):
    await pods.start(GREEN, "green", "8")
    began = time.time()
    await pods.predict(GREEN, 250, features=[1e6, 1e6, 1e6])
    counting = Counting(TARGET, began - 5.0)
    assert counting.add(pod(began), time.time(), await read(pods, GREEN)) == ""
    found = counting.figures(SERVICE, time.time(), "")
    assert (found.n, found.values["drift.share"]) == (250.0, 1.0)
    assert found.values["drift.worst"] > 1.0


@pytest.mark.real_prometheus
@REAL
async def test_a_real_prometheus_gives_the_figures_of_the_candidate_and_of_the_live_colour(pods, prometheus):
    await pods.start(BLUE, "blue", "7")
    await pods.start(GREEN, "green", "8", FAULT="errors")
    began = time.time()
    prometheus.targets(pods)
    load = [asyncio.create_task(pods.load(name)) for name in (BLUE, GREEN)]
    offload = Offload()
    source = FromPrometheus(Endpoint(prometheus.url), offload, ServiceSettings())
    window = Window(SERVICE, TARGET, LIVE, began)
    wanted = ("p95", "error_share", "rate", "live.p95", "live.error_share")
    try:
        # Each query has its own moment, and few scrapes are stretched: of few requests a share may be 0.
        mine, its = await known(source, lambda: window, wanted, enough=100.0)
        assert 0.05 < mine.values["error_share"] < 0.8
        assert its.values["error_share"] == 0
        assert 0 < mine.values["p95"] < 10
        assert mine.age < 20
        for query in mine.query.split(" | "):
            rows = await prometheus.query(query)
            assert [labels["version"] for labels, _ in rows] == ["8"]
        # What the colour's Deployment should run is another version by now: its figures are not that one's.
        other = replace(TARGET, release=replace(TARGET.release, version="9"))
        found, _ = await source.look(replace(window, target=other), ("p95",))
        assert found.values["p95"] is None
        assert found.why == "green runs v9, and its figures are those of v8"
        # Once the traffic has moved, the colour that was left is judged by what it did before.
        _, before = await known(source, lambda: Window(SERVICE, TARGET, LIVE, time.time() - 1.5, moved=True), wanted)
        assert before.values["p95"] is not None
        assert before.n >= 20
    finally:
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
        await offload.close()
