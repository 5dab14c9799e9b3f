"""A traceback never reaches the screen: it goes to a log file, with one line to say so."""

from __future__ import annotations

import datetime
import os
import traceback
from collections.abc import Mapping
from pathlib import Path

from mlconsole.cluster.errors import redact


def log_path(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/mlconsole/mlconsole.log`."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local/state")
    return Path(state) / "mlconsole" / "mlconsole.log"


def keep(error: BaseException, environ: Mapping[str, str] = os.environ) -> str:
    """Write the traceback of `error` down; one line for the screen that says what it was and where to read on."""
    words = f"{type(error).__name__}: {redact(str(error))}"
    path = log_path(environ)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(_entry(error))
    except OSError as failure:
        return f"{words}; the log {path} could not be written: {failure.strerror}"
    return f"{words}; the traceback is in {path}"


def _entry(error: BaseException) -> str:
    """The traceback with what looks like a credential taken out of it (I27)."""
    stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    lines = "".join(traceback.format_exception(error)).splitlines()
    kept = [line[: len(line) - len(line.lstrip())] + redact(line) for line in lines]
    return "\n".join([f"{stamp} pid {os.getpid()}", *kept, ""]) + "\n"
