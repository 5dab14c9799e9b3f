"""Keeps the references of the versions that are looked at: read once each, in the worker, and never waited for.

A version's artifacts do not change, so that what was read stays. What could not be read is tried again, later where the
run has none than where the registry gave no answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.reference import Brought, Numeric, Reference
from mlconsole.domain.text import visible
from mlconsole.registry.errors import RegistryError, explain
from mlconsole.registry.feed import Lanes
from mlconsole.registry.references import NoSuchArtifact, read_reference

SECONDS = 20.0
"""For one reading."""
AGAIN = 60.0
NONE_AGAIN = 600.0
"""Seconds until a run that had none is looked at again: one may be logged yet."""
KEPT = 50
log = logging.getLogger(__name__)
Version = tuple[str, str]


class _Known(Struct, frozen=True):
    brought: Brought
    again: float | None = None
    """When to read it again; None for never."""


class ReferenceFeed:
    """The references of a registry. `changed` is called when one was read."""

    def __init__(
        self,
        uri: str | None,
        offload: Lanes,
        changed: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = uri or ""
        self._lane = offload.lane("mlflow")
        self._changed = changed
        self._clock = clock
        self._known: dict[Version, _Known] = {}
        self._wanted: dict[Version, None] = {}
        """In the order in which they were asked for."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read what is asked for, if there is a registry."""
        if self._uri and self._task is None:
            self._task = asyncio.create_task(self._run(), name="references")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def of(self, model: str, version: str) -> Brought:
        """What is known of the reference of a version now; what is not known is read."""
        if not self._uri:
            return Brought(problem="no registry is configured")
        if not model or not version:
            return Brought(problem="it does not say which version of which model it runs")
        if self._task is None:
            return Brought(problem="the registry is not read")
        known = self._known.pop((model, version), None)
        if known is not None:
            self._known[model, version] = known  # the last to be forgotten
        if known is None or (known.again is not None and self._clock() >= known.again):
            self._wanted[model, version] = None
            self._wake.set()
        return known.brought if known else Brought(problem="its reference is being read from the registry")

    def reconnect(self) -> None:
        """Try again now what could not be read."""
        self._known = {key: item for key, item in self._known.items() if item.again is None}

    # ---- the loop

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            while self._wanted:
                key = next(iter(self._wanted))
                found = await self._read(*key)
                del self._wanted[key]
                before = self._known.pop(key, None)
                self._known[key] = found
                while len(self._known) > KEPT:
                    del self._known[next(iter(self._known))]
                if before is None or before.brought != found.brought:
                    self._tell()
            await self._wake.wait()

    def _tell(self) -> None:
        try:
            self._changed()
        except Exception:  # whoever listens fails by himself: the next reference is read all the same
            log.exception("drift could not be judged anew by a reference")

    async def _read(self, model: str, version: str) -> _Known:
        label = f"{visible(model, 80)} v{visible(version, 40)}"
        try:
            found = await self._lane.run(read_bins, self._uri, model, version, timeout=SECONDS)
        except NoSuchArtifact as error:
            return _Known(Brought(problem=str(error)), self._clock() + NONE_AGAIN)
        except RegistryError as error:
            return _Known(Brought(problem=error.message), self._clock() + AGAIN)
        except TimeoutError:
            words = f"the reference of {label}: no answer within {SECONDS:.0f} s"
            return _Known(Brought(problem=words), self._clock() + AGAIN)
        except Exception as error:  # an artifact store may fail of anything; drift is judged without it
            log.exception("the reference of %s cannot be read", label)
            return _Known(Brought(problem=explain(error, self._uri).message), self._clock() + AGAIN)
        return _Known(Brought(found, f"training of v{visible(version, 20)}, by the registry"))


def read_bins(uri: str, model: str, version: str) -> Reference:
    """The reference of a version without its samples, which only files are compared with. As `read_reference`."""
    found = read_reference(uri, model, version)
    features = {
        name: replace(one, sample=()) if isinstance(one, Numeric) else one for name, one in found.features.items()
    }
    return replace(found, features=features)
