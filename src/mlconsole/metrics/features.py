"""The drift table: what the servers saw of each feature lately, against the shares of their training data.

Servers export a histogram per feature (`ml_feature_value`) and the cumulative shares of the training data over the same
edges (`ml_feature_reference_share`). Both belong to a model version, and only those of the version that the colour
runs are compared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from mlconsole.domain.drift import DriftTable, Kind, by_effect, key_of
from mlconsole.domain.reference import Numeric
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.statistics import verdicts
from mlconsole.domain.statistics.judging import Pair, judge_all
from mlconsole.domain.statistics.pictures import picture
from mlconsole.domain.text import visible
from mlconsole.metrics.exposition import PREDICTION, Page
from mlconsole.metrics.ledger import grown_buckets, restarted
from mlconsole.metrics.prometheus import Row
from mlconsole.metrics.queries import DRIFT_WINDOW, color_of

BIN = 30.0
"""Seconds that counts are gathered over; the window moves by as much."""
MOST_FEATURES = 2000
MOST_PICTURES = 100
EXPORTED = "training shares exported by the servers"
Histogram = dict[float, float]
Features = dict[str, Histogram]


class Seen:
    """Counts and references of one version on one colour."""

    def __init__(self) -> None:
        self.counts: Features = {}
        self.references: Features = {}
        self.rows: dict[str, float] = {}
        self.at = 0.0


def table(service: ModelService, at: float, seen: Mapping[tuple[str, str], Seen]) -> DriftTable:
    """The table of a service from what was seen by colour and version."""
    pairs: dict[str, list[Pair]] = {}
    against: dict[str, str] = {}
    problems: list[str] = []
    of_color = {color.name: _of_version(color, seen) for color in service.colors}
    for color in service.colors:
        found = of_color[color.name]
        if isinstance(found, str):
            problems.append(found)
            continue
        names = sorted(found.counts.keys() | found.references.keys())
        if len(names) > MOST_FEATURES:
            problems.append(f"{color.name}: {len(names)} features, the first {MOST_FEATURES} are shown")
        other = None if found.references else _other(color, of_color)
        if names:
            against[color.name] = f"{other[0]}, live" if other else EXPORTED
            pairs[color.name] = [_pair(name, color.name, found, other) for name in names[:MOST_FEATURES]]
    problem = "; ".join(problems)
    if not pairs and not problem:
        problem = "the servers export no ml_feature_value: monitor.features of the serving contract would"
    return _judged(service, at, pairs, against, problem)


def _judged(
    service: ModelService, at: float, pairs: Mapping[str, list[Pair]], against: dict[str, str], problem: str
) -> DriftTable:
    """Each colour is a family of its own; what is said of all of them is said of the live one."""
    tables = {color: verdicts.table(judge_all(mine)) for color, mine in pairs.items()}
    live = service.live_color
    first = live.name if live and live.name in tables else next(iter(tables), "")
    made = tables.get(first) or verdicts.table([])
    rows = by_effect([row for one in tables.values() for row in one.features])
    columns = {(one.color, one.prediction, one.feature): one for mine in pairs.values() for one in mine}
    pictures = {}
    for row in rows[:MOST_PICTURES]:
        one = columns[row.color, row.kind is Kind.PREDICTION, row.feature]
        drawn = picture(one.reference, one.current)
        if drawn is not None:
            pictures[key_of(row)] = drawn
    words = f"{first}: {made.why}" if len(tables) > 1 else made.why
    return replace(
        made,
        service=service.key,
        at=at,
        features=rows,
        problem=problem,
        reference=against.get(first, EXPORTED),
        references=against,
        why=words,
        pictures=pictures,
    )


def _pair(name: str, color: str, found: Seen, other: tuple[str, Seen] | None) -> Pair:
    """A feature (or the prediction) and its reference: what the servers export, else what the other colour sees."""
    counts, reference = found.counts.get(name, {}), found.references.get(name, {})
    rows = found.rows.get(name) or (max(found.rows.values(), default=None) if name == PREDICTION else None)
    if other is not None:
        theirs = other[1].counts.get(name, {})
        rows = theirs.get(math.inf, 0.0)
        reference = {edge: count / rows for edge, count in theirs.items()} if rows else {}
    made = pair(visible(name, 80) or "prediction", color, reference, counts, rows)
    return replace(made, prediction=name == PREDICTION)


def _other(color: Color, of_color: Mapping[str, Seen | str]) -> tuple[str, Seen] | None:
    """Another colour that counted something, by its name."""
    for name, found in of_color.items():
        if name != color.name and isinstance(found, Seen) and found.counts:
            return name, found
    return None


def pair(
    feature: str,
    color: str,
    reference: Mapping[float, float],
    counts: Mapping[float, float],
    rows: float | None = None,
) -> Pair:
    """One feature by its cumulative values: the counts with +Inf, the shares of the reference without.

    `rows` is how many the reference rests on, where it is known. Counts that fall are raised to their predecessor:
    Prometheus extrapolates each bucket by itself.
    """
    edges = tuple(sorted(edge for edge in reference if math.isfinite(edge)))
    shares = (0.0, *(reference[edge] for edge in edges), 1.0)
    whole = rows or 1.0
    before = Numeric(edges, tuple((high - low) * whole for low, high in itertools.pairwise(shares))) if edges else None
    seen = tuple(sorted(edge for edge in counts if math.isfinite(edge)))
    rising = list(itertools.accumulate((0.0, *(counts[edge] for edge in (*seen, math.inf) if edge in counts)), max))
    now = Numeric(seen, tuple(high - low for low, high in itertools.pairwise(rising))) if math.inf in counts else None
    return Pair(feature, before, now, color, known_rows=bool(rows))


def _of_version(color: Color, seen: Mapping[tuple[str, str], Seen]) -> Seen | str:
    """What was seen of the version that a colour runs; words where it is another one's."""
    known = {version: item for (name, version), item in seen.items() if name == color.name}
    wanted = color.release.version
    if wanted in known:
        return known[wanted]
    if not wanted or set(known) <= {""}:
        return max(known.values(), key=lambda item: item.at, default=Seen())
    others = ", ".join(visible(version, 20) for version in sorted(known))
    return f"{color.name or color.deployment} runs v{visible(wanted, 20)}, its features are those of v{others}"


class FeatureLedger:
    """What scraping saw of one service: growth of the features' histograms in bins of time, by colour and version."""

    def __init__(self, window: float = DRIFT_WINDOW) -> None:
        self._window = window
        self._bins: dict[tuple[str, str], dict[int, Features]] = {}
        self._references: dict[tuple[str, str], Features] = {}
        self._rows: dict[tuple[str, str], dict[str, float]] = {}
        self._last: dict[str, tuple[float, Page]] = {}
        self._at: dict[tuple[str, str], float] = {}

    def add(self, pod: str, color: str, at: float, page: Page) -> None:
        """Count what a pod's new page says, if it was read with its features."""
        if not page.features and not page.references:
            return
        key = (color, page.version)
        self._at[key] = at
        if page.references:
            self._references[key] = page.references
            self._rows[key] = page.rows
        before = self._last.get(pod)
        self._last[pod] = (at, page)
        if before is None or before[1].version != page.version or not 0 < at - before[0] <= self._window:
            return
        into = self._bins.setdefault(key, {}).setdefault(int(at // BIN), {})
        anew = restarted(before[1], page)
        for name, counts in page.features.items():
            _grow(into, name, before[1].features.get(name), counts, anew)
        self._forget_before(at - self._window)

    def retain(self, pods: Iterable[str]) -> None:
        """Forget the pods that are no more; what they counted stays."""
        wanted = set(pods)
        for pod in self._last.keys() - wanted:
            del self._last[pod]

    def seen(self) -> dict[tuple[str, str], Seen]:
        """Counts of the window and references, by colour and version."""
        result: dict[tuple[str, str], Seen] = {}
        for key, at in self._at.items():
            item = result[key] = Seen()
            item.at = at
            item.references = self._references.get(key, {})
            item.rows = self._rows.get(key, {})
            for features in self._bins.get(key, {}).values():
                for name, counts in features.items():
                    _add(item.counts, name, counts)
        return result

    def _forget_before(self, at: float) -> None:
        oldest = int(at // BIN)
        for bins in self._bins.values():
            for index in [index for index in bins if index < oldest]:
                del bins[index]
        for key in [key for key, seen in self._at.items() if seen < at]:
            del self._at[key]
            self._bins.pop(key, None)
            self._references.pop(key, None)
            self._rows.pop(key, None)


def _grow(into: Features, name: str, before: Histogram | None, after: Histogram, anew: bool) -> None:
    if before is not None and before.keys() == after.keys():
        _add(into, name, grown_buckets(before, after, anew))


def _add(into: Features, name: str, counts: Histogram) -> None:
    mine = into.get(name)
    if mine is None or mine.keys() != counts.keys():
        into[name] = dict(counts)
    else:
        for edge, count in counts.items():
            mine[edge] += count


def seen_by_prometheus(
    service: ModelService, counts: Iterable[Row], references: Iterable[Row], at: float
) -> dict[tuple[str, str], Seen]:
    """The same from the rows of `feature_query` and `reference_query`."""
    result: dict[tuple[str, str], Seen] = {}
    for rows, is_reference in ((counts, False), (references, True)):
        for row in rows:
            place = _place(row, service)
            if place is None:
                continue
            color, version, feature, edge = place
            item = result.setdefault((color, version), Seen())
            item.at = at
            if edge is None:
                if is_reference:
                    item.rows[feature] = row.values[-1]
                continue
            into = item.references if is_reference else item.counts
            into.setdefault(feature, {})[edge] = row.values[-1]
    return result


def _place(row: Row, service: ModelService) -> tuple[str, str, str, float | None] | None:
    """Colour, version, feature and edge; the rows of a reference have no edge, the prediction no feature."""
    color, feature, text = color_of(row.labels, service), row.labels.get("feature", PREDICTION), row.labels.get("le")
    try:
        edge = float(text) if text else None
    except ValueError:
        return None
    if color is None or not row.values or (edge is not None and math.isnan(edge)):
        return None
    if edge is None and feature == PREDICTION:
        return None
    return color, row.labels.get("version", ""), feature, edge
