"""Figures and times in the few characters that a pane has for them. None is unknown and shown as a dash, never as 0."""

from __future__ import annotations

import math
from datetime import UTC, datetime

UNKNOWN = "–"


def age(seconds: float) -> str:
    """`7s`, `4m12`, `3h05`, `12d`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole // 86400}d"


def rough_age(seconds: float) -> str:
    """An age that changes seldom: `now`, `40s` by tens, `4m`, `3h`, `12d`; for what is repainted all day."""
    whole = max(0, int(seconds))
    if whole < 10:
        return "now"
    if whole < 60:
        return f"{whole // 10 * 10}s"
    if whole < 3600:
        return f"{whole // 60}m"
    return f"{whole // 3600}h" if whole < 86400 else f"{whole // 86400}d"


def countdown(seconds: float) -> str:
    """What is left of a time: `3:12`, `1h05`, `0:00` when it is over."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}"


def lasting(seconds: float) -> str:
    """How long something has been so: ` for 4m`, or nothing while it has just begun."""
    return "" if seconds < 10 else f" for {rough_age(seconds)}"


def span(seconds: float) -> str:
    """A range of time by its nearest unit: `5m`, `1h`."""
    return rough_age(seconds) if seconds < 30 else rough_age(round(seconds / 60) * 60)


def ago(seconds: float) -> str:
    """`just now`, `4m ago`."""
    return "just now" if seconds < 10 else f"{rough_age(seconds)} ago"


def latency(seconds: float | None) -> str:
    """`212 ms`, `1.4 s`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def share(value: float | None) -> str:
    """`0.2 %`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    percent = value * 100
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def rate(value: float | None) -> str:
    """`12.4/s`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.1f}/s" if value < 100 else f"{value:.0f}/s"


def metric(value: float | None) -> str:
    """A model's metric: `.913`, `12.4`, `1e+06`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) < 1:
        return f"{value:.3f}".replace("0.", ".", 1)
    return f"{value:.4g}"


def difference(value: float) -> str:
    """The difference of two metrics: `+.004`, `-12.4`."""
    sign = "-" if value < 0 else "+"
    return sign + metric(abs(value))


def clock(at: float) -> str:
    """`14:03:22Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%SZ") if at else UNKNOWN


def short_stamp(at: float, now: float) -> str:
    """`14:03Z` today, `01-31 14:03Z` before."""
    if not at:
        return UNKNOWN
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return then.strftime("%H:%MZ" if then.date() == today.date() else "%m-%d %H:%MZ")


def moment(at: float) -> str:
    """`2026-01-31 14:03:22Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else UNKNOWN


def stamp(at: float) -> str:
    """`2026-01-31 14:03Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%MZ") if at else UNKNOWN
