"""The menu of the operations that are needed seldom: a letter or enter plans one, and says what one cannot be for."""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.domain.services import ModelService, Shape
from mlconsole.engine import protocol
from mlconsole.ui.keys import Key
from mlconsole.ui.screens.page import TablePage
from mlconsole.ui.spans import Slot, Span, line
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row, Table

COLUMNS = (Column("", 1, 1), Column("operation", 10, 24), Column("what it does", 10, 120, grows=True))


class MorePage(TablePage):
    """One row an operation; answers with the name of its action."""

    def __init__(self, service: ModelService, place: protocol.Place, keys: Sequence[Key]) -> None:
        self._why = {key.action: refusal(key.action, service, place) for key in keys}
        super().__init__(
            f"more operations on {service.name}", COLUMNS, lambda: [_row(key, self._why[key.action]) for key in keys],
            "", "plan it",
        )  # fmt: skip
        for key in keys:
            self._bindings.bind(key.key, f"choose('{key.action}')", key.label, show=False, priority=True)

    def action_choose(self, action: str) -> None:
        """Take one, or say why it cannot be."""
        if self._why[action]:
            self.app.notify(f"{action}: {self._why[action]}", markup=False)
            return
        self.dismiss(action)

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """The one under the cursor."""
        event.stop()
        self.action_choose(event.key)


def refusal(action: str, service: ModelService, place: protocol.Place) -> str:
    """Why an operation cannot be planned for a service; empty where it can."""
    if place.read_only:
        return "the console is read-only here"
    colors = service.shape in (Shape.BLUE_GREEN, Shape.BOTH)
    if action == "adopt":
        return "it is blue-green already" if colors else "" if service.shape is Shape.PLAIN else "not a model service"
    if not service.colors:
        return "; ".join(service.problems) or "it has no Deployment"
    if action == "release" and not colors:
        return "it is not blue-green"
    return ""


def _row(key: Key, why: str) -> Row:
    slot = Slot.DIM if why else Slot.PLAIN
    says = f"{why}" if why else key.help
    return Row(
        key.action,
        (line(Span(key.key, Slot.DIM if why else Slot.MARK)), line(Span(key.label, slot)), line(Span(says, Slot.DIM))),
    )
