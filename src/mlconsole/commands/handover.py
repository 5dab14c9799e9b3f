"""`mlconsole handover SERVICE`: let somebody else go on with an operation."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Have whoever carries an operation out stop where it is safe to and give up the lock, on any machine.\n"
        "`mlconsole resume SERVICE` goes on with it at once, as whoever says that, from wherever it is said. Until\n"
        "then nothing goes on: no watch window, no time to be kept, no return by itself."
    )
    return usage.directed("handover", words, common)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import direct

    return direct.run(args, "handover")
