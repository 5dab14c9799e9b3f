"""The state of one source (Kubernetes, Prometheus, MLflow, Docker): up or not, since when, what to do (I24, I29)."""

from __future__ import annotations

import enum

from msgspec import Struct


class Condition(enum.StrEnum):
    """How far what a source last said can be relied on."""

    STARTING = "starting"
    LIVE = "live"
    STALE = "stale"
    """It answered once, and its data is older than its limit."""
    DENIED = "denied"
    DOWN = "down"
    OFF = "off"
    """Not configured: nothing is expected of it."""


class SourceState(Struct, frozen=True):
    """What the header and a pane's own line say of a source."""

    name: str
    """`k8s`, `prom`, `mlflow`, `docker`, `scrape`."""
    condition: Condition
    since: float = 0.0
    """When it came into this condition, seconds since the epoch."""
    last_contact: float = 0.0
    """When it last answered; 0 if it never did."""
    message: str = ""
    """What is wrong, on what, and why."""
    hint: str = ""
    """What to do next."""
    detail: str = ""
    """Where: a server's address, a path. Never a credential."""
    limit: float = 30.0
    """Seconds after which its data counts as stale."""

    def age(self, now: float) -> float | None:
        """Seconds since it last answered, or None if it never did."""
        return max(0.0, now - self.last_contact) if self.last_contact else None

    def usable(self, now: float) -> bool:
        """Whether an action may rest on this source's data (I24)."""
        age = self.age(now)
        return self.condition is Condition.LIVE and age is not None and age <= self.limit
