"""`mlconsole approve SERVICE`: approve an operation, as its second person."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Approve an operation that waits for a second person. The plan is shown as it was confirmed. Whoever began\n"
        "it cannot approve it: the API server's word on who you are counts."
    )
    return usage.directed("approve", words, common)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import direct

    return direct.run(args, "approve")
