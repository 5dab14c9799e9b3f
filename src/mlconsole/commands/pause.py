"""`mlconsole pause SERVICE [COLOUR]`: hold the rollout of one colour's Deployment."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Hold the rollout of one colour's Deployment: its pods stay as they are, a change of its template waits\n"
        "until `mlconsole unpause`. Pods that die are replaced all the same."
    )
    found = usage.planned("pause", words, common)
    found.add_argument("color", nargs="?", default="", metavar="COLOUR", help="which, where there is more than one")
    usage.add_confirm(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind

    return operate.run(args, Kind.PAUSE, to_color=args.color)
