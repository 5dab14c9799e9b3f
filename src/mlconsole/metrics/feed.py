"""Figures of the fleet, from Prometheus where one is configured, else from the pods themselves.

A Prometheus that is down is said to be down, and the pods are scraped until it is back, if `metrics.scrape` allows it.
A Prometheus knows one cluster: services of another may bear the same names, and its figures must not pass for theirs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from msgspec.structs import replace

from mlconsole.config import Settings
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.telemetry import Glance, Telemetry
from mlconsole.metrics.asking import Proxy, Worker
from mlconsole.metrics.observer import Observer
from mlconsole.metrics.scrape import Bring, Fetch, Scraper, nothing_brought

RESTART_SECONDS = 5.0
log = logging.getLogger(__name__)


class MetricsFeed:
    """The figures of every service of the fleet. `changed` is called with the key of each whose figures changed."""

    def __init__(
        self,
        settings: Settings,
        offload: Worker,
        fetch: Fetch,
        changed: Callable[[str], None],
        proxy: Proxy | None = None,
        bring: Bring = nothing_brought,
    ) -> None:
        metrics = settings.metrics
        self._bring = bring
        self._settings = settings
        self._offload = offload
        self._proxy = proxy
        self._changed = changed
        self._url = metrics.prometheus_url or ""
        self._elsewhere = ""
        """Why no Prometheus is asked here though one is configured."""
        self._range = metrics.range, 0.0, 0.0
        self._panel = ""
        self._started = False
        self._observing: asyncio.Task[None] | None = None
        self._observer = self._new_observer()
        self._scraper: Scraper | None = None
        if metrics.scrape:
            self._scraper = Scraper(metrics.refresh, fetch, self._scraped, bring=bring, settings=settings.service)
        if self._scraper is not None:
            self._scraper.active = self._observer is None
            self._scraper.show_range(*self._range)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to read."""
        self._started = True
        if self._observer is not None:
            self._observing = self._keep_alive(self._observer.run)
        if self._scraper is not None:
            self._keep_alive(self._scraper.run)

    async def stop(self) -> None:
        """End every task."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep_alive(self, life: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._living(life))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _living(self, life: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a source; what breaks it is in the log, and it begins again."""
        while True:
            try:
                await life()
            except Exception:
                log.exception("a source of figures failed")
            await asyncio.sleep(RESTART_SECONDS)

    # ---- what is looked at

    def reconnect(self) -> None:
        """Try again now."""
        if self._observer is not None:
            self._observer.hurry()
        if self._scraper is not None:
            self._scraper.hurry()

    def place(self, url: str, elsewhere: str = "") -> None:
        """Another place: drop everything. Its Prometheus is at `url`; empty if it has none, for the reason given."""
        self._elsewhere = elsewhere
        if url != self._url:
            self._url = url
            if self._observing is not None:
                self._observing.cancel()
            self._observer, self._observing = self._new_observer(), None
            if self._observer is not None and self._started:
                self._observing = self._keep_alive(self._observer.run)
        elif self._observer is not None:
            self._observer.forget()
        if self._scraper is not None:
            self._scraper.active = self._observer is None or self._observer.known_down
            self._scraper.forget()

    def _new_observer(self) -> Observer | None:
        if not self._url:
            return None
        metrics = replace(self._settings.metrics, prometheus_url=self._url)
        given = replace(self._settings, metrics=metrics)
        observer = Observer(given, self._offload, self._observed, proxy=self._proxy, bring=self._bring)
        observer.show_range(*self._range)
        observer.show_panel(self._panel)
        observer.charting = self._charting
        return observer

    def fleet(self, services: Sequence[ModelService]) -> None:
        """Every service there is."""
        if self._observer is not None:
            self._observer.fleet(services)
        if self._scraper is not None:
            self._scraper.fleet(services)

    def select(self, service: ModelService | None) -> None:
        """The service whose panels are on the screen."""
        if self._observer is not None:
            self._observer.select(service)
        if self._scraper is not None:
            self._scraper.select(service)

    def show_range(self, seconds: float, end: float = 0.0, compare: float = 0.0) -> None:
        """Show `seconds` until `end` (0: now), and the same time `compare` seconds earlier."""
        self._range = seconds, end, compare
        if self._observer is not None:
            self._observer.show_range(seconds, end, compare)
        if self._scraper is not None:
            self._scraper.show_range(seconds, end, compare)

    def show_panel(self, panel: str) -> None:
        """The panel on the screen: of the others no range is fetched. Empty for the first three."""
        self._panel = panel
        if self._observer is not None:
            self._observer.show_panel(panel)
        if self._scraper is not None:
            self._scraper.show_panel(panel)

    @property
    def charting(self) -> bool:
        """Whether a chart is on the screen: no range query for one that is not."""
        return self._charting

    @charting.setter
    def charting(self, on: bool) -> None:
        self._charting = on
        if self._observer is not None and on != self._observer.charting:
            self._observer.charting = on
            self._observer.hurry()

    _charting = False

    # ---- which of the two

    def _observed(self, key: str) -> None:
        if self._scraper is not None and self._observer is not None and self._scraper.active is self._observer.up:
            self._switch(not self._observer.up)
        if key:
            self._changed(key)

    def _scraped(self, key: str) -> None:
        if self._source is self._scraper:
            self._changed(key)

    def _switch(self, scraping: bool) -> None:
        assert self._scraper is not None
        self._scraper.active = scraping
        self._scraper.hurry()

    @property
    def _source(self) -> Observer | Scraper | None:
        """Who answers now."""
        if self._observer is not None and (self._scraper is None or not self._observer.known_down):
            return self._observer
        return self._scraper

    @property
    def state(self) -> SourceState:
        """How the figures come, and what is wrong if they do not."""
        if self._observer is None:
            return self._state_without()
        state = self._observer.state
        if self._observer.known_down and self._scraper is not None:
            scraped = self._scraper.state
            words = "the pods are scraped meanwhile"
            if scraped.condition in (Condition.DOWN, Condition.DENIED):
                words = f"and the pods cannot be scraped: {scraped.message}"
            return replace(state, message=f"{state.message}; {words}")
        return state

    def _state_without(self) -> SourceState:
        """The state where no Prometheus is asked, and why none is."""
        hint = "set metrics.prometheus_url (or PROMETHEUS_URL), or metrics.scrape = true"
        if self._elsewhere:
            hint = "give this place its own: prometheus_url under [environments.NAME]"
        if self._scraper is None:
            words = f"{self._elsewhere or 'no Prometheus'}, and scraping is off"
            return SourceState("prom", Condition.OFF, message=words, hint=hint)
        state = self._scraper.state
        if self._elsewhere:
            message = "; ".join(filter(None, (state.message, self._elsewhere)))
            return replace(state, message=message, hint=hint)
        return state

    # ---- what they say

    def glances(self, key: str) -> tuple[Glance, ...]:
        """The figures of a service's colours now; a colour without any is not there."""
        return self._source.glances(key) if self._source else ()

    def telemetry(self, key: str) -> Telemetry | None:
        """The panels of the selected service, None while nothing was asked."""
        return self._source.telemetry(key) if self._source else None

    def judge_again(self) -> None:
        """More is known of references: judge drift anew, and soon."""
        if self._observer is not None:
            self._observer.judge_again()
        if self._scraper is not None:
            self._scraper.judge_again()

    def drift(self, key: str) -> DriftTable | None:
        """The drift table of the selected service, None while nothing was asked."""
        return self._source.drift(key) if self._source else None

    @property
    def earlier(self) -> tuple[DriftTable, ...]:
        """The drift of the selected service in windows before it was looked at; without a Prometheus none is known."""
        return self._observer.earlier if self._observer is not None and self._source is self._observer else ()
