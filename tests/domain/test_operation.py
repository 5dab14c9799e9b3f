"""Whatever happens, in whatever order: an operation ends, moves traffic once each way, and leaves nothing pinned."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.patches import json_patch
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import (
    Asked,
    Expired,
    Failed,
    Halted,
    Overtaken,
    Passed,
    Request,
    Verb,
    advance,
    begin,
    sending,
    ways,
)
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.phases import UNMADE, Phase, route
from mlconsole.domain.plans import Confirmation, Plan, Target, Write, escape_pointer
from mlconsole.domain.recording import record_of, returning
from mlconsole.domain.resuming import Seen, Standing, abandoned, aborting, resumed, standing
from mlconsole.domain.services import Release

PINNED, MADE, MOVING, RETIRED = range(4)
SELECTOR = (
    {"op": "test", "path": "/spec/selector/color", "value": "blue"},
    {"op": "replace", "path": "/spec/selector/color", "value": "green"},
)
SCALED = (
    {"op": "test", "path": "/spec/replicas", "value": 1},
    {"op": "replace", "path": "/spec/replicas", "value": 3},
)
WRITES = (
    Write("horizontalpodautoscalers", "ml", "fraud", SCALED, phase=Phase.PIN),
    Write("deployments", "ml", "fraud-green", SCALED, phase=Phase.BRING_UP),
    Write("services", "ml", "fraud", SELECTOR, phase=Phase.SWITCH),
    Write("deployments", "ml", "fraud-blue", SCALED, phase=Phase.RETIRE),
)
SENDS = {Phase.PIN: PINNED, Phase.BRING_UP: MADE, Phase.SWITCH: MOVING, Phase.RETIRE: RETIRED}
MORE = {
    Kind.DEPLOY: {Phase.APPROVAL, Phase.SWITCH, Phase.VERIFY, Phase.ALIAS, Phase.WATCH, Phase.KEEP, Phase.DRAIN},
    Kind.ROLLBACK: {Phase.PIN, Phase.BRING_UP, Phase.READY, Phase.SMOKE},
}
"""What the settings, or a cold destination, add to a kind's own route."""
BOUND = 2 * len(Phase)
"""Events after which an operation that nothing unexpected happens to has surely ended."""


def plan_of(kind, *, without=frozenset(), more=frozenset(), **more_of_it):
    return Plan(
        id="op",
        kind=kind,
        target=Target("demo", "http://x", "", "ann", "ml", "", ""),
        service="fraud",
        created_at=0.0,
        from_color="blue",
        to_color="green",
        from_release=Release(version="12"),
        to_release=Release(version="13"),
        base={"app": "fraud"},
        writes=WRITES,
        diffs=(),
        gates=(),
        rights=(),
        confirmation=Confirmation.KEY,
        route=route(kind, without=without, more=more),
        **more_of_it,
    )


def at(phase, kind=Kind.SWITCH, **more):
    """An operation that has come as far as `phase`."""
    arrived = 4.0 if phase in (Phase.ALIAS, Phase.WATCH, Phase.KEEP, Phase.DRAIN, Phase.ASK) else 0.0
    values = {"phase": phase, "phase_at": 2.0, "tokens": (1,), "arrived_at": arrived} | more
    return replace(begin(plan_of(kind), "ann", 1.0), **values)


def ask(verb, by="bob", operation="op"):
    return Asked(Request(verb, operation, by, 5.0, "a reason"))


# ---- routes

BEFORE = "lock record"
ROUTES = {
    Kind.SWITCH: "pin ready smoke parity analysis approval switch verify alias watch keep drain restore",
    Kind.ROLLBACK: "switch verify alias restore",
    Kind.DEPLOY: "pin bring-up ready smoke parity analysis restore",
    Kind.SCALE: "bring-up ready restore",
    Kind.RESTART: "bring-up ready restore",
    Kind.PAUSE: "bring-up restore",
    Kind.UNPAUSE: "bring-up ready restore",
    Kind.ADOPT: "bring-up ready smoke switch verify drain retire restore",
    Kind.RELEASE: "bring-up ready switch verify drain retire restore",
    Kind.DRILL: "smoke restore",
}


@pytest.mark.parametrize("kind", list(Kind))
def test_the_route_of_each_kind(kind):
    assert " ".join(route(kind)) == f"{BEFORE} {ROUTES[kind]}"


def test_what_is_not_asked_for_is_left_out_and_what_always_is_stays():
    unasked = frozenset({Phase.PARITY, Phase.ANALYSIS, Phase.APPROVAL, Phase.KEEP, Phase.ALIAS, Phase.LOCK})
    assert " ".join(route(Kind.SWITCH, without=unasked)) == (
        "lock record pin ready smoke switch verify watch drain restore"
    )


def test_a_cold_rollback_brings_up_first():
    cold = route(Kind.ROLLBACK, more=frozenset(MORE[Kind.ROLLBACK]))
    assert " ".join(cold) == "lock record pin bring-up ready smoke switch verify alias restore"


@given(st.sampled_from(list(Kind)), st.frozensets(st.sampled_from(list(Phase))), st.frozensets(st.sampled_from(Phase)))
def test_a_route_is_in_order_and_begins_and_ends_as_every_one(kind, without, more):
    found = route(kind, without=without, more=more)
    order = list(Phase)
    assert list(found) == sorted(set(found), key=order.index)
    assert (found[:2], found[-1]) == ((Phase.LOCK, Phase.RECORD), Phase.RESTORE)
    assert not {Phase.CLEAN_UP, Phase.RETURN, Phase.ASK, Phase.DONE} & set(found)


# ---- the way forward, and the ways out


@pytest.mark.parametrize("kind", list(Kind))
def test_an_undisturbed_operation_goes_its_route_and_is_verified(kind):
    op, gone = begin(plan_of(kind), "ann", 1.0), []
    while not op.ended:
        gone.append(op.phase)
        op = advance(op, Passed("well"), 2.0)
    assert tuple(gone) == op.plan.route
    assert op.ending is Outcome.VERIFIED


UNDO, BACK_HOME, PUT_BACK = "clean-up restore", "return restore", "restore"
OUT = [
    (Phase.LOCK, {}, Outcome.FAILED, ""),
    (Phase.RECORD, {}, Outcome.FAILED, PUT_BACK),
    (Phase.PIN, {}, Outcome.FAILED, UNDO),
    (Phase.READY, {}, Outcome.FAILED, UNDO),
    (Phase.SMOKE, {}, Outcome.FAILED, UNDO),
    (Phase.ANALYSIS, {}, Outcome.FAILED, UNDO),
    (Phase.APPROVAL, {}, Outcome.FAILED, UNDO),
    (Phase.SWITCH, {}, Outcome.FAILED, UNDO),
    (Phase.SWITCH, {"leaving": True}, Outcome.ABORTED, UNDO),
    (Phase.VERIFY, {}, Outcome.UNVERIFIED, PUT_BACK),
    (Phase.ALIAS, {}, Outcome.VERIFIED, "watch keep drain restore"),
    (Phase.KEEP, {}, Outcome.RETURNED, BACK_HOME),
    (Phase.DRAIN, {}, Outcome.VERIFIED, PUT_BACK),
    (Phase.ASK, {}, Outcome.UNVERIFIED, PUT_BACK),
    (Phase.RETURN, {}, Outcome.UNVERIFIED, PUT_BACK),
    (Phase.CLEAN_UP, {"ending": Outcome.FAILED}, Outcome.FAILED, PUT_BACK),
]


@pytest.mark.parametrize("event", [Failed, Expired])
@pytest.mark.parametrize(("phase", "more", "ending", "way"), OUT, ids=[f"{row[0]}-{row[2]}" for row in OUT])
def test_where_it_goes_when_a_phase_fails(phase, more, ending, way, event):
    op, gone = advance(at(phase, **more), event("no"), 3.0), []
    while not op.ended:
        gone.append(op.phase)
        op = advance(op, Passed(), 4.0)
    assert (" ".join(gone), op.ending) == (way, ending)


@pytest.mark.parametrize("phase", [Phase.VERIFY, Phase.WATCH])
@pytest.mark.parametrize("returns", [True, False])
def test_what_does_worse_goes_back_by_itself_only_where_that_is_asked_for(phase, returns):
    op = at(phase)
    op = replace(op, plan=replace(op.plan, returns=returns))
    after = advance(op, Failed("p95 doubled"), 3.0)
    assert (after.phase is Phase.RETURN) == returns
    backward = replace(op, plan=replace(op.plan, kind=Kind.ROLLBACK, returns=True))
    assert advance(backward, Failed("no"), 3.0).phase is not Phase.RETURN


def test_i21_what_the_watch_does_not_know_is_asked_and_never_moves_traffic():
    op = at(Phase.WATCH)
    op = replace(op, plan=replace(op.plan, returns=True))
    assert advance(op, Expired("no data"), 3.0).phase is Phase.ASK


def test_only_a_person_or_the_end_of_its_time_goes_on_from_a_question():
    op = at(Phase.ASK)
    assert advance(op, Passed(), 3.0).phase is Phase.ASK
    assert advance(op, Expired("nobody answered"), 3.0).phase is Phase.RESTORE


def test_a_release_that_does_not_come_up_is_kept_for_a_look_where_that_is_asked_for():
    for keeps, phase in ((True, Phase.RESTORE), (False, Phase.CLEAN_UP)):
        plan = plan_of(Kind.DEPLOY, keeps_failed=keeps)
        op = replace(begin(plan, "ann", 1.0), phase=Phase.READY)
        assert advance(op, Failed("CrashLoopBackOff"), 3.0).phase is phase


def test_what_cannot_be_put_back_is_not_called_done():
    op = advance(at(Phase.RESTORE), Failed("503"), 3.0)
    assert (op.phase, op.halted, op.running, op.ended) == (Phase.RESTORE, "503", False, False)


# ---- what people ask

ABORTS = [
    (Phase.LOCK, Phase.DONE),
    (Phase.RECORD, Phase.RESTORE),
    *((phase, Phase.CLEAN_UP) for phase in (Phase.PIN, Phase.BRING_UP, Phase.READY, Phase.SMOKE, Phase.APPROVAL)),
    (Phase.SWITCH, Phase.SWITCH),
    *((phase, Phase.RETURN) for phase in (Phase.VERIFY, Phase.ALIAS, Phase.WATCH, Phase.KEEP, Phase.DRAIN, Phase.ASK)),
]


@pytest.mark.parametrize(("phase", "way"), ABORTS)
def test_an_abort_takes_the_shortest_way_out(phase, way):
    op = advance(at(phase), ask(Verb.ABORT), 3.0)
    assert op.phase is way
    assert "bob asked to abort: a reason" in op.why


def test_an_abort_while_the_traffic_is_moved_moves_it_back():
    op = advance(at(Phase.SWITCH), ask(Verb.ABORT), 3.0)
    assert advance(op, Passed(), 4.0).phase is Phase.RETURN


@pytest.mark.parametrize(
    "op",
    [
        *(at(phase) for phase in (Phase.DONE, Phase.RESTORE, Phase.CLEAN_UP, Phase.RETURN, Phase.RETIRE)),
        at(Phase.WATCH, halted="a write may have been applied"),
        *(at(phase, Kind.ROLLBACK) for phase in (Phase.VERIFY, Phase.ALIAS)),
    ],
    ids=lambda op: f"{op.plan.kind}-{op.phase}{'-halted' if op.halted else ''}",
)
def test_i19_an_abort_where_there_is_nothing_to_abort_is_nothing(op):
    assert advance(op, ask(Verb.ABORT), 3.0) is op
    assert Verb.ABORT not in ways(op)


@pytest.mark.parametrize("phase", list(Phase))
def test_to_keep_what_nobody_asks_to_keep_is_nothing(phase):
    op = at(phase)
    bare = replace(op, plan=plan_of(Kind.SWITCH, without=frozenset({Phase.KEEP})))
    kept = advance(bare, ask(Verb.KEEP), 3.0)
    if phase is Phase.ASK:
        assert (kept.phase, kept.kept) == (Phase.DRAIN, True)
        return
    assert phase is Phase.KEEP or kept is bare


@pytest.mark.parametrize("phase", [Phase.VERIFY, Phase.ALIAS, Phase.WATCH])
def test_a_release_can_be_kept_before_it_is_asked_for(phase):
    op = advance(at(phase), ask(Verb.KEEP), 3.0)
    assert (op.phase, op.kept) == (phase, True)
    gone = []
    while not op.ended:
        op = advance(op, Passed(), 4.0)
        gone.append(op.phase)
    assert Phase.KEEP not in gone


def test_an_approval_is_a_second_persons():
    op = at(Phase.APPROVAL)
    assert advance(op, ask(Verb.APPROVE, "ann"), 3.0) is op
    assert advance(op, ask(Verb.APPROVE, ""), 3.0) is op
    assert advance(op, ask(Verb.APPROVE, "bob"), 3.0).phase is Phase.SWITCH


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("phase", list(Phase))
def test_what_is_asked_of_another_operation_is_nothing_to_this_one(phase, verb):
    op = at(phase)
    assert advance(op, ask(verb, operation="another"), 3.0) is op


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.DONE])
def test_whoever_is_overtaken_stops_at_once(phase):
    op = advance(at(phase), Overtaken("bob moved the traffic"), 3.0)
    assert (op.phase, op.ending, op.why) == (Phase.DONE, Outcome.OVERTAKEN, "bob moved the traffic")
    assert record_of(op).outcome is Outcome.OVERTAKEN


def test_whoever_still_has_the_lock_puts_back_what_is_pinned_first():
    op = advance(at(Phase.WATCH), Overtaken("bob moved the traffic", locked=True), 3.0)
    assert (op.phase, op.ending) == (Phase.RESTORE, Outcome.OVERTAKEN)
    assert advance(op, Passed(), 4.0).ending is Outcome.OVERTAKEN


# ---- any order


class World(RuleBasedStateMachine):
    """One operation with everything that may happen to it, and where the traffic really is meanwhile."""

    def __init__(self):
        super().__init__()
        self.op = None
        self.now = 10.0
        self.moved = False
        self.elsewhere = False
        self.life = []
        self.ended_as = None
        self.undoing = False

    # -- what the world does when a phase ends

    def _begin(self, kind, without, more, returns, keeps):
        plan = plan_of(kind, without=without, more=more, returns=returns, keeps_failed=keeps)
        self.op = begin(plan, "ann", self.now)
        self.life = [self.op.phase]

    def _happen(self, event):
        before = self.op
        self.now += 1.0
        after = advance(before, event, self.now)
        if before.running and after.phase is not before.phase:
            self._entered(before, after)
        self.op = after

    def _entered(self, before, after):
        phase = after.phase
        assert phase not in self.life, f"{phase} twice in one life: {self.life}"
        self.life.append(phase)
        assert phase in (*before.plan.route, Phase.CLEAN_UP, Phase.RETURN, Phase.ASK, Phase.DONE)
        if phase is Phase.SWITCH:
            assert not self.moved, "the traffic would be moved twice"
            assert not self.undoing, "somebody took it up only to end it"
        if phase is Phase.RETURN:
            assert not before.plan.backward
            assert before.plan.moves_traffic
        if phase is Phase.CLEAN_UP:
            assert not self.moved, "what has the traffic would be undone"
        if phase is Phase.DONE:
            put_back = before.phase is Phase.RESTORE
            early = before.phase is Phase.LOCK and before.then is None and not before.sent
            assert put_back or early or after.ending is Outcome.OVERTAKEN, "something may be pinned yet"
            assert after.ending is not Outcome.OPEN
            self.ended_as = after

    def _send(self):
        number = SENDS.get(self.op.phase)
        if number is not None and self.op.running:
            self.op = sending(self.op, number)

    def _work(self, event, applied):
        """A phase comes to `event`; `applied` is what became of a write that nobody can say of."""
        self._send()
        phase, running = self.op.phase, self.op.running
        sure = isinstance(event, Passed)
        if running and phase is Phase.SWITCH:
            self.moved = sure or (isinstance(event, Halted) and applied)
        if running and phase is Phase.RETURN and (sure or applied):
            self.moved = False
        self._happen(event)

    # -- rules

    @initialize(
        kind=st.sampled_from(list(Kind)),
        without=st.frozensets(st.sampled_from([*Phase]), max_size=5),
        extended=st.booleans(),
        returns=st.booleans(),
        keeps=st.booleans(),
        ahead=st.integers(0, len(Phase)),
    )
    def somebody_begins(self, kind, without, extended, returns, keeps, ahead):
        """Somebody begins one, and `ahead` of its phases pass undisturbed."""
        more = frozenset(MORE.get(kind, ())) if extended else frozenset()
        # Traffic that is moved is always looked for.
        left = without - {Phase.SWITCH, Phase.VERIFY}
        self._begin(kind, left, more, returns, keeps)
        for _ in range(ahead):
            if self.op.phase is not Phase.RESTORE:
                self._work(Passed("well"), True)

    @rule()
    def a_phase_passes(self):
        self._work(Passed("well"), True)

    @rule(event=st.sampled_from([Failed("no"), Expired("late")]), applied=st.booleans())
    def a_phase_fails(self, event, applied):
        self._work(event, applied)

    @rule(applied=st.booleans())
    def its_executor_gives_up(self, applied):
        self._work(Halted("nobody can say"), applied)

    @rule(
        verb=st.sampled_from(list(Verb)),
        by=st.sampled_from(["ann", "bob"]),
        operation=st.sampled_from(["op", "op", "another"]),
    )
    def somebody_asks(self, verb, by, operation):
        before = self.op
        self._happen(ask(verb, by, operation))
        keepable = Phase.KEEP in before.plan.route or before.phase is Phase.ASK
        if operation != "op" or not before.running or (verb is Verb.KEEP and not keepable):
            assert self.op is before
        if verb is Verb.APPROVE and by == "ann":
            assert self.op is before

    @precondition(lambda self: len(self.life) > 3)
    @rule(locked=st.booleans())
    def somebody_overtakes(self, locked):
        if locked and self.op.phase is Phase.RESTORE:
            return  # there the traffic is nobody's business any more
        running = self.op.running
        self._happen(Overtaken("by bob", locked))
        assert not running or (self.op.ending is Outcome.OVERTAKEN and self.op.ended != locked)

    @precondition(lambda self: not self.op.ended)
    @rule(how=st.sampled_from(["resume", "abort", "abandon"]), stranger=st.booleans(), applied=st.booleans())
    def its_executor_is_killed_and_it_is_taken_up(self, how, stranger, applied):
        self._send()
        if self.op.running and self.op.phase is Phase.SWITCH:
            self.moved = self.moved or applied
        if self.op.running and self.op.phase is Phase.RETURN and applied:
            self.moved = False
        self.elsewhere = stranger and self.op.plan.moves_traffic
        seen = Seen(self.op.sent, moved=self.moved and not self.elsewhere, home=not self.moved and not self.elsewhere)
        state = standing(self.op, seen)
        if state is Standing.OVERTAKEN and how != "abandon":
            with pytest.raises(ValueError, match="overtaken"):
                resumed(self.op, state, self.now)
            how = "abandon"
        if how == "abandon":
            taken = abandoned(self.op, "bob", "enough", self.now)
            assert taken.then is Phase.RESTORE
        else:
            taken = resumed(self.op, state, self.now)
            if how == "abort":
                taken = aborting(taken, "bob", "enough", self.now)
                self.undoing = True
        assert (taken.phase, taken.halted, taken.sent) == (Phase.LOCK, "", self.op.sent)
        self.op, self.life = taken, [Phase.LOCK]

    # -- always

    @invariant()
    def what_has_ended_stays_as_it_is(self):
        if self.ended_as is not None:
            assert self.op is self.ended_as

    @invariant()
    def what_may_be_asked_is_what_has_an_effect(self):
        for verb in Verb:
            changed = advance(self.op, ask(verb, "\x00nobody"), self.now) is not self.op
            assert (verb in ways(self.op)) == changed

    @invariant()
    def a_record_of_it_can_be_written_at_any_time(self):
        outcome = record_of(self.op).outcome
        assert not self.op.ended or outcome is not Outcome.OPEN
        assert outcome is not Outcome.VERIFIED or self.op.arrived_at or not self.op.plan.moves_traffic

    def teardown(self):
        """Left alone from here on, it ends."""
        for _ in range(BOUND):
            if self.op.ended:
                return
            if self.op.halted:
                self.op, self.life = abandoned(self.op, "bob", "at last", self.now), [Phase.LOCK]
                continue
            self._work(Expired("late") if self.op.phase is Phase.ASK else Passed(), True)
        raise AssertionError(f"it goes on and on: {self.life}")


TestAnyOrder = World.TestCase
TestAnyOrder.settings = settings(max_examples=400, stateful_step_count=12, deadline=None)


# ---- undone

WORDS = st.text("ab/~", min_size=1, max_size=3)
LEAVES = st.one_of(st.integers(0, 9), WORDS)
OBJECTS = st.dictionaries(WORDS, st.one_of(LEAVES, st.dictionaries(WORDS, LEAVES, max_size=3)), max_size=4)


def pointer(path):
    return "".join("/" + escape_pointer(token) for token in path)


def paths(document, above=()):
    for key, value in document.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


def at_path(document, path):
    for token in path:
        document = document[token]
    return document


@st.composite
def changes(draw):
    """(an object, a patch of it that tests all that it replaces or removes)."""
    document = draw(OBJECTS)
    steps, touched = [], []
    for _ in range(draw(st.integers(1, 3))):
        open_to = [path for path in paths(document) if not any(_meet(path, other) for other in touched)]
        kind = draw(st.sampled_from(["add", "replace", "remove"])) if open_to else "add"
        if kind == "add":
            key = draw(WORDS)
            if key in document or any(_meet((key,), other) for other in touched):
                continue
            path, value = (key,), draw(LEAVES)
            steps.append({"op": "add", "path": pointer(path), "value": value})
        else:
            path = draw(st.sampled_from(open_to))
            steps.append({"op": "test", "path": pointer(path), "value": at_path(document, path)})
            more = {"value": draw(LEAVES)} if kind == "replace" else {}
            steps.append({"op": kind, "path": pointer(path)} | more)
        touched.append(path)
    return document, tuple(steps)


def _meet(one, other):
    least = min(len(one), len(other))
    return one[:least] == other[:least]


@given(changes())
def test_a_write_that_is_undone_leaves_what_was_there(change):
    document, patch = change
    write = Write("deployments", "ml", "fraud", patch)
    back = reversed_write(write)
    if not any(step["op"] != "test" for step in patch):
        assert back is None
        return
    assert back is not None
    after = json_patch(document, list(patch))
    assert json_patch(after, list(back.patch)) == document


def test_what_somebody_changed_after_a_write_is_not_undone():
    back = reversed_write(WRITES[PINNED])
    with pytest.raises(ApiError, match="test"):
        json_patch({"spec": {"replicas": 7}}, list(back.patch))


def test_what_was_not_tested_cannot_be_undone():
    assert reversed_write(Write("x", "ml", "y", ({"op": "replace", "path": "/a", "value": 1},))) is None
    assert reversed_write(Write("x", "ml", "y", ({"op": "remove", "path": "/a"},))) is None


def test_what_was_made_is_removed_as_it_was_made_and_what_was_removed_stays_so():
    made = Write("deployments", "ml", "x", body={"metadata": {"name": "x"}})
    assert reversed_write(made) is None, "nobody knows which object it was"
    gone = reversed_write(made, "uid-1")
    assert (gone.verb, gone.uid, gone.body) == ("delete", "uid-1", None)
    assert reversed_write(gone, "uid-1") is None


def test_the_way_back_within_an_operation_is_a_rollback_of_its_own():
    op = at(Phase.RETURN, tokens=(3, 4), why="p95 doubled")
    back = returning(op, 9.0)
    assert (back.plan.kind, back.id, back.reason) == (Kind.ROLLBACK, "op-back", "p95 doubled")
    assert (back.plan.from_color, back.plan.to_color) == ("green", "blue")
    assert (back.plan.fence, back.sent, record_of(back).outcome) == ("4", (), Outcome.OPEN)
    moved = json_patch({"spec": {"selector": {"color": "blue"}}}, list(op.plan.write.patch))
    assert json_patch(moved, list(back.plan.write.patch)) == {"spec": {"selector": {"color": "blue"}}}


def test_kinds_whose_way_back_takes_down_what_they_made():
    for kind in Kind:
        if Phase.SWITCH not in route(kind) or kind is Kind.ROLLBACK:
            continue
        op = advance(at(Phase.RETURN, kind), Passed(), 3.0)
        assert (op.phase is Phase.CLEAN_UP) == (kind in UNMADE)
        assert op.ending is Outcome.RETURNED


def test_only_traffic_that_nobody_kept_in_time_goes_back_without_blame():
    unkept = advance(at(Phase.KEEP), Expired("nobody kept it"), 9.0)
    worse = advance(replace(at(Phase.WATCH), plan=replace(at(Phase.WATCH).plan, returns=True)), Failed("p95"), 9.0)
    assert unkept.phase is worse.phase is Phase.RETURN
    assert record_of(returning(unkept, 10.0)).blameless
    assert not record_of(returning(worse, 10.0)).blameless
