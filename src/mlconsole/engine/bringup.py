"""Watch a colour come up: how far it is, what keeps it, and when it is not going to.

A release has as long as it makes progress: the deadline counts from the last new ready pod. Ready counts when it is
so twice in a row with no restart in between: what crashes a moment after its start is ready for that moment. What
cannot be looked at is neither progress nor the lack of it, and counts on its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from mlconsole.cluster import decoding, fresh, logs, objects
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, redact
from mlconsole.config import ServiceSettings
from mlconsole.domain import trouble
from mlconsole.domain.plans import held
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.text import lines
from mlconsole.domain.trouble import Said, Trouble, Weight
from mlconsole.engine.hints import hints_of
from mlconsole.gathering import gather

LOOK = 1.0
"""Seconds between two looks."""
LOOK_SECONDS = 10.0
ASKED = 3
"""Pods whose Events are read."""
LOG_LINES = 5
Say = Callable[[str], None]


async def ready(
    connection: Connection,
    service: str,
    color: str,
    want: int,
    deadline: float,
    say: Say,
    settings: ServiceSettings,
    *,
    base: Mapping[str, str] | None = None,
) -> tuple[bool, str]:
    """Whether `want` pods of a colour of `namespace/name` came to be ready, all of its present template; in words.

    `deadline` is how long that may take without one more of them, `base` the Service's selector without the colour.
    Ends for certain: what it cannot look at is given as much time as the deadline once more.
    """
    return await _Watch(connection, service, color, want, say, settings, base).run(deadline)


class _Watch:
    def __init__(
        self,
        connection: Connection,
        service: str,
        color: str,
        want: int,
        say: Say,
        settings: ServiceSettings,
        base: Mapping[str, str] | None,
    ) -> None:
        self._connection = connection
        self._namespace, _, self._name = service.partition("/")
        self._color = color
        self._want = want
        self._tell = say
        self._settings = settings
        self._base = base
        self._told = ""
        self._troubles: list[Trouble] = []
        self._lasting: list[Trouble] = []
        self._heard: list[Said] = []
        self._service: ModelService | None = None

    async def run(self, deadline: float) -> tuple[bool, str]:
        began = last = time.monotonic()
        best, count, waited, blind, seen = 0, 0, 0.0, 0.0, False
        steady: int | None = None
        while True:
            color = await self._look()
            now = time.monotonic()
            before, steady = steady, None
            if color is None:
                blind += now - last
            elif color is _GONE:
                if seen:
                    return False, f"{self._color} is gone: somebody removed its Deployment"
                waited += now - last
                self._say(f"no Deployment is {self._color} yet")
            else:
                seen, count = True, up_to_date(color)
                waited = 0.0 if count > best else waited + now - last
                best = max(best, count)
                if complete(color, self._want):
                    steady = sum(pod.restarts for pod in color.pods)
                    if steady == before:
                        return True, f"{count}/{self._want} ready after {now - began:.0f} s"
                await self._say_how(color, count)
            last = now
            if waited > deadline or blind > deadline:
                # Looked at with this last look: what the cluster has come to say only now counts too.
                return False, await self._verdict(color or _GONE, count, deadline, blind > deadline)
            await asyncio.sleep(LOOK)

    async def _look(self) -> Color | None:
        """The colour now; `_GONE` where it has no Deployment, None where nobody can say."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                hints = hints_of(self._settings)
                read = await fresh.read(self._connection, self._namespace, self._name, hints, self._base)
        except (ClusterError, TimeoutError) as error:
            self._say(f"could not look: {error or 'no answer in time'}")
            return None
        self._service = read.service
        return read.service.color(self._color) or _GONE

    # ---- saying

    def _say(self, words: str) -> None:
        if words != self._told:
            self._told = words
            self._tell(words)

    async def _say_how(self, color: Color, count: int) -> None:
        color = _of_its_template(color)
        self._heard = await self._events(color)
        self._troubles = trouble.read(color, self._heard)
        if trouble.hopeless(self._troubles):
            self._lasting = [item for item in self._troubles if item.weight is Weight.LASTING]
        words = f"{count}/{self._want} ready, {color.updated}/{max(color.wish, self._want)} made"
        if self._troubles:
            words += f": {self._troubles[0].line}"
        self._say(redact(words))

    async def _verdict(self, color: Color, count: int, deadline: float, blind: bool) -> str:
        if blind:
            return f"{self._color} could not be looked at for {deadline:.0f} s"
        words = f"{count}/{self._want} ready, and no other within {deadline:.0f} s"
        if color is _GONE:
            return f"{words}: it has no Deployment"
        known = self._known(_of_its_template(color))
        if not known:
            return words
        worst = known[0]
        for item in known[1:]:
            self._tell(redact(item.line))
        said = await self._log(worst)
        return redact(f"{words}: {worst.line}" + (f"; its log ends with: {said}" if said else ""))

    def _known(self, color: Color) -> list[Trouble]:
        """What is wrong, the most telling first.

        What crashes is up for a moment after each start: what was seen of a pod that is still not ready holds.
        """
        found = list(self._troubles)
        if not trouble.hopeless(found):
            unready = {pod.name for pod in color.pods if not pod.ready and not pod.terminating}
            found[:0] = [item for item in self._lasting if unready.intersection(item.pods)]
        rest = None if found else trouble.on_its_way(color, self._heard)
        return [rest] if rest else found

    async def _log(self, worst: Trouble) -> str:
        """Tell the last lines of a failing pod's log; the last of them."""
        if not worst.logs or not worst.pods:
            return ""
        color = self._service.color(self._color) if self._service else None
        pods = {pod.name: pod for pod in (color.pods if color else ())}
        name = worst.pods[0]
        pod = pods.get(name)
        ended = pod is not None and bool(pod.restarts or pod.reason == "CrashLoopBackOff")
        found: list[str] = []
        for previous in (True, False) if ended else (False,):
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    text = await logs.tail(self._connection, self._namespace, name, previous=previous, lines=LOG_LINES)
            except (ClusterError, TimeoutError) as error:
                self._tell(f"the log of {name} cannot be read: {error or 'no answer in time'}")
                continue
            found = [redact(line) for line in lines(text, LOG_LINES, 200) if line.strip()]
            if found:
                break
        for line in found:
            self._tell(f"log of {name}: {line}")
        return found[-1] if found else ""

    # ---- events

    async def _events(self, color: Color) -> list[Said]:
        """What was said of the pods that are not ready, of their ReplicaSet and of the Deployment."""
        waiting = [pod.name for pod in color.pods if not pod.ready and not pod.terminating][:ASKED]
        about = [("Pod", name) for name in waiting]
        if color.revisions:
            about.append(("ReplicaSet", color.revisions[0].replica_set))
        found = await gather(*(self._said(kind, name) for kind, name in about))
        return [item for some in found for item in some]

    async def _said(self, kind: str, name: str) -> list[Said]:
        """Events inform: without them the pods' own state has to do."""
        path = f"/api/v1/namespaces/{self._namespace}/events"
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                body = await self._connection.get(path, {"fieldSelector": selector, "limit": 50})
        except (ClusterError, TimeoutError):
            return []
        decoder: decoding.ItemDecoder[objects.Event] = decoding.ItemDecoder(objects.Event)
        items = [decoder.decode(item) for item in decoding.raw_list(body, path).items or ()]
        return [
            Said(f"{item.involved_object.kind}/{item.involved_object.name}", item.reason, item.message, item.at)
            for item in items
            if not isinstance(item, decoding.Malformed)
        ]


_GONE = Color("", "", 0, 0)
"""In the place of a colour that has no Deployment."""


def _of_its_template(color: Color) -> Color:
    """A colour with the pods of its present template alone, where their names tell: others are on their way out."""
    newest = f"{color.revisions[0].replica_set}-" if color.revisions else ""
    pods = tuple(pod for pod in color.pods if pod.name.startswith(newest))
    return replace(color, pods=pods) if pods else color


def up_to_date(color: Color) -> int:
    """The pods of a colour that are ready for long enough and of its present template.

    Those of the template before are as ready as ever while the new ones fail.
    """
    if color.observed_generation < color.generation:
        return 0
    count = held(color, time.time())
    return min(count, color.revisions[0].ready) if color.revisions else count


def complete(color: Color, want: int) -> bool:
    """Whether a colour has what it is to have, and nothing else is left of what it had."""
    standing = sum(not pod.terminating for pod in color.pods)
    return color.settled and up_to_date(color) >= max(want, 1) and standing <= max(color.updated, color.wish)
