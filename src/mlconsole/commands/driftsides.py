"""What `mlconsole drift` compares: a reference, or a table, from a file or from the registry."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from mlconsole.commands.exits import Exit, Stop
from mlconsole.config import Settings
from mlconsole.domain.reference import ARTIFACT, BadReference, Reference, decode
from mlconsole.domain.sources import Condition
from mlconsole.domain.statistics.judging import Column
from mlconsole.domain.text import visible
from mlconsole.registry.errors import NoSuchVersion, RegistryError
from mlconsole.registry.references import BYTES, NoSuchArtifact, fetch_artifact, read_reference
from mlconsole.tables.errors import TableError
from mlconsole.tables.files import Table, open_table

MODELS, RUNS = "models:/", "runs:/"
TABLE_BYTES = 4 << 30


class Side(Protocol):
    """One of the two."""

    label: str
    """What it is, fit to be shown."""
    names: tuple[str, ...]
    twice: tuple[str, ...]

    def column(self, name: str, *, categorical: bool = False) -> Column | str:
        """A feature, or words where it cannot be compared. Raises TableError."""

    def prediction(self, column: str) -> Column | str | None:
        """What the model answered: `column` where there are rows. None where there is nothing."""


class OfReference:
    """A reference."""

    twice: tuple[str, ...] = ()

    def __init__(self, label: str, reference: Reference) -> None:
        self.label = f"{label} ({reference.rows} rows)" if reference.rows else label
        self.names = tuple(reference.features)
        self._reference = reference

    def column(self, name: str, *, categorical: bool = False) -> Column | str:
        """A feature; a reference has made its numbers categories already, or not."""
        return self._reference.features[name]

    def prediction(self, column: str) -> Column | str | None:
        """Its own, whatever it was called there."""
        return self._reference.prediction


class OfTable:
    """Rows."""

    def __init__(self, label: str, table: Table) -> None:
        self.label = f"{label} ({table.rows} rows)"
        self.names = table.names
        self.twice = tuple(table.twice)
        self._table = table

    def column(self, name: str, *, categorical: bool = False) -> Column | str:
        """A column."""
        return self._table.column(name, categorical=categorical)

    def prediction(self, column: str) -> Column | str | None:
        """The column that was named."""
        return self._table.column(column) if column in self.names else None


def opened(spec: str, settings: Settings, folder: Path, only: Collection[str] | None) -> Side:
    """What `spec` names; what is fetched for it lies in `folder`. Raises Stop."""
    try:
        if spec.startswith(MODELS):
            return _of_version(spec, settings)
        if spec.startswith(RUNS):
            return _of_run(spec, settings, folder, only)
        return _of_file(Path(spec).expanduser(), visible(spec, 200), only)
    except TableError as error:
        raise Stop(error.message, error.hint, Exit.USAGE) from error
    except RegistryError as error:
        raise registry_stop(error) from error


def registry_stop(error: RegistryError) -> Stop:
    """How a command ends that the registry does not give what it needs."""
    code = Exit.DENIED if error.condition is Condition.DENIED else Exit.UNREACHABLE
    if isinstance(error, NoSuchVersion | NoSuchArtifact):
        code = Exit.USAGE
    return Stop(error.message, error.hint, code)


def _of_version(spec: str, settings: Settings) -> Side:
    name, at, alias = spec.removeprefix(MODELS).partition("@")
    version = at + alias
    if not at:
        name, _, version = name.rpartition("/")
        version = version.removeprefix("v")
    name = name.rstrip("/")
    if not name or version in ("", "@") or not (at or version.isdecimal()):
        hint = "models:/NAME/14, models:/NAME@champion"
        raise Stop(f"{visible(spec)}: a version is a number, or the alias of one", hint, Exit.USAGE)
    return OfReference(
        f"{visible(name, 80)} {visible(version, 40)}", read_reference(registry_uri(settings), name, version)
    )


def _of_run(spec: str, settings: Settings, folder: Path, only: Collection[str] | None) -> Side:
    run_id, _, path = spec.removeprefix(RUNS).partition("/")
    if not run_id:
        raise Stop(f"{visible(spec)} names no run", f"runs:/RUN_ID/{ARTIFACT}", Exit.USAGE)
    path = path or ARTIFACT
    most = BYTES if path.endswith(".json") else TABLE_BYTES
    file = fetch_artifact(registry_uri(settings), run_id, path, folder, most)
    return _of_file(file, f"{visible(path, 80)} of run {visible(run_id, 40)}", only)


def registry_uri(settings: Settings) -> str:
    """Where the registry is. Raises Stop."""
    uri = settings.registry.tracking_uri
    if not uri:
        raise Stop("no registry is configured", "MLFLOW_TRACKING_URI, or registry.tracking_uri", Exit.USAGE)
    return uri


def _of_file(path: Path, label: str, only: Collection[str] | None) -> Side:
    if path.suffix.lower() != ".json":
        return OfTable(label, open_table(path, only))
    try:
        with path.open("rb") as stream:
            document = stream.read(BYTES + 1)
    except OSError as error:
        raise Stop(f"{label}: {error.strerror or 'it cannot be read'}", code=Exit.USAGE) from error
    if len(document) > BYTES:
        raise Stop(f"{label} is larger than {BYTES >> 20} MiB, no reference is", "rows are .jsonl", Exit.USAGE)
    try:
        return OfReference(label, decode(document))
    except BadReference as error:
        raise Stop(f"{label}: {visible(str(error), 300)}", "rows of JSON are .jsonl", Exit.USAGE) from error
