"""What judging drift costs: of raw values beside a loop of scipy's and beside Evidently, and of histograms.

Run: python benchmarks/drift.py [--evidently PYTHON] [--rounds N]

PYTHON is that of an environment with Evidently (0.7 wants pandas < 3, so one of its own): without it, it is left out.
Each contender runs in a process of its own, on the same tables: 200 features of 10,000 rows on either side, every tenth
moved by half a standard deviation. Times are the best of some rounds, after import, of the processor and of the clock;
memory is what was allocated at most during the work, beyond the tables themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

FEATURES, ROWS, BINS = 200, 10_000, 20
MANY = 1000
LARGE = 10_000_000
BUDGETS = {"histograms of 200 features": 20.0, "histograms of 1,000 features": 100.0}


def tables(folder: Path) -> None:
    """Both tables, a feature a row."""
    import numpy as np

    rng = np.random.default_rng(1)
    reference, current = rng.normal(size=(FEATURES, ROWS)), rng.normal(size=(FEATURES, ROWS))
    current[::10] += 0.5
    np.save(folder / "reference.npy", reference)
    np.save(folder / "current.npy", current)


# ---- the contenders: each gives the work, and what it says of it


def ours_raw(reference, current) -> Callable[[], int]:
    from mlconsole.domain.drift import DriftVerdict
    from mlconsole.domain.statistics.judging import Pair, judge_all
    from mlconsole.domain.statistics.samples import values
    from mlconsole.domain.statistics.verdicts import table

    def work() -> int:
        pairs = (
            Pair(f"f{i}", values(one), values(two)) for i, (one, two) in enumerate(zip(reference, current, strict=True))
        )
        return sum(row.verdict is DriftVerdict.DRIFTED for row in table(judge_all(pairs)).features)

    return work


def scipy_loop(reference, current) -> Callable[[], int]:
    from scipy.stats import ks_2samp

    return lambda: sum(ks_2samp(one, two).pvalue < 0.05 for one, two in zip(reference, current, strict=True))


def histograms(count: int, n: int) -> Callable[..., Callable[[], int]]:
    def make(*_) -> Callable[[], int]:
        import numpy as np

        from mlconsole.domain.drift import DriftVerdict
        from mlconsole.domain.reference import Numeric
        from mlconsole.domain.statistics.judging import Pair, judge_all
        from mlconsole.domain.statistics.verdicts import table

        rng = np.random.default_rng(1)
        edges = tuple(np.linspace(-2, 2, BINS - 1).tolist())
        ends = [np.searchsorted(np.sort(rng.normal(moved, size=200_000)), edges) / 200_000 for moved in (0.0, 0.5)]
        usual, moved = (np.diff([0.0, *end, 1.0]) for end in ends)

        def drawn(shares) -> Numeric:
            return Numeric(edges, tuple(map(float, rng.multinomial(n, shares))))

        pairs = [Pair(f"f{i}", drawn(usual), drawn(usual if i % 10 else moved)) for i in range(count)]
        return lambda: sum(row.verdict is DriftVerdict.DRIFTED for row in table(judge_all(pairs)).features)

    return make


def evidently(reference, current) -> Callable[[], int]:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = [f"f{i}" for i in range(len(reference))]
    sides = [pd.DataFrame(side.T.copy(), columns=names) for side in (current, reference)]

    def work() -> int:
        definition = DataDefinition(numerical_columns=names)
        datasets = [Dataset.from_pandas(side, data_definition=definition) for side in sides]
        found = Report([DataDriftPreset(num_method="ks")]).run(*datasets).dict()
        values = [metric["value"] for metric in found["metrics"]]
        return int(next(value["count"] for value in values if isinstance(value, dict) and "count" in value))

    return work


OURS, LOOP = "raw: ours, every figure", "raw: a loop of scipy's ks_2samp"
CONTENDERS = {
    OURS: ours_raw,
    LOOP: scipy_loop,
    "raw: Evidently, KS": evidently,
    "histograms of 200 features": histograms(FEATURES, ROWS),
    "histograms of 1,000 features": histograms(MANY, LARGE),
}


def contend(name: str, folder: Path, rounds: int) -> None:
    """One contender, in its own process: print what it took."""
    import numpy as np

    reference, current = np.load(folder / "reference.npy"), np.load(folder / "current.npy")
    work = CONTENDERS[name](reference, current)
    # The first time also pays for imports within, and for what is kept from then on.
    found, took = int(work()), []
    for _ in range(rounds):
        begun, clock = time.process_time(), time.perf_counter()
        work()
        took.append((time.process_time() - begun, time.perf_counter() - clock))
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    cpu, wall = (min(times) for times in zip(*took, strict=True))
    print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak, "drifted": found}))


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--evidently", metavar="PYTHON", default="")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.contender:
        contend(args.contender[0], Path(args.contender[1]), args.rounds)
        return
    over = False
    # One thread each: a core's worth of work is compared, and BLAS has no part in it.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        tables(Path(folder))
        heads = f"{'cpu':>10} {'wall':>10} {'peak':>10} {'drifted':>8}"
        print(f"{FEATURES} features, {ROWS} rows on either side{heads:>55}")
        took = {}
        for name in CONTENDERS:
            python = args.evidently if "Evidently" in name else sys.executable
            if not python:
                print(f"{name:40} {'not asked for: --evidently PYTHON':>40}")
                continue
            rounds = "1" if "Evidently" in name else str(args.rounds)
            command = [python, __file__, "--rounds", rounds, "--contender", name, folder]
            ended = subprocess.run(command, capture_output=True, text=True, env=environment)
            if ended.returncode:
                sys.exit(ended.stderr)
            found = json.loads(ended.stdout.splitlines()[-1])
            milliseconds = took[name] = found["cpu"] * 1000
            budget = BUDGETS.get(name)
            word = (
                "" if budget is None else f"   budget {budget:.0f} ms: {'kept' if milliseconds <= budget else 'OVER'}"
            )
            over |= budget is not None and milliseconds > budget
            row = f"{milliseconds:7.1f} ms {found['wall'] * 1000:7.1f} ms {found['peak']:6.1f} MiB {found['drifted']:8}"
            print(f"{name:40} {row}{word}", flush=True)
        ratio = took[OURS] / took[LOOP]
        print(f"raw, ours to scipy's loop: {ratio:.2f} (at most 1: {'kept' if ratio <= 1 else 'OVER'})")
    sys.exit(over or ratio > 1)


if __name__ == "__main__":
    main()
