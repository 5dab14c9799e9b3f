"""`mlconsole abandon SERVICE`: leave an interrupted operation as it is, with a reason."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Leave an interrupted operation as it was found: what it had pinned is put back, the lock is given up,\n"
        "nothing else is changed. For one that was overtaken by somebody else's change this is what there is to\n"
        "do."
    )
    return usage.directed("abandon", words, common)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import direct

    return direct.run(args, "abandon")
