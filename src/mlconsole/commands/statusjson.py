"""The JSON of `mlconsole status`: stable keys, described in its --help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlconsole.commands.asked import Said
from mlconsole.domain.history import Record
from mlconsole.domain.services import Color, Health, ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.engine.protocol import Detail
from mlconsole.engine.view import glance_of


def service_json(service: ModelService, health: Health, headline: str, glances: Sequence[Glance]) -> dict[str, Any]:
    """One service."""
    return {
        "service": service.key,
        "namespace": service.namespace,
        "name": service.name,
        "shape": service.shape,
        "health": health,
        "headline": headline,
        "live": service.live or None,
        "color_key": service.color_key or None,
        "problems": list(service.problems),
        "colors": [_color_json(service, color, glance_of(glances, color.name)) for color in service.colors],
    }


def _color_json(service: ModelService, color: Color, glance: Glance | None) -> dict[str, Any]:
    release = color.release
    return {
        "color": color.name or None,
        "deployment": color.deployment,
        "live": color is service.live_color,
        "ready": color.ready,
        "wish": color.wish,
        "model": release.model or None,
        "version": release.version or None,
        "run_id": release.run_id or None,
        "image": release.image or None,
        "digest": release.digest or None,
        "git_sha": release.git_sha or None,
        "problems": list(color.problems),
        **{name: getattr(glance, name, None) for name in _FIGURES},
    }


_FIGURES = ("requests_per_second", "error_share", "p50", "p95", "p99")


def detail_json(detail: Detail, said: Said) -> dict[str, Any]:
    """One service with everything about it."""
    meter = detail.meter
    return {
        **service_json(detail.service, detail.health, detail.headline, detail.glances),
        "chain": [
            {"name": link.name, "value": link.value, "verdict": link.verdict, "source": link.source, "why": link.why}
            for link in detail.chain
        ],
        "rollback": {
            "health": meter.health,
            "words": meter.words,
            "color": meter.color or None,
            "version": meter.release.version or None,
            "ready": meter.ready,
            "wish": meter.wish,
            "verified_at": meter.verified_at or None,
            "expected_seconds": meter.expected_seconds or None,
        },
        "history": [record_json(record) for record in detail.history],
        "history_problem": detail.history_problem,
        "split": detail.split if said.model else None,
        "registry": said.problem or "asked",
    }


def record_json(record: Record) -> dict[str, Any]:
    """One operation."""
    return {
        "id": record.id,
        "kind": record.kind,
        "at": record.at,
        "user": record.user,
        "reason": record.reason,
        "from": {"color": record.from_color or None, "version": record.from_release.version or None},
        "to": {"color": record.to_color or None, "version": record.to_release.version or None},
        "outcome": record.outcome,
        "message": record.message,
    }
