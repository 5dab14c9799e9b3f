"""The middleware around applications that behave in every way an application may."""

import asyncio
import json

import pytest
from prometheus_client import Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from mlconsole.domain.reference import Categorical, Numeric, Reference
from mlconsole.monitor import ModelMonitor, MonitorMiddleware

from .conftest import scrape


async def call(app, path="/predict", body=b"", **scope):
    """What an application sends; `body` in two parts."""
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]
    sent = []

    async def receive():
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    await app(
        {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b"", **scope}, receive, send
    )
    return sent


async def read(receive):
    whole = b""
    while True:
        message = await receive()
        whole += message["body"]
        if not message["more_body"]:
            return whole


def answering(status, body=b'{"prediction": 0.6}'):
    async def app(_scope, receive, send):
        await read(receive)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize(("status", "counted"), [(200, "success"), (302, "success"), (422, "invalid"), (503, "error")])
async def test_an_answer_is_counted_by_whose_fault_it_was(monitor, registry, status, counted):
    sent = await call(MonitorMiddleware(answering(status), monitor))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    page = scrape(registry)
    assert {labels: value for labels, value in page.all("ml_predictions_total").items() if value} == {
        (("status", counted),): 1
    }
    assert page.value("ml_prediction_errors_total") == (counted == "error")
    assert page.value("ml_prediction_duration_seconds_count") == 1
    assert page.value("ml_predictions_in_flight") == 0


async def test_other_paths_and_protocols_are_not(monitor, registry):
    app = MonitorMiddleware(answering(200), monitor)
    await call(app, "/health")
    await call(app, type="websocket")
    assert sum(scrape(registry).all("ml_predictions_total").values()) == 0
    await call(app, "/v1/predict", root_path="/v1")
    assert sum(scrape(registry).all("ml_predictions_total").values()) == 1


async def test_what_the_application_raises_is_raised_on(monitor, registry):
    async def app(_scope, _receive, _send):
        raise KeyError("amount")

    with pytest.raises(KeyError, match="amount"):
        await call(MonitorMiddleware(app, monitor))
    assert scrape(registry).value("ml_predictions_total", status="error") == 1


async def test_a_caller_that_leaves_is_no_error(monitor, registry):
    begun = asyncio.Event()

    async def app(_scope, _receive, _send):
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(MonitorMiddleware(app, monitor)))
    await begun.wait()
    assert scrape(registry).value("ml_predictions_in_flight") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    page = scrape(registry)
    assert page.value("ml_predictions_total", status="cancelled") == 1
    assert page.value("ml_prediction_errors_total") == 0
    assert page.value("ml_predictions_in_flight") == 0


async def test_a_stream_passes_as_it_comes_and_ends_with_its_last_part(monitor, registry):
    heard, go_on = asyncio.Queue(), asyncio.Queue()

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"a", b"b"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await go_on.get()
        await send({"type": "http.response.body", "body": b""})
        await go_on.get()  # works on in the background

    async def send(message):
        await heard.put(message)

    running = asyncio.create_task(MonitorMiddleware(app, monitor)({"type": "http", "path": "/predict"}, None, send))
    assert (await heard.get())["status"] == 200
    for part in (b"a", b"b"):
        assert (await heard.get())["body"] == part
        assert scrape(registry).value("ml_predictions_in_flight") == 1
        go_on.put_nowait(None)
    assert (await heard.get())["body"] == b""
    page = scrape(registry)
    assert page.value("ml_predictions_in_flight") == 0
    assert page.value("ml_predictions_total", status="success") == 1
    go_on.put_nowait(None)
    await running
    assert scrape(registry).value("ml_predictions_total", status="success") == 1


async def test_what_the_handler_logs_is_counted_once(monitor, registry):
    async def app(scope, receive, send):
        with monitor.prediction([70.0, 13, "de"]) as one:
            one.prediction = 0.6
        await asyncio.to_thread(monitor.log_prediction, [5.0, 13, "de"], 0.1, latency=3.0)
        await answering(200)(scope, receive, send)

    await call(MonitorMiddleware(app, monitor))
    page = scrape(registry)
    assert page.value("ml_predictions_total", status="success") == 2  # rows of one request
    assert page.value("ml_prediction_duration_seconds_count") == 1
    assert page.value("ml_prediction_duration_seconds_sum") < 3.0
    assert page.buckets("ml_feature_value", feature="amount") == [1, 0, 1, 0]


def rows(asked, answered):
    return [(json.loads(asked)["features"], json.loads(answered)["prediction"])]


async def test_bodies_are_read_where_that_is_asked_for(monitor, registry):
    app = MonitorMiddleware(answering(200), monitor, extract=rows)
    await call(app, body=b'{"features": {"amount": 70.0, "hour": 13, "country": "de"}}')
    page = scrape(registry)
    assert page.buckets("ml_feature_value", feature="amount") == [0, 0, 1, 0]
    assert page.buckets("ml_prediction_value") == [0, 0, 1, 0]
    assert page.value("ml_predictions_total", status="success") == 1


async def test_bodies_that_cannot_be_read_cost_a_counter(monitor, registry):
    app = MonitorMiddleware(answering(200), monitor, extract=rows, most_body=100)
    assert len(await call(app, body=b"no JSON")) == 2
    assert len(await call(app, body=b'{"features": [1.0, 2.0, "at"]}' + b" " * 100)) == 2
    assert len(await call(MonitorMiddleware(answering(400), monitor, extract=rows), body=b"no JSON")) == 2
    page = scrape(registry)
    assert page.value("ml_monitor_errors_total", kind="extract") == 1
    assert page.value("ml_monitor_errors_total", kind="body_length") == 1
    assert page.value("ml_predictions_total", status="success") == 2


async def test_metrics_are_served_beside_the_applications_own(monitor, registry):
    Gauge("of_the_application", "x", registry=registry).set(3)
    sent = await call(MonitorMiddleware(answering(404), monitor), "/metrics", method="GET")
    assert sent[0]["status"] == 200
    names = {family.name for family in text_string_to_metric_families(sent[1]["body"].decode())}
    assert {"of_the_application", "ml_predictions", "ml_feature_value"} <= names
    elsewhere = await call(MonitorMiddleware(answering(404), monitor, metrics=""), "/metrics")
    assert elsewhere[0]["status"] == 404


async def test_openmetrics_are_spoken_too(registry):
    reference = Reference({"x": Numeric((-1.0, 1.0), (1.0, 2.0, 3.0)), "y": Categorical({"a": 1.0})})
    monitor = ModelMonitor("m", "1", reference=reference, registry=registry)
    monitor.log_prediction([-3.0, "b"], 0.5, 0.5, latency=0.2)
    app = MonitorMiddleware(answering(404), monitor)
    sent = await call(app, "/metrics", headers=[(b"Accept", b"application/openmetrics-text; version=1.0.0")])
    assert dict(sent[0]["headers"])[b"content-type"].startswith(b"application/openmetrics-text")
    families = {family.name: family for family in openmetrics(sent[1]["body"].decode())}
    assert families["ml_feature_value"].samples[0].value == 1


async def test_a_page_that_fails_says_so(monitor, registry):
    class Bad:
        def describe(self):
            return []

        def collect(self):
            raise OSError("files are gone")

    registry.register(Bad())
    sent = await call(MonitorMiddleware(answering(404), monitor), "/metrics")
    assert sent[0]["status"] == 500
    assert sent[1]["body"] == b"the figures cannot be told: OSError: files are gone\n"


async def test_the_lifespan_is_the_applications(monitor):
    async def app(_scope, receive, send):
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    await MonitorMiddleware(app, monitor)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
