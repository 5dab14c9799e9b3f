"""Batches: the columns of what a server hands over as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from mlconsole.monitor.values import BadRow


class Table(Struct, frozen=True):
    """A batch by columns, each with its place in the reference, or by rows where it came so."""

    rows: int
    by_column: list[tuple[int, Any]] = []
    by_row: Iterable[Any] = ()


def table_of(features: Any, names: tuple[str, ...], predictions: Any) -> Table:
    """A data frame, a mapping of columns, an array of two dimensions, or rows. Raises BadRow.

    A column that is not there is missing in every row.
    """
    if features is None:
        return Table(0 if predictions is None else len(predictions))
    if hasattr(features, "columns") or hasattr(features, "keys"):
        there = set(features.columns if hasattr(features, "columns") else features)
        rows = len(features) if hasattr(features, "columns") else _longest(features)
        columns = [_values(features[name]) if name in there else [None] * rows for name in names]
        _same_length(names, columns, rows)
        return Table(rows, list(enumerate(columns)))
    shape: tuple[int, ...] = getattr(features, "shape", ())
    if len(shape) == 2:
        if names and shape[1] != len(names):
            raise BadRow(f"{shape[1]} columns where the reference has {len(names)}")
        return Table(int(shape[0]), [(index, features[:, index]) for index in range(len(names))])
    listed = list(features)
    return Table(len(listed), by_row=listed)


def _longest(features: Any) -> int:
    return max((len(column) for column in features.values()), default=0)


def _values(column: Any) -> Any:
    return column.to_numpy() if hasattr(column, "to_numpy") else column


def _same_length(names: tuple[str, ...], columns: list[Any], rows: int) -> None:
    for name, column in zip(names, columns, strict=True):
        if len(column) != rows:
            raise BadRow(f"{name} has {len(column)} values where others have {rows}")
