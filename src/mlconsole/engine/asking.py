"""Post payloads to the pods of one colour through the API server's proxy: never more than a few at once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import proxy
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Unreachable
from mlconsole.cluster.proxy import Reply
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.smoke import Answer
from mlconsole.domain.text import visible
from mlconsole.engine import answers

AT_ONCE = 4
"""Requests that are under way on one colour."""
PATIENCE = 30.0
"""Seconds for an answer, where no setting says how late is too late."""
PAUSE = 0.25
"""Seconds before a request is sent once more that the API server did not get through to the pod."""
_NOT_ASKED = {401: "not logged in", 403: "not allowed", 404: "not found", 429: "too many requests"}
"""What the API server itself says of a request that it did not pass on."""
_NOT_REACHED = frozenset({429, 500, 502, 503, 504})
"""What it says where another try may get through."""


class _Status(Struct):
    kind: str = ""
    api_version: str = msgspec.field(default="", name="apiVersion")
    message: str = ""


class Asker:
    """Asks the ready pods of one colour."""

    def __init__(
        self, connection: Connection, service: ModelService, color: Color, path: str, most: float | None
    ) -> None:
        self._connection, self._service, self._color = connection, service, color
        self._path = path
        self._most = most
        self._room = asyncio.Semaphore(AT_ONCE)
        self._ports: dict[str, str] = {}
        self._missed: list[str] = []
        """Why requests were sent twice."""
        self.pods = tuple(pod.name for pod in color.pods if pod.ready and not pod.terminating)

    async def ask(self, pod: str, payload: Any) -> Answer:
        """Post one payload to one pod. Everything that comes of it is an answer.

        Once more where the API server's proxy says that it did not get through: one hiccup of it is no word on a pod.
        """
        async with self._room:
            first, missed = await self._ask(pod, payload)
            if not missed:
                return first
            self._missed.append(f"pod {pod}: {missed}")
            await asyncio.sleep(PAUSE)
            return (await self._ask(pod, payload))[0]

    @property
    def again(self) -> str:
        """What an evidence has to say of requests that were sent twice; empty for none."""
        return f"; {len(self._missed)} sent twice, the first time {self._missed[0]}" if self._missed else ""

    async def _ask(self, pod: str, payload: Any) -> tuple[Answer, str]:
        """What came of one request, and why it did not get through; empty where it did."""
        patience = self._most or PATIENCE
        began = time.monotonic()
        try:
            port = await self._port(pod)
            began = time.monotonic()
            namespace = self._service.namespace
            reply = await proxy.pod_post(self._connection, namespace, pod, port, self._path, payload, patience)
        except (ClusterError, TimeoutError) as error:
            seconds = time.monotonic() - began
            if seconds >= patience:
                return Answer(pod, seconds=seconds, wrong=f"gave no answer within {patience:g} s"), ""
            why = visible(str(error), 200) or "no answer in time"
            return Answer(pod, seconds=seconds, silent=why), why if isinstance(error, Unreachable) else ""
        message = _of_the_api_server(reply)
        missed = f"{reply.status}: {message}" if message and reply.status in _NOT_REACHED else ""
        return self._answer(pod, reply, time.monotonic() - began, message), missed

    async def _port(self, pod: str) -> str:
        """Known before the time is taken: a name costs a request."""
        if pod not in self._ports:
            ports = self._service.ports
            target = ports[0].target if ports else ""
            self._ports[pod] = await proxy.pod_port(self._connection, self._service.namespace, pod, target)
        return self._ports[pod]

    def _answer(self, pod: str, reply: Reply, seconds: float, message: str) -> Answer:
        """`message` is the API server's own, where the answer is not a model server's."""
        answer = Answer(pod, reply.status, seconds, reply.body)
        if message and reply.status in _NOT_ASKED:
            return replace(answer, silent=f"{_NOT_ASKED[reply.status]}: {message}")
        found = answers.judge(reply.status, reply.headers, reply.body, self._color.release)
        if found.match is answers.Match.OTHER:
            return replace(answer, wrong=f"{found.words}, not as {self._color.release.label}")
        return answer


def _of_the_api_server(reply: Reply) -> str:
    """The message of the API server's own Status; empty for the answer of a model server."""
    try:
        status = msgspec.json.decode(reply.body, type=_Status)
    except (msgspec.DecodeError, RecursionError):
        return ""
    return visible(status.message, 200) if (status.kind, status.api_version) == ("Status", "v1") else ""
