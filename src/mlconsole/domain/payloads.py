"""What is posted to a model server, made of the input example that MLflow keeps with a version.

The serving contract takes one row a request: `{"features": [...]}`, the values in the order of the model's columns.
MLflow keeps tables in several ways, and plain JSON too, so the rule is written here once (docs/configuration.md):
a table gives a payload for each of its rows, and what is none, or names its `features` itself, is posted as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FEATURES = "features"
WRAPPERS = ("dataframe_split", "dataframe_records", "inputs", "instances")
"""The keys under which MLflow's own scoring server takes its rows."""


def payloads(example: Any, columns: Sequence[str] = (), limit: int = 50) -> tuple[Any, ...]:
    """The payloads, `limit` at most, that an input example gives; `columns` are those of the signature, in order."""
    if isinstance(example, dict):
        wrapped = next((example[key] for key in WRAPPERS if key in example), example)
        return _of_dict(example, columns, limit) if wrapped is example else payloads(wrapped, columns, limit)
    if not isinstance(example, list):
        return ({FEATURES: [example]},)
    if example and all(isinstance(row, list | dict) for row in example):
        return tuple(_of_row(row, (), columns) for row in example[:limit])
    return ({FEATURES: example},) if example else ()


def _of_dict(example: dict[str, Any], columns: Sequence[str], limit: int) -> tuple[Any, ...]:
    """A payload as it stands, a table split into columns and data, one given by its columns, or one record."""
    if FEATURES in example:
        return (example,)
    if isinstance(example.get("columns"), list) and isinstance(example.get("data"), list):
        names = tuple(str(name) for name in example["columns"])
        return tuple(_of_row(row, names, columns) for row in example["data"][:limit])
    values = list(example.values())
    if values and all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        rows = [dict(zip(example, row, strict=True)) for row in zip(*values, strict=True)]
        return tuple(_of_row(row, (), columns) for row in rows[:limit])
    return (_of_row(example, (), columns),) if example else ()


def _of_row(row: Any, names: Sequence[str], columns: Sequence[str]) -> Any:
    """One row as a payload; put into the signature's order where it names just the signature's columns."""
    if isinstance(row, list) and len(names) == len(row):
        row = dict(zip(names, row, strict=True)) if len(set(names)) == len(names) else row
    if not isinstance(row, dict):
        return {FEATURES: row if isinstance(row, list) else [row]}
    if FEATURES in row and not names:
        return row
    if any(isinstance(value, dict | list) for value in row.values()):
        return row
    order = [name for name in columns if name in row]
    return {FEATURES: [row[name] for name in order] if len(order) == len(row) else list(row.values())}
