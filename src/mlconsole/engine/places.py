"""Where the console looks, and where else it could: from the kubeconfig's files while nothing answers yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from mlconsole.cluster.connection import contexts
from mlconsole.cluster.errors import ClusterError
from mlconsole.config import Settings
from mlconsole.engine import protocol
from mlconsole.engine.scope import Scope

CONTEXTS_SECONDS = 5.0
"""Between two readings of the kubeconfig's files."""
log = logging.getLogger(__name__)


class Places:
    """Makes the `Place` that the UI is told."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: tuple[float, tuple[protocol.Context, ...]] = (float("-inf"), ())

    def place(self, scope: Scope, context: str | None, namespace: str | None, seen: Iterable[str]) -> protocol.Place:
        """Where `scope` looks. `context` and `namespace` are what was asked for; `seen` the services' namespaces."""
        connected, known = scope.connection, self.contexts()
        current = next((item for item in known if item.name == context or (not context and item.current)), None)
        if connected is not None:
            context, namespace = connected.identity.context, connected.namespace
        else:
            context = context or (current.name if current else "")
            namespace = (current.namespace or "default" if current else "") if namespace is None else namespace
        environment = self._settings.environment(context, namespace)
        return protocol.Place(
            context=context,
            namespace=namespace,
            server=connected.identity.server if connected else "",
            user=scope.user or (connected.identity.user if connected else ""),
            environment=environment.name,
            production=environment.production,
            read_only=environment.read_only or self._settings.read_only,
            contexts=known,
            namespaces=tuple(sorted({*seen, *scope.namespaces})),
        )

    def contexts(self) -> tuple[protocol.Context, ...]:
        """The contexts there are, read from the files every now and then."""
        read_at, known = self._known
        if time.monotonic() - read_at >= CONTEXTS_SECONDS:
            known = self._read()
            self._known = (time.monotonic(), known)
        return known

    def _read(self) -> tuple[protocol.Context, ...]:
        try:
            found = contexts(self._settings.cluster.kubeconfig)
        except ClusterError as error:
            log.warning("contexts: %s", error)
            return ()
        return tuple(
            protocol.Context(item.name, item.cluster, item.namespace, item.user, item.current) for item in found
        )
