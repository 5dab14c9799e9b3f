"""How a service is, in one word and one line: what stands in the fleet, and in which order."""

from __future__ import annotations

from msgspec import Struct

from mlconsole.domain.services import Color, Health, ModelService, Shape
from mlconsole.domain.telemetry import Glance

ORDER = {Health.BAD: 0, Health.WARN: 1, Health.UNKNOWN: 2, Health.OK: 3}
FEW_REQUESTS = 20.0
"""Under this many requests a share of errors, or a quantile, says nothing yet (I21)."""


class Thresholds(Struct, frozen=True):
    """From where on a live colour is sick. None: not judged."""

    p95_seconds: float | None = None
    error_share: float | None = 0.05


def judge(service: ModelService, live: Glance | None, limits: Thresholds) -> tuple[Health, str]:
    """The health of a service and the worst thing about it, empty when there is nothing to say."""
    if service.shape is Shape.BOTH:
        return Health.BAD, "both colours get traffic"
    color = service.live_color
    if service.shape is Shape.BLUE_GREEN and color is None:
        return Health.BAD, _first(service.problems) or "no Deployment is behind it"
    if service.shape is Shape.MALFORMED or color is None:
        return Health.UNKNOWN, _first(service.problems) or "not a model service"
    if service.shape is Shape.BLUE_GREEN and color.wish == 0:
        return Health.BAD, f"nothing serves: {color.name} is scaled to 0"
    sick = _dead(color) or _figures(live, limits)
    if sick:
        return Health.BAD, sick
    short = _short(color) or _idle(service.idle_color)
    return (Health.WARN, short) if short else (Health.OK, _first(service.problems))


def _dead(live: Color) -> str:
    """Why the live colour answers nobody."""
    return (_first(live.problems) or "no pod is ready") if live.ready == 0 and live.wish > 0 else ""


def _short(live: Color) -> str:
    """What the live colour lacks."""
    if live.wish == 0:
        return f"{live.name or live.deployment} is scaled to 0"
    if live.ready < live.wish or live.problems:
        return _first(live.problems) or f"{live.ready}/{live.wish} ready"
    return ""


def _idle(idle: Color | None) -> str:
    """What the colour to go back to lacks, unless it is scaled down on purpose."""
    if idle is not None and idle.wish and (idle.ready < idle.wish or idle.problems):
        return f"idle {idle.name}: {_first(idle.problems) or f'{idle.ready}/{idle.wish} ready'}"
    return ""


def _figures(live: Glance | None, limits: Thresholds) -> str:
    if live is None or live.samples < FEW_REQUESTS:
        return ""
    errors, p95 = live.error_share, live.p95
    if limits.error_share is not None and errors is not None and errors > limits.error_share:
        return f"errors {errors:.1%}"
    if limits.p95_seconds is not None and p95 is not None and p95 > limits.p95_seconds:
        return f"p95 {p95 * 1000:.0f} ms over {limits.p95_seconds * 1000:.0f} ms"
    return ""


def _first(problems: tuple[str, ...]) -> str:
    return problems[0] if problems else ""
