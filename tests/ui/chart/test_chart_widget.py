import math
import subprocess
import sys

import pytest
from textual.app import App
from textual.geometry import Region

from mlconsole.domain.telemetry import Mark, Series
from mlconsole.ui.chart.rows import Row
from mlconsole.ui.chart.styled import style_series
from mlconsole.ui.chart.widget import Chart, ChartPart, differing

END = 1_764_000_000.0
HOUR = 3600.0
COUNT = 241


def lines(*, last=0.2, end=END):
    times = tuple(end - 15 * (COUNT - 1 - index) for index in range(COUNT))
    return style_series(
        [
            Series(color, stat, times, (*(base + 0.02 * math.sin(index / 9) for index in range(COUNT - 1)), last))
            for color, base in (("green", 0.2), ("blue", 0.3))
            for stat in ("p50", "p95", "p99")
        ],
        "green",
    )


MARKS = (Mark(END - 1800, "switch", "switch to green v13"),)


class Watched(Chart):
    """A chart that notes which of its rows are painted."""

    def __init__(self):
        super().__init__()
        self.painted = []

    def row_strip(self, y):
        self.painted.append(y)
        return super().row_strip(y)


class ChartApp(App):
    CSS = "Chart { border: round gray; padding: 0 1; }"

    def get_theme_variable_defaults(self):
        return {"green": "#6cc08b", "blue": "#6d9fd8"}

    def compose(self):
        yield Watched()


def show(chart, *, end=END, **options):
    chart.update(lines(**options), MARKS, end - HOUR, end, "s")


def screen_text(app):
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


@pytest.mark.parametrize("size", [(120, 30), (80, 24), (40, 10), (12, 5), (200, 60)])
async def test_it_is_drawn_at_every_size(size):
    app = ChartApp()
    async with app.run_test(size=size) as pilot:
        show(app.query_one(Chart))
        await pilot.pause()
        text = screen_text(app)
        assert any(0x2800 < ord(char) <= 0x28FF for char in text)
        assert ("● green p50" in text) == (size[0] >= 80)
        assert all(len(line) == size[0] for line in text.splitlines())


async def test_before_the_first_update_it_says_that_there_is_no_data():
    app = ChartApp()
    async with app.run_test(size=(60, 12)):
        assert "no data" in screen_text(app)


async def test_the_same_again_paints_nothing():
    app = ChartApp()
    async with app.run_test(size=(120, 30)) as pilot:
        chart = app.query_one(Watched)
        show(chart)
        await pilot.pause()
        chart.painted.clear()
        show(chart)
        await pilot.pause()
        assert chart.painted == []


async def test_a_new_value_paints_the_few_rows_that_it_changes():
    app = ChartApp()
    async with app.run_test(size=(120, 30)) as pilot:
        chart = app.query_one(Watched)
        show(chart)
        await pilot.pause()
        chart.painted.clear()
        show(chart, last=0.21)
        await pilot.pause()
        assert 0 < len(set(chart.painted)) <= 8
        assert "p95 210 ms" in screen_text(app)


async def test_what_is_painted_in_parts_is_what_is_painted_at_once():
    app, fresh = ChartApp(), ChartApp()
    async with app.run_test(size=(90, 20)) as pilot:
        for step in range(12):
            show(app.query_one(Chart), end=END + 15 * step, last=0.2 + step / 100)
            await pilot.pause()
        parts = screen_text(app)
    async with fresh.run_test(size=(90, 20)) as pilot:
        show(fresh.query_one(Chart), end=END + 15 * 11, last=0.31)
        await pilot.pause()
        assert screen_text(fresh) == parts


async def test_resizing_draws_it_anew():
    app = ChartApp()
    async with app.run_test(size=(120, 30)) as pilot:
        show(app.query_one(Chart))
        for size in ((20, 5), (3, 2), (60, 14), (1, 1), (120, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert "● green p50" in screen_text(app)


async def test_ascii_can_be_switched():
    app = ChartApp()
    app.CSS = ""
    async with app.run_test(size=(100, 20)) as pilot:
        chart = app.query_one(Chart)
        chart.styles.border = None
        show(chart)
        chart.ascii = True
        await pilot.pause()
        assert screen_text(app).isascii()
        chart.ascii = False
        await pilot.pause()
        assert not screen_text(app).isascii()


async def test_a_theme_changes_its_colours():
    app = ChartApp()
    async with app.run_test(size=(100, 20)) as pilot:
        chart = app.query_one(Chart)
        show(chart)
        await pilot.pause()

        def colours():
            return {segment.style.color for y in range(chart.size.height) for segment in chart.row_strip(y)}

        before = colours()
        assert len(before) >= 6
        app.theme = "textual-light"
        await pilot.pause()
        own = {"#6cc08b", "#6d9fd8"}
        assert {color.get_truecolor().hex for color in colours() & before} <= own


async def test_an_update_while_it_is_hidden_shows_later():
    app = ChartApp()
    async with app.run_test(size=(100, 20)) as pilot:
        chart = app.query_one(Chart)
        chart.display = False
        await pilot.pause()
        show(chart)
        chart.display = True
        await pilot.pause()
        assert "● green p50" in screen_text(app)


def test_a_region_holds_what_differs():
    before, after = Row("a" * 60, bytes(60)), Row("a" * 10 + "bb" + "a" * 8 + "b" + "a" * 39, bytes(60))
    assert differing(3, before, after) == Region(9, 3, 13, 1)
    assert differing(0, before, Row(before.text, bytes([1]) + bytes(59))) == Region(0, 0, 2, 1)
    assert not differing(0, before, before)


async def test_a_new_value_leaves_all_but_the_live_edge_and_the_legend_alone(monkeypatch):
    app = ChartApp()
    async with app.run_test(size=(120, 30)) as pilot:
        chart = app.query_one(Chart)
        show(chart)
        await pilot.pause()
        asked = []
        monkeypatch.setattr(ChartPart, "refresh", lambda part, *regions: asked.append((part, regions)))
        show(chart, last=0.21)
        waiting, edge = chart.query(ChartPart)
        legends = {chart.size.height - 2, chart.size.height - 1}
        assert all(regions for _, regions in asked)
        assert {region.y for part, regions in asked for region in regions if part is waiting} == legends
        assert {region.y for part, regions in asked for region in regions if part is edge} - legends


def test_numpy_waits_for_the_first_line():
    code = "import sys, mlconsole.ui.chart.widget; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
