"""The reference of a version, and any artifact of a run, from the artifact store: in the worker, or in a command."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from mlconsole.domain.reference import ARTIFACT, BadReference, Reference, decode
from mlconsole.domain.text import visible
from mlconsole.registry.errors import NoSuchVersion, RegistryError, explain
from mlconsole.registry.reader import client_of, find

BYTES = 64 << 20
"""Of a reference, at most."""
HOW = "mlconsole.monitor.reference.log_reference logs one at training"


class NoSuchArtifact(RegistryError):
    """The registry answered: the run has none of that name."""


def read_reference(uri: str, name: str, version: str) -> Reference:
    """The reference of a registered version, named by its number or its alias (`@champion`).

    Raises NoSuchVersion, NoSuchArtifact where its run has none, RegistryError.
    """
    found = find(uri, name, version)
    label = f"{visible(name, 80)} v{found.version}"
    if found.run is None:
        raise NoSuchArtifact(f"{label} has no reference: {found.run_problem}", HOW)
    with tempfile.TemporaryDirectory(prefix="mlconsole-") as folder:
        try:
            file = fetch_artifact(uri, found.run.run_id, ARTIFACT, Path(folder), BYTES)
        except NoSuchArtifact as error:
            raise NoSuchArtifact(f"{label} has no reference: its run has no {ARTIFACT}", HOW) from error
        try:
            return decode(file.read_bytes())
        except BadReference as error:
            raise NoSuchArtifact(f"the reference of {label} cannot be used: {visible(str(error), 200)}", HOW) from error


def fetch_artifact(uri: str, run_id: str, path: str, folder: Path, most: int) -> Path:
    """The file at `path` among the artifacts of a run, fetched into `folder`.

    It is not fetched where the store says that it is larger than `most`. Raises NoSuchArtifact, RegistryError.
    """
    inner = PurePosixPath(path)
    shown, run = visible(path, 120), visible(run_id, 40)
    if inner.is_absolute() or ".." in inner.parts:
        raise NoSuchArtifact(f"{shown} is no path among artifacts")
    try:
        client = client_of(uri)
        item = _listed(client, run_id, inner)
        if item is None or item.is_dir:
            raise NoSuchArtifact(f"run {run} has no artifact {shown}", "mlflow artifacts list shows what it has")
        if item.file_size is not None and item.file_size > most:
            raise NoSuchArtifact(f"{shown} of run {run} is larger than {most >> 20} MiB")
        return Path(client.download_artifacts(run_id, str(inner), str(folder)))
    except RegistryError:
        raise
    except Exception as error:
        if getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise NoSuchVersion(f"the registry has no run {run}") from error
        raise explain(error, uri) from error


def _listed(client: Any, run_id: str, path: PurePosixPath) -> Any:
    parent = "" if path.parent == PurePosixPath(".") else str(path.parent)
    return next((item for item in client.list_artifacts(run_id, parent or None) if item.path == str(path)), None)
