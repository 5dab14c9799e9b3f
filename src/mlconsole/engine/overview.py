"""The operations under way where the console looks, from what is mirrored of the cluster: histories and locks.

Nothing is asked for here: it has to be there when the API server is not. How an interrupted operation stands is told
from the service as it was last seen; whoever takes one up looks again (`underway`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mlconsole.cluster import objects
from mlconsole.cluster.history import OPERATION
from mlconsole.cluster.inventory import Inventory
from mlconsole.cluster.leases import Expiry, mirrored, name_of
from mlconsole.cluster.presence import is_mark
from mlconsole.config import ServiceSettings, Settings
from mlconsole.domain.history import config_map_name
from mlconsole.domain.operation import Operation, ways
from mlconsole.domain.phases import Phase
from mlconsole.domain.resuming import Seen, standing
from mlconsole.domain.services import ModelService
from mlconsole.domain.text import visible
from mlconsole.engine.execution.performing.waiting import APPROVAL_SECONDS, ASK_SECONDS
from mlconsole.engine.protocol import OperationLine, Operations
from mlconsole.engine.underway import folder_of, latest, ways_on


class Overview:
    """Keeps what it has decoded, and since when each lock was seen as it is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._decoded: dict[str, tuple[str, Operation | None]] = {}
        """By the ConfigMap's key: its version, and what stands in it."""
        self._expiries: dict[str, Expiry] = {}

    def lines(self, inventory: Inventory, services: Mapping[str, ModelService], user: str = "") -> Operations:
        """Every operation that has not ended, and what `user` can ask of each."""
        found = []
        for item in inventory.configmaps.all():
            if OPERATION not in (item.data or {}):
                continue
            operation = self._operation(item)
            if operation is not None and item.metadata.name == config_map_name(operation.plan.service):
                found.append(self._line(operation, inventory, services.get(operation.key), user))
        return Operations(tuple(sorted(found, key=lambda line: -line.operation.started_at)))

    def _operation(self, item: objects.ConfigMap) -> Operation | None:
        key = f"{item.metadata.namespace}/{item.metadata.name}"
        version, known = self._decoded.get(key, ("", None))
        if version == item.metadata.resource_version:
            return known
        try:
            known = msgspec.json.decode((item.data or {})[OPERATION], type=Operation)
        except msgspec.DecodeError:
            known = None  # the history says what is wrong with it
        self._decoded[key] = (item.metadata.resource_version, known)
        return known

    def _line(
        self, operation: Operation, inventory: Inventory, service: ModelService | None, user: str
    ) -> OperationLine:
        lease = inventory.leases.get(operation.plan.target.namespace, name_of(operation.plan.service))
        held = mirrored(lease) if lease is not None and not is_mark(lease) else None
        expiry = self._expiries.setdefault(operation.key, Expiry())
        left = expiry.left(held) if held is not None else 0.0
        here = folder_of(operation.id).alive
        ours = held is not None and held.operation == operation.id and left > 0
        alive = here or (ours and not operation.halted)
        holder = visible(held.holder, 120) if held is not None and left > 0 else ""
        if alive:
            settings = self._settings.service(operation.plan.target.namespace, operation.plan.service)
            until = deadline(operation, settings)
            return OperationLine(operation, True, holder, here, verbs=ways(operation, user), until=until)
        state = standing(operation, _seen(operation, service))
        return OperationLine(operation, False, holder, here, state, ways_on(latest(operation), state))


def deadline(op: Operation, settings: ServiceSettings) -> float:
    """When the time of an operation's phase is over; 0 for a phase that does not wait for a time to pass.

    By this console's settings: the executor has its own, which are the same file's on a well-kept bastion.
    """
    ends = {
        Phase.APPROVAL: op.phase_at + APPROVAL_SECONDS,
        Phase.WATCH: op.arrived_at + settings.watch_window,
        Phase.KEEP: op.phase_at + settings.watch.keep_within,
        Phase.ASK: op.phase_at + ASK_SECONDS,
        Phase.DRAIN: op.phase_at + settings.watch.drain,
    }
    return ends.get(op.phase, 0.0)


def _seen(operation: Operation, service: ModelService | None) -> Seen:
    live = service.live if service else ""
    moved = bool(live) and live == operation.plan.to_color
    return Seen(operation.sent, moved=moved, home=live == operation.plan.from_color)
