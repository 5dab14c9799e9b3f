"""What this user may do with a service, asked beside everything else, so that a key says what is missing (I23)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from mlconsole.cluster import access
from mlconsole.cluster.access import Check
from mlconsole.cluster.errors import ClusterError
from mlconsole.domain.services import ModelService
from mlconsole.engine.planning.rights import rights_for, rollback_target
from mlconsole.engine.scope import Scope

SECONDS = 60.0
"""Between two access reviews of a service."""
AGAIN = 10.0
"""Until the next one where there was no answer."""
log = logging.getLogger(__name__)


class Known(Struct, frozen=True):
    """What is known of it."""

    rollback: bool | None = None
    """Whether the traffic may be moved back; None while nobody has said."""
    missing: dict[str, str] = {}
    """By the kind of operation: the verbs that it lacks, in words."""


class Rights:
    """Asks for every service that is looked at, and remembers for a while."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None], wake: Callable[[], None]) -> None:
        self._spawn = spawn
        self._wake = wake
        self._known: dict[str, tuple[float, Known]] = {}

    def forget(self) -> None:
        """Another place, where another user may be meant."""
        self._known = {}

    def of(self, scope: Scope, service: ModelService) -> Known:
        """What is known now; it is asked for again in the background when that is old."""
        asked, known = self._known.get(service.key, (-SECONDS, Known()))
        if time.monotonic() - asked >= SECONDS:
            self._known[service.key] = (time.monotonic(), known)
            self._spawn(self._ask(scope, service))
        return known

    async def _ask(self, scope: Scope, service: ModelService) -> None:
        connection, mine = scope.connection, self._known
        if connection is None:
            return
        wanted = needed(service)
        every = list(dict.fromkeys(check for checks in wanted.values() for check in checks))
        try:
            answers = {right.check: right.allowed for right in await access.review(connection, every)}
        except (ClusterError, TimeoutError) as error:
            log.warning("access review of %s: %s", service.key, error)
            if mine is self._known:
                known = mine[service.key][1]
                mine[service.key] = (time.monotonic() - SECONDS + AGAIN, known)
            return
        missing = {
            kind: ", ".join(f"{check.verb} {check.label}" for check in checks if not answers[check])
            for kind, checks in wanted.items()
        }
        if mine is self._known:
            found = Known(not missing["rollback"], {kind: words for kind, words in missing.items() if words})
            mine[service.key] = (time.monotonic(), found)
            self._wake()


def needed(service: ModelService) -> dict[str, tuple[Check, ...]]:
    """By the kind of operation: the verbs without which it cannot even begin."""
    namespace = service.namespace
    traffic = rights_for(namespace, rollback_target(service))[0]
    lock = tuple(Check(verb, "coordination.k8s.io", "leases", "", namespace, "") for verb in ("create", "update"))
    change = Check("patch", "apps", "deployments", "", namespace, "")
    make = Check("create", "apps", "deployments", "", namespace, "")
    return {
        "rollback": (traffic,),
        "switch": (traffic, *lock),
        "deploy": (change, make, *lock),
        "more": (change, *lock),
    }
