"""Which content a tag means: asked of a registry on a real socket, and of a Docker Engine where there is one."""

import contextlib
import hashlib
import http.server
import json
import os
import threading
from urllib.parse import parse_qs, urlsplit

import pytest

from mlconsole.engine.offload import Offload
from mlconsole.images import digests
from mlconsole.images.digests import Reference, look_up, parse

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()
ENGINE = os.environ.get("MLCONSOLE_TEST_DOCKER_HOST", "")


class Registry:
    """`ml/fraud:14`; `token` is asked for where it is set, the digest told where `tells`."""

    def __init__(self, token="", tells=True, realm="", status=200):
        self.token, self.tells, self.realm, self.status = token, tells, realm, status
        self.heard = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.respond(body=False)

            def do_GET(self):
                self.respond(body=True)

            def respond(self, body):
                registry.heard.append((self.command, self.path, dict(self.headers)))
                parts = urlsplit(self.path)
                if parts.path == "/token":
                    scope = parse_qs(parts.query)["scope"][0]
                    return self.answer(200, json.dumps({"token": f"{registry.token}/{scope}"}).encode())
                wanted = f"Bearer {registry.token}/repository:ml/fraud:pull"
                if registry.token and self.headers.get("Authorization") != wanted:
                    realm = registry.realm or f"http://{registry.address}/token"
                    return self.answer(401, challenge=f'Bearer realm="{realm}",service="reg"')
                if parts.path != "/v2/ml/fraud/manifests/14":
                    return self.answer(404)
                return self.answer(registry.status, MANIFEST, body=body)

            def answer(self, status, data=b"", challenge="", body=True):
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if challenge:
                    self.send_header("WWW-Authenticate", challenge)
                if data is MANIFEST and registry.tells:
                    self.send_header("Docker-Content-Digest", DIGEST)
                self.end_headers()
                if body:
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def registry():
    """`registry(...)` starts one."""
    with contextlib.ExitStack() as stack:

        def start(**how):
            found = Registry(**how)
            threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(found.server.server_close)
            stack.callback(found.server.shutdown)
            return found

        yield start


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("fraud", Reference("", "fraud", "latest")),
        ("ml/fraud:14", Reference("", "ml/fraud", "14")),
        ("reg.local/ml/fraud:14", Reference("reg.local", "ml/fraud", "14")),
        ("reg:5000/fraud", Reference("reg:5000", "fraud", "latest")),
        ("localhost/fraud:1.0-rc_1", Reference("localhost", "fraud", "1.0-rc_1")),
        (f"reg.local/fraud:14@{DIGEST}", Reference("reg.local", "fraud", "14", DIGEST)),
        (f"reg.local/fraud@{DIGEST}", Reference("reg.local", "fraud", "latest", DIGEST)),
        ("fraud@sha256:12", None),
        ("Fraud:14", None),
        ("fraud:14/../../x", None),
        ("reg.local/../v1:14", None),
        ("fraud:a b", None),
        ("", None),
    ],
)
def test_names_of_images(image, parts):
    assert parse(image) == parts


def test_the_registry_tells_the_digest(registry):
    found = registry()
    image = f"{found.address}/ml/fraud:14"
    known = look_up(image, "")
    assert (known.digest, known.by, known.why) == (DIGEST, f"registry {found.address}", "")
    assert known.pinned == f"{image}@{DIGEST}"
    assert [method for method, _, _ in found.heard] == ["HEAD"]
    assert digests.MANIFESTS[0] in found.heard[0][2]["Accept"]


def test_a_registry_that_tells_no_digest_is_counted_after(registry):
    found = registry(tells=False)
    assert look_up(f"{found.address}/ml/fraud:14", "").digest == DIGEST


def test_a_token_for_whoever_comes_is_fetched(registry):
    found = registry(token="t1")
    assert look_up(f"{found.address}/ml/fraud:14", "").digest == DIGEST
    assert [urlsplit(path).path for _, path, _ in found.heard].count("/token") == 1


def test_no_token_is_asked_for_in_clear_elsewhere(registry):
    found = registry(token="t1", realm="http://192.0.2.1/token")
    known = look_up(f"{found.address}/ml/fraud:14", "")
    assert (known.digest, known.why) == ("", f"registry {found.address} wants a login")
    assert known.pinned == known.image


@pytest.mark.parametrize(
    ("how", "tag", "why"), [({}, "15", "does not have it"), ({"status": 503}, "14", "answered 503")]
)
def test_what_a_registry_says_instead_is_told(registry, how, tag, why):
    known = look_up(f"{registry(**how).address}/ml/fraud:{tag}", "")
    assert known.digest == ""
    assert why in known.words


def test_a_registry_that_is_away_and_an_image_without_one_are_told(registry):
    gone = registry()
    gone.server.shutdown()
    gone.server.server_close()
    assert "does not answer" in look_up(f"{gone.address}/ml/fraud:14", "").why
    assert look_up("ml/fraud:14", "").why == "its name says no registry"
    assert look_up("Ml/fraud:14", "").why == "this is no image's name"


async def test_a_worker_asks_and_a_digest_in_the_name_needs_nobody(registry):
    found, offload = registry(), Offload()
    try:
        known = await digests.resolve(offload, f"{found.address}/ml/fraud:14", "tcp://127.0.0.1:1")
        assert known.digest == DIGEST
        named = await digests.resolve(offload, f"x/y@{DIGEST}", None)
        assert (named.digest, named.by, named.pinned) == (DIGEST, "its own name", f"x/y@{DIGEST}")
    finally:
        await offload.close()


def test_an_engine_that_is_away_is_told_too():
    assert "the Docker Engine does not answer" in look_up("ml/fraud:14", "tcp://127.0.0.1:1").why


@pytest.fixture
def engine_with():
    """A Docker Engine's answer to an image's inspection: `engine_with(RepoDigests)` gives its address."""
    with contextlib.ExitStack() as stack:

        def start(repo_digests):
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    there = "/images/" in self.path
                    body = {"Id": "sha256:1", "RepoDigests": repo_digests} if there else {"ApiVersion": "1.44"}
                    data = json.dumps(body).encode()
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

                def log_message(self, *_):
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"tcp://127.0.0.1:{server.server_port}"

        yield start


def test_the_engine_is_asked_where_no_registry_says(engine_with):
    host = engine_with(["other/x@sha256:" + "0" * 64, f"ml/fraud@{DIGEST}"])
    known = look_up("ml/fraud:14", host)
    assert (known.digest, known.by) == (DIGEST, f"the Docker Engine at {host}")
    assert "from no registry" in look_up("ml/churn:14", host).why


@pytest.mark.skipif(not ENGINE, reason="no Docker Engine is named by MLCONSOLE_TEST_DOCKER_HOST")
def test_a_real_engine_says_what_it_has_and_what_not():
    known = look_up("mlconsole-no-such-image:1", ENGINE)
    assert known.digest == ""
    assert "does not have it" in known.why
