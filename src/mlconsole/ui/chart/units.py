"""Figures in words: `212 ms`, `0.2 %`, `1.2k req/s`, `34.5 MiB`; the labels of an axis all in one unit.

Everything here takes any float and raises for none: figures come from servers that may answer anything.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlconsole.ui.chart.scale import Range

_BYTES = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
_NAMES = {"1/s": "req/s"}


def tick_labels(scale: Range, unit: str, *, bare: bool = False) -> list[tuple[float, str]]:
    """(value, label) of the ticks; `bare` drops the unit.

    On a linear axis all have the same unit and number of decimals; on a logarithmic one each has its own.
    """
    if scale.log:
        return [(tick, figure(tick, unit, bare=bare)) for tick in scale.ticks]
    factor, prefix, name = _unit_at(max(abs(scale.low), abs(scale.high)), unit)
    decimals = _decimals(scale.step * factor)
    return [(tick, _number(tick * factor, decimals) + _ending(prefix, name, bare)) for tick in scale.ticks]


def figure(value: float, unit: str, *, bare: bool = False) -> str:
    """One value with three digits and its unit; `bare` keeps what belongs to the number and drops the unit."""
    if math.isnan(value):
        return "no data"
    factor, prefix, name = _unit_at(abs(value), unit)
    shown = value * factor
    if math.isinf(shown):
        return "over" if value > 0 else "under"
    digits = 0 if shown == 0 else max(0, 2 - math.floor(math.log10(abs(shown))))
    # Three digits of a very small number are its power of ten.
    text = _number(shown, min(digits, 3), trim=True) if abs(shown) >= 0.001 or shown == 0 else f"{shown:.2g}"
    return text + _ending(prefix, name, bare)


def byte_power(magnitude: float) -> int:
    """How many times 1024 is in a size, at most as often as there are names for it."""
    power = 0
    while magnitude >= 1024 and power < len(_BYTES) - 1:
        magnitude, power = magnitude / 1024, power + 1
    return power


def is_bytes(unit: str) -> bool:
    """Whether a unit counts in powers of 1024."""
    return unit in ("B", "B/s")


def _ending(prefix: str, name: str, bare: bool) -> str:
    return prefix if bare or not name else f"{prefix} {name}"


def _unit_at(magnitude: float, unit: str) -> tuple[float, str, str]:
    """What to multiply values of this size with, the prefix that goes with the number, and the unit's name."""
    if unit == "ratio":
        return 100.0, "", "%"
    if unit == "s":
        if magnitude >= 1 or magnitude == 0:
            return 1.0, "", "s"
        return (1e3, "", "ms") if magnitude >= 1e-3 else (1e6, "", "us")
    if is_bytes(unit):
        power = byte_power(magnitude)
        return 1024.0**-power, "", _BYTES[power] + unit
    name = _NAMES.get(unit, unit)
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
