"""The signature of a version, from the MLmodel file beside its artifact: that file alone is fetched, in the worker.

An artifact store is another server than the registry, slower and with rights of its own, so this is asked for version
by version, after everything else, and kept by the one who asked.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from mlconsole.domain.registry import Field
from mlconsole.domain.text import visible
from mlconsole.registry.errors import explain
from mlconsole.registry.reader import client_of

FILE = "MLmodel"
LARGEST = 1 << 20
FIELDS = 500


class Signature(Struct, frozen=True):
    """What a model takes and gives."""

    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    has_input_example: bool = False


def read_signature(uri: str, name: str, version: str) -> Signature:
    """The signature of a registered version. Raises RegistryError."""
    try:
        client = client_of(uri)
        from mlflow.artifacts import download_artifacts
        from mlflow.utils.uri import append_to_uri_path

        place = append_to_uri_path(client.get_model_version_download_uri(name, version), FILE)
        with tempfile.TemporaryDirectory(prefix="mlconsole-") as folder:
            file = Path(download_artifacts(artifact_uri=place, dst_path=folder, tracking_uri=uri))
            with file.open("rb") as stream:
                return parse(stream.read(LARGEST))
    except Exception as error:
        raise explain(error, uri) from error


def parse(content: bytes) -> Signature:
    """The signature in an MLmodel file; an empty one where it has none."""
    import yaml

    data = yaml.safe_load(content)
    if not isinstance(data, dict):
        return Signature()
    signature = data.get("signature")
    fields = signature if isinstance(signature, dict) else {}
    return Signature(
        inputs=_fields(fields.get("inputs")),
        outputs=_fields(fields.get("outputs")),
        has_input_example=bool(data.get("saved_input_example_info")),
    )


def _fields(text: object) -> tuple[Field, ...]:
    columns = json.loads(text) if isinstance(text, str) else None
    if not isinstance(columns, list):
        return ()
    return tuple(
        Field(visible(str(item.get("name", "")), 80), _type(item), item.get("required") is not False)
        for item in columns[:FIELDS]
        if isinstance(item, dict)
    )


def _type(item: Mapping[str, Any]) -> str:
    tensor = item.get("tensor-spec")
    if isinstance(tensor, dict):
        shape = ",".join(str(size) for size in tensor.get("shape") or ())
        return visible(f"{tensor.get('dtype', '?')}[{shape}]", 60)
    inner = item.get("items")
    if isinstance(inner, dict):
        return visible(f"{item.get('type', 'array')}<{_type(inner)}>", 60)
    return visible(str(item.get("type", "?")), 60)
