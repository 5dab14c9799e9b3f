"""The PromQL of every panel, and how what comes back is matched to a service and its colours.

**Matching.** Colours are told apart by their Deployments, which the cluster names; the label `color` of the metrics may
be called anything, or be missing. What every Prometheus on Kubernetes has are the labels `namespace` and `pod` of its
targets, so:

1. a query is restricted to the service's namespace and to pods named as its Deployments name theirs
   (`fraud-green-[a-z0-9]+-[a-z0-9]+`);
2. the Deployment is taken out of the pod's name into a label, `deployment`, and results are grouped by it;
3. of what comes back only rows count whose `namespace` and `deployment` are those of a colour of the service (I22).

Where a Prometheus has other labels, `mlconsole.toml` gives queries of its own for a service, by panel and statistic:
`rate`, `errors`, `latency.p50`, `latency.p95`, `latency.p99`. In them `$namespace`, `$service`, `$pods` (a pattern for
`pod=~`) and `$window` (`30s`) are replaced. Their results must have a label that names the colour: the Service's own
colour label, `color`, `colour`, `slot`, `deployment` or `pod`; a service with one Deployment needs none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mlconsole.domain.services import ModelService

LABEL = "deployment"
PANELS = {"rate": "rate", "errors": "errors", "p50": "latency", "p95": "latency", "p99": "latency"}
"""Which panel a statistic is on."""
STATS = tuple(PANELS)
DRIFT_WINDOW = 600.0
"""Seconds of traffic that drift is judged on."""
_SUFFIX = "-[a-z0-9]+-[a-z0-9]+"
_LONGEST = 46
"""A Deployment's name up to here stands whole in its pods' names; Kubernetes cuts them at 58 characters and 5 more."""
_CUT = 57
FEW_NAMESPACES = 30

_RATE = "rate(ml_predictions_total{%s}[%s])"
_BY_FAMILY = "rate(ml_prediction_errors_total{%s}[%s])"
_BY_STATUS = 'rate(ml_predictions_total{%s,status=~"(?i:error|errors|failed|failure|exception)"}[%s])'
_HAS_STATUS = 'rate(ml_predictions_total{%s,status!=""}[%s])'
_BUCKETS = "rate(ml_prediction_duration_seconds_bucket{%s}[%s])"


class Scope:
    """The services that a query is about."""

    def __init__(self, services: Iterable[ModelService]) -> None:
        self.services = tuple(services)
        self.namespaces = sorted({service.namespace for service in self.services})
        names = sorted({color.deployment for service in self.services for color in service.colors})
        self._long = [name for name in names if len(name) > _LONGEST]
        self._names = names

    @property
    def selector(self) -> str:
        """The matchers: namespace, and for a single service its pods."""
        parts = []
        if len(self.namespaces) <= FEW_NAMESPACES:
            parts.append(f"namespace=~{quoted('|'.join(map(re.escape, self.namespaces)))}")
        else:
            parts.append('namespace!=""')
        if len(self.services) == 1:
            parts.append(f"pod=~{quoted(pods_of(self._names))}")
        return ",".join(parts)

    def grouped(self, expression: str, *by: str) -> str:
        """The sum of `expression` by Deployment, and by the labels in `by`."""
        return f"sum by (namespace,{','.join((LABEL, *by))}) ({self._labelled(expression)})"

    def highest(self, expression: str, *by: str) -> str:
        """The highest of `expression` by Deployment, and by the labels in `by`."""
        return f"max by (namespace,{','.join((LABEL, *by))}) ({self._labelled(expression)})"

    def _labelled(self, expression: str) -> str:
        result = f'label_replace({expression},"{LABEL}","$1","pod","(.+){_SUFFIX}")'
        for name in self._long:
            pattern = quoted(pod_pattern(name))
            result = f'label_replace({result},"{LABEL}",{quoted(name)},"pod",{pattern})'
        return result


def panel_query(stat: str, scope: Scope, window: str, *by: str) -> str:
    """The query of one statistic, by Deployment, and by the labels in `by`."""
    chosen = scope.selector
    if stat == "rate":
        return scope.grouped(_RATE % (chosen, window), *by)
    if stat == "errors":
        failed = scope.grouped(_BY_FAMILY % (chosen, window), *by)
        by_status = scope.grouped(_BY_STATUS % (chosen, window), *by)
        none = scope.grouped(_HAS_STATUS % (chosen, window), *by)
        return f"({failed} or {by_status} or 0*{none}) / {scope.grouped(_RATE % (chosen, window), *by)}"
    quantile = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}[stat]
    return f"histogram_quantile({quantile},{scope.grouped(_BUCKETS % (chosen, window), *by, 'le')})"


def count_query(scope: Scope, window: str) -> str:
    """How many requests the figures of a window rest on, by Deployment and version."""
    return scope.grouped(f"increase(ml_predictions_total{{{scope.selector}}}[{window}])", "version")


def age_query(scope: Scope) -> str:
    """How old the newest sample is, by the clock of Prometheus, by Deployment and version."""
    return f"time() - {scope.highest(f'timestamp(ml_predictions_total{{{scope.selector}}})', 'version')}"


def feature_query(scope: Scope, window: float = DRIFT_WINDOW) -> str:
    """How much the features' histograms grew, by Deployment, version, feature and bucket."""
    grown = f"increase(ml_feature_value_bucket{{{scope.selector}}}[{window:.0f}s])"
    return scope.grouped(grown, "version", "feature", "le")


def reference_query(scope: Scope) -> str:
    """The training data's cumulative shares, by Deployment, version, feature and bucket."""
    return scope.highest(f"ml_feature_reference_share{{{scope.selector}}}", "version", "feature", "le")


def interval_query(scope: Scope) -> str:
    """How many samples a minute the most often scraped pod has."""
    return f"max(count_over_time(ml_predictions_total{{{scope.selector}}}[1m]))"


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
    pods = quoted(pods_of(color.deployment for color in service.colors))[1:-1]
    names = {"$namespace": service.namespace, "$service": service.name, "$pods": pods, "$window": window}
    return re.sub(r"\$(namespace|service|pods|window)\b", lambda found: names[found[0]], text)


def color_of(labels: Mapping[str, str], service: ModelService) -> str | None:
    """The colour that a row is about, or None if it names none of the service's."""
    if labels.get("namespace", service.namespace) != service.namespace:
        return None
    named = labels.get(LABEL)
    if named:
        return next((color.name for color in service.colors if color.deployment == named), None)
    for key in (service.color_key, "color", "colour", "slot"):
        label = re.sub(r"[^a-zA-Z0-9_]", "_", key)
        for candidate in (key, label, f"label_{label}"):
            if candidate and candidate in labels:
                return labels[candidate] if service.color(labels[candidate]) is not None else None
    if "pod" in labels:
        pod = labels["pod"]
        return next((color.name for color in service.colors if re.fullmatch(pod_pattern(color.deployment), pod)), None)
    return service.colors[0].name if len(service.colors) == 1 else None


def pods_of(deployments: Iterable[str]) -> str:
    """A pattern for the pods of some Deployments."""
    return "|".join(pod_pattern(name) for name in deployments)


def pod_pattern(deployment: str) -> str:
    """A pattern for the names of a Deployment's pods: `name-hash-xxxxx`."""
    if len(deployment) <= _LONGEST:
        return re.escape(deployment) + _SUFFIX
    return re.escape(deployment[:_CUT]) + "[a-z0-9-]*"


def quoted(text: str) -> str:
    """A string literal of PromQL."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
