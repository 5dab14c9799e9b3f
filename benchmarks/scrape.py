"""What scraping costs: reading one page, beside prometheus_client's parser, and what that makes of a core.

Run: python benchmarks/scrape.py [rounds]
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from mlconsole.demo import plainmodels
from mlconsole.demo.modelserver import Figures, Model
from mlconsole.metrics.exposition import Page, Parser
from mlconsole.metrics.ledger import WINDOW, ColorLedger, points
from mlconsole.metrics.scrape import PER_SECOND
from mlconsole.metrics.seen import FeatureLedger


def pages(count: int) -> list[bytes]:
    """Pages of one model server, requests coming in between."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Figures(Model(plainmodels.write(Path(folder))["fraud-scorer", "12"]), "blue")
    drawn, found = random.Random(1), []
    for _ in range(count):
        for _ in range(100):
            figures.seen([drawn.gauss(40, 20) for _ in range(5)])
            figures.statuses["success"] += 1
            figures.duration.add(drawn.lognormvariate(-3, 0.5))
        found.append(figures.text().encode())
    return found


def seconds(call: Callable[[bytes], object], bodies: list[bytes]) -> float:
    """Median-like seconds of one call: the best of three passes, a page each."""
    passes = []
    for _ in range(3):
        started = time.perf_counter()
        for body in bodies:
            call(body)
        passes.append((time.perf_counter() - started) / len(bodies))
    return min(passes)


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    bodies = pages(rounds)
    parser = Parser()
    library = seconds(lambda body: list(text_string_to_metric_families(body.decode())), bodies[:20])
    first = seconds(lambda body: Parser().page(body), bodies[:20])
    ours = seconds(parser.page, bodies)
    short = seconds(lambda body: parser.page(body, features=False), bodies)

    read: list[Page] = [parser.page(body) for body in bodies]
    ledger, features = ColorLedger(5.0, 3600.0), FeatureLedger()
    started = time.perf_counter()
    for number, page in enumerate(read):
        ledger.add("pod", 1e6 + 5.0 * number, page)
        features.add("pod", "blue", 1e6 + 5.0 * number, page)
    kept = (time.perf_counter() - started) / rounds
    end = int(1e6 // 5) + rounds
    started = time.perf_counter()
    points(ledger, range(end - 180, end), round(WINDOW / 5))
    drawn = time.perf_counter() - started

    lines = bodies[0].count(b"\n")
    print(f"one page: {lines} lines, {len(bodies[0]) / 1000:.1f} kB{'':12} {'per page':>10} {'ratio':>7}")
    for name, took in (
        ("prometheus_client.parser", library),
        ("ours, the first time", first),
        ("ours, from then on", ours),
        ("ours, without features", short),
        ("counted into the ledgers", kept),
    ):
        print(f"{name:42} {took * 1e6:7.0f} us {took / library:7.3f}")
    print(f"{'a panel drawn anew, 180 points, 5 lines':42} {drawn * 1e3:7.1f} ms")
    print()
    print(f"{'share of a core, reading and counting':42} {'ours':>10} {'library':>10}")
    for name, per_second in (
        ("12 pods every 5 s", 12 / 5),
        ("50 pods every 5 s", 10.0),
        ("the whole budget", 2 * PER_SECOND),
    ):
        print(f"{name:42} {(ours + kept) * per_second:10.2%} {(library + kept) * per_second:10.2%}")


if __name__ == "__main__":
    main()
