"""The figures of a colour as long as they are fresh: old ones are never shown as now's (I24)."""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.domain.services import Color
from mlconsole.domain.telemetry import Glance

STALE_SECONDS = 60.0


def fresh(glance: Glance | None, now: float) -> Glance | None:
    """The figures, or None where there are none of the last minute."""
    return glance if glance is not None and now - glance.at <= STALE_SECONDS else None


def last(glances: Sequence[Glance], color: Color | None) -> Glance | None:
    """The figures of one colour, however old; one without a ready pod has none, whatever was last heard of its pods."""
    if color is None or color.ready == 0:
        return None
    return next((item for item in glances if item.color == color.name), None)


def of(glances: Sequence[Glance], color: Color | None, now: float) -> Glance | None:
    """The fresh figures of one colour."""
    return fresh(last(glances, color), now)
