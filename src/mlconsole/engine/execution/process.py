"""Start an executor, hand it its operation, and follow what it says (design, section 4).

It is started when a plan is shown, so that it is warm when the plan is confirmed: it imports and reads its credentials
meanwhile, and ends if no operation comes. From then on nothing binds it to whoever started it: a session of its own,
no pipe but the one that handed it its operation.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from mlconsole.cluster.errors import redact
from mlconsole.config import Settings
from mlconsole.domain.operation import Operation, begin
from mlconsole.domain.plans import Plan
from mlconsole.engine.consent import Consent, check_consent
from mlconsole.engine.execution.folder import Entry, Folder, root

LOOK = 0.1
"""Seconds between two looks at what an executor says."""
START = 60.0
"""Seconds that an executor may take to say its first word, on a busy machine."""


class Executor:
    """A process that waits for an operation. `begin` hands it one, `dismiss` ends it."""

    def __init__(self, settings: Settings) -> None:
        command = [sys.executable, "-P", "-m", "mlconsole.engine.execution"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.begun = 0
        """Where in the journal what it says begins: an operation that is taken up again has lines already."""
        self._write(msgspec.json.encode(settings))

    def begin(self, operation: Operation) -> Folder:
        """Hand it its operation; the folder in which it says what it does.

        Raises OSError where it is gone, and where the folder cannot be written: but for a rollback, which begins
        with a folder in memory, and says so (I12).
        """
        folder = Folder(root(os.environ) / operation.id)
        try:
            self._put_down(operation, folder)
        except OSError as error:
            if not operation.plan.backward:
                raise
            folder = self._in_memory(operation, folder, error)
        self._write(msgspec.json.encode((operation, str(folder.path))))
        assert self._process.stdin is not None
        self._process.stdin.close()
        return folder

    def _put_down(self, operation: Operation, folder: Folder) -> None:
        folder.make()
        folder.keep(operation)
        self.begun = folder.size
        folder.own(self._process.pid)

    def _in_memory(self, operation: Operation, folder: Folder, error: OSError) -> Folder:
        """A folder that needs no disk; one that cannot be written where there is none."""
        # What is left of the other would make whoever looks take the executor for dead.
        shutil.rmtree(folder.path, ignore_errors=True)
        why = f"{folder.path}: {error.strerror or error}"
        words = f"WARNING: {why}: no record of its own on this machine; going on, this is a rollback"
        with contextlib.suppress(OSError):
            folder = Folder(Path(tempfile.mkdtemp(prefix="mlconsole-", dir=_memory())) / operation.id)
            self._put_down(operation, folder)
            folder.say(Entry(operation.started_at, "record", words))
        return folder

    def dismiss(self) -> None:
        """There is no operation for it: it ends."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        # Reaped when it has ended: nobody waits for that.
        self._process.poll()

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None


def _memory() -> str | None:
    """A place to write to that is no disk; None for wherever temporary files go."""
    places = (os.environ.get("XDG_RUNTIME_DIR") or "", "/dev/shm")
    return next((place for place in places if place and os.access(place, os.W_OK)), None)


def begin_with(plan: Plan, consent: Consent, executor: Executor, now: float, terminal: str = "") -> Folder:
    """Let an executor begin the operation of a plan. Raises PlanError where the consent is not enough, OSError."""
    return executor.begin(agreed(plan, consent, now, terminal))


def agreed(plan: Plan, consent: Consent, now: float, terminal: str = "") -> Operation:
    """The operation of a plan that a person agreed to. Raises PlanError where the consent is not enough."""
    check_consent(plan, consent, now)
    return begin(
        plan,
        plan.target.user,
        now,
        host=socket.gethostname(),
        terminal=terminal,
        reason=redact(consent.reason),
        waived=consent.waived,
    )


async def follow(folder: Folder, executor: Executor | None = None) -> AsyncIterator[Entry]:
    """Everything that an executor said and says, to its last word, or to its death."""
    offset, waited = executor.begun if executor is not None else 0, 0.0
    while True:
        gone = executor.gone if executor is not None else not folder.alive and waited > 0
        entries, offset = folder.entries(offset)
        for number, entry in enumerate(entries, 1):
            if entry.ended and number < len(entries):
                continue  # the last word of an executor before this one
            yield entry
            if entry.ended:
                return
        if gone or (waited > START and not offset):
            return
        await asyncio.sleep(LOOK)
        waited += LOOK
