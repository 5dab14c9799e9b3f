"""`mlconsole restart SERVICE [COLOUR]`: replace one colour's pods, a few at a time."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Replace the pods of one colour by new ones, as its Deployment's strategy says, and wait until they are\n"
        "ready. The same release: what `kubectl rollout restart` does, with a lock, a record and a deadline."
    )
    found = usage.planned("restart", words, common)
    found.add_argument("color", nargs="?", default="", metavar="COLOUR", help="which, where there is more than one")
    usage.add_confirm(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind

    return operate.run(args, Kind.RESTART, to_color=args.color)
