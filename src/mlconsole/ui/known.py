"""What the UI was told so far: the last publication of each kind, and nothing that it worked out itself."""

from __future__ import annotations

from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import SourceState
from mlconsole.engine import protocol


class Known:
    """The newest of everything. `take` is the only way in."""

    def __init__(self) -> None:
        self.selected = ""
        self.place = protocol.Place("", "")
        self.sources: tuple[SourceState, ...] = ()
        self.engine_problem = ""
        """Why the engine is not there, while it is not."""
        self._forget_fleet()

    def _forget_fleet(self) -> None:
        self.rows: dict[str, protocol.FleetRow] = {}
        self.pods = 0
        self.complete = False
        self.operations: tuple[protocol.OperationLine, ...] = ()
        self.presence: tuple[protocol.Present, ...] = ()
        self.alerts = protocol.Alerts()
        self.causes: dict[str, protocol.AlertCause] = {}
        """What alerts are likely of, by alert, where that was asked."""
        self._forget_service()

    def _forget_service(self) -> None:
        self.detail: protocol.Detail | None = None
        self.registry: protocol.Registry | None = None
        self.charts: protocol.Charts | None = None
        self.drift: protocol.Drift | None = None
        self.pipelines: protocol.Pipelines | None = None

    def select(self, key: str) -> bool:
        """Look at another service; False if it is the one already."""
        if key == self.selected:
            return False
        self.selected = key
        self._forget_service()
        return True

    def leave(self) -> None:
        """Another place: nothing of before counts."""
        self.selected = ""
        self._forget_fleet()

    def source(self, *names: str) -> SourceState | None:
        """The state of the first of these sources that is there."""
        return next((state for name in names for state in self.sources if state.name == name), None)

    def under_way(self, key: str) -> protocol.OperationLine | None:
        """The operation under way on a service."""
        return next((item for item in self.operations if item.operation.key == key), None)

    @property
    def missing(self) -> dict[str, str]:
        """By action: why it is off, in words; nothing while that is not known. The way back may always be tried."""
        if self.place.read_only:
            return dict.fromkeys(("deploy", "switch"), "this place is read-only here")
        found = self.detail.missing if self.detail is not None else {}
        return {action: f"you may not {verbs}" for action, verbs in found.items() if action != "rollback"}

    @property
    def service(self) -> ModelService | None:
        """The selected service: whole where its detail is here, else as its row has it."""
        if self.detail is not None:
            return self.detail.service
        row = self.rows.get(self.selected)
        return row.service if row else None

    def take(self, message: protocol.Publication) -> None:
        """Keep a publication. What is about a service that is no longer selected is dropped."""
        match message:
            case protocol.Place():
                self.place = message
            case protocol.Sources(states):
                self.sources = states
            case protocol.Operations(lines):
                self.operations = lines
            case protocol.Presence(lines):
                self.presence = lines
            case protocol.Alerts() | protocol.AlertCause():
                self._take_alerts(message)
            case protocol.Fleet():
                self._take_fleet(message)
            case protocol.Detail(service) if service.key == self.selected:
                self.detail = message
            case protocol.Registry(service_key) if service_key == self.selected:
                self.registry = message
            case protocol.Charts(telemetry) if telemetry.service == self.selected:
                self.charts = message
            case protocol.Drift(table) if table.service == self.selected:
                self.drift = message
            case protocol.Pipelines(service_key) if service_key == self.selected:
                self.pipelines = message
            case _:
                pass

    def _take_fleet(self, message: protocol.Fleet) -> None:
        if message.reset:
            self.rows.clear()
        for row in message.rows:
            self.rows[row.service.key] = row
        for key in message.removed:
            self.rows.pop(key, None)
        self.pods, self.complete = message.pods, message.complete

    def _take_alerts(self, message: protocol.Alerts | protocol.AlertCause) -> None:
        if isinstance(message, protocol.AlertCause):
            self.causes[message.id] = message
            return
        self.alerts = message
        there = {alert.id for alert in message.lines}
        self.causes = {ident: cause for ident, cause in self.causes.items() if ident in there}
