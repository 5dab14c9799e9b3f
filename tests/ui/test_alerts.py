"""Alerts on the screen: the header's count, the page, what is done about one, and how it calls."""

import pytest
from msgspec.structs import replace

from mlconsole.domain.alerts import Alert, Handling, Severity, State, Unjudged
from mlconsole.domain.attribution import Cause, Row, Verdict
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.services import Health
from mlconsole.engine import protocol
from mlconsole.ui import calling
from mlconsole.ui.panes.latency import LatencyPane
from mlconsole.ui.render import alerts as render
from mlconsole.ui.screens.alerts import AlertPage, AlertsPage
from mlconsole.ui.spans import plain

from .facts import NOW, SERVICE

SLOW = Alert(
    "slow|ml/fraud|1",
    "slow",
    "ml/fraud",
    Severity.PAGE,
    State.FIRING,
    ("rule",),
    NOW - 300,
    NOW - 300,
    value="p95 = 943 ms",
    condition="p95 > 0.25",
    panel="latency",
)
ERRORS = replace(SLOW, id="errors|ml/churn|1", name="errors", service="ml/churn", panel="errors")
BEFORE = Cause(
    Verdict.NEITHER,
    "p95 began to rise 14:02 (13:59-14:04, 97 %): 180 ms -> 620 ms; 4 min before the switch: not this deploy",
    rows=(Row(NOW - 60, "operation", "the switch to green v13", "4 min after it began"),),
)


def told(*alerts, **more):
    return protocol.Alerts(alerts, **more)


def row(name):
    return protocol.FleetRow(replace(SERVICE, name=name), Health.OK)


async def ready(driver):
    await driver.filled()
    driver.told(protocol.Fleet((row("fraud"), row("churn")), reset=True, complete=True))
    await driver.until("fraud", "churn")
    await driver.selected(driver.app._main.pointed())


async def test_the_header_counts_what_calls_and_the_bell_rings_once(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(told(SLOW, ERRORS))
        await driver.until("▲ 2 alerts", "page: slow of ml/fraud: p95 = 943 ms (and 1 more)")
        assert driver.bells == 1
        driver.told(told(replace(SLOW, value="p95 = 800 ms"), ERRORS))
        in_hand = replace(ERRORS, handled=Handling("acknowledge", "ann", NOW))
        driver.told(told(SLOW, in_hand))
        await driver.until("▲ 1 alert ")
        assert driver.bells == 1
        driver.told(told(replace(SLOW, id="slow|ml/fraud|2")))
        await driver.until("▲ 1 alert ")
        assert driver.bells == 2


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_page_and_one_alert_with_what_it_is_of(silent, size):
    async with silent(size) as driver:
        await ready(driver)
        driver.told(told(SLOW, problem="alertmanager: no answer within 6 s"))
        await driver.press("w")
        await driver.until("severity", "firing", "slow", "no answer within 6 s", "a acknowledge")
        await driver.press("enter")
        await driver.until("wrong if", "p95 > 0.25", "Deploy or data?  being looked at")
        assert driver.sent(protocol.AskCause) == [protocol.AskCause(SLOW.id)]
        driver.told(protocol.AlertCause(SLOW.id, BEFORE))
        await driver.until("NOT THE DEPLOY", "began to rise", "the switch to green v13")
        await driver.press("escape")
        await driver.until("severity", gone=("wrong if",))
        assert isinstance(driver.app.screen, AlertsPage)


async def test_who_looks_at_the_alerts_hears_the_bell_and_no_words(silent):
    async with silent() as driver:
        await ready(driver)
        await driver.press("w")
        await driver.until("nothing is wrong by any rule")
        driver.told(told(SLOW))
        await driver.until("p95 = 943 ms", gone=("page: slow of",))
        assert driver.bells == 1


async def test_what_is_done_about_one(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(told(SLOW))
        await driver.press("w")
        await driver.until("severity", "slow")
        await driver.press("a")
        await driver.press("s", *"30m", "space", *"known", "enter")
        await driver.press("u")
        await driver.press("S")
        await driver.until("no silence: Alertmanager does not know this alert")
        assert driver.sent(protocol.HandleAlert) == [
            protocol.HandleAlert(SLOW.id, "acknowledge"),
            protocol.HandleAlert(SLOW.id, "snooze", 1800.0, "known"),
            protocol.HandleAlert(SLOW.id, "take back"),
        ]


async def test_a_silence_takes_a_time_and_a_reason(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(told(replace(SLOW, sources=("alertmanager",))))
        await driver.press("w")
        await driver.until("severity", "slow")
        await driver.press("S", *"soon", "enter")
        await driver.until("'soon' is no duration")
        await driver.press(*["backspace"] * 4, *"2h", "enter")
        await driver.until("a silence takes a reason")
        assert driver.sent(protocol.HandleAlert) == []
        await driver.press("space", *"night", "enter")
        assert driver.sent(protocol.HandleAlert) == [protocol.HandleAlert(SLOW.id, "silence", 7200.0, "night")]


async def test_the_chart_that_shows_it(silent):
    async with silent() as driver:
        await ready(driver)
        driver.told(told(ERRORS))
        driver.app.select("ml/fraud")
        await driver.press("w")
        await driver.until("severity", "churn")
        await driver.press("enter")
        await driver.until("wrong if")
        assert isinstance(driver.app.screen, AlertPage)
        await driver.press("c")
        await driver.until("4 Latency", gone=("wrong if", "severity"))
        assert driver.app.known.selected == "ml/churn"
        assert driver.app._main.current.id == "latency"
        assert driver.app.query_one(LatencyPane).panel == "errors"


async def test_the_terminal_s_own_notification_only_where_it_is_asked_for(silent):
    async with silent() as driver:
        await ready(driver)
        written = []
        driver.app._driver.write = written.append
        evil = replace(SLOW, name="slow\x07\x1b]2;owned\x1b\\", value="a;b")
        driver.told(told(evil))
        assert not [piece for piece in written if "\x1b]9;" in piece or "\x1b]2;" in piece]
        loud = protocol.Calling(terminal="osc9", title=True)
        driver.told(told(replace(evil, id="again"), calling=loud))
        (note,) = [piece for piece in written if piece.startswith("\x1b]9;")]
        assert note.count("\x1b") == 1
        assert note.count("\x07") == 1
        (title,) = [piece for piece in written if "\x1b]2;" in piece]
        assert title.endswith("\x1b]2;mlconsole: 1 alert\x07")
        driver.app._caller.leave()
        assert written[-1] == calling.POP_TITLE


@pytest.mark.parametrize("kind", ["osc9", "osc777"])
def test_a_notification_holds_nothing_that_a_terminal_obeys(kind):
    words = calling.notification(kind, "x" * 5000 + "\x1b]52;c;aGk=\x07")
    body = words[2:-1]
    assert body.isprintable()
    assert len(body) < 300
    assert calling.notification("off", "x") == ""


@pytest.mark.parametrize(
    ("alert", "shown"),
    [
        (SLOW, ["▲", "page", "firing", "slow", "fraud", "5m", "p95 = 943 ms", "", "rule"]),
        (
            replace(SLOW, handled=Handling("snooze", "ann", NOW, NOW + 3600), unknown_since=NOW - 9),
            ["▲", "page", "firing ?", "slow", "fraud", "5m", "p95 = 943 ms", "snoozed until 15:13Z by ann", "rule"],
        ),
        (
            replace(SLOW, service="", state=State.RESOLVED, sources=("alertmanager", "prometheus")),
            ["✔", "page", "resolved", "slow", "–", "5m", "p95 = 943 ms", "", "alertmgr+prom"],
        ),
    ],
)
def test_a_row(alert, shown):
    (found,) = render.rows([alert], NOW)
    cells = [plain(cell) for cell in found.cells]
    assert [cell if "snoozed" not in cell else "snoozed" for cell in cells] == [
        cell if "snoozed" not in cell else "snoozed" for cell in shown
    ]


def test_in_hand_is_said_in_grey_and_nothing_where_nothing_fires():
    held = replace(SLOW, silenced_by=("ann until 14:00Z",))
    assert plain(render.short([held], NOW)) == "1 alert in hand"
    assert render.short([], NOW) == ()
    assert render.short([replace(SLOW, state=State.PENDING)], NOW) == ()


def test_what_is_unknown_stands_on_the_page():
    lines = [
        plain(item) for item in render.details(replace(SLOW, unknown_since=NOW - 60, why="no data"), None, NOW, 60)
    ]
    assert any("UNKNOWN" in item and "no data" in item for item in lines)


async def test_the_operation_that_is_named_is_opened_whole(silent):
    async with silent((80, 24)) as driver:
        await ready(driver)
        driver.told(told(SLOW))
        await driver.press("w")
        await driver.until("severity", "slow")
        await driver.press("enter")
        await driver.until("Deploy or data?  being looked at", gone=("o the operation",))
        record = Record("op-1", Kind.SWITCH, "fraud", "ml", NOW - 60, "ann", reason="friday", outcome=Outcome.VERIFIED)
        driver.told(protocol.AlertCause(SLOW.id, BEFORE, record))
        await driver.until("NOT THE DEPLOY", "o the operation")
        await driver.press("o")
        await driver.until("switch of fraud", "friday")
        await driver.press("escape")
        await driver.until("NOT THE DEPLOY")


def test_what_is_not_judged_is_said_together_and_not_without_end():
    some = [Unjudged(f"drift-{n}", tuple(f"ml/s{m}" for m in range(8)), "no figures") for n in range(6)]
    lines = [plain(item) for item in render.told(told(unjudged=tuple(some)), NOW, 100)]
    assert lines[0] == "not judged: drift-0 on s0, s1, s2, s3, s4 and 3 more: no figures"
    assert lines[-1] == "and 2 more that cannot be judged now: mlconsole alerts tells all"
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("more", "silencing", "keys"),
    [
        ({}, "", "asc"),
        ({"handled": Handling("acknowledge", "ann", NOW)}, "", "asuc"),
        ({"handled": Handling("snooze", "ann", NOW - 90, NOW - 30)}, "", "asc"),
        ({"sources": ("alertmanager",)}, "", "asSc"),
        ({"sources": ("alertmanager",), "service": ""}, "read-only", "as"),
    ],
)
def test_no_key_for_what_cannot_be(more, silencing, keys):
    assert "".join(key for key, _ in render.verbs(replace(SLOW, **more), NOW, silencing)) == keys
