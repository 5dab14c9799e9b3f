"""What the training data looked like: the reference that a model version brings for drift, without a row of the data.

It is logged as an artifact of the training run (`ARTIFACT`), served again by the monitor library as bin edges and
shares, and read by whoever compares. Counts are per bin; a bin holds what is greater than the edge before it and at
most its own edge, as a Prometheus bucket does, and the last one what is above every edge.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
from msgspec import Struct

ARTIFACT = "mlconsole/reference.json"
"""Where it is among the artifacts of the run that trained the version."""
FORMAT = 1
MOST_FEATURES = 20_000


class BadReference(ValueError):
    """A document that is no reference; the words say why."""


class Numeric(Struct, frozen=True, tag="numeric"):
    """A number's distribution."""

    edges: tuple[float, ...]
    """Upper edges, rising, finite."""
    counts: tuple[float, ...]
    """One more than edges: the last is above them all."""
    missing: float = 0.0
    sample: tuple[float, ...] = ()
    """Some of the values themselves, sorted, for a test on raw data; empty where none may leave."""

    @property
    def n(self) -> float:
        """Values that were there."""
        return math.fsum(self.counts)


class Categorical(Struct, frozen=True, tag="categorical"):
    """The counts of categories."""

    counts: dict[str, float]
    missing: float = 0.0

    @property
    def n(self) -> float:
        """Values that were there."""
        return math.fsum(self.counts.values())


Distribution = Numeric | Categorical


class Reference(Struct, frozen=True):
    """Every feature of one model version, and what it predicted on them."""

    features: dict[str, Distribution]
    prediction: Distribution | None = None
    rows: int = 0
    made_at: float = 0.0
    """Seconds since the epoch."""
    source: str = ""
    """What it was made from, in words."""
    format: int = FORMAT


class Brought(Struct, frozen=True):
    """What a registry knows of the version that a colour runs."""

    reference: Reference | None = None
    words: str = ""
    """What it is, to be shown."""
    problem: str = ""
    """Why there is none."""
    accuracy: float | None = None
    """Of the version, by its run."""


def encode(reference: Reference) -> bytes:
    """The JSON document."""
    return msgspec.json.encode(reference)


def decode(document: bytes | str) -> Reference:
    """The reference of a JSON document. Raises BadReference."""
    try:
        found = msgspec.json.decode(document, type=Reference)
    except msgspec.DecodeError as error:
        raise BadReference(f"this is no reference of mlconsole: {error}") from error
    return checked(found)


def checked(found: Reference) -> Reference:
    """The same reference, if it can be one. Raises BadReference."""
    if found.format != FORMAT:
        raise BadReference(f"a reference of format {found.format}; this mlconsole reads format {FORMAT}")
    if len(found.features) > MOST_FEATURES:
        raise BadReference(f"{len(found.features)} features; at most {MOST_FEATURES} are read")
    every: list[tuple[str, Any]] = [*found.features.items()]
    if found.prediction is not None:
        every.append(("prediction", found.prediction))
    for name, distribution in every:
        problem = _problem(distribution)
        if problem:
            raise BadReference(f"{name}: {problem}")
    return found


def _problem(one: Distribution) -> str:
    counts = one.counts if isinstance(one, Numeric) else tuple(one.counts.values())
    if not all(math.isfinite(count) and count >= 0 for count in (*counts, one.missing)):
        return "counts must be numbers of zero or more"
    if isinstance(one, Categorical):
        return ""
    if len(one.counts) != len(one.edges) + 1:
        return f"{len(one.edges)} edges want {len(one.edges) + 1} counts, there are {len(one.counts)}"
    if not all(map(math.isfinite, one.edges)) or any(low >= high for low, high in itertools.pairwise(one.edges)):
        return "edges must be finite and rise"
    return ""
