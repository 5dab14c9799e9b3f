"""Freeze windows: the times in which nothing goes forward, weekly or once, in the time of a place (IANA).

A clock that is set back makes an hour twice, one that is set forward leaves one out. What is in doubt is frozen: a
window begins at the earlier and ends at the later of the moments that its words can mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

from msgspec import Struct

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)
_MANY = 1000
"""Windows that may follow each other without a gap before it is called endless."""


class Window(Struct, frozen=True):
    """A freeze, understood. Made by `window`."""

    name: str
    timezone: str
    begins: timedelta | datetime
    """After midnight of its first day; of a dated one the local time, without its zone."""
    lasts: timedelta | datetime
    """The end, in the same way; over a day where it crosses midnight."""
    days: tuple[int, ...] = ()
    """0 for Monday; none for every day."""
    reason: str = ""


def window(name: str, days: Sequence[str], start: str, end: str, timezone: str, reason: str = "") -> Window:
    """Understand a freeze. Raises FreezeError, which says which key is wrong and what would be right."""
    _zone(timezone)
    first, last = _moment("start", start), _moment("end", end)
    if isinstance(first, datetime) and isinstance(last, datetime):
        if days:
            raise FreezeError("days", "a freeze between two dates has no days")
        if last <= first:
            raise FreezeError("end", f"{end!r} is not after the start, {start!r}")
        return Window(name, timezone, first, last, (), reason)
    if isinstance(first, timedelta) and isinstance(last, timedelta):
        if first in (last, _DAY):
            raise FreezeError("end", f"from {start!r} to {end!r} is no time: a whole day is from 00:00 to 24:00")
        numbers = tuple(sorted({DAYS.index(day) for day in days}))
        return Window(name, timezone, first, last if last > first else last + _DAY, numbers, reason)
    raise FreezeError("end", f"{start!r} and {end!r}: write two times of day, or two dates with times")


class FreezeError(ValueError):
    """What cannot be understood of a freeze."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(key, message)
        self.key = key
        self.message = message

    def __str__(self) -> str:
        return self.message


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # also where no time zones are installed
    # Imported where a freeze asks for it: every process reads settings, few have one.
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        words = f"{name!r} is no time zone that this machine knows: write UTC, or one such as Europe/Berlin"
        raise FreezeError("timezone", words) from error


def _moment(key: str, text: str) -> timedelta | datetime:
    day = re.fullmatch(r"(\d\d):(\d\d)", text)
    if day and int(day[2]) < 60 and (int(day[1]) < 24 or text == "24:00"):
        return timedelta(hours=int(day[1]), minutes=int(day[2]))
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    words = f"{text!r} is neither a time of day (18:00) nor a date and time (2026-12-24T18:00)"
    raise FreezeError(key, words)


def covered(found: Window, now: float) -> float:
    """When the window that `now` is in ends, seconds since the epoch; 0 outside of it."""
    zone = _zone(found.timezone)
    spans = ((_earliest(first, zone), _latest(last, zone)) for first, last in _spans(found, now, zone))
    return max((last for first, last in spans if first <= now < last), default=0.0)


def _spans(found: Window, now: float, zone: tzinfo) -> Iterable[tuple[datetime, datetime]]:
    """The local beginnings and ends near `now`."""
    if isinstance(found.begins, datetime) and isinstance(found.lasts, datetime):
        return [(found.begins, found.lasts)]
    assert isinstance(found.begins, timedelta)
    assert isinstance(found.lasts, timedelta)
    today = datetime.fromtimestamp(now, zone).date()
    near = [today + _DAY * number for number in (-2, -1, 0, 1)]
    return [
        (_midnight(day) + found.begins, _midnight(day) + found.lasts)
        for day in near
        if not found.days or day.weekday() in found.days
    ]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def _earliest(local: datetime, zone: tzinfo) -> float:
    return min(local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))


def _latest(local: datetime, zone: tzinfo) -> float:
    return max(local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))


def frozen(windows: Iterable[Window], now: float) -> tuple[Window, float] | None:
    """The first window that `now` is in, and when all that follow it without a gap are over; None outside.

    0 for the end where there is none.
    """
    known = list(windows)
    first = next((item for item in known if covered(item, now)), None)
    if first is None:
        return None
    until = now
    for _ in range(_MANY):
        further = max((covered(item, until) for item in known), default=0.0)
        if not further:
            return first, until
        until = further
    return first, 0.0


def told(moment: float, timezone: str) -> str:
    """A moment in the time of a place: `Mon 2026-11-30 00:00 Europe/Berlin`."""
    local = datetime.fromtimestamp(moment, UTC).astimezone(_zone(timezone))
    return f"{DAYS[local.weekday()].title()} {local:%Y-%m-%d %H:%M} {timezone}"
