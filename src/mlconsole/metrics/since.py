"""The figures of one colour and version from a moment on: what an analysis judges a release by (I22).

From Prometheus, by the queries of the panels in the dialect that the colour's pods speak, restricted to these pods and
grouped by version where a label names it; or from the pods' own counters, of which a pod that is younger than the
moment counts whole, and an older one from its first read. What names another colour or version is not counted, and
said to be what it is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.drift import MINIMUM_SAMPLE, DriftTable, DriftVerdict, Kind
from mlconsole.domain.health import FEW_REQUESTS
from mlconsole.domain.services import Color, ModelService, PodState
from mlconsole.domain.text import visible
from mlconsole.metrics import features, matching, panels, queries
from mlconsole.metrics.exposition import Page
from mlconsole.metrics.ledger import Growth, growth
from mlconsole.metrics.panels import Definition, Dialect
from mlconsole.metrics.prometheus import Reply, Row

STATS = {"p50": "p50", "p95": "p95", "p99": "p99", "error_share": "errors", "rate": "rate"}
"""The panels' name of a figure."""
DRIFTS = ("drift.share", "drift.worst")
STALE = 120.0
"""Seconds after which the newest sample says nothing about now (I24)."""
LONGEST = 3600
"""Seconds that a query looks back over, at most."""
SLACK = 2.0
"""Seconds by which the clocks of a pod and of its node may disagree."""
NO_DATA = "no data"
FOREVER = 30 * 86_400.0


class Figures(Struct, frozen=True):
    """What is known of one colour."""

    values: Mapping[str, float | None] = {}
    """By the name that a condition gives it; None where it is unknown."""
    n: float | None = None
    """Requests that they rest on; None where nobody can say."""
    age: float = 0.0
    why: str = ""
    """Why some or all of them are unknown."""
    error: bool = False
    """Nothing could be read."""
    early: bool = False
    """Only more requests are missing."""
    query: str = ""
    """What exactly was asked."""


def same_version(named: str, color: Color) -> bool:
    """Whether figures that name this version are those of what a colour runs."""
    return not color.release.version or named.removeprefix("v") == color.release.version.removeprefix("v")


# ---- from Prometheus


class Asking(Struct, frozen=True):
    """What is asked about one colour."""

    queries: dict[str, str] = {}
    """By figure, and for what they rest on."""
    versions: dict[str, str] = {}
    """By figure: the label that names the version, empty where none does. Else it is `version`."""
    unknown: dict[str, str] = {}
    """By figure: why nothing can be asked for it."""


def asked(
    service: ModelService,
    color: Color,
    figures: Collection[str],
    seconds: int,
    own: Mapping[str, str],
    known: frozenset[str],
    podless: Collection[str] = (),
) -> Asking:
    """The queries for some figures of a colour over the last `seconds`, and for what they rest on.

    Its pods export `known`, and speak the panels' dialects accordingly; the metrics `podless` are there without a pod.
    """
    alone, window = replace(service, colors=(color,)), f"{seconds}s"
    found, versions, unknown = dict[str, str](), dict[str, str](), dict[str, str]()
    for name in figures:
        stat = STATS.get(name)
        if stat is None:
            continue
        panel = panels.definitions()[queries.PANELS[stat]]
        text, dialect = queries.override(alone, stat, own, window), panels.telling(panel, stat, known)
        if text:
            found[name] = text
        elif dialect is not None and (why := _mixed(color, dialect)):
            unknown[name] = why
        elif dialect is not None:
            found[name] = queries.panel_query(stat, dialect, _scope(alone, dialect), seconds)
            versions[name] = dialect.version
        else:
            unknown[name] = _untold(panel, stat, color, known, podless)
    if any(name in DRIFTS for name in figures):
        found["features"] = queries.feature_query(queries.Scope([alone]), seconds)
        found["references"] = queries.reference_query(queries.Scope([alone]))
    text, dialect = (
        queries.override(alone, "rate", own, window),
        panels.telling(panels.definitions()["rate"], "rate", known),
    )
    if dialect is not None and not _mixed(color, dialect):
        found["age"] = queries.age_query(dialect, _scope(alone, dialect))
        found["n"] = queries.count_query(dialect, _scope(alone, dialect), seconds)
        versions |= {"age": dialect.version, "n": dialect.version}
    if text:
        found["n"] = f"({text}) * {seconds}"
        versions.pop("n", None)
    return Asking(found, versions, unknown)


def _scope(alone: ModelService, dialect: Dialect) -> queries.Scope:
    """Of a dialect that names no version what a colour runs is told by its pods."""
    return queries.Scope([alone], "" if dialect.version else matching.release_pods(alone.colors[0]))


def _mixed(color: Color, dialect: Dialect) -> str:
    """Why what a colour runs cannot be told from what it ran before (I22), or empty."""
    if dialect.version or matching.release_pods(color):
        return ""
    return f"the names of {color.name}'s pods do not tell which of them are of {color.release.label}"


def _untold(panel: Definition, stat: str, color: Color, known: frozenset[str], podless: Collection[str]) -> str:
    spoken = next((item for item in panel.dialect if known.issuperset(item.needs)), None)
    if spoken is not None:
        return f"{spoken.name} does not tell {stat}, only {', '.join(spoken.queries)}"
    there = next((need for item in panel.dialect for need in item.needs if need in podless), None)
    if there is not None:
        return f"{there} is there without the label pod: nobody can tell which of it is {color.name}'s"
    return f"{NO_DATA}: the pods of {color.name} export nothing that {stat} is read from (docs/metrics.md)"


def answered(
    service: ModelService,
    color: Color,
    figures: Collection[str],
    asking: Asking,
    replies: Mapping[str, Reply],
    *,
    past: bool = False,
) -> Figures:
    """What the answers say. `past` for a window that ended a while ago: how old it is does not matter."""
    failure = next((reply.failure for reply in replies.values() if reply.failure is not None), None)
    if failure is not None:
        why = f"{failure.why} ({failure.hint})" if failure.hint else failure.why
        return Figures(why=why, error=True)
    read = {
        name: _of_color(reply.rows, service, color, asking.versions.get(name, "version"))
        for name, reply in replies.items()
        if name not in _TABLES
    }
    n, age = (read[name][0] if name in read else None for name in ("n", "age"))
    values = {name: read[name][0] if name in read else None for name in figures if name in read or name in STATS}
    problems = [asking.unknown.get(name) or (read[name][1] if name in read else "") for name in figures]
    problem = next(filter(None, problems), "")
    if not past and age is not None and age > STALE:
        return Figures(n=n, age=age, why=f"its newest sample is {age:.0f} s old")
    table = None
    if "features" in replies:
        seen = features.seen_by_prometheus(service, replies["features"].rows, replies["references"].rows, 0.0)
        table = features.table(replace(service, colors=(color,)), 0.0, seen)
    return _figures(values, n, age or 0.0, problem, table)


_TABLES = ("features", "references")


def _of_color(rows: Sequence[Row], service: ModelService, color: Color, label: str) -> tuple[float | None, str]:
    """The value of the one row that is of the colour and of what it runs; else why there is none (I22)."""
    known: dict[str, float] = {}
    foreign = 0
    for row in rows:
        if not row.values:
            continue
        if queries.color_of(row.labels, service) == color.name:
            known[row.labels.get(label, "")] = row.values[-1]
        else:
            foreign += 1
    mine = {version: value for version, value in known.items() if version and same_version(version, color)}
    if len(mine) > 1:
        return None, f"several versions at once: {_versions(mine)}"
    if mine or set(known) == {""}:
        value = next(iter(mine.values()), known.get("", math.nan))
        return (value, "") if math.isfinite(value) else (None, f"{NO_DATA}: the answer is NaN")
    if known:
        return None, f"{color.name} runs {color.release.label}, and its figures are those of {_versions(known)}"
    return None, f"{foreign} series came back, and none of them names {color.name}" if foreign else NO_DATA


def _versions(known: Collection[str]) -> str:
    return ", ".join(f"v{visible(version.removeprefix('v'), 20)}" for version in sorted(known) if version)


# ---- from the pods


class Counting:
    """What the pods of one colour counted from a moment on."""

    def __init__(self, color: Color, since: float, *, whole: bool = False) -> None:
        self._color = color
        self._since = since
        self._whole = whole
        """Whether everything that a pod ever counted counts."""
        self._last: dict[str, tuple[float, Page]] = {}
        self._total = Growth()
        self._features = features.FeatureLedger(FOREVER)
        self._at = 0.0
        self.began = math.inf
        """From when on it counts."""

    def add(self, pod: PodState, at: float, page: Page) -> str:
        """Count a page; why it does not count, or empty."""
        if page.empty:
            return f"pod {pod.name} exports no ml_predictions_total and no ml_prediction_duration_seconds"
        if page.version and not same_version(page.version, self._color):
            return (
                f"pod {pod.name} is of {self._color.release.label} and says version={visible(page.version, 20)}: "
                "not counted"
            )
        last = self._last.get(pod.name)
        if last is None and self._young(pod, page):
            start = page.started if self._whole else max(pod.ready_since, self._since)
            last = (min(start or at, at - SLACK), _zero(page))
            self._features.add(pod.name, self._color.name, *last)
        self._last[pod.name] = (at, page)
        self._features.add(pod.name, self._color.name, at, page)
        self.began = min(self.began, last[0] if last else at)
        if last is not None:
            self._total.add(growth(last[1], page))
            self._total.watch(last[0], at)
        self._at = max(self._at, at)
        return f"pod {pod.name}: {', '.join(page.odd)} with a value that is no count" if page.odd else ""

    def _young(self, pod: PodState, page: Page) -> bool:
        """Whether all that a pod counted came after the moment."""
        younger = page.started is not None and page.started >= self._since - SLACK
        return self._whole or younger or pod.ready_since >= self._since - SLACK > 0

    def figures(self, service: ModelService, now: float, why: str) -> Figures:
        """What they make."""
        values = {name: _known(self._total.stat(stat)) for name, stat in STATS.items()}
        alone = replace(service, colors=(self._color,))
        table = features.table(alone, self._at, self._features.seen())
        n = self._total.requests if self._total.requests_known else None
        age = max(0.0, now - self._at) if self._at else 0.0
        return _figures(values, n if self._last else None, age, why, table)


def _zero(page: Page) -> Page:
    """The page as its process wrote it when it had counted nothing."""
    return Page(
        requests=0.0 if page.requests is not None else None,
        errors=0.0 if page.errors is not None else None,
        buckets=dict.fromkeys(page.buckets, 0.0),
        started=page.started,
        features={name: dict.fromkeys(counts, 0.0) for name, counts in page.features.items()},
        references=page.references,
        rows=page.rows,
        categories={name: dict.fromkeys(counts, 0.0) for name, counts in page.categories.items()},
        category_shares=page.category_shares,
        missing=dict.fromkeys(page.missing, 0.0),
        missing_shares=page.missing_shares,
        color=page.color,
        version=page.version,
    )


# ---- both


def _figures(
    values: Mapping[str, float | None], n: float | None, age: float, why: str, table: DriftTable | None
) -> Figures:
    """The figures, without those that too few requests stand behind (I21)."""
    found = dict(values)
    few = n is None or n < FEW_REQUESTS
    early = few and (not why or why.startswith(NO_DATA))
    if few:
        found = {name: value if name == "rate" else None for name, value in found.items()}
        why = why or ("how many requests it rests on is not known" if n is None else _few(n))
    if table is not None:
        share, worst, problem = _drift(table)
        found |= {"drift.share": share, "drift.worst": worst}
        early = early or (not why and any(row.n_current < MINIMUM_SAMPLE for row in table.features))
        why = why or problem
    return Figures(found, n, age, why, early=early)


def _few(n: float) -> str:
    return f"only {n:.0f} requests, {FEW_REQUESTS:.0f} are needed"


def _drift(table: DriftTable) -> tuple[float | None, float | None, str]:
    """The share of the features that drifted, the largest index, and why they are unknown."""
    rows = [row for row in table.features if row.kind is not Kind.PREDICTION]
    judged = [row for row in rows if row.verdict is not DriftVerdict.UNKNOWN and row.psi is not None]
    unknown = len(rows) - len(judged)
    if not judged or unknown > len(judged):
        first = next((row.why for row in rows if row.why), "")
        return None, None, table.problem or f"{unknown} of {len(rows)} features cannot be judged: {first}"
    drifted = sum(row.verdict is DriftVerdict.DRIFTED for row in judged)
    return drifted / len(judged), max(row.psi or 0.0 for row in judged), ""


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
