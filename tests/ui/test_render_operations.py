"""What is said of plans of every kind and of operations under way, by tables."""

import pytest

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.phases import Phase, route
from mlconsole.domain.plans import Diff, Gate, Right, Verdict, Write
from mlconsole.engine import protocol
from mlconsole.ui.render import deployment, plan, underway, words
from mlconsole.ui.render import route as way
from mlconsole.ui.spans import Slot, harmless, line, plain, width_of
from ui.facts import NOW, a_line, a_plan


def text(lines):
    return "\n".join(plain(item) for item in lines)


def squeezed(lines):
    """All the text without its breaks and indents."""
    return "".join(plain(item).replace(" ", "") for item in lines)


# ---- plans


SWITCHING = frozenset({Phase.SWITCH, Phase.VERIFY, Phase.WATCH})


@pytest.mark.parametrize(
    ("kind", "changes", "title", "button"),
    [
        (Kind.SWITCH, {}, "Switch fraud to blue v12", "Switch"),
        (Kind.ROLLBACK, {}, "Roll back fraud to blue v12", "Roll back"),
        (Kind.ROLLBACK, {"revision": 4}, "Roll back fraud to revision 4 v12", "Roll back"),
        (Kind.DEPLOY, {}, "Deploy v12 of fraud on blue", "Deploy"),
        (
            Kind.DEPLOY,
            {"route": route(Kind.DEPLOY, more=SWITCHING)},
            "Deploy v12 of fraud on blue, then switch to it",
            "Deploy and switch",
        ),
        (Kind.SCALE, {"replicas": 5}, "Scale fraud blue to 5", "Scale"),
        (Kind.SCALE, {"replicas": 0}, "Scale fraud blue to 0", "Scale"),
        (Kind.RESTART, {}, "Restart fraud blue v12", "Restart"),
        (Kind.PAUSE, {}, "Hold the rollout of fraud blue v12", "Hold"),
        (Kind.UNPAUSE, {}, "Let go the rollout of fraud blue v12", "Let go"),
        (Kind.ADOPT, {}, "Adopt fraud: one Deployment becomes blue-green", "Adopt"),
        (Kind.RELEASE, {}, "Release fraud: blue-green becomes one Deployment again", "Release"),
        (Kind.DRILL, {}, "Rehearse the rollback of fraud to blue v12", "Rehearse"),
    ],
)
def test_every_kind_says_what_is_asked(kind, changes, title, button):
    made = a_plan(kind, **changes)
    assert plan.title(made) == title
    assert plan.button(made) == button
    found = text(plan.lines(made, frozenset(), 100))
    assert "phases" in found
    assert all(phase in found for phase in made.route)


LONG = "mlconsole.io/" + "x" * 90


@pytest.mark.parametrize("width", [40, 70, 116])
def test_nothing_of_a_plan_is_cut(width):
    diffs = (
        Diff("Service ml/fraud", "spec.selector[color]", "green", "blue"),
        Diff("Deployment ml/fraud-blue", f"template.metadata.annotations.{LONG}", "a" * 80, "b" * 80),
        Diff("Deployment ml/fraud-blue", "replicas", "", "3"),
    )
    made = a_plan(
        diffs=diffs,
        cold="scaled down 3 days ago, about 40 s to bring it up",
        preempts="deploy to blue v14 by bob, in phase smoke",
        way_back="green v13 stays up, 3/3 ready " * 5,
        gates=(Gate("smoke", Verdict.UNKNOWN, "no answer " * 12, "all", "POST /predict " * 12),),
        rights=(Right("patch", "services", "fraud", False), Right("create", "pods/proxy", "", False)),
        warnings=("what this rests on could not be read " * 4,),
        dry_run="refused: " + "quota " * 30,
    )
    found = plan.lines(made, frozenset(), width)
    assert all(width_of(item) <= width for item in found)
    whole = squeezed(found)
    for part in (
        LONG, "a" * 80, "b" * 80, made.way_back, made.gates[0].value, made.gates[0].evidence, made.warnings[0],
        made.dry_run, made.cold, made.preempts, "patch services, create pods/proxy", made.target.server, made.hash,
    ):  # fmt: skip
        assert part.strip().replace(" ", "") in whole, part


def test_what_a_gate_found_stands_out_and_below_its_name_where_it_is_long():
    gate = Gate("answers", Verdict.UNKNOWN, "no pod gave an answer within a second " * 3, "v12", "GET /health " * 8)
    head, *below = plan.gates([gate], 60)
    assert plain(head).split() == ["gates", "?", "answers", "UNKNOWN"]
    assert all(plain(row).startswith(" " * 12) and not plain(row)[12:].startswith(" ") for row in below)
    slots = {word: row[-1].slot for row in below for word in plain(row).split()}
    assert (slots["pod"], slots["needed"], slots["/health"]) == (Slot.PLAIN, Slot.DIM, Slot.DIM)
    assert all(width_of(row) <= 60 for row in (head, *below))


def test_what_nobody_may_miss_comes_first():
    stopping = Gate("lock", Verdict.FAIL, "held by ann", "free", "Lease")
    found = [plain(item) for item in plan.lines(a_plan(gates=(stopping,), holder="ann@b/p0"), frozenset(), 100)]
    assert found[0] == "STOPPED   by lock FAIL"
    assert found[1] == "BREAKS    ann@b/p0 holds the lock: to go on breaks it, with a reason"
    cold = a_plan(Kind.ROLLBACK, cold="scaled down", preempts="switch by bob")
    found = [plain(item) for item in plan.lines(cold, frozenset(), 100)]
    assert found[0].startswith("COLD      blue v12 is cold: scaled down")
    assert found[1] == "TAKES     this takes the service from switch by bob"


def test_what_moves_no_traffic_says_where_it_stays():
    assert "stays on green v13 (0 ready)" in text(plan.lines(a_plan(Kind.SCALE, replicas=5), frozenset(), 100))
    assert "5 wanted" in text(plan.lines(a_plan(Kind.SCALE, replicas=5), frozenset(), 100))
    drill = text(plan.lines(a_plan(Kind.DRILL), frozenset(), 100))
    assert "nothing is written but its record" in drill
    assert "would be  Service ml/fraud" in drill


def test_writes_without_a_field_to_show_are_named():
    writes = (Write("deployments", "ml", "fraud-blue", body={}), Write("deployments", "ml", "old", delete=True))
    found = text(plan.lines(a_plan(Kind.ADOPT, writes=writes, diffs=()), frozenset(), 100))
    assert "create deployments ml/fraud-blue" in found
    assert "delete deployments ml/old" in found


def test_a_phase_that_says_much_shows_its_last_words():
    told = [protocol.Progress(1, "ml/fraud", "ready", f"{number}/9 ready", NOW) for number in range(9)]
    told.append(protocol.Progress(1, "ml/fraud", "done", "WARNING: late", NOW, Outcome.UNVERIFIED))
    found = plan.progress(told, 80)
    assert "8/9 ready" in text(found)
    assert "2/9 ready" not in text(found)
    assert "6 lines before these" in text(found)
    assert found[-1][-1].slot is Slot.BAD


def test_an_end_that_says_the_outcome_once_more_is_not_said_twice():
    told = [
        protocol.Progress(1, "ml/fraud", step, "3 answers", NOW, Outcome.VERIFIED, step == "end")
        for step in ("done", "end")
    ]
    assert text(plan.progress(told, 80)).count("3 answers") == 1


# ---- the way


ROUTE = route(Kind.SWITCH)


@pytest.mark.parametrize(
    ("at", "seen", "arrived", "last_done", "here"),
    [
        (None, (), False, "", ""),
        (Phase.SMOKE, (), False, "ready", "▶ smoke"),
        (Phase.KEEP, (), True, "watch", "▶ keep"),
        (Phase.CLEAN_UP, ("lock", "record", "smoke"), False, "record", "◀ clean-up"),
        (Phase.RETURN, ("watch",), True, "verify", "◀ return"),
        (Phase.RESTORE, ("lock", "record", "smoke", "clean-up"), False, "record", "▶ restore"),
    ],
)
def test_the_way_says_what_is_done_under_way_and_to_come(at, seen, arrived, last_done, here):
    done = way.passed(ROUTE, at, seen, arrived=arrived)
    found = text(way.steps(ROUTE, at, done, 200))
    assert here in found
    ticked = [part.removeprefix("✔ ") for part in found.split("  ") if part.startswith("✔")]
    assert (ticked[-1] if ticked else "") == last_done


def test_every_phase_and_every_outcome_has_its_words():
    assert set(way.DOING) == set(Phase)
    assert set(deployment.OUTCOMES) == set(Outcome)
    assert set(plan.VERBS) == set(Kind)


# ---- under way


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (a_line(until=NOW + 192), "▶ switch: watch 3:12 left"),
        (a_line(Phase.SMOKE), "▶ switch: smoke"),
        (a_line(Phase.KEEP, until=NOW + 60), "▲ switch: KEEP IT? 1:00 left o"),
        (a_line(Phase.APPROVAL), "▲ switch: APPROVE? o"),
        (a_line(Phase.ASK, why="errors 4 %"), "▲ switch: SICK: KEEP OR ABORT? o"),
        (a_line(Phase.VERIFY, alive=False), "▲ switch INTERRUPTED in verify o"),
    ],
)
def test_the_header_says_an_operation_in_a_few_words(item, said):
    assert plain(underway.short(item, NOW)) == said


@pytest.mark.parametrize("width", [30, 78, 160])
def test_the_pane_says_all_of_it_in_any_width(width):
    item = a_line(Phase.ASK, why="errors 4 % over 1 %", verbs=("abort", "keep"), until=NOW + 60)
    found = underway.pane(item, NOW, width)
    whole = squeezed(found)
    for part in ("errors 4 % over 1 %", "the traffic back to green v13", "K keep it, a abort", "by ann", "◀ ask"):
        assert part.replace(" ", "") in whole


@pytest.mark.parametrize(
    ("verb", "item", "place", "why"),
    [
        ("keep", a_line(verbs=("keep",)), {}, ""),
        ("keep", a_line(verbs=("keep",)), {"read_only": True}, "the console is read-only here"),
        ("keep", a_line(kept=True), {}, "it is kept already"),
        ("approve", a_line(Phase.APPROVAL, verbs=("approve",)), {"user": "ann"}, "ann began it: somebody else has to"),
        ("approve", a_line(Phase.APPROVAL, verbs=("approve",)), {"user": "bob"}, ""),
        ("abort", a_line(Phase.RETURN, verbs=()), {}, "it is on its way out already"),
        ("abort", a_line(Phase.RETIRE, verbs=()), {}, "too late in retire"),
        ("resume", a_line(), {}, "its executor is at work"),
        ("resume", a_line(alive=False, verbs=("abandon",)), {}, "somebody overtook it"),
        ("keep", a_line(alive=False, verbs=("resume",)), {}, "its executor is gone: resume it first"),
    ],
)
def test_why_something_cannot_be_asked(verb, item, place, why):
    assert underway.refusal(item, verb, protocol.Place("p", "ml", **place)) == why


@pytest.mark.parametrize(
    ("item", "words_of"),
    [
        (a_line(Phase.SMOKE), "what it made is undone; the traffic was not moved"),
        (a_line(Phase.SWITCH), "the traffic is being moved: once that is settled, it goes back to green v13"),
        (a_line(Phase.DRAIN, arrived_at=NOW), "the traffic goes back to green v13"),
        (a_line(Phase.READY, plan=a_plan(Kind.SCALE)), "what it made is undone"),
    ],
)
def test_what_an_abort_comes_to(item, words_of):
    assert underway.consequence(item, "abort").startswith(words_of)


def test_the_numbers_of_a_countdown():
    assert [words.countdown(seconds) for seconds in (-5, 9, 192.9, 3599, 3900)] == [
        "0:00", "0:09", "3:12", "59:59", "1h05"
    ]  # fmt: skip


def test_a_line_lets_no_control_character_through():
    assert plain(harmless(line("a\x1b[2Jb\u202e\n"))) == "a␛[2Jb<U+202E>␊"
    clean = line("▶ fine")
    assert harmless(clean) is clean
