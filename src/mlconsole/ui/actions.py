"""What the keys do: each key of `keys` has its `action_...` here, in `operating` or in `app`, its page in `screens`."""

from __future__ import annotations

import time
from typing import Any

from mlconsole.domain.alerts import Alert
from mlconsole.engine import protocol
from mlconsole.ui.calling import ALERTS
from mlconsole.ui.charting import Charting
from mlconsole.ui.panes.latency import LatencyPane
from mlconsole.ui.widgets.table import Table

BEFORE_ALERT = 600.0
"""Seconds of a chart, at least, on which an alert that began just now is looked at."""


class Actions(Charting):
    """The other actions of the console: to look, to move, to go elsewhere."""

    def __init__(self, driver_class: Any = None) -> None:
        super().__init__(driver_class=driver_class)
        self._place: protocol.ChangePlace | None = None

    def select(self, key: str) -> None:
        """Look at another service."""
        raise NotImplementedError  # pragma: no cover - the console does

    # ---- actions: look

    def action_logs(self) -> None:
        """The log of a pod."""
        service = self._service()
        if service is not None:
            from mlconsole.ui.screens.logs import LogPage

            self.push_screen(LogPage(service, self.send))

    def action_events(self) -> None:
        """Events about the service."""
        if self._service() is not None:
            from mlconsole.ui.screens import choices

            self.push_screen(choices.events(self.known))

    def action_audit(self) -> None:
        """Operations on the service, to filter and to export; enter opens one."""
        if self._service() is not None:
            from mlconsole.ui.screens.audit import AuditPage

            self.push_screen(AuditPage(self.known))

    def action_alerts(self) -> None:
        """What is wrong, with what it is likely of."""
        from mlconsole.ui.screens.alerts import AlertsPage

        self.answered(ALERTS)
        self.push_screen(AlertsPage(self.known, self.send, self.show_alert))

    def show_alert(self, alert: Alert) -> None:
        """The chart that shows an alert, over a time that holds its begin."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        table = self._main.fleet
        if table is not None:
            table.steered = True
            table.select(alert.service)
        self.select(alert.service)
        pane = self._main.query_one(LatencyPane)
        age = time.time() - (alert.fired_at or alert.since)
        since = pane.show_since(alert.panel, max(BEFORE_ALERT, age))
        if since:
            self.send(protocol.ShowRange(since))
        self._main.go(4)

    def action_chain(self) -> None:
        """The serving chain of the live colour."""
        if self._service() is not None:
            from mlconsole.ui.screens import choices

            self.push_screen(choices.chain(self.known))

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """The fleet's cursor decides what is looked at."""
        if event.table.parent is not None and event.table.parent.id == "fleet":
            self.select(self._main.pointed())

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Enter on a row: the service's colours, the version's page, the feature's."""
        pane = event.table.parent.id if event.table.parent is not None else ""
        if pane == "fleet":
            self._main.go(6)
        elif pane == "registry":
            from mlconsole.ui.screens import choices

            page = choices.version(self.known, event.key)
            if page is not None:
                self.push_screen(page)
        elif pane == "drift":
            from mlconsole.ui.screens import drift

            feature = drift.page(self.known, event.key)
            if feature is not None:
                self.push_screen(feature)

    # ---- actions: move

    def action_pane(self, number: int) -> None:
        """Go to a pane."""
        self._main.go(number)

    def action_cycle(self, by: int) -> None:
        """To the next pane."""
        self._main.cycle(by)

    def action_zoom(self) -> None:
        """One pane alone, or all."""
        if not self._main.zoom():
            self.notify("there is room for one pane: 1 to 6 and tab change it", timeout=3, markup=False)

    def action_filter(self) -> None:
        """Ask for the words to filter by."""
        self._main.ask_filter()

    def action_escape(self) -> None:
        """Take the crosshair away; else end the filter, else the zoom."""
        if not self._charts.escape():
            self._main.escape()

    def action_service(self, by: int) -> None:
        """The next service of the fleet, from any pane."""
        table = self._main.fleet
        if table is not None:
            table.action_move(by)

    # ---- actions: place

    def action_context(self) -> None:
        """Another context."""
        from mlconsole.ui.screens import choices

        def chosen(context: str | None) -> None:
            if context:
                self._change_place(protocol.ChangePlace(context))

        self.push_screen(choices.contexts(self.known), chosen)

    def action_namespace(self) -> None:
        """Another namespace."""
        from mlconsole.ui.screens import choices

        def chosen(namespace: str | None) -> None:
            if namespace:
                where = "" if namespace == choices.ALL else namespace
                self._change_place(protocol.ChangePlace(self.known.place.context, where))

        self.push_screen(choices.NamespacePage(self.known), chosen)

    def _change_place(self, place: protocol.ChangePlace) -> None:
        self._place = place
        self.known.leave()
        self.send(place)
        self._main.show()

    def action_reconnect(self) -> None:
        """Try again now."""
        self.send(protocol.Reconnect())
        self.notify("trying every source that is down again", markup=False)
