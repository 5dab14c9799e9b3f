"""Write what is shown to a file that somebody else may read: one JSON object a line, without credentials (I27)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mlconsole.domain.history import Record
from mlconsole.domain.redaction import redacted
from mlconsole.domain.text import visible

LONGEST = 4000
"""Characters of one text that are kept."""


def folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/mlconsole/exports`."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".local/state")
    return Path(state) / "mlconsole" / "exports"


def records(found: Iterable[Record], service: str, where: Path, now: float) -> Path:
    """Write records to a new file in `where`; its path. Raises OSError."""
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    path = where / f"audit-{service.replace('/', '-')}-{stamp}.jsonl"
    lines = [msgspec.json.encode(_clean(msgspec.to_builtins(record))) + b"\n" for record in found]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(lines)
    return path


def _clean(value: Any) -> Any:
    """The same, its texts visible and without what looks like a credential."""
    if isinstance(value, str):
        return visible(redacted(value), LONGEST)
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
