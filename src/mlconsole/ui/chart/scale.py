"""From values and instants to places: the window of time, the range of values, linear or logarithmic, nice ticks.

Two rules keep a live chart quiet on a slow line. A column stands for a fixed stretch of absolute time, so that the
picture moves only when a whole column has passed; and the range of values ends on half a tick, so that it rarely
changes. Everything here takes any float and raises for none: figures come from servers that may answer anything.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

from mlconsole.ui.chart.units import byte_power, is_bytes

HUGE = 1e300
"""Values beyond it are drawn at it: their difference must stay finite."""
_TINY = 1e-12
_EXACT = 2.0**52
_SHORTEST, _LONGEST = 1e-6, 1e15
"""Seconds that a column may stand for."""
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_DAY = 86400
_FULL_SCALE = {"s": 0.001, "ratio": 0.01, "1/s": 1.0, "B": 1024.0, "B/s": 1024.0}
_MOST_DECADES, _LEAST_RATIO = 1e12, 10.0


class Window(NamedTuple):
    """The columns of a chart, as stretches of absolute time."""

    cell: float
    """Seconds per column."""
    first: int
    """The leftmost column, counted from the epoch."""
    columns: int

    def column(self, at: float) -> int | None:
        """The column of an instant, or None where it is outside."""
        place = at / self.cell
        place = math.floor(place) - self.first if math.isfinite(place) else -1
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
    """From tick to tick; on a logarithmic axis in decades, 0 for ticks at 1, 2 and 5 of each."""
    log: bool = False

    @property
    def ticks(self) -> list[float]:
        """Nice values within the range, rising."""
        if self.log:
            return self._powers()
        first, last = math.ceil(self.low / self.step - 1e-6), math.floor(self.high / self.step + 1e-6)
        return [index * self.step for index in range(first, last + 1)]

    def share(self, value: float) -> float:
        """How high a value stands, from 0 to 1; on a logarithmic axis zero and less stand at the bottom."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))

    def _powers(self) -> list[float]:
        first, last = math.floor(math.log10(self.low) + 1e-9), math.ceil(math.log10(self.high) - 1e-9)
        every = max(1, round(self.step))
        digits = (1.0, 2.0, 5.0) if self.step < 1 else (1.0,)
        found = [float(f"{digit}e{power}") for power in range(first, last + 1, every) for digit in digits]
        return [tick for tick in found if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)]


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
    # Sizes have round numbers of KiB or MiB.
    size = 1024.0 ** byte_power(high - low) if is_bytes(unit) else 1.0
    step = nice_step((high - low) / size / max(1, ticks)) * size
    half = step / 2
    return Range(math.floor(low / half + 1e-9) * half, math.ceil(high / half - 1e-9) * half, step)


def log_range(low: float, high: float, ticks: int) -> Range | None:
    """A logarithmic range that holds the positive values from `low` to `high`; None where there are none."""
    if not (0 < high < math.inf and 0 < low <= high):
        return None
    high = min(high, HUGE)
    low = max(low, high / _MOST_DECADES, 1e-290)
    bottom, top = _round_down(low), _round_up(max(high, low))
    if top / bottom < _LEAST_RATIO:
        top = _round_up(bottom * _LEAST_RATIO)
    decades = math.log10(top / bottom)
    if 3 * decades <= max(4, ticks):
        return Range(bottom, top, 0.0, log=True)
    # From a whole power of ten: one of the ticks stands at the lower edge.
    bottom = float(f"1e{math.floor(math.log10(bottom) + 1e-9)}")
    return Range(bottom, top, float(math.ceil(decades / max(1, ticks))), log=True)


def _round_down(value: float) -> float:
    power = math.floor(math.log10(value))
    found = [float(f"{digit}e{exponent}") for exponent in (power - 1, power) for digit in (1, 2, 5)]
    return max(tick for tick in found if tick <= value * (1 + 1e-9))


def _round_up(value: float) -> float:
    power = math.floor(math.log10(value))
    found = [float(f"{digit}e{exponent}") for exponent in (power, power + 1) for digit in (1, 2, 5)]
    return min(tick for tick in found if tick >= value * (1 - 1e-9))


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


def instant(at: float, cell: float) -> str:
    """An instant in UTC, as exactly as a column of `cell` seconds is; with the day where a column is long."""
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{at:.3g}"
    if cell >= _DAY / 24:
        return moment.strftime("%d %b %H:%M")
    return moment.strftime("%H:%M:%S" if cell < 120 else "%H:%M")
