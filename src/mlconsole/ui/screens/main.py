"""The main screen: three lines of header, the panes, the keys. Its layout follows the terminal's size by classes.

Wide and normal terminals show all panes on a grid; a narrow one, and zoom, show one of them and the list of the others.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Collection, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import DescendantFocus, Resize
from textual.geometry import Size
from textual.screen import Screen

from mlconsole.domain.services import Health
from mlconsole.ui.keys import KEYS, Key
from mlconsole.ui.known import Known
from mlconsole.ui.panes.deployment import DeploymentPane
from mlconsole.ui.panes.drift import DriftPane
from mlconsole.ui.panes.fleet import FleetPane
from mlconsole.ui.panes.latency import LatencyPane
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.panes.pipeline import PipelinePane
from mlconsole.ui.panes.registry import RegistryPane
from mlconsole.ui.render import header
from mlconsole.ui.spans import Line, Slot, Span, joined, line, parted, width_of
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Table

if TYPE_CHECKING:
    from textual.widgets import Input

    from mlconsole.ui.app import Console

PANES = (FleetPane, PipelinePane, RegistryPane, LatencyPane, DriftPane, DeploymentPane)
WIDTHS = {180: "-wide", 100: "-normal", 0: "-narrow"}
HEIGHTS = {34: "-tall", 12: "-low", 0: "-flat"}
"""The classes by the columns and the rows that they begin with; Textual's breakpoints come after the first paint."""
CLOCK_WIDTH = 9
STANDING_SECONDS = 5.0
"""After which modules, screens and most of the fleet are there."""
COVERED_SECONDS = 15
"""Seconds between two looks of a main screen that a page covers."""


def _app_action(action: str) -> str:
    return action if "." in action else f"app.{action}"


class MainScreen(Screen[None]):
    """What stands on the terminal all day."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key.key, _app_action(key.action), key.label, show=False) for key in KEYS if key.action),
        *(Binding(str(number), f"app.pane({number})", show=False) for number in range(1, 7)),
        Binding("escape", "app.escape", show=False),
    ]

    def __init__(self, known: Known, room: Size) -> None:
        super().__init__(classes=" ".join(_fitting(room)))
        self._known = known
        self._current = "fleet"
        self._zoomed = False
        self._ticks = 0
        self._filled = False
        self._settled = False
        """Whether the fleet was whole when the worst service was last looked for."""

    def compose(self) -> ComposeResult:
        """Header, panes, filter, keys."""
        with Container(id="top"):
            yield Lines(id="place")
            # Textual paints a change from the left edge of its widget on: every second the whole row, were it one.
            yield Lines(id="clock")
        yield Lines(id="header")
        yield Lines(id="tabs")
        with Container(id="panes"):
            for pane in PANES:
                yield pane()
        yield Lines(id="hints")

    def on_mount(self) -> None:
        """Show the frames now, and what is in them once they were painted."""
        self.set_interval(1.0, self.tick)
        self._arrange()
        self.show()
        self.call_after_refresh(self._fill)

    async def _fill(self) -> None:
        from textual import widgets

        words = "words to filter by: enter keeps them, esc ends the filter"
        await self.mount(widgets.Input(id="filter", placeholder=words, select_on_focus=False), before="#hints")
        for pane in self.query(Pane):
            await pane.fill()
        self._filled = True
        self._focus_current()
        self.show()
        self.set_timer(STANDING_SECONDS, _spare_what_stands)
        # The first chart needs numpy: a tenth of a second that no key waits for when it is spent in a thread.
        self.run_worker(partial(importlib.import_module, "numpy"), thread=True, exit_on_error=False)

    # ---- what is shown

    @property
    def panes(self) -> list[Pane]:
        """The panes that are on the screen now."""
        return [pane for pane in self.query(Pane) if pane.display]

    @property
    def single(self) -> bool:
        """Whether one pane stands alone."""
        return self._zoomed or self._small

    @property
    def _small(self) -> bool:
        return self._room.width < 100 or self._room.height < 24

    @property
    def _room(self) -> Size:
        """The size of the terminal, also before the first layout."""
        return self.app.size

    @property
    def fleet(self) -> Table | None:
        """The fleet's table, once it is there."""
        return self.query_one("#fleet", Pane).table

    @property
    def current(self) -> Pane:
        """The pane that has, or had last, the focus."""
        return self.query_one(f"#{self._current}", Pane)

    def show(self) -> None:
        """Show what is known, everywhere."""
        now = time.time()
        self._show_header(now)
        for pane in self.panes if self._filled else ():
            pane.show(self._known, now)

    def renew(self, names: Collection[str]) -> None:
        """Show again what these panes show, and the header; `tick` does it while a page lies above."""
        if not self.is_active:
            return
        now = time.time()
        self._show_header(now)
        for pane in self.panes if self._filled and names else ():
            if pane.id in names:
                pane.show(self._known, now)

    def tick(self) -> None:
        """A second passed: ages and clocks. Panes repaint only the cells that differ.

        Under a page every change costs the line a whole screen, so it is seldom then.
        """
        self._ticks += 1
        if self.is_active or self._ticks % COVERED_SECONDS == 0:
            self.show()

    def on_screen_resume(self) -> None:
        """The page above is gone."""
        self.show()

    def _show_header(self, now: float) -> None:
        width, height = max(1, self._room.width - 2), self._room.height
        place, clock = parted(header.place(self._known, now, width), max(0, width - CLOCK_WIDTH))
        self.query_one("#place", Lines).show([place])
        self.query_one("#clock", Lines).show([clock])
        lines = [header.service(self._known, now, width), header.meter(self._known, now, width)]
        self.query_one("#header", Lines).show(lines if height >= 8 else [])
        if self.single:
            self.query_one("#tabs", Lines).show([self._tabs()])
        self.query_one("#hints", Lines).show([hints(width, self._known.missing)])

    def _tabs(self) -> Line:
        """The panes; where there is no room the names of those that are not here are cut short, all alike."""
        room = max(1, self._room.width - 2)
        found = (_tabbed(self._current, letters) for letters in (20, 8, 5, 4, 3, 2, 0))
        return next((tabs for tabs in found if width_of(tabs) <= room), _tabbed(self._current, 0))

    def pointed(self) -> str:
        """The service under the cursor; until the operator moves it, it follows the worst."""
        table = self.fleet
        if table is None or not self.is_active:
            return ""
        settled, self._settled = self._settled, self._known.complete
        worst = self._known.rows.get(table.first)
        if not table.steered and (not settled or (worst is not None and worst.health is Health.BAD)):
            table.select(table.first)
        return "" if table.astray and not self._known.complete else table.key

    # ---- arrangement

    def on_resize(self, event: Resize) -> None:
        """Another size: perhaps another arrangement."""
        self._arrange()
        self.call_after_refresh(self.show)

    def zoom(self) -> bool:
        """The focused pane alone, or all again; False where there is room for one anyway."""
        if self._small:
            return False
        self._zoomed = not self._zoomed
        self._arrange()
        self.call_after_refresh(self.show)
        return True

    def go(self, number: int) -> None:
        """Focus a pane by its number."""
        self._current = PANES[number - 1].NAME.lower()
        self._arrange()
        self._focus_current()
        self.call_after_refresh(self.show)

    def cycle(self, by: int) -> None:
        """Focus the next pane, or the one before."""
        numbers = [pane.NAME.lower() for pane in PANES]
        self.go((numbers.index(self._current) + by) % len(PANES) + 1)

    def _focus_current(self) -> None:
        main = self.current.main
        if main is not None:
            main.focus(scroll_visible=False)

    def _arrange(self) -> None:
        single, height = self.single, self._room.height
        fits, classes = _fitting(self._room), (*WIDTHS.values(), *HEIGHTS.values())
        self.update_classes({**{name: name in fits for name in classes}, "-single": single})
        for pane in self.query(Pane):
            pane.display = not single or pane.id == self._current
        self.query_one("#tabs").display = single and height >= 8
        self.query_one("#hints").display = height >= 6
        cast("Console", self.app).post_shown(tuple(str(pane.id) for pane in self.panes))

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Remember the pane that the focus is in."""
        pane = next((item for item in event.widget.ancestors_with_self if isinstance(item, Pane)), None)
        if pane is not None and pane.id and pane.id != self._current:
            self._current = pane.id
            if self.single:
                self._arrange()

    # ---- filter

    @property
    def _filter(self) -> Input:
        return cast("Input", self.query_one("#filter"))

    def ask_filter(self) -> None:
        """Open the line that the filter's words are typed in."""
        if self.current.table is None:
            self.app.notify(f"{self.current.NAME} has no rows to filter", markup=False)
            return
        field = self._filter
        field.value = self.current.table.filtered
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        if event.input.id == "filter" and event.input.display and self.current.table is not None:
            self.current.table.filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter."""
        self._close_filter()

    def escape(self) -> None:
        """End the filter; where there is none, end the zoom."""
        filtered = any(pane.table is not None and pane.table.filtered for pane in self.query(Pane))
        if filtered or (self._filled and self._filter.display):
            self._end_filter()
        elif self._zoomed:
            self.zoom()

    def _end_filter(self) -> None:
        for pane in self.query(Pane):
            if pane.table is not None and pane.table.filtered:
                pane.table.filter("")
        self._close_filter()
        self.show()

    def _close_filter(self) -> None:
        field = self._filter
        if field.display:
            field.display = False
            self._focus_current()


def _tabbed(current: str, letters: int) -> Line:
    names = []
    for pane in PANES:
        here = pane.NAME.lower() == current
        text = f"{pane.NUMBER} {pane.NAME if here else pane.NAME[:letters]}".rstrip()
        names.append(line(Span(f"[{text}]" if here else f" {text} ", Slot.MARK if here else Slot.DIM)))
    return joined(names, "")


def _fitting(room: Size) -> tuple[str, str]:
    """The classes of a screen of this size."""
    width = next(name for least, name in WIDTHS.items() if room.width >= least)
    return width, next(name for least, name in HEIGHTS.items() if room.height >= least)


def _spare_what_stands() -> None:
    """Take what is there now, which is there to the end, out of the collector's rounds: each costs a key 40 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def hints(width: int, missing: Collection[str] = ()) -> Line:
    """The keys that there is room for, in the table's order; those whose actions are `missing` in grey."""
    return _hints(width, frozenset(missing))


@lru_cache(maxsize=16)
def _hints(width: int, missing: frozenset[str]) -> Line:
    shown = [key for key in KEYS if key.hint]
    while len(shown) > 1 and width_of(_told(shown, missing)) > width:
        shown.remove(max(reversed(shown), key=lambda key: key.hint))
    return _told(shown, missing)


def _told(keys: Sequence[Key], missing: frozenset[str]) -> Line:
    def told(key: Key) -> Line:
        if key.action in missing:
            return line(Span(f"{key.written} {key.label} (off)", Slot.DIM))
        return line(Span(key.written, Slot.MARK), Span(f" {key.label}", Slot.DIM))

    return joined([told(key) for key in keys], "  ")
