"""Open the console: the engine first, then Textual, so that both get ready side by side (design, section 7)."""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.config import ConfigError, Ui, load
from mlconsole.engine.spawn import EngineProcess, spawn
from mlconsole.logplace import place

if TYPE_CHECKING:
    from mlconsole.ui.app import Console

RESTARTS = 3
"""Times that a console which ended over its own error is opened again, if it lived for a while in between."""
LIVED = 20.0
GRACE = 3.0
"""Seconds that a console whose terminal is gone has to end by itself."""


def run(options: Mapping[str, object]) -> int:
    """Open the console for the command line's `options`; the exit code.

    2 where there is no terminal or the configuration is wrong; 1 where it ended over an error of its own, which the
    log file has whole.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        sys.stderr.write("mlconsole: the console needs a terminal; `mlconsole status` works without one\n")
        return 2
    path = _log_to_file()
    threading.Thread(target=_end_with_the_terminal, args=(sys.stdin.fileno(),), daemon=True).start()
    for attempt in range(RESTARTS):
        started, app = time.monotonic(), None
        # Nothing that a start makes is waste; once it stands, the main screen has the collector work again.
        gc.disable()
        engine = spawn(options, path)
        try:
            look = load(options, os.environ).settings.ui
            app = _open(engine, options, look, path)
            if attempt:
                app.opening_words = f"opened again after an error of the console's own; {path} says which"
            code = app.run()
        except ConfigError as error:
            sys.stderr.write(f"mlconsole: {error}\n")
            return 2
        except Exception:
            logging.getLogger(__name__).exception("the console could not be opened")
            return _ended(path)
        finally:
            _end(engine, app)
        if not app.crashed:
            return code or 0
        if time.monotonic() - started < LIVED:
            break
    return _ended(path)


def _end_with_the_terminal(terminal: int) -> None:
    """Wait until the terminal has hung up, which not every end of one says by a signal; then end this process.

    Textual would read from it for ever at full speed, and stop at the first write that nobody takes.
    """
    hangup = select.poll()
    hangup.register(terminal, 0)
    hangup.poll()
    os.kill(os.getpid(), signal.SIGHUP)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGHUP)


def _end(engine: EngineProcess, app: Console | None) -> None:
    """End the engine; one that carries out an operation ends when that has ended."""
    if app is None or not app.under_way:
        engine.stop()
        return
    engine.leave()
    for service in app.under_way:
        sys.stderr.write(f"the operation on {service} goes on; `mlconsole status {service}` tells how it ended\n")


def _open(engine: EngineProcess, options: Mapping[str, object], look: Ui, path: Path) -> Console:
    from mlconsole.ui.app import Console
    from mlconsole.ui.ascii import without_utf8

    theme = look.theme or ""
    plain = without_utf8(os.environ) if look.ascii is None else look.ascii
    if os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        # Rich takes such a terminal for one of 80x25; at any other size Textual would lay out again and again.
        os.environ["TERM"] = "ansi"
    if not all(os.get_terminal_size(sys.stdin.fileno())):
        # A serial line tells no size. Rich takes it for one of 80x25, Textual for one of 80x24, with the same result.
        os.environ.update(COLUMNS="80", LINES="24")
    if not plain:
        return Console(engine, options, path, theme)
    from mlconsole.ui.driver import AsciiDriver

    return Console(engine, options, path, theme, AsciiDriver)


def _ended(path: Path) -> int:
    sys.stderr.write(
        f"mlconsole ended over an error of its own; {path} says which. "
        "What it did to a service is on record in the cluster: ConfigMap mlconsole-history-SERVICE.\n"
    )
    return 1


class _Late(logging.Handler):
    """Opens the log file with the first record, for most consoles never: the handler takes a while to import."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = path
        self._file: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; where the file cannot be written nothing is, and never to the screen."""
        if self._file is None:
            from mlconsole import logfile

            try:
                self._file = logfile.handler(self._path, "ui")
            except OSError:
                self._file = logging.NullHandler()
        self._file.handle(record)


def _log_to_file() -> Path:
    path = place(os.environ)
    logging.basicConfig(handlers=[_Late(path)], level=logging.WARNING, force=True)
    return path
