"""How each feature's distance went, and since when its verdict is what it is: kept from the tables as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.drift import DriftTable, DriftVerdict, FeatureDrift, Trend, key_of

EACH = 15.0
"""Seconds between two distances that are kept."""
KEPT = 40
MOST_FEATURES = 500


class _Kept(Struct):
    color: str
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
        self._earlier: Sequence[DriftTable] = ()
        self._of_earlier: Mapping[str, str] = {}
        self._windows: list[dict[str, FeatureDrift]] = []

    def of(self, table: DriftTable, releases: Mapping[str, str], earlier: Sequence[DriftTable] = ()) -> DriftTable:
        """The table with the trends of its features, itself among them; `releases` by colour: a new one begins anew.

        `earlier` are tables of windows before it was watched, the oldest first.
        """
        if table is self._seen and self._made is not None and earlier is self._earlier:
            return self._made
        if table.service != self._service:
            self.forget()
            self._service = table.service
        if earlier is not self._earlier:
            self._earlier, self._of_earlier = earlier, releases
            self._windows = [{key_of(row): row for row in one.features} for one in earlier]
        self._seen = table
        rows = {key_of(row): row for row in table.features[:MOST_FEATURES]}
        if rows:
            # A round that failed has no rows, and ends no trend.
            self._kept = {
                key: self._grown(key, row, table.at, releases.get(row.color, "")) for key, row in rows.items()
            }
        trends = {key: self._trend(key, item) for key, item in self._kept.items()}
        self._made = replace(table, trends=trends)
        return self._made

    def _trend(self, key: str, item: _Kept) -> Trend:
        """What was watched, and of the windows before that as many as are of the same release."""
        found = Trend(item.since, item.watched, tuple(item.distances))
        if not self._earlier or self._of_earlier.get(item.color, "") != item.release:
            return found
        past = [window.get(key) for window in self._windows]
        times = [one.at for one in self._earlier]
        distances = tuple(one.effect if one else None for one in past)
        found = replace(found, earlier=distances, step=times[-1] - times[-2] if len(times) > 1 else 0.0)
        if item.since > item.watched:
            return found
        since = item.since
        for at, one in zip(reversed(times), reversed(past), strict=True):
            if one is None or one.verdict is not item.verdict:
                # Where nothing was known it may have been so for longer.
                known = one is not None and one.verdict is not DriftVerdict.UNKNOWN
                return replace(found, since=since, watched=at if known else since)
            since = at
        return replace(found, since=since, watched=since)

    def _grown(self, key: str, row: FeatureDrift, at: float, release: str) -> _Kept:
        item = self._kept.get(key)
        if item is None or item.release != release:
            return _Kept(row.color, release, row.verdict, at, at, at, [row.effect])
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
