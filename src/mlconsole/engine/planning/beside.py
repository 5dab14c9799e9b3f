"""What else in the namespace goes by the labels of a service's pods: told before they are doubled by an adoption."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, NotFound
from mlconsole.domain import adopting
from mlconsole.domain.services import ModelService
from mlconsole.domain.text import visible
from mlconsole.gathering import gather

SECONDS = 5.0
BUDGETS = tuple(f"/apis/policy/{version}/namespaces/{{}}/poddisruptionbudgets" for version in ("v1", "v1beta1"))
SERVICES = ("/api/v1/namespaces/{}/services",)


class _List(Struct):
    items: tuple[dict[str, Any], ...] | None = None


class Around(Struct, frozen=True):
    """The namespace's disruption budgets and Services; None where they could not be looked at."""

    budgets: tuple[dict[str, Any], ...] | None
    services: tuple[dict[str, Any], ...] | None

    def warnings(self, service: ModelService, labels: Mapping[str, str]) -> tuple[str, ...]:
        """What to know before there are two Deployments with these labels."""
        found = []
        budgets = [item for item in self.budgets or () if adopting.selects(_spec(item).get("selector"), labels)]
        if budgets:
            names = visible(adopting.plain_names(budgets), 200)
            found.append(f"disruption budget {names} counts the pods of both while there are two, and of both colours")
        if self.budgets is None:
            found.append("disruption budgets could not be looked at: one may count the pods of both")
        others = [item for item in self.services or () if _also(item, service, labels)]
        if others:
            names = visible(adopting.plain_names(others), 200)
            found.append(f"Service {names} selects the same pods: it will send to both colours")
        if self.services is None:
            found.append("the other Services could not be looked at: one may select the pods of both")
        return tuple(found)


async def read(connection: Connection, namespace: str) -> Around:
    """Look around. Never raises for what the cluster answers: it only informs."""
    budgets, services = await gather(*(_list(connection, path, namespace) for path in (BUDGETS, SERVICES)))
    return Around(budgets, services)


async def _list(connection: Connection, paths: tuple[str, ...], namespace: str) -> tuple[dict[str, Any], ...] | None:
    for path in paths:
        try:
            async with asyncio.timeout(SECONDS):
                found = await connection.get(path.format(namespace))
            return msgspec.json.decode(found, type=_List).items or ()
        except NotFound:
            continue  # not served in this version
        except (ClusterError, TimeoutError, msgspec.DecodeError):
            return None
    return ()


def _also(item: Mapping[str, Any], service: ModelService, labels: Mapping[str, str]) -> bool:
    selector = _spec(item).get("selector") or {}
    same = (item.get("metadata") or {}).get("name") == service.name
    return bool(selector) and not same and selector.items() <= labels.items()


def _spec(item: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = item.get("spec") or {}
    return found
