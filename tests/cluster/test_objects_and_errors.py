"""Bytes and words from outside: nothing in them may lose a list, a secret or a line."""

import asyncio
import subprocess
import sys

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.cluster import decoding, objects, streams
from mlconsole.cluster.connection import Connection, _resource
from mlconsole.cluster.errors import (
    Answer,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    Silent,
    TooManyRequests,
    Unauthorized,
    explain,
    redact,
)

from .conftest import kubeconfig_of

PODS = decoding.ItemDecoder(objects.Pod)
GOOD = {"metadata": {"name": "good", "namespace": "ml"}}


def body(*items):
    return msgspec.json.encode({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": list(items)})


# ---- objects


@pytest.mark.parametrize(
    "bad",
    [
        {"metadata": {"name": "bad", "namespace": "ml", "labels": "none"}},
        {"metadata": {"name": "bad", "namespace": "ml"}, "status": []},
        {"metadata": {"name": "bad", "namespace": "ml", "creationTimestamp": "yesterday"}},
    ],
)
def test_one_malformed_object_costs_only_itself(bad):
    meta, items = PODS.chunk(body(GOOD, bad, GOOD))
    assert (meta.resource_version, meta.continue_) == ("7", "more")
    assert [type(item).__name__ for item in items] == ["Pod", "Malformed", "Pod"]
    assert items[1].name == "ml/bad"
    assert items[1].why


@pytest.mark.parametrize("bad", [1, "x", None, [], {"metadata": None}, {"metadata": {"name": 3}}])
def test_an_object_without_a_name_is_still_counted(bad):
    _, items = PODS.chunk(body(GOOD, bad))
    assert isinstance(items[1], decoding.Malformed)


def test_null_stands_for_nothing():
    nulls = {
        "metadata": {**GOOD["metadata"], "labels": None, "ownerReferences": None, "creationTimestamp": None},
        "status": {"conditions": None, "containerStatuses": None, "startTime": None},
    }
    _, items = PODS.chunk(body(nulls))
    assert isinstance(items[0], objects.Pod)
    assert PODS.chunk(b'{"items": null}')[1] == []


def test_what_is_no_list_is_an_error():
    with pytest.raises(msgspec.DecodeError):
        PODS.chunk(b"<html>")
    with pytest.raises(ServerError, match="API server"):
        decoding.raw_list(b"<html>", "pods")


# ---- lines


class Chunks:
    def __init__(self, chunks):
        self.chunks = chunks

    async def iter_any(self):
        for chunk in self.chunks:
            yield chunk


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b" ")), max_size=8), st.data())
def test_lines_are_whole_wherever_they_are_cut(lines, data):
    text = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    async def collect():
        return [line async for line in streams.lines(Chunks([chunk for chunk in chunks if chunk]))]

    assert asyncio.run(collect()) == lines


@pytest.fixture
async def talker(tmp_path):
    """A server that says what a test tells it to, and a connection to it."""
    told = {}

    async def handle(request):
        return await told["answer"](request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    text = f"{{clusters: [{{name: c, cluster: {{server: '{server}'}}}}], users: [], current-context: x,"
    text += " contexts: [{name: x, context: {cluster: c}}]}"
    connection = await Connection.open(kubeconfig=kubeconfig_of(tmp_path, text))
    yield told, connection
    await connection.close()
    await runner.cleanup()


async def test_a_line_larger_than_any_buffer_arrives(talker):
    told, connection = talker
    size = 6 * 2**20

    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * size + b"\n")
        await response.write(b"small\nlast without a newline")
        return response

    told["answer"] = answer
    lines = [line async for line in connection.stream("/api/v1/pods")]
    assert [len(line) for line in lines] == [0, size, 5, len(b"last without a newline")]


async def test_a_stream_that_falls_silent_says_so(talker):
    told, connection = talker

    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await asyncio.sleep(30)
        return response

    told["answer"] = answer
    seen = []

    async def follow():
        async for line in connection.stream("/api/v1/pods", read_timeout=0.2):
            seen.append(line)

    with pytest.raises(Silent, match="nothing came for"):
        await follow()
    assert seen == [b"", b"one"]


async def test_an_answer_is_read_up_to_its_limit(talker):
    told, connection = talker

    async def answer(_):
        return web.Response(body=b"x" * 5_000_000, headers={"X-Model-Version": "13"})

    told["answer"] = answer
    reply = await connection.exchange("GET", "/x", limit=1000)
    assert (reply.status, len(reply.body), reply.headers["x-model-version"]) == (200, 1000, "13")


async def test_a_redirect_is_not_followed_with_the_credentials(talker):
    told, connection = talker

    async def answer(_):
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/steal"})

    told["answer"] = answer
    with pytest.raises(ServerError, match="302"):
        await connection.get("/api/v1/pods")


async def test_html_in_place_of_an_api_is_told(talker):
    told, connection = talker

    async def answer(_):
        return web.Response(status=502, text="<html>\x1b[31mBad gateway")

    told["answer"] = answer
    with pytest.raises(ServerError) as refused:
        await connection.get("/api/v1/pods")
    assert "\x1b" not in str(refused.value)
    assert "Bad gateway" in str(refused.value)


# ---- errors


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, Invalid),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Expired),
        (422, Invalid),
        (429, TooManyRequests),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_every_status_has_its_error(code, kind):
    status = msgspec.json.encode({"kind": "Status", "message": "pods is special", "code": code})
    error = explain(Answer(code, status, {"retry-after": "9"}, "list", "pods"), "cannot list pods in ml")
    assert type(error) is kind
    assert "cannot list pods in ml" in str(error)
    assert "pods is special" in str(error)
    assert getattr(error, "retry_after", 9.0) == 9.0


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef0123456789",
        "token=abcdef0123456789",
        '"client-key-data": "x", "password": "abcdef0123456789"',
        "https://ann:abcdef0123456789@proxy.local/",
        "got eyJhbGciOiJSUzI1NiJ9.abcdef0123456789.sig",
        "-----BEGIN EC PRIVATE KEY-----\nabcdef0123456789\n",
    ],
)
def test_no_error_carries_a_secret(text):
    assert "abcdef0123456789" not in redact(text)
    assert "abcdef0123456789" not in str(explain(OSError(5, text), text))


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/namespaces/ml/pods/x", "pods"),
        ("/apis/apps/v1/deployments", "deployments"),
        ("/api/v1/namespaces/ml", "namespaces"),
        ("/api/v1/namespaces", "namespaces"),
        ("/apis", ""),
    ],
)
def test_the_resource_of_a_path(path, resource):
    assert _resource(path) == resource


# ---- imports


def test_the_cheap_modules_stay_cheap():
    code = "import mlconsole.cluster.discovery, mlconsole.cluster.errors, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"kubernetes", "aiohttp", "yaml"} & set(loaded)


def test_the_generated_client_is_not_imported():
    code = "import mlconsole.cluster.kube as k; k.load(); import sys; print(len(sys.modules)); import kubernetes.client"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 600, "kubernetes.aio whole is more than 1,500 modules"
