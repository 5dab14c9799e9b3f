"""What each slot looks like in the theme in force: worked out once a theme, not once a widget.

Textual's component classes would do the same for each widget that has them, at the cost of a node of the stylesheet for
every slot of every widget: with sixteen widgets that was a third of the time to the first paint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from rich.style import Style
from textual.app import App
from textual.color import Color

from mlconsole.ui.spans import Slot

DIM = 0.4
"""How far what is dim lies from the text's colour towards the background's."""
_COLORS = {
    Slot.GOOD: "text-success",
    Slot.WARN: "text-warning",
    Slot.BAD: "text-error",
    Slot.GREEN: "green",
    Slot.BLUE: "blue",
    Slot.LIVE: "text-accent",
    Slot.IDLE: "text-secondary",
    Slot.MARK: "text-accent",
}
_BOLD = frozenset({Slot.STRONG, Slot.WARN, Slot.BAD, Slot.MARK})
_known: WeakKeyDictionary[App[Any], tuple[str, Mapping[Slot, Style]]] = WeakKeyDictionary()


def styles(app: App[Any]) -> Mapping[Slot, Style]:
    """The style of each slot, without a background: that is the widget's own."""
    found = _known.get(app)
    if found is None or found[0] != app.theme:
        found = (app.theme, _make(app.theme_variables))
        _known[app] = found
    return found[1]


def _make(variables: Mapping[str, str]) -> Mapping[Slot, Style]:
    made = {Slot.PLAIN: Style()}
    dim = Color.parse(variables["foreground"]).blend(Color.parse(variables["background"]), DIM)
    for slot in Slot:
        color = Color.parse(variables[_COLORS[slot]]) if slot in _COLORS else dim if slot is Slot.DIM else None
        made[slot] = Style(color=color.rich_color if color else None, bold=slot in _BOLD or None)
    return made
