"""Read `mlconsole.toml`: TOML, durations as people write them, and the line that each key stands on."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ConfigError(Exception):
    """The configuration cannot be used; the text says where, what and what would be right."""


_DURATIONS = re.compile(
    r"(registry|metrics)\.refresh|metrics\.(range|drift_past)"
    r"|(defaults|services\..+)\.(watch_window|keep_warm|verify\.deadline|thresholds\.p95_seconds"
    r"|gates\.(max_p95_seconds|max_validation_age)|deploy\.progress_deadline|smoke\.max_seconds"
    r"|analysis\.[^.]+\.interval|watch\.(keep_within|drain))"
    r"|((defaults|services\..+)\.)?alerts\.[^.]+\.(for|keep_firing_for)|notify\.(command_timeout|webhook\.timeout)"
    r"|environments\..+\.min_idle"
)
"""The keys whose text is a duration, by their dotted names."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables of a file, durations in seconds, and where each key stands, by dotted name. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    places = _lines(text)
    origins: dict[str, str] = {}
    _walk(tree, (), path, places, origins)
    return tree, origins


def _walk(
    tree: dict[str, Any], at: tuple[str, ...], path: Path, places: dict[str, int], origins: dict[str, str]
) -> None:
    for key, value in tree.items():
        dotted = ".".join((*at, key))
        where = _place(dotted, path, places)
        if isinstance(value, dict):
            _walk(value, (*at, key), path, places, origins)
            if not value:
                origins[dotted] = where
            continue
        origins[dotted] = where
        if _DURATIONS.fullmatch(dotted):
            tree[key] = _duration(value, f"{where}: {dotted}")


def _duration(value: Any, where: str) -> Any:
    """Text as seconds; other values as they are, for the types to judge. Raises ConfigError."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {value} is no duration: write 90s, 5m, 1h30m or 250ms")
    if not isinstance(value, str):
        return value
    try:
        return seconds(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _place(dotted: str, path: Path, places: Mapping[str, int]) -> str:
    """The line of a key, or of the closest table around it whose line is known."""
    while dotted:
        if dotted in places:
            return f"{path.name}:{places[dotted]}"
        dotted = dotted.rpartition(".")[0]
    return path.name


def _lines(text: str) -> dict[str, int]:
    """The line of each table and key, as far as a look at headers and assignments tells."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        assignment = re.match(r"\s*([\w.\"'/-]+)\s*=", line)
        if header:
            table = re.sub(r"[\"' ]", "", header[1])
            found.setdefault(table, number)
        elif assignment:
            key = re.sub(r"[\"']", "", assignment[1])
            found.setdefault(f"{table}.{key}".strip("."), number)
    return found


def seconds(text: str) -> float:
    """`90s`, `5m`, `1h30m`, `250ms` as seconds. Raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError(f"{text!r} is no duration: write 90s, 5m, 1h30m or 250ms")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
