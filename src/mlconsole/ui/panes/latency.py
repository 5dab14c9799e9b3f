"""The live charts of the selected service: latency, errors or request rate, by colour, the switches marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widget import Widget

from mlconsole.domain.telemetry import Panel, Telemetry
from mlconsole.ui.chart.styled import style_series
from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import words

if TYPE_CHECKING:
    from mlconsole.ui.chart.widget import Chart

RANGES = (300.0, 900.0, 3600.0, 21600.0)
PANELS = ("latency", "errors", "rate")


class LatencyPane(Pane):
    """Pane 4."""

    NUMBER = 4
    NAME = "Latency"
    SOURCES = ("prom", "scrape")

    def __init__(self) -> None:
        super().__init__()
        self.panel = PANELS[0]
        self.seconds = 0.0
        """The range that was asked for; 0 while it is the configuration's."""
        self._shown = RANGES[1]
        self._chart: Chart | None = None

    def body(self) -> list[Widget]:
        """The chart."""
        # The chart is not needed for the first paint, and takes a while to import.
        from mlconsole.ui.chart.widget import Chart

        self._chart = Chart()
        self._chart.ascii = getattr(self.app, "plain", False)
        return [self._chart]

    def next_panel(self) -> None:
        """Chart the next thing."""
        self.panel = PANELS[(PANELS.index(self.panel) + 1) % len(PANELS)]

    def next_range(self) -> float:
        """Chart the next range; its seconds."""
        # What is shown is whole steps, and may be a little less than what was asked for.
        later = [seconds for seconds in RANGES if seconds > 1.1 * (self.seconds or self._shown)]
        self.seconds = later[0] if later else RANGES[0]
        return self.seconds

    def show(self, known: Known, now: float) -> None:
        """Draw the panel that is chosen."""
        telemetry = known.charts.telemetry if known.charts else None
        panel = _panel(telemetry, self.panel)
        service = known.service
        live = service.live_color if service else None
        chart = self._chart
        assert chart is not None
        if telemetry is not None:
            self._shown = telemetry.end - telemetry.start
        if panel is None or telemetry is None:
            problem = (telemetry.problem if telemetry else "") or ("no figures yet" if known.selected else "")
            chart.update((), (), now - self._shown, now, "", problem)
        else:
            styled = style_series(panel.series, live.name if live else "")
            chart.update(styled, telemetry.marks, telemetry.start, telemetry.end, panel.unit, panel.problem)
        title = panel.title if panel else self.panel
        source = f" · {telemetry.source}" if telemetry else ""
        self.tell(known, now, f"{title} · {words.span(self.seconds or self._shown)}{source}")


def _panel(telemetry: Telemetry | None, name: str) -> Panel | None:
    return next((panel for panel in telemetry.panels if panel.id == name), None) if telemetry else None
