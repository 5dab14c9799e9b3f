"""The rows of the fleet: a service in one line, the sick ones first."""

from __future__ import annotations

from mlconsole.domain.health import ORDER
from mlconsole.domain.services import Health, Shape
from mlconsole.domain.telemetry import Glance
from mlconsole.engine.protocol import FleetRow
from mlconsole.ui.render import words
from mlconsole.ui.spans import Line, Slot, Span, hue, line
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row

GLYPHS = {Health.BAD: "▲", Health.WARN: "◆", Health.UNKNOWN: "◌", Health.OK: "●"}
SLOTS = {Health.BAD: Slot.BAD, Health.WARN: Slot.WARN, Health.UNKNOWN: Slot.DIM, Health.OK: Slot.GOOD}
NO_MARK = Span("")
COLUMNS = (
    Column("", 1, 1),
    Column("service", 15, 48, grows=True),
    Column("live", 4, 16, drop=3),
    Column("ready", 3, 7, right=True, drop=4),
    Column("p95", 4, 8, right=True, drop=2),
    Column("errors", 3, 7, right=True, drop=5),
    Column("rate", 3, 8, right=True, drop=6),
    Column("for", 2, 6, right=True, drop=7),
    Column("", 0, 70, drop=8),
)


def rank(row: FleetRow) -> tuple[bool, int, str]:
    """Where a service stands: in the order of concern, then by name; what is no model service comes last."""
    return not row.service.colors, ORDER[row.health], row.service.key


def lasting(row: FleetRow, now: float) -> str:
    """How long a service has not been well: all of a row that time alone changes."""
    return words.rough_age(now - row.since) if row.since and row.health is not Health.OK else ""


def glyph(health: Health) -> Span:
    """The sign of a health."""
    return Span(GLYPHS[health], SLOTS[health])


def row_of(
    row: FleetRow,
    figures: Glance | None,
    all_namespaces: bool,
    lasting: str,
    mark: Span = Span(""),  # noqa: B008
) -> Row:
    """The row of a service with its figures, None where they are not known now; `mark` is an operation's sign."""
    service = row.service
    live = service.live_color
    ready = f"{live.ready}/{live.wish}" if live else words.UNKNOWN
    short = live is not None and live.ready < live.wish
    cells: tuple[Line, ...] = (
        (glyph(row.health),),
        line(Span(f"{service.namespace}/", Slot.DIM) if all_namespaces else "", service.name, mark),
        _live(row),
        line(Span(ready, Slot.WARN if short else Slot.PLAIN)),
        line(words.latency(figures.p95 if figures else None)),
        line(words.share(figures.error_share if figures else None)),
        line(words.rate(figures.requests_per_second if figures else None)),
        line(Span(lasting, Slot.DIM)),
        line(Span(row.headline, SLOTS[row.health]))
        if row.health is not Health.OK
        else line(Span(row.headline, Slot.DIM)),
    )
    return Row(service.key, cells)


def _live(row: FleetRow) -> Line:
    service = row.service
    color = service.live_color
    if color is None:
        return line(Span("both" if service.shape is Shape.BOTH else words.UNKNOWN, Slot.DIM))
    return line(Span(f"{color.name} ", hue(color.name, True)) if color.name else "", color.release.label)
