"""The calls that change a cluster: thin, few, and used by `engine.gateway` alone (I9)."""

from __future__ import annotations

from typing import Any

from mlconsole.cluster.connection import Connection, Identity
from mlconsole.cluster.errors import WrongTarget
from mlconsole.domain.plans import PatchType, Write

FIELD_MANAGER = "mlconsole"
_GROUPS = {"services": "/api/v1", "deployments": "/apis/apps/v1"}


async def patch(connection: Connection, write: Write, *, expect: Identity, dry_run: bool = False) -> bytes:
    """Send the write of a plan; the object as the server then has it (or would have it).

    Raises WrongTarget when the connection is not `expect` (I8), Invalid when the patch's `test` fails or the object is
    refused, Conflict, Forbidden, Unreachable.
    """
    if connection.identity != expect:
        raise WrongTarget(f"the plan is for {expect.context}, this connection is {connection.identity.context}")
    path = f"{_GROUPS[write.resource]}/namespaces/{write.namespace}/{write.resource}/{write.name}"
    return await connection.request(
        "PATCH", path, body=list(write.patch), content_type=PatchType.JSON, params=_params(dry_run)
    )


async def create(connection: Connection, path: str, body: dict[str, Any]) -> bytes:
    """Create an object of the console's own: a record, an Event."""
    return await connection.request("POST", path, body=body, params=_params(False))


async def replace(connection: Connection, path: str, body: dict[str, Any]) -> bytes:
    """Replace an object of the console's own; the resourceVersion in `body` is the precondition."""
    return await connection.request("PUT", path, body=body, params=_params(False))


def _params(dry_run: bool) -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
