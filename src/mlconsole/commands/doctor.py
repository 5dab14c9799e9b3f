"""`mlconsole doctor`: check every connection and every permission, and say what to do."""

from __future__ import annotations

import argparse
import os

from mlconsole.commands import clusterchecks, localchecks
from mlconsole.commands.exits import EPILOG, Exit
from mlconsole.commands.findings import Finding, State, within
from mlconsole.commands.options import add_output, chosen
from mlconsole.commands.page import Page
from mlconsole.commands.running import complete, failures, write_json
from mlconsole.config import ConfigError, Settings, load
from mlconsole.engine.offload import COLD, Offload
from mlconsole.gathering import gather

_JSON = """\
exit code 0: all that is needed works (the rest may be WARN, or FAIL where something configured does not answer)

with --output json, one object:
  ok (what is needed works), exit_code
  checks: a list of what, state (OK, WARN, FAIL, OFF), words, hint, needed

"""


def parser(common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What it takes."""
    found = argparse.ArgumentParser(
        prog="mlconsole doctor",
        description="Check every connection and every permission, and say what to do. Changes nothing.",
        epilog=_JSON + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    add_output(found)
    return found


def run(args: argparse.Namespace) -> int:
    """Run it: 0 when what is needed works, 1 when not."""
    with failures(args):
        found = complete(lambda: examine(args))
    broken = [finding for finding in found if finding.needed and finding.state is State.FAIL]
    code = Exit.FAILED if broken else Exit.DONE
    if args.output == "json":
        write_json({"ok": not broken, "exit_code": int(code), "checks": found})
        return code
    page = Page()
    page.table(("CHECK", "", "WHAT IS", "WHAT TO DO"), [(f.what, f.state, f.words, f.hint) for f in found])
    names = ", ".join(finding.what for finding in broken)
    page.line(f"needed and broken: {names}" if broken else "what is needed works", "bold")
    return code


async def examine(args: argparse.Namespace) -> list[Finding]:
    """Every finding, the checks side by side."""
    settings, configuration = _configuration(args)
    offload = Offload()
    slow = COLD + 2 * localchecks.SECONDS
    try:
        parts = await gather(
            clusterchecks.check(settings),
            within(slow, "Prometheus", localchecks.metrics(settings, offload), False),
            within(2 * localchecks.SECONDS, "MLflow", localchecks.registry(settings, os.environ), False),
            within(slow, "Docker", localchecks.docker(settings, offload, os.environ), False),
        )
    finally:
        await offload.close()
    found = [configuration, *(finding for part in parts for finding in part)]
    return [*found, *localchecks.terminal(os.environ), *localchecks.folders(os.environ)]


def _configuration(args: argparse.Namespace) -> tuple[Settings, Finding]:
    """The settings to check with: without a file that is broken, the ones of the command line."""
    options = chosen(args)
    try:
        loaded = load(options, os.environ)
    except ConfigError as error:
        hint = "correct it; checked on without it"
        finding = Finding("configuration", State.FAIL, str(error), hint, needed=True)
        return load(options, os.environ, file=False).settings, finding
    words = f"{loaded.path}" if loaded.path else "no mlconsole.toml: defaults and environment"
    hint = "" if loaded.path else "`mlconsole config init` writes one"
    return loaded.settings, Finding("configuration", State.OK, words, hint, needed=True)
