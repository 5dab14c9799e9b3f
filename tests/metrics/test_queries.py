import re

import pytest

from mlconsole.domain.services import Color, ModelService, Shape
from mlconsole.metrics import panels, queries
from mlconsole.metrics.chart import Chart, nice_step

from .conftest import service

SERVICE = service({"blue": ["churn-blue-6b7-aaaaa"], "green": ["churn-green-6b8-bbbbb"]})


@pytest.mark.parametrize(
    ("deployment", "pod", "matches"),
    [
        ("fraud", "fraud-7d9f8b6c5-abcde", True),
        ("fraud", "fraud-green-7d9f8b6c5-abcde", False),
        ("fraud-green", "fraud-green-7d9f8b6c5-abcde", True),
        ("fraud", "fraudulent-7d9f8b6c5-abcde", False),
        ("a.b", "axb-7d9f8b6c5-abcde", False),
        ("a.b", "a.b-7d9f8b6c5-abcde", True),
        # Kubernetes cuts the name of a ReplicaSet at 58 characters and adds 5.
        ("n" * 55, ("n" * 55 + "-7d9f8b6c5-")[:58] + "abcde", True),
        ("n" * 60, "n" * 58 + "abcde", True),
        ("m" * 55, ("n" * 55 + "-7d9f8b6c5-")[:58] + "abcde", False),
    ],
)
def test_pods_are_told_by_the_names_of_their_deployments(deployment, pod, matches):
    assert bool(re.fullmatch(queries.pod_pattern(deployment), pod)) is matches


@pytest.mark.parametrize(
    ("labels", "color"),
    [
        ({"namespace": "ml", "deployment": "churn-green"}, "green"),
        ({"namespace": "other", "deployment": "churn-green"}, None),
        ({"namespace": "ml", "deployment": "ranker-green"}, None),
        ({"color": "blue"}, "blue"),
        ({"color": "purple"}, None),
        ({"slot": "green"}, "green"),
        ({"pod": "churn-blue-7d9f8b6c5-abcde"}, "blue"),
        ({"pod": "churn-7d9f8b6c5-abcde"}, None),
        ({}, None),
    ],
)
def test_a_row_counts_only_for_the_colour_that_it_names(labels, color):
    assert queries.color_of(labels, SERVICE) == color


def test_a_plain_service_has_one_place_for_a_row_without_labels():
    plain = ModelService("ml", "m", Shape.PLAIN, colors=(Color("", "m", 1, 1),))
    assert queries.color_of({}, plain) == ""


def test_the_colour_label_of_the_service_may_have_any_name():
    other = ModelService("ml", "m", Shape.BLUE_GREEN, color_key="x.io/lane", colors=SERVICE.colors)
    assert queries.color_of({"x_io_lane": "blue"}, other) == "blue"
    assert queries.color_of({"label_x_io_lane": "green"}, other) == "green"


def test_the_configurations_words_are_replaced():
    given = {"latency.p95": 'q{ns="$namespace",s="$service",pod=~"$pods"}[$window] $other'}
    found = queries.override(SERVICE, "p95", given, "30s")
    assert found == (
        'q{ns="ml",s="churn",pod=~"churn\\\\-blue-[a-z0-9]+-[a-z0-9]+|churn\\\\-green-[a-z0-9]+-[a-z0-9]+"}[30s] $other'
    )
    assert queries.override(SERVICE, "p50", given, "30s") is None


def test_names_from_outside_cannot_leave_their_quotes():
    evil = ModelService('ml"} or x{a="', "m", Shape.PLAIN, colors=(Color("", 'd"\\\n', 1, 1),))
    query = queries.panel_query("rate", panels.definitions()["rate"].dialect[0], queries.Scope([evil]), 30)
    assert re.sub(r'"(?:[^"\\]|\\.)*"', "_", query) == (
        "sum by (namespace,deployment,version) "
        "(label_replace(rate(ml_predictions_total{namespace=~_,pod=~_}[30s]),_,_,_,_))"
    )


@pytest.mark.parametrize(
    ("seconds", "finest", "step"), [(900, 5, 5), (60, 1, 1), (3600, 5, 10), (86400, 5, 300), (1e9, 5, 86400)]
)
def test_steps_are_round(seconds, finest, step):
    assert nice_step(seconds, finest) == step


def test_a_refresh_asks_only_for_what_is_new():
    chart = Chart("ml/churn", 100.0, 10.0, ["blue"])
    assert chart.missing(1005.0) == range(91, 101)
    chart.put(range(91, 101), "rate", {"blue": {index: float(index) for index in range(91, 101)}})
    chart.finish(range(91, 101))
    due = chart.missing(1025.0)
    assert due == range(99, 103)
    chart.put(due, "rate", {"blue": {99: 1.0, 101: 2.0}, "red": {102: 9.0}})
    chart.finish(due)
    line = chart.telemetry(1025.0, "prometheus", {}, {}, "").panels[2].series[0]
    assert line.times == tuple(float(at) for at in range(930, 1030, 10))
    assert [None if value != value else value for value in line.values] == [
        *map(float, range(93, 99)),
        1.0,
        None,
        2.0,
        None,
    ]
    # A console that slept for longer than the range starts anew.
    assert chart.missing(9000.0) == range(891, 901)
    # So does one whose clock went back.
    assert chart.missing(500.0) == range(41, 51)
