"""The console as a Textual app: hands what the engine says to the screen, and what the operator means to the engine."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import Monochrome, NoColor
from textual.screen import Screen

from mlconsole.domain.history import Outcome
from mlconsole.engine import protocol
from mlconsole.engine.spawn import EngineProcess
from mlconsole.ui import themes
from mlconsole.ui.actions import Actions
from mlconsole.ui.calling import Caller
from mlconsole.ui.keys import CHART, KEYS, MORE
from mlconsole.ui.link import Link
from mlconsole.ui.panes.latency import LatencyPane
from mlconsole.ui.render import underway
from mlconsole.ui.screens.main import MainScreen

log = logging.getLogger(__name__)
Severity = Literal["information", "warning", "error"]
ALL = ("fleet", "deployment", "latency", "registry", "drift", "pipeline")
"""Every pane, in the order in which they are painted."""
CONCERNED: Mapping[type, tuple[str, ...]] = {
    protocol.Fleet: ("fleet",),
    protocol.Detail: ("deployment", "registry", "latency", "drift"),
    protocol.Registry: ("registry",),
    protocol.Charts: ("latency",),
    protocol.Drift: ("drift",),
    protocol.Pipelines: ("pipeline",),
    protocol.Operations: ("fleet", "deployment"),
    protocol.Presence: ("deployment",),
    protocol.Alerts: ("fleet",),
    protocol.AlertCause: ("fleet",),
    protocol.Sources: ALL,
    protocol.Place: ("fleet",),
}
"""The panes that a publication concerns; the header shows something of each."""
FRAME = 0.04
"""Seconds in which publications are gathered for one repaint."""
FRESH = 30.0
"""Seconds after which an outcome is no news: who follows an operation is told all of it, from its beginning."""
SURE = 5.0
"""Seconds that an operation is without an executor before that is said: the two are seen one after the other."""
BREATH = 0.002
"""Seconds between two panes, for keys to come in."""


class Console(Actions):
    """The app. `crashed` is set when it ended over an error of its own."""

    TITLE = "mlconsole"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "leave", show=False, priority=True)]
    CSS_PATH = "screens/main.tcss"

    def __init__(
        self,
        engine: EngineProcess,
        options: Mapping[str, object],
        log_path: Path,
        theme: str = "",
        driver_class: Any = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        if self.no_color:
            # Textual turns colours into greys, which are colours to a terminal; whoever asks for none gets none.
            self._filters = [item for item in self._filters if not isinstance(item, Monochrome)]
            self._filters.append(NoColor())
        self.plain = driver_class is not None
        """Whether only ASCII leaves: for what draws better when it knows."""
        self.crashed = False
        self.opening_words = ""
        """What to tell as soon as it is open."""
        self._log_path = log_path
        self._theme_problems = self._add_themes(theme)
        self._link = Link(engine, options, log_path, self._take, self._engine_lost, self._engine_found)
        self._link_task: asyncio.Task[None] | None = None
        self._planned: dict[int, str] = {}
        self._under_way: dict[int, str] = {}
        """Requests and the services that they are for: planned, and confirmed without an end that is known."""
        self._asked: set[int] = set()
        """Requests that asked something of an operation: a refusal is told even where their page was left."""
        self._rung: set[tuple[str, ...]] = set()
        """What the bell was rung for: once each."""
        self._caller = Caller(self)
        self._leaving = False
        self._concerned: set[str] = set()
        self._gathering = False
        self._shown: tuple[str, ...] = ()

    # ---- themes

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The console's own variables, for themes that do not name them."""
        return {"green": "#6cc08b", "blue": "#6d9fd8", "frame": "#2f3947"}

    def _add_themes(self, wanted: str) -> list[str]:
        found, problems = themes.load()
        for theme in found.values():
            self.register_theme(theme)
        if wanted and wanted not in self.available_themes:
            problems.append(f"there is no theme {wanted!r}; there are {', '.join(sorted(found))}")
        self.theme = wanted if wanted in self.available_themes else themes.DEFAULT
        return problems

    def refresh_css(self, animate: bool = True) -> None:
        """Apply another theme. Before there is a screen nothing has a style yet, and what is parsed has its colours."""
        if self.screen_stack:
            super().refresh_css(animate)
        else:
            self.stylesheet.set_variables(self.get_css_variables())

    # ---- life

    def get_default_screen(self) -> Screen[Any]:
        """The main screen is the bottom one."""
        return MainScreen(self.known, self.size)

    def on_mount(self) -> None:
        """Listen to signals, and to the engine once the frames are painted."""
        self.call_after_refresh(self._listen)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(number, partial(self.exit, 128 + number))
            except (RuntimeError, ValueError):
                # Not the main thread: whoever runs it there ends it.
                break
        for problem in [*self._theme_problems, *filter(None, [self.opening_words])]:
            self.notify(problem, severity="warning", markup=False)

    def _listen(self) -> None:
        self._link_task = asyncio.create_task(self._link.run())
        self._link_task.add_done_callback(self._link_ended)

    async def on_unmount(self) -> None:
        """End the engine with its UI."""
        self._caller.leave()
        if self._link_task:
            self._link_task.cancel()
            await asyncio.gather(self._link_task, return_exceptions=True)

    def _link_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._handle_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def _handle_exception(self, error: Exception) -> None:
        """An error of the console's own: to the log file whole, to the screen in a line, never as a traceback."""
        log.error("the console ended over an error of its own", exc_info=error)
        self.crashed = True
        self._return_code = 1
        self.exit(1)

    # ---- engine

    def send(self, intent: protocol.Intent) -> None:
        """Send an intent. From its confirmation on, an operation counts as under way."""
        if isinstance(intent, protocol.MakePlan):
            self._planned[intent.request] = intent.service
        elif isinstance(intent, protocol.Discard):
            self._planned.pop(intent.request, None)
        elif isinstance(intent, protocol.Ask):
            self._asked.add(intent.request)
            self.answered(intent.service)
        elif isinstance(intent, protocol.Confirm):
            self._under_way[intent.request] = self._planned.get(intent.request, "")
        self._link.send(intent)

    def _engine_found(self) -> None:
        """An engine, new perhaps: tell it what is looked at."""
        self.known.engine_problem = ""
        if self._place is not None:
            self.send(self._place)
        if self._shown:
            self.send(protocol.Show(self._shown))
        for intent in self._main.query_one(LatencyPane).requests:
            self.send(intent)
        if self.known.selected:
            self.send(protocol.Select(self.known.selected))

    def _engine_lost(self, why: str) -> None:
        log.error("the engine is gone: %s (%s)", why, self._link.state)
        self.known.engine_problem = why
        self.notify(f"the engine: {why}. {self._log_path} says more", severity="error", markup=False)
        self._under_way.clear()
        for screen in self.screen_stack:
            lost = getattr(screen, "lost", None)
            if lost is not None and screen.is_mounted:
                lost()
        self._main.show()

    def _take(self, message: protocol.Publication) -> None:
        if isinstance(message, protocol.Planned | protocol.Refused | protocol.Progress | protocol.Log):
            self._answer(message)
            return
        if isinstance(message, protocol.Notice):
            severity = message.severity if message.severity in ("information", "warning", "error") else "information"
            self.notify(message.words, severity=severity, markup=False)  # type: ignore[arg-type]
            return
        self.known.take(message)
        if isinstance(message, protocol.Operations):
            self._call_for_a_person()
        elif isinstance(message, protocol.Alerts):
            self._caller.take(message, time.time())
        self._concern(CONCERNED.get(type(message), ()))

    def _concern(self, panes: Iterable[str]) -> None:
        """Have these panes and the header painted soon."""
        self._concerned.update(panes)
        if not self._gathering:
            self._gathering = True
            self.set_timer(FRAME, self._paint)

    def _paint(self) -> None:
        """Paint the header and one pane; the next one in a moment, so that a key never waits for all of them."""
        if not self.screen_stack:
            return  # the console ends
        pane = next((name for name in ALL if name in self._concerned), "")
        self._concerned.discard(pane)
        self._main.renew((pane,))
        if self._concerned:
            self.set_timer(BREATH, self._paint)
            return
        self._gathering = False
        self.select(self._main.pointed())
        for screen in self.screen_stack[1:]:
            renew = getattr(screen, "renew", None)
            # One that is being made shows what is known when it stands.
            if renew is not None and screen.is_mounted:
                renew()

    def _answer(self, message: protocol.Planned | protocol.Refused | protocol.Progress | protocol.Log) -> None:
        """Hand an answer to the page that asked; an operation whose page was left tells its end in a notice."""
        told = False
        for screen in self.screen_stack:
            if isinstance(message, protocol.Log):
                take_log = getattr(screen, "take_log", None)
                if take_log is not None:
                    take_log(message)
            elif (take_answer := getattr(screen, "take_answer", None)) is not None:
                told = take_answer(message) or told
        if isinstance(message, protocol.Log):
            return
        if isinstance(message, protocol.Progress) and message.outcome is None:
            if message.request in self._under_way:
                self._under_way[message.request] = message.service
            return
        under_way = self._under_way.pop(message.request, "")
        self._leaving = self._leaving and bool(self._under_way)
        if isinstance(message, protocol.Progress) and message.outcome is not None:
            self._tell_outcome(message, message.outcome, told)
        elif isinstance(message, protocol.Refused) and (under_way or (message.request in self._asked and not told)):
            self._ring(f"{message.service or under_way}: {message.message}", "error", told)

    def _tell_outcome(self, message: protocol.Progress, outcome: Outcome, told: bool) -> None:
        """Once, and while it is news: its end says it again."""
        said = (message.service, outcome, message.words)
        if message.over or said in self._rung or time.time() - message.at > FRESH:
            return
        self._rung.add(said)
        if outcome is Outcome.OPEN:
            # Handed over: whoever asked for it sees that where operations are.
            words = f"{message.service}: nobody carries it out now: {message.words} (o)"
            self._ring(words, "warning", told or self._shows(message.service))
            return
        severity: Severity = "information" if outcome is Outcome.VERIFIED else "error"
        self._ring(f"{message.service}: {outcome}: {message.words}", severity, told)

    def _call_for_a_person(self) -> None:
        """Ring once for each operation that comes to wait for a word, and for one that lost its executor."""
        for item in self.known.operations:
            said = (item.operation.id, item.operation.phase, "" if item.alive else "interrupted")
            if not underway.waits(item) or said in self._rung:
                continue
            self._rung.add(said)
            if item.alive:
                self._call(item)
            else:
                self.set_timer(SURE, partial(self._call_if_interrupted, item.operation.id))

    def _call_if_interrupted(self, operation: str) -> None:
        found = next((item for item in self.known.operations if item.operation.id == operation), None)
        if found is not None and not found.alive:
            self._call(found)

    def _shows(self, service: str) -> bool:
        """Whether the page on top shows the operation under way on a service."""
        found = self.known.under_way(service)
        pages = [screen for screen in self.screen_stack[-1:] if screen.is_mounted and hasattr(screen, "shows")]
        return found is not None and any(page.shows(found.operation.id) for page in pages)

    def _call(self, item: protocol.OperationLine) -> None:
        op = item.operation
        stands = "" if item.alive else f" is {underway.stands(item)}"
        self.bell()
        if self._shows(op.key):
            return
        self.call(op.key, f"{underway.what(op)} of {op.key}{stands}: {underway.question(item)} (o)")

    def _ring(self, words: str, severity: Severity, told: bool) -> None:
        """Tell how an operation ended: by the bell, and in words unless its page is there and says them."""
        self.bell()
        if not told:
            self.notify(words, severity=severity, timeout=15, markup=False)

    # ---- what is looked at

    def post_shown(self, panes: tuple[str, ...]) -> None:
        """Tell the engine which panes are on the screen, if that changed."""
        if panes != self._shown:
            self._shown = panes
            self.send(protocol.Show(panes))

    def select(self, key: str) -> None:
        """Look at another service. The cursor has moved; what it leads to follows when that was painted."""
        if key and self.known.select(key):
            self.send(protocol.Select(key))
            self._concern(ALL)

    # ---- actions: console

    def action_theme(self) -> None:
        """The next of the console's themes."""
        names = sorted(themes.load()[0])
        self.theme = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]
        self.notify(f"theme {self.theme}", timeout=2, markup=False)

    def action_help(self) -> None:
        """Every key."""
        from mlconsole.ui.screens import choices

        self.push_screen(choices.help_page())

    @property
    def under_way(self) -> tuple[str, ...]:
        """The services that an operation is under way on."""
        return tuple(self._under_way.values())

    def action_leave(self) -> None:
        """End; twice while an operation is under way, for nobody would see its end."""
        if self._under_way and not self._leaving:
            self._leaving = True
            names = ", ".join(self._under_way.values())
            words = f"an operation on {names} is under way and goes on without this console: q again leaves"
            self.notify(words, severity="warning", markup=False)
            return
        self.exit(0)

    async def action_quit(self) -> None:
        """What Textual calls leaving."""
        self.action_leave()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: every key's action by name, the panes, and the themes."""
        for key in (*KEYS, *CHART, *MORE):
            if not key.action or key.action in ("command_palette",):
                continue
            yield SystemCommand(f"{key.label} ({key.written})", key.help, partial(self.run_action, key.action))
        for number, name in enumerate(("Fleet", "Pipeline", "Registry", "Latency", "Drift", "Deployment"), 1):
            yield SystemCommand(f"pane {name} ({number})", "go to this pane", partial(self.action_pane, number))
        for name in sorted(themes.load()[0]):
            yield SystemCommand(f"theme {name}", "how the console looks", partial(setattr, self, "theme", name))
