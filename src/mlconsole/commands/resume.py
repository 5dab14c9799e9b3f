"""`mlconsole resume SERVICE`: go on with an operation that was interrupted."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Go on with an operation whose executor is gone: what was planned is compared with what is there, and\n"
        "another executor, on this machine, goes on from where it is safe to. Traffic is moved once; gates are\n"
        "asked again."
    )
    found = usage.directed("resume", words, common)
    usage.add_wait(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import direct

    return direct.run(args, "resume")
