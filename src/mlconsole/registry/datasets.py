"""A dataset that was kept with a version's training run, as payloads, in the worker.

Only what lies among the run's own artifacts is read: a dataset's source may name any file of any machine, and what is
read here is posted to a model server.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from mlconsole.domain.payloads import payloads
from mlconsole.domain.text import visible
from mlconsole.registry.errors import explain
from mlconsole.registry.examples import Example
from mlconsole.registry.reader import client_of

BYTES = 16 << 20
"""Of a dataset, at most."""


def read_dataset(uri: str, name: str, version: str, dataset: str, limit: int) -> Example:
    """The first `limit` rows of `dataset`: the name of one logged with the version's run, or an artifact's path there.

    CSV with a header, its columns in the model's order; JSON lines; or JSON. Raises RegistryError.
    """
    label = f"dataset {visible(dataset, 120)} of {visible(name, 80)} v{visible(version, 40)}"
    try:
        client = client_of(uri)
        run = client.get_run(client.get_model_version(name, version).run_id)
        path = _path(run, dataset)
        if not path:
            return Example(where=label, problem=f"{label} is not among the artifacts of its run")
        with tempfile.TemporaryDirectory(prefix="mlconsole-") as folder:
            fetched = Path(client.download_artifacts(run.info.run_id, path, folder))
            if not fetched.is_file() or fetched.stat().st_size > BYTES:
                return Example(where=label, problem=f"{label} is no file of {BYTES >> 20} MiB or less")
            content = fetched.read_text(encoding="utf-8", errors="replace")
    except Exception as error:
        raise explain(error, uri) from error
    try:
        rows = _rows(path, content, limit)
    except (ValueError, csv.Error, RecursionError) as error:
        return Example(where=label, problem=f"{label} cannot be read: {visible(str(error), 120)}")
    found = payloads(rows, (), limit)
    return Example(found, where=label, problem="" if found else f"{label} has no rows")


def _path(run: Any, dataset: str) -> str:
    """The artifact's path within the run; empty where the dataset lies elsewhere."""
    root = str(run.info.artifact_uri).rstrip("/") + "/"
    for item in run.inputs.dataset_inputs if run.inputs else ():
        if item.dataset.name == dataset:
            source = json.loads(item.dataset.source or "{}")
            where = str(source.get("uri") or source.get("url") or "")
            runs = f"runs:/{run.info.run_id}/"
            return next((where.removeprefix(start) for start in (root, runs) if where.startswith(start)), "")
    path = PurePosixPath(dataset)
    return "" if path.is_absolute() or ".." in path.parts or not path.suffix else str(path)


def _rows(path: str, content: str, limit: int) -> list[Any]:
    if path.endswith(".csv"):
        rows = itertools.islice(csv.DictReader(io.StringIO(content)), limit)
        return [{key: _number(value) for key, value in row.items()} for row in rows]
    if path.endswith(".json"):
        found = json.loads(content)
        return found if isinstance(found, list) else [found]
    return [json.loads(line) for line in content.splitlines()[:limit] if line.strip()]


def _number(text: str) -> Any:
    """A cell as a number, where it is one."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return text
