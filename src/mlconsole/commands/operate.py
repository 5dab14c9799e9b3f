"""An operation from the shell: plan, show, ask, carry out, say what came of it.

The plan, the executor and the record are the console's own. What is added here is how a shell says yes:

- A person at a terminal sees the plan and answers; the focus is on No. Production asks for the service's name, for a
  rollback never (I11).
- `--yes` stands for that answer. In production it does not stand for the name: `--confirm NAME` beside it does, so that
  a script that was written for staging does not move production's traffic by being pointed at it.
- Without a terminal and without `--yes` nobody can answer: that is a usage error, and nothing is changed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

from mlconsole.commands import figures, planpage
from mlconsole.commands.asking import ask, need_someone, sure
from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.page import Page
from mlconsole.commands.running import failures, quiet, settings, write_json
from mlconsole.commands.statusjson import record_json
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.operation import Operation as Carried
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Confirmation, Plan, PlanError
from mlconsole.domain.recording import record_of
from mlconsole.engine.consent import Consent, check_consent
from mlconsole.engine.ledger import Step
from mlconsole.engine.planner import NO_WISH, Wish
from mlconsole.engine.session import Session
from mlconsole.engine.underway import folder_of

PROVEN = (Phase.SMOKE, Phase.PARITY, Phase.ANALYSIS)
"""Gates that come on the way, and can be waived beforehand."""
AFTER = (Phase.ALIAS, Phase.WATCH, Phase.KEEP, Phase.DRAIN, Phase.RETIRE, Phase.ASK)
"""What takes its time after the traffic has arrived."""


def run(args: argparse.Namespace, kind: Kind, to_color: str = "", revision: int = 0, wish: Wish = NO_WISH) -> int:
    """Run it."""
    quiet()
    with failures(args):
        config = settings(args).settings
        if not args.dry_run and not args.yes:
            need_someone("--yes answers for you, --dry-run only shows the plan")
        with asyncio.Runner() as runner:
            return Operation(args, config, runner).run(kind, to_color, revision, wish)


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
        self._plan: Plan | None = None

    def run(self, kind: Kind, to_color: str, revision: int, wish: Wish) -> int:
        """Plan, show, ask, carry out; the exit code."""
        try:
            session = self._runner.run(self._open())
            try:
                plan = self._runner.run(self._planned(session, kind, to_color, revision, wish))
            except PlanError as error:
                if error.exit_code:
                    raise
                return self._nothing_to_do(kind, session.key(self._args.service), error)
            self._plan = plan
            if not self._json or not self._args.yes:
                planpage.show(self._page, plan, self._args.waive)
            self._waivers(plan)
            if self._args.dry_run:
                return self._dry_run(plan)
            consent = self._consent(plan)
            return self._carry_out(session, plan, consent)
        except KeyboardInterrupt:
            raise Stop(f"interrupted; {_so_far(self._plan)}", code=Exit.INTERRUPTED) from None
        finally:
            self._runner.run(self._stack.aclose())

    async def _open(self) -> Session:
        return await self._stack.enter_async_context(Session.open(self._config))

    async def _planned(self, session: Session, kind: Kind, to_color: str, revision: int, wish: Wish) -> Plan:
        namespace, name = session.key(self._args.service)
        gates = self._config.service(namespace, name).gates
        if kind is Kind.SWITCH and (gates.max_error_share is not None or gates.max_p95_seconds is not None):
            service = (await session.detail(self._args.service)).service
            known = await figures.ask(session.connection, self._config, [service], wanted=True)
            session.glances = known.glances
        return await session.plan(kind, self._args.service, to_color, revision, wish)

    # ---- yes or no

    def _waivers(self, plan: Plan) -> None:
        """A gate that does not exist is no waiver, and a typing error must not pass for one. Raises Stop."""
        known = [*(gate.name for gate in plan.gates), *(phase for phase in PROVEN if phase in plan.route)]
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
            reason = ask("reason, for the record: ")
        if self._args.yes:
            return self._words(plan, reason, typed=self._given_name(plan))
        if plan.confirmation is Confirmation.NAME:
            typed = ask(f"PRODUCTION. Type the service's name, {plan.service}, to go on: ")
            if typed != plan.service:
                raise Stop("the name was not typed; nothing was changed")
            return self._words(plan, reason, typed)
        sure(f"{plan.kind} {plan.service}?")
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
        to_the_end = getattr(self._args, "wait", False)
        for line in _to_be_said(plan, to_the_end):
            self._page.line(line)
        done = self._runner.run(session.execute(plan, consent, self._report, to_the_end=to_the_end))
        record = record_of(done)
        code = Exit.DONE if record.outcome is Outcome.VERIFIED else Exit.FAILED
        if self._json:
            self._write(_about(plan), record.outcome, record.message, code, plan, done)
            return code
        if code:
            self._page.line(_not_done(plan, record.outcome, record.message), "bold yellow")
        for line in goes_on(done):
            self._page.line(line)
        if plan.kind is Kind.DEPLOY and not plan.moves_traffic and not code:
            self._page.line(f"it has no traffic yet: `mlconsole switch {done.key}` moves it there")
        return code

    def _report(self, step: Step) -> None:
        self._steps.append(step)
        show_step(self._page, step)

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
        done: Carried | None = None,
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
            "phase": done.phase if done else None,
            "ahead": list(ahead(done)) if done else [],
            "plan": planpage.as_json(plan) if plan else None,
            "steps": steps_json(self._steps),
            "record": record_json(record_of(done)) if done else None,
        }
        write_json(found)


def show_step(page: Page, step: Step) -> None:
    """One step in one line."""
    page.table(("", ""), [(f"  {step.step:<8}", f"{step.outcome or ''} {step.words}".strip())])


def steps_json(steps: list[Step]) -> list[dict[str, str]]:
    """The steps with stable keys."""
    return [{"step": step.step, "words": step.words} for step in steps]


def ahead(op: Carried) -> tuple[Phase, ...]:
    """The phases that an operation still goes through, the one that it is in first."""
    order = list(Phase)
    if not op.running:
        return ()
    later = (phase for phase in op.plan.route if order.index(phase) > order.index(op.phase))
    return (op.phase, *later) if op.phase in op.plan.route else (op.phase,)


def goes_on(op: Carried) -> list[str]:
    """What a person has to know of an operation that goes on without them; nothing where little is left of it."""
    to_come = [phase for phase in ahead(op) if phase in AFTER]
    if not to_come:
        return []
    lines = [f"it goes on ({', '.join(to_come)}): `mlconsole operations {op.key} --follow` follows it"]
    if Phase.KEEP in to_come and not op.kept:
        lines.append(f"unless somebody says `mlconsole keep {op.key}` in time, the traffic goes back")
    return lines


def _to_be_said(plan: Plan, to_the_end: bool) -> list[str]:
    """What it will wait for that somebody has to say, and how."""
    key, lines = f"{plan.target.namespace}/{plan.service}", []
    if Phase.APPROVAL in plan.route:
        lines.append(f"a second person has to say `mlconsole approve {key}` on the way")
    if Phase.KEEP in plan.route and to_the_end:
        lines.append(f"somebody has to say `mlconsole keep {key}` at its end, or the traffic goes back")
    return lines


def _about(plan: Plan) -> tuple[Kind, str, str]:
    return plan.kind, plan.target.namespace, plan.service


def _not_done(plan: Plan, outcome: Outcome, message: str) -> str:
    key = f"{plan.target.namespace}/{plan.service}"
    if outcome is Outcome.UNVERIFIED:
        return f"applied and NOT VERIFIED: {message}; look at it; `mlconsole rollback {key}` goes back"
    if outcome is Outcome.OPEN:
        return f"NOT KNOWN: {message}; `mlconsole operations {key}` looks"
    return f"{outcome.upper()}: {message}"


def _so_far(plan: Plan | None) -> str:
    """What becomes of an operation whose shell is left."""
    begun = folder_of(plan.id).operation() if plan else None
    if plan is None or begun is None:
        return "nothing was changed"
    key = f"{plan.target.namespace}/{plan.service}"
    if not begun.running:
        return f"the operation is over: {begun.words}; `mlconsole status {key}` looks"
    follow = f"`mlconsole operations {key} --follow` follows it, `mlconsole abort {key}` ends it"
    return f"the operation goes on without this command, in phase {begun.phase}; {follow}"
