"""What scraping keeps of each pod and of each service."""

from __future__ import annotations

from mlconsole.cluster.backoff import Backoff
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.telemetry import Glance
from mlconsole.metrics.ledger import ColorLedger
from mlconsole.metrics.seen import FeatureLedger

LONGEST_PAUSE = 60.0
LONGEST_PAUSE_EMPTY = 300.0


class Target:
    """A pod to read."""

    def __init__(self, service: ModelService, color: Color, pod: str, first: float) -> None:
        self.key = service.key
        self.namespace = service.namespace
        self.color = color.name
        self.pod = pod
        self.port = port_of(service)
        self.due = 0.0
        self.backoff = Backoff(first, LONGEST_PAUSE)
        self.nothing = Backoff(4 * first, LONGEST_PAUSE_EMPTY)
        self.reads = 0
        self.problem = ""
        self.running = False


def port_of(service: ModelService) -> str:
    """The port to read at: a number, or the name that the container gives it."""
    port = service.ports[0] if service.ports else None
    return (port.target or str(port.number)) if port else ""


class Book:
    """What is known of one service."""

    def __init__(self) -> None:
        self.colors: dict[str, ColorLedger] = {}
        self.features = FeatureLedger()
        self.glances: tuple[Glance, ...] = ()
        self.told = 0
        """Pages of another dialect since these were made of such."""
