"""A traceback never reaches the screen: it goes to the log file, with one line to say so."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from mlconsole import logfile
from mlconsole.cluster.errors import redact
from mlconsole.logplace import place


def keep(error: BaseException, environ: Mapping[str, str] = os.environ) -> str:
    """Write the traceback of `error` down; one line for the screen that says what it was and where to read on."""
    words = f"{type(error).__name__}: {redact(str(error))}"
    path = place(environ)
    failure = _written(error, path)
    if failure is not None:
        why = getattr(failure, "strerror", None) or type(failure).__name__
        return f"{words}; the log {path} could not be written: {why}"
    return f"{words}; the traceback is in {path}"


def _written(error: BaseException, path: Path) -> Exception | None:
    """What kept the traceback from being written, if something did."""
    where = (type(error), error, error.__traceback__)
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, "ended over an error of its own", None, where)
    try:
        handler = logfile.handler(path, "command")
    except OSError as failure:
        return failure
    handler.emit(record)
    handler.close()
    return handler.failure
