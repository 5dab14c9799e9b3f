"""A word to an operation under way, from the shell: resume, abort, abandon, keep, approve, handover.

What is under way is shown first, then asked, the focus on No. Whoever carries it out may run on another machine: the
request is left where it looks, and this command stays until it is seen to be heard. One that was interrupted is taken
up by an executor on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

from mlconsole.commands import planpage, underwaypage, watching
from mlconsole.commands.asking import ask, need_someone, sure
from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.operate import goes_on, show_step, steps_json
from mlconsole.commands.page import Page
from mlconsole.commands.running import failures, quiet, settings, write_json
from mlconsole.commands.statusjson import record_json
from mlconsole.config import Settings
from mlconsole.domain.history import NOTHING_MOVED, Outcome, Record
from mlconsole.domain.operation import Operation, Verb
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import PlanError
from mlconsole.domain.recording import record_of
from mlconsole.engine.ledger import Step
from mlconsole.engine.session import Session
from mlconsole.engine.underway import ABANDON, ABORT, RESUME, UnderWay, assert_second

HEARD = 60.0
"""Seconds that an executor may take to hear what is asked; it looks every few."""
ENDED = 900.0
"""Seconds that it may take to undo what it made, or to bring the traffic back."""
UNDONE = frozenset({*NOTHING_MOVED, Outcome.RETURNED})
"""What an abort is for."""
APPROVED = frozenset({Outcome.VERIFIED, Outcome.UNVERIFIED, Outcome.RETURNED})
"""How an operation can end that went on from there."""


def run(args: argparse.Namespace, verb: str) -> int:
    """Run it."""
    quiet()
    with failures(args):
        config = settings(args).settings
        if not args.yes:
            need_someone("--yes answers for you")
        with asyncio.Runner() as runner:
            return Direction(args, config, runner, verb).run()


class Direction:
    """One word of the shell."""

    def __init__(self, args: argparse.Namespace, config: Settings, runner: asyncio.Runner, verb: str) -> None:
        self._args = args
        self._config = config
        self._runner = runner
        self._verb = verb
        self._stack = AsyncExitStack()
        self._steps: list[Step] = []
        self._json = args.output == "json"
        self._page = Page(sys.stderr if self._json else sys.stdout)
        self._said = False

    def run(self) -> int:
        """Look, show, ask, say; the exit code."""
        try:
            session = self._runner.run(self._open())
            under = self._runner.run(session.under_way(self._args.service))
            if under is None:
                self._runner.run(session.assert_there(self._args.service))
                return self._nothing(session)
            if not self._json or not self._args.yes:
                self._show(under)
            session.assert_allowed(under)
            self._possible(under)
            reason = self._reason()
            if not self._args.yes:
                sure(f"{_called(self._verb)} the {under.operation.plan.kind} of {under.operation.key}?")
            done = self._runner.run(self._say(session, under, reason))
            return self._tell(under, done)
        except KeyboardInterrupt:
            so_far = "it was asked, and goes on" if self._said else "nothing was changed"
            raise Stop(f"interrupted; {so_far}", code=Exit.INTERRUPTED) from None
        finally:
            self._runner.run(self._stack.aclose())

    async def _open(self) -> Session:
        return await self._stack.enter_async_context(Session.open(self._config))

    def _show(self, under: UnderWay) -> None:
        underwaypage.show(self._page, under, time.time())
        if self._verb == Verb.APPROVE:
            planpage.show(self._page, under.operation.plan, under.operation.waived)

    # ---- whether it can be said

    def _possible(self, under: UnderWay) -> None:
        """Raise PlanError for what cannot be asked of an operation that is as it is."""
        op, verb = under.operation, self._verb
        assert_second(op, verb, under.asker)
        if verb not in under.verbs:
            what = f"{op.plan.kind} of {op.key}"
            can = ", ".join(under.verbs) or "nothing"
            if under.alive and verb in (RESUME, ABANDON):
                words = f"{what} is being carried out by {under.holder or op.by}: there is nothing to {verb}"
            elif under.alive:
                words = f"{what} is in phase {op.phase}: there is nothing to {_called(verb)}"
            else:
                words = f"nobody carries out {what}, {under.standing}: there is nothing to {_called(verb)}"
            raise PlanError(words, f"what can be asked: {can}", Exit.CONFLICT)

    def _reason(self) -> str:
        reason: str = self._args.reason.strip()
        if reason or self._verb != ABANDON:
            return reason
        if self._args.yes:
            raise Stop("a reason is needed", "say why it is abandoned with --reason: it goes on record", Exit.USAGE)
        reason = ask("reason, for the record: ")
        if not reason:
            raise Stop("a reason is needed; nothing was changed", code=Exit.USAGE)
        return reason

    # ---- saying it

    async def _say(self, session: Session, under: UnderWay, reason: str) -> Operation | Record:
        """How the operation is once the word was heard, or what went on record of it."""
        if not under.alive:
            stay = self._verb != RESUME or self._args.wait
            return await session.take_up(under, self._verb, reason, self._report, to_the_end=stay)
        verb = Verb(self._verb)
        await session.ask(under, verb, reason)
        self._report(Step("ask", f"asked {under.holder or under.operation.by} to {verb.said}"))
        found = await watching.until(session, under.operation, self._heard, self._report, HEARD)
        if verb is Verb.ABORT and isinstance(found, UnderWay) and found.alive:
            found = await watching.until(session, found.operation, lambda _: False, self._report, ENDED)
        if isinstance(found, Record):
            return found
        if not found.alive and not (verb is Verb.HAND_OVER and found.operation.halted):
            words = f"its executor is gone: {found.standing}"
            raise PlanError(words, f"`mlconsole operations {found.operation.key}` shows what can be done", 1)
        return found.operation

    def _heard(self, under: UnderWay) -> bool:
        op = under.operation
        if self._verb == Verb.ABORT:
            return watching.leaving(op)
        if self._verb == Verb.HAND_OVER or watching.leaving(op):
            return False  # nobody has it any more, or what goes on record says how it ended
        return op.phase is not Phase.APPROVAL if self._verb == Verb.APPROVE else op.kept

    def _report(self, step: Step) -> None:
        self._said = True
        self._steps.append(step)
        show_step(self._page, step)

    # ---- telling

    def _tell(self, under: UnderWay, done: Operation | Record) -> int:
        record = record_of(done) if isinstance(done, Operation) else done
        running = isinstance(done, Operation) and done.running
        handed = self._verb == Verb.HAND_OVER and isinstance(done, Operation)
        code = Exit.DONE if handed else self._code(record.outcome, running)
        if self._json:
            plan = under.operation.plan
            about = plan.target.namespace, plan.service
            self._write(about, under, record.outcome, record.message, code, record)
            return code
        heard = handed or (code == Exit.DONE and self._verb in (Verb.KEEP, Verb.APPROVE))
        words = _WORDS[self._verb] if heard else record.outcome
        self._page.line(f"{words}: {record.message}", "bold yellow" if code else "")
        if isinstance(done, Operation) and self._verb != ABORT:
            for line in goes_on(done):
                self._page.line(line)
        if handed and isinstance(done, Operation):
            self._page.line(f"nobody carries it out now: `mlconsole resume {done.key}` goes on with it, on any machine")
        return code

    def _code(self, outcome: Outcome, running: bool) -> int:
        """Whether it came to what was asked for."""
        if self._verb == ABORT:
            return Exit.DONE if outcome in UNDONE else Exit.FAILED
        if self._verb == ABANDON:
            return Exit.DONE if not running else Exit.FAILED
        if self._verb == Verb.APPROVE:
            return Exit.DONE if running or outcome in APPROVED else Exit.FAILED
        kept = running and self._verb == Verb.KEEP
        return Exit.DONE if kept or outcome is Outcome.VERIFIED else Exit.FAILED

    def _nothing(self, session: Session) -> int:
        """Nothing is under way: nothing to end or to go on with (I19); to keep or approve it is too late."""
        namespace, name = session.key(self._args.service)
        message = f"nothing is under way on {namespace}/{name}"
        if self._verb in (Verb.KEEP, Verb.APPROVE, Verb.HAND_OVER):
            words = f"`mlconsole audit {namespace}/{name}` says how the last operation ended"
            raise PlanError(f"{message}: there is nothing to {_called(self._verb)}", words, Exit.CONFLICT)
        if self._json:
            self._write((namespace, name), None, "none", message, Exit.DONE)
        else:
            self._page.line(message)
        return Exit.DONE

    def _write(
        self,
        about: tuple[str, str],
        under: UnderWay | None,
        outcome: str,
        message: str,
        code: int,
        record: Record | None = None,
    ) -> None:
        namespace, name = about
        found: dict[str, Any] = {
            "asked": self._verb,
            "service": name,
            "namespace": namespace,
            "outcome": outcome,
            "message": message,
            "exit_code": int(code),
            "operation": underwaypage.as_json(under) if under else None,
            "steps": steps_json(self._steps),
            "record": record_json(record) if record else None,
        }
        write_json(found)


def _called(verb: str) -> str:
    """A verb in a sentence."""
    return Verb(verb).said if verb in tuple(Verb) else verb


_WORDS: dict[str, str] = {Verb.KEEP: "kept", Verb.APPROVE: "approved", Verb.HAND_OVER: "free to be taken up"}
