"""AnalysisTemplates of Argo Rollouts, as far as they ask a Prometheus.

What a team has written for its rollouts holds for a switch too. Nothing of Argo has to run. A metric of another
provider, a value that is kept in a Secret, a query over a range: the spec then says why it cannot be measured, and is
unknown rather than left out (I21). The address of a Prometheus in a template is not asked: it is one of the cluster's
own network, and anybody who may write a template could have our credentials sent anywhere.
Format: https://argo-rollouts.readthedocs.io/en/stable/features/analysis/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import NotFound, ServerError
from mlconsole.domain import conditions
from mlconsole.domain.analysis import Spec
from mlconsole.domain.conditions import ConditionError
from mlconsole.domain.text import visible

SECONDS = 10.0
INTERVAL = 10.0
"""Between two measurements where a template names no interval: it wants one, and after an error another try."""
ERRORS_IN_ROW = 4
"""Argo's own default."""
NO_LIMIT = 10**6
_ARGUMENT = re.compile(r"\{\{\s*args\.([A-Za-z0-9_.-]+)\s*\}\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
Text = str | int | float | None


class _Argument(Struct, rename="camel"):
    name: str = ""
    value: Text = None
    value_from: dict[str, Any] | None = None


class _Metric(Struct, rename="camel"):
    name: str = ""
    interval: Text = None
    initial_delay: Text = None
    count: Text = None
    success_condition: str = ""
    failure_condition: str = ""
    failure_limit: Text = None
    inconclusive_limit: Text = None
    consecutive_error_limit: Text = None
    provider: dict[str, Any] = {}


class _Spec(Struct, rename="camel"):
    args: list[_Argument] | None = None
    metrics: list[_Metric] | None = None
    templates: list[Any] | None = None


class _Template(Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


async def read(
    connection: Connection, namespace: str, template: str, name: str, args: Mapping[str, str]
) -> tuple[Spec, ...]:
    """The specs of an AnalysisTemplate, one a metric, named after `name`. Raises ClusterError."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{quote(namespace)}/analysistemplates/{quote(template, safe='')}"
    try:
        data = await connection.get(path, timeout=SECONDS)
    except NotFound as error:
        hint = "correct `template`; `kubectl get analysistemplates` lists them where Argo Rollouts is installed"
        raise NotFound(f"there is no AnalysisTemplate {namespace}/{template}", error.why, hint) from error
    try:
        found = msgspec.json.decode(data, type=_Template)
    except msgspec.DecodeError as error:
        raise ServerError(f"AnalysisTemplate {namespace}/{template} cannot be read", str(error)) from error
    return specs(found.spec, f"AnalysisTemplate {namespace}/{template}", name, args)


def specs(found: _Spec, origin: str, name: str, args: Mapping[str, str]) -> tuple[Spec, ...]:
    """What a template's metrics are as specs."""
    values, missing = _values(found.args or (), args)
    metrics = found.metrics or []
    if found.templates or not metrics:
        why = "it names other templates, which are not followed" if found.templates else "it has no metrics"
        return (Spec(name, origin=origin, problem=f"{origin}: {why}"),)
    single = len(metrics) == 1
    return tuple(
        _spec(metric, name if single else f"{name}.{visible(metric.name, 60)}", origin, values, missing)
        for metric in metrics
    )


def _values(given: list[_Argument] | tuple[()], args: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The arguments' values, and of those without one why."""
    values, missing = dict(args), {}
    for argument in given:
        if argument.name in values:
            continue
        if argument.value is not None:
            values[argument.name] = str(argument.value)
        elif argument.value_from is not None:
            where = ", ".join(sorted(argument.value_from)) or "elsewhere"
            missing[argument.name] = f"its value comes from {where}, which is not read"
    return values, missing


class _Unset(Exception):
    """An argument without a value; the text says which and why."""


def _filled(text: Text, values: Mapping[str, str], missing: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            why = missing.get(name, "it has no value")
            raise _Unset(f"argument {visible(name, 60)}: {why}; give it under `args` of this analysis")
        return values[name]

    return _ARGUMENT.sub(value, "" if text is None else str(text))


def _spec(metric: _Metric, name: str, origin: str, values: Mapping[str, str], missing: Mapping[str, str]) -> Spec:
    empty = Spec(name, origin=origin)
    where = f"{origin}, metric {visible(metric.name, 60)}"
    provider = metric.provider.get("prometheus")
    if not isinstance(provider, dict):
        named = ", ".join(sorted(visible(key, 40) for key in metric.provider)) or "none"
        return replace(empty, problem=f"{where}: provider {named} is not asked here")
    if provider.get("rangeQuery"):
        return replace(empty, problem=f"{where}: a query over a range is not asked")
    try:
        spec = _measured(empty, metric, provider, values, missing)
        for text in filter(None, (spec.condition, spec.failure)):
            conditions.parse(text)
    except (_Unset, ConditionError, ValueError) as error:
        return replace(empty, problem=f"{where}: {visible(str(error), 300)}")
    if not spec.query:
        return replace(empty, problem=f"{where}: it has no query")
    if not spec.condition and not spec.failure:
        return replace(spec, problem=f"{where}: it has no condition to judge by")
    return spec


def _measured(
    spec: Spec, metric: _Metric, provider: Mapping[str, Any], values: Mapping[str, str], missing: Mapping[str, str]
) -> Spec:
    """The spec of a metric that Prometheus is asked. Raises _Unset and ValueError."""

    def filled(text: Text) -> str:
        return _filled(text, values, missing)

    interval, count = filled(metric.interval), filled(metric.count)
    address = visible(str(provider.get("address") or ""), 100)
    elsewhere = f" (its address {address} is not asked, the console's own Prometheus is)" if address else ""
    return replace(
        spec,
        condition=_one_line(filled(metric.success_condition)),
        failure=_one_line(filled(metric.failure_condition)),
        query=filled(provider.get("query")).strip(),
        interval=max(0.5, _seconds(interval)) if interval else INTERVAL,
        delay=_seconds(filled(metric.initial_delay) or "0s"),
        count=max(1, int(count)) if count else None if interval else 1,
        failure_limit=_limit(filled(metric.failure_limit), 0),
        inconclusive_limit=_limit(filled(metric.inconclusive_limit), 0),
        error_limit=_limit(filled(metric.consecutive_error_limit), ERRORS_IN_ROW),
        origin=spec.origin + elsewhere,
    )


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()), conditions.LONGEST)


def _limit(text: str, default: int) -> int:
    number = int(text) if text else default
    return number if number >= 0 else NO_LIMIT


def _seconds(text: str) -> float:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError(f"{text!r} is no duration such as 30s or 5m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
