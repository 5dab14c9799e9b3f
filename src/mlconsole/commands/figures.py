"""Figures for one look: what the metrics feed knows after it had a moment, or the words why it knows nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from mlconsole.cluster import proxy
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import Unreachable
from mlconsole.config import Settings
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.telemetry import Glance
from mlconsole.engine.offload import Offload
from mlconsole.engine.through import through
from mlconsole.metrics.feed import MetricsFeed

PATIENCE = 20.0
"""Seconds in which every service has to have its figures: two scrapes, or the first query of a cold worker."""
SCRAPE_SECONDS = 4.0


class Figures(Struct, frozen=True):
    """What is known."""

    source: str
    """`prometheus`, `scrape`, or why there is nothing."""
    glances: Mapping[str, Sequence[Glance]] = {}

    def of(self, service: ModelService) -> Sequence[Glance]:
        """The figures of a service's colours."""
        return self.glances.get(service.key, ())


async def ask(connection: Connection, settings: Settings, services: Sequence[ModelService], *, wanted: bool) -> Figures:
    """The figures of `services`, as many as come in time. Never raises for what a source answers."""
    if not wanted:
        return Figures("not asked: --figures does")
    url = settings.prometheus_url(connection.identity.context, connection.namespace)
    if not url and not settings.metrics.scrape:
        return Figures("no source: set metrics.prometheus_url or metrics.scrape")
    changed = asyncio.Event()
    offload = Offload()

    async def fetch(namespace: str, pod: str, port: str, path: str) -> bytes:
        reply = await proxy.pod_get(connection, namespace, pod, port, path, SCRAPE_SECONDS)
        if reply.status != 200:
            raise Unreachable(f"pod {pod} gave no metrics", f"{path} answered {reply.status}")
        return reply.body

    feed = MetricsFeed(settings, offload, fetch, lambda _: changed.set(), partial(through, connection))
    feed.place(url)
    feed.start()
    try:
        feed.fleet(services)
        await _patiently(feed, services, changed)
        state = feed.state
        glances = {service.key: feed.glances(service.key) for service in services}
    finally:
        await feed.stop()
        await offload.close()
    return Figures(_source(state, any(map(_any_known, glances.values()))), glances)


def _source(state: SourceState, known: bool) -> str:
    """Where the figures are from, in a word; and what is wrong, if something is."""
    word = "scrape" if state.name == "scrape" else "prometheus"
    if state.condition is Condition.LIVE or not state.message:
        return word if known else f"{word}: no figures yet"
    return state.message


async def _patiently(feed: MetricsFeed, services: Sequence[ModelService], changed: asyncio.Event) -> None:
    """Wait until the live colour of every service that runs has figures, or patience ends."""
    running = [item for item in services if item.live_color is not None and item.live_color.ready]
    try:
        async with asyncio.timeout(PATIENCE):
            while not all(_live_known(feed, item) for item in running):
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return  # what came is what there is


def _live_known(feed: MetricsFeed, service: ModelService) -> bool:
    return any(glance.color == service.live and _known(glance) for glance in feed.glances(service.key))


def _any_known(glances: Sequence[Glance]) -> bool:
    return any(map(_known, glances))


def _known(glance: Glance) -> bool:
    return glance.requests_per_second is not None
