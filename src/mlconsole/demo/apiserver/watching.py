"""Watches: changes as they come, bookmarks in between, and what a selector makes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from mlconsole.demo.apiserver import selectors
from mlconsole.demo.apiserver.errors import ApiError
from mlconsole.demo.apiserver.faults import Faults
from mlconsole.demo.apiserver.resources import Resource
from mlconsole.demo.apiserver.store import Change, Object, Store, encode_event

BOOKMARK_SECONDS = 10.0


async def watch(
    request: web.Request,
    store: Store,
    kind: Resource,
    namespace: str,
    faults: Faults,
    shape: Callable[[Object], Object],
) -> web.StreamResponse:
    """Stream the changes of a kind until the client goes or its timeout has passed."""
    query = request.query
    end = time.monotonic() + float(query.get("timeoutSeconds") or 1800)
    bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
    wanted = _wanted(query.get("labelSelector", ""), query.get("fieldSelector", ""), namespace)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    since = query.get("resourceVersion", "")
    generation = faults.generation
    start = int(since) if since.isdigit() and since != "0" else None
    if start is None:
        start = store.version
        for item in store.list(kind.key, namespace)[0]:
            if wanted(item):
                await response.write(encode_event("ADDED", shape(item)))

    def pause() -> float:
        return max(0.05, min(BOOKMARK_SECONDS, end - time.monotonic()))

    try:
        async for change in store.changes(kind.key, start, pause):
            if faults.generation != generation or time.monotonic() >= end:
                break
            if faults.silent_watches:
                continue
            if change is None:
                if bookmarks:
                    await response.write(_bookmark(kind, store.version))
            elif line := _line(change, wanted, shape, kind):
                await response.write(line)
    except ApiError as error:
        await response.write(encode_event("ERROR", error.status()))
    except (ConnectionError, asyncio.CancelledError):
        return response
    await response.write_eof()
    return response


def _wanted(labels: str, fields: str, namespace: str) -> Callable[[Object], bool]:
    by_labels, by_fields = selectors.by_labels(labels), selectors.by_fields(fields)

    def wanted(item: Object) -> bool:
        here = not namespace or item["metadata"].get("namespace", "") == namespace
        return here and by_labels(item) and by_fields(item)

    return wanted


def _line(
    change: Change, wanted: Callable[[Object], bool], shape: Callable[[Object], Object], kind: Resource
) -> bytes | None:
    """The event of a change as this watch sees it: an object that leaves the selection is deleted from it."""
    now, before = wanted(change.object), change.before is not None and wanted(change.before)
    event = change.type
    if change.type == "MODIFIED" and now != before:
        event = "ADDED" if now else "DELETED"
    elif not now and not before:
        return None
    shaped = shape(change.object)
    if event == change.type and shaped is change.object:
        return change.line
    return encode_event(event, shaped)


def _bookmark(kind: Resource, version: int) -> bytes:
    meta = {"resourceVersion": str(version), "creationTimestamp": None}
    return encode_event("BOOKMARK", {"kind": kind.kind, "apiVersion": kind.group_version, "metadata": meta})
