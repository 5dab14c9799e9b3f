"""The live charts of the selected service: the panel that is chosen, by colour, for the time that is chosen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from textual.widget import Widget

from mlconsole.domain.telemetry import DAY, WEEK, Mark, Panel, Telemetry, ghost_words
from mlconsole.engine import protocol
from mlconsole.ui.chart.styled import style_series
from mlconsole.ui.chart.view import LADDER, TimeView
from mlconsole.ui.known import Known
from mlconsole.ui.panes.pane import Pane
from mlconsole.ui.render import words

if TYPE_CHECKING:
    from mlconsole.ui.app import Console
    from mlconsole.ui.chart.live import LiveChart

PANELS = ("latency", "errors", "rate")
"""What there is before the engine has said it."""
MOVES = frozenset({"switch", "rollback"})
FAR = 10
"""Columns of a long step of the crosshair."""


class LatencyPane(Pane):
    """Pane 4."""

    NUMBER = 4
    NAME = "Latency"
    SOURCES = ("prom", "scrape")

    def __init__(self) -> None:
        super().__init__()
        self.panel = PANELS[0]
        self.view = TimeView(900.0)
        self._asked = False
        """Whether the time was chosen here; until then it is the configuration's."""
        self._compare = 0.0
        self._log: bool | None = None
        """Whether the axis is logarithmic; None as the panel has it."""
        self._chart: LiveChart | None = None
        self._telemetry: Telemetry | None = None

    def body(self) -> list[Widget]:
        """The chart."""
        # The chart is not needed for the first paint, and takes a while to import.
        from mlconsole.ui.chart.live import LiveChart

        self._chart = LiveChart()
        self._chart.ascii = getattr(self.app, "plain", False)
        return [self._chart]

    @property
    def chart(self) -> LiveChart | None:
        """The chart, once it is there."""
        return self._chart

    @property
    def request(self) -> protocol.ShowRange | None:
        """The time to ask the engine for; None while that is what it shows by itself."""
        return protocol.ShowRange(self.view.seconds, self.view.end, self._compare) if self._asked else None

    @property
    def requests(self) -> list[protocol.ShowRange | protocol.ShowPanel]:
        """All that a new engine has to be told."""
        panel = [] if self.panel == PANELS[0] else [protocol.ShowPanel(self.panel)]
        return [*([self.request] if self.request else []), *panel]

    def next_panel(self, by: int = 1) -> None:
        """Chart the next thing."""
        names = [panel.id for panel in self._telemetry.panels] if self._telemetry else list(PANELS)
        if names:
            here = names.index(self.panel) if self.panel in names else -1
            self._choose(names[(here + by) % len(names)])

    def show_since(self, panel: str, seconds: float) -> float:
        """Chart a panel, live, over a time that holds what began so long ago; the range to ask for."""
        if panel:
            self._choose(panel)
        reach = next((step for step in LADDER if step >= 1.5 * seconds), LADDER[-1])
        self.view, self._compare, self._asked = TimeView(reach), 0.0, True
        return reach

    def _choose(self, panel: str) -> None:
        self.panel, self._log = panel, None
        cast("Console", self.app).send(protocol.ShowPanel(panel))

    # ---- what the keys do

    def act(self, what: str, now: float) -> None:
        """Do what a key of the chart says (`keys.CHART`)."""
        chart = self._chart
        if chart is None:
            return
        if what in ("back", "forward", "far_back", "far_forward"):
            self._go(chart, (1 if "forward" in what else -1) * (FAR if "far" in what else 1), now)
        elif what in ("earlier_mark", "later_mark"):
            self._to_mark(chart, later=what == "later_mark")
        elif what == "values":
            if chart.cursor is None:
                chart.move_cursor(0)
            else:
                chart.point(None)
        elif what == "scale":
            self._log = not self._is_log(_panel(self._telemetry, self.panel))
        elif what == "glyphs":
            chart.blocks = not chart.blocks
        elif what == "compare":
            self._ask(self.view, self._next_compare())
        else:
            self._ask(self._timed(what, chart, now))

    def escape(self) -> bool:
        """Take the crosshair away; whether there was one."""
        if self._chart is None or self._chart.cursor is None:
            return False
        self._chart.point(None)
        return True

    def _timed(self, what: str, chart: LiveChart, now: float) -> TimeView:
        view = self.view
        if what == "range":
            return view.next_range()
        if what in ("shorter", "longer"):
            return view.zoomed(what == "longer", now)
        if what in ("in", "out"):
            return view.zoomed(what == "out", now, chart.cursor)
        if what == "pause":
            return view.toggled(now)
        return TimeView(view.seconds)

    def _go(self, chart: LiveChart, by: int, now: float) -> None:
        """Move the crosshair; where there is none, or it is at the edge, the time."""
        if chart.cursor is None:
            self._ask(self.view.scrolled(by * (0.4 if abs(by) > 1 else 1), now))
            return
        over = chart.move_cursor(by)
        if over and not (over > 0 and self.view.live):
            seconds = over * chart.column_seconds
            at = chart.cursor + seconds
            self._ask(self.view.moved(seconds, now))
            chart.point(at)

    def _to_mark(self, chart: LiveChart, *, later: bool) -> None:
        """Put the crosshair on the mark before it or after it."""
        content = chart.content
        at = content.end if chart.cursor is None else chart.cursor
        half = chart.column_seconds / 2
        places = sorted(mark.at for mark in content.marks if content.start <= mark.at <= content.end)
        found = [place for place in places if (place > at + half if later else place < at - half)]
        if found:
            chart.point(found[0] if later else found[-1])

    def _next_compare(self) -> float:
        marks = self._telemetry.marks if self._telemetry else ()
        choices = [0.0, DAY, WEEK, *([shift] if (shift := version_shift(marks)) else [])]
        later = choices.index(self._compare) + 1 if self._compare in choices else 0
        return choices[later % len(choices)]

    def _ask(self, view: TimeView, compare: float | None = None) -> None:
        before = self.request
        self.view, self._asked = view, True
        self._compare = self._compare if compare is None else compare
        if self.request != before:
            cast("Console", self.app).send(cast(protocol.ShowRange, self.request))

    def on_live_chart_zoomed(self, event: LiveChart.Zoomed) -> None:
        """The wheel."""
        app = cast("Console", self.app)
        self._ask(self.view.zoomed(event.longer, time.time(), event.about))
        app.renew_chart()

    def on_live_chart_dragged(self, event: LiveChart.Dragged) -> None:
        """The plot was drawn to another time."""
        app = cast("Console", self.app)
        self._ask(self.view.moved(event.seconds, time.time()))
        app.renew_chart()

    # ---- what is shown

    def show(self, known: Known, now: float) -> None:
        """Draw the panel that is chosen."""
        telemetry = self._telemetry = known.charts.telemetry if known.charts else None
        panel = _panel(telemetry, self.panel)
        chart = self._chart
        assert chart is not None
        if telemetry is not None and not self._asked:
            self.view = TimeView(telemetry.end - telemetry.start + telemetry.step)
        if panel is None or telemetry is None:
            problem = (telemetry.problem if telemetry else "") or ("no figures yet" if known.selected else "")
            chart.update((), (), now - self.view.seconds, now, "", problem)
        else:
            self._draw(chart, known, panel, telemetry)
        self.tell(known, now, self.heading(now))

    def _draw(self, chart: LiveChart, known: Known, panel: Panel, telemetry: Telemetry) -> None:
        service = known.service
        live = service.live_color if service else None
        series = panel.series
        if panel.form == "heat" and live is not None:
            # The buckets of the two colours would hide each other.
            series = tuple(one for one in series if one.color == live.name) or series
        styled = style_series(series, live.name if live else "", panel.form)
        end = self.view.end or telemetry.end
        start = end - self.view.seconds if self._asked else telemetry.start
        scale = "log" if self._is_log(panel) else "linear"
        chart.update(
            styled,
            telemetry.marks,
            start,
            end,
            panel.unit,
            panel.problem,
            form=panel.form,
            scale=scale,
            thresholds=panel.thresholds,
        )

    def _is_log(self, panel: Panel | None) -> bool:
        wanted = panel is not None and panel.scale == "log" if self._log is None else self._log
        return wanted and (panel is None or panel.form == "lines")

    def heading(self, now: float) -> str:
        """What is shown, in words; what is held comes first: it must be read also where a title is cut."""
        telemetry = self._telemetry
        panel = _panel(telemetry, self.panel)
        title = [self.view.words(now), panel.title if panel else self.panel, words.span(self.view.seconds)]
        if self._is_log(panel):
            title.append("log")
        if self._compare:
            title.append(self._against(panel, telemetry))
        if telemetry is not None:
            wanted = self.view.end or telemetry.end
            title.append("asked for" if abs(telemetry.end - wanted) > 2 * telemetry.step else telemetry.source)
        return " · ".join(filter(None, title))

    def _against(self, panel: Panel | None, telemetry: Telemetry | None) -> str:
        said = ghost_words(self._compare)
        if self._compare not in (DAY, WEEK):
            said = f"the version before ({said})"
        came = (
            telemetry is not None and telemetry.compare > 0 and abs(telemetry.compare - self._compare) < telemetry.step
        )
        if came and panel is not None and not any(one.ghost for one in panel.series):
            return f"no figures of {said}"
        return f"against {said}"


def version_shift(marks: tuple[Mark, ...]) -> float:
    """How long before the last move of traffic the one before was: under this version lies the last one at its age."""
    moves = sorted(mark.at for mark in marks if mark.kind in MOVES)
    return float(round(moves[-1] - moves[-2])) if len(moves) > 1 else 0.0


def _panel(telemetry: Telemetry | None, name: str) -> Panel | None:
    return next((panel for panel in telemetry.panels if panel.id == name), None) if telemetry else None
