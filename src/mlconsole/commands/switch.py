"""`mlconsole switch SERVICE`: move a service's traffic to its other colour."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Move a model service's traffic to its idle colour: the plan is shown, the gates have to pass, the traffic\n"
        "is watched arriving. In production the service's name has to be typed; with --yes, given as --confirm\n"
        "NAME."
    )
    found = usage.planned("switch", words, common)
    found.add_argument("--to", default="", metavar="COLOUR", help="the colour (default: the idle one)")
    usage.add_wait(found)
    usage.add_confirm(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind

    return operate.run(args, Kind.SWITCH, to_color=args.to)
