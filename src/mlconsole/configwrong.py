"""What is wrong with a configuration, with the place in the file and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.configalerts import Alert, Notify, Webhook
from mlconsole.configoperations import Analysis, Deploy, Freeze, Parity, Smoke, Watch
from mlconsole.configpanels import PanelSettings
from mlconsole.configsettings import (
    Auth,
    Cluster,
    Docker,
    Environment,
    Gates,
    Metrics,
    Registry,
    ServiceSettings,
    Settings,
    Thresholds,
    Ui,
    Verify,
)
from mlconsole.configvalidation import Limit, Validation


def pin(tree: Mapping[str, Any], error: msgspec.ValidationError) -> tuple[str, str]:
    """(the table, msgspec's words) of the first thing wrong. msgspec alone does not say in which of several tables."""
    tables: dict[str, tuple[Any, type[Struct]]] = {"defaults": (tree.get("defaults", {}), ServiceSettings)}
    for section, type_ in (("environments", Environment), ("services", ServiceSettings)):
        of_section = tree.get(section)
        for name, table in of_section.items() if isinstance(of_section, dict) else ():
            tables[f"{section}.{name}"] = table, type_
    for name, (table, kind) in tables.items():
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError as found:
            return _pin_inner(name, table) or (name, str(found))
    return "", str(error)


def _pin_inner(name: str, table: Any) -> tuple[str, str] | None:
    """The same within one table, of the tables there that people name."""
    for inner in _NAMED:
        made = table.get(inner) if isinstance(table, dict) else None
        for key, value in made.items() if isinstance(made, dict) else ():
            try:
                msgspec.convert(value, _INNER[inner])
            except msgspec.ValidationError as found:
                return f"{name}.{inner}.{key}", str(found)
    return None


_TABLES: dict[str, type[Struct]] = {
    "": Settings,
    "cluster": Cluster,
    "registry": Registry,
    "metrics": Metrics,
    "metrics.auth": Auth,
    "docker": Docker,
    "ui": Ui,
    "alerts": Alert,
    "notify": Notify,
    "notify.webhook": Webhook,
}


_INNER: dict[str, type[Struct]] = {
    "thresholds": Thresholds,
    "gates": Gates,
    "verify": Verify,
    "deploy": Deploy,
    "smoke": Smoke,
    "parity": Parity,
    "analysis": Analysis,
    "watch": Watch,
    "freeze": Freeze,
    "validation": Validation,
    "validation.metrics": Limit,
    "panels": PanelSettings,
    "alerts": Alert,
}
"""By the first words under an environment or a service."""
_NAMED = ("analysis", "panels", "alerts", "freeze")
"""Those of which there are several, by names that people give them."""


def _table(table: str, inner: str) -> type[Struct]:
    """The type of a table: `inner` is its path under `table`, which is one environment or one service, or nothing."""
    if table:
        _, named, _ = ["", "", *table.rsplit(".", 2)][-3:]
        if named in _NAMED:
            return _INNER[named]
        of_one = Environment if table.startswith("environments.") else ServiceSettings
        return _inner(inner, of_one)
    if inner.startswith("defaults"):
        return _inner(inner.partition(".")[2], ServiceSettings)
    return _TABLES.get(inner, Settings)


def _inner(path: str, otherwise: type[Struct]) -> type[Struct]:
    first, second = [*path.split("."), ""][:2]
    return _INNER.get(f"{first}.{second}") or _INNER.get(first, otherwise)


def explain(table: str, message: str, path: Path | None, origins: Mapping[str, str]) -> str:
    """The message of msgspec with the place in the file and what would be right. `table` is what `message` is about."""
    what, _, at = message.partition(" - at `$")
    inner = re.sub(r"\[[^]]*\]", "", at.rstrip("`")).strip(".")
    dotted = ".".join(part for part in (table, inner) if part)
    unknown = re.match(r"Object contains unknown field `(.+)`", what)
    if unknown:
        known = [name for name in _table(table, inner).__struct_encode_fields__ if name.isidentifier()]
        near = difflib.get_close_matches(unknown[1], known, 1)
        key = ".".join(part for part in (dotted, unknown[1]) if part)
        right = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
        return f"{where(key, path, origins)}: unknown key `{key}`; {right}"
    return f"{where(dotted, path, origins)}: `{dotted}`: {_plainly(what)}"


_KINDS = {
    "object": "a table",
    "array": "a list",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
}


def _plainly(what: str) -> str:
    """What msgspec says, in the words of the file: `expected true or false, got text`."""
    if "matching regex '^/'" in what:
        return "expected a path that begins with /"
    what = re.sub(r" \| null|null \| ", "", what.replace("Expected", "expected"))
    return re.sub(r"`(\w+)`", lambda kind: _KINDS.get(kind[1], kind[1]), what)


def where(dotted: str, path: Path | None, origins: Mapping[str, str]) -> str:
    """Where a key, or the first one under it, was said; of one that nobody set, where its table was."""
    while dotted:
        for key, origin in origins.items():
            if key == dotted or key.startswith(dotted + "."):
                return origin
        dotted = dotted.rpartition(".")[0]
    return path.name if path else "command line"
