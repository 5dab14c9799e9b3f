"""The panels without a Prometheus: their own queries, computed over what was scraped of the pods.

The same board asks the same questions; here they are answered at once. What cannot be computed is refused by its name.
"""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import cast

from msgspec.structs import replace

from mlconsole.config import ServiceSettings
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.telemetry import Glance, Panel, Telemetry
from mlconsole.metrics import panels, promql, queries
from mlconsole.metrics.answers import Failure, Question, Reply, Row
from mlconsole.metrics.board import Board
from mlconsole.metrics.exposition import Sample
from mlconsole.metrics.fleet import FleetFigures
from mlconsole.metrics.plans import existing
from mlconsole.metrics.samples import Samples

RESTARTS = "kube_pod_container_status_restarts_total"
"""Not in the pods' pages: made of what the API server says of them, by kube-state-metrics' name."""
ELSEWHERE = {
    "throttling": "the kubelet knows it, not the pod: it takes a Prometheus that scrapes cAdvisor",
}
"""Panels that no scraping can fill, and why."""
AT_ONCE = 0.05
"""Seconds of computing in one go: who calls has other things to do as well."""
COMPUTING = "being computed"
_READ = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{")


@functools.cache
def wanted() -> tuple[str, ...]:
    """The families that the panels of the file read."""
    return read(text for one in panels.definitions().values() for item in one.dialect for text in item.queries.values())


def read(texts: Iterable[str]) -> tuple[str, ...]:
    """The families that queries read."""
    return tuple(sorted({name for text in texts for name in _READ.findall(text)}))


def own_families(settings: ServiceSettings) -> tuple[str, ...]:
    """The families that the queries of the settings read."""
    texts = list(settings.queries.values())
    for panel in settings.panels.values():
        texts += [*panel.queries.values(), *([panel.query] if panel.query else [])]
    return read(texts)


@functools.cache
def telling() -> frozenset[str]:
    """The families by which a pod tells of its requests, in any dialect."""
    definitions = panels.definitions()
    return frozenset(need for name in panels.ALWAYS for item in definitions[name].dialect for need in item.needs)


def restarts(color: Color, name: str, at: float, keep: float) -> list[tuple[float, Sample]]:
    """The restarts of a pod as the API server counts them: (when, sample). It began without any."""
    pod = next((pod for pod in color.pods if pod.name == name), None)
    if pod is None:
        return []
    began = [(pod.started_at, Sample(RESTARTS, {}, 0.0))] if at - keep < pod.started_at < at else []
    return [*began, (at, Sample(RESTARTS, {}, float(pod.restarts)))]


def answer(samples: Samples, question: Question) -> Reply:
    """What Prometheus would answer, had it scraped the same."""
    work = answering(samples, question)
    while True:
        try:
            next(work)
        except StopIteration as done:
            return cast(Reply, done.value)


def answering(samples: Samples, question: Question) -> Generator[None, None, Reply]:
    """The same, point by point of a range."""
    try:
        compute = promql.parsed(question.query)
        ends = range(question.start, question.end + 1, question.step) if question.step else (samples.last,)
        found: dict[promql.Labels, Row] = {}
        for at in ends:
            value = compute(samples, float(at))
            for labels, one in value.items() if isinstance(value, dict) else [((), value)]:
                row = found.setdefault(labels, Row(dict(labels), [], []))
                row.times.append(float(at))
                row.values.append(one if math.isfinite(one) else math.nan)
            if question.step:
                yield
    except promql.Unknown as error:
        why = f"without a Prometheus {error} cannot be computed"
        return Reply(failure=Failure("query", why, "set metrics.prometheus_url"))
    return Reply(tuple(found.values()))


def known(service: ModelService, samples: Samples) -> dict[str, frozenset[str]]:
    """The families that the pods of each colour export."""
    return existing(service, answer(samples, Question(queries.existing_query(queries.Scope([service])))).rows)


def glances(service: ModelService, samples: Samples, window: int, now: float) -> tuple[Glance, ...]:
    """The figures of a service whose pods speak another dialect than our own."""
    figures, scope = FleetFigures(), queries.Scope([service])
    names = frozenset[str]().union(*known(service, samples).values())
    places = {(service.namespace, color.deployment): (service.key, color.name) for color in service.colors}
    for stat in queries.STATS:
        query = queries.fleet_query(stat, scope, window, names)
        figures.take(stat, places, answer(samples, Question(query)))
    figures.settle(service, window, now)
    return figures.glances[service.key]


class LocalBoard:
    """The panels of one service, over samples that somebody else adds to."""

    def __init__(self, service: ModelService, settings: ServiceSettings, refresh: float, samples: Samples) -> None:
        self._board = Board(service, settings, refresh, unsure=0.0, anew=refresh)
        self._samples = samples
        self._shown: tuple[float, float, float, str] | None = None
        self._work: Iterator[None] | None = None
        """What is left to compute of what was asked."""

    def update(self, service: ModelService) -> None:
        """The service as it is now."""
        self._board.update(service)

    @property
    def unfinished(self) -> bool:
        """Whether there is more to compute: the next call goes on with it."""
        return self._work is not None

    def telemetry(
        self, shown: tuple[float, float, float, str], window: int, problem: str, now: float
    ) -> Telemetry | None:
        """The panels, that on the screen with its lines; `shown` as `Board.show` takes it."""
        if shown != self._shown:
            self._shown, self._work = shown, None
        self._board.show(*shown)
        self._go_on(now, window)
        told = self._board.telemetry(now, True, problem)
        if told is None:
            return None
        found = told.panels
        if self.unfinished:
            found = tuple(one if one.series or one.problem else replace(one, problem=COMPUTING) for one in found)
        return replace(told, source="scrape", panels=with_reasons(found))

    def _go_on(self, now: float, window: int) -> None:
        """Compute for `AT_ONCE`, and leave the rest to the next call."""
        until = time.monotonic() + AT_ONCE
        if self._work is None:
            self._work = self._computing(now, window)
        for _ in self._work:
            if time.monotonic() >= until:
                return
        self._work = None

    def _computing(self, now: float, window: int) -> Iterator[None]:
        for _ in range(2):
            for item in self._board.questions(self._samples.last or now, window):
                item.take((yield from answering(self._samples, item.question)))


def with_reasons(found: tuple[Panel, ...]) -> tuple[Panel, ...]:
    """The panels, and those that cannot be there with why, at their place in the file."""
    there: Mapping[str, Panel] = {panel.id: panel for panel in found}
    result, file = [], panels.definitions()
    for name, definition in file.items():
        if name in there:
            result.append(there[name])
        elif name in ELSEWHERE:
            result.append(Panel(name, definition.title, definition.unit, problem=ELSEWHERE[name]))
    return (*result, *(panel for panel in found if panel.id not in file))
