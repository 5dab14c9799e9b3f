"""The panels of scraped services: the samples that they are computed from, and whose they are.

The selected service's pages are kept for an hour, for its charts; those of a service that speaks another dialect than
our own as long as its row needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec.structs import replace

from mlconsole.config import ServiceSettings
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Glance, Telemetry
from mlconsole.metrics import local
from mlconsole.metrics.chart import STATS_OF
from mlconsole.metrics.exposition import Parser
from mlconsole.metrics.local import LocalBoard
from mlconsole.metrics.samples import Samples

SHORT, KEEP = 300.0, 3600.0
"""Seconds of samples that figures of now need, and that charts show."""
FORGIVEN = 15.0
"""Seconds without a read after which a level is none, at least."""
NO_PANEL = "(none)"
"""What is on the screen of the board while the panels there come out of the ledgers."""


class ScrapedPanels:
    """What is kept of the pages beside what the ledgers count."""

    def __init__(self, refresh: float, settings: Callable[[str, str], ServiceSettings]) -> None:
        self._refresh = refresh
        self._settings = settings
        self._parser = Parser()
        self._samples: dict[str, Samples] = {}
        """By service."""
        self._board: LocalBoard | None = None
        """The selected service's."""
        self._selected = ""
        self.panel = ""
        """On the screen: the others are not computed. Empty for the first three."""

    def forget(self) -> None:
        """Another cluster."""
        self._samples.clear()
        self._board = None

    def select(self, key: str) -> None:
        """Another service is on the screen."""
        if key != self._selected:
            self._samples.pop(self._selected, None)
            self._selected, self._board = key, None

    def update(self, service: ModelService, pods: Collection[str]) -> None:
        """A service as it is now; `pods` are those that are read."""
        if service.key in self._samples:
            self._samples[service.key].retain(pods)
        if service.key == self._selected and self._board is not None:
            self._board.update(service)

    def drop(self, key: str) -> None:
        """A service is no more."""
        self._samples.pop(key, None)

    def take(self, service: ModelService, color: str, pod: str, at: float, body: bytes, patience: float) -> bool:
        """Keep what panels read of a page; whether it tells of requests, in whatever dialect. Raises Malformed."""
        own = local.own_families(self._settings(service.namespace, service.name))
        lines = self._parser.families(body, (*local.wanted(), *own))
        samples = self._samples.setdefault(service.key, Samples(SHORT))
        if service.key == self._selected:
            samples.keep = max(samples.keep, KEEP)
        samples.patience = max(FORGIVEN, patience)
        place = {"namespace": service.namespace, "pod": pod}
        of = service.color(color)
        for since, line in local.restarts(of, pod, at, KEEP) if of is not None else ():
            samples.add(since, place, [line])
        samples.add(at, place, lines)
        return not local.telling().isdisjoint(line.name for line in lines)

    @property
    def unfinished(self) -> bool:
        """Whether there is more to compute of the panels than there was time for."""
        return self._board is not None and self._board.unfinished

    def glances(self, service: ModelService, window: int, now: float) -> tuple[Glance, ...]:
        """The figures of a service that speaks another dialect than ours."""
        return local.glances(service, self._samples[service.key], window, now)

    def telemetry(
        self,
        service: ModelService,
        shown: tuple[float, float, float],
        window: int,
        problem: str,
        now: float,
        ledgers: Callable[[], Telemetry] | None,
    ) -> Telemetry | None:
        """The panels: the first three out of the ledgers, where these count; every other out of its query."""
        samples = self._samples.get(service.key)
        if samples is None or not samples.last:
            return ledgers() if ledgers is not None else None
        if self._board is None:
            own = self._settings(service.namespace, service.name)
            self._board = LocalBoard(service, own, self._refresh, samples)
        first = ledgers is not None and (not self.panel or self.panel in STATS_OF)
        told = self._board.telemetry((*shown, NO_PANEL if first else self.panel), window, problem, now)
        if ledgers is None or (told is not None and not first):
            return told
        drawn = ledgers()
        others = [panel for panel in told.panels if panel.id not in STATS_OF] if told is not None else []
        return replace(drawn, panels=(*drawn.panels, *others))
