"""What all panes share: a border with a number, the state of their source, and a body that may take the focus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from mlconsole.domain.sources import Condition, SourceState
from mlconsole.ui.known import Known
from mlconsole.ui.render import words
from mlconsole.ui.render.header import TROUBLE
from mlconsole.ui.spans import Line, Slot, indented, wrapped
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Table


class Pane(Vertical):
    """A pane. A subclass says its number, name, sources, and how it shows what is known."""

    NUMBER: ClassVar[int]
    NAME: ClassVar[str]
    SOURCES: ClassVar[tuple[str, ...]]
    """The names of the sources that it shows data of; the first that is there counts."""

    DEFAULT_CSS = """
    Pane {
        border: round $frame; border-title-color: $foreground 70%; border-subtitle-color: $foreground 70%;
        padding: 0 1 0 0; min-height: 3;
        &.-trouble { border-subtitle-color: $text-warning; }
        &:focus-within { border: round $border; border-title-color: $text-accent; border-title-style: bold; }
    }
    Pane > .notice { height: auto; max-height: 4; display: none; padding: 0 0 0 1; }
    Pane > .notice.-said { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id=self.NAME.lower())
        self._said: tuple[str, str] = ("", "")

    def on_mount(self) -> None:
        """A frame with a name is there at once."""
        self.border_title = Content(f"{self.NUMBER} {self.NAME}")

    async def fill(self) -> None:
        """Put the notice and the body into the frame, once that has been painted."""
        await self.mount(Lines(classes="notice"), *self.body())

    def body(self) -> list[Widget]:
        """The widgets of the pane."""
        raise NotImplementedError  # pragma: no cover - every pane has one

    def show(self, known: Known, now: float) -> None:
        """Show what is known."""
        raise NotImplementedError  # pragma: no cover - every pane does

    @property
    def table(self) -> Table | None:
        """The pane's table, for the filter."""
        return next(iter(self.query(Table)), None)

    @property
    def main(self) -> Widget | None:
        """The widget that takes the focus."""
        return next((child for child in self.query("*") if child.can_focus), None)

    # ---- for subclasses

    def tell(self, known: Known, now: float, title: str = "", problem: str = "") -> None:
        """Put the title, the source's state and what is wrong where they belong, if they changed."""
        state = known.source(*self.SOURCES)
        said = (f"{self.NUMBER} {self.NAME}" + (f"  {title}" if title else ""), _state(state, now))
        if said != self._said:
            self._said = said
            self.border_title, self.border_subtitle = Content(said[0]), Content(said[1])
            self.set_class(state is not None and not state.usable(now), "-trouble")
        notice = next(iter(self.query(".notice").results(Lines)))
        content = self._notice(state, problem, max(10, notice.size.width or self.size.width - 4))
        notice.set_class(bool(content), "-said")
        notice.show(content)

    def _notice(self, state: SourceState | None, problem: str, width: int) -> Sequence[Line]:
        found: list[Line] = []
        if state is not None and state.condition in TROUBLE and state.message:
            found += wrapped(f"▲ {state.message}", width, Slot.BAD, 4)
            if state.hint:
                found += indented(state.hint, width, Slot.WARN, 2)
        elif problem:
            found += wrapped(f"▲ {problem}", width, Slot.WARN, 3)
        return found


def _state(state: SourceState | None, now: float) -> str:
    if state is None:
        return ""
    if state.condition in TROUBLE:
        since = words.lasting(now - state.since) if state.since else ""
        age = state.age(now)
        seen = f", data from {words.ago(age)}" if age is not None else ", nothing seen yet"
        return f"{state.name} {state.condition}{since}{seen}"
    age = state.age(now)
    if state.condition is Condition.LIVE and age is not None and age > state.limit:
        return f"{state.name} stale: data from {words.ago(age)}"
    if state.condition is Condition.LIVE and age is not None:
        # A minute is near enough here, and costs the line nothing; the header has the seconds.
        return f"{state.name} live" if age < 60 else f"{state.name} {words.ago(age)}"
    return ""
