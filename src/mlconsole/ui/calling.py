"""How an alert calls whoever sits at the terminal: the bell, a few words, the terminal's own notification, its title.

Each alert calls once. What leaves for the terminal as a control sequence is made of visible characters only: an alert's
name is text from outside, and would end the sequence, or begin another (I28).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.domain.alerts import RANK, Alert, Severity
from mlconsole.domain.text import visible
from mlconsole.engine import protocol
from mlconsole.ui.render import alerts as render

if TYPE_CHECKING:
    from mlconsole.ui.operating import Operating

LONGEST = 200
ALERTS = "alerts"
"""What a notice of theirs is about; those of operations are about a service."""
PUSH_TITLE, POP_TITLE = "\x1b[22;2t", "\x1b[23;2t"


def harmless(text: str) -> str:
    """Text for within a control sequence: one line, nothing that ends it."""
    return visible(text, LONGEST).replace("\\", "/").replace(";", ",")


def notification(kind: str, words: str) -> str:
    """The control sequence of a notification; empty where none is asked for."""
    if kind == "osc9":
        return f"\x1b]9;{harmless(words)}\x07"
    if kind == "osc777":
        return f"\x1b]777;notify;mlconsole;{harmless(words)}\x07"
    return ""


def title(count: int) -> str:
    """The control sequence of the title."""
    words = f"mlconsole: {count} alert{'' if count == 1 else 's'}" if count else "mlconsole"
    return f"\x1b]2;{words}\x07"


class Caller:
    """Calls for an app. `take` is told the alerts whenever they change."""

    def __init__(self, app: Operating) -> None:
        self._app = app
        self._called: set[str] = set()
        self._title = ""

    def take(self, message: protocol.Alerts, now: float) -> None:
        """Call for those that are new; keep the title."""
        least = RANK[Severity(message.calling.severity)]
        calling = [alert for alert in message.lines if alert.calls(now) and RANK[alert.severity] <= least]
        new = [alert for alert in calling if alert.id not in self._called]
        # Those that ended may not call again under the same name; they are few.
        self._called |= {alert.id for alert in calling}
        if new:
            self._call(new, message.calling)
        if message.calling.title:
            self._entitle(len(calling))

    def _call(self, new: list[Alert], how: protocol.Calling) -> None:
        words = render.call(new)
        if how.bell:
            self._app.bell()
        self._write(notification(how.terminal, words))
        if getattr(self._app.screen, "SHOWS_ALERTS", False):
            return
        severe = any(alert.severity is Severity.PAGE for alert in new)
        self._app.call(ALERTS, f"{words} (w)", "error" if severe else "warning")

    def _entitle(self, count: int) -> None:
        wanted = title(count)
        if wanted != self._title:
            self._write(wanted if self._title else PUSH_TITLE + wanted)
            self._title = wanted

    def leave(self) -> None:
        """Give the terminal its own title back."""
        if self._title:
            self._write(POP_TITLE)
            self._title = ""

    def _write(self, sequence: str) -> None:
        driver = self._app._driver
        if sequence and driver is not None:
            driver.write(sequence)
