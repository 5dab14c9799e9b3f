"""`mlconsole scale SERVICE [COLOUR] REPLICAS`: give one colour another number of pods."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Give one colour of a model service another number of pods, and wait until they are ready. The colour with\n"
        "the traffic never gets fewer than it needs; 0 is for the idle one, which then is no way back without\n"
        "a wait."
    )
    found = usage.planned("scale", words, common)
    found.add_argument("color", nargs="?", default="", metavar="COLOUR", help="which, where there is more than one")
    found.add_argument("replicas", type=usage.whole_number, metavar="REPLICAS", help="how many pods it is to have")
    usage.add_confirm(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind
    from mlconsole.engine.planner import Wish

    wish = Wish(replicas=args.replicas)
    return operate.run(args, Kind.SCALE, to_color=args.color, wish=wish)
