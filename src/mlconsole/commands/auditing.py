"""Read the records of a service's operations, from the cluster and from this machine: `mlconsole audit` (I17)."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import re
import sys
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.cluster.errors import ClusterError, redact
from mlconsole.commands.exits import Exit, Stop
from mlconsole.commands.page import Page
from mlconsole.commands.running import complete, failures, settings, stop_of, write_json
from mlconsole.commands.statusjson import record_json
from mlconsole.config import Settings
from mlconsole.domain.history import Kind, Outcome, Record, decode, merge
from mlconsole.engine.audit import default_path
from mlconsole.engine.session import Session

CLUSTER, HERE, BOTH = "cluster", "here", "both"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Line(Struct, frozen=True):
    """An operation, and where it is on record."""

    record: Record
    place: str = CLUSTER


class Wanted(Struct, frozen=True):
    """Which operations are asked for."""

    kinds: tuple[Kind, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    by: str = ""
    since: float = 0.0

    def takes(self, record: Record) -> bool:
        """Whether an operation is one of them."""
        return (
            (not self.kinds or record.kind in self.kinds)
            and (not self.outcomes or record.outcome in self.outcomes)
            and self.by.lower() in record.user.lower()
            and record.at >= self.since
        )


class Read(Struct, frozen=True):
    """What was read, and what was not."""

    namespace: str
    service: str
    context: str
    lines: tuple[Line, ...]
    problems: tuple[str, ...] = ()
    code: int = Exit.DONE
    """Of the cluster's history, where it could not be read and this machine's journal stands in for it."""


def run(args: argparse.Namespace) -> int:
    """Run it."""
    with failures(args):
        wanted = wanted_of(args, time.time())
        return complete(lambda: _run(args, settings(args).settings, wanted))


async def _run(args: argparse.Namespace, config: Settings, wanted: Wanted) -> int:
    read = await _read(args, config)
    lines = [line for line in read.lines if wanted.takes(line.record)]
    lines = lines[-args.limit :] if args.limit else lines
    if args.export:
        _export(args.export, lines)
        if args.export == "-":
            return read.code
    if args.output == "json":
        write_json(as_json(read, lines))
    else:
        _show(Page(), read, lines, args)
    return read.code


async def _read(args: argparse.Namespace, config: Settings) -> Read:
    async with Session.open(config) as session:
        namespace, name = session.key(args.service)
        context = session.connection.identity.context
        problems: list[str] = []
        code: int = Exit.DONE
        records: tuple[Record, ...] = ()
        try:
            past = await session.past(args.service)
            records = past.records
            problems += past.complaints
            if not records and not args.local:
                await session.assert_there(args.service)
        except (ClusterError, TimeoutError) as error:
            if not args.local:
                raise
            stop = stop_of(error)
            problems.append(f"the history in the cluster could not be read: {stop.message}")
            code = stop.code
    lines = [Line(record) for record in records]
    if args.local:
        mine, complaints = local(namespace, name, context)
        lines = merged(records, mine)
        problems += complaints
    return Read(namespace, name, context, tuple(lines), tuple(problems), code)


def local(namespace: str, service: str, context: str) -> tuple[list[Record], list[str]]:
    """The operations of a service in this machine's journal, and what of it could not be read."""
    path = default_path(os.environ)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"{path}: {error.strerror}"]
    records, complaints = decode(text)
    mine = [
        record
        for record in records
        if (record.namespace, record.service) == (namespace, service) and record.context in ("", context)
    ]
    return mine, [f"{path}: {words}" for words in complaints]


def merged(there: Iterable[Record], here: Iterable[Record]) -> list[Line]:
    """Both, one line an operation, in the order of time; an outcome counts for more than an intent."""
    known = {record.id: record for record in here}
    lines = []
    for record in merge(there):
        mine = known.pop(record.id, None)
        undecided = mine is not None and record.outcome is Outcome.OPEN
        lines.append(Line(mine if mine is not None and undecided else record, BOTH if mine else CLUSTER))
    lines += [Line(record, HERE) for record in known.values()]
    return sorted(lines, key=lambda line: line.record.at)


# ---- asked for


def wanted_of(args: argparse.Namespace, now: float) -> Wanted:
    """What the options ask for. Raises Stop for what is none."""
    kinds = tuple(Kind(_one_of("kind", name, list(Kind))) for name in args.kind)
    outcomes = tuple(Outcome(_one_of("outcome", name, list(Outcome))) for name in args.outcome)
    return Wanted(kinds, outcomes, args.by, since(args.since, now) if args.since else 0.0)


def _one_of(what: str, given: str, known: list[str]) -> str:
    if given not in known:
        raise Stop(f"there is no {what} {given!r}", f"there are: {', '.join(known)}", Exit.USAGE)
    return given


def since(text: str, now: float) -> float:
    """A moment: so long ago, or a date in UTC. Raises Stop."""
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if ago:
        return now - float(ago[1]) * _UNITS[ago[2]]
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        hint = "`90m`, `2h`, `7d`, or a date as in `2026-11-24T03:12Z`"
        raise Stop(f"--since {text}: that is no time", hint, Exit.USAGE) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


# ---- told


def _show(page: Page, read: Read, lines: list[Line], args: argparse.Namespace) -> None:
    key = f"{read.namespace}/{read.service}"
    if not lines:
        narrowed = any((args.kind, args.outcome, args.by, args.since))
        page.line(f"no operation on {key} {'is of that kind' if narrowed else 'is on record'}")
    else:
        heads = ["WHEN", "WHAT", "FROM", "TO", "OUTCOME", "BY", "ON", "WHY", "WHAT CAME OF IT"]
        page.table([*heads, *(["ON RECORD"] if args.local else [])], [_row(line, args.local) for line in lines[::-1]])
    for words in read.problems:
        page.line(f"WARNING: {words}", "yellow")
    if args.export:
        page.line(f"{len(lines)} written to {args.export}")


def _row(line: Line, place: bool) -> list[str]:
    record = line.record
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(record.at))
    left = f"{record.from_color} {record.from_release.label}".strip()
    reached = f"{record.to_color} {record.to_release.label}".strip()
    waived = f"waived {', '.join(record.waived)}" if record.waived else ""
    reason = "; ".join(filter(None, (record.reason, waived)))
    row = [when, record.kind, left, reached, record.outcome, record.user, record.host, reason, record.message]
    return [*map(redact, row), *([line.place] if place else [])]


def as_json(read: Read, lines: list[Line]) -> dict[str, Any]:
    """With stable keys, the newest first."""
    return {
        "service": read.service,
        "namespace": read.namespace,
        "context": read.context,
        "problems": list(read.problems),
        "operations": [_operation_json(line) for line in lines[::-1]],
    }


def _operation_json(line: Line) -> dict[str, Any]:
    record = line.record
    more: dict[str, Any] = {
        "host": record.host or None,
        "terminal": record.terminal or None,
        "context": record.context or None,
        "plan_hash": record.plan_hash or None,
        "waived": list(record.waived),
        "verified_at": record.verified_at or None,
        "ended_at": record.ended_at or None,
        "from_revision": record.from_revision or None,
        "to_revision": record.to_revision or None,
        "on_record": line.place,
    }
    told = record_json(record)
    return {**told, "reason": redact(record.reason), "message": redact(record.message), **more}


def _export(path: str, lines: list[Line]) -> None:
    """Write records to a file that is not there yet. Raises Stop."""
    text = "".join(_exported(line.record) + "\n" for line in lines)
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Stop(f"{path} is there already", "name a new file, or remove that one", Exit.USAGE) from None
    except OSError as error:
        raise Stop(f"cannot write {path}: {error.strerror}", code=Exit.USAGE) from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise Stop(f"cannot write {path}: {error.strerror}") from error


def _exported(record: Record) -> str:
    safe = msgspec.structs.replace(record, reason=redact(record.reason), message=redact(record.message))
    return msgspec.json.encode(safe).decode()
