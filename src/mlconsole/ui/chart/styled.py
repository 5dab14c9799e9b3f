"""How a series looks: its colour, and what tells it apart where there is no colour.

The hue is the deployment colour's own (a green line is the green Deployment), the tone its rank (p95 leads), and a
solid or dotted stroke with a filled or hollow sign says live or idle: colour is never the only sign.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from mlconsole.domain.telemetry import Series

SLOTS = (
    "text",
    "axis",
    "grid",
    "mark",
    "mark-rollback",
    "problem",
    "green",
    "green-dim",
    "blue",
    "blue-dim",
    "live",
    "live-dim",
    "idle",
    "idle-dim",
)
"""Every style of a chart; slot `x` takes its style from the component class `chart--x`."""
_LEADING = frozenset({"p95", "rate", "errors"})


class Styled(Struct, frozen=True):
    """A series and how it is drawn. Of two in one cell, the later in the sequence shows."""

    series: Series
    slot: str
    """One of `green`, `blue`, `live`, `idle`, or such a name with `-dim`."""
    dotted: bool = False
    """Dotted and hollow: the colour without traffic."""
    group: str = ""
    """The heading in the legend; the series' colour where empty."""

    @property
    def heading(self) -> str:
        """What the legend groups it under."""
        return self.group or self.series.color or "live"


def slot_index(slot: str) -> int:
    """The place of a slot's name in SLOTS; a name that is not there is drawn as `live`."""
    name = slot.removeprefix("chart--")
    return SLOTS.index(name if name in SLOTS else "live")


def style_series(series: Iterable[Series], live: str) -> list[Styled]:
    """The series of a panel in the order to draw them: idle before live, the leading one of each colour last."""
    styled = [_style(one, live) for one in series]
    return sorted(styled, key=lambda one: (not one.dotted, not one.slot.endswith("-dim")))


def _style(series: Series, live: str) -> Styled:
    idle = bool(live) and series.color != live
    hue = series.color if series.color in ("green", "blue") else "idle" if idle else "live"
    return Styled(series, hue if series.stat in _LEADING else f"{hue}-dim", dotted=idle)
