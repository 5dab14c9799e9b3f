"""`mlconsole watch --headless`: the alerts without a screen, for a small deployment in the cluster."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage
from mlconsole.commands.exits import Exit, Stop

_JSON = """\
one JSON object a line on standard output, each with at and event:
  started: context (as asked for), namespace, notify (what tells people), rules
  firing, resolved: alert, severity, service, value, condition, and what else a webhook gets (docs/alerts.md)
  source: name, condition, message, hint (a source that went, or came back)
  problem: words (an alert that could not be told; others' alerts that are not read; empty when it is over)
  stopped: signal
ends with 0 on SIGTERM and SIGINT. The log file of mlconsole has what libraries say.

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "Judge the rules of mlconsole.toml without a screen, and tell the command or the webhook that [notify] names.\n"
        "Listens on no port and changes nothing in the cluster; what goes away is waited for."
    )
    found = usage.plain("watch", words, common, _JSON)
    found.add_argument("--headless", action="store_true", help="say that no screen is wanted; there is one without it")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    if not args.headless:
        raise Stop("with a screen it is the console", "`mlconsole`, or mlconsole watch --headless", Exit.USAGE)
    from mlconsole.commands import headless

    return headless.run(args)
