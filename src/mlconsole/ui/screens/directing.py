"""Saying something to an operation under way, from any page that shows one: keep, approve, abort, resume.

What is asked is confirmed once more, refused in words where it cannot be, and what comes of it finds its page again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from mlconsole.engine import protocol
from mlconsole.ui.known import Known
from mlconsole.ui.render import plan as render
from mlconsole.ui.render import underway
from mlconsole.ui.spans import Line, Slot, Span, line

Send = Callable[[protocol.Intent], None]
Number = Callable[[], int]
"""The number of the next request."""


class Directing(ModalScreen[None]):
    """A page with the keys for what can be asked of the operation that it shows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(verb.key, f"ask('{verb.name}')", verb.label, show=False) for verb in underway.VERBS),
    ]

    def __init__(self, known: Known, send: Send, number: Number, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._known = known
        self._send = send
        self._number = number
        self._requests: set[int] = set()

    @property
    def pointed(self) -> protocol.OperationLine | None:
        """The operation that a key is about, as long as it is under way."""
        raise NotImplementedError  # pragma: no cover - every page does

    def shows(self, operation: str) -> bool:
        """Whether this page shows an operation, by its id: what it waits for needs no notice then."""
        found = self.pointed
        return found is not None and found.operation.id == operation

    def action_ask(self, verb: str) -> None:
        """Ask something of the operation, once more confirmed."""
        found = self.pointed
        if found is None:
            return
        reason = underway.refusal(found, verb, self._known.place)
        if reason:
            self.app.notify(f"{verb}: {reason}", markup=False)
            return
        self._sure(found, next(item for item in underway.VERBS if item.name == verb))

    def _sure(self, found: protocol.OperationLine, verb: underway.Verb) -> None:
        from mlconsole.ui.screens.asking import Sure

        op, name = found.operation, verb.name

        def answered(reason: str | None) -> None:
            if reason is not None:
                self._send(protocol.Ask(self._begin(), op.key, name, reason))

        title, says = f"{verb.label}: {underway.what(op)} of {op.key}", underway.consequence(found, name)
        ready, needed = name == "abort", name == "abandon"
        self.app.push_screen(Sure(title, says, verb.label.capitalize(), ready=ready, reason_needed=needed), answered)

    def _begin(self) -> int:
        """The number of a request whose answers are this page's."""
        request = self._number()
        self._requests.add(request)
        return request

    def _take_refusal(self, message: protocol.Refused) -> None:
        """Tell that what was asked was refused."""
        words = f"{message.message}: {message.hint}" if message.hint else message.message
        self.app.notify(words, severity="error", timeout=15, markup=False)


def verbs(found: protocol.OperationLine, place: protocol.Place, width: int) -> list[Line]:
    """The keys for what can be asked, and why not for what cannot, as far as that is of interest."""
    parts = []
    for verb in underway.VERBS:
        reason = underway.refusal(found, verb.name, place)
        if not reason:
            parts.append(line(Span(f"  {verb.key}", Slot.MARK), f" {underway.label(found, verb)}"))
        elif verb.name in found.verbs or verb.name == "abort":
            parts.append(line(Span(f"  {verb.key} {verb.label}: {reason}", Slot.DIM)))
    return render.flow(parts, width)
