"""An operation's folder on this machine: what it is, what happened, what is asked of it, and whose process it is.

Plain files, so that nothing has to be connected to: a console follows `journal.jsonl` as it grows and leaves a request
in `requests.jsonl`; what a killed executor wrote last is there for the next one. Every line is one write.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from mlconsole.domain.history import Outcome
from mlconsole.domain.masking import masked
from mlconsole.domain.operation import Operation, Request

KEPT = 50
"""Folders of operations that have ended."""
GONE = "-"
"""When a process began that runs no more."""


class Entry(Struct, frozen=True, omit_defaults=True):
    """One line of the journal."""

    at: float
    step: str
    """The phase, or `refused` for the last word of one that was not begun."""
    words: str
    outcome: Outcome | None = None
    hint: str = ""
    exit_code: int = 0
    """Of a refusal."""
    ended: bool = False
    """Whether the executor says nothing more after this."""


def root(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/mlconsole/operations`."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local/state")
    return Path(state) / "mlconsole" / "operations"


def died(operation: str) -> bool:
    """Whether the executor of an operation ran on this machine and is gone: nobody has to wait for its lock."""
    if not operation or "/" in operation:
        return False
    folder = Folder(root(os.environ) / operation)
    kept = folder.operation()
    # A home may be shared by many machines: what runs on another one cannot be seen here.
    return kept is not None and kept.host == socket.gethostname() and not folder.alive


class Folder:
    """The folder of one operation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def log(self) -> Path:
        """What the executor's libraries say."""
        return self.path / "executor.log"

    def make(self) -> None:
        """Make it, and sweep the oldest of those that have ended. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sweep(self.path.parent)

    # ---- the executor's side

    def own(self, pid: int) -> None:
        """Say which process is the executor. Raises OSError."""
        self._replace("pid", f"{pid} {_started(pid)}".encode())

    def keep(self, operation: Operation) -> None:
        """Put the operation down, whole until it has ended, and wait for the disk. Raises OSError."""
        kept = masked(operation) if operation.ended else operation
        self._replace("operation.json", msgspec.json.encode(kept))

    def say(self, entry: Entry) -> None:
        """Add a line. Raises OSError."""
        self._append("journal.jsonl", msgspec.json.encode(entry))

    def requests(self) -> Iterator[Request]:
        """What was asked of it from this machine."""
        yield from _lines(self.path / "requests.jsonl", Request)

    # ---- the consoles' side

    def ask(self, request: Request) -> None:
        """Leave a request. Raises OSError."""
        self._append("requests.jsonl", msgspec.json.encode(request))

    def operation(self) -> Operation | None:
        """The operation as its executor last kept it; None where there is none to be read."""
        try:
            return msgspec.json.decode((self.path / "operation.json").read_bytes(), type=Operation)
        except (OSError, msgspec.DecodeError):
            return None

    def entries(self, offset: int = 0) -> tuple[list[Entry], int]:
        """The lines from `offset` on, and where the next one begins; a line that is not whole yet is left for later."""
        try:
            with (self.path / "journal.jsonl").open("rb") as file:
                file.seek(offset)
                text = file.read()
        except OSError:
            return [], offset
        whole = text[: text.rfind(b"\n") + 1]
        found = []
        for line in whole.splitlines():
            try:
                found.append(msgspec.json.decode(line, type=Entry))
            except msgspec.DecodeError:
                continue
        return found, offset + len(whole)

    @property
    def size(self) -> int:
        """Where the next line of the journal begins."""
        try:
            return (self.path / "journal.jsonl").stat().st_size
        except OSError:
            return 0

    @property
    def alive(self) -> bool:
        """Whether its executor runs on this machine."""
        try:
            pid, started = (self.path / "pid").read_text().split()
        except (OSError, ValueError):
            return False
        return started != GONE and _started(int(pid)) == started

    # ---- inside

    def _replace(self, name: str, data: bytes) -> None:
        target, new = self.path / name, self.path / f".{name}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        new.replace(target)

    def _append(self, name: str, line: bytes) -> None:
        descriptor = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line + b"\n")
        finally:
            os.close(descriptor)


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks: with its number, it is that process and no later one; or `GONE`."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return GONE if not _exists(pid) else "0"
    return GONE if fields[0] == "Z" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lines(path: Path, kind: type[Request]) -> Iterator[Request]:
    try:
        text = path.read_bytes()
    except OSError:
        return
    for line in text.splitlines():
        try:
            yield msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError:
            continue


def _sweep(parent: Path) -> None:
    """Remove the oldest folders of operations that have ended, beyond `KEPT`."""
    folders = sorted((item for item in parent.iterdir() if item.is_dir()), key=lambda item: item.stat().st_mtime)
    for path in folders[:-KEPT]:
        found = Folder(path)
        operation = found.operation()
        if not found.alive and (operation is None or operation.ended):
            shutil.rmtree(path, ignore_errors=True)
