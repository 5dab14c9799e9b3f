"""The log file: a handler that keeps it small and free of credentials (I27). `logplace` says where it is.

Several processes write it: two consoles, their engines, commands. Whoever finds it full moves it aside; the others
notice that and follow.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from mlconsole.domain.redaction import redacted
from mlconsole.domain.text import visible

LARGEST = 2 * 1024 * 1024
"""Bytes of the file; as many are kept of what was before, in `mlconsole.log.1`."""
LONGEST_LINE = 2000


def handler(file: Path, who: str, *, delay: bool = False) -> LogFile:
    """A handler for `file`, which `who` (the part of the program) writes; no other user can read it.

    Raises OSError where it cannot be written. With `delay` the file is opened when there is something to say.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = LogFile(file, delay)
    made.setFormatter(Redacting(f"%(asctime)s {who} pid {os.getpid()} %(name)s: %(message)s"))
    return made


class Redacting(logging.Formatter):
    """Formats a record, tracebacks included, without credentials and without anything that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of `record`."""
        return "\n".join(visible(line, LONGEST_LINE) for line in redacted(super().format(record)).split("\n"))


class LogFile(RotatingFileHandler):
    """Made by `handler`."""

    def __init__(self, file: Path, delay: bool) -> None:
        super().__init__(file, maxBytes=LARGEST, backupCount=1, encoding="utf-8", delay=delay)
        self.failure: Exception | None = None
        """What kept the last record from being written. It is not told on the screen, and stops nothing."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_privately)

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`, to the file that bears the name now."""
        self.failure = None
        try:
            if self.stream is not None and not self._is_current(self.stream):
                self.stream.close()
                self.stream = self._open()
        except OSError as error:
            self.failure = error
            return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Keep what went wrong."""
        failed = sys.exc_info()[1]
        self.failure = failed if isinstance(failed, Exception) else None

    def _is_current(self, stream: TextIOWrapper) -> bool:
        try:
            return os.path.samestat(os.fstat(stream.fileno()), os.stat(self.baseFilename))
        except FileNotFoundError:
            return False


def _privately(name: str, flags: int) -> int:
    descriptor = os.open(name, flags | os.O_CLOEXEC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor
