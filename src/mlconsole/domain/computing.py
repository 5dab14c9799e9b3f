"""Computing with what may be unknown: NaN is a number that nobody knows, None a truth that nobody knows.

Whatever follows from something unknown is unknown, but for what holds either way: `or` with one part that is true.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct


class Facts(Struct, frozen=True):
    """What a condition is judged on."""

    figures: Mapping[str, float | None] = {}
    """By name; None, NaN or absent where it is unknown."""
    result: tuple[float, ...] = ()
    """What a query gave: one number a series."""
    element: float = math.nan
    """The one of them that a predicate is about."""


Compute = Callable[[Facts], Any]
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
COMBINE: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class Part(Struct, frozen=True):
    """A piece of a condition: what kind of value it has, and how that is computed."""

    kind: str
    """`number` (NaN is unknown), `truth` (None is unknown), `list`."""
    compute: Compute


def compared(sign: str, left: Compute, right: Compute) -> Compute:
    """Whether two numbers compare so."""

    def judge(facts: Facts) -> bool | None:
        one, other = left(facts), right(facts)
        return None if math.isnan(one) or math.isnan(other) else COMPARE[sign](one, other)

    return judge


def combined(sign: str, left: Compute, right: Compute) -> Compute:
    """What two numbers make; what is no finite number is unknown."""

    def compute(facts: Facts) -> float:
        try:
            value = COMBINE[sign](left(facts), right(facts))
        except (ZeroDivisionError, OverflowError):
            return math.nan
        return value if math.isfinite(value) else math.nan

    return compute


def both(parts: Sequence[Compute]) -> Compute:
    """Whether every part holds."""

    def judge(facts: Facts) -> bool | None:
        found = [part(facts) for part in parts]
        return False if False in found else None if None in found else True

    return judge


def either(parts: Sequence[Compute]) -> Compute:
    """Whether any part holds."""

    def judge(facts: Facts) -> bool | None:
        found = [part(facts) for part in parts]
        return True if True in found else None if None in found else False

    return judge


def negated(part: Compute) -> Compute:
    """Whether a part does not hold."""

    def judge(facts: Facts) -> bool | None:
        value = part(facts)
        return None if value is None else not value

    return judge


def figure(name: str) -> Compute:
    """A figure, by its name."""

    def compute(facts: Facts) -> float:
        value = facts.figures.get(name)
        return value if value is not None and math.isfinite(value) else math.nan

    return compute


def alone(compute: Compute) -> Compute:
    """The one number of a list; NaN for none, and for more than one."""

    def one(facts: Facts) -> float:
        values = compute(facts)
        return values[0] if len(values) == 1 else math.nan

    return one


def at(compute: Compute, index: int) -> Compute:
    """One number of a list; NaN where it has none there."""

    def one(facts: Facts) -> float:
        values = compute(facts)
        return values[index] if index < len(values) else math.nan

    return one


def of_each(name: str, values: Compute, predicate: Compute) -> Compute:
    """`all`, `any` or `none` of a list: whether the predicate holds of each; unknown for an empty one."""

    def judge(facts: Facts) -> bool | None:
        items = values(facts)
        if not items:
            return None

        def one(value: float) -> Compute:
            return lambda _: predicate(Facts(facts.figures, facts.result, value))

        parts = [one(value) for value in items]
        found: bool | None = both(parts)(facts) if name == "all" else either(parts)(facts)
        return found if name != "none" or found is None else not found

    return judge
