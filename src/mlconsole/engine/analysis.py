"""The analyst: measures a release before a switch, and again while it is watched after it.

It runs in the executor's own loop and may be cancelled at any time: it changes nothing. Each look asks for all that is
due at once, has a deadline (I20), and is judged by `domain.analysis`; what nobody knows is unknown (I21).
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from mlconsole.cluster import analysistemplates, proxy
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, redact
from mlconsole.config import Settings
from mlconsole.configoperations import Analysis as Wanted
from mlconsole.domain import analysis, conditions
from mlconsole.domain.analysis import Analysis, Measurement, Spec
from mlconsole.domain.computing import Facts
from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.text import visible
from mlconsole.engine.figures import FromPods, FromPrometheus, Source, Window
from mlconsole.engine.through import through
from mlconsole.metrics import queries
from mlconsole.metrics.asking import Request, Worker
from mlconsole.metrics.prometheus import Endpoint, Question, Reply
from mlconsole.metrics.since import NO_DATA, Figures, same_version

LOOK_SECONDS = 60.0
"""For one look at everything."""
RATE_SECONDS = 60.0
"""That a rate is of, at most, where it is known from more than two looks."""
SHORTEST = 0.05
_OF_NOTHING = ("isNil", "len", "default")
"""Functions that have an answer where a query has none."""
_TELLING = frozenset({"version", "model_version", "deployment", "pod", "color", "colour", "slot"})
_PLACES = re.compile(r"\{(version|color|namespace|service|since)\}")

Say = Callable[[str], None]
OnChange = Callable[[list[Gate]], None]


def ready_since(color: Color) -> float:
    """When the first of a colour's ready pods became so; 0 where none is."""
    return min((pod.ready_since for pod in color.pods if pod.ready and pod.ready_since), default=0.0)


class Analyst:
    """Measures on one connection."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        offload: Worker,
        *,
        prometheus_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`prometheus_url` rather than the settings': empty where the place is none that this Prometheus knows."""
        self._connection = connection
        self._settings = settings
        self._offload = offload
        self._url = prometheus_url
        self._clock = clock

    async def specs(self, service: ModelService, when: str) -> tuple[Spec, ...]:
        """What the settings want measured `before` a switch, or `after` it."""
        found: list[Spec] = []
        for name, wanted in self._settings.service(service.namespace, service.name).analysis.items():
            if wanted.when not in (when, "both"):
                continue
            if wanted.template:
                found += await self._from_template(service.namespace, name, wanted)
            else:
                found.append(_own(name, wanted))
        return tuple(found)

    async def _from_template(self, namespace: str, name: str, wanted: Wanted) -> Sequence[Spec]:
        template = wanted.template or ""
        try:
            read = await analysistemplates.read(self._connection, namespace, template, name, wanted.args)
        except (ClusterError, TimeoutError) as error:
            origin = f"AnalysisTemplate {namespace}/{template}"
            return [Spec(name, origin=origin, problem=str(error) or f"{origin}: no answer in time")]
        return [replace(spec, count=wanted.count) if spec.count is None else spec for spec in read]

    # ---- the run

    async def run(
        self,
        service: ModelService,
        target: Color,
        live: Color | None,
        specs: Sequence[Spec],
        since: float = 0.0,
        until: float | None = None,
        say: Say = lambda _: None,
        on_change: OnChange = lambda _: None,
    ) -> list[Gate]:
        """Measure until everything is known, or something failed; with `until`, to that time.

        Before a switch `since` may be left out: then it is since the candidate's pods are ready. With `until` the
        traffic is the candidate's since `since`, and `live` is the colour that was left: it is judged by what it did
        before. Raises nothing that the outside can cause.
        """
        since = since or ready_since(target) or self._clock()
        window = Window(service, target, live, since, moved=until is not None)
        source = self._source(window)
        delay = 0.0
        if isinstance(source, FromPods) and specs:
            await source.begin(window)
            delay = min(source.warm_up, *(spec.interval for spec in specs))
        states = [_begun(spec, self._clock(), delay, until) for spec in specs]
        while True:
            now = self._clock()
            over = until is not None and now >= until
            open_ = [state for state in states if _goes_on(state, over, until)]
            if not open_ or any(analysis.verdict(state) is Verdict.FAIL for state in states):
                break
            due = [state for state in open_ if state.due <= now]
            if due:
                found = await self._look(window, source, [state.spec for state in due])
                states = [_taken(state, found, self._clock()) for state in states]
                on_change(_gates(states, self._clock(), over=False))
                for state in due:
                    if state.last is None or state.last.verdict is not found[state.spec.name].verdict:
                        say(f"{state.spec.name}: {found[state.spec.name].verdict}: {found[state.spec.name].value}")
                continue
            wait = min(state.due for state in open_) - now
            await asyncio.sleep(max(SHORTEST, min(wait, until - now) if until is not None else wait))
        gates = _gates(states, self._clock(), over=until is not None and self._clock() >= until)
        on_change(gates)
        return gates

    async def measure(
        self,
        service: ModelService,
        target: Color,
        live: Color | None,
        specs: Sequence[Spec],
        since: float,
        *,
        moved: bool = False,
    ) -> dict[str, Measurement]:
        """One look at everything, by the names of the specs."""
        window = Window(service, target, live, since, moved)
        return await self._look(window, self._source(window), specs)

    async def rate(self, service: ModelService, color: Color, since: float, seconds: float) -> float | None:
        """Requests a second that reach a colour now, but none from before `since`; None where nobody can say.

        It takes `seconds` where the pods have to be read twice.
        """
        window = Window(service, color, None, max(since, self._clock() - RATE_SECONDS))
        source = self._source(window)
        if isinstance(source, str):
            return None
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await source.begin(window)
                await asyncio.sleep(min(source.warm_up, seconds))
                figures, _ = await source.look(window, ["rate"])
        except TimeoutError:
            return None
        return figures.values.get("rate")

    def _source(self, window: Window) -> Source | str:
        """Who is asked; words where there is nobody."""
        own = self._settings.service(window.service.namespace, window.service.name)
        endpoint = self._endpoint(window.service.namespace)
        if endpoint is not None:
            return FromPrometheus(endpoint, self._offload, own, self._clock, self._through)
        if self._settings.metrics.scrape:
            return FromPods(self._connection, own, self._clock)
        return "no Prometheus, and scraping is off: set metrics.prometheus_url, or metrics.scrape = true"

    async def _through(self, request: Request) -> proxy.Reply:
        return await through(self._connection, request)

    def _endpoint(self, namespace: str) -> Endpoint | None:
        url = self._url
        if url is None:
            url = self._settings.prometheus_url(self._connection.identity.context, namespace)
        return Endpoint(url, self._settings.metrics.auth) if url else None

    # ---- one look

    async def _look(self, window: Window, source: Source | str, specs: Sequence[Spec]) -> dict[str, Measurement]:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await self._looked(window, source, specs)
        except TimeoutError:
            late = Measurement(self._clock(), Verdict.UNKNOWN, f"no answer within {LOOK_SECONDS:.0f} s", error=True)
            return {spec.name: late for spec in specs}

    async def _looked(self, window: Window, source: Source | str, specs: Sequence[Spec]) -> dict[str, Measurement]:
        wanted = {name for spec in specs for text in _texts(spec) for name in conditions.parse(text).figures}
        mine = its = Figures()
        if wanted and isinstance(source, str):
            mine = its = Figures(why=source, error=True)
        elif wanted and not isinstance(source, str):
            mine, its = await source.look(window, wanted)
        asking = [spec for spec in specs if spec.query]
        texts = {spec.name: _filled(spec.query, window, self._clock()) for spec in asking}
        replies = dict(zip(texts, await self._ask(window, list(texts.values())), strict=True))
        now = self._clock()
        return {
            spec.name: _judged(spec, window, mine, its, now, texts.get(spec.name, ""), replies.get(spec.name))
            for spec in specs
        }

    async def _ask(self, window: Window, texts: Sequence[str]) -> Sequence[Reply | None]:
        endpoint = self._endpoint(window.service.namespace)
        if not texts or endpoint is None:
            return [None] * len(texts)
        own = self._settings.service(window.service.namespace, window.service.name)
        asker = FromPrometheus(endpoint, self._offload, own, self._clock, self._through)
        return await asker.ask([Question(text) for text in texts])


# ---- specs


def _own(name: str, wanted: Wanted) -> Spec:
    """The spec of an analysis that the settings give whole."""
    spec = Spec(
        name,
        wanted.condition or "",
        query=wanted.query or "",
        interval=wanted.interval,
        count=wanted.count,
        failure_limit=wanted.failure_limit,
        inconclusive_limit=wanted.inconclusive_limit,
    )
    where = f"analysis.{name}"
    if not spec.condition:
        return replace(spec, problem=f"{where}: it has no condition, and names no template")
    fault = conditions.fault(spec.condition, spec.query)
    return replace(spec, problem=f"{where}: {fault}") if fault else spec


def _texts(spec: Spec) -> list[str]:
    return [text for text in (spec.condition, spec.failure) if text and not spec.problem]


def _filled(query: str, window: Window, now: float) -> str:
    """A query with the words for the candidate filled in, as they stand in a string of PromQL."""
    values = {
        "version": window.target.release.version,
        "color": window.target.name,
        "namespace": window.service.namespace,
        "service": window.service.name,
        "since": f"{max(1, int(now - window.since))}s",
    }
    return _PLACES.sub(lambda found: queries.quoted(values[found[1]])[1:-1], query)


# ---- states


def _begun(spec: Spec, now: float, delay: float, until: float | None) -> Analysis:
    return analysis.begin(replace(spec, delay=max(spec.delay, delay), count=spec.count if until is None else None), now)


def _goes_on(state: Analysis, over: bool, until: float | None) -> bool:
    """Whether it is measured again: in the watch window to its end, so that no failure is missed."""
    if over or state.spec.problem:
        return False
    found = analysis.verdict(state)
    return found is None or (until is not None and found is Verdict.UNKNOWN)


def _taken(state: Analysis, found: Mapping[str, Measurement], now: float) -> Analysis:
    look = found.get(state.spec.name)
    return analysis.measured(state, replace(look, at=now)) if look is not None else state


def _gates(states: Sequence[Analysis], now: float, *, over: bool) -> list[Gate]:
    """The gates, and where a template has several metrics one for it as a whole: that is the one that blocks."""
    gates: list[Gate] = []
    groups: dict[str, list[Gate]] = {}
    for state in states:
        one = analysis.gate(state, now, over=over)
        name, dot, _ = one.name.partition(".")
        if dot and state.spec.origin:
            groups.setdefault(name, []).append(one)
            one = replace(one, blocks=False)
        gates.append(one)
    return [*(analysis.together(name, tuple(found)) for name, found in groups.items()), *gates]


# ---- judging


def _judged(
    spec: Spec, window: Window, mine: Figures, its: Figures, now: float, query: str, reply: Reply | None
) -> Measurement:
    """The measurement of one spec."""
    if spec.problem:
        return Measurement(now, Verdict.UNKNOWN, spec.problem)
    result: tuple[float, ...] = ()
    if spec.query:
        problem, error, result = _result(spec, window, reply)
        if problem:
            early = window.moved and problem.startswith(NO_DATA)
            return Measurement(now, Verdict.UNKNOWN, problem, query=_shown(query), error=error, early=early)
        query = _shown(query) + _unnamed(reply)
    needed = sorted({name for text in _texts(spec) for name in conditions.parse(text).figures})
    values = {**mine.values, **{f"live.{name}": value for name, value in its.values.items()}}
    verdict = _verdict(spec, Facts(values, result))
    shown = [f"{name} = {conditions.words(name, values.get(name))}" for name in needed]
    shown += [f"result = {', '.join(f'{value:.4g}' for value in result)}"] if spec.query else []
    used = [(mine, "") for name in needed if not name.startswith("live.")][:1]
    used += [(its, "live: ") for name in needed if name.startswith("live.")][:1]
    unknown = [f"{who}{figures.why}" for figures, who in used if figures.why] if verdict is Verdict.UNKNOWN else []
    idle = _idle(window, mine) if unknown and mine.why else ""
    error = verdict is Verdict.UNKNOWN and any(figures.error for figures, _ in used)
    early = window.moved and bool(unknown) and all(figures.early for figures, _ in used if figures.why)
    known = [figures.n for figures, _ in used]
    return Measurement(
        now,
        verdict,
        redact("; ".join(filter(None, (", ".join(shown), *unknown)))) + idle,
        min((n for n in known if n is not None), default=None),
        max((figures.age for figures, _ in used), default=0.0),
        " || ".join(filter(None, (query, *(f"{who}{figures.query}" for figures, who in used if figures.query)))),
        error=error,
        early=early,
    )


def _verdict(spec: Spec, facts: Facts) -> Verdict:
    """As Argo's: with one condition the other is its opposite; with both what is neither is inconclusive."""
    holds = conditions.parse(spec.condition).holds(facts) if spec.condition else None
    fails = conditions.parse(spec.failure).holds(facts) if spec.failure else None
    if not spec.failure:
        fails = None if holds is None else not holds
    elif not spec.condition:
        holds = None if fails is None else not fails
    if fails:
        return Verdict.FAIL
    return Verdict.PASS if holds and fails is False else Verdict.UNKNOWN


def _result(spec: Spec, window: Window, reply: Reply | None) -> tuple[str, bool, tuple[float, ...]]:
    """What a query gave; else why that is nothing to judge by, and whether nothing could be asked."""
    if reply is None:
        return "no Prometheus is asked here: set metrics.prometheus_url", True, ()
    if reply.failure is not None:
        return redact(f"{reply.failure.why} {reply.failure.hint}"), True, ()
    for row in reply.rows:
        odd = _foreign(row.labels, window)
        if odd:
            return odd, False, ()
    values = tuple(row.values[-1] if row.values else math.nan for row in reply.rows)
    if not values and not any(word in spec.condition + spec.failure for word in _OF_NOTHING):
        return f"{NO_DATA}: the query gave nothing", False, ()
    if not spec.origin and len(values) > 1:
        return f"the query gave {len(values)} series, one is wanted: sum or select", False, ()
    return "", False, values


def _foreign(labels: Mapping[str, str], window: Window) -> str:
    """Whose the figures are, where their own labels say that they are not the candidate's (I22)."""
    version = labels.get("version") or labels.get("model_version") or ""
    if version and not same_version(version, window.target):
        return f"what came back is of version {visible(version, 40)}, not of {window.target.release.label}"
    color = queries.color_of(labels, window.service)
    if color is not None and color != window.target.name:
        return f"what came back is of {visible(color, 40)}, not of {window.target.name}"
    return ""


def _shown(query: str) -> str:
    """A query on one line: a template's is text from outside (I28)."""
    return visible(" ".join(query.split()), 2000)


def _unnamed(reply: Reply | None) -> str:
    """What the evidence has to say of an answer that does not say whose it is."""
    labels = {name for row in (reply.rows if reply else ()) for name in row.labels}
    return "" if labels & _TELLING else " (the answer names no colour and no version: the query must choose them)"


def _idle(window: Window, mine: Figures) -> str:
    """Why a candidate without traffic is unknown by design."""
    if window.moved or mine.error or window.target.name == window.service.live:
        return ""
    return (
        f"; {window.target.name} gets no traffic before the switch, so that only smoke and parity requests count: "
        'waive it, or measure it `when = "after"`'
    )
