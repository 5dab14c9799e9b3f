"""`mlconsole unpause SERVICE [COLOUR]`: let the rollout of one colour's Deployment go on."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = "Let the held rollout of one colour's Deployment go on, and wait until its pods are ready."
    found = usage.planned("unpause", words, common)
    found.add_argument("color", nargs="?", default="", metavar="COLOUR", help="which, where there is more than one")
    usage.add_confirm(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind

    return operate.run(args, Kind.UNPAUSE, to_color=args.color)
