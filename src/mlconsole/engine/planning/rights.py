"""The verbs that a plan and its way back need, asked of the API server before anything is tried (I23)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mlconsole.cluster import access
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.history import Kind
from mlconsole.domain.plans import Right, Write
from mlconsole.domain.services import ModelService, Shape
from mlconsole.engine.planning.grounds import patience_for

GROUPS = {"deployments": "apps", "horizontalpodautoscalers": "autoscaling"}


def rollback_target(service: ModelService) -> Write:
    """The object that a rollback of `service` would write, for asking about rights."""
    if service.shape is Shape.PLAIN and service.colors:
        return Write("deployments", service.namespace, service.colors[0].deployment)
    return Write("services", service.namespace, service.name)


def rights_for(namespace: str, *writes: Write) -> list[access.Check]:
    """Every verb that the writes and the way back from them need, the writes first (I23)."""
    asked = [
        access.Check(
            write.verb,
            GROUPS.get(write.resource, ""),
            write.resource,
            "",
            namespace,
            "" if write.verb == "create" else write.name,
        )
        for write in writes
    ]
    return [
        *dict.fromkeys(asked),
        access.Check("get", "", "services", "", namespace, ""),
        access.Check("list", "apps", "deployments", "", namespace, ""),
        access.Check("list", "apps", "replicasets", "", namespace, ""),
        access.Check("list", "", "pods", "", namespace, ""),
        access.Check("get", "", "configmaps", "", namespace, ""),
        access.Check("create", "", "configmaps", "", namespace, ""),
        access.Check("update", "", "configmaps", "", namespace, ""),
        access.Check("create", "", "events", "", namespace, ""),
        access.Check("get", "", "services", "proxy", namespace, ""),
    ]


async def reviewed(
    connection: Connection, kind: Kind, namespace: str, writes: Sequence[Write], complaints: list[str]
) -> list[Right]:
    """The answers; a rollback goes on without them, and says so."""
    try:
        async with asyncio.timeout(patience_for(kind)):
            found = await access.review(connection, rights_for(namespace, *writes))
    except (ClusterError, TimeoutError) as error:
        if kind is not Kind.ROLLBACK:
            raise
        complaints.append(f"your rights could not be asked for: {error or 'no answer in time'}")
        return []
    return [
        Right(item.check.verb, item.check.label, item.check.name, item.allowed, item.why, _needed(item.check))
        for item in found
    ]


def _needed(check: access.Check) -> bool:
    """Without an Event or a look through the proxy a switch is told less of, and done all the same."""
    return check.resource != "events" and not check.subresource
