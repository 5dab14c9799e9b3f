"""Who wrote which fields, as metadata.managedFields tells it: a tree of `f:` fields and `k:` list items (FieldsV1)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from typing import Any

_PARTS = ("spec", "data", "status", "metadata")
_OF_METADATA = ("labels", "annotations", "ownerReferences", "finalizers")
_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
"""Lists whose items have an owner each, and what tells them apart; `ports` depends on where it stands."""
_ATOMIC = ("selector", "scaleTargetRef", "resources")
"""Maps that have one owner as a whole."""

_Path = tuple[str, ...]
_ABSENT = object()
APPLY, UPDATE = "Apply", "Update"


def note(
    item: dict[str, Any],
    before: dict[str, Any] | None,
    manager: str,
    subresource: str = "",
    applied: dict[str, Any] | None = None,
) -> None:
    """Note in `item` who wrote what of it: what differs from `before`, and for an apply all that it names."""
    kept = [dict(entry) for entry in (before or item)["metadata"].get("managedFields") or () if before]
    mine = _mine(kept, manager, subresource, APPLY if applied is not None else UPDATE)
    touched = False
    for part in _PARTS:
        old, new = _part(before or {}, part), _part(item, part)
        named = _leaves(_part(applied or {}, part)).keys()
        if old == new and not named:
            continue
        touched = True
        _settle(kept, mine, f"f:{part}", _leaves(old), _leaves(new), named)
    if touched:
        mine["time"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        mine["apiVersion"] = item["apiVersion"]
    kept = [entry for entry in kept if entry["fieldsV1"]]
    item["metadata"] = {**item["metadata"], "managedFields": kept}


def _mine(kept: list[dict[str, Any]], manager: str, subresource: str, operation: str) -> dict[str, Any]:
    for entry in kept:
        if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, operation, subresource):
            return entry
    mine: dict[str, Any] = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": {}}
    if subresource:
        mine["subresource"] = subresource
    kept.append(mine)
    return mine


def _settle(
    kept: list[dict[str, Any]],
    mine: dict[str, Any],
    field: str,
    old: dict[_Path, Any],
    new: dict[_Path, Any],
    named: Iterable[_Path],
) -> None:
    """What changed is the writer's now; what is gone is nobody's; what an apply names it shares."""
    changed = {path for path, value in new.items() if old.get(path, _ABSENT) != value}
    for entry in kept:
        owned = _paths(entry["fieldsV1"].get(field)) & new.keys()
        owned = owned | changed | (set(named) & new.keys()) if entry is mine else owned - changed
        fields = {key: value for key, value in entry["fieldsV1"].items() if key != field}
        entry["fieldsV1"] = fields | ({field: _tree(owned)} if owned else {})


def _part(item: dict[str, Any], part: str) -> Any:
    found = item.get(part) or {}
    if part != "metadata":
        return found
    return {key: found[key] for key in _OF_METADATA if found.get(key)}


def _leaves(value: Any) -> dict[_Path, Any]:
    found: dict[_Path, Any] = {}
    _walk((), "", value, found)
    found.pop((), None)
    return found


def _walk(path: _Path, name: str, value: Any, found: dict[_Path, Any]) -> None:
    keys = _item_keys(name, value)
    if isinstance(value, dict) and value and name not in _ATOMIC:
        for key, inner in value.items():
            _walk((*path, f"f:{key}"), key, inner, found)
    elif keys:
        for inner in value:
            mark = json.dumps({key: inner[key] for key in keys if key in inner}, separators=(",", ":"))
            found[*path, f"k:{mark}", "."] = True
            _walk((*path, f"k:{mark}"), "", inner, found)
    else:
        found[path] = value


def _item_keys(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return ()
    if name == "ports":
        return ("containerPort", "protocol") if "containerPort" in value[0] else ("port", "protocol")
    return _KEYS.get(name, ())


def _tree(paths: Iterable[_Path]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for token in path:
            node = node.setdefault(token, {})
    return root


def _paths(tree: dict[str, Any] | None, start: _Path = ()) -> set[_Path]:
    if tree is None:
        return set()
    if not tree:
        return {start}
    return {path for key, inner in tree.items() for path in _paths(inner, (*start, key))}
