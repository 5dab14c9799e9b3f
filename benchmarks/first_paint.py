"""Start to first paint, beside an empty Textual app with a footer (budget: at most 1.3 x it).

Run: python benchmarks/first_paint.py [rounds]

The two take turns. Both run from compiled files, as an installed package does. On a machine that is busy the wall clock
says little: the second table counts the processor's time of the process alone (not its engine's), up to that paint.
"""

from __future__ import annotations

import statistics
import sys
import tempfile

from terminal import Program, compiled

EMPTY = """
from textual.app import App
from textual.widgets import Footer
class Empty(App):
    def compose(self):
        yield Footer()
Empty().run()
"""
COMMANDS = {
    "empty Textual app with a footer": ([sys.executable, "-c", EMPTY], "palette"),
    "mlconsole": ([sys.executable, "-m", "mlconsole"], "6 Deployment"),
}
"""What is run, and the last of its own words that its first paint shows."""


def paint(command: list[str], text: str, environ: dict[str, str]) -> tuple[float, float]:
    """(seconds, seconds of the processor) until the program painted something that is its own."""
    program = Program(command, **environ)
    try:
        return program.wait_for(text, 20), program.processor()
    finally:
        program.close()


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        environ = {"KUBECONFIG": f"{folder}/none", "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        environ |= compiled(folder)
        turns = [{name: paint(*what, environ) for name, what in COMMANDS.items()} for _ in range(rounds + 1)]
    for number, what in enumerate(("start to first paint", "time of the processor")):
        # The first turn compiles.
        times = {name: statistics.median(turn[name][number] for turn in turns[1:]) for name in COMMANDS}
        peer = next(iter(times.values()))
        print(f"{what:34} {'median':>9} {'ratio':>7}   budget 1.30")
        for name, seconds in times.items():
            print(f"{name:34} {seconds * 1000:6.0f} ms {seconds / peer:7.2f}")


if __name__ == "__main__":
    main()
