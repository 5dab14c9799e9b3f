"""`mlconsole adopt SERVICE [--undo]`: make a plain Deployment and Service blue-green, or take that back."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Make a plain Deployment and its Service blue-green without losing a request: a copy with a colour is\n"
        "brought up, asked, and given the traffic; the plain Deployment is scaled to 0 when its last request is\n"
        "done, and kept. --undo has it serve again and removes the colours. In production the service's name has\n"
        "to be typed; with --yes, given as --confirm NAME."
    )
    found = usage.planned("adopt", words, common)
    found.add_argument("--undo", action="store_true", help="make it a plain Deployment and Service again")
    usage.add_wait(found)
    usage.add_confirm(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind

    return operate.run(args, Kind.RELEASE if args.undo else Kind.ADOPT)
