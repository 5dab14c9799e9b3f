"""The pages over the main screen, each made in a few lines from what is known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from mlconsole.domain.history import Record
from mlconsole.domain.plans import Verdict
from mlconsole.domain.services import Color, ModelService
from mlconsole.ui.keys import CHART, GROUPS, KEYS, MORE, PAGES
from mlconsole.ui.known import Known
from mlconsole.ui.render import audit as render_audit
from mlconsole.ui.render import registry as render_registry
from mlconsole.ui.render import words
from mlconsole.ui.render.deployment import VERDICTS
from mlconsole.ui.screens.page import Page, TablePage, Write
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, flowed, hue, line, wrapped
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row, Table

if TYPE_CHECKING:
    from mlconsole.ui.operating import Operating

SIGNS = (
    "▲ sick", "◆ look", "◌ not known", "● well or live", "○ idle", "✔ passed", "✖ failed", "▶ under way",
    "▶! waits for you", "◀ the way back",
)  # fmt: skip
ALL = "*"
"""The key of all namespaces."""


def help_page() -> Page:
    """Every key, by group."""

    def write(width: int) -> Sequence[Line]:
        found: list[Line] = []
        for group, title in GROUPS.items():
            found += [line(Span(title, Slot.STRONG))]
            for key in (*KEYS, *CHART, *MORE, *PAGES):
                if key.group == group:
                    first, *more = wrapped(key.help, max(10, width - 14))
                    found.append(line(Span(f"  {key.written:<11} ", Slot.MARK), *first))
                    found += [line(" " * 14, *rest) for rest in more]
            found.append(EMPTY)
        return [
            *found,
            *flowed([line(Span(sign, Slot.DIM)) for sign in SIGNS], width),
            *wrapped("in a table: arrows, page up and down, home, end, enter", width, Slot.DIM),
        ]

    return Page("keys", write)


def contexts(known: Known) -> TablePage:
    """The contexts of the kubeconfig."""
    columns = (
        Column("", 1, 1),
        Column("context", 8, 60, grows=True),
        Column("cluster", 4, 40),
        Column("namespace", 4, 24),
        Column("user", 4, 30, drop=1),
    )

    def rows() -> list[Row]:
        return [
            Row(
                item.name,
                (
                    line("●" if item.name == known.place.context else " "),
                    line(item.name),
                    line(Span(item.cluster, Slot.DIM)),
                    line(Span(item.namespace, Slot.DIM)),
                    line(Span(item.user, Slot.DIM)),
                ),
            )
            for item in known.place.contexts
        ]

    return TablePage(
        "change the context", columns, rows, "the kubeconfig has no context: KUBECONFIG names it", "go there"
    )


def colors(service: ModelService, title: str, *, live: bool) -> TablePage:
    """The colours to choose from; with `live` also the one that has the traffic."""
    columns = (
        Column("colour", 6, 20),
        Column("", 4, 4),
        Column("release", 4, 30, grows=True),
        Column("ready", 5, 9),
        Column("rollout", 0, 8),
    )

    def row(color: Color) -> Row:
        has = service.live_color is color
        cells = (
            line(Span(color.name or color.deployment, hue(color.name, has))),
            line(Span("LIVE", Slot.STRONG) if has else Span("idle", Slot.DIM)),
            line(color.release.label),
            line(f"{color.ready}/{color.wish}"),
            line(Span("held" if color.paused else "", Slot.WARN)),
        )
        return Row(color.name, cells)

    def rows() -> list[Row]:
        return [row(color) for color in service.colors if live or color is not service.live_color]

    return TablePage(title, columns, rows, "no other colour", "plan it")


def versions(known: Known) -> TablePage:
    """The versions of the selected service's model, to deploy one."""

    def rows() -> list[Row]:
        model = known.registry.model if known.registry else None
        return render_registry.rows(model, known.service, time.time()) if model else []

    title = f"deploy which version to {_name(known)}"
    return TablePage(title, render_registry.COLUMNS, rows, "the registry has no version of it", "plan it")


def revisions(service: ModelService, now: float) -> TablePage:
    """The earlier revisions of a plain service's Deployment."""
    columns = (
        Column("revision", 4, 8),
        Column("release", 4, 30),
        Column("made", 3, 6, right=True),
        Column("image", 4, 60, drop=1),
        Column("change cause", 4, 60, grows=True, drop=2),
    )
    color = service.colors[0] if service.colors else None

    def rows() -> list[Row]:
        return [
            Row(
                str(item.number),
                (
                    line(str(item.number)),
                    line(Span(item.release.label, Slot.STRONG)),
                    line(Span(words.rough_age(now - item.created_at), Slot.DIM)),
                    line(Span(item.release.image, Slot.DIM)),
                    line(item.change_cause),
                ),
            )
            for item in (color.revisions[1:] if color else ())
        ]

    return TablePage(f"roll {service.name} back to", columns, rows, "no earlier revision is kept", "plan it")


def events(known: Known) -> TablePage:
    """The Events of the selected service."""

    def rows() -> list[Row]:
        return render_audit.events(known.detail.events, time.time()) if known.detail else []

    return TablePage(
        f"events of {_name(known)}", render_audit.EVENTS, rows, "no Events: the cluster keeps them for an hour"
    )


def operation(known: Known, key: str) -> Page | None:
    """One operation on record."""
    record = next((item for item in known.detail.history if item.id == key), None) if known.detail else None
    return recorded(record) if record else None


def recorded(record: Record) -> Page:
    """An operation on record, whole."""
    return Page(f"{record.kind} of {record.service}", lambda width: render_audit.details(record, width))


def version(known: Known, key: str) -> VersionPage | None:
    """One version of the registered model; `d` deploys it."""
    model = known.registry.model if known.registry else None
    found = model.find(key) if model else None
    if model is None or found is None:
        return None
    return VersionPage(
        f"{model.name} v{key}", lambda width: render_registry.details(model, found, width, time.time()), key
    )


def chain(known: Known) -> Page:
    """The serving chain, link by link: what each says, why it does not agree, where it is known from."""

    def write(width: int) -> Sequence[Line]:
        found: list[Line] = []
        for link in known.detail.chain if known.detail else ():
            slot = {Verdict.PASS: Slot.STRONG, Verdict.FAIL: Slot.BAD, Verdict.UNKNOWN: Slot.DIM}[link.verdict]
            found.append(line(VERDICTS[link.verdict], f" {link.name:<11} ", Span(link.value, slot)))
            if link.why:
                why = Slot.BAD if link.verdict is Verdict.FAIL else Slot.PLAIN
                found += [line(" " * 14, *piece) for piece in wrapped(link.why, max(10, width - 14), why, 4)]
            source = wrapped(f"known from {link.source}", max(10, width - 14), Slot.DIM, 2)
            found += [line(" " * 14, *piece) for piece in source]
        return found or [line(Span("not known yet", Slot.DIM))]

    return Page(f"serving chain of {_name(known)}", write)


def _name(known: Known) -> str:
    return known.service.name if known.service else "?"


class VersionPage(Page):
    """Everything about a version."""

    KEYS: ClassVar[str] = "d deploy · esc back"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "deploy", "deploy", show=False)]

    def __init__(self, title: str, write: Write, version: str) -> None:
        super().__init__(title, write)
        self._version = version

    def action_deploy(self) -> None:
        """Plan its deploy."""
        self.dismiss()
        cast("Operating", self.app).deploy(self._version)


class NamespacePage(ModalScreen[str]):
    """A namespace, chosen from those known or typed: not every user may list them."""

    CSS_PATH = "page.tcss"
    DEFAULT_CSS = """
    NamespacePage Input { height: 1; border: none; background: $boost; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back"), Binding("down", "list", show=False)]

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._names = sorted({*known.place.namespaces, known.place.namespace} - {""})

    def compose(self) -> ComposeResult:
        """The name, and the known ones."""
        with Vertical(classes="frame -tall") as frame:
            frame.border_title = Content("change the namespace")
            yield Input(placeholder="type a namespace, or choose one below; enter goes there")
            yield Table((Column("namespace", 10, 63, grows=True),), header=False)

    def on_mount(self) -> None:
        """List what is known."""
        self._list("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Fewer to choose from."""
        self._list(event.value.strip())

    def _list(self, text: str) -> None:
        rows = [Row(name, (line(name),)) for name in self._names if text in name]
        if not text:
            rows.insert(0, Row(ALL, (line(Span("all namespaces", Slot.STRONG)),)))
        self.query_one(Table).show(rows)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the one that was typed."""
        if event.value.strip():
            self.dismiss(event.value.strip())

    def on_table_chosen(self, event: Table.Chosen) -> None:
        """Go to the one that was chosen."""
        event.stop()
        self.dismiss(event.key)

    def on_table_highlighted(self, event: Table.Highlighted) -> None:
        """Not the fleet's."""
        event.stop()

    def action_list(self) -> None:
        """From the line to the list."""
        self.query_one(Table).focus()

    def action_back(self) -> None:
        """Stay."""
        self.dismiss("")
