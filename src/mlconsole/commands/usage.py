"""What the commands of operations take and say of themselves. Nothing heavy here: `--help` answers at once."""

from __future__ import annotations

import argparse

from mlconsole.commands.exits import EPILOG, Exit, Stop
from mlconsole.commands.options import add_output

_PLANNED = """\
with --output json, one object:
  kind, service, namespace, dry_run, outcome, message, exit_code
    outcome: planned (--dry-run), verified, unverified, aborted, returned, abandoned,
      open (not known whether it was applied), none (nothing to do)
  phase: where it stands by now (done: it is over); ahead: the phases that it still goes through
  plan: id, hash, context, server, user, from, to, diffs, gates, rights, dry_run, confirmation, reason_required,
    requests_per_second, way_back, expected_seconds, warnings, route, replicas, cold, holder, preempts
  steps: a list of step, words
  record: what went on record (id, kind, at, user, reason, from, to, outcome, message), or null
where it is refused or fails: error, hint, exit_code. The plan is shown and the question asked on standard error.

"""
_GOES_ON = """\
An operation is carried out by a process of its own: it goes on when this command, or the line, is cut off.
`mlconsole operations` shows it, `mlconsole abort SERVICE` ends it.

"""
_DIRECTED = """\
with --output json, one object:
  asked, service, namespace, outcome, message, exit_code
    outcome: that of the operation (verified, unverified, failed, aborted, returned, abandoned, overtaken),
      open while it goes on, none (nothing is under way)
  operation: as in `mlconsole operations --output json`, as it was before; null where nothing is under way
  steps: a list of step, words
where it is refused or fails: error, hint, exit_code. What is under way is shown, and the question asked, on
standard error.

"""


def planned(name: str, description: str, common: argparse.ArgumentParser, notes: str = "") -> argparse.ArgumentParser:
    """The parser of a command that plans an operation and has it carried out."""
    found = _command(name, description, common, notes + _GOES_ON + _PLANNED)
    found.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    found.add_argument("--dry-run", action="store_true", help="show the plan; the exit code says what would refuse it")
    found.add_argument("--yes", action="store_true", help="do not ask")
    found.add_argument("--reason", default="", metavar="WORDS", help="why; it goes on record")
    found.add_argument(
        "--waive",
        action="append",
        default=[],
        metavar="GATE",
        help="go on though this gate does not pass; needs a reason. `lock` breaks the glass: "
        "the service is taken from whoever is at work on it",
    )
    add_output(found)
    return found


def add_confirm(parser: argparse.ArgumentParser) -> None:
    """`--confirm NAME`."""
    parser.add_argument("--confirm", default="", metavar="NAME", help="with --yes in production: the service's name")


def add_wait(parser: argparse.ArgumentParser) -> None:
    """`--wait`."""
    words = "stay to the very end (watch window, keep, drain), not only until the traffic has arrived"
    parser.add_argument("--wait", action="store_true", help=words)


def directed(name: str, description: str, common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser of a command that says something to an operation under way."""
    found = _command(name, description, common, _DIRECTED)
    found.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    found.add_argument("--yes", action="store_true", help="do not ask")
    found.add_argument("--reason", default="", metavar="WORDS", help="why; it goes on record")
    add_output(found)
    return found


def plain(name: str, description: str, common: argparse.ArgumentParser, notes: str) -> argparse.ArgumentParser:
    """The parser of a command that only looks."""
    found = _command(name, description, common, notes)
    add_output(found)
    return found


def _command(name: str, description: str, common: argparse.ArgumentParser, notes: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"mlconsole {name}",
        description=description,
        epilog=notes + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )


def whole_number(text: str) -> int:
    """A number of pods. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pods")
    return int(text)


def version(text: str) -> str:
    """A registered version as it was typed: `14`, `v14`, `@champion`. Raises Stop."""
    number = text.removeprefix("v")
    if number.isascii() and number.isdigit() and int(number) > 0:
        return str(int(number))
    if text.startswith("@") and len(text) > 1:
        return text
    raise Stop(
        f"--version {text}: a version is a number, or the alias of one", "--version 14, --version @champion", Exit.USAGE
    )
