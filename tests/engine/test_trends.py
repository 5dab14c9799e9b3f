"""What features did before, kept from the tables as they come."""

import pytest
from msgspec.structs import replace

from mlconsole.domain.drift import DriftTable, DriftVerdict, FeatureDrift, key_of
from mlconsole.engine.trends import EACH, KEPT, Trends


def row(effect, verdict=DriftVerdict.OK):
    return FeatureDrift(feature="amount", color="blue", effect=effect, verdict=verdict)


KEY = key_of(row(0.0))
V12 = {"blue": "v12"}


def test_a_verdict_is_as_old_as_its_last_change_and_distances_are_bounded():
    trends, at = Trends(), 1000.0
    for index in range(3 * KEPT):
        at = 1000.0 + index * EACH
        found = trends.of(DriftTable("ml/a", at, (row(index / 1000),)), V12).trends[KEY]
    assert (found.since, found.watched, len(found.distances)) == (1000.0, 1000.0, KEPT)
    assert found.distances[-1] == (3 * KEPT - 1) / 1000
    found = trends.of(DriftTable("ml/a", at + 1, (row(0.4, DriftVerdict.DRIFTED),)), V12).trends[KEY]
    assert (found.since, found.distances[-1], len(found.distances)) == (at + 1, 0.4, KEPT)


def test_the_same_table_is_the_same_again_and_a_failed_round_ends_no_trend():
    trends, table = Trends(), DriftTable("ml/a", 1.0, (row(0.1),))
    made = trends.of(table, V12)
    assert trends.of(table, V12) is made
    assert trends.of(DriftTable("ml/a", 2.0, problem="down"), V12).trends == made.trends
    assert trends.of(DriftTable("ml/a", 30.0, (row(0.2),)), V12).trends[KEY].watched == 1.0


def test_another_service_and_another_place_begin_anew():
    trends = Trends()
    trends.of(DriftTable("ml/a", 1.0, (row(0.1),)), V12)
    assert trends.of(DriftTable("ml/b", 9.0, (row(0.2),)), V12).trends[KEY].distances == (0.2,)
    trends.forget()
    assert trends.of(DriftTable("ml/b", 20.0, (row(0.3),)), V12).trends[KEY].distances == (0.3,)


def test_what_was_unknown_from_the_start_may_have_been_so_for_longer():
    trends = Trends()
    trends.of(DriftTable("ml/a", 1.0, (row(None, DriftVerdict.UNKNOWN),)), V12)
    found = trends.of(DriftTable("ml/a", 9.0, (row(0.4, DriftVerdict.DRIFTED),)), V12).trends[KEY]
    assert (found.since, found.watched) == (9.0, 9.0)
    found = trends.of(DriftTable("ml/a", 20.0, (row(0.0),)), V12).trends[KEY]
    assert (found.since, found.watched) == (20.0, 9.0)


def test_another_release_on_the_same_colour_begins_anew():
    trends = Trends()
    trends.of(DriftTable("ml/a", 1.0, (row(0.4, DriftVerdict.DRIFTED),)), V12)
    found = trends.of(DriftTable("ml/a", 60.0, (row(0.4, DriftVerdict.DRIFTED),)), {"blue": "v13"}).trends[KEY]
    assert (found.since, found.watched, found.distances) == (60.0, 60.0, (0.4,))


def windows(*verdicts):
    """Tables of ten minutes each that ended before the watch began, which is at 10,000."""
    at = 10_000.0 - 600 * len(verdicts)
    rows = [row(0.4 if one is DriftVerdict.DRIFTED else 0.0, one) if one else None for one in verdicts]
    return tuple(DriftTable("ml/a", at + 600 * index, (one,) if one else ()) for index, one in enumerate(rows))


OK, DRIFTED, UNKNOWN = DriftVerdict.OK, DriftVerdict.DRIFTED, DriftVerdict.UNKNOWN


@pytest.mark.parametrize(
    ("earlier", "since", "longer"),
    [
        ((OK, OK, DRIFTED, DRIFTED), 8800.0, False),
        ((DRIFTED, DRIFTED), 8800.0, True),
        ((UNKNOWN, DRIFTED), 9400.0, True),
        ((None, DRIFTED), 9400.0, True),
        ((OK,), 10_000.0, False),
        ((None,), 10_000.0, True),
        ((), 10_000.0, True),
    ],
)
def test_the_windows_before_say_since_when_it_is_so(earlier, since, longer):
    now = DriftTable("ml/a", 10_000.0, (row(0.4, DRIFTED),))
    found = Trends().of(now, V12, windows(*earlier)).trends[KEY]
    assert (found.since, found.since <= found.watched) == (since, longer)
    assert len(found.earlier) == len(earlier)


def test_the_windows_before_are_of_one_release_and_come_when_they_come():
    trends, earlier = Trends(), windows(OK, DRIFTED)
    now = DriftTable("ml/a", 10_000.0, (row(0.4, DRIFTED),))
    assert trends.of(now, V12).trends[KEY].earlier == ()
    found = trends.of(now, V12, earlier).trends[KEY]
    assert (found.since, found.earlier, found.step) == (9400.0, (0.0, 0.4), 600.0)
    assert trends.of(DriftTable("ml/a", 10_010.0, problem="down"), V12, earlier).trends[KEY] == found
    later = DriftTable("ml/a", 10_020.0, (row(0.0),))
    assert trends.of(later, V12, earlier).trends[KEY].since == 10_020.0
    assert trends.of(replace(later, at=10_040.0), {"blue": "v13"}, earlier).trends[KEY].earlier == ()
