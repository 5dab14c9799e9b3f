"""The private folder of a world, and the sweeping of folders whose world was killed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "mlconsole-world-"
OWNER = "owner.json"
UNOWNED_SECONDS = 60.0
"""An empty folder that is older belongs to nobody any more."""


def started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty when there is none (or where /proc is not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def make() -> Path:
    """A new folder, readable by its owner alone, that says whose it is."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (folder / OWNER).write_text(json.dumps({"pid": os.getpid(), "started": started(os.getpid())}))
    return folder


def sweep() -> list[Path]:
    """Remove the folders of this user's worlds that are gone; those that were removed."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            gone = _unowned(folder) or _ended(folder)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if gone:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _ended(folder: Path) -> bool:
    owner = json.loads((folder / OWNER).read_text())
    return bool(started(int(owner["pid"])) != owner["started"])


def _unowned(folder: Path) -> bool:
    """Whether its world was killed before it could say whose it is."""
    return not any(folder.iterdir()) and time.time() - folder.stat().st_mtime > UNOWNED_SECONDS
