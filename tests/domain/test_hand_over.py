"""What an operation without an executor has come to; handed over it stays as it is until it is somebody else's."""

import pytest
from msgspec.structs import replace

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Asked, Passed, Request, Verb, advance, begin, ways
from mlconsole.domain.phases import Phase, route
from mlconsole.domain.plans import Confirmation, Plan, Target, Write
from mlconsole.domain.recording import record_of
from mlconsole.domain.resuming import Seen, Standing, abandoned, carried, resumed, standing
from mlconsole.domain.services import Release

PATCH = (
    {"op": "test", "path": "/spec/selector/color", "value": "blue"},
    {"op": "replace", "path": "/spec/selector/color", "value": "green"},
)
PLAN = Plan(
    id="op",
    kind=Kind.SWITCH,
    target=Target("demo", "http://x", "", "ann", "ml", "", ""),
    service="fraud",
    created_at=0.0,
    from_color="blue",
    to_color="green",
    from_release=Release(version="12"),
    to_release=Release(version="13"),
    base={"app": "fraud"},
    writes=(Write("services", "ml", "fraud", PATCH, phase=Phase.SWITCH),),
    diffs=(),
    gates=(),
    rights=(),
    confirmation=Confirmation.KEY,
    route=route(Kind.SWITCH),
)
STAYS = {Phase.LOCK, Phase.RECORD, Phase.RETIRE, Phase.CLEAN_UP, Phase.RETURN, Phase.RESTORE, Phase.DONE}
"""Not on record yet, or over before anybody could take it up."""
WORD = Request(Verb.HAND_OVER, "op", "bob", 5.0, "my shift")


def operation(phase):
    arrived = 4.0 if phase in (Phase.WATCH, Phase.KEEP, Phase.DRAIN, Phase.ASK) else 0.0
    return replace(begin(PLAN, "ann", 1.0), phase=phase, phase_at=2.0, tokens=(1,), arrived_at=arrived)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in STAYS])
def test_it_stops_as_it_is_and_says_who_and_why(phase):
    op = operation(phase)
    assert Verb.HAND_OVER in ways(op)
    handed = advance(op, Asked(WORD), 5.0)
    assert handed.halted == handed.words == "handed over by bob: my shift"
    assert not handed.running
    assert not handed.ended
    assert replace(handed, halted="", words=op.words) == op
    assert advance(handed, Passed(), 6.0) is handed, "nothing goes on"


@pytest.mark.parametrize("phase", sorted(STAYS))
def test_where_it_would_be_lost_or_too_late_it_is_nothing(phase):
    op = operation(phase)
    assert Verb.HAND_OVER not in ways(op)
    assert advance(op, Asked(WORD), 5.0) is op


def test_a_word_to_another_operation_is_nothing_to_this_one():
    op = operation(Phase.WATCH)
    assert advance(op, Asked(replace(WORD, operation="other")), 5.0) is op


def test_taken_up_it_is_theirs_and_the_record_says_whose_it_was():
    handed = advance(operation(Phase.WATCH), Asked(WORD), 5.0)
    state = standing(handed, Seen((0,), moved=True))
    assert state is Standing.DONE
    taken = carried(resumed(handed, state, 9.0), "bob", "bastion2")
    assert (taken.by, taken.carrier, taken.host, taken.halted) == ("ann", "bob", "bastion2", "")
    assert (taken.phase, taken.then) == (Phase.LOCK, Phase.WATCH)
    record = record_of(taken, "seen")
    assert (record.user, record.message, record.outcome) == ("ann", "seen (taken up by bob)", Outcome.VERIFIED)
    back = carried(taken, "ann", "bastion1")
    assert (back.carried_by, back.carrier) == ("", "ann")


def test_the_commit_confirmed_time_begins_anew_for_whoever_takes_it_up():
    handed = advance(operation(Phase.KEEP), Asked(WORD), 5.0)
    taken = resumed(handed, Standing.DONE, 900.0)
    going_on = advance(replace(taken, tokens=(1, 2)), Passed(), 901.0)
    assert (going_on.phase, going_on.phase_at) == (Phase.KEEP, 901.0)


def test_what_was_handed_over_can_be_given_up():
    handed = advance(operation(Phase.APPROVAL), Asked(WORD), 5.0)
    given_up = abandoned(handed, "bob", "not needed", 9.0)
    assert (given_up.halted, given_up.ending, given_up.then) == ("", Outcome.ABANDONED, Phase.RESTORE)


def test_what_an_abandoned_operation_made_is_named_with_what_removes_it():
    made = Write("deployments", "ml", "eta-blue", body={"kind": "Deployment"}, phase=Phase.BRING_UP)
    op = begin(replace(PLAN, writes=(made, *PLAN.writes)), "ann", 0.0)
    words = "what it made stays, if it came to that: kubectl -n ml delete deployments eta-blue"
    assert words in abandoned(replace(op, sent=(0,), phase=Phase.READY), "bob", "no", 9.0).why
    assert "kubectl" not in abandoned(replace(op, phase=Phase.READY), "bob", "no", 9.0).why, "nothing was sent"
    assert "kubectl" not in abandoned(replace(op, sent=(0,), arrived_at=5.0), "bob", "no", 9.0).why, "it serves"


# ---- what it has come to

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
