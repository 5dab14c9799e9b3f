"""A model server that is told to end: what is on its way to it is answered first."""

import asyncio
import os
import signal
import socket
import sys

import pytest

from mlconsole.demo import plainmodels

NAME, VERSION = "eta", "5"
DEADLINE = 60.0
ASK = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"


class Process:
    """A model server in a process of its own."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    async def connection(self):
        """A connection to it, when it takes some; None where it takes no more."""
        try:
            return await asyncio.open_connection("127.0.0.1", self.port)
        except (ConnectionRefusedError, ConnectionResetError):
            return None


async def asked(connection):
    """What is answered to a request: the status, and whether the connection is kept."""
    reader, writer = connection
    writer.write(ASK)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.partition("Content-Length: ")[2].partition("\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1]), "Connection: keep-alive" in head


@pytest.fixture
async def server(tmp_path):
    """One that serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = plainmodels.write(tmp_path)
    env = {**os.environ, "MODEL_PATH": str(models[NAME, VERSION]), "PORT": str(port)}
    command = (sys.executable, "-m", "mlconsole.demo.modelserver")
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(DEADLINE):
        assert b"start" in await process.stdout.readline()
    yield Process(process, port)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_a_kept_connection_has_one_more_answer_when_no_other_is_taken_any_more(server):
    async with asyncio.timeout(DEADLINE):
        used, idle = await server.connection(), await server.connection()
        assert await asked(used) == (200, True)
        assert await asked(idle) == (200, True)
        server.process.send_signal(signal.SIGTERM)
        while other := await server.connection():
            other[1].close()
        assert await asked(used) == (503, False), "not ready, and the client is told that this was the last answer"
        assert await used[0].read() == b""
        assert await idle[0].read() == b"", "nobody is waited for without an end"
        assert await server.process.wait() == 0


async def test_it_ends_at_once_when_nobody_is_connected(server):
    async with asyncio.timeout(DEADLINE):
        used = await server.connection()
        assert await asked(used) == (200, True)
        server.process.send_signal(signal.SIGTERM)
        used[1].close()
        assert await server.process.wait() == 0


async def test_a_body_in_pieces_is_a_body(server):
    """As `kubectl create --raw` sends it; and one that is too large is refused without being read."""
    pieces = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await server.connection()
    writer.write(pieces + b'f\r\n{"features": [1\r\n7;x=y\r\n, 2, 3]\r\n1\r\n}\r\n0\r\nX-Trailer: y\r\n\r\n' + ASK)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert head.startswith("HTTP/1.1 200"), head
    body = await reader.readexactly(int(head.partition("Content-Length: ")[2].partition("\r\n")[0]))
    assert b"prediction" in body
    assert (await reader.readline()).startswith(b"HTTP/1.1 200"), "the next request on the connection"
    writer.close()
    reader, writer = await server.connection()
    writer.write(pieces + b"fffffff\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
