"""Deploy or data: what the figures allow, and in which words."""

import pytest

from mlconsole.domain.attribution import Happening, Shift, Verdict, cause
from mlconsole.domain.changepoints import Change, Shape

NOON = 1_700_049_600.0
"""2023-11-15 12:00 UTC."""


def change(at, rises=True, shape=Shape.STEP, half=60.0):
    levels = (0.18, 0.62) if rises else (0.62, 0.18)
    return Change(shape, at, at - half, at + half, 0.97, *levels, 120)


def shift(series="p95", at=NOON, **more):
    return Shift(series, "green", change(at, **more), "180 ms -> 620 ms")


def switch(after):
    return Happening(NOON + after, "operation", "the switch to green v13")


def test_a_change_before_the_switch_is_not_of_this_deploy():
    found = cause("p95", [shift()], [switch(240.0)])
    assert found.verdict is Verdict.NEITHER
    assert found.words == (
        "p95 began to rise 12:00 (11:59-12:01, 97 %): 180 ms -> 620 ms; "
        "4 min before the switch to green v13: not this deploy"
    )
    (row,) = found.rows
    assert (row.relation, row.possible) == ("4 min after it began", False)


@pytest.mark.parametrize("after", [-170.0, -20.0, 0.0, 55.0])
def test_one_at_the_switch_is_likely_its(after):
    found = cause("p95", [shift()], [switch(after)])
    assert found.verdict is Verdict.DEPLOY
    assert "deploy is likely" in found.words


@pytest.mark.parametrize("after", [-1000.0, 70.0])
def test_one_far_from_it_is_not(after):
    assert cause("p95", [shift()], [switch(after)]).verdict is Verdict.NEITHER


def test_the_traffic_that_rose_first_speaks_for_the_data():
    found = cause("p95", [shift(), shift("rate", NOON - 30)], [switch(600.0)])
    assert found.verdict is Verdict.DATA
    assert "rate rose" in found.words


def test_errors_that_rise_with_it_are_evidence_and_no_cause():
    found = cause("p95", [shift(), shift("error_share")], [])
    assert found.verdict is Verdict.NEITHER
    assert [row.kind for row in found.rows] == ["error_share"]


@pytest.mark.parametrize(("kind", "verdict"), [("scaling", Verdict.SCALING), ("node", Verdict.NODE)])
def test_scaling_and_nodes(kind, verdict):
    assert cause("p95", [shift()], [Happening(NOON - 30, kind, "3 -> 1 pods")]).verdict is verdict


def test_an_operation_stands_before_the_traffic_that_changed_with_it():
    found = cause("p95", [shift(), shift("rate", NOON - 30)], [switch(-10.0)])
    assert found.verdict is Verdict.DEPLOY
    assert "changed, too" in found.words


def test_nothing_known_is_said():
    assert "no operation, alias move, scaling, node or traffic change is known then" in cause("p95", [shift()], []).words


def test_no_change_and_a_trend_are_unknown():
    assert "too few" in cause("p95", [], [switch(0.0)], 5).words
    assert "no change is sure" in cause("p95", [], [], 100).words
    steady = cause("p95", [shift(shape=Shape.TREND)], [switch(0.0)])
    assert steady.verdict is Verdict.UNKNOWN
    assert "steadily" in steady.words


def test_the_newest_rise_counts_and_none_after_the_alert():
    two = [shift(at=NOON - 1000), shift(), shift(at=NOON + 300, rises=False)]
    assert cause("p95", two, []).shift.change.at == NOON
    assert cause("p95", [*two, shift(at=NOON + 900)], [], until=NOON + 100).shift.change.at == NOON
