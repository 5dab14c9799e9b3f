"""The kinds of values that `mlconsole.toml` holds."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0)]
"""A duration; the file may also write `90s`, `5m`, `1h30m`, `250ms`."""
Pause = Annotated[float, Meta(ge=0.5)]
"""A duration between two looks: not so short that looking is all that is done."""
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Path = Annotated[str, Meta(pattern="^/")]
"""Of a URL, from its root."""


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: unknown keys are errors."""
