"""Which time a chart shows: how much of it, until when, live or held. Pure: the clock is passed in."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
RANGES = (5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY)
"""What `t` goes through."""
LADDER = (
    *(count * MINUTE for count in (1, 2, 5, 10, 15, 30)),
    *(count * HOUR for count in (1, 2, 3, 6, 12)),
    *(count * DAY for count in (1, 2, 4, 7, 14, 30)),
)
"""Shorter and longer."""
FARTHEST = 400 * DAY
STEP = 0.25
"""The part of the range that one step back or forward is."""


class TimeView(Struct, frozen=True):
    """The time on the chart."""

    seconds: float
    end: float = 0.0
    """0 while it follows the present."""
    paused: bool = False
    """Whether it was held where it was live, and not scrolled since."""

    @property
    def live(self) -> bool:
        """Whether it follows the present."""
        return not self.end

    def next_range(self) -> TimeView:
        """The next range, after the longest the shortest."""
        # What is shown is whole steps, and may be a little less than what was asked for.
        later = [seconds for seconds in RANGES if seconds > 1.1 * self.seconds]
        return replace(self, seconds=later[0] if later else RANGES[0])

    def zoomed(self, longer: bool, now: float, about: float | None = None) -> TimeView:
        """The next longer or shorter range; what is at `about` stays where it is, else the right end does."""
        if longer:
            seconds = next((step for step in LADDER if step > 1.1 * self.seconds), LADDER[-1])
        else:
            seconds = next((step for step in reversed(LADDER) if step < 0.9 * self.seconds), LADDER[0])
        wanted = replace(self, seconds=seconds)
        if about is None or seconds == self.seconds:
            return wanted
        end = self.end or now
        return wanted.until(about + (end - about) * seconds / self.seconds, now)

    def scrolled(self, steps: float, now: float) -> TimeView:
        """Forward by so many steps, back where they are negative."""
        return self.moved(steps * STEP * self.seconds, now)

    def moved(self, seconds: float, now: float) -> TimeView:
        """Forward by so many seconds, back where they are negative; at the present it is live again."""
        return self.until((self.end or now) + seconds, now)

    def until(self, end: float, now: float) -> TimeView:
        """Until another instant; live where that is the present or nearly so."""
        end = max(end, now - FARTHEST)
        near = end > now - self.seconds / 100
        return replace(self, end=0.0 if near else end, paused=False)

    def toggled(self, now: float) -> TimeView:
        """Hold it where it is live; let it go where it is not."""
        return replace(self, end=0.0, paused=False) if self.end else replace(self, end=now, paused=True)

    def words(self, now: float) -> str:
        """Why it is not the present that is shown; nothing where it is."""
        if self.live:
            return ""
        clock = _clock(self.end, now)
        return f"PAUSED at {clock}" if self.paused else f"BACK {_span(now - self.end)}, to {clock}"


def _clock(at: float, now: float) -> str:
    moment, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return moment.strftime("%H:%M:%SZ" if moment.date() == today.date() else "%d %b %H:%MZ")


def _span(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        return f"{seconds / HOUR:.1f}".removesuffix(".0") + " h"
    return f"{seconds / DAY:.1f}".removesuffix(".0") + " d"
