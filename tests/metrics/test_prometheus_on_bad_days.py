"""What a Prometheus answers that is not quite one, over real sockets: words, a state, the rest alive, recovery."""

import asyncio
import base64
import json
import math

import pytest
from aiohttp import web

from mlconsole.config import Auth, ServiceSettings
from mlconsole.domain.sources import Condition
from mlconsole.metrics.board import SETTLED_SECONDS
from mlconsole.metrics.prometheus import Endpoint, Question, address, ask

from .conftest import free_port, matrix, service, until, vector

SERVICE = service({"blue": ["churn-blue-6b7-aaaaa"], "green": ["churn-green-6b8-bbbbb"]})
BLUE = {"namespace": "ml", "deployment": "churn-blue"}
GREEN = {"namespace": "ml", "deployment": "churn-green"}


def figures(path, query):
    """A Prometheus that knows both colours, and others that nobody asked for."""
    if path.endswith("range"):
        others = ({"namespace": "ml", "deployment": "ranker"}, {"namespace": "prod", "deployment": "churn-blue"})
        return matrix(query, (BLUE, lambda at: 1.0), *((labels, lambda at: 99.0) for labels in others))
    return vector((BLUE, 0.25), (GREEN, "NaN"), ({"namespace": "prod", "deployment": "churn-green"}, 99))


def one(stand_in, seconds=30.0, **auth):
    [reply] = ask(Endpoint(stand_in.url, Auth(**auth), seconds=seconds), [Question("up")])
    return reply


async def asked(stand_in, **auth):
    return await asyncio.to_thread(one, stand_in, **auth)


# ---- one question


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ((401, "no", "text/plain"), "denied", "answered 401"),
        ((403, "<html>", "text/html"), "denied", "may not query"),
        ((404, "404 page not found", "text/plain"), "down", "has no /api/v1"),
        ((503, '{"status":"error","error":"starting up"}', "application/json"), "down", "503: starting up"),
        ((502, "<html>Bad Gateway</html>", "text/html"), "down", "answered 502"),
        ((200, "<html>Sign in</html>", "text/html"), "down", "answered with HTML"),
        ((200, "OK", "text/plain"), "down", "no JSON"),
        ((200, "", "text/plain"), "down", "no JSON"),
        ((200, "[1]", "application/json"), "down", "no JSON"),
        ((200, "{}", "application/json"), "down", "no data"),
        ((200, '{"data":{"result":"x"}}', "application/json"), "down", "not a list"),
        ((200, '{"data":{"result":[{"metric":{},"value":[1,"x"]}]}}', "application/json"), "down", "ValueError"),
        ((200, "[" * 100_000, "application/json"), "down", "no JSON"),
        ((200, '{"status":"error","error":"[tenant] is gone"}', "application/json"), "down", "200: [tenant] is gone"),
        ((200, '{"data":{"result":[{"value":[1]}]}}', "application/json"), "down", "ValueError"),
        ((422, '{"status":"error","error":"too many samples"}', "application/json"), "query", "too many samples"),
        ((400, '{"status":"error","error":"parse error: x"}', "application/json"), "query", "parse error"),
    ],
)
async def test_an_answer_that_is_none_has_words(stand_in, error, kind, words):
    stand_in.error = error
    reply = await asked(stand_in)
    assert reply.rows == ()
    assert reply.failure.kind == kind
    assert words in reply.failure.why
    assert reply.failure.hint or "Error" in reply.failure.why


def refusal(kind, text, **more):
    return json.dumps({"status": "error", "errorType": kind, "error": text, **more})


MIMIR = "the query exceeded the maximum number of series (limit: 100000 series) (err-mimir-max-series-per-query)"
VICTORIA = "couldn't start executing the request in 10.000 seconds, since -search.maxConcurrentRequests=8 are executed"


@pytest.mark.parametrize(
    ("error", "kind", "words", "hint"),
    [
        ((401, "no org id\n", "text/plain"), "denied", "wants a tenant's name", "X-Scope-OrgID"),
        ((422, refusal("execution", MIMIR), "application/json"), "query", MIMIR, "correct it"),
        ((422, refusal("422", "unsupported metric type", data=None), "application/json"), "query", "unsupported", "it"),
        (
            (429, refusal("too_many_requests", "too many outstanding requests"), "application/json"),
            "down",
            "429: too many outstanding requests",
            "asked less often",
        ),
        ((429, VICTORIA, "text/plain"), "down", f"429: {VICTORIA}", "asked less often"),
        ((500, refusal("internal", "expanding series: x"), "application/json"), "down", "expanding series", "again"),
        ((503, refusal("unavailable", "the ingester is too busy"), "application/json"), "down", "too busy", "again"),
        ((503, refusal("timeout", "query timed out in query execution"), "application/json"), "down", "timed", "again"),
        ((504, "upstream request timeout", "text/plain"), "down", "504: upstream request timeout", "again"),
        ((503, "cannot reach\x1b[2J vmstorage", "text/plain"), "down", "503: cannot reach", "again"),
    ],
    ids=[
        "tenant",
        "mimir-422",
        "vm-422",
        "mimir-429",
        "vm-429",
        "thanos-500",
        "mimir-503",
        "thanos-503",
        "504",
        "vm-503",
    ],
)
async def test_what_thanos_mimir_and_victoriametrics_refuse_as_they_document_it(stand_in, error, kind, words, hint):
    stand_in.error = error
    failure = (await asked(stand_in)).failure
    assert failure.kind == kind
    assert words in failure.why
    assert hint in failure.hint
    assert "\x1b" not in failure.why


async def test_a_partial_answer_of_thanos_has_its_figures_and_its_warning(stand_in):
    words = "receive series from Addr: store-eu:10901 LabelSets: {} : rpc error: code = Unavailable"
    stand_in.answer = lambda path, query: vector(({"a": "b"}, 1.5), warnings=[words])
    reply = await asked(stand_in)
    assert [row.values for row in reply.rows] == [[1.5]]
    assert reply.warnings == (words,)


async def test_a_redirect_is_told_and_not_followed(stand_in):
    async def login(request):
        raise web.HTTPFound("https://sso.example/login?next=/api")

    stand_in.error = login
    reply = await asked(stand_in, headers={"X-Token": "secret"})
    assert "redirects to https://sso.example/login" in reply.failure.why
    assert len(stand_in.asked) == 1


async def test_a_server_that_drips_or_hangs_is_given_up_in_time(stand_in):
    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.1)

    stand_in.error = drip
    reply = await asyncio.wait_for(asked(stand_in, seconds=2.0), 60)
    assert "no answer within 2 s" in reply.failure.why


async def test_an_answer_without_end_is_not_read_to_its_end(stand_in):
    sent = 0

    async def flood(request):
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 1 << 30:
            await response.write(b" " * (1 << 20))
            sent += 1 << 20

    stand_in.error = flood
    reply = await asked(stand_in)
    assert "over 16 MiB" in reply.failure.why or "no answer within" in reply.failure.why
    assert sent < 200 << 20


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}", "cannot be reached: Connection refused"),
        ("prometheus:9090", "not an address"),
        ("http://", "not an address"),
        ("ftp://127.0.0.1/", "not an address"),
        ("https://127.0.0.1:{stand_in}", "TLS failed"),
    ],
)
async def test_an_address_that_is_wrong(stand_in, url, words):
    port = stand_in.url.rpartition(":")[2]
    endpoint = Endpoint(url.format(port=free_port(), stand_in=port), seconds=30.0)
    [reply, other] = await asyncio.to_thread(ask, endpoint, [Question("up"), Question("down")])
    assert words in reply.failure.why
    assert other == reply


async def test_values_that_are_no_numbers_are_gaps(stand_in):
    stand_in.answer = lambda path, query: vector(
        (BLUE, "NaN"), (GREEN, "+Inf"), ({}, "-Inf"), ({}, 1.5), warnings=["w"]
    )
    reply = await asked(stand_in)
    assert [row.values[0] for row in reply.rows] == [pytest.approx(v, nan_ok=True) for v in (math.nan,) * 3 + (1.5,)]
    assert reply.warnings == ("w",)


async def test_logins(stand_in, monkeypatch, tmp_path):
    stand_in.answer = lambda path, query: vector()
    monkeypatch.setenv("PROM_PASSWORD", "geheim")
    token = tmp_path / "token"
    token.write_text("t1\n")
    # A ~/.netrc must not take a token's place.
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login x password y")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await asked(stand_in, username="ops", password_env="PROM_PASSWORD", headers={"X-Scope-OrgID": "ml"})
    await asked(stand_in, bearer_token_file=str(token))
    token.write_text("t2\n")
    await asked(stand_in, bearer_token_file=str(token))
    sent = [headers.get("Authorization") for headers in stand_in.headers]
    assert sent == ["Basic " + base64.b64encode(b"ops:geheim").decode(), "Bearer t1", "Bearer t2"]
    assert stand_in.headers[0]["X-Scope-OrgID"] == "ml"


@pytest.mark.parametrize(
    ("path", "header"),
    [("/select/0/prometheus", None), ("/prometheus/", "ml|eu"), ("/api/prom", "ml")],
    ids=["VictoriaMetrics", "Mimir", "Cortex"],
)
async def test_tenants_are_named_in_the_path_or_in_a_header(stand_in, path, header):
    paths = []

    async def at(request):
        paths.append(request.path)
        return web.json_response(vector(({}, 1)))

    stand_in.error = at
    stand_in.url += path
    reply = await asked(stand_in, headers={"X-Scope-OrgID": header} if header else {})
    assert reply.failure is None
    assert paths == [path.rstrip("/") + "/api/v1/query"]
    assert stand_in.headers[0].get("X-Scope-OrgID") == header
    assert stand_in.asked[0][1]["limit"] == "10001"


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"bearer_token_env": "NOT_SET"}, "names NOT_SET, which is not set"),
        ({"username": "x", "password_env": "NOT_SET"}, "names NOT_SET, which is not set"),
        ({"bearer_token_file": "/nonexistent/token"}, "bearer_token_file cannot be read"),
        ({"ca_file": "/nonexistent/ca.pem"}, "ca_file"),
    ],
)
async def test_logins_that_are_not_there(stand_in, auth, words):
    stand_in.answer = lambda path, query: vector()
    if "ca_file" in auth:
        stand_in.url = stand_in.url.replace("http:", "https:")
    reply = await asked(stand_in, **auth)
    assert words in reply.failure.why + reply.failure.hint


def test_an_address_is_shown_without_its_login():
    assert address("https://me:secret@prom.example:9090/prefix/?token=x") == "https://prom.example:9090/prefix"
    assert "secret" not in address("http://me:secret@[::1")


# ---- the feed


async def test_figures_reach_the_colours_that_they_are_of_and_no_others(stand_in, feed):
    stand_in.answer = figures
    asking = feed(prometheus_url=stand_in.url, scrape=False)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: asking.telemetry("ml/churn") and asking.glances("ml/churn"))
    [glance] = asking.glances("ml/churn")
    assert (glance.color, glance.requests_per_second, glance.p95, glance.error_share) == ("blue", 0.25, 0.25, 0.25)
    telemetry = asking.telemetry("ml/churn")
    assert {(line.color, line.values[-1]) for panel in telemetry.panels for line in panel.series} == {("blue", 1.0)}
    assert asking.glances("ml/other") == ()
    assert asking.telemetry("ml/other") is None


async def test_in_another_place_its_figures_are_gone_and_it_is_not_asked(stand_in, feed):
    stand_in.answer = figures
    asking = feed(prometheus_url=stand_in.url, scrape=False)
    asking.fleet([SERVICE])
    await until(lambda: asking.glances("ml/churn"))
    asking.place("", "prometheus_url is for context demo")
    assert asking.glances("ml/churn") == ()
    asking.fleet([SERVICE])
    assert asking.glances("ml/churn") == ()
    assert (asking.state.condition, asking.state.message) == (
        Condition.OFF,
        "prometheus_url is for context demo, and scraping is off",
    )
    asking.place(stand_in.url)
    assert asking.glances("ml/churn") == ()
    asking.fleet([SERVICE])
    await until(lambda: asking.glances("ml/churn"))
    assert asking.state.message == ""


async def test_it_recovers_without_a_restart(stand_in, feed):
    stand_in.answer = figures
    stand_in.error = (503, "no", "text/plain")
    asking = feed(prometheus_url=stand_in.url, scrape=False)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: asking.state.condition is Condition.DOWN)
    assert "503" in asking.state.message
    assert asking.state.hint
    assert asking.state.detail == stand_in.url
    stand_in.error = (401, "no", "text/plain")
    await until(lambda: asking.state.condition is Condition.DENIED)
    assert "metrics.auth" in asking.state.hint
    stand_in.error = None
    await until(lambda: asking.state.condition is Condition.LIVE)
    await until(lambda: asking.glances("ml/churn"))
    assert asking.state.message == ""


async def test_a_refused_query_of_the_configuration_is_told_on_its_panel_alone(stand_in, feed):
    async def some(request):
        if "my_metric" in request.query["query"]:
            return web.json_response({"status": "error", "error": "parse error: [bold]\x1b[31m"}, status=400)
        return web.json_response(figures(request.path, dict(request.query)))

    stand_in.error = some
    own = {"ml/churn": ServiceSettings(queries={"latency.p95": "my_metric{"})}
    asking = feed(prometheus_url=stand_in.url, scrape=False, services=own)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: asking.telemetry("ml/churn"))
    latency, errors, rate = asking.telemetry("ml/churn").panels
    assert "parse error" in latency.problem
    assert "\x1b" not in latency.problem
    assert "my_metric{" in latency.query
    assert {line.stat for line in latency.series} == {"p50", "p99"}
    assert (errors.problem, rate.problem) == ("", "")
    assert asking.state.condition is Condition.LIVE
    assert asking.glances("ml/churn")[0].p95 is None


async def test_a_partial_answer_is_told(stand_in, feed):
    def partial(path, query):
        return figures(path, query) | {"warnings": ["store eu-2 did not answer"]}

    stand_in.answer = partial
    asking = feed(prometheus_url=stand_in.url, scrape=False)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: asking.telemetry("ml/churn"))
    assert "store eu-2" in asking.state.message
    assert all("store eu-2" in panel.problem for panel in asking.telemetry("ml/churn").panels)


async def test_metrics_under_other_labels_are_told(stand_in, feed):
    stand_in.answer = lambda path, query: vector(({}, 5)) if query["query"].startswith("count(") else vector()
    asking = feed(prometheus_url=stand_in.url, scrape=False)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: "namespace and pod" in asking.state.message)
    await until(lambda: asking.telemetry("ml/churn"))
    assert all("`queries`" in panel.problem for panel in asking.telemetry("ml/churn").panels)


async def test_no_range_is_asked_for_a_chart_that_is_not_on_the_screen(stand_in, feed):
    stand_in.answer = figures
    asking = feed(prometheus_url=stand_in.url, scrape=False, refresh=0.05)
    asking.charting = False
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: len(stand_in.asked) > 30)
    # But the labels that drift needs, once.
    assert [query["step"] for kind, query in stand_in.asked if kind == "query_range"] == ["1800"]
    stand_in.asked.clear()
    asking.charting = True
    await until(lambda: any(kind == "query_range" for kind, _ in stand_in.asked))
    # The first time the whole range, then only what is new and what may come late.
    await until(lambda: sum(kind == "query_range" for kind, _ in stand_in.asked) > 10)
    spans = [int(query["end"]) - int(query["start"]) for kind, query in stand_in.asked if kind == "query_range"]
    steps = {int(query["step"]) for kind, query in stand_in.asked if kind == "query_range"}
    [step] = steps
    assert spans[0] >= 890
    assert max(spans[6:]) <= SETTLED_SECONDS + 4 * step
    assert all(int(query["start"]) % step == 0 for kind, query in stand_in.asked if kind == "query_range")


async def test_another_cluster_starts_from_nothing(stand_in, feed):
    stand_in.answer = figures
    asking = feed(prometheus_url=stand_in.url, scrape=False)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    await until(lambda: asking.drift("ml/churn") and asking.glances("ml/churn"))
    asking.place(stand_in.url)
    assert asking.glances("ml/churn") == ()
    assert asking.telemetry("ml/churn") is None
    assert asking.drift("ml/churn") is None


async def test_a_worker_that_breaks_is_a_source_that_is_down(feed):
    class Broken:
        async def run(self, function, *args, timeout):
            raise RuntimeError("the worker died")

    asking = feed(worker=Broken(), prometheus_url="http://127.0.0.1:1", scrape=False)
    await until(lambda: asking.state.condition is Condition.DOWN)
    assert "the worker died" in asking.state.message


async def test_without_any_source_it_is_off_and_says_what_to_do(feed):
    asking = feed(scrape=False)
    asking.fleet([SERVICE])
    asking.select(SERVICE)
    assert asking.state.condition is Condition.OFF
    assert "PROMETHEUS_URL" in asking.state.hint
    assert asking.telemetry("ml/churn") is None
