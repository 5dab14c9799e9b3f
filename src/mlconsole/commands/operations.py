"""`mlconsole operations [SERVICE]`: what is under way, or was interrupted."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage

_JSON = """\
with --output json, one object:
  context, namespace (empty: all), operations: a list of
    id, kind, service, namespace, from, to, by, host, reason, waived, started_at, phase, phase_at, route, arrived_at,
    kept, words, why, alive (somebody carries it out), here (on this machine), holder (of the lock), standing (what an
    interrupted one has come to: not started, partly applied, applied but unverified, done, overtaken by someone),
    stopped (why its executor gave up), seconds_left (until its lock may be taken), can (what can be asked of it: abort,
    keep, approve, handover, resume, abandon), carried_by (who took it up, where somebody else did), gates
  with --follow also: steps (a list of step, words) and record (what went on record)

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Every operation that is under way or was interrupted, by whoever and on whatever machine: who holds the\n"
        "lock, how far it is, what it has come to, what can be asked of it. Changes nothing. With --follow: stay\n"
        "until it is over; the exit code then says whether it came to what was planned."
    )
    found = usage.plain("operations", words, common, _JSON)
    found.add_argument("service", nargs="?", metavar="SERVICE", help="NAME or NAMESPACE/NAME (default: all of them)")
    found.add_argument("--follow", action="store_true", help="say what happens, until it is over")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import looking

    return looking.run(args)
