"""One request to the API: parse the path, check the rights, do it, answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml
from aiohttp import web

from mlconsole.demo.apiserver import discovery, patches, reviews, tables, views, watching
from mlconsole.demo.apiserver.auth import User, forbidden
from mlconsole.demo.apiserver.errors import ApiError, expired
from mlconsole.demo.apiserver.faults import Faults
from mlconsole.demo.apiserver.proxy import PodLogs, Proxy
from mlconsole.demo.apiserver.resources import BY_PATH, VIRTUAL, Resource
from mlconsole.demo.apiserver.store import Object, Store

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Call:
    """A request to a resource, taken apart."""

    kind: Resource
    namespace: str
    name: str
    subresource: str
    rest: str


SAID = {
    "/healthz": (b"ok", "text/plain"),
    "/livez": (b"ok", "text/plain"),
    "/readyz": (b"ok", "text/plain"),
    # kubectl checks what it edits or applies against this, in protobuf: an empty document describes no kind, and a kind
    # that is not described is not checked.
    "/openapi/v2": (b"", "application/octet-stream"),
}
"""Paths that are always answered alike: body and type."""


class Api:
    """The API over one store."""

    def __init__(self, store: Store, logs: PodLogs | None, faults: Faults) -> None:
        self._store = store
        self._logs = logs
        self._faults = faults
        self.proxy = Proxy(store)

    async def handle(self, request: web.Request, user: User) -> web.StreamResponse:
        """Answer one request. Raises ApiError."""
        path = request.path.rstrip("/") or "/"
        if path in SAID and request.method == "GET":
            body, kind = SAID[path]
            return web.Response(body=body, content_type=kind)
        document = discovery.describe(path) if request.method == "GET" else None
        if document is not None:
            return _json(document)
        virtual = await self._review(request, path, user)
        if virtual is not None:
            return virtual
        call = parse(path)
        if call is None:
            raise ApiError(404, "the server could not find the requested resource")
        self._authorize(request, call, user)
        if call.subresource in ("proxy", "log"):
            return await self._subresource(request, call)
        if request.method in ("GET", "HEAD"):
            return await self._read(request, call)
        return await self._write(request, call, user)

    def _authorize(self, request: web.Request, call: Call, user: User) -> None:
        verb = _VERBS.get(request.method, "get" if call.name else "list")
        if request.method == "GET" and not call.name and _is_watch(request):
            verb = "watch"
        if request.method == "DELETE" and not call.name:
            verb = "deletecollection"
        resource = f"{call.kind.plural}/{call.subresource}" if call.subresource else call.kind.plural
        name = call.name  # of a proxy with its scheme and port: that is the name that a role has to give
        # A namespace is in itself: a Role in it may give the right to read it.
        namespace = call.name if call.kind.plural == "namespaces" else call.namespace
        if not user.may(verb, call.kind.group, resource, namespace, name):
            raise forbidden(user, verb, call.kind.group, resource, namespace, name)

    async def _review(self, request: web.Request, path: str, user: User) -> web.Response | None:
        parts = path.strip("/").split("/")
        if request.method != "POST" or len(parts) != 4 or parts[0] != "apis":
            return None
        found = VIRTUAL.get((f"{parts[1]}/{parts[2]}", parts[3]))
        if found is None:
            return None
        return _json(reviews.answer(found[0], user, await _body(request)), 201)

    # ---- reading

    async def _read(self, request: web.Request, call: Call) -> web.StreamResponse:
        if not call.name:
            if _is_watch(request):
                shape = self._shape(request, call.kind)
                return await watching.watch(request, self._store, call.kind, call.namespace, self._faults, shape)
            return self._list(request, call)
        item = self._store.get(call.kind.key, call.namespace, call.name)
        if call.subresource == "scale":
            return _json(_scale(item))
        return _json(self._shape(request, call.kind)(item))

    def _shape(self, request: web.Request, kind: Resource) -> Any:
        """How a single object is shown: as itself, as its events.k8s.io view, or as a Table for kubectl."""
        view = views.view(kind)
        if "as=Table" in request.headers.get("Accept", ""):
            include = request.query.get("includeObject", "Metadata")
            return lambda item: tables.table(kind.plural, [item], item["metadata"]["resourceVersion"], include)
        return view

    def _list(self, request: web.Request, call: Call) -> web.Response:
        query = request.query
        items, version = self._store.list(
            call.kind.key, call.namespace, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        start, version = _continued(query.get("continue", ""), version)
        limit = int(query.get("limit") or 0)
        page = items[start : start + limit] if limit else items[start:]
        meta: dict[str, Any] = {"resourceVersion": str(version)}
        if limit and start + limit < len(items):
            meta["continue"] = base64.urlsafe_b64encode(f"{start + limit}:{version}".encode()).decode()
            meta["remainingItemCount"] = len(items) - start - limit
        if "as=Table" in request.headers.get("Accept", ""):
            document = tables.table(call.kind.plural, page, str(version), query.get("includeObject", "Metadata"))
            document["metadata"] = meta
            return _json(document)
        view = views.view(call.kind)
        return _json(
            {
                "kind": f"{call.kind.kind}List",
                "apiVersion": call.kind.group_version,
                "metadata": meta,
                "items": [view(item) for item in page],
            }
        )

    async def _subresource(self, request: web.Request, call: Call) -> web.StreamResponse:
        if call.subresource == "log":
            if self._logs is None:
                raise ApiError(501, "there is no node that keeps logs")
            self._store.get("pods", call.namespace, call.name)
            tail = request.query.get("tailLines")
            previous = request.query.get("previous") in ("true", "1")
            text = self._logs.log(call.namespace, call.name, previous=previous, tail=int(tail) if tail else None)
            limit = request.query.get("limitBytes")
            return web.Response(body=text[: int(limit)] if limit else text, content_type="text/plain")
        if call.kind.plural == "pods":
            address = self.proxy.pod_address(call.namespace, call.name)
        elif call.kind.plural == "services":
            address = self.proxy.service_address(call.namespace, call.name)
        else:
            raise ApiError(405, "only pods and services have a proxy")
        return await self.proxy.forward(request, address, call.rest)

    # ---- writing

    async def _write(self, request: web.Request, call: Call, user: User) -> web.Response:
        dry_run = request.query.get("dryRun") == "All"
        manager = request.query.get("fieldManager") or user.name
        store, kind = self._store, call.kind
        if request.method == "DELETE":
            return self._delete(call, await _body(request), request.query)
        body = await _body(request)
        if request.method == "POST":
            item = {**body, "metadata": {**(body.get("metadata") or {})}}
            if kind.namespaced:
                item["metadata"]["namespace"] = call.namespace
            created = store.create(kind.key, views.back(kind, item), dry_run=dry_run, manager=manager)
            return _json(views.view(kind)(created), 201)
        if call.subresource == "scale":
            return self._write_scale(request, call, body, dry_run, manager)
        if request.method == "PUT":
            metadata = {"name": call.name, **(body.get("metadata") or {})}
            if kind.namespaced:
                metadata["namespace"] = call.namespace
            kept = store.find(kind.key, call.namespace, call.name)
            item = views.back(kind, {**body, "metadata": metadata}, kept)
            updated = store.update(kind.key, item, subresource=call.subresource, dry_run=dry_run, manager=manager)
            return _json(views.view(kind)(updated))
        content_type = request.content_type
        if content_type == patches.APPLY and store.find(kind.key, call.namespace, call.name) is None:
            item = views.back(kind, {**body, "metadata": {**(body.get("metadata") or {}), "name": call.name}})
            if kind.namespaced:
                item["metadata"]["namespace"] = call.namespace
            return _json(store.create(kind.key, item, dry_run=dry_run, manager=manager, applied=True), 201)
        if content_type == patches.JSON:
            patches.refuse_unescaped(await request.read())
        patched = store.patch(
            kind.key,
            call.namespace,
            call.name,
            body,
            content_type,
            subresource=call.subresource,
            dry_run=dry_run,
            manager=manager,
            kind=kind,
        )
        return _json(self._shape(request, kind)(patched))

    def _write_scale(self, request: web.Request, call: Call, body: Any, dry_run: bool, manager: str) -> web.Response:
        item = self._store.get(call.kind.key, call.namespace, call.name)
        scale = patches.apply(_scale(item), body, request.content_type) if request.method == "PATCH" else body
        given = (scale.get("metadata") or {}).get("resourceVersion")
        metadata = {**item["metadata"], "resourceVersion": given or item["metadata"]["resourceVersion"]}
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        wanted = {**item, "metadata": metadata, "spec": {**item["spec"], "replicas": replicas}}
        return _json(_scale(self._store.update(call.kind.key, wanted, dry_run=dry_run, manager=manager)))

    def _delete(self, call: Call, options: Any, query: Mapping[str, str]) -> web.Response:
        # With a body, nothing else is read.
        options = options if isinstance(options, dict) and options else _of_query(query)
        names = [call.name]
        if not call.name:
            names = [item["metadata"]["name"] for item in self._store.list(call.kind.key, call.namespace)[0]]
        gone: Object = {}
        for name in names:
            gone = self._store.delete(
                call.kind.key,
                call.namespace,
                name,
                preconditions=options.get("preconditions"),
                grace=options.get("gracePeriodSeconds"),
                dry_run="All" in (options.get("dryRun") or ()),
                orphan=options.get("propagationPolicy") == "Orphan",
            )
        if call.kind.plural == "pods" and call.name:
            return _json(gone)
        details = {"name": call.name, "group": call.kind.group, "kind": call.kind.plural}
        return _json({"kind": "Status", "apiVersion": "v1", "status": "Success", "details": details})


def parse(path: str) -> Call | None:
    """Take a resource's path apart; None for one that is none."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and (group, version, rest[2]) in BY_PATH:
        namespace, rest = rest[1], rest[2:]
    kind = BY_PATH.get((group, version, rest[0]))
    if kind is None or (kind.namespaced and not namespace and len(rest) > 1):
        return None
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in kind.subresources:
        return None
    return Call(kind, namespace, rest[1] if len(rest) > 1 else "", subresource, "/".join(rest[3:]))


def _is_watch(request: web.Request) -> bool:
    return request.query.get("watch") in ("true", "1")


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


async def _body(request: web.Request) -> Any:
    data = await request.read()
    if not data:
        return {}
    try:
        return yaml.safe_load(data) if "yaml" in request.content_type else msgspec.json.decode(data)
    except (msgspec.DecodeError, yaml.YAMLError) as error:
        raise ApiError(400, f"the body cannot be read: {error}") from error


def _of_query(query: Mapping[str, str]) -> dict[str, Any]:
    """The options of a removal that were given as parameters."""
    options: dict[str, Any] = {"propagationPolicy": query.get("propagationPolicy", "")}
    if query.get("dryRun"):
        options["dryRun"] = [query["dryRun"]]
    if query.get("gracePeriodSeconds", "").isdigit():
        options["gracePeriodSeconds"] = int(query["gracePeriodSeconds"])
    return options


def _continued(token: str, version: int) -> tuple[int, int]:
    if not token:
        return 0, version
    try:
        start, _, since = base64.urlsafe_b64decode(token).decode().partition(":")
        return int(start), int(since)
    except ValueError as error:
        raise expired("The provided continue parameter is too old or not one of this server's.") from error


def _scale(item: Object) -> Object:
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (item["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: item["metadata"][key] for key in kept if key in item["metadata"]},
        "spec": {"replicas": item["spec"].get("replicas", 1)},
        "status": {
            "replicas": (item.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }
