"""Rounds over the pods of the fleet: each pod's own /metrics, through the API server's proxy.

The selected service's pods are read every `metrics.refresh` seconds. The others share a budget of requests, so that a
fleet of thousands of pods costs the API server no more than a small one: they are read less often. A pod that does not
answer, or that has no figures, is asked ever less often, and again at once when the user says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import heapq
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from mlconsole.cluster.errors import ClusterError, redact
from mlconsole.config import ServiceSettings
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.reference import Brought
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import Condition, SourceState
from mlconsole.domain.telemetry import Glance, Telemetry
from mlconsole.domain.text import visible
from mlconsole.metrics import features
from mlconsole.metrics.chart import MOST_POINTS, STATS_OF, Chart, compared
from mlconsole.metrics.exposition import Malformed, Page, Parser
from mlconsole.metrics.ledger import LONGEST_GAP, STATS, WINDOW, ColorLedger, points
from mlconsole.metrics.scrapedpanels import ScrapedPanels
from mlconsole.metrics.targets import Book, Target, port_of

PATH = "/metrics"
PER_SECOND = 10.0
"""Pods that are read a second, at most, of the selected service and as many again of all the others."""
CONCURRENT = 8
SMALL_FLEET = 50
"""Up to this many pods features are read of every service, not only of the selected one."""
DEADLINE = 10.0
SOON = 2.0
"""Seconds at most from a pod's first read to its second: figures need two."""
KEEP = 3600.0
COARSE = 6
"""Of a large fleet's other services bins so many times as wide are kept, and only for the rounds that a row needs."""
NO_PAST = "without a Prometheus no earlier window is known"
log = logging.getLogger(__name__)

Fetch = Callable[[str, str, str, str], Awaitable[bytes]]
Bring = Callable[[ModelService], Mapping[str, Brought]]
"""What a registry knows of the versions that a service's colours run; it never waits."""


def nothing_brought(_service: ModelService) -> Mapping[str, Brought]:
    """Where there is no registry."""
    return {}


class Scraper:
    """Reads pods and answers with figures. `run` is its life; idle while `active` is false."""

    def __init__(
        self,
        refresh: float,
        fetch: Fetch,
        changed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        bring: Bring = nothing_brought,
        settings: Callable[[str, str], ServiceSettings] = lambda _namespace, _name: ServiceSettings(),
    ) -> None:
        self._refresh = max(refresh, 0.05)
        self._bring = bring
        self._panels = ScrapedPanels(max(refresh, 0.05), settings)
        self._fetch = fetch
        self._changed = changed
        self._clock = clock
        self._parser = Parser()
        self._wake = asyncio.Event()
        self._reading: set[asyncio.Task[None]] = set()
        self._selected = ""
        self._range = WINDOW
        self._until = self._compare = 0.0
        self.active = False
        self.forget()

    def forget(self) -> None:
        """Another cluster: nothing of the one before counts."""
        for task in self._reading:
            task.cancel()
        self._services: dict[str, ModelService] = {}
        self._targets: dict[str, dict[str, Target]] = {}
        """By service and pod."""
        self._count = 0
        self._due: list[tuple[float, int, Target]] = []
        """A heap; what in it is no longer anybody's target is passed over."""
        self._books: dict[str, Book] = {}
        self._panels.forget()
        self._chart: Chart | None = None
        self._earlier: Chart | None = None
        """The same time earlier, where that was asked for."""
        self._telemetry: Telemetry | None = None
        self._drift: tuple[float, DriftTable] | None = None
        self._last_contact = 0.0
        self._condition, self._since = Condition.STARTING, self._clock()
        self._wake.set()

    # ---- what there is to read

    def fleet(self, services: Sequence[ModelService]) -> None:
        """Every service: new pods are read soon, one after the other; those that are gone no more."""
        before, self._services = self._services, {service.key: service for service in services}
        for key in before.keys() - self._services.keys():
            self._targets.pop(key, None)
            self._books.pop(key, None)
            self._panels.drop(key)
        small = len(services) <= SMALL_FLEET // 4
        for service in services:
            known = before.get(service.key)
            if known is not service:
                self._take(service, small)
                if service.key == self._selected and known and _names(known) != _names(service):
                    self._chart = self._earlier = self._telemetry = None
        self._count = sum(map(len, self._targets.values()))
        self._wake.set()

    def select(self, service: ModelService | None) -> None:
        """The service whose panels are on the screen: its pods come first."""
        key = service.key if service else ""
        if key == self._selected:
            return
        self._panels.select(key)
        self._selected = key
        self._chart = self._earlier = self._telemetry = self._drift = None
        if service is not None:
            self._services[key] = service
            self._take(service, small=False)
            book = self._books.get(key)
            if book is not None and any(ledger.width > self._refresh for ledger in book.colors.values()):
                book.colors = {}  # too coarse for a chart
            self._count = sum(map(len, self._targets.values()))
            self.hurry(key)

    def show_panel(self, panel: str) -> None:
        """The panel on the screen: the others are not computed. Empty for the first three."""
        if panel != self._panels.panel:
            self._panels.panel, self._telemetry = panel, None
            self._changed(self._selected)

    def show_range(self, seconds: float, until: float = 0.0, compare: float = 0.0) -> None:
        """Show `seconds` until `until` (0: now), and the same time `compare` seconds earlier."""
        if (seconds, until, compare) == (self._range, self._until, self._compare):
            return
        if seconds != self._range:
            self._chart = None
        if (seconds, compare) != (self._range, self._compare):
            self._earlier = None
        self._range, self._until, self._compare = seconds, until, compare
        self._telemetry = None
        self._changed(self._selected)

    def hurry(self, key: str = "") -> None:
        """Read every pod (of a service) at the next chance, whatever it answered before."""
        now = self._clock()
        for service, targets in self._targets.items():
            if not key or service == key:
                for target in targets.values():
                    target.backoff.reset()
                    target.nothing.reset()
                    if not target.running:
                        self._plan(target, now)
        self._wake.set()

    def _take(self, service: ModelService, small: bool) -> None:
        """The pods of a service as they are now. Of an unselected one in a large fleet only the live colour's."""
        before = self._targets.get(service.key, {})
        targets = self._targets[service.key] = {}
        live = service.live_color
        all_colors = small or service.key == self._selected or live is None
        now, port = self._clock(), port_of(service)
        for color in service.colors if all_colors or live is None else (live,):
            for pod in color.pods:
                if pod.terminating or not (pod.ready or pod.phase == "Running"):
                    continue
                known = before.get(pod.name)
                if known is not None and (known.color, known.port) == (color.name, port):
                    targets[pod.name] = known
                    continue
                target = targets[pod.name] = Target(service, color, pod.name, self._refresh)
                self._plan(target, now + (len(self._due) / PER_SECOND if service.key != self._selected else 0.0))
        self._panels.update(service, targets)
        book = self._books.get(service.key)
        if book is not None:
            for name, ledger in book.colors.items():
                ledger.retain(pod for pod, target in targets.items() if target.color == name)
            book.features.retain(targets)

    def _plan(self, target: Target, due: float) -> None:
        target.due = due
        heapq.heappush(self._due, (due, id(target), target))

    # ---- life

    async def run(self) -> None:
        """Read what is due, until cancelled."""
        try:
            while True:
                self._wake.clear()
                pause = self._start_due() if self.active else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
        finally:
            reading = list(self._reading)
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    def _start_due(self) -> float | None:
        """Start to read the pods that are due; seconds until the next one is, None for as long as it takes."""
        now = self._clock()
        while self._due and len(self._reading) < CONCURRENT:
            due, _, target = self._due[0]
            if due > now:
                return max(0.001, due - now)
            heapq.heappop(self._due)
            if target.due == due and not target.running and self._is_target(target):
                target.running = True
                task = asyncio.create_task(self._read(target))
                self._reading.add(task)
                task.add_done_callback(self._read_ended)
        return None

    def _read_ended(self, task: asyncio.Task[None]) -> None:
        self._reading.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("reading a pod failed", exc_info=error)

    def _is_target(self, target: Target) -> bool:
        """Whether a pod is still one to read: not gone, nor of a cluster that nobody looks at any more."""
        return self._targets.get(target.key, {}).get(target.pod) is target

    async def _read(self, target: Target) -> None:
        started = self._clock()
        pause: float | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                body = await self._fetch(target.namespace, target.pod, target.port, PATH)
            at = (started + self._clock()) / 2
            page = self._parser.page(body, features=self._with_features(target))
            if self._is_target(target):
                told = page.empty and self._tells(target, at, body)
                if target.key == self._selected and not page.empty:
                    self._tells(target, at, body)
                pause = self._count_page(target, at, page, told=told)
        except (ClusterError, TimeoutError, Malformed) as error:
            why = error.message if isinstance(error, ClusterError) else str(error) or f"no answer in {DEADLINE:g} s"
            pause = self._failed(target, why if target.pod in why else f"pod {target.pod}: {why}")
        finally:
            # Whatever went wrong, it is not tried again at once.
            target.running = False
            if self._is_target(target):
                self._plan(target, self._clock() + (self._period(target) if pause is None else pause))

    def _with_features(self, target: Target) -> bool:
        return target.key == self._selected or self._count <= SMALL_FLEET

    def _period(self, target: Target) -> float:
        """Seconds between two reads of a pod; the first two are close, so that there is a rate soon."""
        return min(self._refresh, SOON) if target.reads <= 1 else self._round_seconds(target.key)

    def _round_seconds(self, key: str) -> float:
        """Seconds that a round over a service's pods takes."""
        mine = len(self._targets.get(self._selected, ()))
        return max(self._refresh, (mine if key == self._selected else self._count - mine) / PER_SECOND)

    def _failed(self, target: Target, why: str) -> float:
        target.problem = redact(why)
        if self._is_target(target):
            if target.key == self._selected:
                self._telemetry = None
            self._changed(target.key)
        return target.backoff.pause()

    def _tells(self, target: Target, at: float, body: bytes) -> bool:
        """Keep what panels read of a page; whether it tells of requests, in whatever dialect."""
        service = self._services.get(target.key)
        if service is None:
            return False
        return self._panels.take(service, target.color, target.pod, at, body, self._patience(target.key))

    def _count_page(self, target: Target, at: float, page: Page, *, told: bool = False) -> float | None:
        """Take what a pod said; seconds until it is asked again, None for as usual."""
        self._last_contact = self._clock()
        target.backoff.reset()
        target.reads += 1
        before, target.problem = target.problem, "" if told else self._complaint(target, page)
        if target.problem != before:
            self._telemetry = None
            self._changed(target.key)
        if told:
            target.nothing.reset()
            self._refresh_told(target.key)
            return None
        if page.empty:
            return target.nothing.pause()
        if not self._is_of(target, page):
            return None
        target.nothing.reset()
        book = self._books.setdefault(target.key, Book())
        ledger = book.colors.get(target.color)
        if ledger is None:
            ledger = book.colors[target.color] = self._ledger(target)
        complete = self._complete(target.key, ledger)
        ledger.add(target.pod, at, page, max(LONGEST_GAP, 3 * self._round_seconds(target.key)))
        book.features.add(target.pod, target.color, at, page)
        first = all(glance.color != target.color for glance in book.glances)
        if first or self._complete(target.key, ledger) > complete:
            self._refresh_figures(target.key, book)
        return None

    def _ledger(self, target: Target) -> ColorLedger:
        if self._with_features(target):
            return ColorLedger(self._refresh, KEEP)
        return ColorLedger(COARSE * self._refresh, max(LONGEST_GAP, 3 * self._round_seconds(target.key)))

    def _complaint(self, target: Target, page: Page) -> str:
        if page.empty:
            return f"pod {target.pod} exports no ml_predictions_total and no ml_prediction_duration_seconds"
        if not self._is_of(target, page):
            color = visible(page.color, 40)
            return f"pod {target.pod} is of {target.color or 'no colour'} and says color={color}: not counted"
        return f"pod {target.pod}: {', '.join(page.odd)} with a value that is no count" if page.odd else ""

    def _is_of(self, target: Target, page: Page) -> bool:
        """Whether the page is of the colour that was asked for (I22); a word that is no colour here says nothing."""
        service = self._services.get(target.key)
        known = {color.name for color in service.colors} if service else set()
        return page.color not in known or page.color == target.color

    # ---- what it says

    def _patience(self, key: str) -> float:
        return 3 * self._round_seconds(key)

    def _complete(self, key: str, ledger: ColorLedger) -> int:
        """The bin until which a colour is complete."""
        return int(ledger.complete_until(self._patience(key)) // ledger.width)

    def _refresh_figures(self, key: str, book: Book) -> None:
        seconds = max(WINDOW, 2 * self._round_seconds(key))
        glances = {}
        for color, ledger in book.colors.items():
            end, bins = self._complete(key, ledger), max(1, round(seconds / ledger.width))
            at, found = end * ledger.width, ledger.over(end, bins)
            if not found.span and self._all_read_twice(key, color):
                # No bin is complete yet: what there is of the one that has begun.
                at = ledger.complete_until(self._patience(key))
                found = ledger.over(end + 1, bins)
            if found.span:
                glances[color] = found.glance(color, at)
        book.glances = tuple(glances[color.name] for color in self._services[key].colors if color.name in glances)
        if key == self._selected:
            self._telemetry = None
        self._changed(key)

    def _refresh_told(self, key: str) -> None:
        """The figures of a service that speaks another dialect than ours: those of all pods, so once a round."""
        book = self._books.setdefault(key, Book())
        book.told += 1
        if book.told < sum(not target.problem for target in self._targets[key].values()):
            return
        book.told = 0
        book.glances = self._panels.glances(self._services[key], self._window(key), self._clock())
        if key == self._selected:
            self._telemetry = None
        self._changed(key)

    def _window(self, key: str) -> int:
        """Seconds that a rate looks back over: four rounds at least."""
        return math.ceil(max(WINDOW, 4 * self._round_seconds(key)))

    def _all_read_twice(self, key: str, color: str) -> bool:
        return all(target.reads != 1 for target in self._targets.get(key, {}).values() if target.color == color)

    def glances(self, key: str) -> tuple[Glance, ...]:
        """The figures of a service's colours now."""
        book = self._books.get(key)
        return book.glances if book else ()

    def telemetry(self, key: str) -> Telemetry | None:
        """The panels of the selected service."""
        service, book = self._services.get(key), self._books.get(key)
        if key != self._selected or service is None:
            return None
        if self._telemetry is None:
            counted = functools.partial(self._drawn, service, book) if not book or book.colors else None
            shown = self._range, self._until, self._compare
            problem, now = self._problem(key), self._clock()
            made = self._panels.telemetry(service, shown, self._window(key), problem, now, counted)
            if self._panels.unfinished:
                self._changed(key)
                return made
            self._telemetry = made
        return self._telemetry

    def _drawn(self, service: ModelService, book: Book | None) -> Telemetry:
        each = max(1, math.ceil(self._range / MOST_POINTS / self._refresh))
        step = each * self._refresh
        if self._chart is None:
            self._chart = Chart(service.key, self._range, step, _names(service))
        ledgers = book.colors if book else {}
        seen = max((self._complete(service.key, ledger) for ledger in ledgers.values()), default=0) * self._refresh
        until = min(seen, self._until or seen)
        drawn = self._of_chart(service, self._chart, ledgers, each, until)
        shift = round(self._compare / step) * step
        if shift and until > shift:
            if self._earlier is None:
                self._earlier = Chart(service.key, self._range, step, _names(service))
            drawn = compared(drawn, self._of_chart(service, self._earlier, ledgers, each, until - shift), shift)
        return drawn

    def _of_chart(
        self, service: ModelService, chart: Chart, ledgers: dict[str, ColorLedger], each: int, until: float
    ) -> Telemetry:
        if until:
            asked = chart.missing(until)
            bins = max(round(WINDOW / self._refresh), each)
            found = {
                color: points(ledger, [index * each for index in asked], bins) for color, ledger in ledgers.items()
            }
            for stat in STATS:
                by_color = {color: dict(zip(asked, stats[stat], strict=True)) for color, stats in found.items()}
                chart.put(asked, stat, by_color)
            chart.finish(asked)
        what = f"GET {PATH} of {len(self._targets.get(service.key, ()))} pods, over {WINDOW:g} s"
        return chart.telemetry(
            until or self._clock(), "scrape", dict.fromkeys(STATS_OF, what), {}, self._problem(service.key)
        )

    def drift(self, key: str) -> DriftTable | None:
        """The drift table of the selected service; a new one every few seconds."""
        service, book = self._services.get(key), self._books.get(key)
        if service is None or book is None:
            return None
        now = self._clock()
        made = self._drift
        if made is None or made[1].service != key or now - made[0] >= self._refresh:
            brought, past = self._bring(service), features.Past(problem=NO_PAST)
            made = self._drift = (now, features.table(service, math.floor(now), book.features.seen(now), brought, past))
        return made[1]

    def judge_again(self) -> None:
        """Make the drift table anew when it is asked for, which is soon."""
        self._drift = None
        self._changed(self._selected)

    def _problem(self, key: str) -> str:
        told = [target.problem for target in self._targets.get(key, {}).values() if target.problem]
        return told[0] + (f" (and {len(told) - 1} more)" if len(told) > 1 else "") if told else ""

    @property
    def state(self) -> SourceState:
        """How the pods answer."""
        targets = [target for of_service in self._targets.values() for target in of_service.values()]
        told = [target.problem for target in targets if target.problem]
        condition = self._judged(targets)
        if condition is not self._condition:
            self._condition, self._since = condition, self._clock()
        message, hint = "", ""
        if told:
            message = told[0] if len(targets) == 1 else f"{len(told)} of {len(targets)} pods: {told[0]}"
            hint = "they are asked again by themselves; metrics.prometheus_url names a Prometheus instead"
        elif not targets:
            message = "there is no running pod to scrape"
        limit = max(30.0, 3 * len(targets) / PER_SECOND)
        where = f"{PATH} of {len(targets)} pods"
        return SourceState("scrape", condition, self._since, self._last_contact, message, hint, where, limit)

    def _judged(self, targets: Sequence[Target]) -> Condition:
        if any(target.reads and not target.problem for target in targets):
            return Condition.LIVE
        if any(target.problem for target in targets):
            fresh = self._last_contact and self._clock() - self._last_contact < max(30.0, 3 * self._refresh)
            return Condition.STALE if fresh else Condition.DOWN
        return Condition.STALE if self._last_contact else Condition.STARTING


def _names(service: ModelService) -> list[str]:
    return [color.name for color in service.colors]
