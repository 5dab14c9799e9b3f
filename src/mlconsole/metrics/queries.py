"""The queries beside the panels': the figures of a fleet, what drift rests on, and what exists at all.

What is on a chart stands in `panels.toml`; how rows are matched to services, in `matching`. Where a Prometheus has
other labels, `mlconsole.toml` gives queries of its own for a service, by panel and statistic: `rate`, `latency.p50`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlconsole.configpanels import PanelSettings
from mlconsole.domain.services import ModelService
from mlconsole.metrics import panels
from mlconsole.metrics.matching import LABEL, Scope, color_of, pod_pattern, pods_of, quoted
from mlconsole.metrics.panels import Dialect

__all__ = ["LABEL", "Scope", "color_of", "pod_pattern", "pods_of", "quoted"]

PANELS = {"rate": "rate", "errors": "errors", "p50": "latency", "p95": "latency", "p99": "latency"}
"""Which panel a statistic of a row is on."""
STATS = tuple(PANELS)
DRIFT_WINDOW = 600.0
"""Seconds of traffic that drift is judged on."""
EARLIER = 18
"""Windows of drift that are looked back over: since when is it so?"""
PAST_WINDOW = 3600.0
"""Of that which it is held against where there is nothing better: an hour of an earlier day."""
LABEL_STEP, LABEL_STEPS = 1800, 12
"""Seconds of the steps that labels are counted in, and how many of them: labels come late, and in batches."""


def panel_query(stat: str, dialect: Dialect, scope: Scope, window: int) -> str:
    """The query of one statistic in one dialect: by Deployment, and by version where a label names it."""
    by = (dialect.version,) if dialect.version else ()
    return panels.filled(dialect.queries[stat], scope, window, stat, by)


def fleet_query(stat: str, scope: Scope, window: int, known: frozenset[str]) -> str:
    """The query of one statistic of a fleet: for each Deployment by the first dialect that it speaks."""
    panel = panels.definitions()[PANELS[stat]]
    spoken = [item for item in panel.dialect if known.issuperset(item.needs) and stat in item.queries]
    return panels.filled(panels.joined(spoken or panel.dialect[:1], stat), scope, window, stat)


def existing_query(scope: Scope, *, exported: bool = False) -> str:
    """Which of the metrics that panels read there are, by Deployment where it is about one service."""
    marked = {name for name in panels.names() if name.startswith(panels.EXPORTED)}
    names = {name.removeprefix(panels.EXPORTED) for name in marked} if exported else set(panels.names()) - marked
    named = _named(names)
    if exported:
        inner = f'label_replace({{{scope.exported},{named}}},"pod","$1","exported_pod","(.*)")'
    else:
        inner = f"{{{scope.selector},{named}}}"
    if len(scope.services) != 1:
        return f"count by (__name__) ({inner})"
    return f"count by (__name__,{LABEL}) ({scope.labelled(inner)})"


def podless_query() -> str:
    """Which of the metrics that gates read there are that name no pod, so that nobody can tell of which colour."""
    names = {
        need for panel in set(PANELS.values()) for item in panels.definitions()[panel].dialect for need in item.needs
    }
    return f'count by (__name__) ({{{_named(names)},pod=""}})'


def _named(names: Iterable[str]) -> str:
    return f"__name__=~{quoted('|'.join(sorted(names)))}"


def count_query(dialect: Dialect, scope: Scope, window: int) -> str:
    """How many requests the figures of a window rest on, by Deployment and version."""
    return f"({panel_query('rate', dialect, scope, window)}) * {window}"


def age_query(dialect: Dialect, scope: Scope) -> str:
    """How old the newest sample is, by the clock of Prometheus, by Deployment and version."""
    by = (dialect.version,) if dialect.version else ()
    return f"time() - {scope.highest(f'timestamp({dialect.needs[0]}{{{scope.selector}}})', *by)}"


def feature_query(scope: Scope, window: float = DRIFT_WINDOW, ago: float = 0.0) -> str:
    """How much what is counted of features and of the prediction (no feature) grew, by Deployment and version.

    Told apart by labels: `le` of a histogram, `category`, `class`; the rows without a value have a feature alone.
    """
    names = "|".join(
        (
            "ml_feature_value_bucket",
            "ml_prediction_value_bucket",
            "ml_feature_missing_total",
            "ml_feature_category_total",
            "ml_prediction_class_total",
        )
    )
    then = f" offset {ago:.0f}s" if ago else ""
    grown = f'increase({{__name__=~"{names}",{scope.selector}}}[{window:.0f}s]{then})'
    return scope.grouped(grown, "version", "feature", "le", "category", "class")


def reference_query(scope: Scope) -> str:
    """The training data's shares by Deployment, version, feature and bucket or category; its rows, what it missed."""
    names = "|".join(
        (
            "ml_feature_reference_share",
            "ml_prediction_reference_share",
            "ml_feature_reference_rows",
            "ml_feature_reference_missing_share",
            "ml_feature_reference_category_share",
            "ml_prediction_reference_class_share",
        )
    )
    by = ("version", "feature", "le", "category", "class", "__name__")
    return scope.highest(f'{{__name__=~"{names}",{scope.selector}}}', *by)


def label_query(scope: Scope) -> str:
    """The labels that came in each step, by Deployment, version and whether the prediction was right."""
    return scope.grouped(f"increase(ml_labels_total{{{scope.selector}}}[{LABEL_STEP}s])", "version", "outcome")


def interval_query(scope: Scope, known: frozenset[str] = frozenset()) -> str:
    """How many samples a minute the most often scraped pod has, of what counts its requests."""
    spoken = [item for item in panels.definitions()["rate"].dialect if known.issuperset(item.needs)]
    counters = [item.needs[0] for item in spoken] or ["ml_predictions_total"]
    return " or ".join(f"max(count_over_time({name}{{{scope.selector}}}[1m]))" for name in counters)


ANYTHING = "count(ml_predictions_total)"
"""Whether there are such metrics at all, under whatever labels."""


def override_key(stat: str) -> str:
    """The key under `queries` in mlconsole.toml: `rate`, `errors`, `latency.p95`."""
    panel = PANELS[stat]
    return stat if stat == panel else f"{panel}.{stat}"


def override(service: ModelService, stat: str, given: Mapping[str, str], window: str) -> str | None:
    """The configuration's own query of a statistic, with its words replaced, or None."""
    text = given.get(override_key(stat))
    if text is None:
        return None
    return panels.filled(text, Scope([service]), int(window.removesuffix("s")), stat)


def of_panels(given: Mapping[str, PanelSettings]) -> dict[str, str]:
    """The queries of a row's figures that panels of the configuration give, by the keys that `queries` has for them."""
    found = {}
    for stat, name in PANELS.items():
        own = given.get(name)
        if own is not None and own.query is not None and name == stat and not own.label:
            found[override_key(stat)] = own.query
        elif own is not None and stat in own.queries:
            found[override_key(stat)] = own.queries[stat]
    return found
