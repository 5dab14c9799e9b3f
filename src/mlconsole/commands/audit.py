"""`mlconsole audit SERVICE`: who did what to a service, when and why, and what came of it."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage

_JSON = """\
with --output json, one object:
  service, namespace, context, problems (what could not be read, in words)
  operations: a list, newest first, of
    id, kind, at, user, reason, from, to, outcome, message, host, terminal, context, plan_hash, waived, verified_at,
    ended_at, from_revision, to_revision, on_record (cluster, here: only in this machine's journal, both)
--export writes one JSON object a line, oldest first, whole as they are on record, credentials blanked out.

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Who did what to a service, when and why, and what came of it: the history in the cluster, which keeps the\n"
        "newest 50 operations, and with --local this machine's own journal, which keeps all that began here. Changes\n"
        "nothing. Where the cluster does not answer, --local shows what is here, and the exit code says why."
    )
    found = usage.plain("audit", words, common, _JSON)
    found.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    found.add_argument("--kind", action="append", default=[], metavar="KIND", help="switch, rollback, deploy, ...")
    found.add_argument("--outcome", action="append", default=[], metavar="OUTCOME", help="verified, failed, open, ...")
    found.add_argument("--by", default="", metavar="WORD", help="of users whose name has this in it")
    found.add_argument(
        "--since", default="", metavar="WHEN", help="`90m`, `2h`, `7d`, `2026-11-24`, `2026-11-24T03:12Z`"
    )
    found.add_argument("--limit", type=usage.whole_number, default=0, metavar="N", help="the newest N")
    found.add_argument("--local", action="store_true", help="this machine's journal too")
    found.add_argument("--export", default="", metavar="FILE", help="write them to a new file (- is standard output)")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import auditing

    return auditing.run(args)
