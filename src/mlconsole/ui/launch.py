"""Open the console: the engine first, then Textual, so that both get ready side by side (design, section 7)."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole import logfile
from mlconsole.config import ConfigError, Ui, load
from mlconsole.engine.spawn import EngineProcess, spawn

if TYPE_CHECKING:
    from mlconsole.ui.app import Console

RESTARTS = 3
"""Times that a console which ended over its own error is opened again, if it lived for a while in between."""
LIVED = 20.0


def run(options: Mapping[str, object]) -> int:
    """Open the console for the command line's `options`; the exit code.

    2 where there is no terminal or the configuration is wrong; 1 where it ended over an error of its own, which the
    log file has whole.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        sys.stderr.write("mlconsole: the console needs a terminal; `mlconsole status` works without one\n")
        return 2
    path = _log_to_file(logfile.path(os.environ))
    for attempt in range(RESTARTS):
        started, app = time.monotonic(), None
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


def _log_to_file(path: Path) -> Path:
    """Send the log to the file, or to nowhere where none can be written: never to the screen."""
    handler: logging.Handler = logging.NullHandler()
    try:
        handler = logfile.handler(path, "ui")
    except OSError:
        path = Path(os.devnull)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    return path
