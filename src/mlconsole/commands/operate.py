"""Switch and rollback from the shell: plan, show, ask, carry out, say what came of it.

The plan, the gateway and the record are the console's own. What is added here is how a shell says yes:

- A person at a terminal sees the plan and answers; the focus is on No. Production asks for the service's name for a
  switch, never for a rollback (I11).
- `--yes` stands for that answer. For a switch in production it does not stand for the name: `--confirm NAME` beside
  it does, so that a script that was written for staging does not move production's traffic by being pointed at it.
- Without a terminal and without `--yes` nobody can answer: that is a usage error, and nothing is changed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

from mlconsole.commands import figures, planpage
from mlconsole.commands.exits import EPILOG, Exit, Stop
from mlconsole.commands.page import Page
from mlconsole.commands.running import add_output, failures, quiet, settings, write_json
from mlconsole.commands.statusjson import record_json
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Outcome, Record
from mlconsole.domain.operation import record_of
from mlconsole.domain.plans import Confirmation, Plan, PlanError
from mlconsole.engine.consent import Consent, check_consent
from mlconsole.engine.ledger import Step
from mlconsole.engine.session import Session

_JSON = """\
with --output json, one object:
  kind, service, namespace, dry_run, outcome, message, exit_code
    outcome: planned (--dry-run), verified, unverified, open (not known whether it was applied), none (nothing to do)
  plan: id, hash, context, server, user, from, to, diffs, gates, rights, dry_run, confirmation, reason_required,
    requests_per_second, way_back, expected_seconds, warnings
  steps: a list of step, words
  record: what went on record (id, kind, at, user, reason, from, to, outcome, message), or null
where it is refused or fails: error, hint, exit_code. The plan is shown and the question asked on standard error.

"""


def parser(kind: Kind, description: str, common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What both take."""
    found = argparse.ArgumentParser(
        prog=f"mlconsole {kind}",
        description=description,
        epilog=_JSON + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    found.add_argument("service", metavar="SERVICE", help="NAME or NAMESPACE/NAME")
    found.add_argument("--dry-run", action="store_true", help="show the plan; the exit code says what would refuse it")
    found.add_argument("--yes", action="store_true", help="do not ask")
    found.add_argument("--reason", default="", metavar="WORDS", help="why; it goes on record")
    found.add_argument(
        "--waive",
        action="append",
        default=[],
        metavar="GATE",
        help="go on though this gate does not pass; needs a reason",
    )
    add_output(found)
    return found


def run(args: argparse.Namespace, kind: Kind, to_color: str = "", revision: int = 0) -> int:
    """Run it."""
    quiet()
    with failures(args):
        config = settings(args).settings
        if not args.dry_run and not args.yes and not _someone_there():
            words = "there is no terminal to ask on"
            raise Stop(words, "--yes answers for you, --dry-run only shows the plan", Exit.USAGE)
        with asyncio.Runner() as runner:
            return Operation(args, config, runner).run(kind, to_color, revision)


def _someone_there() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


class Operation:
    """One operation of the shell. Questions are asked between two runs of the loop, where Ctrl-C is an answer."""

    def __init__(self, args: argparse.Namespace, config: Settings, runner: asyncio.Runner) -> None:
        self._args = args
        self._config = config
        self._runner = runner
        self._stack = AsyncExitStack()
        self._steps: list[Step] = []
        self._json = args.output == "json"
        self._page = Page(sys.stderr if self._json else sys.stdout)

    def run(self, kind: Kind, to_color: str, revision: int) -> int:
        """Plan, show, ask, carry out; the exit code."""
        try:
            session = self._runner.run(self._open())
            try:
                plan = self._runner.run(self._plan(session, kind, to_color, revision))
            except PlanError as error:
                if error.exit_code:
                    raise
                return self._nothing_to_do(kind, session.key(self._args.service), error)
            if not self._json or not self._args.yes:
                planpage.show(self._page, plan, self._args.waive)
            self._waivers(plan)
            if self._args.dry_run:
                return self._dry_run(plan)
            consent = self._consent(plan)
            return self._carry_out(session, plan, consent)
        except KeyboardInterrupt:
            raise Stop(f"interrupted; {_so_far(self._steps, self._args.service)}", code=Exit.INTERRUPTED) from None
        finally:
            self._runner.run(self._stack.aclose())

    async def _open(self) -> Session:
        return await self._stack.enter_async_context(Session.open(self._config))

    async def _plan(self, session: Session, kind: Kind, to_color: str, revision: int) -> Plan:
        namespace, name = session.key(self._args.service)
        gates = self._config.service(namespace, name).gates
        if kind is Kind.SWITCH and (gates.max_error_share is not None or gates.max_p95_seconds is not None):
            service = (await session.detail(self._args.service)).service
            known = await figures.ask(session.connection, self._config, [service], wanted=True)
            session.glances = known.glances
        return await session.plan(kind, self._args.service, to_color, revision)

    # ---- yes or no

    def _waivers(self, plan: Plan) -> None:
        """A gate that does not exist is no waiver, and a typing error must not pass for one. Raises Stop."""
        known = [gate.name for gate in plan.gates]
        for name in self._args.waive:
            if name not in known:
                there = f"this plan's gates: {', '.join(known)}" if known else "this plan has no gates"
                raise Stop(f"there is no gate {name!r} to waive", there, Exit.USAGE)

    def _dry_run(self, plan: Plan) -> int:
        """Whether it would be done, as far as a plan can tell: the reason and the name are taken as given."""
        check_consent(plan, self._words(plan, reason=self._args.reason or "dry run"), plan.created_at)
        if self._json:
            self._write(_about(plan), "planned", "it can be done; nothing was changed", Exit.DONE, plan)
        else:
            self._page.line("it can be done; nothing was changed")
        return Exit.DONE

    def _consent(self, plan: Plan) -> Consent:
        """What was said, in the options or at the terminal. Raises Stop and PlanError: nothing was changed."""
        # What no answer would change is said before the question.
        check_consent(plan, self._words(plan, reason=self._args.reason or "asked for below"), plan.created_at)
        reason = self._args.reason
        if (plan.reason_required or self._args.waive) and not reason.strip():
            if self._args.yes:
                raise Stop("a reason is needed", "say why with --reason: it goes on record", Exit.USAGE)
            reason = _ask("reason, for the record: ")
        if self._args.yes:
            return self._words(plan, reason, typed=self._given_name(plan))
        if plan.confirmation is Confirmation.NAME:
            typed = _ask(f"PRODUCTION. Type the service's name, {plan.service}, to go on: ")
            if typed != plan.service:
                raise Stop("the name was not typed; nothing was changed")
            return self._words(plan, reason, typed)
        if _ask(f"{plan.kind} {plan.service}? [y/N] ").lower() not in ("y", "yes"):
            raise Stop("not confirmed; nothing was changed")
        return self._words(plan, reason)

    def _given_name(self, plan: Plan) -> str:
        if plan.confirmation is not Confirmation.NAME:
            return ""
        given: str = getattr(self._args, "confirm", "")
        if given != plan.service:
            words = f"{plan.service} is production: --yes alone does not stand for its name"
            raise Stop(words, f"give --confirm {plan.service} beside it", Exit.USAGE)
        return given

    def _words(self, plan: Plan, reason: str, typed: str | None = None) -> Consent:
        return Consent(plan.hash, reason, plan.service if typed is None else typed, tuple(self._args.waive))

    # ---- doing it

    def _carry_out(self, session: Session, plan: Plan, consent: Consent) -> int:
        record = record_of(self._runner.run(session.execute(plan, consent, self._report)))
        done = record.outcome is Outcome.VERIFIED
        code = Exit.DONE if done else Exit.FAILED
        if self._json:
            self._write(_about(plan), record.outcome, record.message, code, plan, record)
        elif not done:
            self._page.line(_not_done(plan, record), "bold yellow")
        return code

    def _report(self, step: Step) -> None:
        self._steps.append(step)
        self._page.table(("", ""), [(f"  {step.step:<7}", f"{step.outcome or ''} {step.words}".strip())])

    def _nothing_to_do(self, kind: Kind, where: tuple[str, str], error: PlanError) -> int:
        if self._json:
            self._write((kind, *where), "none", error.message, Exit.DONE)
        else:
            self._page.line(error.message)
        return Exit.DONE

    def _write(
        self,
        about: tuple[Kind, str, str],
        outcome: str,
        message: str,
        code: int,
        plan: Plan | None = None,
        record: Record | None = None,
    ) -> None:
        kind, namespace, name = about
        found: dict[str, Any] = {
            "kind": kind,
            "service": name,
            "namespace": namespace,
            "dry_run": self._args.dry_run,
            "outcome": outcome,
            "message": message,
            "exit_code": int(code),
            "plan": planpage.as_json(plan) if plan else None,
            "steps": [{"step": step.step, "words": step.words} for step in self._steps],
            "record": record_json(record) if record else None,
        }
        write_json(found)


def _about(plan: Plan) -> tuple[Kind, str, str]:
    return plan.kind, plan.target.namespace, plan.service


def _ask(question: str) -> str:
    """One line from the terminal; the question goes to standard error, which may be a terminal where output is none."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _not_done(plan: Plan, record: Record) -> str:
    back = f"`mlconsole rollback {plan.target.namespace}/{plan.service}` goes back"
    if record.outcome is Outcome.UNVERIFIED:
        return f"applied and NOT VERIFIED: {record.message}; look at it; {back}"
    return f"NOT KNOWN: {record.message}; `mlconsole status {plan.target.namespace}/{plan.service}` looks"


def _so_far(steps: list[Step], service: str) -> str:
    """What becomes of an operation whose shell is left."""
    if not steps:
        return "nothing was changed"
    return (
        f"the operation goes on; `mlconsole status {service}` tells how it ended, `mlconsole abort {service}` ends it"
    )
