"""The word that a validation leaves on its version: a tag of the registry that anybody can read, and anybody can write.

It is a claim, kept short enough to be read with the version; the artifact beside the run has all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from mlconsole.domain.plans import Verdict
from mlconsole.domain.text import visible

TAG = "mlconsole.io/validation"
ARTIFACT = "mlconsole/validation.json"
"""Where the whole is among the artifacts of the version's run."""
METRICS = "validation."
"""What the names of its metrics begin with there."""
WHY, BASELINE = 120, 40
"""So that the tag stays under what is read of one."""


class Stamp(Struct, frozen=True):
    """What came of the last validation."""

    verdict: Verdict
    at: float = 0.0
    baseline: str = ""
    """What it was compared with, in few characters: `v13`."""
    why: str = ""
    digest: str = ""
    """Of the result but for its time: the same is not written twice."""
    rows: int = 0
    """That its figures rest on, where that is known."""


def encode(stamp: Stamp) -> str:
    """The tag's value."""
    short = Stamp(
        stamp.verdict,
        round(stamp.at),
        visible(stamp.baseline, BASELINE),
        visible(stamp.why, WHY),
        stamp.digest,
        stamp.rows,
    )
    return msgspec.json.encode(short).decode()


def stamp_of(tags: Mapping[str, str]) -> Stamp | None:
    """What a version's tags say of its validation; None for nothing, or for what is none."""
    text = tags.get(TAG)
    if not text:
        return None
    try:
        found = msgspec.json.decode(text, type=Stamp)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    at = found.at if math.isfinite(found.at) and found.at > 0 else 0.0
    return Stamp(
        found.verdict,
        at,
        visible(found.baseline, BASELINE),
        visible(found.why, WHY),
        visible(found.digest, 64),
        max(0, found.rows),
    )
