"""Every operation by its keys, and those under way by what can be asked of them; the engine is the test."""

import json
import time

import pytest
from msgspec.structs import replace

from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.phases import Phase, route
from mlconsole.domain.plans import Confirmation, Gate, Verdict
from mlconsole.domain.services import Shape
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.engine import protocol
from ui.facts import (
    BLUE,
    GREEN,
    MODEL,
    NOW,
    SERVICE,
    a_line,
    a_plan,
    facts,
    last,
    planned,
    ready,
    under_way,
)

# ---- what is off


async def test_a_key_that_lacks_a_verb_is_off_and_says_which(silent):
    async with silent() as driver:
        await ready(driver, missing={"switch": "patch services", "rollback": "patch services"})
        await driver.until("switch (off)")
        await driver.press("s")
        await driver.until("switch is off: you may not patch services")
        assert not driver.sent(protocol.MakePlan)
        await driver.press("r")
        assert last(driver).kind == "rollback", "the way back may always be tried"


# ---- plans


async def test_what_comes_while_a_page_is_being_made_does_not_break_it(silent):
    async with silent() as driver:
        await ready(driver)
        driver.app.action_operations()
        assert not driver.app.screen.is_mounted
        driver.app._paint()
        driver.app._engine_lost("it ended")
        await driver.until("not known: the engine is not there: it ended")


async def test_d_deploys_the_version_under_the_registrys_cursor(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(protocol.Registry("ml/fraud", MODEL))
        await driver.press("3")
        await driver.until("v14")
        await driver.press("d")
        await driver.until("deploy, nothing more")
        wish = last(driver)
        assert (wish.kind, wish.version, wish.service, wish.go_on) == ("deploy", "14", "ml/fraud", False)


async def test_d_elsewhere_asks_which_version_and_a_versions_page_deploys_it(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(protocol.Registry("ml/fraud", MODEL))
        await driver.press("d")
        await driver.until("deploy which version to fraud", "v13")
        await driver.press("down", "enter")
        await driver.until("deploy ml/fraud")
        assert last(driver).version == "13"
        await driver.press("escape", "3", "enter")
        await driver.until("d deploy · esc back")
        await driver.press("d")
        await driver.until("deploy ml/fraud")
        assert last(driver).version == "14"


async def test_without_a_registry_the_version_is_typed_and_an_image_where_none_is_known(silent):
    async with silent() as driver:
        await ready(driver)
        await driver.press("d")
        await driver.until("which version is to be deployed?")
        await driver.press(*"@challenger", "enter")
        await driver.until("reading the cluster")
        assert last(driver).version == "@challenger"
        first = last(driver).request
        driver.told(protocol.Refused(first, "ml/fraud", "nothing says which image serves fraud v14", "tag it", 2))
        await driver.until("which image serves", "plan with it")
        await driver.press(*"reg.local/fraud:14", "enter")
        await driver.until("reading the cluster", gone=("which image serves",))
        assert last(driver).image == "reg.local/fraud:14"
        assert last(driver).request != first
        assert last(driver, protocol.Discard).request == first


async def test_whether_a_deploy_switches_too_is_another_plan(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(protocol.Registry("ml/fraud", MODEL))
        await driver.press("d")
        await driver.until("deploy which version")
        await driver.press("enter")
        await driver.until("deploy ml/fraud")
        only = a_plan(Kind.DEPLOY)
        planned(driver, only)
        await driver.until("Deploy v12 of fraud on blue", "(●) deploy, nothing more", "stays on green v13")
        await driver.press("g")
        await driver.until("(●) deploy and switch when its gates pass", "reading the cluster")
        assert last(driver).go_on
        both = a_plan(Kind.DEPLOY, route=route(Kind.DEPLOY, more=frozenset({Phase.SWITCH, Phase.VERIFY, Phase.WATCH})))
        # What comes for the plan that was given up is not this one.
        driver.told(protocol.Planned(last(driver).request - 1, only, only.hash))
        planned(driver, both)
        await driver.until("then switch to it", " Deploy and switch ")
        assert driver.app.focused.id == "no"
        await driver.press("y")
        assert last(driver, protocol.Confirm).hash == both.hash


async def test_the_menu_plans_what_is_needed_seldom(silent):
    async with silent() as driver:
        held = replace(SERVICE, colors=(replace(BLUE, paused=True), GREEN))
        await ready(driver, held)
        await driver.press("x")
        await driver.until("more operations on fraud", "it is blue-green already")
        await driver.press("a")
        await driver.until("adopt: it is blue-green already")
        await driver.press("s")
        await driver.until("scale which colour of fraud", "held", "LIVE")
        await driver.press("down", "enter")
        await driver.until("scale fraud green", "LIVE, 3 of 3 ready")
        await driver.press("backspace", *"x", "enter")
        await driver.until("a whole number, 0 to 1000")
        await driver.press("backspace", *"5", "enter")
        await driver.until("scale ml/fraud")
        assert (last(driver).kind, last(driver).to_color, last(driver).replicas) == ("scale", "green", 5)
        await driver.press("escape", "x", "p")
        await driver.until("hold or let go which colour")
        await driver.press("enter")
        await driver.until("unpause ml/fraud")
        assert (last(driver).kind, last(driver).to_color) == ("unpause", "blue")
        for key, kind in (("d", "drill"), ("u", "release")):
            await driver.press("escape", "x", key)
            await driver.until(f"{kind} ml/fraud")
            assert last(driver).kind == kind


async def test_a_plain_service_is_adopted_and_what_is_read_only_is_greyed(silent):
    async with silent() as driver:
        plain = replace(SERVICE, shape=Shape.PLAIN, colors=(replace(GREEN, name=""),), live="", color_key="")
        place, fleet, _ = facts(plain)
        await driver.filled()
        driver.told(place, fleet)
        await driver.selected(plain.key)
        await driver.press("x", "a")
        await driver.until("adopt ml/fraud")
        assert last(driver).kind == "adopt"
        await driver.press("escape")
        before = len(driver.sent(protocol.MakePlan))
        driver.told(replace(place, read_only=True))
        await driver.press("x", "a")
        await driver.until("adopt: the console is read-only here")
        assert len(driver.sent(protocol.MakePlan)) == before


async def test_a_gate_that_stops_is_said_first_and_a_waiver_takes_a_reason(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        await driver.press("s")
        await driver.until("switch ml/fraud")
        planned(driver, a_plan(gates=(Gate("lock", Verdict.FAIL, "held by ann@b", "free", "Lease"),), holder="ann@b"))
        text = await driver.until("STOPPED   by lock FAIL", "BREAKS", "ann@b holds the lock", "w waive")
        assert "y yes" not in text, "a yes that only says what stops it is no key to offer"
        await driver.press("y")
        await driver.until("stopped by lock: w waives it with a reason")
        await driver.press("w", "enter")
        await driver.until("a reason is needed")
        assert not driver.sent(protocol.Confirm)
        await driver.press(*"ann is asleep", "enter", "enter")
        confirm = last(driver, protocol.Confirm)
        assert (confirm.reason, confirm.waived) == ("ann is asleep", ("lock",))


# ---- under way


async def test_after_its_arrival_it_says_what_it_waits_for_and_may_be_left(silent):
    async with silent() as driver:
        await ready(driver)
        await driver.press("s")
        await driver.until("switch ml/fraud")
        planned(driver, a_plan())
        await driver.until("plan ")
        await driver.press("y")
        now = time.time()
        say = [("verify", "3 answers in a row by v12", None), ("done", "3 answers in a row", Outcome.VERIFIED)]
        for step, words, outcome in say:
            driver.told(protocol.Progress(last(driver).request, "ml/fraud", step, words, now, outcome))
        driver.told(under_way(a_line(until=now + 192.5, verbs=("abort", "keep"), here=True, arrived_at=now)))
        text = await driver.until(
            "watching it under traffic, 3:1", "K keep it", "a abort: back to green v13", "✔ verify"
        )
        assert "▶ watch" in text
        assert "  Switch  " not in text
        assert driver.bells == 1
        await driver.press("escape")
        await driver.until("switch of ml/fraud goes on", "1 Fleet")
        await driver.until("▶ switch: watch 3:1", "fraud ▶", "▶ 1  ")


async def test_the_end_is_no_second_outcome(silent):
    async with silent() as driver:
        await ready(driver)
        await driver.press("s")
        await driver.until("switch ml/fraud")
        planned(driver, a_plan())
        await driver.until("plan ")
        await driver.press("y")
        request, now = last(driver).request, time.time()
        driver.told(protocol.Progress(request, "ml/fraud", "done", "seen", now, Outcome.VERIFIED))
        driver.told(protocol.Progress(request, "ml/fraud", "end", "all is put back", now, Outcome.VERIFIED, True))
        text = await driver.until("all is put back", "esc close")
        assert "✔ restore" in text
        assert driver.bells == 1
        driver.told(protocol.Progress(request, "ml/fraud", "done", "went back", now, Outcome.RETURNED))
        assert driver.bells == 2


async def test_what_waits_for_a_person_rings_once_and_is_loud_everywhere(silent):
    async with silent(size=(160, 40)) as driver:
        await ready(driver)
        driver.told(under_way(a_line()))
        await driver.until("watching it under traffic", "begun", "by ann")
        assert driver.bells == 0
        until = time.time() + 299.5
        waiting = a_line(Phase.KEEP, until=until, verbs=("abort", "keep"), arrived_at=NOW)
        driver.told(under_way(waiting))
        text = await driver.until("KEEP IT? 4:5", "fraud ▶!", "1 for you", "K keep it, a abort")
        assert "keep it, or the traffic goes back to green v13" in text
        driver.told(under_way(waiting))
        await driver.pilot.pause()
        assert driver.bells == 1


async def test_an_operation_is_kept_aborted_and_abandoned_from_the_list(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(under_way(a_line(Phase.KEEP, verbs=("abort", "keep"), arrived_at=NOW)))
        await driver.press("o")
        await driver.until("operations under way", "waiting for somebody to keep it", "K keep it")
        await driver.press("K")
        await driver.until("blue v12 stays")
        assert driver.app.focused.id == "no"
        await driver.press("enter")
        assert not driver.sent(protocol.Ask)
        await driver.press("a")
        await driver.until("the traffic goes back to green v13")
        assert driver.app.focused.id == "yes"
        await driver.press("enter")
        assert (last(driver, protocol.Ask).verb, last(driver, protocol.Ask).service) == ("abort", "ml/fraud")
        verbs = ("resume", "abort", "abandon")
        lost = a_line(Phase.VERIFY, alive=False, standing="applied but unverified", verbs=verbs)
        driver.told(under_way(lost))
        await driver.until("interrupted in verify, applied but unverified", "r resume", "b abandon, with a reason")
        await driver.press("b", "tab", "tab", "enter")
        await driver.until("a reason is needed")
        await driver.press(*"nobody knows", "enter", "enter")
        assert (last(driver, protocol.Ask).verb, last(driver, protocol.Ask).reason) == ("abandon", "nobody knows")
        refused = protocol.Refused(last(driver, protocol.Ask).request, "ml/fraud", "the lock is somebody else's", "", 4)
        driver.told(refused)
        await driver.until("the lock is somebody else's")


async def test_what_cannot_be_asked_says_why(silent):
    async with silent() as driver:
        await ready(driver)
        waiting = a_line(Phase.APPROVAL, verbs=("abort", "approve"))
        driver.told(protocol.Place("prod-eu", "ml", user="ann"), under_way(waiting))
        await driver.press("o")
        await driver.until("p approve: ann began it: somebody else has to", "a second person, not ann")
        await driver.press("p", "K")
        await driver.until("keep: in approval nothing waits to be kept")
        assert not driver.sent(protocol.Ask)
        driver.told(protocol.Place("prod-eu", "ml", user="bob"))
        await driver.press("p")
        await driver.until("with your name on record beside ann's")
        await driver.press("y")
        assert last(driver, protocol.Ask).verb == "approve"


async def test_enter_follows_one_here_and_on_another_machine(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(under_way(a_line(Phase.SMOKE, words="1 of 6 answers")))
        await driver.press("o", "enter")
        await driver.until("switch to blue v12 of ml/fraud", "its executor runs on bastion", "▶ smoke")
        request = last(driver, protocol.Attach).request
        driver.told(protocol.Progress(request, "ml/fraud", "smoke", "6 of 6 answers", NOW))
        driver.told(protocol.Progress(request, "ml/fraud", "smoke", "6 of 6 answers", NOW))
        text = await driver.until("6 of 6 answers")
        assert text.count("6 of 6 answers") == 1
        driver.told(under_way())
        await driver.until("over: esc, then a (audit) has how it ended")
        await driver.press("escape")
        await driver.until("nothing is under way here")


async def test_one_without_an_executor_for_a_moment_rings_nothing(silent):
    async with silent() as driver:
        await ready(driver)
        gone = a_line(Phase.RESTORE, alive=False, verbs=("resume",))
        driver.told(under_way(gone), under_way())
        driver.app._call_if_interrupted(gone.operation.id)
        assert driver.bells == 0
        driver.told(under_way(gone))
        driver.app._call_if_interrupted(gone.operation.id)
        await driver.until("interrupted in restore")
        assert driver.bells == 1


async def test_words_of_an_operation_never_reach_the_terminal_as_commands(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(under_way(a_line(Phase.SMOKE, words="\x1b]0;owned\x07 said", reason="[bold]\x9b31m", here=True)))
        await driver.press("o", "enter")
        text = await driver.until("␛]0;owned", "[bold]<U+009B>31m")
        assert all(char.isprintable() or char == "\n" for char in text)


# ---- audit


RECORDS = (
    Record("1", Kind.SWITCH, "fraud", "ml", NOW - 60, "ann", "bastion", reason="recall", outcome=Outcome.VERIFIED),
    Record("2", Kind.ROLLBACK, "fraud", "ml", NOW, "bob", "laptop", reason="password=hunter2hunter2", waived=("lock",)),
)


async def test_the_audit_is_filtered_opened_and_exported_without_secrets(silent, tmp_path):
    async with silent(size=(160, 40)) as driver:
        await ready(driver, history=RECORDS)
        await driver.press("a")
        await driver.until("2 on record", "bastion", "laptop")
        await driver.press("slash", *"laptop")
        await driver.until("1 of 2 shown", gone=("bastion",))
        await driver.press("enter", "enter")
        await driver.until("rollback 2", "bob on laptop", "lock")
        await driver.press("escape", "w")
        await driver.until("1 operations in ", "credentials redacted")
        (path,) = (tmp_path / "state" / "mlconsole" / "exports").iterdir()
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["id"] for line in lines] == ["2"]
        assert "hunter2" not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        await driver.press("escape")
        await driver.until("2 on record", "bastion")


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (200, 60)])
async def test_every_page_of_operations_opens_in_any_size(silent, size):
    async with silent(size=size) as driver:
        await ready(driver, history=RECORDS)
        driver.told(under_way(a_line(Phase.KEEP, verbs=("abort", "keep"), until=time.time() + 60)))
        for keys, words in (
            (("o",), "under way"),
            (("o", "enter"), "switch to"),
            (("a",), "operations"),
            (("x",), "more"),
        ):
            await driver.press(*keys)
            await driver.until(words)
            for _ in keys:
                await driver.press("escape")
        await driver.press("o", "a")
        await driver.until("No")


# ---- what is seen of it


async def test_a_name_that_is_wrong_is_said_at_once_and_each_line_says_what_it_is(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        await driver.press("s")
        await driver.until("switch ml/fraud")
        planned(driver, a_plan(confirmation=Confirmation.NAME, reason_required=True))
        await driver.until("name       type the service's name", "reason     it goes on record", "enter next")
        await driver.press(*"frau", "enter")
        await driver.until("production: type the service's name, fraud")
        await driver.press("d", "enter", *"slow", "enter", "enter")
        assert (last(driver, protocol.Confirm).typed, last(driver, protocol.Confirm).reason) == ("fraud", "slow")


async def test_no_notice_covers_the_page_that_shows_what_waits(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        await driver.press("o")
        await driver.until("nothing is under way")
        driver.told(protocol.Operations((a_line(Phase.KEEP, verbs=("keep", "abort")),)))
        text = await driver.until("waiting for somebody to keep it", "K keep it", "a abort")
        assert "(o)" not in text
        assert driver.bells == 1
        await driver.press("escape")
        driver.told(protocol.Operations((a_line(Phase.ASK, verbs=("keep", "abort")),)))
        await driver.until("keep it, or abort to move", "(o)")
        await driver.press("o", "K")
        await driver.until("stays; the traffic does not go back")
        await driver.press("y")
        await driver.until("operations under way", gone=("(o)",))


async def test_a_cluster_that_does_not_answer_is_not_one_where_nothing_is_under_way(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        driver.told(
            protocol.Sources((SourceState("k8s", Condition.DOWN, message="no answer in time", hint="the VPN?"),))
        )
        await driver.press("o")
        text = await driver.until("not known: no answer in time", "the VPN?")
        assert "nothing is under way" not in text


async def test_what_is_looked_at_stays_where_it_is_while_more_is_said(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        await driver.press("s")
        await driver.until("switch ml/fraud")
        planned(driver, a_plan())
        await driver.until("Switch fraud to blue v12")
        await driver.press("y")
        request = last(driver).request

        def said(numbers):
            driver.told(*(protocol.Progress(request, "ml/fraud", f"step-{n}", f"line {n}.", NOW + n) for n in numbers))

        said(range(40))
        await driver.until("line 39.")
        await driver.press("pageup", "pageup")
        await driver.until("line 20.", gone=("line 39.",))
        said(range(40, 42))
        await driver.pilot.pause()
        await driver.until("line 20.", gone=("line 41.",))
        await driver.press(*["pagedown"] * 3)
        said(range(42, 44))
        await driver.until("line 43.")


async def test_how_it_ended_is_said_once_and_in_words(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        await driver.press("s")
        await driver.until("switch ml/fraud")
        planned(driver, a_plan())
        await driver.until("Switch fraud to blue v12")
        await driver.press("y")
        request = last(driver).request
        told = ("keep", "ann asked to abort", None), ("done", "ann asked to abort", Outcome.RETURNED)
        for step, words, outcome in told:
            driver.told(protocol.Progress(request, "ml/fraud", step, words, NOW, outcome, over=outcome is not None))
        text = await driver.until("▲ returned: the traffic moved, and moved back: ann asked to abort")
        assert text.count("ann asked to abort") == 2


async def test_help_names_the_keys_of_the_pages_of_operations_and_says_that_there_is_more(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        await driver.press("question_mark")
        await driver.until("page up, down · esc back")
        await driver.press("pagedown")
        await driver.until("o K", "the release stays")
        await driver.press("end")
        await driver.until("▶! waits for you")
