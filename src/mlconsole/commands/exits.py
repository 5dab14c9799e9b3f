"""What a command ends with: exit codes made for scripts, and the words that go with them."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    """Something was tried and failed, or its outcome could not be verified."""
    USAGE = 2
    """The command line, the configuration, or a name that does not exist."""
    DENIED = 3
    CONFLICT = 4
    """Changed or locked by someone else."""
    UNREACHABLE = 5
    GATE = 6
    """A gate refused; the data drifted."""
    UNKNOWN = 7
    """Too little is known to say."""
    INTERRUPTED = 130


EPILOG = """\
exit codes:
  0 done              3 not allowed                          6 a gate refused, or drifted
  1 failed            4 conflict, or locked by another       7 not enough is known to say
  2 usage, config     5 unreachable                          130 interrupted
"""


class Stop(Exception):
    """A command cannot go on. `hint` says what to do, `code` is what the process ends with."""

    def __init__(self, message: str, hint: str = "", code: int = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
