"""The patch types: JSON Patch (RFC 6902), merge patch (RFC 7386), Kubernetes' strategic merge patch.

Strategic merge: https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from mlconsole.demo.apiserver.errors import ApiError

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "ownerReferences": "uid",
    "conditions": "type",
    "topologySpreadConstraints": "topologyKey",
}
"""Lists that are merged by a key of their items; `ports` depends on where it stands."""

ESCAPED = "&<>\u2028\u2029"
"""What Go escapes in the JSON that it writes."""


def apply(document: Any, patch: Any, content_type: str) -> Any:
    """A patched copy of `document`. Raises ApiError: 400 for a malformed patch, 422 for one that cannot be applied."""
    if content_type == JSON:
        return json_patch(document, patch)
    if content_type == MERGE:
        return merge_patch(document, patch)
    if content_type in (STRATEGIC, APPLY):
        return strategic(document, patch)
    raise ApiError(
        415, f"the body of the request was in an unknown format - accepted media types include: {JSON}, {MERGE}"
    )


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


# ---- JSON Patch


def json_patch(document: Any, patch: Any) -> Any:
    """RFC 6902: all of it or nothing."""
    if not isinstance(patch, list):
        raise ApiError(400, "json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    result = copy.deepcopy(document)
    for step in patch:
        result = _step(result, step)
    return result


def refuse_unescaped(data: bytes) -> None:
    """Raise ApiError where a `test` cannot hold: the real server compares text, and its own is what Go has escaped."""
    try:
        steps = msgspec.json.decode(data, type=list[dict[str, msgspec.Raw]])
    except msgspec.DecodeError:
        return  # said of the patch as a whole
    for step in steps:
        value = bytes(step.get("value", b"")).decode()
        if bytes(step.get("op", b"")) == b'"test"' and any(character in value for character in ESCAPED):
            raise _refused("testing failed")


def _step(document: Any, step: Any) -> Any:
    if not isinstance(step, dict) or "op" not in step or "path" not in step:
        raise ApiError(400, "a JSON patch operation needs op and path")
    operation, path = step["op"], _tokens(step["path"])
    if operation == "test":
        # What is missing is null; what is beneath it is not there to be asked about.
        _get(document, path[:-1])
        if _get(document, path, missing=None) != step.get("value"):
            raise _refused(f"testing path {step['path']} failed")
        return document
    if operation == "remove":
        _remove(document, path)
        return document
    if operation in ("move", "copy"):
        source = _tokens(step.get("from", ""))
        value = copy.deepcopy(_get(document, source))
        if operation == "move":
            _remove(document, source)
    elif operation in ("add", "replace"):
        value = copy.deepcopy(step.get("value"))
        if operation == "replace" and path:
            _get(document, path)
    else:
        raise ApiError(400, f"Unexpected kind: {operation}")
    if not path:
        return value
    _put(document, path, value, insert=operation != "replace")
    return document


def _refused(why: str) -> ApiError:
    return ApiError(422, f"the server rejected our request due to an error in our request: {why}", "Invalid")


def _tokens(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ApiError(400, f"not a JSON pointer: {pointer}")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


_RAISE = object()


def _get(document: Any, path: list[str], missing: Any = _RAISE) -> Any:
    for token in path:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list) and token.isdigit() and int(token) < len(document):
            document = document[int(token)]
        elif missing is not _RAISE:
            return missing
        else:
            raise _refused(f"missing path: /{'/'.join(path)}")
    return document


def _put(document: Any, path: list[str], value: Any, insert: bool) -> None:
    parent, last = _get(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        index = len(parent) if last == "-" else int(last) if last.isdigit() else -1
        if not 0 <= index <= len(parent) or (not insert and index == len(parent)):
            raise _refused(f"index {last} is out of bounds")
        if insert:
            parent.insert(index, value)
        else:
            parent[index] = value
    else:
        raise _refused(f"missing container: /{'/'.join(path)}")


def _remove(document: Any, path: list[str]) -> None:
    _get(document, path)
    parent, last = _get(document, path[:-1]), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]


# ---- strategic merge


def strategic(document: Any, patch: Any, field: str = "") -> Any:
    """A copy of `document` with a strategic merge patch applied."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(document) if isinstance(document, dict) else {}
    for key in patch.get("$retainKeys") or ():
        result = {name: value for name, value in result.items() if name in patch["$retainKeys"] or name == key}
    for key, value in patch.items():
        if key.startswith("$setElementOrder/") or key in ("$patch", "$retainKeys"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            order = patch.get(f"$setElementOrder/{key}")
            result[key] = _merge_list(result.get(key) or [], value, _merge_key(key, field, value), order)
        else:
            result[key] = strategic(result.get(key), value, key)
    return result


def _merge_key(key: str, parent: str, value: list[Any]) -> str:
    if key == "ports":
        named = any(isinstance(item, dict) and "containerPort" in item for item in value)
        return "containerPort" if named else "port"
    if key == "conditions" and parent != "status":
        return ""
    return MERGE_KEYS.get(key, "")


def _merge_list(before: list[Any], patch: list[Any], key: str, order: list[Any] | None) -> list[Any]:
    if not key or not all(isinstance(item, dict) for item in patch):
        return copy.deepcopy(patch)
    if any(item.get("$patch") == "replace" for item in patch):
        return [copy.deepcopy(item) for item in patch if "$patch" not in item]
    merged = {item.get(key): item for item in before if isinstance(item, dict)}
    for item in patch:
        name = item.get(key)
        if item.get("$patch") == "delete":
            merged.pop(name, None)
        else:
            merged[name] = strategic(merged.get(name), item)
    if order:
        wanted = [item.get(key) for item in order if isinstance(item, dict)]
        merged = {name: merged[name] for name in [*wanted, *merged] if name in merged}
    return list(merged.values())
