"""The drift of every service that a rule is about: from the feed where that reads it, else asked of Prometheus here.

A console's feed reads the features of the service on the screen alone: they are most of what there is to read. A rule
holds for all its services, so the others' are asked for a few at a time and judged in the worker. Their reference is
what their servers export, or the other colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster.errors import redact
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.services import ModelService
from mlconsole.engine.alertlooks import Due, parsed
from mlconsole.metrics import features, queries
from mlconsole.metrics.answers import Question, Reply, Row
from mlconsole.metrics.asking import Worker

EVERY = 60.0
"""Seconds between two readings of a service."""
LATE = 3 * EVERY
"""After which what was read says nothing about now."""
AT_ONCE = 5
"""Services that are asked in a look."""
SECONDS = 15.0
"""For the worker to judge them."""
NOT_READ = "their features are not read: of many pods only the selected service's are, without metrics.prometheus_url"
NOT_YET = "its features are asked of Prometheus in turn, and were not yet"


class Read(Protocol):
    """What the console reads anyway."""

    def drift(self, key: str) -> DriftTable | None:
        """The drift table of a service, where there is one."""


class Asks(Protocol):
    """Who asks Prometheus."""

    @property
    def has_prometheus(self) -> bool:
        """Whether there is one to ask."""

    async def ranges(self, questions: Sequence[Question]) -> list[Reply]:
        """The replies to some questions."""


class _Known(Struct):
    at: float
    table: DriftTable


class FleetDrift:
    """Knows the drift tables of all services that a rule is about."""

    def __init__(self, read: Read, asks: Asks, worker: Worker, clock: Callable[[], float]) -> None:
        self._read = read
        self._asks = asks
        self._worker = worker
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        self._known: dict[str, _Known] = {}

    def of(self, key: str) -> DriftTable:
        """What is known of a service; a table without features says why there is none."""
        read, now = self._read.drift(key), self._clock()
        if read is not None:
            age = now - read.at
            return read if age <= LATE else DriftTable(key, now, problem=f"its features were read {age:.0f} s ago")
        known = self._known.get(key)
        if known is not None and now - known.at <= LATE:
            return known.table
        return DriftTable(key, now, problem=NOT_YET if self._asks.has_prometheus else NOT_READ)

    async def renew(self, due: Sequence[Due]) -> None:
        """Ask for a few of those that rules are about and nobody reads, the one that waited longest first."""
        wanted = {item.service.key: item.service for item in due if about_drift(item)}
        for key in [key for key in self._known if key not in wanted]:
            del self._known[key]
        if not self._asks.has_prometheus:
            return
        now = self._clock()
        waiting = {key: now - known.at for key, known in self._known.items()}
        late = [key for key in wanted if waiting.get(key, EVERY) >= EVERY and self._read.drift(key) is None]
        late.sort(key=lambda key: -waiting.get(key, float("inf")))
        chosen = [wanted[key] for key in late[:AT_ONCE]]
        if not chosen:
            return
        questions = [
            Question(text)
            for service in chosen
            for scope in (queries.Scope([service]),)
            for text in (queries.feature_query(scope), queries.reference_query(scope))
        ]
        replies = await self._asks.ranges(questions)
        for service, counts, references in zip(chosen, replies[::2], replies[1::2], strict=True):
            self._known[service.key] = _Known(now, await self._table(service, counts, references))

    async def _table(self, service: ModelService, counts: Reply, references: Reply) -> DriftTable:
        now, failure = self._clock(), counts.failure or references.failure
        if failure is not None:
            return DriftTable(service.key, now, problem=redact(f"{failure.why} {failure.hint}".strip()))
        bare = replace(service, colors=tuple(replace(color, pods=()) for color in service.colors))
        try:
            return await self._worker.run(judge, bare, counts.rows, references.rows, now, timeout=SECONDS)
        except TimeoutError:
            problem = f"the worker did not judge its features within {SECONDS:g} s"
        except (OSError, RuntimeError) as error:
            problem = f"the worker failed: {type(error).__name__}: {error}"
        return DriftTable(service.key, now, problem=problem)


def judge(service: ModelService, counts: Sequence[Row], references: Sequence[Row], at: float) -> DriftTable:
    """The table of a service out of Prometheus' rows, for the worker; without its pictures, which nobody looks at."""
    seen = features.seen_by_prometheus(service, counts, references, at)
    return replace(features.table(service, at, seen), pictures={})


def about_drift(due: Due) -> bool:
    """Whether a rule is about the drift figures."""
    rule = due.rule
    conditions = (parsed(rule.condition), parsed(rule.clear) if rule.clear else None)
    figures = {name for condition in conditions if condition is not None for name in condition.figures}
    return any(name.removeprefix("live.").startswith("drift.") for name in figures)
