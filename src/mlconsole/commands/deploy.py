"""`mlconsole deploy SERVICE --version N|@alias`: bring a registered version up on the idle colour."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage
from mlconsole.commands.exits import Exit, Stop

_NOTES = """\
The image is --image, else what the version's tag in the registry says, else deploy.image in mlconsole.toml. What the
operation made is removed again when it fails, unless deploy.on_failure is `keep`.

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Bring a registered version up on the idle colour, as a copy of the live one's Deployment with as many\n"
        "pods; wait until it is ready, ask it (smoke test), compare it with the live one (parity), measure it\n"
        "(analysis). The traffic stays where it is; with --switch it is moved there once every gate has passed."
    )
    found = usage.planned("deploy", words, common, _NOTES)
    found.add_argument("--version", required=True, metavar="N|@ALIAS", help="the registered version, or an alias of it")
    found.add_argument("--image", default="", metavar="REF", help="its image (default: its tag, or deploy.image)")
    found.add_argument("--to", default="", metavar="COLOUR", help="the colour (default: the idle one)")
    pods = "how many pods (default: as many as the live one has)"
    found.add_argument("--replicas", type=usage.whole_number, default=-1, metavar="N", help=pods)
    found.add_argument("--switch", action="store_true", help="move the traffic there when its gates have passed")
    usage.add_wait(found)
    usage.add_confirm(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it. Raises Stop for a version that cannot be."""
    version = usage.version(args.version)
    if args.wait and not args.switch:
        words = "--wait is for what comes after a switch: a deploy without --switch is always waited for"
        raise Stop(words, "leave it out, or give --switch", Exit.USAGE)
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind
    from mlconsole.engine.planner import Wish

    wish = Wish(version, args.image, args.replicas, args.switch)
    return operate.run(args, Kind.DEPLOY, to_color=args.to, wish=wish)
