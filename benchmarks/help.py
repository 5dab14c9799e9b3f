"""`mlconsole --help` beside an interpreter that does nothing (budget: under 150 ms).

Run: python benchmarks/help.py [rounds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from terminal import compiled


def took(command: list[str], environ: dict[str, str]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environ)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "mlconsole --help": [sys.executable, "-m", "mlconsole", "--help"],
        "mlconsole deploy --help": [sys.executable, "-m", "mlconsole", "deploy", "--help"],
        "mlconsole demo --help": [sys.executable, "-m", "mlconsole", "demo", "--help"],
    }
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, **compiled(folder)}
        turns = [{name: took(command, environ) for name, command in commands.items()} for _ in range(rounds + 1)]
    # The first turn compiles.
    times = {name: statistics.median(turn[name] for turn in turns[1:]) for name in commands}
    peer = times["python -c pass"]
    print(f"{'command':24} {'median':>9} {'ratio':>7}   budget 150 ms")
    for name, seconds in times.items():
        print(f"{name:24} {seconds * 1000:6.0f} ms {seconds / peer:7.1f}")


if __name__ == "__main__":
    main()
