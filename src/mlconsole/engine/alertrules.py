"""The rules that apply to a service: the console's own, and those of `mlconsole.toml`.

The console's own three say what its health says, from the same settings, so that a limit is written once:

- `serving`: nothing serves the traffic (no ready pod, no Deployment, both colours selected);
- `errors`: `thresholds.error_share`; `slow`: `thresholds.p95_seconds`.

A rule of the same name in the file takes their place; `enabled = false` turns one off.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlconsole.config import Settings
from mlconsole.configalerts import Alert
from mlconsole.domain.alerts import Rule, Severity, applies
from mlconsole.domain.services import ModelService, Shape

SERVING = "serving"
NOTHING_SERVES = "nothing serves"
"""Its condition, which is judged by the service's health and not by its figures."""
SERVING_SECONDS = 10.0
"""That nothing serves before it fires, and that something does before it is over."""
OWN = "thresholds of mlconsole"


def rules_of(settings: Settings, service: ModelService) -> tuple[Rule, ...]:
    """The rules of one service; none for what is no model service."""
    own = settings.service(service.namespace, service.name)
    if own.hidden or service.shape is Shape.MALFORMED:
        return ()
    found = {rule.name: rule for rule in _built_in(own.thresholds.p95_seconds, own.thresholds.error_share)}
    found |= _written("alerts", settings.alerts, service, found)
    found |= _written(f"alerts of {service.name}", own.alerts, service, found)
    return tuple(rule for rule in found.values() if rule.condition)


def _built_in(p95: float | None, errors: float | None) -> list[Rule]:
    hold = keep = SERVING_SECONDS
    found = [Rule(SERVING, NOTHING_SERVES, hold=hold, keep_firing=keep, severity=Severity.PAGE, origin=OWN)]
    if errors is not None:
        condition, clear = f"error_share > {errors:g}", f"error_share < {0.8 * errors:g}"
        found.append(Rule("errors", condition, "", 30.0, clear, 60.0, Severity.PAGE, origin=OWN))
    if p95 is not None:
        condition, clear = f"p95 > {p95:g}", f"p95 < {0.9 * p95:g}"
        found.append(Rule("slow", condition, "", 60.0, clear, 60.0, Severity.PAGE, origin=OWN))
    return found


def _written(
    table: str, alerts: Mapping[str, Alert], service: ModelService, before: Mapping[str, Rule]
) -> dict[str, Rule]:
    """Those of a table; one that is turned off has no condition."""
    found = {}
    for name, alert in alerts.items():
        if not applies(alert.services, service.namespace, service.name):
            continue
        if not alert.enabled:
            found[name] = Rule(name, "")
            continue
        found[name] = Rule(
            name,
            alert.condition or "",
            alert.query or "",
            alert.hold,
            alert.clear or "",
            alert.keep_firing_for,
            Severity(alert.severity),
            alert.color,
            alert.summary or "",
            f"{table}.{name}",
        )
    return found
