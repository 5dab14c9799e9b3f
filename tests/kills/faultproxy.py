"""A proxy before an API server, embedded or real, that fails one request the way servers and networks do.

Which one is said by the phase that the operation is in, the verb and the resource: `switch PATCH services`, the first
of its kind. Its kubeconfig leads here; what proves who asks (a token, a client's certificate) is handed on.
"""

import asyncio
import base64
import contextlib
import os
import signal
import socket
import ssl
import struct

import aiohttp
import msgspec
import yaml
from aiohttp import web

REFUSALS = {
    "409": (409, "Conflict", {}),
    "429": (429, "TooManyRequests", {"Retry-After": "1"}),
    "500": (500, "InternalError", {}),
    "503": (503, "ServiceUnavailable", {}),
}
CUTS = ("reset before", "reset after", "no answer", "gone", "suspended")
"""The connection breaks before or after the server did what was asked; the answer is withheld; nobody listens for a
while; the client's machine sleeps."""
DROPPED = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "content-encoding"}


class FaultProxy:
    """Listens on loopback. `phase` says where the operation stands, `pid` whose process it is."""

    def __init__(self, kubeconfig, folder, outage):
        with open(kubeconfig) as file:
            self._config = yaml.safe_load(file)
        self._folder = folder
        self._server = web.Server(self._handle)
        self._port = 0
        self._listener = self._back = None
        self.phase = self.pid = lambda: ""
        self.outage = outage
        """Seconds that nobody listens: longer than the lock's duration and every patience of the executor."""
        self.disarm()

    async def __aenter__(self):
        self.kubeconfig = self._folder / "through-the-proxy"
        self._url, secured = self._upstream()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=secured))
        await self._listen()
        name = self._config["current-context"]
        context = next(item for item in self._config["contexts"] if item["name"] == name)
        for item in self._config["clusters"]:
            if item["name"] == context["context"]["cluster"]:
                item["cluster"] = {"server": f"http://127.0.0.1:{self._port}"}
        for item in self._config["users"]:
            for key in [key for key in item["user"] if key.startswith("client-")]:
                del item["user"][key]
        self.kubeconfig.write_text(yaml.safe_dump(self._config))
        return self

    async def __aexit__(self, *_):
        self.disarm()
        if self._back is not None:
            await self._back
        self._listener.close()
        self._cut_off()
        await self._server.shutdown(0.1)
        await self._session.close()

    # ---- what a test says

    def arm(self, fault="", step=""):
        """Fail the first request of a step; without one, only listen."""
        self.disarm()
        self._fault, self._step, self._armed = fault, step, True

    def disarm(self):
        """Fail nothing more, and let go of answers that are withheld."""
        if getattr(self, "_over", None) is not None:
            self._over.set()
        self._fault = self._step = ""
        self._armed = False
        self._over, self.hit = asyncio.Event(), asyncio.Event()
        self.steps = []

    # ---- inside

    def _upstream(self):
        name = self._config["current-context"]
        context = next(item for item in self._config["contexts"] if item["name"] == name)["context"]
        cluster = next(item for item in self._config["clusters"] if item["name"] == context["cluster"])["cluster"]
        user = next(item for item in self._config["users"] if item["name"] == context["user"])["user"]
        if not cluster["server"].startswith("https"):
            return cluster["server"], False
        secured = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
        secured.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        if any(key.startswith("client-certificate") for key in user):
            pair = self._folder / "client.pem"
            pair.write_text(_text(user, "client-certificate") + "\n" + _text(user, "client-key"))
            secured.load_cert_chain(pair)
        return cluster["server"], secured

    async def _listen(self):
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._server, "127.0.0.1", self._port, reuse_address=True)
        self._port = self._listener.sockets[0].getsockname()[1]

    def _cut_off(self):
        for connection in list(self._server.connections):
            if connection.transport is not None:
                _reset(connection.transport)

    async def _handle(self, request):
        body = await request.read()
        step = f"{self.phase()} {request.method} {_resource(request.path)}" if self._armed else ""
        fault = self._fault if step and step == self._step and not self.hit.is_set() else ""
        if step:
            self.steps.append(step)
        if fault:
            self.hit.set()
        if fault in REFUSALS:
            return _refusal(*REFUSALS[fault])
        if fault == "reset before":
            return self._broken(request)
        if fault == "gone":
            self._back = asyncio.create_task(self._be_away())
            return self._broken(request)
        if fault == "suspended":
            os.kill(self.pid(), signal.SIGSTOP)
        over = self._over
        answer = await self._forward(request, body)
        if fault == "no answer":
            await over.wait()
        return self._broken(request) if fault in ("reset after", "no answer") else answer

    async def _be_away(self):
        self._listener.close()
        self._cut_off()
        await asyncio.sleep(self.outage)
        await self._listen()

    def _broken(self, request):
        if request.transport is not None:
            _reset(request.transport)
        return web.Response(status=502)

    async def _forward(self, request, body):
        sent = {name: value for name, value in request.headers.items() if name.lower() not in DROPPED}
        url = self._url + request.raw_path
        async with self._session.request(request.method, _raw(url), headers=sent, data=body or None) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in DROPPED}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())


def _raw(url):
    return aiohttp.client.URL(url, encoded=True)


def _text(where, key):
    """What a kubeconfig has as a file, or in itself."""
    if key + "-data" in where:
        return base64.b64decode(where[key + "-data"]).decode()
    with open(where[key]) as file:
        return file.read()


def _resource(path):
    """`services`, `pods/proxy`."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    parts = parts[2:] if parts[:1] == ["namespaces"] and len(parts) > 2 else parts
    return parts[0] + ("/proxy" if "proxy" in parts else "") if parts else path


def _refusal(status, reason, headers):
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}
    body = msgspec.json.encode({**said, "message": "a fault that was asked for"})
    return web.Response(status=status, headers={"Content-Type": "application/json", **headers}, body=body)


def _reset(transport):
    """End a connection as a broken network does: with a reset, not with a farewell."""
    found = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
