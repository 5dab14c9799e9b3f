"""`mlconsole drill SERVICE`: rehearse the rollback."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Rehearse a service's rollback without taking it: the write is tried dry, the standby is counted and\n"
        "asked, and both are timed. Nothing is changed but the record, which the rollback meter shows the age of."
    )
    return usage.planned("drill", words, common)


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import operate
    from mlconsole.domain.history import Kind

    return operate.run(args, Kind.DRILL)
