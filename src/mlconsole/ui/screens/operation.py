"""One operation on the screen: planned, shown, confirmed by its plan's hash, and watched to its end (I10, I11).

A switch starts with the focus on No; in production the service's name has to be typed. A rollback starts with the
focus on its button: one key, one confirmation, never a typed name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.plans import Confirmation, Plan
from mlconsole.engine import protocol
from mlconsole.ui.render import plan as render
from mlconsole.ui.render import words
from mlconsole.ui.spans import Line, Slot, Span, line, wrapped
from mlconsole.ui.widgets.lines import Lines

Send = Callable[[protocol.Intent], None]
LOW = 18
"""Lines of a terminal under which the dialog takes all of them."""


class OperationScreen(ModalScreen[None]):
    """From the wish to the outcome."""

    CSS_PATH = "operation.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back"),
        Binding("y", "confirm", "yes", show=False),
        Binding("n", "back", "no", show=False),
        Binding("w", "waive", "waive", show=False),
        Binding("pageup", "scroll(-8)", show=False),
        Binding("pagedown", "scroll(8)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
    ]

    def __init__(self, intent: protocol.MakePlan, send: Send, doubt: str = "") -> None:
        """`doubt` is what speaks against this wish: it is shown first, and the focus is on No."""
        super().__init__(classes=intent.kind)
        self._intent = intent
        self._doubt = doubt
        self._send = send
        self._planned: protocol.Planned | None = None
        self._waived: frozenset[str] = frozenset()
        self._refused: protocol.Refused | None = None
        self._steps: list[protocol.Progress] = []
        self._confirmed = False
        self._problem = ""

    def compose(self) -> ComposeResult:
        """The plan, what has to be typed, the buttons."""
        with Vertical(classes="frame") as frame:
            frame.border_title = Content(f"{self._intent.kind} {self._intent.service}")
            with VerticalScroll(id="plan-body", can_focus=False):
                yield Lines(id="plan-lines")
            yield Lines(id="plan-problem")
            yield Input(id="name", placeholder="type the service's name")
            yield Input(id="reason", placeholder="reason: it goes on record")
            with Horizontal(id="buttons"):
                yield Button("No", id="no", compact=True)
                yield Button("Yes", id="yes", compact=True)
                yield Lines(id="plan-keys")

    def on_mount(self) -> None:
        """Ask for the plan."""
        for name in ("#name", "#reason", "#yes"):
            self.query_one(name).display = False
        self._send(self._intent)
        self._show()
        self.query_one("#no").focus()
        self.set_interval(1.0, self._tick)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self._show)

    @property
    def under_way(self) -> bool:
        """Whether it was confirmed and its outcome is not known yet."""
        return self._confirmed and not self._ended

    @property
    def _ended(self) -> bool:
        return self._refused is not None or any(step.outcome is not None for step in self._steps)

    # ---- what the engine says

    def take_answer(self, message: protocol.Planned | protocol.Refused | protocol.Progress) -> bool:
        """Take an answer, if it is to this operation's request; whether it was."""
        if message.request != self._intent.request:
            return False
        if isinstance(message, protocol.Planned):
            self._planned = message
            self._ask(message.plan)
        elif isinstance(message, protocol.Refused):
            self._take_refusal(message)
        else:
            self._steps.append(message)
        if self._ended:
            self._close_questions()
        self._show()
        if self._confirmed:
            self.call_after_refresh(self.query_one("#plan-body").scroll_end, animate=False)
        return True

    def _take_refusal(self, message: protocol.Refused) -> None:
        # Something missing from the consent is asked for again; everything else ends this plan.
        if self._planned is not None and self._confirmed and message.exit_code == 2 and not self._steps:
            self._confirmed = False
            self._problem = f"{message.message}: {message.hint}" if message.hint else message.message
            return
        self._refused = message

    def lost(self) -> None:
        """The engine is gone: what it was doing is not known here any more."""
        if self._ended:
            return
        words = "the engine ended before anything was sent: close this and plan again"
        if self._confirmed:
            words = "the engine ended: what was done is not known; a (audit) and kubectl tell"
        self._refused = protocol.Refused(self._intent.request, self._intent.service, words)
        self._close_questions()
        self._show()

    def _ask(self, plan: Plan) -> None:
        yes = self.query_one("#yes", Button)
        yes.label = "Roll back" if plan.kind is Kind.ROLLBACK else "Switch"
        yes.display = True
        self.query_one("#name").display = plan.confirmation is Confirmation.NAME
        self._ask_reason(plan)
        for field in ("#name", "#reason"):
            if self.query_one(field).display:
                self.query_one(field).focus()
                return
        ready = plan.confirmation is Confirmation.ROLLBACK and not self._doubt
        self.query_one("#yes" if ready else "#no").focus()

    def _ask_reason(self, plan: Plan) -> None:
        self.query_one("#reason").display = plan.reason_required or bool(self._waived)

    def _close_questions(self) -> None:
        for name in ("#name", "#reason", "#yes"):
            self.query_one(name).display = False
        no = self.query_one("#no", Button)
        no.label = "Close"
        no.focus()

    # ---- what the operator says

    def action_waive(self) -> None:
        """Waive the gates that stop this plan and may be waived, or take that back."""
        plan = self._planned.plan if self._planned else None
        if plan is None or self._confirmed:
            return
        waivable = frozenset(gate.name for gate in plan.stopping() if gate.waivable)
        self._waived = frozenset() if self._waived else waivable
        self._ask_reason(plan)
        if self._waived:
            self.query_one("#reason").focus()
        self._show()

    def action_confirm(self) -> None:
        """Yes, to this very plan."""
        if self._planned is None or self._confirmed or self._ended:
            return
        missing = self._missing(self._planned.plan)
        self._problem = missing
        if not missing:
            self._confirmed = True
            self._send(
                protocol.Confirm(
                    request=self._intent.request,
                    hash=self._planned.hash,
                    reason=self.query_one("#reason", Input).value.strip(),
                    typed=self.query_one("#name", Input).value.strip(),
                    waived=tuple(sorted(self._waived)),
                )
            )
        self._show()

    def _missing(self, plan: Plan) -> str:
        stopping = plan.stopping(self._waived)
        if stopping:
            names = ", ".join(gate.name for gate in stopping)
            if all(gate.waivable for gate in stopping):
                return f"stopped by {names}: w waives it with a reason"
            return f"stopped by {names}: this cannot be waived"
        if plan.confirmation is Confirmation.NAME and self.query_one("#name", Input).value.strip() != plan.service:
            self.query_one("#name").focus()
            return f"production: type the service's name, {plan.service}"
        if (plan.reason_required or self._waived) and not self.query_one("#reason", Input).value.strip():
            self.query_one("#reason").focus()
            return "a reason is needed: it goes on record"
        return ""

    def on_descendant_focus(self) -> None:
        """Other keys, where a letter is text."""
        self.query_one("#plan-keys", Lines).show([self._keys()])

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Yes or No."""
        event.stop()
        if event.button.id == "yes":
            self.action_confirm()
        else:
            self.action_back()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes to the next thing that is asked: the other field, then the button."""
        event.stop()
        reason = self.query_one("#reason")
        if event.input.id == "name" and reason.display:
            reason.focus()
        else:
            self.query_one("#yes").focus()

    def action_back(self) -> None:
        """No; or close, once it has ended. While it is under way the page may be left: it goes on."""
        if not self.under_way:
            self._send(protocol.Discard(self._intent.request))
        if self.under_way:
            words = f"{self._intent.kind} of {self._intent.service} goes on; a notice tells how it ends"
            self.app.notify(words, markup=False)
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Move through a plan that is longer than the screen."""
        self.query_one("#plan-body").scroll_relative(y=by, animate=False)

    # ---- painting

    def _show(self) -> None:
        width = max(30, self.query_one("#plan-body").size.width - 2)
        found: list[Line] = []
        if self._planned is not None:
            plan = self._planned.plan
            self.query_one(".frame").border_title = Content(render.title(plan))
            found = render.brief(plan, width) if self._confirmed else render.lines(plan, self._waived, width)
            if self._doubt and not self._confirmed:
                found = [*wrapped(f"▲ {self._doubt}", width, Slot.WARN, 3), *found]
        elif self._refused is None:
            found = [line(Span("reading the cluster, asking for a dry run…", Slot.DIM))]
        if self._confirmed or self._steps:
            found += render.progress(self._steps, width)
        if self._refused is not None:
            found += [*wrapped(f"✖ {self._refused.message}", width, Slot.BAD, 6)]
            found += wrapped(f"  {self._refused.hint}", width, Slot.WARN, 3) if self._refused.hint else []
        self.query_one("#plan-lines", Lines).show(found)
        problem = self.query_one("#plan-problem", Lines)
        problem.show(wrapped(self._problem, width, Slot.BAD, 2) if self._problem and not self._ended else [])
        self.query_one("#plan-keys", Lines).show([self._keys()])
        self._keep_buttons(problem.get_content_height(None, None, width))

    def _tick(self) -> None:
        """A second passed: the plan is older."""
        if self._planned is not None and not self._confirmed and not self._ended:
            self.query_one("#plan-keys", Lines).show([self._keys()])

    def _keep_buttons(self, problem: int) -> None:
        """A plan longer than the screen scrolls; what is asked and the buttons stay in sight."""
        low = self.size.height < LOW
        self.set_class(low, "-low")
        fields = sum(field.display for field in self.query(Input))
        frame = self.size.height if low else self.size.height * 96 // 100
        rest = 2 + problem + fields + (1 if low else 2)
        self.query_one("#plan-body").styles.max_height = max(1, frame - rest)

    def _keys(self) -> Line:
        if self._ended:
            outcome = next((step.outcome for step in self._steps if step.outcome), None)
            if outcome is Outcome.UNVERIFIED:
                return line(
                    Span("  not seen to arrive: ", Slot.BAD), Span("esc", Slot.MARK), ", then ", Span("r", Slot.MARK)
                )
            return line(Span("  esc", Slot.MARK), Span(" close", Slot.DIM))
        if self._planned is None or self._confirmed:
            return line(Span("  esc", Slot.MARK), Span(" leave", Slot.DIM))
        if isinstance(self.focused, Input):
            return line(
                Span("  enter", Slot.MARK), Span(" next  ", Slot.DIM), Span("esc", Slot.MARK), Span(" no", Slot.DIM)
            )
        keys = line(Span("  y", Slot.MARK), Span(" yes  ", Slot.DIM), Span("n", Slot.MARK), Span(" no", Slot.DIM))
        if any(gate.stops and gate.waivable for gate in self._planned.plan.gates):
            keys = (*keys, Span("  w", Slot.MARK), Span(" waive", Slot.DIM))
        age = words.age(time.time() - self._planned.plan.created_at)
        return (*keys, Span(f"   read {age} ago", Slot.DIM))
