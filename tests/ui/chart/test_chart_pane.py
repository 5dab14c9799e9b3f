"""The chart's pane under a pilot: what its keys ask of the engine, and what stands on the screen."""

import contextlib
import csv
import math
import re
import time
from xml.dom import minidom

import pytest
from textual.events import MouseScrollUp

from mlconsole.domain.telemetry import DAY, WEEK, Mark, Panel, Series, Telemetry
from mlconsole.engine import protocol
from mlconsole.ui.chart.view import HOUR
from mlconsole.ui.panes.latency import LatencyPane, version_shift

KEY = "ml/churn"
STEP = 15.0


@pytest.fixture
def now():
    return time.time() // STEP * STEP


def telemetry(now, *, end=None, seconds=900.0, compare=0.0, step=STEP):
    end = end or now
    times = tuple(end - step * index for index in range(int(seconds / step) - 1, -1, -1))
    lines = [
        Series(color, stat, times, tuple(base * (1.2 + math.sin(at / 200)) for at in times))
        for color, base in (("green", 0.2), ("blue", 0.3))
        for stat in ("p50", "p95", "p99")
    ]
    if compare:
        lines.insert(0, Series("green", "p95", times, (0.15,) * len(times), ghost="yesterday"))
    edges = ("0.1", "0.5", "+Inf")
    heat = [
        Series(color, edge, times, tuple(10.0 * (1 + index) for _ in times))
        for color in ("green", "blue")
        for index, edge in enumerate(edges)
    ]
    panels = (
        Panel("latency", "latency", "s", tuple(lines), thresholds=((0.4, "limit 400 ms"),)),
        Panel("buckets", "latency by bucket", "s", tuple(heat), form="heat"),
        Panel("rate", "requests", "1/s", (Series("green", "rate", times, (40.0,) * len(times)),)),
    )
    marks = (
        Mark(now - 9000, "switch", "switch to blue v12"),
        Mark(now - 600, "switch", "switch to green v13"),
        Mark(now - 300, "alert", "p95 over 400 ms since the switch, by far too long to stand beside its sign whole"),
    )
    return protocol.Charts(Telemetry(KEY, end, times[0], times[-1], step, "prometheus", panels, marks, compare=compare))


@pytest.fixture
def charting(silent, now):
    """Open a console whose chart has figures."""

    @contextlib.asynccontextmanager
    async def open_console(size=(120, 40), **options):
        async with silent(size=size) as driver:
            await driver.filled()
            driver.app.known.select(KEY)
            driver.told(telemetry(now, **options))
            driver.app._main.go(4)
            driver.app._main.show()
            await driver.until("latency · 15m")
            yield driver

    return open_console


def asked(driver):
    return driver.sent(protocol.ShowRange)


def chart(driver):
    return driver.app.query_one(LatencyPane).chart


async def test_it_asks_for_nothing_until_a_key_does(charting):
    async with charting() as driver:
        assert asked(driver) == []
        await driver.press("t")
        await driver.until("· 1h")
        assert asked(driver) == [protocol.ShowRange(HOUR)]


async def test_back_and_forward_and_the_present(charting, now):
    async with charting() as driver:
        await driver.press("left")
        await driver.until("BACK", "asked for")
        [first] = asked(driver)
        assert first.seconds == 900.0
        assert first.end == pytest.approx(now - 225, abs=60)
        driver.told(telemetry(now, end=first.end // STEP * STEP))
        await driver.until("BACK", "prometheus", gone=["asked for"])
        await driver.press("end")
        await driver.until("latency · 15m", gone=["BACK"])
        assert asked(driver)[-1] == protocol.ShowRange(900.0)


async def test_a_pause_is_said_in_words_and_holds(charting, now):
    async with charting() as driver:
        await driver.press("space")
        await driver.until("PAUSED at")
        held = asked(driver)[-1].end
        before = chart(driver).content
        driver.app._main.show()
        assert chart(driver).content == before
        assert before.end == held
        await driver.press("space")
        await driver.until("latency · 15m", gone=["PAUSED"])


async def test_brackets_zoom_here_and_change_the_service_elsewhere(charting):
    async with charting() as driver:
        await driver.press("right_square_bracket")
        await driver.until("· 30m")
        await driver.press("left_square_bracket", "left_square_bracket")
        await driver.until("· 10m")
        assert [one.seconds for one in asked(driver)] == [1800.0, 900.0, 600.0]
        await driver.press("1", "left_square_bracket")
        assert len(asked(driver)) == 3


async def test_the_crosshair_shows_values_where_the_legend_was(charting):
    async with charting() as driver:
        await driver.until("● green p")
        assert not re.search(r"\d\d:\d\d:\d\d  ●", driver.text)
        await driver.press("v")
        await driver.until("● green p")
        assert re.search(r"\d\d:\d\d:\d\d  ● \w+ p\d\d \d", driver.text)
        at = chart(driver).cursor
        await driver.press("left")
        assert chart(driver).cursor == pytest.approx(at - chart(driver).column_seconds)
        assert asked(driver) == []
        await driver.press("escape")
        await driver.pilot.pause()
        assert chart(driver).cursor is None
        await driver.until("● green p")


async def test_the_crosshair_on_a_mark_says_its_words_whole(charting, now):
    async with charting() as driver:
        await driver.press("up")
        assert chart(driver).cursor == now - 300
        await driver.until("▲ p95 over 400 ms since the switch, by far too long")
        await driver.until("beside its sign whole")
        await driver.press("up")
        await driver.until("⇄ switch to green v13")
        await driver.press("down")
        assert chart(driver).cursor == now - 300


async def test_at_the_edge_the_crosshair_takes_the_time_along(charting):
    async with charting() as driver:
        await driver.press("v")
        await driver.press(*["shift+left"] * 12)
        assert asked(driver)
        assert asked(driver)[-1].end > 0
        content = chart(driver).content
        assert content.start - chart(driver).column_seconds <= content.cursor <= content.end


async def test_values_from_another_pane_bring_the_focus(charting):
    async with charting(size=(80, 24)) as driver:
        await driver.press("1")
        await driver.until("[1 Fleet]")
        await driver.press("v")
        await driver.until("[4 Latency]")
        assert chart(driver).cursor is not None


async def test_comparisons_go_round(charting, now):
    async with charting() as driver:
        await driver.press("y")
        await driver.until("against yesterday")
        assert asked(driver)[-1] == protocol.ShowRange(900.0, 0.0, DAY)
        driver.told(telemetry(now, compare=DAY))
        await driver.until("◌ yesterday green p95 150 ms")
        await driver.press("y")
        assert asked(driver)[-1].compare == WEEK
        await driver.press("y")
        assert asked(driver)[-1].compare == pytest.approx(8400.0)
        await driver.until("against the version")
        await driver.press("y")
        await driver.until("latency · 15m", gone=["against"])


async def test_a_day_without_figures_is_said(charting, now):
    async with charting() as driver:
        await driver.press("m", "m", "y")
        driver.told(telemetry(now, compare=DAY))
        await driver.until("no figures of yesterday")


def test_one_move_of_traffic_has_no_version_before():
    assert version_shift((Mark(5.0, "switch", ""), Mark(9.0, "alert", ""))) == 0.0


async def test_panels_go_round_both_ways(charting):
    async with charting() as driver:
        await driver.press("m")
        await driver.until("latency by bucket", "req/s")
        await driver.press("M", "M")
        await driver.until("requests · 15m", "40 req/s")
        assert [one.panel for one in driver.sent(protocol.ShowPanel)] == ["buckets", "latency", "rate"]


async def test_a_new_engine_is_told_what_is_on_the_chart(charting):
    async with charting() as driver:
        await driver.press("y", "m")
        told = driver.app._link.sent
        told.clear()
        driver.app._engine_found()
        assert protocol.ShowRange(900.0, 0.0, DAY) in told
        assert protocol.ShowPanel("buckets") in told


async def test_the_wheel_zooms_about_the_pointer_and_a_drag_scrolls(charting):
    async with charting() as driver:
        drawn = chart(driver)
        about = drawn.instant_at(30)
        await driver.pilot._post_mouse_events([MouseScrollUp], drawn, (30, 5))
        await driver.until("· 10m")
        assert drawn.instant_at(30) == pytest.approx(about, abs=3 * drawn.column_seconds)
        await driver.pilot.mouse_down(drawn, offset=(30, 5))
        await driver.pilot.hover(drawn, offset=(40, 5))
        await driver.pilot.mouse_up(drawn, offset=(40, 5))
        moved = asked(driver)
        assert moved[-1].end == pytest.approx(moved[-2].end - 10 * 600 / drawn._drawing.view.columns, abs=20)


async def test_the_axis_and_the_glyphs_change(charting):
    async with charting() as driver:
        await driver.press("b")
        await driver.pilot.pause()
        assert not any(0x2800 < ord(char) <= 0x28FF for char in driver.text)
        await driver.press("g")
        await driver.until("· log")
        await driver.press("g", "b")
        await driver.until("latency · 15m", gone=["· log"])


@pytest.mark.parametrize("panel", [0, 1, 2])
async def test_what_is_on_the_screen_is_written_to_files(charting, tmp_path, panel):
    async with charting() as driver:
        await driver.press(*["m"] * panel)
        await driver.press("f")
        await driver.until("write the chart to a file")
        await driver.press("enter")
        await driver.until("the chart is in")
        found = {name.suffix: name for name in _within(tmp_path / "state/mlconsole/exports")}
        assert found.keys() == {".svg", ".csv"}
        assert minidom.parse(str(found[".svg"])).documentElement.tagName == "svg"
        rows = list(csv.reader(found[".csv"].open()))
        assert len(rows) == 61
        assert len(rows[0]) == (7, 7, 2)[panel]
        assert rows[1][0].endswith("Z")
        assert found[".svg"].stat().st_mode & 0o777 == 0o600


def _within(folder):
    return list(folder.iterdir())


async def test_a_path_that_cannot_be_written_is_said(charting, tmp_path):
    (tmp_path / "taken.csv").write_text("")
    async with charting() as driver:
        await driver.press("f")
        await driver.until("write the chart to a file")
        field = driver.app.screen.query_one("Input")
        field.value = str(tmp_path / "taken.csv")
        await driver.press("enter")
        await driver.until("could not be written")
        assert (tmp_path / "taken.csv").read_text() == ""
