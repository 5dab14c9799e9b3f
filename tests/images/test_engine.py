"""The Docker Engine's ping, against real sockets: one that answers, some that do not."""

import asyncio
import http.server
import json
import socketserver
import threading

import pytest

from mlconsole import config
from mlconsole.domain.sources import Condition
from mlconsole.engine.offload import Offload
from mlconsole.images.engine import DockerFeed, address, ping, where

VERSION = {"Version": "27.1.0\x1b[31m", "ApiVersion": "1.46", "Platform": {"Name": "Docker Engine"}}


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path):
    """A server on a socket that answers /version: `engine(status, body)` gives its address."""
    running = []

    def start(status=200, body=VERSION):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

            def address_string(self):
                return ""

        path = str(tmp_path / f"{len(running)}.sock")
        server = _Unix(path, Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"unix://{path}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_version(engine):
    pong = ping(engine())
    assert (pong.condition, pong.version, pong.api) == (Condition.LIVE, "27.1.0␛[31m", "1.46")


@pytest.mark.parametrize(
    ("status", "body", "condition"),
    [
        (200, [], Condition.DOWN),
        (200, {}, Condition.DOWN),
        (500, {"message": "no"}, Condition.DOWN),
        (403, {"message": "authz"}, Condition.DENIED),
    ],
)
def test_answers_that_are_none(engine, status, body, condition):
    pong = ping(engine(status, body))
    assert (pong.condition, bool(pong.message)) == (condition, True)


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "banana", "tcp://[::1"])
def test_nobody_there(host):
    pong = ping(host)
    assert (pong.condition, bool(pong.message), bool(pong.hint)) == (Condition.DOWN, True, True)


def test_where(tmp_path, engine):
    path = engine().removeprefix("unix://")
    (tmp_path / "docker.sock").symlink_to(path)
    none = tmp_path / "none.sock"
    assert where("tcp://x", {}, none) == "tcp://x"
    assert where(None, {}, none) == ""
    assert where(None, {}, tmp_path / "docker.sock") == f"unix://{tmp_path}/docker.sock"
    assert where(None, {"XDG_RUNTIME_DIR": str(tmp_path)}, none) == f"unix://{tmp_path}/docker.sock"
    assert "secret" not in address("tcp://me:secret@host:1")


async def test_the_feed_follows_the_engine(engine, tmp_path):
    changed, offload = asyncio.Event(), Offload()
    host = f"unix://{tmp_path}/0.sock"
    feed = DockerFeed(config.Docker(host=host), offload, changed.set)
    assert feed.state.condition is Condition.STARTING
    feed.start()
    try:
        async with asyncio.timeout(120):
            await changed.wait()
            assert feed.state.condition is Condition.DOWN
            assert feed.state.hint
            assert engine() == host
            changed.clear()
            feed.reconnect()
            await changed.wait()
            assert (feed.state.condition, feed.state.last_contact > 0) == (Condition.LIVE, True)
    finally:
        await feed.stop()
        await offload.close()


async def test_without_an_engine_it_is_off(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("mlconsole.images.engine.where", lambda *_: "")
    offload = Offload()
    feed = DockerFeed(config.Docker(), offload, lambda: None)
    feed.start()
    assert (feed.state.condition, offload.pids) == (Condition.OFF, ())
    await feed.stop()
    await offload.close()
