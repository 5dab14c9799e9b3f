"""How a series looks: its colour, and what tells it apart where there is no colour.

The hue is the deployment colour's own (a green line is the green Deployment), the tone its rank (p95 leads), and a
solid or dotted stroke with a filled or hollow sign says live or idle: colour is never the only sign. Series with a
label of their own (pods, classes) take one of six hues in turn, each with a sign and a filling of its own; an earlier
time is a pale dotted line behind the present.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from mlconsole.domain.telemetry import Series

HUES = 6
"""Hues for series that are told apart by a label."""
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
    "mark-alert",
    "threshold",
    "cursor",
    "ghost",
    *(f"hue{number}" for number in range(1, HUES + 1)),
    *(f"heat{number}" for number in range(1, 9)),
)
"""Every style of a chart; slot `x` takes its style from the component class `chart--x`."""
_LEADING = frozenset({"p95", "rate", "errors"})


class Styled(Struct, frozen=True):
    """A series and how it is drawn. Of two in one cell, the later in the sequence shows."""

    series: Series
    slot: str
    """One of `green`, `blue`, `live`, `idle`, or such a name with `-dim`; `hue1` to `hue6`, `ghost`."""
    dotted: bool = False
    """Dotted and hollow: the colour without traffic, an earlier time."""
    group: str = ""
    """The heading in the legend; the series' colour where empty."""
    fill: int = -1
    """Which filling it has in a stack; none in a chart of lines."""

    @property
    def heading(self) -> str:
        """What the legend groups it under."""
        if self.series.ghost:
            return self.group or f"{self.series.ghost} {self.series.color}".rstrip()
        return self.group or self.series.color or ("" if self.series.label else "live")

    @property
    def name(self) -> str:
        """What it is called within its group."""
        return self.series.label or self.series.stat

    @property
    def quiet(self) -> bool:
        """Whether it gives way where there is little room."""
        return self.slot.endswith("-dim") or (bool(self.series.ghost) and self.series.stat not in _LEADING)


def slot_index(slot: str) -> int:
    """The place of a slot's name in SLOTS; a name that is not there is drawn as `live`."""
    name = slot.removeprefix("chart--")
    return SLOTS.index(name if name in SLOTS else "live")


def style_series(series: Iterable[Series], live: str, form: str = "lines") -> list[Styled]:
    """The series of a panel in the order to draw them.

    Of lines: earlier times, then idle before live, the leading one of each colour last. Of a stack: as they are, from
    the lowest; an earlier time has no place in it.
    """
    found = list(series)
    if form == "stacked":
        present = [one for one in found if not one.ghost]
        return [Styled(one, f"hue{at % HUES + 1}", fill=at) for at, one in enumerate(present)]
    labels = sorted({one.label for one in found if one.label})
    hues = {label: f"hue{at % HUES + 1}" for at, label in enumerate(labels)} if len(labels) > 1 else {}
    styled = [_style(one, live, hues) for one in found]
    return sorted(styled, key=lambda one: (not one.series.ghost, not one.dotted, not one.slot.endswith("-dim")))


def _style(series: Series, live: str, hues: dict[str, str]) -> Styled:
    if series.ghost:
        return Styled(series, "ghost", dotted=True)
    idle = bool(live) and bool(series.color) and series.color != live
    if series.label in hues:
        return Styled(series, hues[series.label], dotted=idle)
    hue = series.color if series.color in ("green", "blue") else "idle" if idle else "live"
    return Styled(series, hue if series.stat in _LEADING or series.label else f"{hue}-dim", dotted=idle)
