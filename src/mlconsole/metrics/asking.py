"""Who asks Prometheus: a worker process by HTTP, or the engine's own connection through the API server.

The answers are read by the same code, and the bounds are the same. A worker has the client and its dependencies;
through the API server only the engine can ask, since the credentials are its own; a worker then reads what is large.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar, TypeVarTuple

from msgspec import Struct

from mlconsole.cluster.errors import ClusterError
from mlconsole.gathering import gather
from mlconsole.metrics import answers, kube
from mlconsole.metrics.answers import Failure, Question, Reply
from mlconsole.metrics.prometheus import ALL_SECONDS, PARALLEL, Endpoint, ask

LARGE = 256 * 1024
"""Bytes from which on an answer is not read in the engine."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Worker(Protocol):
    """The engine's way to run a function in a worker process."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout: float) -> T:
        """`function(*args)` there, within `timeout` seconds."""


class Request(Struct, frozen=True):
    """A GET of a Service, through the API server."""

    place: kube.Place
    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    seconds: float


class Answer(Protocol):
    """What came back."""

    @property
    def status(self) -> int:
        """200."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case."""

    @property
    def body(self) -> bytes:
        """At most one byte more than is read."""


Proxy = Callable[[Request], Awaitable[Answer]]
"""Raises ClusterError where there is no answer."""


class Asked(Struct, frozen=True):
    """A question, and what its answer is for: handed the reply when it is there."""

    question: Question
    take: Callable[[Reply], None]


class Asker:
    """Asks whom an address names."""

    def __init__(self, worker: Worker, proxy: Proxy | None = None) -> None:
        self._worker = worker
        self._proxy = proxy

    async def ask(self, endpoint: Endpoint, questions: Sequence[Question], timeout: float) -> list[Reply]:
        """The reply to each question, in order. Raises what the worker raises, and TimeoutError."""
        if not endpoint.url.startswith(kube.SCHEME):
            return await self._worker.run(ask, endpoint, list(questions), timeout=timeout)
        if not questions:
            return []
        async with asyncio.timeout(timeout):
            return await self._through(endpoint, questions)

    async def _through(self, endpoint: Endpoint, questions: Sequence[Question]) -> list[Reply]:
        auth = endpoint.auth
        place = kube.place(endpoint.url)
        login = auth.username is not None or bool(auth.bearer_token_env or auth.bearer_token_file)
        wrong = kube.fault(endpoint.url, tuple(auth.headers), login=login)
        if place is None or wrong or self._proxy is None:
            why = f"{endpoint.url}: {wrong or 'there is no connection to the cluster'}"
            return [Reply(failure=Failure("down", why, "correct metrics.prometheus_url or [metrics.auth]"))] * len(
                questions
            )
        until = time.monotonic() + ALL_SECONDS
        first = await self._one(endpoint, place, questions[0], until)
        if first.failure is not None and first.failure.kind != "query":
            return [first] * len(questions)
        gate = asyncio.Semaphore(PARALLEL)

        async def bounded(question: Question) -> Reply:
            async with gate:
                return await self._one(endpoint, place, question, until)

        return [first, *await gather(*map(bounded, questions[1:]))]

    async def _one(self, endpoint: Endpoint, place: kube.Place, question: Question, until: float) -> Reply:
        assert self._proxy is not None
        where = answers.address(endpoint.url)
        if time.monotonic() > until:
            return Reply(failure=answers.late(where, endpoint.seconds))
        word, parameters = question.parameters(endpoint.seconds)
        request = Request(
            place, f"{place.path}/api/v1/{word}", parameters, dict(endpoint.auth.headers), endpoint.seconds
        )
        try:
            answer = await self._proxy(request)
        except ClusterError as error:
            return Reply(failure=Failure("down", f"{where}: {error.message}", error.hint))
        except TimeoutError:
            return Reply(failure=answers.late(where, endpoint.seconds))
        refused = _refused(answer, place, where)
        if refused is not None:
            return Reply(failure=refused)
        given = (answer.status, dict(answer.headers), answer.body, where, time.time())
        if len(answer.body) < LARGE or len(answer.body) > answers.MAX_ANSWER:
            return answers.read(*given)
        return await self._worker.run(answers.read, *given, timeout=endpoint.seconds)


def _refused(answer: Answer, place: kube.Place, where: str) -> Failure | None:
    """The API server's own refusal, which is not Prometheus', or a redirection."""
    status = answer.status
    if 300 <= status < 400:
        return answers.redirected(where, answers.address(answer.headers.get("location", "")))
    if status < 400 or b'"kind":"Status"' not in answer.body[:1000].replace(b" ", b""):
        return None
    name = f"{place.namespace}/{place.resource}"
    if status in (401, 403):
        why = f"the API server refuses the proxy of Service {name} ({status})"
        return Failure("denied", why, f"it takes get on services/proxy, resourceName {place.resource}: mlconsole rbac")
    if status == 404:
        return Failure("down", f"there is no Service {name} in this cluster", "correct metrics.prometheus_url")
    return Failure("down", f"Service {name} does not answer ({status})", "it has no ready pod, or not on this port")
