"""What the charts mark: traffic that moved, and versions that were brought up."""

import pytest

from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.services import Release
from mlconsole.engine.view import marks


def record(number, kind, outcome=Outcome.VERIFIED, **changes):
    release = Release(version=str(10 + number))
    fields = {"to_color": "green", "to_release": release, "ended_at": 100.0 * number + 5, "verified_at": 100.0 * number}
    return Record(str(number), kind, "churn", "ml", 100.0 * number, "ann", outcome=outcome, **(fields | changes))


def test_a_deploy_a_switch_and_a_rollback_are_marked_in_order():
    found = marks([record(3, Kind.ROLLBACK), record(1, Kind.DEPLOY), record(2, Kind.SWITCH)])
    assert [(mark.at, mark.kind) for mark in found] == [(105.0, "deploy"), (205.0, "switch"), (305.0, "rollback")]
    assert found[0].words == "deploy to green v11"


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.ABORTED, Outcome.OPEN])
def test_a_deploy_that_came_to_nothing_is_not(outcome):
    assert marks([record(1, Kind.DEPLOY, outcome)]) == ()


def test_a_deploy_that_went_on_to_the_switch_is_marked_once():
    assert len(marks([record(1, Kind.DEPLOY, moved=True)])) == 1
