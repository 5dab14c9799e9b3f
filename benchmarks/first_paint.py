"""Start to first paint, beside an empty Textual app with a footer (budget: at most 1.3 x it).

Run: python benchmarks/first_paint.py [rounds]
"""

from __future__ import annotations

import statistics
import sys
import tempfile

from terminal import Program

EMPTY = """
from textual.app import App
from textual.widgets import Footer
class Empty(App):
    def compose(self):
        yield Footer()
Empty().run()
"""


def paint(command: list[str], text: str, environ: dict[str, str]) -> float:
    """Seconds until the program painted something that is its own."""
    program = Program(command, **environ)
    try:
        return program.wait_for(text, 20)
    finally:
        program.close()


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as folder:
        environ = {"KUBECONFIG": f"{folder}/none", "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        empty, console = [], []
        for _ in range(rounds):
            empty.append(paint([sys.executable, "-c", EMPTY], "palette", environ))
            console.append(paint([sys.executable, "-m", "mlconsole"], "Fleet", environ))
    peer, ours = statistics.median(empty), statistics.median(console)
    print(f"{'start to first paint':34} {'median':>9} {'ratio':>7}")
    print(f"{'empty Textual app with a footer':34} {peer * 1000:6.0f} ms {1:7.2f}")
    print(f"{'mlconsole':34} {ours * 1000:6.0f} ms {ours / peer:7.2f}   budget 1.30")


if __name__ == "__main__":
    main()
