"""Operations that halt, that outlive the engine, that call for a person; and how what is told of one is read."""

import pytest
from textual.events import MouseScrollDown, MouseScrollUp

from mlconsole.domain.history import Outcome
from mlconsole.domain.phases import Phase
from mlconsole.engine import protocol
from ui.facts import NOW, SERVICE, a_line, a_plan, last, planned, ready, under_way

VERBS = ("resume", "abort", "abandon")


def a_halted(phase=Phase.WATCH, **changes):
    """One that was handed over, and has no executor."""
    said = "handed over by ann"
    return a_line(phase, alive=False, verbs=VERBS, standing="applied", halted=said, words=said, **changes)


def told(request, *steps):
    """What its executor said: (step, words, outcome, over), a second apart."""
    return [
        protocol.Progress(request, "ml/fraud", step, words, NOW + second, outcome, over)
        for second, (step, words, outcome, over) in enumerate(steps)
    ]


ARRIVED = ("done", "3 answers in a row", Outcome.VERIFIED, False)
HANDED_OVER = ("end", "handed over by ann", Outcome.VERIFIED, True)


# ---- one that halted


@pytest.mark.parametrize(
    ("at", "arrived_at", "steps"),
    [
        (Phase.WATCH, NOW, (ARRIVED, HANDED_OVER)),
        (Phase.SMOKE, 0.0, (("end", "handed over by ann", Outcome.OPEN, True),)),
    ],
)
async def test_one_that_was_handed_over_waits_for_a_word_and_is_not_over(silent, at, arrived_at, steps):
    async with silent() as driver:
        await ready(driver)
        driver.told(under_way(a_halted(at, arrived_at=arrived_at)))
        await driver.press("o", "enter")
        await driver.until("r resume")
        driver.told(*told(last(driver, protocol.Attach).request, *steps))
        text = await driver.until("take it up (resume)", "r resume", "b abandon, with a reason", f"▶ {at}", "esc close")
        assert "✔ verified" not in text
        assert "no outcome on record" not in text
        assert "✔ restore" not in text


async def test_what_was_handed_over_goes_on_and_ends(silent):
    async with silent() as driver:
        await ready(driver)
        await driver.press("s")
        await driver.until("switch ml/fraud")
        planned(driver, a_plan())
        await driver.until("Switch fraud to blue v12")
        await driver.press("y")
        request = last(driver).request
        driver.told(under_way(a_halted(arrived_at=NOW)), *told(request, ARRIVED, HANDED_OVER))
        await driver.until("r resume", "esc close")
        # Another console takes it up: nothing of that is told here but by the cluster.
        driver.told(under_way(a_line(Phase.LOCK, phase_at=NOW + 5, arrived_at=NOW)))
        await driver.until("taking the service's lock", "a abort: back to green v13", "esc leave", gone=("r resume",))
        # What comes of a request may be told after the end.
        end = ("end", "all is put back", Outcome.VERIFIED, True)
        driver.told(*told(request, *[("lock", "held", None, False)] * 7, end, ("ask", "asked ann", None, False)))
        await driver.until("✔ verified", "✔ restore", "esc close", gone=("taking the service's lock",))


# ---- an engine that ends


async def test_one_is_followed_again_when_there_is_another_engine(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(under_way(a_line(here=True)))
        await driver.press("o", "enter")
        await driver.until("watching it under traffic")
        first = last(driver, protocol.Attach).request
        driver.app._engine_lost("it ended")
        await driver.until("the engine ended: the operation goes on")
        driver.app._engine_found()
        driver.app.screen.renew()
        assert last(driver, protocol.Attach).request == first, "an engine that has read nothing yet follows nothing"
        driver.told(under_way(a_line(here=True)))
        await driver.until("watching it under traffic", gone=("the engine ended",))
        second = last(driver, protocol.Attach).request
        assert second != first
        assert len(driver.sent(protocol.Attach)) == 2
        end = ("end", "all is put back", Outcome.VERIFIED, True)
        driver.told(under_way(), *told(second, ARRIVED, end))
        await driver.until("✔ verified", "all is put back")
        driver.app._engine_lost("it ended")
        await driver.until("✔ verified", gone=("the operation goes on",))


async def test_one_that_ended_without_an_engine_is_over(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(under_way(a_line(here=True)))
        await driver.press("o", "enter")
        await driver.until("watching it under traffic")
        driver.app._engine_lost("it ended")
        await driver.until("the engine ended: the operation goes on")
        driver.app._engine_found()
        driver.told(under_way())
        await driver.until("over: esc, then a (audit) has how it ended", gone=("the engine ended",))


# ---- calls


def another(phase):
    """One on another service."""
    return a_line(phase, verbs=("keep", "abort"), plan=a_plan(id="p2", service="churn"))


async def test_a_page_that_is_covered_does_not_answer_a_call(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(under_way(a_line()))
        await driver.press("o", "enter")
        await driver.until("watching it under traffic", "esc leave")
        driver.told(under_way(a_line(), another(Phase.KEEP)))
        await driver.until("of ml/churn: keep it")


async def test_an_answer_takes_away_what_called_for_it_and_nothing_else(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(
            under_way(a_line(Phase.KEEP, verbs=("keep", "abort")), another(Phase.KEEP)),
            protocol.Notice("error", "ranker: UNVERIFIED: nobody has read this yet"),
        )
        await driver.until("of ml/fraud: keep it", "of ml/churn: keep it", "nobody has read this yet")
        driver.app.send(protocol.Ask(99, SERVICE.key, "keep"))
        await driver.until("of ml/churn: keep it", "nobody has read this yet", gone=("of ml/fraud: keep it",))
        await driver.press("o")
        await driver.until("operations under way", "nobody has read this yet", gone=("(o)",))
        await driver.press("escape", "w")
        await driver.until("alerts", "nobody has read this yet", gone=("operations under way",))


# ---- what is looked at


async def test_the_wheel_looks_farther_up_until_it_is_at_the_end_again(silent):
    async with silent(size=(80, 24)) as driver:
        await ready(driver)
        driver.told(under_way(a_line(here=True)))
        await driver.press("o", "enter")
        await driver.until("watching it under traffic")
        request = last(driver, protocol.Attach).request

        def said(numbers):
            driver.told(*(protocol.Progress(request, "ml/fraud", f"step-{n}", f"line {n}.", NOW + n) for n in numbers))

        # Nothing to move through yet: what comes is kept in sight all the same.
        await driver.press("up")
        said(range(40))
        await driver.until("line 39.")
        body = driver.app.screen.query_one("#plan-body")
        await driver.pilot._post_mouse_events([MouseScrollUp] * 4, body)
        await driver.until("line 30.", gone=("line 39.",))
        said(range(40, 42))
        await driver.until("line 30.", gone=("line 41.",))
        await driver.pilot._post_mouse_events([MouseScrollDown] * 8, body)
        await driver.until("line 41.")
        said(range(42, 44))
        await driver.until("line 43.")
