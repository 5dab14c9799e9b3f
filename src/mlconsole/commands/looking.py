"""Look at what is under way, and follow it: the work of `mlconsole operations`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

from mlconsole.commands import underwaypage, watching
from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.operate import show_step, steps_json
from mlconsole.commands.page import Page
from mlconsole.commands.running import failures, quiet, settings, write_json
from mlconsole.commands.statusjson import record_json
from mlconsole.config import Settings
from mlconsole.domain.history import Outcome, Record
from mlconsole.domain.plans import PlanError
from mlconsole.domain.recording import record_of
from mlconsole.engine.ledger import Report, Step
from mlconsole.engine.session import Session
from mlconsole.engine.underway import UnderWay


def run(args: argparse.Namespace) -> int:
    """Run it; without --follow 0 whenever the cluster could be read."""
    quiet()
    with failures(args):
        config = settings(args).settings
        try:
            return asyncio.run(_run(args, config))
        except KeyboardInterrupt:
            raise Stop("interrupted; what is under way goes on", code=Exit.INTERRUPTED) from None


async def _run(args: argparse.Namespace, config: Settings) -> int:
    json = args.output == "json"
    page = Page(sys.stderr if json and args.follow else sys.stdout)
    async with Session.open(config) as session:
        found = await _found(session, args.service)
        place = {"context": session.connection.identity.context, "namespace": session.connection.namespace}
        if not json:
            _show(page, found, place)
        told: dict[str, Any] = {}
        code: int = Exit.DONE
        if args.follow:
            told, code = await _follow(session, found, page)
    if json:
        write_json({**place, "operations": [underwaypage.as_json(under) for under in found], **told})
    return code


async def _found(session: Session, service: str | None) -> list[UnderWay]:
    if not service:
        found = sorted(await session.all_under_way(), key=lambda under: under.operation.key)
        if not found:
            await session.assert_namespace(session.connection.namespace)
        return found
    under = await session.under_way(service)
    if under is None:
        await session.assert_there(service)
    return [under] if under else []


def _show(page: Page, found: list[UnderWay], place: dict[str, Any]) -> None:
    if not found:
        page.line(f"nothing is under way in {place['context']} / {place['namespace'] or 'all namespaces'}")
        return
    now = time.time()
    if len(found) > 1:
        underwaypage.show_all(page, found, now)
        return
    underwaypage.show(page, found[0], now)
    for line in underwaypage.advice(found[0]):
        page.line(line)


async def _follow(session: Session, found: list[UnderWay], page: Page) -> tuple[dict[str, Any], int]:
    """Stay with the one that is under way until it is over; what there is to tell of it, and the exit code.

    Raises Stop where it is not clear which, PlanError where nobody carries it out, or it failed.
    """
    if len(found) > 1:
        names = ", ".join(under.operation.key for under in found)
        raise Stop("there is more than one to follow", f"name one: {names}", Exit.USAGE)
    steps: list[Step] = []

    def report(step: Step) -> None:
        steps.append(step)
        show_step(page, step)

    record = await _stay(session, found[0], report) if found else None
    code = Exit.DONE if record is None or record.outcome is Outcome.VERIFIED else Exit.FAILED
    if record is not None:
        page.line(f"{record.outcome}: {record.message}", "bold yellow" if code else "")
    return {"steps": steps_json(steps), "record": record_json(record) if record else None}, code


async def _stay(session: Session, under: UnderWay, report: Report) -> Record:
    if not under.alive:
        words = f"nobody carries out the {under.operation.plan.kind} of {under.operation.key}: {under.standing}"
        raise PlanError(words, f"{', '.join(under.verbs)}: `mlconsole {under.verbs[0]} {under.operation.key}`", 1)
    if under.here:
        return record_of(await session.attach(under, report))
    ended = await watching.until(session, under.operation, lambda _: False, report, None)
    if isinstance(ended, Record):
        return ended
    return await _stay(session, ended, report)
