"""What `mlconsole status` shows to people."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from mlconsole.commands.asked import Said
from mlconsole.commands.figures import Figures
from mlconsole.commands.page import Page
from mlconsole.domain.history import Record
from mlconsole.domain.services import Color, Shape
from mlconsole.domain.telemetry import Glance
from mlconsole.engine.protocol import Detail, FleetRow
from mlconsole.engine.view import glance_of

HISTORY_SHOWN = 5


def show_fleet(page: Page, rows: Sequence[FleetRow], known: Figures, place: Mapping[str, str]) -> None:
    """One line a service."""
    where = f"{place['context']} / {place['namespace'] or 'all namespaces'} on {place['server']}"
    if not rows:
        page.line(f"no model services in {where}")
        page.line("a model service is a Service that selects Deployments; -A looks at every namespace")
        return
    page.title(where)
    heads = ["SERVICE", "HEALTH", "LIVE", "READY", "IDLE", "READY", *_FIGURE_HEADS, "WHAT"]
    page.table(heads, [_fleet_row(row, known, not place["namespace"]) for row in rows])
    page.line(f"figures: {known.source}", "dim")


_FIGURE_HEADS = ("REQ/S", "ERRORS", "P95")


def _fleet_row(row: FleetRow, known: Figures, wide: bool) -> list[str]:
    service = row.service
    live, idle = service.live_color, service.idle_color
    what = row.headline or ("" if service.shape is Shape.BLUE_GREEN else f"{service.shape}")
    name = service.key if wide else service.name
    figures = _figures(glance_of(known.of(service), live.name) if live else None)
    return [name, row.health, *_colour(live), *_colour(idle), *figures, what]


def _colour(color: Color | None) -> tuple[str, str]:
    if color is None:
        return "-", "-"
    return f"{color.name} {color.release.label}".strip(), f"{color.ready}/{color.wish}"


def _figures(glance: Glance | None) -> tuple[str, str, str]:
    if glance is None:
        return "-", "-", "-"
    rate, errors, p95 = glance.requests_per_second, glance.error_share, glance.p95
    return (
        "-" if rate is None else f"{rate:.1f}",
        "-" if errors is None else f"{errors:.2%}",
        "-" if p95 is None else f"{p95 * 1000:.0f} ms",
    )


def show_detail(page: Page, detail: Detail, known: Figures, said: Said) -> None:
    """All about one service."""
    service = detail.service
    page.title(f"{service.key}: {detail.health}" + (f", {detail.headline}" if detail.headline else ""))
    if detail.split:
        page.line(f"SPLIT: {detail.split}", "bold red")
    page.facts(
        [
            ("rollback", detail.meter.words),
            ("problems", "; ".join(service.problems)),
            ("figures", known.source),
            ("registry", said.problem),
        ]
    )
    page.line()
    page.table(
        ("COLOUR", "", "VERSION", "READY", *_FIGURE_HEADS, "IMAGE", "WHAT"),
        [_color_row(detail, c) for c in service.colors],
    )
    page.line()
    links = [(link.name, link.value, link.verdict, link.source, link.why) for link in detail.chain]
    page.table(("CHAIN", "VALUE", "", "FROM", ""), links)
    if detail.history or detail.history_problem:
        page.line()
        page.table(
            ("WHEN", "WHAT", "FROM", "TO", "OUTCOME", "BY", "WHY"),
            [_record_row(record) for record in detail.history[:HISTORY_SHOWN]],
        )
        page.facts([("history", detail.history_problem)])


def _color_row(detail: Detail, color: Color) -> list[str]:
    live = "live" if color is detail.service.live_color else "idle"
    release = color.release
    image = " ".join(filter(None, (release.image, release.digest.rpartition(":")[2][:8])))
    figures = _figures(glance_of(detail.glances, color.name))
    name, ready = color.name or color.deployment, f"{color.ready}/{color.wish}"
    return [name, live, release.label, ready, *figures, image, "; ".join(color.problems)]


def _record_row(record: Record) -> list[str]:
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(record.at))
    left = f"{record.from_color} {record.from_release.label}".strip()
    reached = f"{record.to_color} {record.to_release.label}".strip()
    return [when, record.kind, left, reached, record.outcome, record.user, record.reason or record.message]
