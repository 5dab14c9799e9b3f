"""`mlconsole keep SERVICE`: the release stays."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Say that the release stays: within the time that commit-confirmed gives (watch.keep_within), or where a\n"
        "gate failed in the watch window and the operation asks. The word goes to whoever carries it out, on any\n"
        "machine."
    )
    return usage.directed("keep", words, common)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import direct

    return direct.run(args, "keep")
