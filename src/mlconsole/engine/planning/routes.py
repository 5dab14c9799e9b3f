"""Which phases an operation on a service goes through: what its kind has, and its settings and its place ask for."""

from __future__ import annotations

from mlconsole.config import Environment, ServiceSettings
from mlconsole.domain.phases import Phase

SWITCHING = frozenset({Phase.APPROVAL, Phase.SWITCH, Phase.VERIFY, Phase.ALIAS, Phase.WATCH, Phase.KEEP, Phase.DRAIN})
"""What a deploy goes through on top, where it moves the traffic too."""


def unasked(settings: ServiceSettings, environment: Environment) -> frozenset[Phase]:
    """The phases that neither a service's settings nor the rules of its place ask for."""
    watch = settings.watch
    asked = {
        Phase.SMOKE: settings.smoke.enabled,
        Phase.PARITY: settings.parity.enabled,
        Phase.ANALYSIS: any(item.when != "after" for item in settings.analysis.values()),
        Phase.ALIAS: watch.alias is not None,
        Phase.WATCH: settings.watch_window > 0,
        Phase.KEEP: watch.keep_within > 0,
        Phase.DRAIN: watch.drain > 0,
        Phase.APPROVAL: environment.approval,
    }
    return frozenset(phase for phase, wanted in asked.items() if not wanted)
