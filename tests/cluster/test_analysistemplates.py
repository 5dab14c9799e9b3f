"""AnalysisTemplates as their users write them, on the embedded API server."""

import pytest

from mlconsole.cluster import analysistemplates
from mlconsole.cluster.errors import NotFound
from mlconsole.domain.analysis import Spec

# The shape of the examples in Argo Rollouts' documentation.
QUERY = (
    'sum(irate(istio_requests_total{destination_service=~"{{args.service-name}}",response_code!~"5.*"}[5m])) '
    '/ sum(irate(istio_requests_total{destination_service=~"{{ args.service-name }}"}[5m]))'
)
PROMETHEUS = {"prometheus": {"address": "http://prometheus.example.com:9090", "query": QUERY}}
SUCCESS = {
    "name": "success-rate",
    "interval": "5m",
    "successCondition": "result[0] >= 0.95",
    "failureLimit": 3,
    "provider": PROMETHEUS,
}


@pytest.fixture
async def template(embedded):
    """Make a template of these metrics and read it: `await template([...], args=...)`."""

    async def read(metrics, args=({"name": "service-name"},), given=(("service-name", "fraud"),), **spec):
        body = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisTemplate",
            "metadata": {"name": "success-rate"},
            "spec": {"args": list(args), "metrics": metrics, **spec},
        }
        path = "/apis/argoproj.io/v1alpha1/namespaces/ml/analysistemplates"
        await embedded.post(path, body)
        return await analysistemplates.read(embedded.connection, "ml", "success-rate", "slo", dict(given))

    return read


async def test_the_metrics_become_specs(template):
    [spec] = await template([SUCCESS])
    assert spec == Spec(
        "slo",
        "result[0] >= 0.95",
        query=QUERY.replace("{{args.service-name}}", "fraud").replace("{{ args.service-name }}", "fraud"),
        interval=300.0,
        count=None,
        failure_limit=3,
        inconclusive_limit=0,
        error_limit=4,
        origin="AnalysisTemplate ml/success-rate (its address http://prometheus.example.com:9090 is not asked, "
        "the console's own Prometheus is)",
    )


async def test_what_is_left_out_is_as_in_argo_and_arguments_stand_anywhere(template):
    plain = {"name": "a", "provider": PROMETHEUS, "successCondition": "result[0] < {{args.limit}}"}
    full = {
        **plain,
        "name": "b",
        "interval": "1m30s",
        "initialDelay": "30s",
        "count": "{{args.count}}",
        "failureCondition": "result[0] >= 2",
        "failureLimit": -1,
        "inconclusiveLimit": 2,
        "consecutiveErrorLimit": 1,
    }
    args = ({"name": "service-name"}, {"name": "limit", "value": "0.5"}, {"name": "count", "value": "7"})
    first, second = await template([plain, full], args)
    assert (first.name, first.count, first.failure_limit, first.error_limit) == ("slo.a", 1, 0, 4)
    assert first.condition == "result[0] < 0.5"
    assert (second.interval, second.delay, second.count) == (90.0, 30.0, 7)
    assert (second.inconclusive_limit, second.error_limit, second.failure) == (2, 1, "result[0] >= 2")
    assert second.failure_limit > 1000


@pytest.mark.parametrize(
    ("metric", "args", "words"),
    [
        ({"provider": {"job": {}}}, (), "provider job is not asked here"),
        ({"provider": {}}, (), "provider none is not asked here"),
        ({}, ({"name": "service-name"},), "argument service-name: it has no value; give it under `args`"),
        (
            {},
            ({"name": "service-name", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},),
            "its value comes from secretKeyRef, which is not read",
        ),
        ({"successCondition": "result[0] >= "}, None, "a value is missing at its end"),
        ({"successCondition": ""}, None, "it has no condition to judge by"),
        ({"interval": "soon"}, None, "'soon' is no duration"),
        ({"count": "many"}, None, "many"),
        ({"provider": {"prometheus": {"query": ""}}}, None, "it has no query"),
        ({"provider": {"prometheus": {"query": "x", "rangeQuery": {"start": "1"}}}}, None, "over a range"),
    ],
)
async def test_what_cannot_be_measured_says_why(template, metric, args, words):
    given = (("service-name", "fraud"),) if args is None else ()
    [spec] = await template([{**SUCCESS, **metric}], args or (), given)
    assert words in spec.problem
    assert "AnalysisTemplate ml/success-rate" in spec.problem


async def test_one_that_names_others_is_not_followed(template):
    [spec] = await template([], templates=[{"templateName": "other"}])
    assert "which are not followed" in spec.problem


async def test_there_is_none(embedded):
    with pytest.raises(NotFound, match="there is no AnalysisTemplate ml/absent") as caught:
        await analysistemplates.read(embedded.connection, "ml", "absent", "slo", {})
    assert "kubectl get analysistemplates" in caught.value.hint
