"""Keeps what the console looks at of the registry fresh, and says how the registry is doing.

It reads through a worker lane of its own, backs off while the registry is away, keeps the last that it said, and comes
back by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar, TypeVarTuple

from msgspec.structs import replace

from mlconsole.cluster.backoff import Backoff
from mlconsole.config import Registry
from mlconsole.domain.registry import AliasMove, ModelVersion, RegisteredModel
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.registry.errors import RegistryError, address, explain
from mlconsole.registry.reader import Answer, read
from mlconsole.registry.signature import Signature, read_signature

LOOK = 25.0
"""Seconds that a look may take before its worker is killed."""
SIGNATURE = 15.0
SIGNATURES = 10.0
"""Seconds for signatures after a look; the rest comes after the next."""
AGAIN = 600.0
"""Seconds until a signature that could not be read is tried again."""
LONGEST_PAUSE = 30.0
WATCHED = 120.0
"""Seconds that a model is read for after the last time somebody asked."""
KEPT = 50
"""Models kept of former answers; those of the last one are all there."""
RESTART_SECONDS = 5.0
MOVES = 200
"""Moves of aliases that are remembered."""
log = logging.getLogger(__name__)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Version = tuple[str, str, float]
"""A version's identity: model, number, when it was made."""


class Lane(Protocol):
    """What the feed needs of a lane of workers."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout: float) -> T:
        """`function(*args)` in a worker."""


class Lanes(Protocol):
    """What the feed needs of the engine's offload."""

    def lane(self, name: str) -> Lane:
        """The lane called `name`."""


class RegistryFeed:
    """The registry of a console. `wake` is called after every change."""

    def __init__(self, settings: Registry, offload: Lanes, wake: Callable[[], None]) -> None:
        self._uri = settings.tracking_uri or ""
        self._refresh = max(0.1, settings.refresh)
        self._lane = offload.lane("mlflow")
        self._wake = wake
        self._kick = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watched: dict[str, tuple[float, tuple[str, ...]]] = {}
        """By name: when it was last asked for, and the versions that must be there."""
        self._answer = Answer()
        self._moves: deque[AliasMove] = deque(maxlen=MOVES)
        self._signatures: dict[Version, Signature] = {}
        self._unsigned: dict[Version, float] = {}
        """Versions whose signature could not be read, and when to try again."""
        self._unsigned_all = 0.0
        """When to try any again: an artifact store that hangs is not asked version by version."""
        self._backoff = Backoff(1.0, LONGEST_PAUSE)
        self._state = self._first_state()

    def _first_state(self) -> SourceState:
        state = SourceState("mlflow", Condition.STARTING, since=time.time(), limit=3 * self._refresh + LOOK)
        if self._uri:
            return replace(state, detail=address(self._uri))
        hint = "set MLFLOW_TRACKING_URI, or tracking_uri under [registry] in mlconsole.toml"
        return replace(state, condition=Condition.OFF, message="no registry is configured", hint=hint)

    # ---- life

    def start(self) -> None:
        """Begin to read, if there is a registry."""
        if self._uri and self._task is None:
            self._task = asyncio.create_task(self._living(), name="registry feed")

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def reconnect(self) -> None:
        """Try again now."""
        self._backoff.reset()
        self._kick.set()

    def read_soon(self) -> None:
        """Read at once what is said to have changed; while the registry is down its back-off holds."""
        if self._state.condition is Condition.LIVE:
            self._kick.set()

    # ---- what is asked

    @property
    def state(self) -> SourceState:
        """How the registry is doing."""
        state, now = self._state, time.time()
        if state.condition is Condition.LIVE and not state.usable(now):
            message = f"no answer for {state.age(now) or 0.0:.0f} s"
            return replace(state, condition=Condition.STALE, since=state.last_contact + state.limit, message=message)
        return state

    @property
    def names(self) -> tuple[str, ...]:
        """The models that the registry has."""
        return self._answer.names

    def watch(self, name: str, versions: Iterable[str] = ()) -> None:
        """Keep a model fresh; `versions` are those in use, which must not be missed however old they are."""
        new = name not in self._watched
        self._watched[name] = (time.monotonic(), tuple(versions))
        # While it is down its back-off holds; while the first look is under way, another one follows at once.
        if new and self._state.condition in (Condition.LIVE, Condition.STARTING):
            self._kick.set()

    def model(self, name: str) -> tuple[RegisteredModel | None, str]:
        """What the registry last said of a model, and what is wrong with that."""
        found = self._answer.models.get(name)
        state = self.state
        if state.condition in (Condition.LIVE, Condition.STARTING):
            return found, self._answer.problems.get(name, "")
        return found, state.message

    def moves(self, name: str) -> tuple[AliasMove, ...]:
        """The aliases of a model that were seen to move since the registry is read, oldest first."""
        return tuple(move for move in self._moves if move.model == name)

    # ---- the loop

    async def _living(self) -> None:
        """Run the loop; what breaks it is in the log, and it begins again."""
        while True:
            try:
                await self._run()
            except Exception:
                log.exception("the registry's feed failed")
            await asyncio.sleep(RESTART_SECONDS)

    async def _run(self) -> None:
        while True:
            self._kick.clear()
            pause = await self._look()
            self._wake()
            if self._state.condition is Condition.LIVE:
                await self._read_signatures()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._kick.wait()

    async def _look(self) -> float:
        """Read what is watched; the seconds until the next time."""
        try:
            answer = await self._lane.run(read, self._uri, self._wanted(), timeout=LOOK)
        except TimeoutError:
            text = f"MLflow at {address(self._uri)}: no answer within {LOOK:.0f} s"
            return self._failed(RegistryError(text, "look at the MLflow server's own log"))
        except RegistryError as error:
            return self._failed(error)
        except Exception as error:  # whatever it is, it must not end the feed
            log.exception("the registry cannot be read")
            return self._failed(explain(error, self._uri))
        self._backoff.reset()
        self._take(answer)
        return self._refresh

    def _wanted(self) -> dict[str, tuple[str, ...]]:
        now = time.monotonic()
        recent = {name: versions for name, (at, versions) in self._watched.items() if now - at <= WATCHED}
        for name in set(self._watched) - set(recent):
            del self._watched[name]
        return recent

    def _take(self, answer: Answer) -> None:
        fresh = {*answer.models, *answer.problems}
        kept = [(name, model) for name, model in self._answer.models.items() if name not in fresh]
        surplus = max(0, len(kept) + len(answer.models) - KEPT)
        before, now = self._answer, time.time()
        models = {**dict(kept[surplus:]), **answer.models}
        self._answer = Answer(answer.names, models, answer.problems, answer.aliases)
        for name in answer.models:
            self._sign(name)
        if self._state.last_contact:
            self._moves.extend(moved(before.aliases, answer.aliases, self._state.last_contact, now))
        since = self._state.since if self._state.condition is Condition.LIVE else now
        self._state = replace(self._state, condition=Condition.LIVE, since=since, last_contact=now, message="", hint="")

    def _failed(self, error: RegistryError) -> float:
        before = self._state
        since = before.since if before.condition is error.condition else time.time()
        self._state = replace(before, condition=error.condition, since=since, message=error.message, hint=error.hint)
        return self._backoff.pause()

    # ---- signatures

    async def _read_signatures(self) -> None:
        """Of the versions that the screen may show first, in the time there is."""
        until = time.monotonic() + SIGNATURES
        for name in self._wanted():
            for version in self._unread(name):
                now = time.monotonic()
                if now > until or now < self._unsigned_all or self._kick.is_set():
                    return
                await self._read_signature(name, version)
                self._sign(name)
                self._wake()

    def _unread(self, name: str) -> list[ModelVersion]:
        model = self._answer.models.get(name)
        if model is None:
            return []
        used = set(self._watched.get(name, (0.0, ()))[1])
        detailed = [version for version in model.versions if version.run or version.aliases or version.version in used]
        detailed.sort(key=lambda version: not (version.aliases or version.version in used))
        now = time.monotonic()
        return [
            version
            for version in detailed
            if (key := _key(name, version)) not in self._signatures and self._unsigned.get(key, 0.0) <= now
        ]

    async def _read_signature(self, name: str, version: ModelVersion) -> None:
        key = _key(name, version)
        try:
            self._signatures[key] = await self._lane.run(
                read_signature, self._uri, name, version.version, timeout=SIGNATURE
            )
        except Exception as error:  # an artifact store may fail of anything; the rest of the registry goes on
            log.warning("no signature of %s %s: %s", version.model, version.version, explain(error, self._uri))
            self._unsigned[key] = time.monotonic() + AGAIN
            if isinstance(error, TimeoutError):
                self._unsigned_all = self._unsigned[key]

    def _sign(self, name: str) -> None:
        """Put what is known of signatures into a model."""
        model = self._answer.models[name]
        versions = tuple(self._signed(name, version) for version in model.versions)
        self._answer.models[name] = replace(model, versions=versions)

    def _signed(self, name: str, version: ModelVersion) -> ModelVersion:
        found = self._signatures.get(_key(name, version))
        if found is None:
            return version
        return replace(version, inputs=found.inputs, outputs=found.outputs, has_input_example=found.has_input_example)


def moved(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]], since: float, at: float
) -> list[AliasMove]:
    """The aliases that lead elsewhere than before, of the models that were there before and are now."""
    return [
        AliasMove(model, alias, old.get(alias, ""), after[model].get(alias, ""), since, at)
        for model, old in sorted(before.items())
        if model in after
        for alias in sorted({*old, *after[model]})
        if old.get(alias) != after[model].get(alias)
    ]


def _key(name: str, version: ModelVersion) -> Version:
    return name, version.version, version.created_at
