"""What scrolls and grows at its end: the end stays in sight, until somebody looks farther up."""

from __future__ import annotations

from textual.containers import VerticalScroll


class Tail(VerticalScroll, can_focus=False):
    """Whichever way it is moved, by keys, wheel or bar: `follows` says whether its end is what is looked at."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.follows = True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """It moved: to its end, or away from it."""
        super().watch_scroll_y(old_value, new_value)
        self.follows = new_value >= self.max_scroll_y

    def keep_up(self) -> None:
        """Show the end, once what is new is laid out, unless somebody looks farther up by then."""
        self.call_after_refresh(self._keep_up)

    def _keep_up(self) -> None:
        if self.follows:
            self.scroll_end(animate=False, immediate=True)
