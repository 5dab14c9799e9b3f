"""Label and field selectors, as query parameters have them.

Grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mlconsole.demo.apiserver.errors import ApiError

Matches = Callable[[Mapping[str, Any]], bool]
_SET = re.compile(r"^\s*([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([\w./-]+)\s*(==|=|!=)\s*([\w./-]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([\w./-]+)\s*$")


def everything(_: Mapping[str, Any]) -> bool:
    """No selector."""
    return True


def by_labels(text: str) -> Matches:
    """A predicate on objects. Raises ApiError (400) for what is no selector."""
    if not text.strip():
        return everything
    tests = [_label_test(part) for part in re.split(r",(?![^(]*\))", text)]
    return lambda item: all(test(item["metadata"].get("labels") or {}) for test in tests)


def _label_test(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key, wanted, inside = found[1], found[2], {value.strip() for value in found[3].split(",")}
        if wanted == "in":
            return lambda labels: labels.get(key) in inside
        return lambda labels: labels.get(key) not in inside
    if found := _EQUAL.match(part):
        key, value, equal = found[1], found[3], found[2] != "!="
        return lambda labels: (labels.get(key) == value) is equal
    if found := _EXISTS.match(part):
        key, present = found[2], not found[1]
        return lambda labels: (key in labels) is present
    raise ApiError(400, f"unable to parse requirement: {part!r}")


def by_fields(text: str) -> Matches:
    """A predicate on objects from `metadata.name=x,status.phase!=y`. Raises ApiError (400)."""
    if not text.strip():
        return everything
    tests: list[Matches] = []
    for part in text.split(","):
        found = _EQUAL.match(part)
        if not found:
            raise ApiError(400, f"invalid field selector: {part!r}")
        path, value, equal = found[1].split("."), found[3], found[2] != "!="
        tests.append(lambda item, path=path, value=value, equal=equal: (_field(item, path) == value) is equal)  # type: ignore[misc]
    return lambda item: all(test(item) for test in tests)


def _field(item: Any, path: list[str]) -> str:
    for name in path:
        item = item.get(name) if isinstance(item, Mapping) else None
    return "" if item is None else str(item)
