"""`mlconsole switch SERVICE`: move a service's traffic to its other colour."""

from __future__ import annotations

import argparse

from mlconsole.commands import operate
from mlconsole.domain.history import Kind


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Move a model service's traffic to its idle colour: the plan is shown, the gates have to pass, the traffic is\n"
        "watched arriving. In production the service's name has to be typed; with --yes, given as --confirm NAME."
    )
    found = operate.parser(Kind.SWITCH, words, common)
    found.add_argument("--to", default="", metavar="COLOUR", help="the colour (default: the idle one)")
    found.add_argument("--confirm", default="", metavar="NAME", help="with --yes in production: the service's name")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    return operate.run(args, Kind.SWITCH, to_color=args.to)
