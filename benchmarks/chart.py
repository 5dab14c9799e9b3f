"""A full redraw of the chart, 120x30 cells, 5 series of 600 points (budget: at most 8 ms), and what an update costs.

Run: python benchmarks/chart.py [rounds]

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


async def measure(rounds: int) -> tuple[list[float], list[float], list[int]]:
    """Milliseconds of full redraws and of updates by one step, and the cells that each update repainted."""
    app = ChartApp()
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        chart = app.query_one(Chart)
        marks = [Mark(END - 1200, "switch", "switch to green v13")]
        full, steps, cells = [], [], []
        for index in range(rounds):
            end = END + index * STEP
            series = lines(end)
            before = chart._drawing.rows
            begun = time.thread_time()
            chart.update(series, marks, end - POINTS * STEP, end, "s")
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
    full, steps, cells = asyncio.run(measure(rounds))
    ours = statistics.median(full)
    print(f"{'chart, 120x30 cells, 5 x 600 points':38} {'median':>9} {'95th':>9} {'ratio':>7}")
    row = f"{ours:6.2f} ms {statistics.quantiles(full, n=20)[-1]:6.2f} ms"
    print(
        f"{'mlconsole, full redraw':38} {row} {1:7.2f}   budget {BUDGET:.1f} ms: {'kept' if ours <= BUDGET else 'OVER'}"
    )
    for name, peer in PEERS.items():
        print(f"{name + ' (from the design)':38} {peer:6.2f} ms {'':>9} {peer / ours:7.2f}")
    row = f"{statistics.median(steps):6.2f} ms {statistics.quantiles(steps, n=20)[-1]:6.2f} ms"
    print(f"{'mlconsole, update by one step':38} {row}")
    quiet, mean = statistics.median(cells[1:]), statistics.mean(cells[1:])
    print(f"cells changed by a step: median {quiet:.0f}, mean {mean:.0f} of {WIDTH * HEIGHT}")
    sys.exit(ours > BUDGET)


if __name__ == "__main__":
    main()
