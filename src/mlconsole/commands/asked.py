"""One look at the registry about one service, for `mlconsole status --registry`."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.config import Settings
from mlconsole.domain.chain import serving_chain
from mlconsole.domain.registry import RegisteredModel
from mlconsole.domain.services import ModelService
from mlconsole.domain.split import split
from mlconsole.engine.offload import Offload, WorkerError
from mlconsole.engine.protocol import Detail
from mlconsole.registry import reader
from mlconsole.registry.errors import RegistryError, address

SECONDS = 20.0


class Said(Struct, frozen=True):
    """What the registry said."""

    model: RegisteredModel | None = None
    problem: str = "not asked: --registry does"
    """Why there is no model."""


async def ask(settings: Settings, service: ModelService) -> Said:
    """Read the service's model. Never raises for what the registry answers."""
    uri = settings.registry.tracking_uri
    if not uri:
        return Said(problem="no registry is configured: set MLFLOW_TRACKING_URI")
    live = service.live_color
    own = settings.service(service.namespace, service.name)
    name = own.model or (live.release.model if live else "") or service.name
    versions = tuple(color.release.version for color in service.colors if color.release.version)
    offload = Offload()
    try:
        answer = await offload.run(reader.read, uri, {name: versions}, timeout=SECONDS)
    except TimeoutError:
        return Said(problem=f"MLflow at {address(uri)}: no answer within {SECONDS:.0f} s")
    except (RegistryError, WorkerError) as error:
        return Said(problem=str(error))
    finally:
        await offload.close()
    return Said(answer.models.get(name), answer.problems.get(name, ""))


def told(detail: Detail, said: Said, settings: Settings) -> Detail:
    """What the registry's word makes of a detail: its chain, and whether the two ledgers agree."""
    service = detail.service
    alias = settings.service(service.namespace, service.name).watch.alias or ""
    chain = serving_chain(service, service.live_color, said.model, said.problem)
    return replace(detail, chain=chain, split=split(service, said.model, alias, said.problem))
