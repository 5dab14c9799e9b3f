"""The end of a pod's log. The pods that are not well come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from mlconsole.domain.services import ModelService, PodState
from mlconsole.engine import protocol
from mlconsole.ui.spans import Line, Slot, Span, hue, joined, line, wrapped
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.lines import Lines
from mlconsole.ui.widgets.table import Row, Table

Send = Callable[[protocol.Intent], None]
COLUMNS = (
    Column("", 1, 1),
    Column("pod", 10, 70, grows=True),
    Column("colour", 0, 8, drop=2),
    Column("state", 4, 24),
    Column("restarts", 1, 8, right=True, drop=1),
)


class LogPage(ModalScreen[None]):
    """Pods above, the log of the one under the cursor below."""

    CSS_PATH = "page.tcss"
    DEFAULT_CSS = """
    LogPage Table { height: auto; max-height: 30%; min-height: 2; }
    LogPage #log-body { height: 1fr; border-top: solid $frame; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back"),
        Binding("p", "previous", "previous"),
        Binding("l", "again", "again"),
        Binding("pageup", "scroll(-15)", priority=True),
        Binding("pagedown,space", "scroll(15)", priority=True),
    ]

    def __init__(self, service: ModelService, send: Send) -> None:
        super().__init__()
        self._service = service
        self._send = send
        self._previous = False
        self._pod = ""
        self._log: protocol.Log | None = None

    def compose(self) -> ComposeResult:
        """The pods, the log, the keys."""
        with Vertical(classes="frame -tall") as frame:
            frame.border_title = Content(f"logs of {self._service.name}")
            yield Table(COLUMNS, empty="no pod", header=False)
            with VerticalScroll(id="log-body", can_focus=False):
                yield Lines(id="log-lines")
            yield Lines(classes="keys")

    def on_mount(self) -> None:
        """List the pods; the first one's log is read."""
        pods = [(color, pod) for color in self._service.colors for pod in color.pods]
        pods.sort(key=lambda item: (item[1].ready, item[0] is not self._service.live_color, item[1].name))
        table = self.query_one(Table)
        table.show([_row(color.name, color is self._service.live_color, pod) for color, pod in pods])
        table.focus()
        self._read(table.key)

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Another pod."""
        event.stop()
        self._read(event.key)

    def _read(self, pod: str) -> None:
        if pod:
            self._pod, self._log = pod, None
            self._send(protocol.ReadLog(self._service.namespace, pod, self._previous))
        self._show()

    def take_log(self, message: protocol.Log) -> None:
        """A log that was asked for."""
        asked = (self._pod, self._service.namespace, self._previous)
        if (message.pod, message.namespace, message.previous) == asked:
            self._log = message
            self._show()
            self.call_after_refresh(self.query_one("#log-body").scroll_end, animate=False)

    def lost(self) -> None:
        """The engine is gone, and the answer with it."""
        if self._log is None:
            self._log = protocol.Log(self._pod, (), "the engine ended: l reads it again")
            self._show()

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        width = max(20, self.query_one("#log-body").size.width - 2)
        which = "the container before this one" if self._previous else "the running container"
        keys = [("p", f"previous ({which} shown)"), ("l", "read again"), ("space", "down"), ("esc", "back")]
        self.query_one(".keys", Lines).show(
            [joined([line(Span(key, Slot.MARK), Span(f" {label}", Slot.DIM)) for key, label in keys])]
        )
        self.query_one("#log-lines", Lines).show(self._content(width))

    def _content(self, width: int) -> list[Line]:
        if not self._pod:
            return [line(Span(f"{self._service.name} has no pod", Slot.DIM))]
        if self._log is None:
            return [line(Span("reading…", Slot.DIM))]
        if self._log.problem:
            return wrapped(f"▲ {self._log.problem}", width, Slot.BAD)
        found = [piece for text in self._log.lines for piece in wrapped(text, width)]
        return found or [line(Span("the log is empty", Slot.DIM))]

    def action_previous(self) -> None:
        """The log of the container that ran before, or of the present one again."""
        self._previous = not self._previous
        self._read(self._pod)

    def action_again(self) -> None:
        """Read it again."""
        self._read(self._pod)

    def action_scroll(self, by: int) -> None:
        """Through the log."""
        self.query_one("#log-body").scroll_relative(y=by, animate=False)

    def action_back(self) -> None:
        """Leave."""
        self.dismiss()


def _row(color: str, live: bool, pod: PodState) -> Row:
    word, slot = ("ready", Slot.GOOD) if pod.ready else (pod.reason or pod.phase, Slot.WARN)
    cells: tuple[Line, ...] = (
        (Span("●" if pod.ready else "◌", slot),),
        line(pod.name),
        line(Span(color, hue(color, live))),
        line(Span("ending" if pod.terminating else word, slot)),
        line(Span(str(pod.restarts) if pod.restarts else "", Slot.WARN)),
    )
    return Row(pod.name, cells)
