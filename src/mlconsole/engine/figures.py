"""Where an analysis gets its figures: from Prometheus where one is configured, else from the pods through the proxy."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.cluster import fresh, proxy
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, redact
from mlconsole.config import ServiceSettings
from mlconsole.domain.plans import PlanError
from mlconsole.domain.services import Color, ModelService, PodState
from mlconsole.engine.hints import hints_of
from mlconsole.engine.offload import WorkerError
from mlconsole.gathering import gather
from mlconsole.metrics import local, matching, since
from mlconsole.metrics.asking import Asker, Proxy, Worker
from mlconsole.metrics.exposition import Malformed, Parser
from mlconsole.metrics.observer import SKEW
from mlconsole.metrics.plans import existing
from mlconsole.metrics.prometheus import Endpoint, Failure, Question, Reply
from mlconsole.metrics.queries import Scope, existing_query, of_panels, podless_query
from mlconsole.metrics.samples import Samples
from mlconsole.metrics.since import Counting, Figures
from mlconsole.metrics.targets import port_of

ASK_SECONDS = 20.0
"""For all questions of one round."""
THERE_SECONDS = 30.0
"""After which it is looked anew which metrics there are."""
POD_SECONDS = 4.0
READ_SECONDS = 15.0
"""For reading which pods there are."""
AT_ONCE = 8
BEFORE = 300
"""Seconds before a switch that the colour which was left is judged by, once the traffic has left it."""


class Window(Struct, frozen=True):
    """What figures are of, and since when."""

    service: ModelService
    target: Color
    live: Color | None
    since: float
    """The candidate is judged from here on."""
    moved: bool = False
    """Whether the traffic has moved to the candidate: the other colour is then judged by what it did before."""


class Source(Protocol):
    """One way to figures."""

    warm_up: float
    """Seconds before there can be any, for a colour that was there before."""

    async def begin(self, window: Window) -> None:
        """Take a first look, where later ones need it."""

    async def look(self, window: Window, figures: Collection[str]) -> tuple[Figures, Figures]:
        """Those of the candidate, and those of the live colour, named as a condition names them."""


def _split(figures: Collection[str]) -> tuple[list[str], list[str]]:
    """The candidate's and the live colour's."""
    live = [name.removeprefix("live.") for name in figures if name.startswith("live.")]
    return sorted(name for name in figures if not name.startswith("live.")), sorted(live)


class FromPrometheus:
    """Asks Prometheus: in the worker, or through the API server."""

    def __init__(
        self,
        endpoint: Endpoint,
        worker: Worker,
        settings: ServiceSettings,
        clock: Callable[[], float] = time.time,
        proxy: Proxy | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._asker = Asker(worker, proxy)
        self._own = {**settings.queries, **of_panels(settings.panels)}
        self._clock = clock
        self._ahead = 0.0
        """By how many seconds Prometheus' clock is ahead of ours, where that matters: windows are by its clock."""
        self._there: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        """By colour: the metrics that its pods export, and those that are there without a pod's name."""
        self._there_due = 0.0
        self.warm_up = 0.0

    async def begin(self, window: Window) -> None:
        """Prometheus knows what was."""

    async def look(self, window: Window, figures: Collection[str]) -> tuple[Figures, Figures]:
        """One round of questions, and before it one for what the pods export where that is not known lately."""
        mine, its = _split(figures)
        now = self._clock() + self._ahead
        seconds = min(since.LONGEST, int(now - window.since))
        if seconds < 1:
            return (Figures(why="ready only since this moment", early=True),) * 2
        service, live = window.service, window.live
        for color in (window.target, live):
            if color is not None and (why := matching.confused(service, color)):
                return (Figures(why=why),) * 2
        failure = await self._look_what_there_is(window)
        if failure is not None:
            return (Figures(why=redact(f"{failure.why} {failure.hint}".strip()), error=True),) * 2
        asking = since.asked(service, window.target, mine, seconds, self._own, *self._there[window.target.name])
        other = since.Asking()
        if its and live is not None:
            before = BEFORE if window.moved else seconds
            other = since.asked(service, live, its, before, self._own, *self._there[live.name])
        at = int(window.since)
        questions = [Question(query) for query in asking.queries.values()]
        questions += [Question(text, at, at, 1) if window.moved else Question(text) for text in other.queries.values()]
        replies = await self.ask(questions)
        own = dict(zip(asking.queries, replies, strict=False))
        rest = dict(zip(other.queries, replies[len(own) :], strict=True))
        found = _with_query(since.answered(service, window.target, mine, asking, own), asking.queries, mine)
        if not its:
            return found, Figures()
        if live is None:
            return found, Figures(why="there is no live colour to compare with")
        left = since.answered(service, live, its, other, rest, past=window.moved)
        return found, _with_query(left, other.queries, its, f" at {_clock_time(window.since)}" if window.moved else "")

    async def _look_what_there_is(self, window: Window) -> Failure | None:
        """Which metrics there are, by colour, for the dialects; why nobody can say."""
        now = self._clock()
        colors = [color for color in (window.target, window.live) if color is not None]
        if now < self._there_due and all(color.name in self._there for color in colors):
            return None
        scope, at = Scope([window.service]), int(window.since)
        text = existing_query(scope)
        replies = await self.ask([Question(text), Question(text, at, at, 1), Question(podless_query())])
        failure = next((reply.failure for reply in replies if reply.failure is not None), None)
        if failure is not None:
            return failure
        present, past = (existing(window.service, reply.rows) for reply in replies[:2])
        podless = frozenset(row.labels.get("__name__", "") for row in replies[2].rows)
        for color in colors:
            names = past if window.moved and color is window.live else present
            self._there[color.name] = names.get(color.name, frozenset()), podless
        if all(self._there[color.name][0] for color in colors):
            self._there_due = now + THERE_SECONDS
        return None

    async def ask(self, questions: Sequence[Question]) -> list[Reply]:
        """The replies; what kept the worker from answering is the failure of each."""
        try:
            replies = await self._asker.ask(self._endpoint, questions, ASK_SECONDS)
            known = [reply.ahead for reply in replies if reply.ahead is not None and abs(reply.ahead) >= SKEW]
            self._ahead = statistics.median(known) if known else 0.0
            return replies
        except TimeoutError:
            failure = Failure("down", f"Prometheus gave no answer within {ASK_SECONDS:g} s")
        except (WorkerError, OSError, RuntimeError) as error:
            failure = Failure("down", f"the metrics worker failed: {type(error).__name__}: {error}")
        return [Reply(failure=failure)] * len(questions)


def _with_query(figures: Figures, queries: Mapping[str, str], names: Collection[str], when: str = "") -> Figures:
    shown = [queries[name] for name in names if name in queries]
    if any(name in since.DRIFTS for name in names):
        shown += [queries["features"], queries["references"]]
    why = redact(figures.why) if figures.why else ""
    shown = shown or [queries[name] for name in ("n",) if name in queries]
    return replace(figures, why=why, query=" | ".join(shown) + (when if shown else ""))


class FromPods:
    """Reads the pods' own figures through the API server."""

    def __init__(
        self, connection: Connection, settings: ServiceSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._clock = clock
        self._parser = Parser()
        self._counting: dict[str, Counting] = {}
        self._samples: dict[str, Samples] = {}
        """By colour, where its pods speak another dialect than ours."""
        self._problems: dict[str, list[str]] = {}
        self._pods: dict[str, int] = {}
        self._failed = ""
        self.warm_up = 10.0

    async def begin(self, window: Window) -> None:
        """Read what the pods have counted so far."""
        await self._read(window)

    async def look(self, window: Window, figures: Collection[str]) -> tuple[Figures, Figures]:
        """Read them all."""
        wanted, its = _split(figures)
        await self._read(window)
        mine = self._of(window, window.target, wanted)
        if not its:
            return mine, Figures()
        if window.live is None:
            return mine, Figures(why="there is no live colour to compare with")
        return mine, self._of(window, window.live, its)

    async def _read(self, window: Window) -> None:
        """One round over the pods of both colours, as they are now."""
        colors = [color for color in (window.target, window.live) if color is not None]
        self._failed, self._problems = "", {color.name: [] for color in colors}
        service = window.service
        try:
            async with asyncio.timeout(READ_SECONDS):
                now = await fresh.read(
                    self._connection, service.namespace, service.name, hints_of(self._settings), service.base or None
                )
        except (ClusterError, PlanError, TimeoutError) as error:
            self._failed = f"the pods cannot be listed: {error or 'no answer in time'}"
            return
        gate = asyncio.Semaphore(AT_ONCE)
        await gather(*(self._read_color(now.service, color, window, gate) for color in colors))

    async def _read_color(self, service: ModelService, color: Color, window: Window, gate: asyncio.Semaphore) -> None:
        present = service.color(color.name)
        pods = [pod for pod in present.pods if pod.ready and not pod.terminating] if present else []
        self._pods[color.name] = len(pods)
        if not pods:
            self._problems[color.name].append(f"{color.name} has no ready pod to read")
        past = window.moved and color is window.live
        counting = self._counting.setdefault(color.name, Counting(color, window.since, whole=past))
        await gather(*(self._read_pod(service, color, pod, counting, gate) for pod in pods))

    async def _read_pod(
        self, service: ModelService, color: Color, pod: PodState, counting: Counting, gate: asyncio.Semaphore
    ) -> None:
        name = pod.name
        try:
            async with gate, asyncio.timeout(POD_SECONDS + 1):
                started = self._clock()
                reply = await proxy.pod_get(
                    self._connection, service.namespace, name, port_of(service), "/metrics", POD_SECONDS
                )
            problem = f"pod {name} answered {reply.status}" if reply.status != 200 else ""
            if not problem:
                page = self._parser.page(reply.body)
                problem = _misplaced(service, color, name, page.color)
                at = (started + self._clock()) / 2
                if problem or not (page.empty and self._told(service, color, name, at, reply.body)):
                    problem = problem or counting.add(pod, at, page)
        except (ClusterError, Malformed) as error:
            problem = f"pod {name}: {error}"
        except TimeoutError:
            problem = f"pod {name} gave no answer in {POD_SECONDS:g} s"
        if problem:
            self._problems[color.name].append(redact(problem))

    def _told(self, service: ModelService, color: Color, pod: str, at: float, body: bytes) -> bool:
        """Keep a page of another dialect; whether it is one. Raises Malformed."""
        lines = self._parser.families(body, local.wanted())
        if local.telling().isdisjoint(line.name for line in lines):
            return False
        samples = self._samples.setdefault(color.name, Samples(since.LONGEST))
        samples.add(at, {"namespace": service.namespace, "pod": pod}, lines)
        return True

    def _computed(self, window: Window, color: Color, names: Collection[str]) -> Figures:
        """What the panels' queries make of the pages of another dialect, since they were first read."""
        if window.moved and color is window.live:
            return Figures(why=f"what {color.name} did before the switch is not known: its pages are read only since")
        samples, now = self._samples[color.name], self._clock()
        known = local.known(window.service, samples).get(color.name, frozenset())
        watched = samples.last - max(window.since, samples.first)
        seconds = max(1, min(since.LONGEST, math.ceil(watched)))
        asking = since.asked(window.service, color, names, seconds, {}, known)
        asking.queries.pop("age", None)
        replies = {name: local.answer(samples, Question(text)) for name, text in asking.queries.items()}
        found = since.answered(window.service, color, names, asking, replies)
        return replace(found, age=max(0.0, now - samples.last))

    def _of(self, window: Window, color: Color, names: Collection[str]) -> Figures:
        if self._failed:
            return Figures(why=self._failed, error=True)
        counting = self._counting[color.name]
        problems = self._problems[color.name]
        told = color.name in self._samples
        past = "since its processes began" if window.moved and color is window.live and not told else ""
        span = past or f"since {_clock_time(counting.began)}"
        query = f"GET /metrics of {self._pods[color.name]} pods of {color.name} through the API server, {span}"
        if problems:
            # A pod that cannot be read may be the one that is sick.
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            return Figures(why=problems[0] + more, error=True, query=query)
        if told:
            return replace(self._computed(window, color, names), query=query)
        found = counting.figures(window.service, self._clock(), "")
        return replace(found, query=query)


def _misplaced(service: ModelService, color: Color, pod: str, named: str) -> str:
    """Why a page is not of the colour that was asked for (I22); a word that is no colour here says nothing."""
    known = {one.name for one in service.colors}
    return f"pod {pod} is of {color.name} and says color={named}: not counted" if named in known - {color.name} else ""


def _clock_time(at: float) -> str:
    if not 0 < at < float("inf"):
        return "it was first read"
    return time.strftime("%H:%M:%SZ", time.gmtime(at))
