"""What an operation without an executor has come to, by its phase and the live objects (I18)."""

import pytest
from msgspec.structs import replace

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import begin
from mlconsole.domain.phases import Phase, route
from mlconsole.domain.resuming import Seen, Standing, resumed, standing

from .test_hand_over import PLAN

HOME, MOVED, NEITHER = Seen(home=True), Seen(moved=True), Seen()


@pytest.mark.parametrize(
    ("phase", "arrived", "ending", "seen", "found"),
    [
        (Phase.READY, 0.0, Outcome.OPEN, HOME, Standing.NOT_STARTED),
        (Phase.READY, 0.0, Outcome.OPEN, replace(HOME, in_place=(0,)), Standing.PARTLY),
        (Phase.SWITCH, 0.0, Outcome.OPEN, HOME, Standing.NOT_STARTED),
        (Phase.SWITCH, 0.0, Outcome.OPEN, MOVED, Standing.UNVERIFIED),
        (Phase.VERIFY, 0.0, Outcome.OPEN, MOVED, Standing.UNVERIFIED),
        (Phase.WATCH, 4.0, Outcome.OPEN, MOVED, Standing.DONE),
        (Phase.RESTORE, 4.0, Outcome.OPEN, MOVED, Standing.DONE),
        (Phase.READY, 0.0, Outcome.OPEN, NEITHER, Standing.OVERTAKEN),
        (Phase.WATCH, 4.0, Outcome.OPEN, NEITHER, Standing.OVERTAKEN),
        (Phase.VERIFY, 0.0, Outcome.OPEN, HOME, Standing.OVERTAKEN),
        (Phase.RESTORE, 4.0, Outcome.OPEN, HOME, Standing.OVERTAKEN),
        (Phase.RETURN, 4.0, Outcome.OPEN, HOME, Standing.NOT_STARTED),
        (Phase.RESTORE, 4.0, Outcome.RETURNED, HOME, Standing.NOT_STARTED),
    ],
)
def test_where_the_traffic_is_decides(phase, arrived, ending, seen, found):
    op = replace(begin(PLAN, "ann", 1.0), phase=phase, arrived_at=arrived, ending=ending)
    assert standing(op, seen) is found


def test_what_moves_no_traffic_is_done_when_only_the_rest_is_missing():
    op = begin(replace(PLAN, kind=Kind.DEPLOY, route=route(Kind.DEPLOY)), "ann", 1.0)
    assert standing(replace(op, phase=Phase.RESTORE), NEITHER) is Standing.DONE
    assert standing(replace(op, phase=Phase.RESTORE, ending=Outcome.ABORTED), NEITHER) is Standing.NOT_STARTED
    assert standing(replace(op, phase=Phase.READY), replace(NEITHER, in_place=(1,))) is Standing.PARTLY


def test_what_was_overtaken_is_not_gone_on_with():
    with pytest.raises(ValueError, match="overtaken"):
        resumed(begin(PLAN, "ann", 1.0), Standing.OVERTAKEN, 2.0)
