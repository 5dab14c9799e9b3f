"""The sources beside the cluster, as the engine uses them: the registry's feed, the metrics' and Docker's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from mlconsole.cluster import proxy
from mlconsole.cluster.errors import Unreachable
from mlconsole.config import ServiceSettings, Settings
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.reference import Brought
from mlconsole.domain.registry import AliasMove
from mlconsole.domain.services import ModelService
from mlconsole.domain.sources import SourceState
from mlconsole.domain.telemetry import Glance, Telemetry
from mlconsole.domain.validation import find
from mlconsole.engine import protocol
from mlconsole.engine.offload import Offload
from mlconsole.engine.scope import Scope
from mlconsole.engine.through import through
from mlconsole.engine.trends import Trends
from mlconsole.images.engine import DockerFeed
from mlconsole.metrics import kube
from mlconsole.metrics.asking import Request
from mlconsole.metrics.feed import MetricsFeed
from mlconsole.registry.feed import RegistryFeed
from mlconsole.registry.referencefeed import ReferenceFeed

SCRAPE_SECONDS = 4.0


class Feeds:
    """Starts, steers and asks the feeds. `wake` is called after every change."""

    def __init__(self, settings: Settings, wake: Callable[[], None], scope: Callable[[], Scope | None]) -> None:
        self._settings = settings
        self._wake = wake
        self._scope = scope
        self._place = ("", "")
        self._home = ""
        """The context that the console was started with, once it is known."""
        self.prometheus_url = self.alertmanager_url = ""
        """Those of the place that is looked at."""
        self._touched: set[str] = set()
        self._trends = Trends()
        self._selected: ModelService | None = None
        self.offload = Offload()
        """The workers, for whoever else asks the sources something."""
        self._registry = RegistryFeed(settings.registry, self.offload, wake)
        self._metrics = MetricsFeed(
            settings, self.offload, self._fetch, self._figures_changed, self.service_get, self._brought
        )
        self._references = ReferenceFeed(settings.registry.tracking_uri, self.offload, self._metrics.judge_again)
        self._docker = DockerFeed(settings.docker, self.offload, wake)

    def start(self, *, registry: bool = True, docker: bool = True) -> None:
        """Begin to read."""
        self._metrics.start()
        if registry:
            self._registry.start()
            self._references.start()
        if docker:
            self._docker.start()

    async def stop(self) -> None:
        """End the feeds and the worker."""
        await self._registry.stop()
        await self._references.stop()
        await self._metrics.stop()
        await self._docker.stop()
        await self.offload.close()

    def states(self) -> tuple[SourceState, ...]:
        """The state of every source beside the cluster."""
        return (self._metrics.state, self._registry.state, self._docker.state)

    def reconnect(self) -> None:
        """Try again now."""
        self._registry.reconnect()
        self._references.reconnect()
        self._metrics.reconnect()
        self._docker.reconnect()

    def read_registry(self) -> None:
        """Read it now, if it answers at all."""
        self._registry.read_soon()

    # ---- what is looked at

    def place_changed(self, context: str, namespace: str, *, home: bool) -> None:
        """Another place: nothing of the one before counts. `home` for that which the console was started for."""
        self._touched.clear()
        self._trends.forget()
        self._place = (context, namespace)
        if home and not self._home:
            self._home = context
        url, elsewhere = self._settings.prometheus_url(context, namespace), ""
        own = self._settings.environment(context, namespace).prometheus_url
        at_home = context == self._home if self._home else home
        self.alertmanager_url = (self._settings.metrics.alertmanager_url or "") if at_home else ""
        if url and not own and not at_home and not url.startswith(kube.SCHEME):  # that asks the cluster itself
            url, elsewhere = "", f"prometheus_url is for context {self._home or 'that it was started with'}"
        self.prometheus_url = url
        self._metrics.place(url, elsewhere)

    def is_at(self, context: str, namespace: str) -> bool:
        """Whether this is the place that was looked at last."""
        return (context, namespace) == self._place

    def select(self, service: ModelService | None) -> None:
        """The service whose panels are on the screen."""
        self._selected = service
        self._metrics.select(service)

    def services_changed(self, services: Sequence[ModelService], selected: ModelService | None) -> None:
        """What there is to scrape."""
        self._metrics.fleet(services)
        self.select(selected)

    def show_range(self, seconds: float, end: float = 0.0, compare: float = 0.0) -> None:
        """The time that the panels show (`protocol.ShowRange`)."""
        self._metrics.show_range(seconds, end, compare)

    def show_panel(self, panel: str) -> None:
        """The panel on the screen; empty for the first three."""
        self._metrics.show_panel(panel)

    def show(self, panes: tuple[str, ...]) -> None:
        """The panes on the screen: no range query for a chart that is not."""
        self._metrics.charting = "latency" in panes

    # ---- what they say

    def take_touched(self) -> set[str]:
        """Keys of the services whose figures changed since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    def glances(self, key: str) -> tuple[Glance, ...]:
        """The figures of a service's colours now."""
        return self._metrics.glances(key)

    def telemetry(self, key: str) -> Telemetry | None:
        """The panels of a service, or None while there is nothing to say."""
        return self._metrics.telemetry(key)

    def drift(self, key: str) -> DriftTable | None:
        """The drift table of a service; that of the selected one with what its features did before."""
        table, selected = self._metrics.drift(key), self._selected
        if table is None or selected is None or selected.key != key:
            return table
        releases = {color.name: color.release.label for color in selected.colors}
        return self._trends.of(table, releases, self._metrics.earlier)

    def registry(self, service: ModelService, settings: ServiceSettings) -> protocol.Registry:
        """The registered model of a service: by the configuration's word, else by its release's, else by its name."""
        name = _model_of(service, settings)
        self._registry.watch(name, [color.release.version for color in service.colors])
        model, problem = self._registry.model(name)
        return protocol.Registry(service.key, model, problem, self._registry.names)

    def alias_moves(self, service: ModelService) -> tuple[AliasMove, ...]:
        """The aliases of a service's model that were seen to move."""
        return self._registry.moves(_model_of(service, self._settings.service(service.namespace, service.name)))

    def _brought(self, service: ModelService) -> dict[str, Brought]:
        """What the registry knows of the versions that the colours run: the reference, and how accurate it was."""
        settings = self._settings.service(service.namespace, service.name)
        found = {}
        for color in service.colors:
            name, version = settings.model or color.release.model or service.name, color.release.version
            model, _ = self._registry.model(name)
            item = model.find(version) if model else None
            accuracy = find(item.run.metrics, "accuracy") if item and item.run else None
            found[color.name] = replace(self._references.of(name, version), accuracy=accuracy)
        return found

    # ---- outside

    def _figures_changed(self, key: str) -> None:
        self._touched.add(key)
        self._wake()

    async def service_get(self, request: Request) -> proxy.Reply:
        """A GET of a Service by the connection of the place that is looked at. Raises ClusterError."""
        scope = self._scope()
        connection = scope.connection if scope else None
        if connection is None:
            raise Unreachable("Prometheus cannot be asked", "there is no connection to the cluster")
        return await through(connection, request)

    async def _fetch(self, namespace: str, pod: str, port: str, path: str) -> bytes:
        """A page of a pod through the API server's proxy. Raises ClusterError."""
        scope = self._scope()
        connection = scope.connection if scope else None
        if connection is None:
            raise Unreachable("pods cannot be scraped", "there is no connection to the cluster")
        reply = await proxy.pod_get(connection, namespace, pod, port, path, SCRAPE_SECONDS)
        if reply.status != 200:
            raise Unreachable(f"pod {pod} gave no metrics", f"{path} answered {reply.status}")
        return reply.body


def _model_of(service: ModelService, settings: ServiceSettings) -> str:
    """The name of a service's registered model."""
    live = service.live_color or next(iter(service.colors), None)
    return settings.model or (live.release.model if live else "") or service.name
