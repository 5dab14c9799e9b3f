"""Every form of the chart on made-up figures, to look at: python docs/charts/pictures.py [FORM] [THEME].

Left and right move the crosshair, q ends it.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.content import Content

from mlconsole.domain.telemetry import Mark, Panel, Series
from mlconsole.ui import themes
from mlconsole.ui.chart.styled import style_series
from mlconsole.ui.chart.widget import Chart

END, STEP, COUNT = 1_764_000_000.0, 15.0, 241
TIMES = tuple(END - STEP * (COUNT - 1 - index) for index in range(COUNT))
SWITCH = 150
"""The sample at which green takes the traffic, and is slower."""
MARKS = (
    Mark(TIMES[60], "deploy", "deploy to green v13"),
    Mark(TIMES[SWITCH], "switch", "switch to green v13"),
    Mark(TIMES[190], "alert", "p95 over 250 ms for 5 min"),
    Mark(TIMES[222], "rollback", "rollback to blue v12"),
)


def series(color: str, stat: str, base: float, rise: float = 1.0, **names: str) -> Series:
    """A wave with noise; from the switch to the rollback `rise` times as high."""
    dice = random.Random(f"{color}{stat}{names}")

    def value(index: int) -> float:
        high = rise if SWITCH < index < 222 else 1.0
        return base * high * (1 + 0.15 * math.sin(index / 17) + 0.15 * dice.random())

    return Series(color, stat, TIMES, tuple(value(index) for index in range(COUNT)), **names)


def gap(one: Series) -> Series:
    """Without a few minutes in which nothing answered."""
    values = tuple(math.nan if 95 < index < 112 else value for index, value in enumerate(one.values))
    return Series(one.color, one.stat, one.times, values, one.label, one.ghost)


def latency() -> tuple[Series, ...]:
    """Both colours, three quantiles."""
    bases = {"p50": 0.04, "p95": 0.14, "p99": 0.21}
    green = [gap(series("green", stat, base, 2.1)) for stat, base in bases.items()]
    return (*green, *(gap(series("blue", stat, 0.9 * base)) for stat, base in bases.items()))


def buckets() -> tuple[Series, ...]:
    """Cumulative rates by `le`, as a histogram has them."""
    middle = [value / 2 for value in series("green", "p50", 0.1, 2.5).values]
    edges = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, math.inf)

    def below(edge: float, index: int) -> float:
        if 95 < index < 112:
            return math.nan
        return 40.0 if math.isinf(edge) else 40.0 / (1 + (middle[index] / edge) ** 3)

    return tuple(
        Series("green", f"{edge:g}".replace("inf", "+Inf"), TIMES, tuple(below(edge, index) for index in range(COUNT)))
        for edge in edges
    )


LIMIT = ((0.25, "p95 limit 250 ms"),)
YESTERDAY = series("blue", "p95", 0.12, ghost="yesterday")
FORMS: dict[str, Panel] = {
    "lines": Panel("lines", "latency", "s", latency(), thresholds=LIMIT),
    "log": Panel("log", "latency, logarithmic", "s", latency(), scale="log"),
    "compared": Panel("compared", "latency against yesterday", "s", (YESTERDAY, *latency()[1::3])),
    "crosshair": Panel("crosshair", "latency, crosshair at the switch", "s", latency(), thresholds=LIMIT),
    "blocks": Panel("blocks", "latency in half blocks", "s", latency()),
    "ascii": Panel("ascii", "latency in ASCII", "s", latency(), thresholds=LIMIT),
    "stacked": Panel(
        "stacked",
        "requests by outcome",
        "1/s",
        tuple(
            series("", "rate", base, rise, label=label)
            for label, base, rise in (("ok", 30, 1.0), ("shed", 4, 2.5), ("timeout", 2, 4.0), ("error", 3, 1.5))
        ),
        form="stacked",
    ),
    "heat": Panel("heat", "latency by bucket", "s", buckets(), form="heat"),
    "memory": Panel(
        "memory",
        "memory by pod",
        "B",
        tuple(
            series("", "rss", base, label=label)
            for label, base in (("churn-blue-6b7d-kx2vq", 3e8), ("churn-blue-6b7d-z8mtp", 4e8))
        ),
    ),
}


class Pictures(App[None]):
    """One form on the whole screen."""

    CSS = "Chart { border: round $frame; border-title-color: $text-accent; padding: 0 1 0 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [("left", "move(-1)"), ("right", "move(1)"), ("q", "quit")]

    def __init__(self, form: str, theme: str) -> None:
        super().__init__()
        self._form = form
        for found in themes.load()[0].values():
            self.register_theme(found)
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The console's own variables."""
        return {"green": "#6cc08b", "blue": "#6d9fd8", "frame": "#2f3947"}

    def compose(self) -> ComposeResult:
        """The chart."""
        yield Chart()

    def on_mount(self) -> None:
        """Show the form."""
        panel, chart = FORMS[self._form], self.query_one(Chart)
        chart.border_title = Content(panel.title)
        chart.ascii, chart.blocks = self._form == "ascii", self._form == "blocks"
        marks = () if self._form == "memory" else MARKS
        self.show(chart, panel, marks)
        if self._form == "crosshair":
            chart.point(TIMES[SWITCH])

    def show(self, chart: Chart, panel: Panel, marks: Sequence[Mark]) -> None:
        """Give the chart all of it."""
        styled = style_series(panel.series, "green", panel.form)
        chart.update(
            styled,
            marks,
            END - 3600,
            END,
            panel.unit,
            form=panel.form,
            scale=panel.scale,
            thresholds=panel.thresholds,
        )

    def action_move(self, by: int) -> None:
        """The crosshair."""
        self.query_one(Chart).move_cursor(by)


if __name__ == "__main__":
    Pictures(*[*sys.argv[1:], *("lines", themes.DEFAULT)[len(sys.argv) - 1 :]]).run()
