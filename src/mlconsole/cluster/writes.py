"""The calls that change a cluster: thin, few, and used by `engine.gateway` alone (I9)."""

from __future__ import annotations

from typing import Any

from mlconsole.cluster import fresh
from mlconsole.cluster.connection import Connection, Identity
from mlconsole.cluster.errors import Invalid, WrongTarget
from mlconsole.cluster.resources import AUTOSCALERS
from mlconsole.domain.plans import PatchType, Write

FIELD_MANAGER = "mlconsole"
_GROUPS = {"services": "/api/v1", "pods": "/api/v1", "deployments": "/apis/apps/v1"}


async def send(connection: Connection, write: Write, *, expect: Identity, dry_run: bool = False) -> bytes:
    """Send a write of a plan: what the server answers, the object as it then has it (or would have it).

    Raises WrongTarget when the connection is not `expect` (I8), Invalid when the patch's `test` fails or the object is
    refused, Conflict when what is to be made exists or what is to be removed is another by now, NotFound, Forbidden,
    Unreachable.
    """
    if connection.identity != expect:
        raise WrongTarget(f"the plan is for {expect.context}, this connection is {connection.identity.context}")
    path = await _collection(connection, write)
    if write.body is not None:
        return await connection.request("POST", path, body=write.body, params=_params(dry_run))
    path += f"/{write.name}"
    if write.delete:
        return await connection.request("DELETE", path, body=_options(write, dry_run))
    return await connection.request(
        "PATCH", path, body=list(write.patch), content_type=PatchType.JSON, params=_params(dry_run)
    )


async def patch(connection: Connection, write: Write, *, expect: Identity, dry_run: bool = False) -> bytes:
    """`send`, for a write that is a patch."""
    return await send(connection, write, expect=expect, dry_run=dry_run)


async def create(connection: Connection, path: str, body: dict[str, Any]) -> bytes:
    """Create an object of the console's own: a record, an Event."""
    return await connection.request("POST", path, body=body, params=_params(False))


async def replace(connection: Connection, path: str, body: dict[str, Any]) -> bytes:
    """Replace an object of the console's own; the resourceVersion in `body` is the precondition."""
    return await connection.request("PUT", path, body=body, params=_params(False))


async def remove(connection: Connection, path: str, uid: str, resource_version: str = "") -> None:
    """Remove an object of the console's own: this very one, and where a version is given, as it was seen.

    Raises Conflict where it is another by now, NotFound.
    """
    only = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only}
    await connection.request("DELETE", path, body=options)


async def _collection(connection: Connection, write: Write) -> str:
    """Where the objects of a kind are: autoscalers in the version in which they were read."""
    if write.resource == AUTOSCALERS.key:
        kinds = await fresh.served(connection)
        return next(kind for kind in kinds if kind.resource is AUTOSCALERS).path(write.namespace)
    return f"{_GROUPS[write.resource]}/namespaces/{write.namespace}/{write.resource}"


def _options(write: Write, dry_run: bool) -> dict[str, Any]:
    """What a removal is asked with: of this very object, and of what it owns after it.

    A server that is given a body reads none of the parameters.
    """
    if not write.uid:
        raise Invalid(f"cannot delete {write.label}", "which one it is, its uid, is not known", "plan again")
    options: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": write.uid},
        "propagationPolicy": "Background",
    }
    return options | ({"dryRun": ["All"]} if dry_run else {})


def _params(dry_run: bool) -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
