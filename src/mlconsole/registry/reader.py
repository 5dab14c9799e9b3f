"""Reads an MLflow registry, in the worker: nothing of mlflow is imported with this module, only when it is used.

It only reads. MLflow itself would make a database or a folder where a local path leads to none, so that is looked at
first. What comes back is cut to sane sizes and safe to show.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from msgspec import Struct

from mlconsole.domain.registry import ModelVersion, RegisteredModel, Run
from mlconsole.domain.text import visible
from mlconsole.registry.errors import NoSuchVersion, RegistryError, address, explain

ANSWER = 5
"""Seconds that one request to a server may take; MLflow's own are 120, with 7 retries."""
NAMES = 500
VERSIONS = 100
"""The newest versions that are listed; those with an alias or in use come on top."""
DETAILED = 30
"""The newest versions whose runs are read; those with an alias or in use come on top."""
BUDGET = 8.0
"""Seconds for the runs of one look; what is missing then comes with the next."""
SETTLED = 120.0
"""Seconds after which the run of a finished training is read again."""
SPARED = ("pandas", "pyarrow")
"""What MLflow imports where it is there, and does without where it is not: 75 MiB and a second of a worker's start."""
_ENDED = frozenset({"FINISHED", "FAILED", "KILLED"})
_LIMITS = {"tags": 50, "params": 100, "metrics": 100}


class Answer(Struct, frozen=True):
    """What one look brought."""

    names: tuple[str, ...] = ()
    models: dict[str, RegisteredModel] = {}
    problems: dict[str, str] = {}
    """Why a model that was asked for is not there."""
    aliases: dict[str, dict[str, str]] = {}
    """Of every model of `names`: alias to version."""


def read(uri: str, wanted: Mapping[str, tuple[str, ...]]) -> Answer:
    """The names of the models, and the models of `wanted` with at least the versions named there.

    Raises RegistryError.
    """
    try:
        client = client_of(uri)
        aliases = _names(client)
        models, problems = {}, {}
        until = time.monotonic() + BUDGET
        for name, versions in wanted.items():
            try:
                models[name] = _model(client, uri, name, versions, until)
            except _mlflow().exceptions.MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                problems[name] = f"the registry has no model {visible(name, 80)}"
        return Answer(tuple(sorted(aliases)), models, problems, aliases)
    except Exception as error:
        raise explain(error, uri) from error


def find(uri: str, name: str, wanted: str) -> ModelVersion:
    """One version of a model with its run, by its number or its alias (`@champion`). Raises RegistryError."""
    try:
        client = client_of(uri)
        item = _wanted(client, name, wanted)
        if item is None:
            words = f"the registry has no {visible(name, 80)} {visible(wanted, 40)}"
            raise NoSuchVersion(words, "mlconsole shows its versions in the registry pane")
        model = client.get_registered_model(name)
        aliases = _aliases(model)
        run, problem = _run(client, uri, item.run_id, time.monotonic() + BUDGET)
        return _version(item, aliases, run, problem)
    except RegistryError:
        raise
    except Exception as error:
        raise explain(error, uri) from error


def _wanted(client: Any, name: str, wanted: str) -> Any:
    """A version by its number or its alias, or None."""
    if not wanted.startswith("@"):
        return _one(client, name, wanted)
    try:
        return client.get_model_version_by_alias(name, wanted[1:])
    except _mlflow().exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def client_of(uri: str) -> Any:
    """MLflow's client for a tracking URI, kept. Raises RegistryError, MlflowException."""
    _local(uri)
    return _client(uri)


@functools.lru_cache(maxsize=2)
def _client(uri: str) -> Any:
    mlflow = _mlflow()
    if "://" not in uri or uri.startswith("file:"):
        # A store of files asks the tracking URI that is set for the runs, and without one makes ./mlflow.db.
        mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


@functools.lru_cache(maxsize=1)
def _mlflow() -> Any:
    if multiprocessing.parent_process() is not None:
        for name in SPARED:
            sys.modules.setdefault(name, cast(Any, None))
    os.environ.update(
        MLFLOW_HTTP_REQUEST_TIMEOUT=str(ANSWER),
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
        MLFLOW_ALLOW_FILE_STORE="true",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
        MLFLOW_LOGGING_LEVEL="ERROR",
    )
    import warnings

    warnings.filterwarnings("ignore", module="mlflow")
    import mlflow

    return mlflow


def _local(uri: str) -> None:
    """Refuse a local path that leads nowhere, before MLflow makes something of it."""
    if uri.startswith("sqlite:"):
        path = Path(unquote(uri.partition("?")[0].removeprefix("sqlite:///")))
        if not path.is_file() or not path.stat().st_size:
            raise RegistryError(f"there is no database at {address(uri)}", "check the path in MLFLOW_TRACKING_URI")
    elif uri.startswith("file:") or "://" not in uri:
        folder = Path(unquote(uri.removeprefix("file://").removeprefix("file:")))
        if not (folder / "models").is_dir() and not any(folder.glob("*/meta.yaml")):
            raise RegistryError(f"there is no MLflow store at {address(uri)}", "check the path in MLFLOW_TRACKING_URI")


def _names(client: Any) -> dict[str, dict[str, str]]:
    """Every model, and the aliases of each."""
    found: dict[str, dict[str, str]] = {}
    token = None
    while len(found) < NAMES:
        page = client.search_registered_models(max_results=100, page_token=token)
        found |= {visible(model.name, 120): _aliases(model) for model in page}
        token = page.token
        if not token:
            break
    return dict(list(found.items())[:NAMES])


def _aliases(model: Any) -> dict[str, str]:
    return {visible(alias, 80): visible(str(version), 40) for alias, version in _some(model.aliases, "tags")}


def _model(client: Any, uri: str, name: str, wanted: Iterable[str], until: float) -> RegisteredModel:
    model = client.get_registered_model(name)
    aliases = _aliases(model)
    needed = {*aliases.values(), *wanted} - {""}
    found = {str(version.version): version for version in _newest(client, name)}
    for version in needed - set(found):
        one = _one(client, name, version)
        if one is not None:
            found[version] = one
    newest = sorted(found, key=_number, reverse=True)
    detailed = needed | set(newest[:DETAILED])
    versions = []
    for number in newest:
        run, problem = (None, "an older version: its run is not read")
        if number in detailed:
            run, problem = _run(client, uri, found[number].run_id, until)
        versions.append(_version(found[number], aliases, run, problem))
    return RegisteredModel(
        name=visible(name, 120),
        description=visible(model.description or "", 1000),
        tags=_texts(model.tags, "tags"),
        aliases=aliases,
        versions=tuple(versions),
    )


def _newest(client: Any, name: str) -> list[Any]:
    quote = "'" if '"' in name else '"'
    text = f"name={quote}{name}{quote}"
    return list(client.search_model_versions(text, max_results=VERSIONS, order_by=["creation_timestamp DESC"]))


def _one(client: Any, name: str, version: str) -> Any:
    """A version that is not among the newest, or None where the registry has none of that number."""
    try:
        return client.get_model_version(name, version)
    except _mlflow().exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _number(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (0, version)


def _version(item: Any, aliases: Mapping[str, str], run: Run | None, problem: str) -> ModelVersion:
    number = visible(str(item.version), 40)
    stage = item.current_stage or ""
    return ModelVersion(
        model=visible(item.name, 120),
        version=number,
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == number)),
        stage="" if stage == "None" else visible(stage, 40),
        status=visible(str(item.status or ""), 40),
        description=visible(item.description or "", 1000),
        user=visible(item.user_id or "", 80) or (run.user if run else ""),
        created_at=(item.creation_timestamp or 0) / 1000,
        tags=_texts(item.tags, "tags"),
        source=visible(item.source or "", 200),
        run=run,
        run_problem=problem,
    )


_RUNS: dict[tuple[str, str], tuple[float, Run | None, str]] = {}
_EXPERIMENTS: dict[tuple[str, str], str] = {}


def _run(client: Any, uri: str, run_id: str | None, until: float) -> tuple[Run | None, str]:
    """A run, or why there is none."""
    if not run_id:
        return None, "no run is linked to this version"
    known = _RUNS.get((uri, run_id))
    if known and known[0] > time.monotonic():
        return known[1:]
    if time.monotonic() > until:
        return known[1:] if known else (None, "not read yet")
    run, problem = _fetch_run(client, uri, run_id)
    settled = run is not None and run.status in _ENDED
    if len(_RUNS) > 2000:
        _RUNS.clear()
    _RUNS[uri, run_id] = (time.monotonic() + (SETTLED if settled else 0.0), run, problem)
    return run, problem


def _fetch_run(client: Any, uri: str, run_id: str) -> tuple[Run | None, str]:
    short = visible(run_id, 12)
    try:
        found = client.get_run(run_id)
        if found.info.lifecycle_stage == "deleted":
            return None, f"run {short} was deleted"
        experiment = _experiment(client, uri, found.info.experiment_id)
    except _mlflow().exceptions.MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None, f"run {short} was deleted"
        if error.error_code == "PERMISSION_DENIED":
            return None, f"run {short} may not be read"
        raise
    info, tags = found.info, found.data.tags
    return (
        Run(
            run_id=visible(run_id, 80),
            name=visible(info.run_name or tags.get("mlflow.runName", ""), 120),
            experiment=experiment,
            status=visible(str(info.status or ""), 40),
            user=visible(tags.get("mlflow.user") or info.user_id or "", 80),
            git_sha=visible(tags.get("mlflow.source.git.commit", ""), 64),
            source=visible(tags.get("mlflow.source.name", ""), 200),
            started_at=(info.start_time or 0) / 1000,
            ended_at=(info.end_time or 0) / 1000,
            metrics={visible(key, 80): float(value) for key, value in _some(found.data.metrics, "metrics")},
            params=_texts(found.data.params, "params"),
            tags=_texts({key: value for key, value in tags.items() if not key.startswith("mlflow.")}, "tags"),
        ),
        "",
    )


def _experiment(client: Any, uri: str, number: str) -> str:
    if (uri, number) not in _EXPERIMENTS:
        _EXPERIMENTS[uri, number] = visible(client.get_experiment(number).name, 120)
    return _EXPERIMENTS[uri, number]


def _some(items: Mapping[str, Any] | None, kind: str) -> list[tuple[str, Any]]:
    return sorted((items or {}).items())[: _LIMITS[kind]]


def _texts(items: Mapping[str, Any] | None, kind: str) -> dict[str, str]:
    return {visible(str(key), 80): visible(str(value), 300) for key, value in _some(items, kind)}
