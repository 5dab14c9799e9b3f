"""The local audit journal: every operation's intent and outcome, on disk before the cluster is touched (I17).

One JSON record a line. It says who did what to which cluster even when the cluster could not be written to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from mlconsole.domain.history import Record


def default_path(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/mlconsole/audit.jsonl`."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local/state")
    return Path(state) / "mlconsole" / "audit.jsonl"


class Journal:
    """An append-only file of records, each one forced to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Record) -> None:
        """Write `record` and wait until the disk has it. Raises OSError when it could not be kept."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            line = msgspec.json.encode(record) + b"\n"
            # One write: lines of two consoles never interleave under O_APPEND.
            rest = line if _ended(descriptor) else b"\n" + line
            while rest:
                # More than one only where a disk or a quota is full; then the next one raises.
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _ended(descriptor: int) -> bool:
    """Whether the last line is whole: a disk may have been full in the middle of one."""
    size = os.fstat(descriptor).st_size
    return not size or os.pread(descriptor, 1, size - 1) == b"\n"
