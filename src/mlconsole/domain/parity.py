"""How far two releases' answers to the same payloads are apart, and whether that is too far.

An answer's *class* is the word, the truth value or the whole number that it gives; of a list of numbers the place of
the largest; of any other number the side of the threshold on which it is. Its *score* is the number that it gives, its
`score` or `probability` where the prediction is none, and of a list of numbers the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from mlconsole.domain.plans import Gate, Verdict

SCORES = ("score", "probability")
"""Keys beside a prediction that hold its score."""
FEW = 20
"""Answers fewer than this say nothing of a share or a 95th percentile (I21)."""


class Given(Struct, frozen=True):
    """One answer of one colour."""

    value: Any = None
    score: float | None = None
    seconds: float = 0.0
    error: str = ""
    """What was wrong with it, in words."""
    silent: str = ""
    """Why it is not known, where that does not speak of the release."""

    @property
    def compares(self) -> bool:
        """Whether there is something to compare."""
        return not self.error and not self.silent


class Pair(Struct, frozen=True):
    """The two answers to one payload."""

    live: Given
    target: Given


class Limits(Struct, frozen=True):
    """How far apart they may be; None for any distance."""

    tolerance: float = 0.05
    threshold: float = 0.5
    max_disagreement: float | None = 0.2
    max_flips: float | None = 0.05
    max_score_shift: float | None = 0.1
    max_latency_ratio: float | None = 2.0
    max_error_difference: float | None = 0.0


class Statistics(Struct, frozen=True):
    """The figures of all pairs; None for what is not known."""

    asked: int
    compared: int
    silent: int
    """Pairs of which at least one answer is not known."""
    disagreement: float | None
    flips: float | None
    score_shift: float | None
    live_p95: float | None
    target_p95: float | None
    live_errors: float | None
    target_errors: float | None

    @property
    def latency_ratio(self) -> float | None:
        """The target's 95th percentile by the live one's."""
        if self.live_p95 is None or self.target_p95 is None or self.live_p95 <= 0:
            return None
        return self.target_p95 / self.live_p95

    @property
    def error_difference(self) -> float | None:
        """The target's error share less the live one's."""
        if self.live_errors is None or self.target_errors is None:
            return None
        return self.target_errors - self.live_errors


def score_of(value: Any, beside: dict[str, Any] | None = None) -> float | None:
    """The score of an answer: its value's, else what stands beside it."""
    numbers = _numbers(value)
    if numbers:
        return max(numbers)
    found = (_number((beside or {}).get(key)) for key in SCORES)
    return next((score for score in found if score is not None), None)


def agree(first: Any, second: Any, tolerance: float) -> bool:
    """Whether two values are the same, numbers by no more than `tolerance` apart."""
    first, second = _bare(first), _bare(second)
    one, other = _number(first), _number(second)
    if one is not None and other is not None:
        return abs(one - other) <= tolerance
    if isinstance(first, list) and isinstance(second, list):
        pairs = zip(first, second, strict=False)
        return len(first) == len(second) and all(agree(a, b, tolerance) for a, b in pairs)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(agree(first[key], second[key], tolerance) for key in first)
    return type(first) is type(second) and bool(first == second)


def flipped(first: Any, second: Any, threshold: float) -> bool:
    """Whether two values are of different classes."""
    first, second = _bare(first), _bare(second)
    one, other = _number(first), _number(second)
    if one is not None and other is not None:
        whole = isinstance(first, int) and isinstance(second, int)
        return first != second if whole else (one >= threshold) != (other >= threshold)
    if isinstance(first, list) and isinstance(second, list):
        several, others = _numbers(first), _numbers(second)
        if several and others:
            return len(several) != len(others) or several.index(max(several)) != others.index(max(others))
        pairs = zip(first, second, strict=False)
        return len(first) != len(second) or any(flipped(a, b, threshold) for a, b in pairs)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() != second.keys() or any(flipped(first[key], second[key], threshold) for key in first)
    return type(first) is not type(second) or bool(first != second)


def measure(pairs: Sequence[Pair], limits: Limits) -> Statistics:
    """The figures of pairs of answers."""
    known = [pair for pair in pairs if not pair.live.silent and not pair.target.silent]
    both = [pair for pair in known if pair.live.compares and pair.target.compares]
    scored = [(a, b) for pair in both if (a := pair.live.score) is not None and (b := pair.target.score) is not None]
    shift = abs(sum(b - a for a, b in scored)) / len(scored) if scored else None
    return Statistics(
        asked=len(pairs),
        compared=len(both),
        silent=len(pairs) - len(known),
        disagreement=_share(both, lambda pair: not agree(pair.live.value, pair.target.value, limits.tolerance)),
        flips=_share(both, lambda pair: flipped(pair.live.value, pair.target.value, limits.threshold)),
        score_shift=shift if shift is None or math.isfinite(shift) else None,
        live_p95=percentile([pair.live.seconds for pair in both]),
        target_p95=percentile([pair.target.seconds for pair in both]),
        live_errors=_share(known, lambda pair: bool(pair.live.error)),
        target_errors=_share(known, lambda pair: bool(pair.target.error)),
    )


def judge(found: Statistics, limits: Limits, evidence: str) -> list[Gate]:
    """A gate for each limit that is set; a figure of few answers, or of none, is unknown (I21)."""
    latency = "no latency to compare"
    if found.live_p95 is not None and found.target_p95 is not None:
        latency = f"p95 {found.live_p95:.3f} s and {found.target_p95:.3f} s"
    errors = "no answer is known"
    if found.live_errors is not None and found.target_errors is not None:
        errors = f"errors {found.live_errors:.1%} and {found.target_errors:.1%}"
    counted = f"{evidence}; {found.compared} of {found.asked} answered by both"
    counted += f", {found.silent} not known" if found.silent else ""
    heard = found.asked - found.silent
    rows = [
        ("disagreement", found.disagreement, limits.max_disagreement, "{:.1%}", f"tolerance {limits.tolerance:g}"),
        ("flips", found.flips, limits.max_flips, "{:.1%}", f"threshold {limits.threshold:g}"),
        ("score", found.score_shift, limits.max_score_shift, "{:.4g}", "between the mean scores"),
        ("latency", found.latency_ratio, limits.max_latency_ratio, "{:.2f} times", latency),
        ("errors", found.error_difference, limits.max_error_difference, "{:+.1%}", errors),
    ]
    return [
        _gate(name, value, limit, form, heard if name == "errors" else found.compared, f"{counted}; {more}")
        for name, value, limit, form, more in rows
        if limit is not None
    ]


def _gate(name: str, value: float | None, limit: float, form: str, n: int, evidence: str) -> Gate:
    most = form.format(limit) + " or less"
    if value is None:
        return Gate(f"parity.{name}", Verdict.UNKNOWN, "no data", most, evidence)
    if n < FEW:
        return Gate(f"parity.{name}", Verdict.UNKNOWN, f"{form.format(value)} of only {n} answers", most, evidence)
    verdict = Verdict.PASS if value <= limit else Verdict.FAIL
    return Gate(f"parity.{name}", verdict, form.format(value), most, evidence)


def percentile(values: Sequence[float], share: float = 0.95) -> float | None:
    """The nearest-rank percentile: one of the values itself."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _share(pairs: Sequence[Pair], true: Callable[[Pair], bool]) -> float | None:
    return sum(map(true, pairs)) / len(pairs) if pairs else None


def _bare(value: Any) -> Any:
    """A value out of the list of one that a server for tables puts it in."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _numbers(value: Any) -> list[float]:
    """The numbers of a number or of a list of nothing else; none for anything else."""
    found = [_number(item) for item in (value if isinstance(value, list) else [value])]
    numbers = [number for number in found if number is not None]
    return numbers if len(numbers) == len(found) else []
