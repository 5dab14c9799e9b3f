"""How each feature's distance went, and since when its verdict is what it is: kept from the tables as they come."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.drift import DriftTable, DriftVerdict, FeatureDrift, Trend, key_of

EACH = 15.0
"""Seconds between two distances that are kept."""
KEPT = 40
MOST_FEATURES = 500


class _Kept(Struct):
    release: str
    verdict: DriftVerdict
    since: float
    watched: float
    at: float
    distances: list[float | None]


class Trends:
    """Of one service at a time: another one begins anew."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Another place: nothing of the one before counts."""
        self._service = ""
        self._kept: dict[str, _Kept] = {}
        self._seen: DriftTable | None = None
        self._made: DriftTable | None = None

    def of(self, table: DriftTable, releases: Mapping[str, str]) -> DriftTable:
        """The table with the trends of its features, itself among them; `releases` by colour: a new one begins anew."""
        if table is self._seen and self._made is not None:
            return self._made
        if table.service != self._service:
            self.forget()
            self._service = table.service
        self._seen = table
        rows = {key_of(row): row for row in table.features[:MOST_FEATURES]}
        if rows:
            # A round that failed has no rows, and ends no trend.
            self._kept = {
                key: self._grown(key, row, table.at, releases.get(row.color, "")) for key, row in rows.items()
            }
        trends = {key: Trend(item.since, item.watched, tuple(item.distances)) for key, item in self._kept.items()}
        self._made = replace(table, trends=trends)
        return self._made

    def _grown(self, key: str, row: FeatureDrift, at: float, release: str) -> _Kept:
        item = self._kept.get(key)
        if item is None or item.release != release:
            return _Kept(release, row.verdict, at, at, at, [row.effect])
        if row.verdict is not item.verdict:
            if item.verdict is DriftVerdict.UNKNOWN and item.since == item.watched:
                item.watched = at  # nothing was known before: it may have been so for long
            item.verdict, item.since = row.verdict, at
        if at - item.at >= EACH:
            item.at = at
            item.distances = [*item.distances, row.effect][-KEPT:]
        else:
            item.distances[-1] = row.effect
        return item
