"""What features did before, kept from the tables as they come."""

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
