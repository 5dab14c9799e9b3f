"""Questions at a terminal. The focus is on No, and where nobody sits nobody is asked."""

from __future__ import annotations

import sys

from mlconsole.commands.exits import Exit, Stop


def someone_there() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def need_someone(instead: str) -> None:
    """Raise Stop where nobody can be asked; `instead` says what to do then."""
    if not someone_there():
        raise Stop("there is no terminal to ask on", instead, Exit.USAGE)


def ask(question: str) -> str:
    """One line from the terminal; the question goes to standard error, which may be a terminal where output is none."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def sure(question: str) -> None:
    """Ask for a yes. Raises Stop for anything else."""
    if ask(f"{question} [y/N] ").lower() not in ("y", "yes"):
        raise Stop("not confirmed; nothing was changed")
