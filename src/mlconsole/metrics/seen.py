"""What servers told of features and of the prediction: what they counted in a window, the reference that they export.

Servers export a histogram per numeric feature (`ml_feature_value`), counts per category, how often a value was missing,
and the shares of the training data beside each. All of it belongs to a model version.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from mlconsole.domain.reference import Categorical, Distribution, Numeric
from mlconsole.domain.services import ModelService
from mlconsole.metrics import exposition
from mlconsole.metrics.exposition import PREDICTION, Page
from mlconsole.metrics.ledger import grown_buckets, restarted
from mlconsole.metrics.prometheus import Row
from mlconsole.metrics.queries import DRIFT_WINDOW, LABEL_STEP, LABEL_STEPS, color_of

BIN = 30.0
"""Seconds that counts are gathered over; the window moves by as much."""
Histogram = dict[float, float]
Shares = dict[str, float]
Labels = dict[int, dict[str, float]]
"""Labels that came, by steps of time and by whether the prediction was right."""


class Side(Struct, frozen=True):
    """One side of a comparison, and what is not known of it."""

    column: Distribution | None
    rows_known: bool = True
    missing_known: bool = True


class Counts:
    """Of each feature, and of the prediction under `PREDICTION`: counts, or shares of a reference."""

    def __init__(self) -> None:
        self.buckets: dict[str, Histogram] = {}
        """Cumulative, by upper edge."""
        self.categories: dict[str, Shares] = {}
        self.missing: dict[str, float] = {}

    @property
    def names(self) -> set[str]:
        """Everything of which a value, or the lack of one, was counted."""
        return {*self.buckets, *self.categories, *(name for name, count in self.missing.items() if count > 0)}

    def grow(self, before: Page, after: Page) -> None:
        """Count what a pod's page says on top of the one before."""
        if before.odd:
            return  # what was no count then would all be new now
        anew = restarted(before, after)
        for name, counts in after.features.items():
            then = before.features.get(name)
            if then is not None and then.keys() == counts.keys():
                self._add_buckets(name, grown_buckets(then, counts, anew))
        for name, shares in after.categories.items():
            _add(self.categories.setdefault(name, {}), _grown(before.categories.get(name, {}), shares, anew))
        for name, count in after.missing.items():
            _add(self.missing, _grown({name: before.missing.get(name, 0.0)}, {name: count}, anew))

    def add(self, other: Counts) -> None:
        """Count another's too."""
        for name, counts in other.buckets.items():
            self._add_buckets(name, counts)
        for name, shares in other.categories.items():
            _add(self.categories.setdefault(name, {}), shares)
        _add(self.missing, other.missing)

    def _add_buckets(self, name: str, counts: Histogram) -> None:
        mine = self.buckets.get(name)
        if mine is None or mine.keys() != counts.keys():
            self.buckets[name] = dict(counts)
        else:
            for edge, count in counts.items():
                mine[edge] += count

    def side(self, name: str) -> Side:
        """What was counted of a feature.

        Counts that fall are raised to their predecessor: Prometheus extrapolates each bucket by itself.
        """
        missing, known = self.missing.get(name, 0.0), name in self.missing
        if name in self.categories:
            return Side(Categorical(dict(self.categories[name]), missing), missing_known=known)
        buckets = self.buckets.get(name, {})
        if math.inf not in buckets:
            return Side(Numeric((), (0.0,), missing) if missing > 0 else None, missing_known=known)
        edges = tuple(sorted(edge for edge in buckets if math.isfinite(edge)))
        rising = list(itertools.accumulate((0.0, *(buckets[edge] for edge in (*edges, math.inf))), max))
        counts = tuple(high - low for low, high in itertools.pairwise(rising))
        return Side(Numeric(edges, counts, missing), missing_known=known)

    @property
    def most(self) -> float:
        """Values of the feature that most were counted of."""
        sides = (self.side(name).column for name in self.names)
        return max((side.n for side in sides if side is not None), default=0.0)


def _grown(before: Mapping[str, float], after: Mapping[str, float], anew: bool) -> Shares:
    """The growth of counters that belong together: if one fell, all began anew. One that is new grew from nothing."""
    if anew or any(after[name] < count for name, count in before.items() if name in after):
        return dict(after)
    return {name: count - before.get(name, 0.0) for name, count in after.items()}


def _add(into: Shares, counts: Mapping[str, float]) -> None:
    for name, count in counts.items():
        into[name] = into.get(name, 0.0) + count


class Seen:
    """What was told of one version on one colour."""

    def __init__(self) -> None:
        self.current = Counts()
        self.exported = Counts()
        """The shares of the reference that its servers export."""
        self.rows: dict[str, float] = {}
        """Rows that those rest on, where it is told."""
        self.labels: Labels = {}
        self.at = 0.0

    def reference(self, name: str) -> Side:
        """The reference of a feature as the servers tell it: the shares at the edges, or of the categories."""
        rows = self.rows.get(name) or (max(self.rows.values(), default=0.0) if name == PREDICTION else 0.0)
        lost, told = self.exported.missing.get(name, 0.0), self.exported
        n, missing = (rows or 1.0) * (1 - lost), (rows or 1.0) * lost
        known = name in told.missing
        if name in told.categories:
            shares = {category: share * n for category, share in told.categories[name].items()}
            return Side(Categorical(shares, missing), bool(rows), known)
        buckets = told.buckets.get(name, {})
        edges = tuple(sorted(edge for edge in buckets if math.isfinite(edge)))
        if not edges:
            return Side(None, bool(rows), known)
        whole = (0.0, *(buckets[edge] for edge in edges), 1.0)
        counts = tuple((high - low) * n for low, high in itertools.pairwise(whole))
        return Side(Numeric(edges, counts, missing), bool(rows), known)


Place = tuple[str, str]
"""Colour and version."""


class FeatureLedger:
    """What scraping saw of one service: growth of what its pods count of features in bins of time."""

    def __init__(self, window: float = DRIFT_WINDOW) -> None:
        self._window = window
        self._bins: dict[Place, dict[int, Counts]] = {}
        self._labels: dict[Place, Labels] = {}
        self._references: dict[Place, Page] = {}
        self._last: dict[str, tuple[float, Page]] = {}
        self._at: dict[Place, float] = {}

    def add(self, pod: str, color: str, at: float, page: Page) -> None:
        """Count what a pod's new page says, if it was read with its features."""
        if not (page.features or page.references or page.categories or page.category_shares or page.labels):
            return
        key = (color, page.version)
        self._at[key] = at
        if page.references or page.category_shares:
            self._references[key] = page
        before = self._last.get(pod)
        self._last[pod] = (at, page)
        self._forget_before(at)
        if before is None or before[1].version != page.version or not 0 < at - before[0] <= self._window:
            return
        self._bins.setdefault(key, {}).setdefault(int(at // BIN), Counts()).grow(before[1], page)
        if exposition.LABELS in before[1].odd:
            return  # what was no count then would all be new now
        grown = _grown(before[1].labels, page.labels, restarted(before[1], page))
        if any(grown.values()):
            _add(self._labels.setdefault(key, {}).setdefault(int(at // LABEL_STEP), {}), grown)

    def retain(self, pods: Iterable[str]) -> None:
        """Forget the pods that are no more; what they counted stays."""
        wanted = set(pods)
        for pod in self._last.keys() - wanted:
            del self._last[pod]

    def seen(self, now: float | None = None) -> dict[Place, Seen]:
        """Counts of the window and references, by colour and version: of the window before `now`, where it is given.

        Pods that answer no more do not move the window by themselves.
        """
        if now is not None:
            self._forget_before(now)
        result: dict[Place, Seen] = {}
        for key, at in self._at.items():
            item = result[key] = Seen()
            item.at = at
            item.labels = self._labels.get(key, {})
            page = self._references.get(key)
            if page is not None:
                told, item.rows = item.exported, page.rows
                told.buckets, told.categories, told.missing = page.references, page.category_shares, page.missing_shares
            for counts in self._bins.get(key, {}).values():
                item.current.add(counts)
        return result

    def _forget_before(self, now: float) -> None:
        oldest = int((now - self._window) // BIN)
        for bins in self._bins.values():
            for index in [index for index in bins if index < oldest]:
                del bins[index]
        first = int(now // LABEL_STEP) - LABEL_STEPS
        for steps in self._labels.values():
            for index in [index for index in steps if index <= first]:
                del steps[index]
        for key in [key for key, seen in self._at.items() if seen < now - self._window]:
            for kept in (self._at, self._bins, self._references, self._labels):
                kept.pop(key, None)


# ---- from Prometheus


def seen_by_prometheus(
    service: ModelService, counts: Iterable[Row], references: Iterable[Row], at: float, labels: Iterable[Row] = ()
) -> dict[Place, Seen]:
    """The same from the rows of `feature_query`, `reference_query` and `label_query`."""
    result: dict[Place, Seen] = {}
    for rows, is_reference in ((counts, False), (references, True)):
        for row in rows:
            color = color_of(row.labels, service)
            if color is None or not row.values:
                continue
            item = result.setdefault((color, row.labels.get("version", "")), Seen())
            item.at = at
            _take(item, row, is_reference)
    for row in labels:
        color = color_of(row.labels, service)
        outcome = row.labels.get("outcome", "")
        if color is not None:
            item = result.setdefault((color, row.labels.get("version", "")), Seen())
            item.at = item.at or at
            for when, value in zip(row.times, row.values, strict=True):
                _add(item.labels.setdefault(math.ceil(when / LABEL_STEP) - 1, {}), {outcome: _known(value)})
    return result


def _take(item: Seen, row: Row, is_reference: bool) -> None:
    """One row, told apart by its labels: the rows of a reference have a feature alone, the prediction has none."""
    labels, value = row.labels, row.values[-1]
    into, name, text = (
        item.exported if is_reference else item.current,
        labels.get("feature", PREDICTION),
        labels.get("le"),
    )
    category = labels.get("category", labels.get("class"))
    if text:
        try:
            edge = float(text)
        except ValueError:
            return
        if not math.isnan(edge):
            into.buckets.setdefault(name, {})[edge] = value
    elif category is not None:
        into.categories.setdefault(name, {})[category] = value
    elif name == PREDICTION:
        return
    elif is_reference and labels.get("__name__") != exposition.MISSING_REFERENCE:
        item.rows[name] = value
    else:
        into.missing[name] = value


def _known(value: float) -> float:
    return value if math.isfinite(value) else 0.0
