"""Makes a reference of a training's data, logs it with the run, and loads it where the model is served.

    from mlconsole.monitor import reference

    reference.log_reference(reference.from_frame(rows, prediction=model.predict(rows)), run_id)

What leaves the training are counts between quantiles, never a row; single values only where `sample` asks for them.
"""

from __future__ import annotations

import datetime
import itertools
import logging
import math
import random
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlconsole.domain.reference import (
    ARTIFACT,
    BadReference,
    Categorical,
    Distribution,
    Numeric,
    Reference,
    checked,
    decode,
    encode,
)
from mlconsole.monitor.values import OTHER, as_category, as_number

LOG = logging.getLogger("mlconsole.monitor")
BINS = 20
CATEGORIES = 50
DIGITS = 3
"""At least so many significant digits has an edge, which is a label of every bucket, and more only where it has to."""
SEED = 20
MIB = 1 << 20
MOST = 64
"""As many MiB are read of a reference."""


def from_frame(
    frame: Any,
    prediction: Any = None,
    bins: int = BINS,
    sample: int = 0,
    categories: int = CATEGORIES,
    source: str = "",
) -> Reference:
    """The reference of a data frame; columns of dates, and of what is neither number nor text, are left out."""
    columns = {str(name): frame.iloc[:, at] for at, name in enumerate(frame.columns)}
    return from_columns(columns, prediction, bins, sample, categories, source)


def from_columns(
    columns: Mapping[str, Any],
    prediction: Any = None,
    bins: int = BINS,
    sample: int = 0,
    categories: int = CATEGORIES,
    source: str = "",
) -> Reference:
    """The reference of columns by name: sequences, arrays or pandas series, whose dtype says what is a category.

    - `prediction`: what the model predicts on these rows.
    - `bins`: at most so many per number, as full as each other; fewer where values repeat.
    - `sample`: so many of the values of each number themselves, for tests on raw data.
    - `categories`: the most frequent ones that are told apart; the others are one.
    """
    rows = max((len(column) for column in columns.values()), default=0)
    features = {}
    for name, column in columns.items():
        found = distribution_of(column, bins, sample, categories)
        if found is None:
            LOG.warning("%s is left out of the reference: neither numbers nor categories", name)
        else:
            features[name] = found
    predicted = None if prediction is None else distribution_of(prediction, bins, sample, categories)
    return checked(Reference(features, predicted, rows, time.time(), source))


def distribution_of(
    column: Any, bins: int = BINS, sample: int = 0, categories: int = CATEGORIES
) -> Distribution | None:
    """One column's; None for what is neither numbers nor categories."""
    kind = _kind(column)
    if kind == "number":
        return _numeric(column, max(2, bins), sample)
    if kind == "category":
        return _categorical(column, categories)
    return None


def log_reference(reference: Reference, run_id: str, tracking_uri: str | None = None) -> None:
    """Log it among the artifacts of a run, where the console looks for it."""
    from mlflow import MlflowClient

    folder, _, name = ARTIFACT.rpartition("/")
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, name)
        file.write_bytes(encode(reference))
        MlflowClient(tracking_uri).log_artifact(run_id, str(file), folder)


def load(place: Path | str) -> Reference:
    """Read a reference: a file, or `runs:/RUN_ID`, or `models:/NAME/VERSION` and `models:/NAME@ALIAS` of the registry.

    Raises OSError, BadReference, ImportError (no mlflow), and what MLflow raises.
    """
    text = str(place)
    if text.startswith(("runs:/", "models:/")):
        return _from_mlflow(text)
    file = Path(text.removeprefix("file://"))
    if file.stat().st_size > MOST * MIB:
        raise BadReference(f"{file} is over {MOST} MiB: no reference of mlconsole")
    return decode(file.read_bytes())


def _from_mlflow(place: str) -> Reference:
    from mlflow import MlflowClient, artifacts

    scheme, _, rest = place.partition(":/")
    run = rest.strip("/")
    if scheme == "models":
        client = MlflowClient()
        name, sign, alias = run.rpartition("@")
        if sign:
            run = client.get_model_version_by_alias(name, alias).run_id
        else:
            name, _, version = run.rpartition("/")
            run = client.get_model_version(name, version).run_id
    run, _, path = run.partition("/")
    with tempfile.TemporaryDirectory() as folder:
        file = artifacts.download_artifacts(run_id=run, artifact_path=path or ARTIFACT, dst_path=folder)
        return load(file)


# ---- columns


def _kind(column: Any) -> str:
    """`number`, `category`, or nothing: by dtype where there is one that says it, else by what the values are."""
    dtype = getattr(column, "dtype", None)
    if type(dtype).__name__ in {"CategoricalDtype", "StringDtype"}:
        return "category"
    said = _KINDS.get(getattr(dtype, "kind", ""))
    if said is not None:
        return said
    there = [value for value in column if _is_there(value)]
    if any(isinstance(value, _NEITHER) for value in there):
        return ""
    return "number" if all(map(_is_number, there)) else "category"


_KINDS = {"b": "category", "U": "category", "S": "category", "i": "number", "u": "number", "f": "number"}
_KINDS |= {"M": "", "m": "", "c": ""}
_NEITHER = (datetime.date, datetime.time, datetime.timedelta, complex, list, tuple, dict, set, frozenset)


def _is_there(value: Any) -> bool:
    try:
        return as_category(value) is not None
    except TypeError:
        return True


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return False
    try:
        as_number(value)
    except TypeError:
        return False
    return True


def _numeric(column: Any, bins: int, sample: int) -> Numeric:
    ordered = _ordered(column)
    edges = quantile_edges(ordered, bins)
    up_to = [bisect_right(ordered, edge) for edge in edges]
    counts = [after - before for before, after in itertools.pairwise((0, *up_to, len(ordered)))]
    finite = _finite(ordered)
    drawn = sorted(random.Random(SEED).sample(range(len(finite)), min(len(finite), max(0, sample))))
    return Numeric(
        tuple(edges),
        tuple(map(float, counts)),
        float(len(column) - len(ordered)),
        tuple(float(finite[index]) for index in drawn),
    )


def _ordered(column: Any) -> Sequence[float]:
    """The values that are there, rising: a million of them in a blink where they are an array."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and getattr(getattr(column, "dtype", None), "kind", "") in "iuf":
        array = numpy.asarray(
            column.to_numpy(float, na_value=math.nan) if hasattr(column, "to_numpy") else column, float
        )
        return numpy.sort(array[~numpy.isnan(array)])  # type: ignore[no-any-return]
    return sorted(number for number in map(as_number, column) if not math.isnan(number))


def _finite(ordered: Sequence[float]) -> Sequence[float]:
    return ordered[bisect_right(ordered, -math.inf) : bisect_left(ordered, math.inf)]


def quantile_edges(ordered: Sequence[float], bins: int) -> list[float]:
    """Edges from the smallest value to the largest, between which about as many values are each.

    Where there are fewer values than bins, as of a small integer or a constant, each has a bin of its own, with room
    on both sides: whatever is none of them is seen.
    """
    finite = _finite(ordered)
    if not len(finite):
        return []
    distinct = list(itertools.islice(_distinct(finite), bins))
    if len(distinct) < bins:
        return _around(distinct)
    last = len(finite) - 1
    places = [round(last * number / (bins - 1)) for number in range(bins)]
    edges = {_short(finite, place) for place in places}
    if finite[places[0]] == finite[places[1]]:  # many are the smallest: what is smaller still must not be among them
        edges.add(1.5 * distinct[0] - 0.5 * distinct[1])
    return sorted(edge for edge in edges if math.isfinite(edge))


def _distinct(ordered: Sequence[float]) -> Iterator[float]:
    at = 0
    while at < len(ordered):
        yield float(ordered[at])
        at = bisect_right(ordered, ordered[at])


def _around(values: list[float]) -> list[float]:
    """Edges half-way between values, and beyond the first and the last by as much."""
    first, last = values[0], values[-1]
    if len(values) == 1:
        below = above = 0.5 if first.is_integer() else abs(first) / 100
    else:
        below, above = (values[1] - first) / 2, (last - values[-2]) / 2
    edges = [_between(low, high) for low, high in itertools.pairwise((first - 2 * below, *values, last + 2 * above))]
    return sorted({edge for edge in edges if math.isfinite(edge)})


def _between(low: float, high: float) -> float:
    """The shortest number near the middle of two: an edge is a label of every bucket."""
    middle = low / 2 + high / 2
    short = (float(f"{middle:.{digits}g}") for digits in range(1, 18))
    return next((edge for edge in short if low < edge < high), middle)


def _short(ordered: Sequence[float], place: int) -> float:
    """The shortest number that as many values are up to as up to the one at `place`."""
    value = float(ordered[place])
    after = bisect_right(ordered, ordered[place])
    # The largest has none after it; its edge stays near, since it says how far the values reach.
    following = ordered[after] if after < len(ordered) else value + (value - float(ordered[0])) / 100
    return next((edge for edge in _rounded(value) if value <= edge < following), value)


def _rounded(value: float) -> Iterator[float]:
    """To the nearest and up, with ever more digits."""
    size = math.floor(math.log10(abs(value))) if value else 0
    for digits in range(DIGITS, 18):
        half = 0.5 * 10.0 ** (size - digits + 1)
        yield from (float(f"{near:.{digits}g}") for near in (value, value + half))


def _categorical(column: Any, most: int) -> Categorical:
    found: Counter[str | None] = Counter()
    for value, count in Counter(column.tolist() if hasattr(column, "tolist") else column).items():
        found[as_category(value)] += count
    missing = found.pop(None, 0)
    counts = {str(name): float(count) for name, count in found.most_common(max(1, most))}
    others = found.total() - sum(counts.values())
    if others:
        counts[OTHER] = counts.get(OTHER, 0.0) + others
    return Categorical(counts, float(missing))
