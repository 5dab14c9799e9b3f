"""The patches of a plan: bound to the object that was seen, undone by what they tested, cut where they must be."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from mlconsole.domain.plans import Write


def pinned(write: Write, uid: str) -> Write:
    """`write`, refused by the server itself for an object that was deleted and made anew (I8)."""
    test = {"op": "test", "path": "/metadata/uid", "value": uid}
    return replace(write, patch=(*write.patch[:1], test, *write.patch[1:])) if uid else write


def reversed_write(write: Write, uid: str = "") -> Write | None:
    """The write that undoes `write`, with what `write` left as its precondition; None where nothing does.

    `uid` is that of the object that `write` made. A patch can be undone as far as it tests what it replaces: what it
    adds is removed, what it replaces or removes is put back as the test before it saw it.
    """
    if write.body is not None:
        return replace(write, body=None, delete=True, uid=uid) if uid else None
    if write.delete:
        return None
    seen = {step["path"]: step["value"] for step in write.patch if step["op"] == "test"}
    back: list[dict[str, Any]] = []
    for step in reversed(write.patch):
        path = step["path"]
        if step["op"] == "test":
            continue
        if step["op"] in ("add", "replace"):
            back.append({"op": "test", "path": path, "value": step["value"]})
        if step["op"] == "add":
            back.append({"op": "remove", "path": path})
            continue
        known, value = _tested(seen, path)
        if not known:
            return None
        back.append({"op": "replace" if step["op"] == "replace" else "add", "path": path, "value": value})
    return replace(write, patch=tuple(back)) if back else None


def without(write: Write, path: str) -> Write | None:
    """A patch without what it does at `path`; None where it does nothing there, or nothing else."""
    kept = tuple(step for step in write.patch if step["path"] != path)
    changes = any(step["op"] != "test" for step in kept)
    return replace(write, patch=kept) if len(kept) < len(write.patch) and changes else None


def _tested(seen: dict[str, Any], path: str) -> tuple[bool, Any]:
    """Whether a test says what was at `path`, itself or a part of what it names; and what that was."""
    for tested, value in seen.items():
        if path == tested:
            return True, value
        if path.startswith(tested + "/"):
            found = value
            for token in path[len(tested) + 1 :].split("/"):
                key = token.replace("~1", "/").replace("~0", "~")
                if not isinstance(found, dict) or key not in found:
                    return False, None
                found = found[key]
            return True, found
    return False, None
