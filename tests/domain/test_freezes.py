"""Freeze windows: weekly and dated, over midnight, in places that set their clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain.freezes import DAYS, FreezeError, covered, frozen, told, window

BERLIN = "Europe/Berlin"
ZONES = ("UTC", BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo")


def at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("days", "start", "end", "inside", "outside"),
    [
        # 2026-11-27 is a Friday.
        (
            ("fri",),
            "12:00",
            "24:00",
            ["2026-11-27T12:00", "2026-11-27T23:59"],
            ["2026-11-27T11:59", "2026-11-28T00:00"],
        ),
        (
            ("fri",),
            "18:00",
            "06:00",
            ["2026-11-27T18:00", "2026-11-28T05:59"],
            ["2026-11-27T05:00", "2026-11-28T18:00"],
        ),
        ((), "22:00", "02:00", ["2026-11-25T01:00", "2026-11-25T22:00"], ["2026-11-25T02:00", "2026-11-25T21:59"]),
        (
            ("sat", "sun"),
            "00:00",
            "24:00",
            ["2026-11-28T00:00", "2026-11-29T23:59"],
            ["2026-11-27T23:59", "2026-11-30T00:00"],
        ),
        (
            (),
            "2026-12-24T18:00",
            "2027-01-02 08:00",
            ["2026-12-24T18:00", "2027-01-02T07:59"],
            ["2026-12-24T17:59", "2027-01-02T08:00"],
        ),
    ],
)
def test_a_freeze_begins_and_ends_at_the_minute(days, start, end, inside, outside):
    found = window("w", days, start, end, BERLIN)
    assert all(covered(found, at(moment)) for moment in inside)
    assert not any(covered(found, at(moment)) for moment in outside)


def test_an_hour_that_comes_twice_is_frozen_twice():
    found = window("w", (), "02:00", "03:00", BERLIN)
    twice = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    assert covered(found, twice) == covered(found, twice + 3600) == datetime(2026, 10, 25, 2, tzinfo=UTC).timestamp()
    assert not covered(found, twice - 3600)


def test_an_hour_that_is_left_out_leaves_no_gap_and_no_window_out():
    found = window("w", (), "02:15", "02:45", BERLIN)
    one = datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()
    assert covered(found, one)
    assert not covered(found, one - 3600)
    assert not covered(found, one + 3600)


def test_an_evening_in_one_place_is_another_time_in_another():
    found = window("w", (), "18:00", "20:00", "Asia/Kolkata")
    assert covered(found, datetime(2026, 11, 24, 12, 30, tzinfo=UTC).timestamp())
    assert not covered(found, datetime(2026, 11, 24, 18, 30, tzinfo=UTC).timestamp())


def test_freezes_that_follow_each_other_are_over_with_the_last():
    known = [
        window("friday", ("fri",), "12:00", "24:00", BERLIN),
        window("weekend", ("sat", "sun"), "00:00", "24:00", BERLIN),
    ]
    first, until = frozen(known, at("2026-11-27T13:00"))
    assert (first.name, told(until, BERLIN)) == ("friday", "Mon 2026-11-30 00:00 Europe/Berlin")
    assert frozen(known, at("2026-11-26T13:00")) is None


def test_a_freeze_of_every_day_has_no_end():
    assert frozen([window("w", (), "00:00", "24:00", "UTC")], at("2026-11-26T13:00"))[1] == 0.0


@pytest.mark.parametrize(
    ("values", "key", "words"),
    [
        (((), "6pm", "20:00", "UTC"), "start", "'6pm' is neither a time of day"),
        (((), "18:00", "25:00", "UTC"), "end", "'25:00' is neither"),
        (((), "18:60", "20:00", "UTC"), "start", "neither"),
        (((), "2026-02-30T10:00", "2026-03-01T10:00", "UTC"), "start", "neither"),
        (((), "2026-12-24T18:00", "20:00", "UTC"), "end", "write two times of day, or two dates"),
        (((), "2026-12-24T18:00", "2026-12-24T18:00", "UTC"), "end", "is not after the start"),
        ((("fri",), "2026-12-24T18:00", "2026-12-25T18:00", "UTC"), "days", "has no days"),
        (((), "18:00", "18:00", "UTC"), "end", "is no time"),
        (((), "18:00", "20:00", "Europe/Berlinn"), "timezone", "'Europe/Berlinn' is no time zone"),
        (((), "18:00", "20:00", "../etc/passwd"), "timezone", "no time zone"),
    ],
)
def test_what_cannot_be_understood_says_which_key_and_what_would_be_right(values, key, words):
    with pytest.raises(FreezeError, match=words) as told_:
        window("w", *values)
    assert told_.value.key == key


minutes = st.integers(0, 24 * 60 - 1)
moments = st.integers(
    int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2030, 1, 1, tzinfo=UTC).timestamp())
)


def clock(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


@given(minutes, minutes, st.sets(st.sampled_from(DAYS)), st.sampled_from(ZONES), moments)
def test_whatever_the_local_clock_says_is_inside_is_frozen(start, end, days, zone, now):
    """By the reading of a clock on the wall, which knows nothing of spans: never less is frozen than it says."""
    if start == end:
        end = (end + 1) % (24 * 60)
        if start == end:
            return
    found = window("w", tuple(days), clock(start), clock(end), zone)
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    today = not days or DAYS[local.weekday()] in days
    yesterday = not days or DAYS[(local.date() - timedelta(days=1)).weekday()] in days
    inside = (
        today and start <= minute < end if start < end else (today and minute >= start) or (yesterday and minute < end)
    )
    if inside:
        assert covered(found, now) > now
    elif covered(found, now):
        # Only near a change of the clock may more be frozen than the clock on the wall says.
        offsets = {datetime.fromtimestamp(now + hours * 3600, ZoneInfo(zone)).utcoffset() for hours in range(-26, 27)}
        assert len(offsets) > 1


@given(minutes, minutes, st.sampled_from(ZONES), moments)
def test_the_end_is_outside_and_the_moment_before_it_inside(start, end, zone, now):
    if start == end:
        return
    found = window("w", (), clock(start), clock(end), zone)
    until = covered(found, now)
    if until:
        assert covered(found, until - 1) >= until
        assert covered(found, until) != until
