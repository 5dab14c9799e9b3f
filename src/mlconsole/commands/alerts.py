"""`mlconsole alerts [SERVICE]`: what is wrong by the rules and by others' word, in one look."""

from __future__ import annotations

import argparse

from mlconsole.commands import usage

_JSON = """\
with --output json, one object:
  context, namespace, problem (a source of alerts that is away, or empty)
  rules: a list of
    rule, service, severity, condition, query, origin,
    holds (true, false, null: not known), state (firing: for a console or a watch that looks all the time; pending;
    inactive), since, value, why (why it is not known)
  alerts: others' (Prometheus, Alertmanager), a list of
    id, alert, service, severity, state, since, value, labels, sources, silenced_by, handled (verb, by, at, until, note)
  silences: a list of id, matchers, by, comment, starts_at, ends_at
A rule fires when it held for its time: that takes somebody who looks all the time, such as mlconsole watch.

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    words = (
        "What is wrong now: each rule on each service, in one look, and the alerts of Prometheus and Alertmanager.\n"
        "Changes nothing. 0 whenever the cluster could be read, whatever is wrong."
    )
    found = usage.plain("alerts", words, common, _JSON)
    found.add_argument("service", nargs="?", metavar="SERVICE", help="NAME or NAMESPACE/NAME (default: all of them)")
    return found


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from mlconsole.commands import alerting

    return alerting.run(args)
