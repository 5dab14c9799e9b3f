"""The input example of a version as payloads, and its signature, from the artifact store, in the worker.

Two files are fetched: MLmodel, and the one that it names as the input example, when that is JSON and not too large.
pandas is not needed for either.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from mlconsole.domain.payloads import payloads
from mlconsole.domain.registry import Field
from mlconsole.domain.text import visible
from mlconsole.registry.errors import RegistryError, explain
from mlconsole.registry.reader import client_of
from mlconsole.registry.signature import FILE, LARGEST, parse

BYTES = 4 << 20
"""Of an input example, at most."""


class Example(Struct, frozen=True):
    """What a version's artifact says of its payloads and its answers."""

    payloads: tuple[Any, ...] = ()
    outputs: tuple[Field, ...] = ()
    where: str = ""
    """`input_example.json of fraud v3`."""
    problem: str = ""
    """Why there are no payloads."""


def read_example(uri: str, name: str, version: str, limit: int) -> Example:
    """The first `limit` payloads of a registered version's input example. Raises RegistryError."""
    try:
        client = client_of(uri)
        place = client.get_model_version_download_uri(name, version)
        with tempfile.TemporaryDirectory(prefix="mlconsole-") as folder:
            return _read(uri, place, Path(folder), f"{visible(name, 80)} v{visible(version, 40)}", limit)
    except Exception as error:
        raise explain(error, uri) from error


def _read(uri: str, place: str, folder: Path, label: str, limit: int) -> Example:
    content = _fetch(uri, place, FILE, folder, LARGEST)
    signature = parse(content)
    file = example_file(content)
    if not file:
        return Example(outputs=signature.outputs, problem=f"{label} was logged without an input example")
    where = f"{visible(file, 80)} of {label}"
    try:
        example = json.loads(_fetch(uri, place, file, folder, BYTES), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return Example(outputs=signature.outputs, where=where, problem=f"{where} is not JSON")
    except RegistryError as error:
        return Example(outputs=signature.outputs, where=where, problem=str(error))
    found = payloads(example, tuple(field.name for field in signature.inputs), limit)
    return Example(found, signature.outputs, where, "" if found else f"{where} has no rows")


def example_file(content: bytes) -> str:
    """The file of the input example that an MLmodel names, beside it; empty where it names none, or leads elsewhere."""
    import yaml

    data = yaml.safe_load(content)
    info = data.get("saved_input_example_info") if isinstance(data, dict) else None
    path = info.get("artifact_path") if isinstance(info, dict) else None
    return path if isinstance(path, str) and path == PurePosixPath(path).name and path != ".." else ""


def _fetch(uri: str, place: str, file: str, folder: Path, most: int) -> bytes:
    """A file of an artifact; it is not fetched where the store says that it is too large."""
    from mlflow.artifacts import download_artifacts, list_artifacts
    from mlflow.utils.uri import append_to_uri_path

    too_large = RegistryError(f"{visible(file, 80)} is larger than {most >> 20} MiB", "log a smaller input example")
    if file != FILE:
        listed = list_artifacts(artifact_uri=place, tracking_uri=uri)
        size = next((item.file_size for item in listed if PurePosixPath(item.path).name == file), None)
        if size is not None and size > most:
            raise too_large
    fetched = Path(
        download_artifacts(artifact_uri=append_to_uri_path(place, file), dst_path=str(folder), tracking_uri=uri)
    )
    with fetched.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise too_large
    return content


def _no_constant(name: str) -> None:
    """NaN and the infinities are no JSON; as null they can be posted, and the model server says what it makes of it."""
