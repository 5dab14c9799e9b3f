"""What the keys of the chart do: another panel, another time, the crosshair, a file of what is on the screen."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from mlconsole.ui import export
from mlconsole.ui.operating import Operating
from mlconsole.ui.panes.latency import LatencyPane


class Charting(Operating):
    """The actions of the chart."""

    @property
    def _charts(self) -> LatencyPane:
        return self._main.query_one(LatencyPane)

    def renew_chart(self) -> None:
        """Show the chart again."""
        self._main.renew({"latency"})

    def action_panel(self, by: int = 1) -> None:
        """Chart the next thing, or the one before."""
        self._charts.next_panel(by)
        self.renew_chart()

    def action_range(self) -> None:
        """Chart the next range."""
        self._charts.act("range", time.time())
        self.renew_chart()

    def action_chart(self, what: str) -> None:
        """What a key of the chart says; the crosshair takes the focus with it."""
        if what == "values" and self._main.current is not self._charts:
            self._main.go(4)
        self._charts.act(what, time.time())
        self.renew_chart()

    def action_export(self) -> None:
        """Ask where to, and write the chart there."""
        from mlconsole.ui.screens.writing import WritePage

        if self._charts.chart is None or not self._charts.chart.content.series:
            self.notify("there is no chart to write: nothing is on it", markup=False)
            return
        stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{self._charts.panel}-{self.known.selected.replace('/', '-')}-{stamp}"
        words = "an .svg of it and a .csv of its values; a path that ends with one of them is that one alone"
        page = WritePage("write the chart to a file", str(export.folder(os.environ) / name), words)
        self.push_screen(page, self._export_to)

    def _export_to(self, path: str | None) -> None:
        from mlconsole.ui.chart import export as files

        chart = self._charts.chart
        if not path or chart is None:
            return
        title = f"{self.known.selected}: {self._charts.heading(time.time())}"
        try:
            made = files.write(chart.content, title, chart.slot_colors(), Path(path).expanduser())
        except OSError as error:
            self.notify(f"the chart could not be written: {error}", severity="error", markup=False)
            return
        names = " and ".join(str(item) for item in made)
        self.notify(f"the chart is in {names}", timeout=15, markup=False)
