"""The verbs that a plan and its way back need, asked of the API server before anything is tried (I23)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mlconsole.cluster import access, leases
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError
from mlconsole.domain import adopting
from mlconsole.domain.history import Kind
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.phases import Phase
from mlconsole.domain.plans import Right, Write
from mlconsole.domain.services import ModelService, Shape
from mlconsole.engine.planning.grounds import patience_for

LEASES = "coordination.k8s.io"
UNKNOWN = "?"
"""The uid of what will have been made."""
ASKING = frozenset({Phase.SMOKE, Phase.PARITY})
"""Phases in which the model is sent requests."""
GROUPS = {"deployments": "apps", "horizontalpodautoscalers": "autoscaling"}


def rollback_target(service: ModelService) -> Write:
    """The object that a rollback of `service` would write, for asking about rights."""
    if service.shape is Shape.PLAIN and service.colors:
        return Write("deployments", service.namespace, service.colors[0].deployment)
    return Write("services", service.namespace, service.name)


def rights_for(namespace: str, *writes: Write, service: str = "", route: Sequence[Phase] = ()) -> list[access.Check]:
    """Every verb that the writes and the way back from them need, the writes first (I23).

    `service` is whose lock is taken and who is marked with it, `route` where the operation goes through.
    """
    asked = [_of_write(namespace, write) for write in writes]
    undone = (write for write in writes if write.phase is not Phase.RETIRE)
    asked += [_of_write(namespace, back) for write in undone if (back := reversed_write(write, UNKNOWN)) is not None]
    if service:
        asked.append(access.Check("patch", "", "services", "", namespace, service))
        asked += [access.Check("get", LEASES, "leases", "", namespace, leases.name_of(service))]
        asked += [access.Check("create", LEASES, "leases", "", namespace)]
        asked += [access.Check("update", LEASES, "leases", "", namespace, leases.name_of(service))]
    if Phase.RETIRE in route and any(map(adopting.selector_of, writes)):
        asked.append(access.Check("patch", "", "pods", "", namespace))
    if not ASKING.isdisjoint(route):
        asked.append(access.Check("create", "", "pods", "proxy", namespace))
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


def _of_write(namespace: str, write: Write) -> access.Check:
    name = "" if write.verb == "create" else write.name
    return access.Check(write.verb, GROUPS.get(write.resource, ""), write.resource, "", namespace, name)


async def reviewed(
    connection: Connection,
    kind: Kind,
    service: ModelService,
    writes: Sequence[Write],
    route: Sequence[Phase],
    complaints: list[str],
) -> list[Right]:
    """The answers; a rollback goes on without them, and says so."""
    checks = rights_for(service.namespace, *writes, service=service.name, route=route)
    try:
        async with asyncio.timeout(patience_for(kind)):
            found = await access.review(connection, checks)
    except (ClusterError, TimeoutError) as error:
        if kind is not Kind.ROLLBACK:
            raise
        complaints.append(f"your rights could not be asked for: {error or 'no answer in time'}")
        return []
    return [
        Right(item.check.verb, item.check.label, item.check.name, item.allowed, item.why, _needed(item.check, kind))
        for item in found
    ]


def _needed(check: access.Check, kind: Kind) -> bool:
    """Without an Event or a look through the proxy a switch is told less of, and done all the same.

    A smoke test is not done without its requests; a rollback goes on without the lock.
    """
    if check.resource == "leases":
        return kind is not Kind.ROLLBACK
    return check.resource != "events" and (not check.subresource or check.verb == "create")
