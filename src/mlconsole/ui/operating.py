"""What the keys for operations do: each asks what has to be known first, then opens the page that plans it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, Literal

from textual.app import App
from textual.notifications import Notification, Notify

from mlconsole.domain.services import Health, ModelService, Shape
from mlconsole.engine import protocol
from mlconsole.ui.keys import MORE
from mlconsole.ui.known import Known
from mlconsole.ui.render import deployment
from mlconsole.ui.screens.main import MainScreen

Chosen = Callable[[str], None]


class Operating(App[int]):
    """The actions that plan, follow and end operations, on what is known and what can be sent."""

    def __init__(self, driver_class: Any = None) -> None:
        super().__init__(driver_class=driver_class)
        self.known = Known()
        self._requests = itertools.count(1)
        self._calls: dict[str, list[Notification]] = {}
        """Notices that call for a person, by what they are about."""

    def send(self, intent: protocol.Intent) -> None:
        """Send an intent to the engine."""
        raise NotImplementedError  # pragma: no cover - the console does

    def call(self, about: str, words: str, severity: Literal["warning", "error"] = "warning") -> None:
        """Call for a person in a notice, which stays until somebody answers, or for some seconds."""
        notice = Notification(words, severity=severity, timeout=20, markup=False)
        self._calls.setdefault(about, []).append(notice)
        self.post_message(Notify(notice))

    def answered(self, *about: str) -> None:
        """Take away the notices that called for a person about these; others stay."""
        for name in about:
            for notice in self._calls.pop(name, ()):
                self._unnotify(notice)

    @property
    def _main(self) -> MainScreen:
        main = self.screen_stack[0]
        assert isinstance(main, MainScreen)
        return main

    def _service(self) -> ModelService | None:
        service = self.known.service
        if service is None:
            self.notify("no service is selected", markup=False)
        return service

    def _off(self, action: str) -> bool:
        """Whether an action is off, which is then said, and what would help."""
        why = self.known.missing.get(action, "")
        if why:
            help_ = "" if "read-only" in why else "; `mlconsole rbac` prints the rules to ask for"
            self.notify(f"{action} is off: {why}{help_}", severity="warning", markup=False)
        return bool(why)

    def _number(self) -> int:
        return next(self._requests)

    def _plan(self, kind: str, service: ModelService, doubt: str = "", **wish: Any) -> None:
        """Open the page that plans an operation."""
        from mlconsole.ui.screens.operation import OperationScreen

        if self.known.engine_problem:
            self.notify(f"the engine is not there: {self.known.engine_problem}", severity="error", markup=False)
            return
        intent = protocol.MakePlan(self._number(), kind, service.key, **wish)
        self.push_screen(OperationScreen(intent, self.known, self.send, self._number, doubt))

    # ---- deploy

    def action_deploy(self) -> None:
        """Plan a deploy: of the version under the registry's cursor, else of one that is chosen."""
        service = self._service()
        if service is None or self._off("deploy"):
            return
        pane = self._main.current
        if self.screen is self._main and pane.id == "registry" and pane.table is not None and pane.table.key:
            self.deploy(pane.table.key)
            return
        self._choose_version(service)

    def deploy(self, version: str) -> None:
        """Plan a deploy of this version of the selected service's model."""
        service = self._service()
        if service is not None:
            self._plan("deploy", service, version=version)

    def _choose_version(self, service: ModelService) -> None:
        from mlconsole.ui.screens import asking, choices

        def chosen(version: str | None) -> None:
            if version:
                self._plan("deploy", service, version=version)

        registry = self.known.registry
        if registry is not None and registry.model is not None:
            self.push_screen(choices.versions(self.known), chosen)
            return
        told = (registry.problem if registry else "") or f"the registry is not read yet for {service.name}"
        says = f"{told}: which version is to be deployed?"
        title, hint = f"deploy {service.name}", "a version's number, or @alias"
        self.push_screen(asking.Typed(title, says, hint, asking.something), chosen)

    # ---- traffic

    def action_switch(self) -> None:
        """Plan a switch of the selected service."""
        service = self._service()
        if service is None or self._off("switch"):
            return
        if service.shape not in (Shape.BLUE_GREEN, Shape.BOTH):
            self.notify(f"{deployment.kind_of(service)}: there is no colour to switch to", markup=False)
            return
        if service.idle_color is not None or len(service.colors) < 2:
            self._plan("switch", service)
            return
        from mlconsole.ui.screens import choices

        def chosen(color: str | None) -> None:
            if color:
                self._plan("switch", service, to_color=color)

        self.push_screen(choices.colors(service, f"switch {service.name} to", live=False), chosen)

    def action_rollback(self) -> None:
        """Plan the way back of the selected service."""
        service = self._service()
        if service is None:
            return
        if service.shape is not Shape.PLAIN:
            self._plan("rollback", service, self._doubt(service))
            return
        from mlconsole.ui.screens import choices

        def chosen(number: str | None) -> None:
            if number:
                self._plan("rollback", service, revision=int(number))

        self.push_screen(choices.revisions(service, time.time()), chosen)

    def _doubt(self, service: ModelService) -> str:
        """What speaks against rolling back this service: it is well, and another one is not."""
        row = self.known.rows.get(service.key)
        sick = [item.service.name for item in self.known.rows.values() if item.health is Health.BAD]
        if row is None or row.health is Health.BAD or not sick:
            return ""
        return f"{service.name} looks well; sick is {', '.join(sick[:3])}: esc, then choose it in the fleet"

    # ---- more

    def action_more(self) -> None:
        """The menu of the operations that are needed seldom."""
        service = self._service()
        if service is None:
            return
        from mlconsole.ui.screens.more import MorePage

        def chosen(action: str | None) -> None:
            if action:
                self.call_later(self.run_action, action)

        self.push_screen(MorePage(service, self.known.place, MORE), chosen)

    def _with_color(self, says: str, then: Chosen) -> None:
        """Go on with a colour of the selected service: the one that there is, or one that is chosen."""
        service = self._service()
        if service is None:
            return
        if not service.colors:
            self.notify(deployment.kind_of(service), markup=False)
            return
        if len(service.colors) == 1:
            then(service.colors[0].name)
            return
        from mlconsole.ui.screens import choices

        def chosen(color: str | None) -> None:
            if color:
                then(color)

        self.push_screen(choices.colors(service, f"{says} {service.name}", live=True), chosen)

    def action_scale(self) -> None:
        """Ask how many pods a colour is to have, and plan it."""
        from mlconsole.ui.screens import asking

        def scale(name: str) -> None:
            service = self.known.service
            color = service.color(name) if service else None
            if service is None or color is None:
                return

            def typed(number: str | None) -> None:
                if number:
                    self._plan("scale", service, to_color=name, replicas=int(number))

            live = "LIVE, " if service.live_color is color else ""
            scaler = f"; {color.autoscaler} scales it by itself, from {color.minimum}" if color.autoscaler else ""
            says = f"{live}{color.ready} of {color.wish} ready{scaler}. How many pods is it to have?"
            title = f"scale {service.name} {name}".rstrip()
            self.push_screen(asking.Typed(title, says, "pods", asking.whole_number, str(color.wish)), typed)

        self._with_color("scale which colour of", scale)

    def action_restart(self) -> None:
        """Plan a restart of a colour."""

        def restart(name: str) -> None:
            service = self.known.service
            if service is not None:
                self._plan("restart", service, to_color=name)

        self._with_color("restart which colour of", restart)

    def action_pause(self) -> None:
        """Plan to hold the rollout of a colour, or to let a held one go on."""

        def pause(name: str) -> None:
            service = self.known.service
            color = service.color(name) if service else None
            if service is not None and color is not None:
                self._plan("unpause" if color.paused else "pause", service, to_color=name)

        self._with_color("hold or let go which colour of", pause)

    def action_drill(self) -> None:
        """Plan a rehearsal of the rollback."""
        service = self._service()
        if service is not None:
            self._plan("drill", service)

    def action_adopt(self) -> None:
        """Plan to make a plain service blue-green."""
        service = self._service()
        if service is not None:
            self._plan("adopt", service)

    def action_release(self) -> None:
        """Plan to undo an adoption."""
        service = self._service()
        if service is not None:
            self._plan("release", service)

    # ---- under way

    def action_operations(self) -> None:
        """What is under way, of this console and of others; enter follows one."""
        from mlconsole.ui.screens.operations import OperationsPage

        self.answered(*(item.operation.key for item in self.known.operations))
        self.push_screen(OperationsPage(self.known, self.send, self._number))
