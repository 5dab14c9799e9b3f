"""The objects of the embedded cluster, with resourceVersions, conflicts, watches and history.

One thread, no I/O: every change is complete before anybody can see it. Stored objects are never changed in place.
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import secrets
import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mlconsole.demo.apiserver import managed, patches, selectors, validation, views
from mlconsole.demo.apiserver.errors import ApiError, conflict, expired, not_found
from mlconsole.demo.apiserver.resources import BY_KEY, Resource

Object = dict[str, Any]
Key = tuple[str, str]
HISTORY = 2000
"""Changes kept a kind, for watches that take up where they were."""


@dataclass(frozen=True)
class Change:
    """One change of one object; `line` is its watch event, encoded once for all watchers."""

    version: int
    type: str
    object: Object
    before: Object | None
    line: bytes


@dataclass
class _Kind:
    objects: dict[Key, Object] = field(default_factory=dict)
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=HISTORY))
    oldest: int = 0
    """Changes up to this version are no longer all kept."""
    watchers: set[asyncio.Event] = field(default_factory=set)


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode_event(kind: str, item: Object) -> bytes:
    """A line of a watch."""
    return msgspec.json.encode({"type": kind, "object": item}) + b"\n"


class Store:
    """Every object, by kind. Raises ApiError as the API server would answer."""

    def __init__(self) -> None:
        self.version = 1
        self._kinds: defaultdict[str, _Kind] = defaultdict(_Kind)

    # ---- reading

    def get(self, resource: str, namespace: str, name: str) -> Object:
        """One object; 404 where there is none."""
        found = self._kinds[resource].objects.get((namespace, name))
        if found is None:
            raise not_found(resource, BY_KEY[resource].group, name)
        return found

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._kinds[resource].objects.get((namespace, name))

    def list(
        self, resource: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> tuple[list[Object], int]:
        """The objects of a kind, by namespace and name, and the version of the answer."""
        labels, fields = selectors.by_labels(label_selector), selectors.by_fields(field_selector)
        items = [
            item
            for (where, _), item in sorted(self._kinds[resource].objects.items())
            if (not namespace or where == namespace) and labels(item) and fields(item)
        ]
        return items, self.version

    # ---- changing

    def create(
        self, resource: str, obj: Object, *, dry_run: bool = False, manager: str = "world", applied: bool = False
    ) -> Object:
        """Create an object; 409 where there is one, 422 for one that is not valid."""
        kind = BY_KEY[resource]
        item = copy.deepcopy(obj)
        meta = item.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + secrets.token_hex(3)[:5]
        item["apiVersion"], item["kind"] = kind.group_version, kind.kind
        validation.check(kind, item, None)
        key = (meta.get("namespace", ""), meta["name"])
        if key in self._kinds[resource].objects:
            name = f"{resource}.{kind.group}" if kind.group else resource
            raise ApiError(409, f'{name} "{meta["name"]}" already exists', "AlreadyExists")
        if kind.namespaced and resource != "events" and not self.find("namespaces", "", key[0]):
            raise not_found("namespaces", "", key[0])
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=now())
        if "spec" in item:
            meta["generation"] = 1
        validation.defaults(kind, item)
        managed.note(item, None, manager, applied=obj if applied else None)
        return item if dry_run else self._commit(resource, "ADDED", item, None)

    def update(
        self, resource: str, obj: Object, *, subresource: str = "", dry_run: bool = False, manager: str = "world"
    ) -> Object:
        """Replace an object's spec and metadata, or its status; 409 if a resourceVersion is given and is another."""
        kind = BY_KEY[resource]
        meta = obj.get("metadata") or {}
        before = self.get(resource, meta.get("namespace", ""), meta.get("name", ""))
        given = meta.get("resourceVersion")
        if given and given != before["metadata"]["resourceVersion"]:
            raise conflict(resource, kind.group, meta["name"])
        return self._replace(kind, before, copy.deepcopy(obj), subresource, dry_run, manager)

    def patch(
        self,
        resource: str,
        namespace: str,
        name: str,
        patch: object,
        content_type: str,
        *,
        subresource: str = "",
        dry_run: bool = False,
        manager: str = "world",
        kind: Resource | None = None,
    ) -> Object:
        """Patch an object as `kind` shows it; a resourceVersion in the result that is not the object's is a 409."""
        shown, kind = kind or BY_KEY[resource], BY_KEY[resource]
        before = self.get(resource, namespace, name)
        after = patches.apply(views.view(shown)(before), patch, content_type)
        if not isinstance(after, dict) or (after.get("metadata") or {}).get("name") != name:
            raise ApiError(400, "the patch changes the object's name")
        if after["metadata"].get("resourceVersion") != before["metadata"]["resourceVersion"]:
            raise conflict(resource, kind.group, name)
        after = copy.deepcopy(views.back(shown, after, before))
        applied = patch if content_type == patches.APPLY and isinstance(patch, dict) else None
        return self._replace(kind, before, after, subresource, dry_run, manager, applied)

    def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        *,
        preconditions: Object | None = None,
        grace: int | None = None,
        dry_run: bool = False,
        orphan: bool = False,
    ) -> Object:
        """Delete an object and what it owns; a pod on a node is marked, and goes when the node says so (grace 0).

        With `orphan` what it owns stays, as nobody's.
        """
        before = self.get(resource, namespace, name)
        for key, wanted in (preconditions or {}).items():
            if wanted and before["metadata"].get(key) != wanted:
                raise conflict(resource, BY_KEY[resource].group, name)
        if dry_run:
            return before
        if resource == "pods" and grace != 0 and (before.get("spec") or {}).get("nodeName"):
            if before["metadata"].get("deletionTimestamp"):
                return before
            spec_grace = before["spec"].get("terminationGracePeriodSeconds", 30)
            meta = {
                **before["metadata"],
                "deletionTimestamp": now(),
                "deletionGracePeriodSeconds": spec_grace if grace is None else grace,
            }
            return self._commit(resource, "MODIFIED", {**before, "metadata": meta}, before)
        if orphan:
            self._let_go(before["metadata"]["uid"])
        del self._kinds[resource].objects[namespace, name]
        return self._commit(resource, "DELETED", before, before)

    def _replace(
        self,
        kind: Resource,
        before: Object,
        after: Object,
        subresource: str,
        dry_run: bool,
        manager: str,
        applied: Object | None = None,
    ) -> Object:
        if subresource == "status":
            item = {**before, "status": after.get("status") or {}}
        else:
            validation.check(kind, after, before)
            item = dict(after)
            if "status" in before or "status" in kind.subresources:
                item["status"] = before.get("status") or {}
            validation.defaults(kind, item)
        meta = dict(after.get("metadata") or {}) if subresource != "status" else dict(before["metadata"])
        for name in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion"):
            if name in before["metadata"]:
                meta[name] = before["metadata"][name]
            else:
                meta.pop(name, None)
        if subresource != "status" and "spec" in before and item.get("spec") != before.get("spec"):
            meta["generation"] = before["metadata"].get("generation", 1) + 1
        item.update(metadata=meta, apiVersion=kind.group_version, kind=kind.kind)
        if {**item, "metadata": {**meta, "managedFields": None}} == {
            **before,
            "metadata": {**before["metadata"], "managedFields": None},
        }:
            return before
        managed.note(item, before, manager, subresource, applied)
        return item if dry_run else self._commit(kind.key, "MODIFIED", item, before)

    def _commit(self, resource: str, change: str, item: Object, before: Object | None) -> Object:
        self.version += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        kind = self._kinds[resource]
        if change != "DELETED":
            kind.objects[item["metadata"].get("namespace", ""), item["metadata"]["name"]] = item
        if len(kind.changes) == kind.changes.maxlen:
            kind.oldest = kind.changes[0].version
        kind.changes.append(Change(self.version, change, item, before, encode_event(change, item)))
        for watcher in kind.watchers:
            watcher.set()
        if change == "DELETED":
            self._collect(item["metadata"]["uid"])
        return item

    def _collect(self, uid: str) -> None:
        """Delete what a deleted object owned alone."""
        for resource, item in self._owned(uid):
            others = [owner for owner in item["metadata"]["ownerReferences"] if owner.get("uid") != uid]
            namespace, name = item["metadata"].get("namespace", ""), item["metadata"]["name"]
            if any(self._lives(owner.get("uid", "")) for owner in others):
                self._disown(resource, item, others)
            elif self.find(resource, namespace, name):
                self.delete(resource, namespace, name)

    def _let_go(self, uid: str) -> None:
        for resource, item in self._owned(uid):
            others = [owner for owner in item["metadata"]["ownerReferences"] if owner.get("uid") != uid]
            self._disown(resource, item, others)

    def _disown(self, resource: str, item: Object, others: Sequence[Object]) -> None:
        self._commit(
            resource, "MODIFIED", {**item, "metadata": {**item["metadata"], "ownerReferences": [*others]}}, item
        )

    def _owned(self, uid: str) -> Sequence[tuple[str, Object]]:
        return [
            (resource, item)
            for resource, kind in self._kinds.items()
            for item in kind.objects.values()
            if any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or ())
        ]

    def _lives(self, uid: str) -> bool:
        return any(item["metadata"]["uid"] == uid for kind in self._kinds.values() for item in kind.objects.values())

    # ---- watching

    def compact(self) -> None:
        """Forget the history of every kind: a watch from any version before now gets a 410."""
        for kind in self._kinds.values():
            kind.oldest = self.version
            kind.changes.clear()

    async def changes(
        self, resource: str, since: int | None = None, pause: Callable[[], float | None] = lambda: None
    ) -> AsyncIterator[Change | None]:
        """Every change of a kind after `since` (None: from now on), for as long as it is asked for.

        Yields None when `pause()` seconds passed without a change. Raises ApiError (410) when `since` is too old.
        """
        kind = self._kinds[resource]
        last = self.version if since is None else since
        awake = asyncio.Event()
        kind.watchers.add(awake)
        try:
            while True:
                if last < kind.oldest:
                    raise expired()
                for change in [change for change in kind.changes if change.version > last]:
                    last = change.version
                    yield change
                awake.clear()
                if kind.changes and kind.changes[-1].version > last:
                    continue
                try:
                    async with asyncio.timeout(pause()):
                        await awake.wait()
                except TimeoutError:
                    yield None
        finally:
            kind.watchers.discard(awake)
