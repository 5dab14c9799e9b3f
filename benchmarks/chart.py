"""A full redraw of each form of the chart, 120x30 cells, 5 series of 600 points, and what an update costs.

Run: python benchmarks/chart.py [rounds]. Budget: at most 8 ms for each form.

Times are of the processor, not of the clock: other programs on the machine do not count.
The peers' figures were measured on a machine of two cores for the design; they are not measured here.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import sys
import time

from textual.app import App, ComposeResult

from mlconsole.domain.telemetry import Mark, Series
from mlconsole.ui.chart.styled import Styled, style_series
from mlconsole.ui.chart.widget import Chart

POINTS = 600
STEP = 6.0
END = 1_764_000_000.0
WIDTH, HEIGHT = 120, 30
PEERS = {"a naive numpy rasteriser": 8.5, "plotext": 62.0, "textual-plot": 92.0}
BUDGET = 8.0


def lines(end: float) -> list[Styled]:
    """Latency as a service shows it: noise on a slow wave, now and then a spike."""
    noise = random.Random(7)
    values = [noise.random() for _ in range(POINTS * 5)]
    series = []
    names = (("green", "p50"), ("green", "p95"), ("green", "p99"), ("blue", "p50"), ("blue", "p95"))
    times = tuple(end - (POINTS - 1 - index) * STEP for index in range(POINTS))
    for number, (color, stat) in enumerate(names):
        base = 0.05 * (number + 1)
        wave = (base * (1 + 0.2 * math.sin(at / 300) + 0.2 * values[int(at / STEP) % len(values)]) for at in times)
        series.append(Series(color, stat, times, tuple(wave)))
    return style_series(series, "green")


class ChartApp(App[None]):
    """One chart on a screen of its own size."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"green": "#6cc08b", "blue": "#6d9fd8"}

    def compose(self) -> ComposeResult:
        yield Chart()


def buckets(end: float) -> list[Styled]:
    """A histogram over time: the lines added up, each under the edge of its rank."""
    heaped = [0.0] * POINTS
    edges = []
    for rank, one in enumerate(lines(end)):
        heaped = [low + value for low, value in zip(heaped, one.series.values, strict=True)]
        edges.append(Series("green", f"{0.1 * (rank + 1):.1f}", one.series.times, tuple(heaped)))
    return style_series(edges, "green")


FORMS: dict[str, dict[str, str]] = {
    "lines": {},
    "lines, logarithmic": {"scale": "log"},
    "lines in half blocks": {"glyphs": "block"},
    "stacked": {"form": "stacked"},
    "heat map": {"form": "heat"},
}


async def measure(rounds: int, glyphs: str = "", **form: str) -> tuple[list[float], list[float], list[int]]:
    """Milliseconds of full redraws and of updates by one step, and the cells that each update repainted."""
    app = ChartApp()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        chart = app.query_one(Chart)
        chart.blocks = glyphs == "block"
        marks = [Mark(END - 1200, "switch", "switch to green v13")]
        full, steps, cells = [], [], []
        for index in range(rounds):
            end = END + index * STEP
            series = buckets(end) if form.get("form") == "heat" else lines(end)
            if form.get("form") == "stacked":
                series = style_series([one.series for one in series], "green", "stacked")
            before = chart._drawing.rows
            begun = time.thread_time()
            chart.update(series, marks, end - POINTS * STEP, end, "s", **form)
            steps.append((time.thread_time() - begun) * 1000)
            await pilot.pause()
            cells.append(_changed(before, chart._drawing.rows) if index else WIDTH * HEIGHT)
            chart.watch_ascii()
            begun = time.thread_time()
            chart._strips.clear()
            for y in range(HEIGHT):
                chart.row_strip(y)
            full.append((time.thread_time() - begun) * 1000)
    return full, steps, cells


def _changed(before: list, after: list) -> int:
    pairs = (
        (a, b) for one, other in zip(before, after, strict=False) for a, b in zip(one.text, other.text, strict=True)
    )
    return sum(a != b for a, b in pairs)


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{'chart, 120x30 cells, 5 x 600 points':38} {'median':>9} {'95th':>9} {'ratio':>7}")
    over = False
    for name, form in FORMS.items():
        found = asyncio.run(measure(rounds, **form))
        if name == "lines":
            full, steps, cells = found
            ours = statistics.median(full)
        middle = statistics.median(found[0])
        over |= middle > BUDGET
        row = f"{middle:6.2f} ms {statistics.quantiles(found[0], n=20)[-1]:6.2f} ms"
        kept = "OVER" if middle > BUDGET else "kept"
        print(f"{name + ', full redraw':38} {row} {middle / ours:7.2f}   budget {BUDGET:.1f} ms: {kept}")
    for name, peer in PEERS.items():
        print(f"{name + ' (from the design)':38} {peer:6.2f} ms {'':>9} {peer / ours:7.2f}")
    row = f"{statistics.median(steps):6.2f} ms {statistics.quantiles(steps, n=20)[-1]:6.2f} ms"
    print(f"{'lines, update by one step':38} {row}")
    quiet, mean = statistics.median(cells[1:]), statistics.mean(cells[1:])
    print(f"cells changed by a step: median {quiet:.0f}, mean {mean:.0f} of {WIDTH * HEIGHT}")
    sys.exit(over)


if __name__ == "__main__":
    main()
