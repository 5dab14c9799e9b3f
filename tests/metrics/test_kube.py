"""A Prometheus behind the API server: the same answers, warnings and bounds, by the user's own credentials."""

import asyncio
import json
from functools import partial

import pytest
from aiohttp import web

from mlconsole.cluster.connection import Connection
from mlconsole.config import Auth
from mlconsole.demo.apiserver.auth import Rule, User
from mlconsole.demo.apiserver.server import serve
from mlconsole.demo.apiserver.store import Store
from mlconsole.domain.sources import Condition
from mlconsole.engine.through import through
from mlconsole.metrics import answers, kube
from mlconsole.metrics.asking import Asker
from mlconsole.metrics.prometheus import Endpoint, Question

from .conftest import Inline, service, until, vector

URL = "kube://monitoring/prometheus:9090/prefix"
SERVICE = service({"blue": ["churn-blue-6b7-aaaaa"]})
BLUE = {"namespace": "ml", "deployment": "churn-blue"}
USERS = {
    "t-admin": User("admin"),
    "t-one": User("one", rules=(Rule(("get",), ("services/proxy",), names=("prometheus:9090",)),)),
    "t-none": User("none", rules=()),
}


class Worker(Inline):
    """Counts what it is given to do."""

    def __init__(self):
        self.given = []

    async def run(self, function, *args, timeout):
        self.given.append(function)
        return await super().run(function, *args, timeout=timeout)


@pytest.fixture
async def behind(stand_in, tmp_path):
    """Ask the stand-in through an embedded API server: `await behind(question, token=, headers=)`."""
    store = Store()
    server = await serve(store, users=USERS)
    opened = []

    async def open_as(token):
        text = server.kubeconfig(namespace="ml").replace("t-admin", token)
        path = tmp_path / f"kubeconfig-{token}"
        path.write_text(text)
        opened.append(await Connection.open(kubeconfig=str(path), namespace="ml"))
        return opened[-1]

    admin = await open_as("t-admin")
    host, port = stand_in.url.removeprefix("http://").split(":")
    there = "/api/v1/namespaces/monitoring"
    await admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": "monitoring"}})
    spec = {"ports": [{"port": 9090, "targetPort": int(port)}]}
    await admin.request("POST", f"{there}/services", {"metadata": {"name": "prometheus"}, "spec": spec})
    subsets = [{"addresses": [{"ip": host}], "ports": [{"port": int(port)}]}]
    await admin.request("POST", f"{there}/endpoints", {"metadata": {"name": "prometheus"}, "subsets": subsets})

    async def ask(*questions, token="t-admin", url=URL, seconds=30.0, **auth):
        connection = admin if token == "t-admin" else await open_as(token)
        endpoint = Endpoint(url, Auth(**auth), seconds)
        return await Asker(ask.worker, partial(through, connection)).ask(endpoint, questions, 60.0)

    ask.connection, ask.worker = admin, Worker()
    yield ask
    for connection in opened:
        await connection.close()
    await server.close()


async def test_the_answer_is_the_one_that_http_gives(behind, stand_in):
    stand_in.answer = lambda path, query: vector((BLUE, 0.1 + 0.2), (BLUE, "NaN"), warnings=["w"]) | {"infos": ["i"]}
    text = 'sum by (a) (x{b=~"c|d",e="ü/&+%20?"}[5m])'
    [reply, other] = await behind(Question(text), Question("up", 10, 20, 5), headers={"X-Scope-OrgID": "ml"})
    assert reply.rows[0].values == [0.1 + 0.2]
    assert reply.warnings == ("w", "i")
    assert abs(reply.ahead) < 5
    assert other.failure is None
    assert behind.worker.given == []
    kinds = [(kind, query["query"]) for kind, query in stand_in.asked]
    assert kinds == [("query", text), ("query_range", "up")]
    assert {key: stand_in.asked[1][1][key] for key in ("start", "end", "step")} == {
        "start": "10",
        "end": "20",
        "step": "5",
    }
    assert stand_in.headers[0]["X-Scope-OrgID"] == "ml"
    assert "Authorization" not in stand_in.headers[0]


async def test_one_right_is_enough_and_without_it_is_told_which(behind, stand_in):
    stand_in.answer = lambda path, query: vector((BLUE, 1))
    [reply] = await behind(Question("up"), token="t-one")
    assert reply.failure is None
    [refused, same] = await behind(Question("up"), Question("up"), token="t-none")
    assert refused == same
    assert refused.failure.kind == "denied"
    assert "the API server refuses the proxy of Service monitoring/prometheus:9090 (403)" in refused.failure.why
    assert "get on services/proxy, resourceName prometheus:9090" in refused.failure.hint


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("kube://monitoring/none:9090", "down", "there is no Service monitoring/none:9090"),
        ("kube://nowhere/prometheus:9090", "down", "there is no Service nowhere/prometheus:9090"),
        ("kube://monitoring/prometheus:1", "down", "does not answer (503)"),
        ("kube://monitoring", "down", "not like kube://NAMESPACE/SERVICE:PORT"),
    ],
)
async def test_an_address_that_leads_nowhere(behind, url, kind, words):
    [reply] = await behind(Question("up"), url=url)
    assert (reply.failure.kind, reply.rows) == (kind, ())
    assert words in reply.failure.why


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ((401, "no", "text/plain"), "denied", "answered 401"),
        ((422, '{"status":"error","error":"too many samples"}', "application/json"), "query", "too many samples"),
        ((200, "<html>Sign in</html>", "text/html"), "down", "HTML"),
        ((404, "404 page not found", "text/plain"), "down", "has no /api/v1"),
    ],
)
async def test_prometheus_own_refusals_are_its_own(behind, stand_in, error, kind, words):
    stand_in.error = error
    [reply] = await behind(Question("up"))
    assert reply.failure.kind == kind
    assert words in reply.failure.why


async def test_a_redirect_is_not_followed(behind, stand_in):
    async def login(request):
        raise web.HTTPFound("https://sso.example/login?next=/api")

    stand_in.error = login
    [reply] = await behind(Question("up"))
    assert reply.failure is not None
    assert all(kind == "query" for kind, _ in stand_in.asked)


async def test_an_answer_that_is_too_large_is_refused_and_a_large_one_is_read_in_the_worker(behind, stand_in):
    row = {"metric": {"a": "x" * 1000}, "value": [1, "1"]}

    async def large(request):
        count = int(request.query["query"])
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [row] * count}})
        return web.Response(text=body, content_type="application/json")

    stand_in.error = large
    [some, most] = await behind(Question("300"), Question("16500"))
    assert len(some.rows) == 300
    assert behind.worker.given == [answers.read]
    assert (most.failure.kind, most.failure.why) == ("query", "an answer of over 16 MiB")


async def test_one_that_hangs_is_given_up(behind, stand_in):
    async def hang(request):
        await asyncio.sleep(60)

    stand_in.error = hang
    [reply] = await behind(Question("up"), seconds=0.5)
    assert reply.failure.kind == "down"
    assert "0.5 s" in reply.failure.why or "no answer" in reply.failure.why


async def test_a_feed_of_its_figures(behind, stand_in, feed):
    stand_in.answer = lambda path, query: vector((BLUE, 0.25))
    asking = feed(prometheus_url=URL, scrape=False, proxy=partial(through, behind.connection))
    asking.fleet([SERVICE])
    await until(lambda: asking.glances("ml/churn"))
    assert asking.glances("ml/churn")[0].p95 == 0.25
    assert (asking.state.condition, asking.state.detail) == (Condition.LIVE, "kube://monitoring/prometheus:9090/prefix")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("kube://m/p:9090", ("m", "p", "9090", "")),
        ("kube://m/p", ("m", "p", "", "")),
        ("kube://m/https:p:web/a/b/", ("m", "https:p", "web", "/a/b")),
        ("kube://m/p:9090/../../pods/x/proxy", None),
        ("kube://m/../x:1", None),
        ("kube://M/p:1", None),
        ("kube://m/p:1?x=y", None),
        ("http://m/p:1", None),
        ("kube:///p:1", None),
    ],
)
def test_addresses(url, place):
    found = kube.place(url)
    assert (found and (found.namespace, found.service, found.port, found.path)) == place


@pytest.mark.parametrize(
    ("headers", "login", "words"),
    [
        ((), False, ""),
        (("X-Scope-OrgID",), False, ""),
        (("impersonate-user",), False, "Impersonate".lower()),
        (("Authorization",), False, "Authorization"),
        (("X-Remote-User",), False, "X-Remote-User"),
        ((), True, "the API server takes the login"),
    ],
)
def test_what_would_change_who_asks_is_refused(headers, login, words):
    found = kube.fault("kube://m/p:1", headers, login=login)
    assert words in found
    assert bool(found) is bool(words)


async def test_a_header_that_would_change_who_asks_never_leaves(behind, stand_in):
    stand_in.answer = lambda path, query: vector((BLUE, 1))
    [reply] = await behind(Question("up"), headers={"Impersonate-User": "admin"})
    assert "Impersonate-User" in reply.failure.why
    assert stand_in.asked == []
