"""The versions of the selected service's registered model."""

from __future__ import annotations

from textual.widget import Widget

from mlconsole.domain.sources import Condition
from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import registry
from mlconsole.ui.spans import Line, Slot, wrapped
from mlconsole.ui.widgets.table import Table


class RegistryPane(Pane):
    """Pane 3."""

    NUMBER = 3
    NAME = "Registry"
    SOURCES = ("mlflow",)

    def body(self) -> list[Widget]:
        """The table."""
        return [Table(registry.COLUMNS, header=False)]

    def show(self, known: Known, now: float) -> None:
        """One row a version."""
        found = known.registry
        model = found.model if found else None
        rows = registry.rows(model, known.service, now) if model else []
        self.query_one(Table).show(rows, self._empty(known))
        state = known.source("mlflow")
        up = state is not None and state.condition is Condition.LIVE
        problem = found.problem if found and found.problem and up else ""
        self.tell(known, now, model.name if model else "", problem)

    def _empty(self, known: Known) -> list[Line]:
        width = max(10, self.size.width - 6)
        state, found = known.source("mlflow"), known.registry
        if state is not None and state.condition is Condition.OFF:
            return [
                *wrapped(state.message or "no registry is configured", width, Slot.DIM),
                *wrapped(state.hint, width, Slot.DIM),
            ]
        if known.service is not None and not known.service.colors:
            return wrapped("not a model service: there is no model of it", width, Slot.DIM)
        if found is None or (state is not None and state.condition is Condition.STARTING):
            return wrapped("reading the registry…", width, Slot.DIM) if known.selected else []
        if found.model is None and not found.problem:
            return wrapped("reading the model…", width, Slot.DIM)
        if found.model is None and found.names:
            names = ", ".join(found.names[:8])
            said = f"the registry has: {names}; name this service's model in mlconsole.toml"
            return wrapped(said, width, Slot.DIM)
        return []
