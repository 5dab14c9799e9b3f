"""An operation under way on the screen: what it says, where it stands, and what can be asked of it.

Shared by the page that planned it and the page that came to it later. Leaving it stops nothing: its executor goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from mlconsole.domain.history import Outcome
from mlconsole.domain.phases import Phase
from mlconsole.engine import protocol
from mlconsole.ui.known import Known
from mlconsole.ui.render import plan as render
from mlconsole.ui.render import route, underway
from mlconsole.ui.render.deployment import OUTCOMES
from mlconsole.ui.screens.directing import Directing, Number, Send, verbs
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, indented, joined, line, wrapped
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.tail import Tail

LOW = 18
"""Lines of a terminal under which a page takes all of them, and nothing stands still on it."""
Answer = protocol.Planned | protocol.Refused | protocol.Progress


class Following(Directing):
    """What is told of one operation, and the keys for what can be asked of it."""

    CSS_PATH = "operation.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "scroll(-8)", show=False),
        Binding("pagedown", "scroll(8)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
    ]

    def __init__(self, known: Known, send: Send, number: Number, service: str, classes: str) -> None:
        super().__init__(known, send, number, classes)
        self._service = service
        self._operation = ""
        """The operation's, once there is one."""
        self._told: list[protocol.Progress] = []
        self._last: protocol.OperationLine | None = None
        """As it was seen last, also when it is over."""
        self._entitled = ""

    # ---- what is known

    @property
    def pointed(self) -> protocol.OperationLine | None:
        """The operation, as long as it is under way."""
        found = self._known.under_way(self._service)
        return found if found is not None and found.operation.id == self._operation else None

    @property
    def _outcome(self) -> Outcome | None:
        return next((item.outcome for item in reversed(self._told) if item.outcome), None)

    @property
    def _over(self) -> bool:
        """Whether nothing more happens. One that halted waits for a word, and may have gone on since."""
        said = [item for item in self._told if item.step != "ask"]
        if not said or not said[-1].over:
            return False
        found = self.pointed
        return found is None or not (self._halted or found.operation.phase_at > said[-1].at)

    @property
    def _halted(self) -> bool:
        """Whether it stays as it is until somebody says how it goes on."""
        return self.pointed is not None and bool(self.pointed.operation.halted)

    def take_answer(self, message: Answer) -> bool:
        """Take an answer, if it is to one of this page's requests; whether it was."""
        if message.request not in self._requests:
            return False
        if isinstance(message, protocol.Refused):
            self._take_refusal(message)
        elif isinstance(message, protocol.Progress):
            self._take_progress(message)
        self.renew()
        return True

    def _take_progress(self, message: protocol.Progress) -> None:
        said = (message.at, message.step, message.words)
        # Who asks something is told all of it again.
        if all(said != (item.at, item.step, item.words) for item in self._told):
            self._told.append(message)

    def renew(self) -> None:
        """Show what is known now."""
        raise NotImplementedError  # pragma: no cover - every page does

    # ---- moving

    def action_scroll(self, by: int) -> None:
        """Move through what is longer than the screen."""
        self.query_one(Tail).scroll_relative(y=by, animate=False, immediate=True)

    # ---- painting

    @property
    def _low(self) -> bool:
        return self.size.height < LOW

    def _show_lines(self, found: Sequence[Line]) -> None:
        """Show what scrolls; the last of what is told stays in sight, unless somebody looks farther up."""
        self.query_one("#plan-lines", Lines).show(list(found))
        if self._told:
            self.query_one(Tail).keep_up()

    def _stands(self, plan_route: tuple[Phase, ...], width: int) -> list[Line]:
        """Where it stands: its phases, what it waits for, how it ended."""
        return [*self._way(plan_route, width), *self._goes_on(width), *self._end(width)]

    def _show_standing(self, found: list[Line]) -> None:
        """Show what stays in sight, below a rule; no rule where there is nothing."""
        widget = self.query_one("#plan-stands", Lines)
        widget.set_class(not found, "-none")
        widget.show(found)

    def _entitle(self, title: str) -> None:
        if title != self._entitled:
            self._entitled = title
            self.query_one(".frame").border_title = Content(title)

    def _way(self, plan_route: tuple[Phase, ...], width: int) -> list[Line]:
        """The phases, by what the cluster has of it and what its executor told."""
        found = self.pointed or self._last
        self._last = found
        seen = [item.step for item in self._told]
        good = self._over and self._outcome is Outcome.VERIFIED
        at = Phase.DONE if self._over else found.operation.phase if found else self._phase_told(plan_route)
        arrived = self._outcome is Outcome.VERIFIED or bool(found and found.operation.arrived_at)
        done = frozenset(plan_route) if good else route.passed(plan_route, at, seen, arrived=arrived)
        return route.steps(plan_route, None if self._over else at, done, width)

    def _phase_told(self, plan_route: tuple[Phase, ...]) -> Phase | None:
        """The phase after the last one that was told to be over."""
        told = [phase for item in self._told if (phase := route.phase_of(item.step)) in plan_route]
        return told[-1] if told else None

    def _goes_on(self, width: int) -> list[Line]:
        """After its arrival: what it still waits for, and how to keep or to end it."""
        found = self.pointed
        if found is None or self._over:
            return []
        now, left = time.time(), ""
        if found.until and found.alive:
            left = f", {underway.left(found, now)} left"
        loud = underway.waits(found)
        head = Span(f"{'▲' if loud else '▶'} {underway.stands(found)}{left}", Slot.BAD if loud else Slot.MARK)
        found_lines = wrapped(head.text, width, head.slot)
        asked = underway.question(found)
        found_lines += indented(asked, width, Slot.WARN) if asked else []
        return [*found_lines, *verbs(found, self._known.place, width)]

    def _end(self, width: int) -> list[Line]:
        """How it ended, once it is over."""
        outcome = self._outcome
        if not self._over or outcome is None:
            return []
        word, slot = OUTCOMES[outcome]
        sign = "✔" if outcome is Outcome.VERIFIED else "▲"
        return wrapped(f"{sign} {word}: {render.conclusion(self._told)}", width, slot, 4)


class FollowScreen(Following):
    """An operation that was under way already: one's own that was left, another console's, an interrupted one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "back", "back")]

    def __init__(self, known: Known, send: Send, number: Number, found: protocol.OperationLine) -> None:
        super().__init__(known, send, number, found.operation.key, "follow")
        self._operation = found.operation.id
        self._last = found
        self._before: tuple[protocol.OperationLine, ...] | None = None
        """What was under way when the engine ended, until another one tells what is."""

    def compose(self) -> ComposeResult:
        """What it is, what it says, the keys."""
        with Vertical(classes="frame -tall") as frame:
            assert self._last is not None
            op = self._last.operation
            frame.border_title = Content(f"{underway.what(op)} of {op.key}")
            with Tail(id="plan-body"):
                yield Lines(id="plan-lines")
            yield Lines(id="plan-stands")
            yield Lines(id="follow-keys")

    def on_mount(self) -> None:
        """Follow it."""
        self._send(protocol.Attach(self._begin(), self._service))
        self.call_after_refresh(self.renew)
        self.set_interval(1.0, self.renew)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self.renew)

    def on_screen_resume(self) -> None:
        """The page above is gone."""
        self.call_after_refresh(self.renew)

    def _take_refusal(self, message: protocol.Refused) -> None:
        if self.pointed is not None or self._told:
            super()._take_refusal(message)

    def lost(self) -> None:
        """The engine is gone; the operation is not."""
        if self.pointed is not None:
            self._before = self._known.operations
            self.renew()

    @property
    def _without_engine(self) -> bool:
        return self._before is self._known.operations

    def _follow_again(self) -> None:
        """Once another engine tells of the operation, have that one tell what its executor says."""
        if self._before is not None and not self._without_engine and self.pointed is not None:
            self._before = None
            self._send(protocol.Attach(self._begin(), self._service))

    def renew(self) -> None:
        """Show what is known now."""
        if not self.is_active:
            return
        self._follow_again()
        width = max(30, self.query_one("#plan-body").size.width - 2)
        found, now = self.pointed or self._last, time.time()
        assert found is not None
        op = found.operation
        rows = underway.about(found, now, width, over=self.pointed is None)
        if op.gates:
            rows += [EMPTY, *render.gates(op.gates, width)]
        rows += render.progress(self._told, width) if self._told else self._elsewhere(width)
        stands = self._stands(op.plan.route, width)
        self._show_lines([*rows, *stands] if self._low else rows)
        self._show_standing([] if self._low else stands)
        self.query_one("#follow-keys", Lines).show(
            [hints(("esc", "leave; it goes on" if self.pointed is not None and self.pointed.alive else "close"))]
        )

    def _elsewhere(self, width: int) -> list[Line]:
        """Where nobody tells its steps: its executor is on another machine, or gone."""
        found = self.pointed
        if found is None or not found.alive or found.here:
            return []
        where = found.operation.host or "another machine"
        said = f"its executor runs on {where}: its steps are told there, its phase here"
        return [EMPTY, *wrapped(said, width, Slot.DIM)]

    def _end(self, width: int) -> list[Line]:
        if self._without_engine:
            words = "the engine ended: the operation goes on, and is here again when the engine is"
            return wrapped(f"▲ {words}", width, Slot.WARN)
        if self.pointed is not None or self._over:
            return super()._end(width)
        return wrapped("over: esc, then a (audit) has how it ended", width, Slot.WARN)

    def action_back(self) -> None:
        """Leave; it goes on."""
        self.dismiss()


def hints(*keys: tuple[str, str]) -> Line:
    """Keys and what they do."""
    return joined([line(Span(key, Slot.MARK), Span(f" {label}", Slot.DIM)) for key, label in keys])
