"""What `mlconsole validate` is given: the settings of a model, metrics in files, versions of the registry."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole.commands.exits import Exit, Stop
from mlconsole.config import ServiceSettings, Settings
from mlconsole.configvalidation import Validation as Wanted
from mlconsole.domain.registry import ModelVersion
from mlconsole.domain.text import visible
from mlconsole.domain.validated import METRICS
from mlconsole.domain.validation import BadThreshold, Rule, Threshold, rule_of

BYTES = 4 << 20
"""Of a file of metrics, at most."""
MOST = 1000
"""Metrics of a file."""


class Given(Struct, frozen=True):
    """Metrics that somebody wrote down."""

    label: str
    metrics: dict[str, float]
    rows: int | None = None


# ---- settings


def settings_of(model: str, service: str, config: Settings) -> Wanted:
    """What is wanted of a model: of the service that is named, else of the one that serves it. Raises Stop."""
    if service:
        found = config.services.get(service)
        if found is None:
            known = ", ".join(config.services) or "there is none"
            raise Stop(f"the settings have no service {visible(service, 80)}", f"services: {known}", Exit.USAGE)
        return found.validation
    serving = {name: item for name, item in config.services.items() if _serves(name, item, model)}
    different = {msgspec.json.encode(item.validation) for item in serving.values()}
    if len(different) > 1:
        words = f"{', '.join(serving)} serve {visible(model, 80)} and want different things of it"
        raise Stop(words, "--service says whose settings count", Exit.USAGE)
    return next((item.validation for item in serving.values()), config.defaults.validation)


def _serves(name: str, item: ServiceSettings, model: str) -> bool:
    return item.model == model if item.model else name.rpartition("/")[2] == model


def limits_of(wanted: Wanted, args: argparse.Namespace) -> tuple[dict[str, Rule], float]:
    """What each metric that is named is held to, and the drop of those that are not. Raises Stop."""
    drop = next((value for name, value in reversed(args.max_drop) if not name), wanted.max_drop)
    limits = {metric: limit.threshold() for metric, limit in wanted.metrics.items()}
    for field, given in (("min", args.min), ("max", args.max), ("max_drop", args.max_drop)):
        for metric, value in given:
            if metric:
                limits[metric] = replace(limits.get(metric, Threshold()), **{field: value})
    found = {}
    for metric, limit in limits.items():
        if (limit.min, limit.max, limit.max_drop) == (None, None, None):
            limit = replace(limit, max_drop=drop)  # noqa: PLW2901
        try:
            found[metric] = rule_of(metric, limit)
        except BadThreshold as error:
            hint = f"services.X.validation.metrics.{visible(metric, 80)} of the settings says it"
            raise Stop(f"{visible(metric, 80)}: {error}", hint, Exit.USAGE) from error
    return found, drop


# ---- metrics


def metrics_file(spec: str) -> Given:
    """The metrics in a JSON file. Raises Stop."""
    place = visible(spec, 200)
    try:
        with Path(spec).expanduser().open("rb") as stream:
            document = stream.read(BYTES + 1)
    except OSError as error:
        raise Stop(f"{place}: {error.strerror or 'it cannot be read'}", code=Exit.USAGE) from error
    if len(document) > BYTES:
        raise Stop(f"{place} is larger than {BYTES >> 20} MiB, no file of metrics is", code=Exit.USAGE)
    try:
        tree = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Stop(f"{place} is no JSON: {visible(str(error), 200)}", _SHAPE, Exit.USAGE) from error
    inner = tree.get("metrics", tree) if isinstance(tree, dict) else None
    if not isinstance(inner, dict):
        raise Stop(f"{place} has no metrics", _SHAPE, Exit.USAGE)
    rows = tree.get("rows") if inner is not tree else None
    found = {str(name): _figure(value) for name, value in inner.items() if _is_figure(value)}
    if not found or len(found) > MOST:
        raise Stop(f"{place} has {len(found) or 'no'} metrics", _SHAPE, Exit.USAGE)
    return Given(place, found, rows if isinstance(rows, int) and not isinstance(rows, bool) and rows >= 0 else None)


_SHAPE = 'such as {"f1": 0.91, "auc": 0.95}; or the same under "metrics", and "rows" beside it'


def _is_figure(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _figure(value: float | None) -> float:
    """A number; what JSON has for none (null) is none."""
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.nan


def metrics_of(version: ModelVersion, label: str) -> Given:
    """The metrics of a version's run, without what a validation wrote there."""
    metrics: Mapping[str, float] = version.run.metrics if version.run else {}
    return Given(label, {name: value for name, value in metrics.items() if not name.startswith(METRICS)})
