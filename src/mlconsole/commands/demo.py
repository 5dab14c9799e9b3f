"""`mlconsole demo`: the embedded world, with the console's own options passed on."""

from __future__ import annotations

import argparse

from mlconsole.commands import options
from mlconsole.commands.exits import Exit, Stop
from mlconsole.demo import command


def parser(_: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes: no place to look at, for it brings its own."""
    return command.parser([options.limits(), options.look()])


def run(args: argparse.Namespace) -> int:
    """Run it. Raises Stop for an option that has no meaning in a world of its own."""
    given = options.elsewhere(args)
    if given:
        raise Stop(f"the demo is a cluster of its own: {', '.join(given)} cannot be given with it", code=Exit.USAGE)
    return command.run(args)
