"""The table keeps its cursor on its row: while others come, go and change places, in sight and out of it."""

import pytest
from textual.app import App

from mlconsole.ui.spans import line, plain
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row, Table


class OneTable(App):
    """A table alone."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.chosen = []

    def get_theme_variable_defaults(self):
        return {"green": "#00ff00", "blue": "#0000ff", "frame": "#333333"}

    def compose(self):
        yield Table((Column("name", 4, 40, grows=True), Column("n", 1, 5, right=True)), empty="nothing here")

    def on_table_highlighted(self, event):
        self.told.append(event.key)

    def on_table_chosen(self, event):
        self.chosen.append(event.key)


def rows(*names):
    return [Row(name, (line(name), line(str(index)))) for index, name in enumerate(names)]


@pytest.fixture
async def app():
    one = OneTable()
    async with one.run_test(size=(30, 8)) as pilot:
        one.pilot = pilot
        one.table = one.query_one(Table)
        await pilot.pause()
        yield one


def text(app):
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


async def test_an_empty_table_says_so_and_one_with_rows_has_a_header(app):
    assert "nothing here" in text(app)[0]
    app.table.show(rows("a", "b"))
    await app.pilot.pause()
    assert text(app)[0].split() == ["name", "n"]
    assert text(app)[1].split() == ["▸a", "0"]


async def test_the_cursor_stays_on_its_row_when_the_order_changes(app):
    app.table.show(rows("a", "b", "c"))
    await app.pilot.press("down")
    assert app.table.key == "b"
    app.table.show(rows("c", "x", "a", "b"))
    assert app.table.key == "b"


async def test_a_row_that_goes_and_comes_back_has_the_cursor_again(app):
    app.table.show(rows("a", "b", "c"))
    await app.pilot.press("down")
    app.table.show(rows("a", "c"))
    assert app.table.astray
    assert app.table.key == "c"
    app.table.show(rows("a", "b", "c"))
    assert app.table.key == "b"
    assert not app.table.astray


async def test_a_row_that_moves_out_of_sight_is_followed(app):
    names = [f"row-{number:02}" for number in range(40)]
    app.table.show(rows(*names))
    await app.pilot.press("down")
    app.table.show(rows(*reversed(names)))
    await app.pilot.pause()
    assert any(line.startswith("▸row-01") for line in text(app))


async def test_keys_move_through_the_rows_and_what_was_left_is_told(app):
    app.table.show(rows(*"abcdefghijklmnopqrstuvwxyz"))
    await app.pilot.press("end", "home", "pagedown", "j", "k", "G", "g")
    await app.pilot.pause()
    assert app.told == ["a", "z", "a", "g", "h", "g", "z", "a"]
    assert app.table.key == "a"


async def test_the_filter_shows_rows_with_every_word(app):
    app.table.show(rows("fraud blue", "fraud green", "churn blue"))
    app.table.filter("BLUE fr")
    assert app.table.count == (1, 3)
    app.table.filter("nobody")
    await app.pilot.pause()
    assert "nothing matches 'nobody'" in "\n".join(text(app))
    app.table.filter("")
    assert app.table.count == (3, 3)


async def test_a_click_puts_the_cursor_there_and_a_second_one_chooses(app):
    app.table.show(rows("a", "b", "c"))
    await app.pilot.pause()
    await app.pilot.click(Table, offset=(3, 2))
    assert app.table.key == "b"
    await app.pilot.click(Table, offset=(3, 2))
    await app.pilot.pause()
    assert app.chosen == ["b"]


def test_a_row_is_plain_text_for_the_filter():
    assert plain(rows("[bold]a[/bold]")[0].cells[0]) == "[bold]a[/bold]"
