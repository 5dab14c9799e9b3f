"""Where the log file is. Apart from `logfile`, whose imports nobody should wait for who writes no log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def place(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/mlconsole/mlconsole.log`."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local/state")
    return Path(state) / "mlconsole" / "mlconsole.log"
