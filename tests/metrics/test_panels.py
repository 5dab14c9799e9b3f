"""The file of panels, and how its queries are chosen and filled in."""

import re

import pytest

from mlconsole.metrics import panels
from mlconsole.metrics.matching import Scope

from .conftest import service

SERVICE = service({"blue": ["churn-blue-6b7-aaaaa"], "green": ["churn-green-6b8-bbbbb"]})
SCOPE = Scope([SERVICE])
EVERY = [
    (name, dialect.name, stat)
    for name, panel in panels.definitions().items()
    for dialect in panel.dialect
    for stat in dialect.queries
]


def dialect_of(name, dialect):
    return next(item for item in panels.definitions()[name].dialect if item.name == dialect)


@pytest.mark.parametrize(("name", "dialect", "stat"), EVERY)
def test_every_query_of_the_file_is_filled_in_whole(name, dialect, stat):
    item = dialect_of(name, dialect)
    text = item.queries[stat]
    assert panels.fault(text) == ""
    found = panels.filled(text, SCOPE, 30, stat)
    # What is left of dollars are the groups of label_replace.
    assert re.sub(r'"\$1"', "", found).count("$") == 0
    assert found.count("(") == found.count(")")
    read = {need.removeprefix(panels.EXPORTED) for need in item.needs}
    assert any(metric in query for query in item.queries.values() for metric in read), "a query reads what it needs"
    assert "churn" in found
    assert item.needs
    assert stat in panels.definitions()[name].statistics or item.label == stat


def test_a_dialect_that_none_could_choose_is_not_in_the_file():
    for name, panel in panels.definitions().items():
        needs = [frozenset(item.needs) for item in panel.dialect]
        for number, later in enumerate(needs):
            assert not any(earlier <= later for earlier in needs[:number]), (name, panel.dialect[number].name)


def test_of_each_colour_the_first_dialect_counts_that_it_speaks():
    latency = panels.definitions()["latency"]
    ours = frozenset({"ml_prediction_duration_seconds_bucket", "istio_request_duration_milliseconds_bucket"})
    istio = frozenset({"istio_request_duration_milliseconds_bucket"})
    assert [item.name for item in panels.spoken(latency, [ours, ours])] == ["mlconsole"]
    assert [item.name for item in panels.spoken(latency, [istio, ours])] == ["mlconsole", "Istio"]
    assert [item.name for item in panels.spoken(latency, [istio, frozenset()])] == ["Istio"]
    assert panels.spoken(latency, [frozenset()]) == []


def test_two_dialects_are_one_query():
    rate = panels.definitions()["rate"].dialect
    assert panels.joined(rate[:1], "rate") == rate[0].query["rate"]
    assert panels.joined(rate[:2], "rate") == f"({rate[0].query['rate']}) or ({rate[1].query['rate']})"


def test_a_function_closes_where_its_parenthesis_does():
    text = "$sum by (le, class) (rate(x{a=\"(\",b=~'\\)'}[$window])) / $max(y) + (1)"
    assert panels.filled(text, SCOPE, 45) == (
        "sum by (namespace,deployment,le,class) (label_replace(rate(x{a=\"(\",b=~'\\)'}[45s]),"
        '"deployment","$1","pod","(.+)-[a-z0-9]+-[a-z0-9]+")) / '
        'max by (namespace,deployment) (label_replace(y,"deployment","$1","pod","(.+)-[a-z0-9]+-[a-z0-9]+")) + (1)'
    )


def test_more_labels_to_group_by_reach_every_function():
    assert "by (namespace,deployment,version,le) " in panels.filled("$sum by (le) (x)", SCOPE, 30, by=["version"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate(x{$selector}[$window])", ""),
        ('label_replace(x,"a","$1","b","(.*)")', ""),
        ("$sum by (a,b) (x)", ""),
        ("rate(x{$selektor}[5m])", "unknown word $selektor"),
        ("$sum(rate(x[5m])", "not closed"),
        ('$sum(x{a=")"}', "not closed"),
        ("$total(x)", "unknown word $total"),
        ("  ", "empty"),
    ],
)
def test_a_wrong_word_is_named(text, words):
    found = panels.fault(text)
    assert words in found
    assert bool(found) is bool(words)


def test_what_is_scraped_seldom_has_a_longer_window():
    assert panels.filled("$window $slow", SCOPE, 30) == "30s 120s"
    assert panels.filled("$window $slow", SCOPE, 300) == "300s 300s"


def test_each_deployment_alone_is_named_without_a_look_at_its_pods():
    text = "$each(histogram_quantile($quantile,$sum(rate(x{$selector}[$window]))))"
    one, other = panels.filled(text, SCOPE, 30, "p95").strip("()").split(" or ")
    assert one.startswith("label_replace(histogram_quantile(0.95,sum by (namespace) (rate(x{namespace=~")
    assert ("churn\\\\-blue" in one, "churn\\\\-green" in one) == (True, False)
    assert one.endswith('"deployment","churn-blue","namespace",".*")')
    assert "churn-green" in other


def test_of_many_deployments_each_is_not_a_query_of_its_own():
    many = Scope([service({"blue": [], "green": []}, name=f"s{number}") for number in range(50)])
    assert panels.filled("$each($sum(x{$selector}))", many, 30) == panels.filled("$sum(x{$selector})", many, 30)
