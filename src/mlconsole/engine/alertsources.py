"""Whom the alerts are asked of besides the feeds: Prometheus for rules' own queries and its alerts, Alertmanager."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Settings
from mlconsole.metrics import alertmanager, kube
from mlconsole.metrics.alertmanager import Others, Wanted
from mlconsole.metrics.answers import Failure, Question, Reply, address
from mlconsole.metrics.asking import Asker, Proxy, Request, Worker
from mlconsole.metrics.prometheus import Endpoint

SECONDS = 20.0
"""For everything that is asked at once."""
PATH = "/api/v1/alerts"


class Where(Protocol):
    """The addresses of the place that is looked at; empty for none."""

    @property
    def prometheus_url(self) -> str:
        """Prometheus."""

    @property
    def alertmanager_url(self) -> str:
        """Alertmanager."""


class AlertSources:
    """Asks them. Raises nothing that they can cause."""

    def __init__(self, settings: Settings, worker: Worker, where: Where, proxy: Proxy | None = None) -> None:
        self._auth = settings.metrics.auth
        self._worker = worker
        self._where = where
        self._proxy = proxy
        self._asker = Asker(worker, proxy)

    @property
    def silencing(self) -> str:
        """Why there is nobody to make a silence; empty where there is somebody."""
        return "" if self._where.alertmanager_url else "no Alertmanager is configured: metrics.alertmanager_url"

    def _endpoint(self, url: str) -> Endpoint | None:
        return Endpoint(url, self._auth) if url else None

    @property
    def has_prometheus(self) -> bool:
        """Whether there is a Prometheus to ask."""
        return bool(self._where.prometheus_url)

    async def ask(self, texts: Sequence[str]) -> list[Reply]:
        """The replies to some queries, as it is now."""
        return await self.ranges([Question(text) for text in texts])

    async def ranges(self, questions: Sequence[Question]) -> list[Reply]:
        """The replies to some questions, each at an instant or over a range."""
        endpoint = self._endpoint(self._where.prometheus_url)
        if endpoint is None:
            failure = Failure("down", "no Prometheus is asked here: set metrics.prometheus_url")
            return [Reply(failure=failure)] * len(questions)
        try:
            # In the worker's queue as well: whoever looks at the rules waits no longer.
            async with asyncio.timeout(SECONDS):
                return await self._asker.ask(endpoint, questions, SECONDS)
        except (TimeoutError, OSError, RuntimeError) as error:
            return [Reply(failure=_broken("Prometheus", error))] * len(questions)

    async def others(self) -> Others:
        """Others' alerts, and silences."""
        own, manager = self._endpoint(self._where.prometheus_url), self._endpoint(self._where.alertmanager_url)
        through = own is not None and own.url.startswith(kube.SCHEME)
        asked = None if through else own
        found = Others()
        if asked is not None or manager is not None:
            try:
                async with asyncio.timeout(SECONDS):
                    found = await self._worker.run(alertmanager.read, asked, manager, timeout=SECONDS)
            except (TimeoutError, OSError, RuntimeError) as error:
                names = [name for name, item in (("prometheus", asked), ("alertmanager", manager)) if item is not None]
                found = Others(failures={name: _broken(name, error) for name in names})
        if through and own is not None:
            found = alertmanager.with_own(found, await self._through(own))
        return found

    async def silence(self, wanted: Wanted) -> str | Failure:
        """Make a silence; its id."""
        manager = self._endpoint(self._where.alertmanager_url)
        if manager is None:
            return Failure("down", self.silencing)
        try:
            return await self._worker.run(alertmanager.silence, manager, wanted, timeout=SECONDS)
        except (TimeoutError, OSError, RuntimeError) as error:
            return _broken("Alertmanager", error)

    async def _through(self, own: Endpoint) -> object:
        """Prometheus' alerts through the API server: the document, or why there is none."""
        place, where = kube.place(own.url), address(own.url)
        if place is None or self._proxy is None:
            return Failure("down", f"{where}: there is no connection to the cluster")
        request = Request(place, f"{place.path}{PATH}", {}, dict(own.auth.headers), own.seconds)
        try:
            async with asyncio.timeout(own.seconds + 1):
                answer = await self._proxy(request)
            if answer.status != 200:
                return Failure("down", f"{where} answered {answer.status}")
            document: object = msgspec.json.decode(answer.body)
        except (ClusterError, TimeoutError, msgspec.DecodeError) as error:
            return Failure("down", f"{where}: {error or 'no answer in time'}")
        return document


def _broken(who: str, error: Exception) -> Failure:
    """What kept the worker from answering."""
    if isinstance(error, TimeoutError):
        return Failure("down", f"{who} gave no answer within {SECONDS:g} s")
    return Failure("down", f"the metrics worker failed: {type(error).__name__}: {error}")
