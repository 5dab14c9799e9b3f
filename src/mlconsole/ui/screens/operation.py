"""One operation on the screen: planned, shown, confirmed by its plan's hash, and watched to its end (I10, I11).

What goes forward starts with the focus on No; in production the service's name has to be typed. A rollback starts with
the focus on its button: one key, one confirmation, never a typed name.
"""

from __future__ import annotations

import time
from typing import ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input

from mlconsole.domain.history import Kind, Outcome
from mlconsole.domain.plans import Confirmation, Plan
from mlconsole.engine import protocol
from mlconsole.ui.known import Known
from mlconsole.ui.render import plan as render
from mlconsole.ui.render import words
from mlconsole.ui.screens.directing import Number, Send
from mlconsole.ui.screens.following import Answer, Following, hints
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, fitted, indented, line, wrapped
from mlconsole.ui.widgets.field import Field
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.tail import Tail

FIELDS = ("image", "name", "reason")
"""What may have to be typed."""


class OperationScreen(Following):
    """From the wish to the outcome, and to what follows it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back"),
        Binding("y", "confirm", "yes", show=False),
        Binding("n", "back", "no", show=False),
        Binding("w", "waive", "waive", show=False),
        Binding("g", "go_on", "go on", show=False),
        Binding("i", "image", "image", show=False),
        Binding("R", "again", "plan again", show=False),
    ]

    def __init__(self, intent: protocol.MakePlan, known: Known, send: Send, number: Number, doubt: str = "") -> None:
        """`doubt` is what speaks against this wish: it is shown first, and the focus is on No."""
        super().__init__(known, send, number, intent.service, intent.kind)
        self._intent = intent
        self._requests.add(intent.request)
        self._doubt = doubt
        self._planned: protocol.Planned | None = None
        self._refused: protocol.Refused | None = None
        self._waived: frozenset[str] = frozenset()
        self._confirmed = False
        self._problem = ""
        self._room = 0
        """Lines that the plan has."""

    def compose(self) -> ComposeResult:
        """The plan, what has to be typed, the buttons."""
        with Vertical(classes="frame") as frame:
            frame.border_title = Content(f"{self._intent.kind} {self._intent.service}")
            with Tail(id="plan-body"):
                yield Lines(id="plan-lines")
            yield Lines(id="plan-stands")
            yield Lines(id="plan-problem")
            image = "the version's: registry/name:tag or @sha256:…"
            yield Field("image", id="image", value=self._intent.image, placeholder=image)
            yield Field("name", id="name", placeholder="type the service's name")
            yield Field("reason", id="reason", placeholder="it goes on record")
            with Horizontal(id="buttons"):
                yield Button("No", id="no", compact=True)
                yield Button("Yes", id="yes", compact=True)
                yield Lines(id="plan-keys")

    def on_mount(self) -> None:
        """Ask for the plan."""
        self._close(*FIELDS)
        self._send(self._intent)
        self.renew()
        self.query_one("#no").focus()
        self.set_interval(1.0, self._tick)

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self.renew)

    def on_screen_resume(self) -> None:
        """The page above is gone."""
        self.call_after_refresh(self.renew)

    @property
    def under_way(self) -> bool:
        """Whether it was confirmed and its outcome is not known yet."""
        return self._confirmed and not self._ended

    @property
    def _arrived(self) -> bool:
        """Whether the traffic was seen there, and its executor still watches, or waits for a word."""
        return self._outcome is Outcome.VERIFIED and not self._over and self._refused is None

    @property
    def _ended(self) -> bool:
        stopped = self._refused is not None or self._over or self._halted
        return stopped or self._outcome not in (None, Outcome.OPEN, Outcome.VERIFIED)

    # ---- what the engine says

    def take_answer(self, message: Answer) -> bool:
        """Take an answer, if it is to this operation's request; whether it was."""
        if message.request not in self._requests:
            return False
        if isinstance(message, protocol.Planned):
            self._planned, self._operation = message, message.plan.id
            self._ask(message.plan)
        else:
            super().take_answer(message)
        if self._ended:
            self._close_questions()
        self.renew()
        return True

    def _take_refusal(self, message: protocol.Refused) -> None:
        if message.request != self._intent.request:
            # Something that was asked of it on the way.
            super()._take_refusal(message)
            return
        # Something missing from the consent is asked for again; everything else ends this plan.
        if self._planned is not None and self._confirmed and message.exit_code == 2 and not self._told:
            self._confirmed = False
            self._problem = f"{message.message}: {message.hint}" if message.hint else message.message
            self._ask(self._planned.plan)
            return
        self._refused = message
        if self._planned is None and self._intent.kind == Kind.DEPLOY and "image" in message.message + message.hint:
            self.call_after_refresh(self.action_image)

    def lost(self) -> None:
        """The engine is gone: what it was doing is not known here any more."""
        if self._ended:
            return
        words = "the engine ended before anything was sent: close this and plan again"
        if self._confirmed:
            words = "the engine ended; the operation goes on by itself: o shows it as soon as the engine is there again"
        self._refused = protocol.Refused(self._intent.request, self._intent.service, words)
        self._close_questions()
        self.renew()

    def _field(self, name: str) -> Field:
        return self.query_one(f"#{name}-field", Field)

    def _close(self, *names: str) -> None:
        """Take fields away, and the button that says yes."""
        for name in names:
            self._field(name).display = False
        self.query_one("#yes").display = False

    def _ask(self, plan: Plan) -> None:
        yes = self.query_one("#yes", Button)
        yes.label = render.button(plan)
        yes.display = True
        self.query_one("#no", Button).label = "No"
        self._field("name").display = plan.confirmation is Confirmation.NAME
        self._ask_reason(plan)
        for name in ("name", "reason"):
            if self._field(name).display:
                self._field(name).line.focus()
                return
        ready = plan.confirmation is Confirmation.ROLLBACK and not self._doubt
        self.query_one("#yes" if ready else "#no").focus()

    def _ask_reason(self, plan: Plan) -> None:
        self._field("reason").display = plan.reason_required or bool(self._waived)

    def _close_questions(self) -> None:
        self._close("name", "reason")
        no = self.query_one("#no", Button)
        no.label = "Close" if self._ended else "Leave"
        if not self._field("image").display:
            no.focus()

    # ---- what the operator says

    def action_go_on(self) -> None:
        """To switch to what is deployed when its gates pass, or not to: another plan."""
        if self._intent.kind == Kind.DEPLOY and not self._confirmed:
            self._plan_again(replace(self._intent, go_on=not self._intent.go_on))

    def action_image(self) -> None:
        """Say which image the version's is."""
        if self._intent.kind == Kind.DEPLOY and not self._confirmed:
            self._field("image").display = True
            self._field("image").line.focus()
            self.renew()

    def action_again(self) -> None:
        """Plan again: what a plan rests on grows old."""
        if not self._confirmed or (self._refused is not None and not self._told):
            self._plan_again(self._intent)

    def _plan_again(self, intent: protocol.MakePlan) -> None:
        self._send(protocol.Discard(self._intent.request))
        self._intent = replace(intent, request=self._begin())
        self._planned, self._refused, self._confirmed, self._problem = None, None, False, ""
        self._waived = frozenset()
        self._close(*FIELDS)
        self.query_one("#no", Button).label = "No"
        self.query_one("#no").focus()
        self._send(self._intent)
        self.renew()

    def action_waive(self) -> None:
        """Waive the gates that stop this plan and may be waived, or take that back."""
        plan = self._planned.plan if self._planned else None
        if plan is None or self._confirmed:
            return
        waivable = frozenset(gate.name for gate in plan.stopping() if gate.waivable)
        self._waived = frozenset() if self._waived else waivable
        self._problem = "" if waivable else "there is nothing to waive here"
        self._ask_reason(plan)
        if self._waived:
            self._field("reason").line.focus()
        self.renew()

    def action_confirm(self) -> None:
        """Yes, to this very plan."""
        if self._planned is None or self._confirmed or self._ended:
            return
        missing = self._missing(self._planned.plan)
        self._problem = missing
        if not missing:
            self._confirmed = self.query_one(Tail).follows = True
            self._send(
                protocol.Confirm(
                    request=self._intent.request,
                    hash=self._planned.hash,
                    reason=self._field("reason").text,
                    typed=self._field("name").text,
                    waived=tuple(sorted(self._waived)),
                )
            )
            self._close_questions()
        self.renew()

    def _missing(self, plan: Plan) -> str:
        stopping = plan.stopping(self._waived)
        if stopping:
            names = ", ".join(gate.name for gate in stopping)
            if all(gate.waivable for gate in stopping):
                return f"stopped by {names}: w waives it with a reason"
            return f"stopped by {names}: this cannot be waived"
        return self._missing_name(plan) or self._missing_reason(plan)

    def _missing_name(self, plan: Plan) -> str:
        if plan.confirmation is not Confirmation.NAME or self._field("name").text == plan.service:
            return ""
        self._field("name").line.focus()
        return f"production: type the service's name, {plan.service}"

    def _missing_reason(self, plan: Plan) -> str:
        if not (plan.reason_required or self._waived) or self._field("reason").text:
            return ""
        self._field("reason").line.focus()
        return "a reason is needed: it goes on record"

    def action_ask(self, verb: str) -> None:
        """Ask something of the operation, once it is one."""
        if self._confirmed:
            super().action_ask(verb)

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
        """Enter goes to the next thing that is asked: the other field, then the button. An image is planned with."""
        event.stop()
        if event.input.id == "image":
            self._plan_again(replace(self._intent, image=event.value.strip()))
            return
        plan = self._planned.plan if self._planned else None
        if plan is None:
            return
        reason = self._field("reason")
        if event.input.id == "name":
            self._problem = self._missing_name(plan)
            goal = reason.line if reason.display and not reason.text else self.query_one("#yes")
        else:
            self._problem = self._missing_reason(plan)
            goal = self.query_one("#yes")
        if not self._problem:
            goal.focus()
        self.renew()

    def action_back(self) -> None:
        """No; or close, once it has ended. While it is under way the page may be left: it goes on."""
        if not self._confirmed or (self._ended and not self._told):
            self._send(protocol.Discard(self._intent.request))
        if self.under_way:
            tells = "o shows it" if self._arrived else "a notice tells how it ends, o shows it"
            self.app.notify(f"{self._intent.kind} of {self._intent.service} goes on; {tells}", markup=False)
        self.dismiss()

    # ---- painting

    def renew(self) -> None:
        """Show what is known now."""
        if not self.is_active:
            return
        width = max(30, self.query_one("#plan-body").size.width - 2)
        found: list[Line] = []
        if self._planned is not None:
            plan = self._planned.plan
            self._entitle(render.title(plan))
            found = self._carried_out(plan, width) if self._confirmed else self._asked(plan, width)
        elif self._refused is None:
            found = [line(Span("reading the cluster, asking for a dry run…", Slot.DIM))]
        if self._refused is not None:
            found += [*wrapped(f"✖ {self._refused.message}", width, Slot.BAD, 6)]
            found += indented(self._refused.hint, width, Slot.WARN, 4) if self._refused.hint else []
        self._show_lines(found)
        fixed = self._fixed(width)
        self._show_standing(fixed)
        problem = self.query_one("#plan-problem", Lines)
        problem.show(wrapped(self._problem, width, Slot.BAD, 2) if self._problem and not self._ended else [])
        self.query_one("#plan-keys", Lines).show([self._keys()])
        self._keep_buttons(problem.get_content_height(None, None, width) + len(fixed) + bool(fixed))

    def _asked(self, plan: Plan, width: int) -> list[Line]:
        doubt = wrapped(f"▲ {self._doubt}", width, Slot.WARN, 3) if self._doubt else []
        return [*doubt, *render.lines(plan, self._waived, width)]

    def _carried_out(self, plan: Plan, width: int) -> list[Line]:
        found = render.brief(plan, width)
        gates = self.pointed.operation.gates if self.pointed is not None else ()
        found += [EMPTY, *render.gates(gates, width)] if gates else []
        found += render.progress(self._told, width)
        return [*found, *self._stands(plan.route, width)] if self._low else found

    def _fixed(self, width: int) -> list[Line]:
        """What stays in sight while the rest scrolls."""
        if not self._confirmed or self._planned is None:
            return self._choice(width)
        return [] if self._low else self._stands(self._planned.plan.route, width)

    def _choice(self, width: int) -> list[Line]:
        """For a deploy: whether it goes on to switch, and the key that changes it."""
        if self._intent.kind != Kind.DEPLOY or self._confirmed:
            return []
        only, switch = "deploy, nothing more", "deploy and switch when its gates pass"
        chosen, other = (switch, only) if self._intent.go_on else (only, switch)
        wish = line(Span("then      ", Slot.DIM), Span(f"(●) {chosen}", Slot.STRONG))
        change = line(Span("g", Slot.MARK), Span(f" {other}", Slot.DIM))
        return render.flow([wish, change], width)

    def _tick(self) -> None:
        """A second passed: the plan is older, and so is what it waits for."""
        if self._confirmed and self.pointed is not None:
            self.renew()
        elif self._planned is not None and not self._confirmed and not self._ended:
            self.query_one("#plan-keys", Lines).show([self._keys()])

    def _keep_buttons(self, rows: int) -> None:
        """A plan longer than the screen scrolls; what is asked and the buttons stay in sight."""
        low = self._low
        self.set_class(low, "-low")
        fields = sum(field.display for field in self.query(Field))
        frame = self.size.height if low else self.size.height * 96 // 100
        rest = 2 + rows + fields + (1 if low else 2)
        room = max(1, frame - rest)
        if room != self._room:
            # Each setting of a style lays the screen out anew, and paints all of it.
            self._room = room
            self.query_one("#plan-body").styles.max_height = room

    def _keys(self) -> Line:
        """The keys that there is room for beside the buttons, the most needed first."""
        widget = self.query_one("#plan-keys")
        room = widget.size.width or self.size.width * 94 // 100 - 2 - 12 * (2 if self.query_one("#yes").display else 1)
        return line("  ", *fitted(self._key_words(), max(1, room - 2)))

    def _key_words(self) -> list[Line]:
        if isinstance(self.focused, Input):
            return [hints(("enter", "plan with it" if self.focused.id == "image" else "next")), hints(("esc", "no"))]
        if self._ended:
            if self._outcome is Outcome.UNVERIFIED:
                way = line(Span("esc", Slot.MARK), ", then ", Span("r", Slot.MARK), Span(" for the way back", Slot.DIM))
                return [line(Span("not seen to arrive:", Slot.BAD)), way]
            again = [("R", "plan again")] if not self._told else []
            image = [("i", "image")] if again and self._intent.kind == Kind.DEPLOY else []
            return [hints(key) for key in (("esc", "close"), *again, *image)]
        if self._planned is None or self._confirmed:
            return [hints(("esc", "leave; it goes on" if self._confirmed else "leave"))]
        plan = self._planned.plan
        # A yes that only says what stops it is no key to offer.
        yes = [] if plan.stopping(self._waived) else [("y", "yes")]
        waive = [("w", "waive")] if any(gate.stops and gate.waivable for gate in plan.gates) else []
        age = line(Span(f"read {words.age(time.time() - plan.created_at)} ago", Slot.DIM))
        return [*(hints(key) for key in (*yes, ("n", "no"), *waive, ("R", "again"))), age]
