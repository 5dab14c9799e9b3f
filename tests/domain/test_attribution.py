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
    assert (
        "no operation, alias move, scaling, node or traffic change is known then" in cause("p95", [shift()], []).words
    )


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


def test_an_alias_that_moved_then_is_named_with_the_time_in_which_it_may_have():
    moved = Happening(NOON + 80, "alias", "@champion of fraud moved v12 -> v13", NOON + 20)
    found = cause("p95", [shift()], [moved])
    assert (found.verdict, "@champion of fraud moved" in found.words) == (Verdict.ALIAS, True)
    late = Happening(NOON + 300, "alias", "@champion of fraud moved v12 -> v13", NOON + 200)
    assert cause("p95", [shift()], [late]).verdict is Verdict.NEITHER


def test_an_operation_stands_before_an_alias_and_is_opened_by_its_id():
    alias = Happening(NOON, "alias", "@champion of fraud moved v12 -> v13", NOON - 20)
    operation = Happening(NOON + 3, "operation", "the switch to green v13", NOON - 5, "op-1")
    found = cause("p95", [shift()], [alias, operation])
    assert (found.verdict, found.operation, found.rows[0].kind) == (Verdict.DEPLOY, "op-1", "operation")
    before = Happening(NOON + 900, "operation", "the switch to green v13", NOON + 890, "op-2")
    assert cause("p95", [shift()], [before]).operation == "op-2"


@pytest.mark.parametrize(
    ("series", "rises", "verdict"),
    [
        ("drift", True, Verdict.DATA),
        ("drift", False, Verdict.NEITHER),
        ("accuracy", False, Verdict.DATA),
        ("accuracy", True, Verdict.NEITHER),
        ("rate", False, Verdict.DATA),
    ],
)
def test_data_that_got_better_made_nothing_worse(series, rises, verdict):
    assert cause("p95", [shift(), shift(series, rises=rises)], []).verdict is verdict


def test_accuracy_that_falls_is_what_an_alert_on_it_is_about():
    found = cause("accuracy", [shift("accuracy", rises=False), shift("drift", NOON - 30)], [])
    assert found.verdict is Verdict.DATA
    assert found.words.startswith("accuracy began to fall")


def test_what_happened_is_shown_where_no_moment_is_found():
    operation = Happening(NOON - 60, "operation", "the switch to green v13", 0.0, "op-1")
    old = Happening(NOON - 9000, "operation", "the switch to blue v12", 0.0, "op-0")
    found = cause("p95", [], [old, operation], 5, NOON)
    assert (found.verdict, found.operation) == (Verdict.UNKNOWN, "op-1")
    (row,) = found.rows
    assert (row.relation, row.possible) == ("60 s before it fired", False)


def test_drift_that_no_operation_made_is_the_data_s_own():
    found = cause("drift", [shift("drift")], [switch(240.0)])
    assert found.verdict is Verdict.DATA
    assert found.words.endswith("4 min before the switch to green v13: not this deploy, the data changed")
    assert cause("drift", [shift("drift")], [switch(0.0)]).verdict is Verdict.DEPLOY
    assert cause("drift", [shift("drift")], []).words.endswith("is known then, the data changed")


def test_operations_are_not_pushed_out_by_what_pods_complain_of():
    complaints = [Happening(NOON + n, "event", f"Unhealthy on pod {n}") for n in range(30)]
    found = cause("p95", [shift()], [*complaints, switch(240.0)])
    assert found.rows[0].kind == "operation"
    assert len(found.rows) == 12
