"""From values and instants to places: the window of time, the range of values, nice ticks, and figures in words.

Two rules keep a live chart quiet on a slow line. A column stands for a fixed stretch of absolute time, so that the
picture moves only when a whole column has passed; and the range of values ends on half a tick, so that it rarely
changes. Everything here takes any float and raises for none: figures come from servers that may answer anything.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

HUGE = 1e300
"""Values beyond it are drawn at it: their difference must stay finite."""
_TINY = 1e-12
_EXACT = 2.0**52
_SHORTEST, _LONGEST = 1e-6, 1e15
"""Seconds that a column may stand for."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_DAY = 86400
_FULL_SCALE = {"s": 0.001, "ratio": 0.01, "1/s": 1.0}


class Window(NamedTuple):
    """The columns of a chart, as stretches of absolute time."""

    cell: float
    """Seconds per column."""
    first: int
    """The leftmost column, counted from the epoch."""
    columns: int

    def column(self, at: float) -> int | None:
        """The column of an instant, or None where it is outside."""
        place = math.floor(at / self.cell) - self.first if math.isfinite(at) else -1
        return place if 0 <= place < self.columns else None


def window(start: float, end: float, columns: int) -> Window | None:
    """The window that ends with the column of `end`; None where there is no such thing."""
    if columns < 1 or not (math.isfinite(start) and math.isfinite(end)):
        return None
    # Rounded, so that the noise of `end - 3600.0` does not shift the columns.
    cell = float(f"{(end - start if end > start else 1.0) / columns:.6g}")
    if not _SHORTEST <= cell <= _LONGEST or abs(end / cell) > _EXACT:
        return None
    return Window(cell, math.floor(end / cell) + 1 - columns, columns)


class Range(NamedTuple):
    """What the rows of a chart stand for."""

    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """Multiples of the step within the range, rising."""
        first, last = math.ceil(self.low / self.step - 1e-6), math.floor(self.high / self.step + 1e-6)
        return [index * self.step for index in range(first, last + 1)]


def nice_step(raw: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in _STEPS if step * power >= raw * (1 - 1e-9))


def value_range(low: float, high: float, ticks: int, unit: str) -> Range:
    """A range that holds `low` to `high` and zero, with at most about `ticks` ticks.

    Zero is always in it: latency, errors and rates are magnitudes, and an axis that starts elsewhere makes a small
    change look like an outage.
    """
    low = max(-HUGE, min(0.0, low)) if math.isfinite(low) else 0.0
    high = min(HUGE, max(0.0, high)) if math.isfinite(high) else 0.0
    if high - low < _TINY:
        low, high = 0.0, _FULL_SCALE.get(unit, 1.0)
    step = nice_step((high - low) / max(1, ticks))
    half = step / 2
    return Range(math.floor(low / half + 1e-9) * half, math.ceil(high / half - 1e-9) * half, step)


def clock_ticks(view: Window, apart: int) -> list[tuple[int, str]]:
    """(column, label) of instants that a person would choose, at least `apart` columns from each other, in UTC."""
    wanted = apart * view.cell
    step = float(next((step for step in _CLOCK_STEPS if step >= wanted), 0))
    if not step:
        step = _DAY * 2.0 ** math.ceil(math.log2(wanted / _DAY))
    start = view.first * view.cell
    first = math.ceil(start / step)
    instants = [(first + index) * step for index in range(int(view.columns * view.cell / step) + 2)]
    places = [(view.column(at + view.cell * 1e-6), at) for at in instants]
    return [(column, clock(at, step)) for column, at in places if column is not None]


def clock(at: float, step: float) -> str:
    """An instant in UTC as it is written under a chart whose ticks are `step` seconds apart."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{at:.3g}"
    if step >= _DAY or (step >= _DAY / 4 and at % _DAY == 0):
        return moment.strftime("%d %b")
    return moment.strftime("%H:%M:%S" if step < 60 else "%H:%M")


def tick_labels(scale: Range, unit: str, *, bare: bool = False) -> list[tuple[float, str]]:
    """(value, label) of the ticks, all in the same unit and with the same number of decimals; `bare` drops the unit."""
    factor, prefix, name = _unit_at(max(abs(scale.low), abs(scale.high)), unit)
    decimals = _decimals(scale.step * factor)
    ending = prefix if bare or not name else f"{prefix} {name}"
    return [(tick, _number(tick * factor, decimals) + ending) for tick in scale.ticks]


def figure(value: float, unit: str) -> str:
    """One value with three digits and its unit: `212 ms`, `0.2 %`, `1.2k req/s`."""
    if math.isnan(value):
        return "no data"
    factor, prefix, name = _unit_at(abs(value), unit)
    shown = value * factor
    if math.isinf(shown):
        return "over" if value > 0 else "under"
    digits = 0 if shown == 0 else max(0, 2 - math.floor(math.log10(abs(shown))))
    return f"{_number(shown, min(digits, 3), trim=True)}{prefix} {name}".rstrip()


def _unit_at(magnitude: float, unit: str) -> tuple[float, str, str]:
    """What to multiply values of this size with, the prefix that goes with the number, and the unit's name."""
    if unit == "ratio":
        return 100.0, "", "%"
    if unit == "s":
        if magnitude >= 1 or magnitude == 0:
            return 1.0, "", "s"
        return (1e3, "", "ms") if magnitude >= 1e-3 else (1e6, "", "us")
    name = "req/s" if unit == "1/s" else unit
    if 1e4 <= magnitude < 1e13:
        power = 9 if magnitude >= 1e9 else 6 if magnitude >= 1e6 else 3
        return 10.0**-power, {9: "G", 6: "M", 3: "k"}[power], name
    return 1.0, "", name


def _decimals(step: float) -> int:
    """How many decimals tell multiples of a nice step apart."""
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return min(9, places if abs(step * 10**places - round(step * 10**places)) < 1e-6 else places + 1)


def _number(value: float, decimals: int, *, trim: bool = False) -> str:
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    text = f"{value:.{decimals}f}"
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.lstrip("-") if float(text) == 0 else text
