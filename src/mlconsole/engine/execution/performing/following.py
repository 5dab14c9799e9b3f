"""The registry's alias follows the traffic, once that was seen to arrive, and goes back with it (I26)."""

from __future__ import annotations

from mlconsole.domain.operation import Event, Failed, Operation, Passed
from mlconsole.engine.execution.context import Context
from mlconsole.engine.offload import WorkerError
from mlconsole.registry.aliases import move_alias, read_aliases
from mlconsole.registry.errors import RegistryError

SECONDS = 20.0


async def alias(context: Context, op: Operation) -> Event:
    """Move it to what serves now. Where that cannot be, traffic and alias are SPLIT, and every console says so."""
    name, uri, release = (
        context.service_settings(op).watch.alias,
        context.settings.registry.tracking_uri,
        op.plan.to_release,
    )
    if name is None:
        return Passed()
    if not uri or not release.model or not release.version:
        why = "no registry is configured" if not uri else "the release names no model and version"
        return Failed(f"SPLIT: @{name} stays where it is: {why}")
    lane = context.offload.lane("mlflow")
    try:
        seen = (await lane.run(read_aliases, uri, release.model, timeout=SECONDS)).get(name, "")
        words = await lane.run(move_alias, uri, release.model, name, seen, release.version, timeout=SECONDS)
    except (RegistryError, WorkerError, TimeoutError) as error:
        return Failed(f"SPLIT: @{name} was not moved: {error or 'the registry did not answer in time'}")
    return Passed(words)
