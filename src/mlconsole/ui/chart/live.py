"""A chart that takes the focus and the mouse: its keys are the console's, its messages say what the mouse did."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from mlconsole.ui.chart.widget import Chart
from mlconsole.ui.keys import CHART


class LiveChart(Chart, can_focus=True):
    """The wheel zooms, a drag scrolls; while it has the focus, the crosshair follows the pointer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.key, f"app.{key.action}", key.label, show=False) for key in CHART
    ]

    class Zoomed(Message):
        """The wheel was turned."""

        def __init__(self, longer: bool, about: float | None) -> None:
            super().__init__()
            self.longer, self.about = longer, about

    class Dragged(Message):
        """The plot was drawn to another time."""

        def __init__(self, seconds: float) -> None:
            super().__init__()
            self.seconds = seconds

    def __init__(self) -> None:
        super().__init__()
        self._held: int | None = None
        """The cell of the pointer while its button is down."""
        self._hovering = False

    def _cell(self, event: events.MouseEvent) -> int:
        return int(event.screen_x) - self.content_region.x

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Shorter, about what is under the pointer."""
        event.stop()
        self.post_message(self.Zoomed(False, self.instant_at(self._cell(event))))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Longer."""
        event.stop()
        self.post_message(self.Zoomed(True, self.instant_at(self._cell(event))))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the plot."""
        if event.button == 1:
            self._held = self._cell(event)
            self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let it go."""
        self._held = None
        self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Draw the plot along, or the crosshair."""
        at = self._cell(event)
        if self._held is not None:
            if at != self._held:
                self.post_message(self.Dragged((self._held - at) * self.column_seconds))
                self._held = at
        elif self.has_focus and (pointed := self.instant_at(at)) is not None:
            self._hovering = True
            self.point(pointed)

    def on_leave(self, event: events.Leave) -> None:
        """The crosshair goes with the pointer that brought it."""
        if self._hovering and not self.is_mouse_over:
            self._hovering = False
            self.point(None)

    def on_blur(self, event: events.Blur) -> None:
        """So it does with the focus."""
        self._held = None
        self.point(None)
