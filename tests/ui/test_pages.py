"""The pages over the main screen keep their keys in sight, however low the terminal and however long what they show."""

import pytest

from mlconsole.domain.phases import Phase
from mlconsole.ui.screens.page import TablePage
from mlconsole.ui.spans import line
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Row, Table
from ui.facts import NOW, a_line, a_plan, ready, under_way

HEIGHTS = (12, 16, 20, 24, 50)


def keys(driver):
    """Where the line of keys stands, what holds it, and what stands above it."""
    frame = driver.app.screen.query_one(".frame")
    return driver.app.screen.query_one(".keys", Lines), frame, driver.app.screen.query_one(Table)


@pytest.mark.parametrize("rows", [2, 60])
@pytest.mark.parametrize("height", HEIGHTS)
async def test_a_table_leaves_the_keys_their_line(silent, height, rows):
    async with silent(size=(80, height)) as driver:
        found = [Row(str(number), (line(f"row {number}."),)) for number in range(rows)]
        driver.app.push_screen(TablePage("rows", (Column("row", 8, 40),), lambda: found, "none", "choose"))
        await driver.until("row 0.", "enter choose", "esc back")
        line_of_keys, frame, table = keys(driver)
        assert frame.content_region.contains_region(line_of_keys.region)
        assert line_of_keys.region.y == table.region.bottom
        # A long one takes what there is, a short one no more than it needs.
        assert table.size.height == (rows + 1 if rows < 9 else frame.content_region.height - 1)
        assert frame.region.height == (rows + 4 if rows < 9 else height * 92 // 100)


@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize("height", HEIGHTS)
async def test_what_can_be_asked_of_an_operation_is_in_sight_below_many(silent, height, rows):
    async with silent(size=(80, height)) as driver:
        await ready(driver)
        waits = {"verbs": ("abort", "keep"), "arrived_at": NOW}
        lines = [a_line(Phase.KEEP, plan=a_plan(id=f"p{n}", service=f"fraud-{n}"), **waits) for n in range(rows)]
        driver.told(under_way(*lines))
        await driver.press("o")
        await driver.until("K keep it", "a abort", "enter follow", "esc back")
        line_of_keys, frame, _ = keys(driver)
        assert frame.content_region.contains_region(line_of_keys.region)


async def test_every_key_of_an_interrupted_one_is_in_sight_on_the_smallest_terminal(silent):
    async with silent(size=(40, 12)) as driver:
        await ready(driver)
        driver.told(under_way(a_line(Phase.WATCH, alive=False, verbs=("resume", "abort", "abandon"), arrived_at=NOW)))
        await driver.press("o")
        await driver.until("take it up", "r resume", "a abort", "b abandon", "enter follow", "esc back")
