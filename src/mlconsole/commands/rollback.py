"""`mlconsole rollback SERVICE`: move the traffic back to the last release that was live and good."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage
from mlconsole.commands.exits import Exit, Stop


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Move a model service's traffic back to its last known good release, whatever the state of the one it\n"
        "leaves. Where that release is scaled down or gone it is brought up first. It takes the service from an\n"
        "operation that goes forward. A Deployment that is not blue-green goes back to an earlier revision. Never\n"
        "asks for a typed name."
    )
    found = usage.planned("rollback", words, common)
    found.add_argument(
        "--to-revision",
        type=int,
        default=0,
        metavar="N",
        help="of a Deployment that is not blue-green (default: the last)",
    )
    return found


def run(args: argparse.Namespace) -> int:
    """Run it. Raises Stop for a revision that cannot be."""
    if args.to_revision < 0:
        raise Stop(f"--to-revision {args.to_revision}: revisions are counted from 1", code=Exit.USAGE)
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind

    return operate.run(args, Kind.ROLLBACK, revision=args.to_revision)
