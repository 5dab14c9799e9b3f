"""What a server hands to the monitor, as what is counted: rows in the reference's order, numbers, categories.

Nothing is imported to know numpy's or pandas' own things: they are recognised by what they offer. The reference's
builder reads the training data with the same functions, so that both sides call the same thing by the same name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

OTHER = "__other__"
"""The category of all that the reference does not have."""
LONGEST = 120
"""Characters of a category; a longer one is cut."""
_MISSING = frozenset({"NAType", "NaTType"})
"""What pandas calls missing, beside None and NaN."""
_TEXT = (str, bytes, bytearray)
_CONTAINERS = (list, tuple, dict, set, frozenset)


class BadRow(ValueError):
    """Features that are no row of this model's."""


def row_of(features: Any, names: tuple[str, ...]) -> Sequence[Any]:
    """The values in the order of `names`: of a mapping, or of a sequence or array that has that order already.

    What a mapping does not have is missing, what it has beside is left out. Raises BadRow.
    """
    kind = features.__class__
    if kind is dict:
        return list(map(features.get, names))
    if kind is list or kind is tuple:
        values = features
    elif hasattr(features, "keys") and hasattr(features, "get"):
        return [features.get(name) for name in names]
    else:
        values = _listed(features)
    if len(values) == 1 and isinstance(values[0], list | tuple):  # the one row of a table, as scikit-learn wants it
        values = values[0]
    if len(values) != len(names):
        raise BadRow(f"{len(values)} features where the reference has {len(names)}")
    return values  # type: ignore[no-any-return]


def _listed(features: Any) -> Any:
    if isinstance(features, _TEXT):
        raise BadRow("text is no row of features")
    try:
        found = features.tolist() if hasattr(features, "tolist") else list(features)
    except TypeError:
        found = None
    if not isinstance(found, list):
        raise BadRow(f"{type(features).__name__} is no row of features")
    return found


def as_number(value: Any) -> float:
    """The number; NaN for a missing one. Raises TypeError for what is none: text is not read as a number."""
    if value is None:
        return math.nan
    value = _scalar(value)
    if isinstance(value, _TEXT):
        raise TypeError("text where a number is wanted")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        if value is None or type(value).__name__ in _MISSING:
            return math.nan
        raise TypeError(f"{type(value).__name__} where a number is wanted") from None


def as_category(value: Any) -> str | None:
    """The category's name, None for a missing one: 3, 3.0 and "3" are the same. Raises TypeError for a collection."""
    value = _scalar(value)
    if value is None or type(value).__name__ in _MISSING:
        return None
    if isinstance(value, _CONTAINERS):
        raise TypeError(f"{type(value).__name__} where a category is wanted")
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if value.is_integer():
            value = int(value)
    elif isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    # A label that is empty is none to Prometheus.
    return str(value)[:LONGEST] or None


def _scalar(value: Any) -> Any:
    """What is in an array's scalar, or in an array or list of one."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value
