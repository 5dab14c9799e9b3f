"""One column of a table as what drift is judged of: numbers, or the counts of categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlconsole.domain.reference import Categorical
from mlconsole.domain.statistics import samples
from mlconsole.domain.statistics.samples import Values

if TYPE_CHECKING:
    import pyarrow as pa

MANY = 1000
"""So many different texts may be in a column, whatever its length."""
DIFFERENT = 0.5
"""A text column with more, in which so large a share of the values stands once, is one of identifiers."""
LONGEST = 200
"""Characters of a category; what is longer is cut, and is the same where it begins the same."""


def column_of(array: pa.ChunkedArray, *, categorical: bool = False) -> Values | Categorical | str:
    """The column; words where it is none that can be compared."""
    import numpy as np
    import pyarrow as pa

    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if pa.types.is_null(kind):
        return Values(np.zeros(0), len(array))
    if pa.types.is_boolean(kind):
        return _categories(array)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _categories(array) if categorical or pa.types.is_dictionary(array.type) else _numbers(array)
    if _is_text(kind):
        return _categories(array)
    if pa.types.is_temporal(kind):
        return f"a time ({kind}): it moves by itself"
    return f"no numbers and no text ({str(kind)[:60]})"


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(is_one(kind) for is_one in (*text, *binary))


def _numbers(array: pa.ChunkedArray) -> Values:
    import pyarrow as pa

    missing = array.null_count
    present = array.drop_null() if missing else array
    found = samples.values(present.cast(pa.float64(), safe=False).to_numpy())
    return Values(found.numbers, found.missing + missing)


def _categories(array: pa.ChunkedArray) -> Categorical | str:
    from pyarrow import compute

    missing = array.null_count
    n = len(array) - missing
    counted = compute.value_counts(array.drop_null() if missing else array)
    different = len(counted)
    if different > MANY and different > DIFFERENT * n:
        return f"identifiers: {different} different values in {n} rows"
    counts: dict[str, float] = {}
    for value, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
        name = name_of(value)
        counts[name] = counts.get(name, 0.0) + count
    return Categorical(counts, float(missing))


def name_of(value: object) -> str:
    """A category's name: that of a value, whatever type it was written with."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)[:LONGEST]
