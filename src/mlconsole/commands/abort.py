"""`mlconsole abort SERVICE`: end an operation: undone, or its traffic moved back."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "End an operation: what it made is undone, or its traffic moved back where it has moved. Works for one on\n"
        "another machine, and for one that was interrupted. Stays until it has ended. With nothing under way it\n"
        "does nothing."
    )
    return usage.directed("abort", words, common)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import direct

    return direct.run(args, "abort")
