"""What the configuration knows of a service, as discovery wants to hear it."""

from __future__ import annotations

from mlconsole.cluster.colors import Hints
from mlconsole.config import ServiceSettings


def hints_of(settings: ServiceSettings) -> Hints:
    """The hints of one service's settings."""
    return Hints(settings.color_key or "", tuple(settings.colors), settings.model or "")
