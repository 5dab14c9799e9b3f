"""The settings as typed tables: each key with its kind and its default."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from mlconsole.configalerts import Alert, Notify
from mlconsole.configoperations import Analysis, Deploy, Freeze, Parity, Smoke, Watch
from mlconsole.configpanels import PanelSettings
from mlconsole.configtypes import Path as UrlPath
from mlconsole.configtypes import Pause, Seconds, Share, Table
from mlconsole.configvalidation import Validation


class Cluster(Table, frozen=True):
    """Where the model services run."""

    kubeconfig: str | None = None
    """Path of the kubeconfig; default: KUBECONFIG, ~/.kube/config, the pod's service account."""
    context: str | None = None
    namespace: str | None = None
    all_namespaces: bool = False


class Registry(Table, frozen=True):
    """The MLflow registry."""

    tracking_uri: str | None = None
    """Default: MLFLOW_TRACKING_URI; its credentials are MLflow's own variables."""
    refresh: Pause = 10.0
    """Seconds between two looks."""


class Auth(Table, frozen=True):
    """How to authenticate to Prometheus. Secrets stay in the environment or in files."""

    username: str | None = None
    password_env: str | None = None
    bearer_token_env: str | None = None
    bearer_token_file: str | None = None
    headers: dict[str, str] = {}
    """More headers, such as a tenant's name (`X-Scope-OrgID`)."""
    ca_file: str | None = None
    cert_file: str | None = None
    """The certificate that the console shows, PEM; read anew where it changes."""
    key_file: str | None = None
    """Its key, where it does not stand in the same file."""


class Metrics(Table, frozen=True):
    """Where figures come from."""

    prometheus_url: str | None = None
    """Default: PROMETHEUS_URL. Of the context that the console starts with, and of no other.

    `kube://NAMESPACE/SERVICE:PORT` is asked through the API server, of whatever cluster is looked at.
    """
    alertmanager_url: str | None = None
    """Alertmanager's alerts and silences, with the same login; of the same context."""
    refresh: Pause = 5.0
    scrape: bool = True
    """Scrape the pods through the API server where there is no Prometheus."""
    range: Annotated[float, Meta(ge=10)] = 900.0
    """Seconds that the charts show at first."""
    drift_past: Seconds = 86_400.0
    """How long ago the traffic was that drift is held against where there is nothing better; 0 for never."""
    auth: Auth = Auth()


class Docker(Table, frozen=True):
    """The Docker Engine."""

    host: str | None = None
    """Default: DOCKER_HOST."""


class Thresholds(Table, frozen=True):
    """From where on the live colour is sick."""

    p95_seconds: Seconds | None = None
    error_share: Share | None = 0.05


class Gates(Table, frozen=True):
    """What must hold before traffic moves to a colour."""

    max_error_share: Share | None = None
    max_p95_seconds: Seconds | None = None
    validation: bool = False
    """The version must have passed `mlconsole validate --log`."""
    max_validation_age: Seconds | None = None
    """And that no longer ago than this."""


class Verify(Table, frozen=True):
    """How a model server is asked who it is."""

    path: UrlPath = "/health"
    """Answers 200, and the model's version in X-Model-Version or in JSON (`model_version`, `version`)."""
    deadline: Annotated[float, Meta(ge=1)] = 30.0
    """Seconds after which a switch that was not seen to arrive is unverified."""


class ServiceSettings(Table, frozen=True):
    """One model service."""

    model: str | None = None
    """The registered model's name, where the cluster does not say it."""
    color_key: str | None = None
    colors: tuple[str, ...] = ()
    hidden: bool = False
    queries: dict[str, str] = {}
    """PromQL by panel and statistic: `latency.p95`, `errors`, `rate`."""
    panels: dict[str, PanelSettings] = {}
    """By name: one of those that there are, or a new one."""
    thresholds: Thresholds = Thresholds()
    gates: Gates = Gates()
    watch_window: Seconds = 300.0
    """Seconds that a release must live under traffic before it is known good."""
    keep_warm: Seconds = 0.0
    """Seconds that the colour that was left is kept; 0 for no limit."""
    verify: Verify = Verify()
    deploy: Deploy = Deploy()
    smoke: Smoke = Smoke()
    parity: Parity = Parity()
    analysis: dict[str, Analysis] = {}
    """By name."""
    watch: Watch = Watch()
    validation: Validation = Validation()
    alerts: dict[str, Alert] = {}
    """By name."""


class Environment(Table, frozen=True):
    """A set of contexts and namespaces with rules of their own."""

    name: str = msgspec.field(default="", name="(its table's name)")
    """Given by the table's own name, never by a key."""
    contexts: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    production: bool = False
    read_only: bool = False
    require_reason: bool = False
    confirm: bool = False
    """A switch asks for the service's name typed, also where it is not production."""
    groups: tuple[str, ...] = ()
    """Who may go forward: members of one of these groups, as the API server knows them; none for everybody."""
    min_idle: Seconds = 0.0
    """How long a release must have been ready on the idle colour."""
    required_gates: tuple[str, ...] = ()
    """Gates that a switch must have passed, none of them waived: `smoke`, `parity`, an analysis by its name."""
    approval: bool = False
    """A second person has to approve a switch."""
    freeze: dict[str, Freeze] = {}
    """By name."""
    prometheus_url: str | None = None
    """The Prometheus of these places, rather than `metrics.prometheus_url`."""


class Ui(Table, frozen=True):
    """How the console looks."""

    theme: str | None = None
    ascii: bool | None = None
    """Draw with ASCII only; default: as the terminal's encoding has it."""
    presence: bool = True
    """Let other consoles see who looks at which service: a small Lease in the namespace."""


class Settings(Table, frozen=True):
    """Everything."""

    cluster: Cluster = Cluster()
    registry: Registry = Registry()
    metrics: Metrics = Metrics()
    docker: Docker = Docker()
    ui: Ui = Ui()
    environments: dict[str, Environment] = {}
    defaults: ServiceSettings = ServiceSettings()
    services: dict[str, ServiceSettings] = {}
    """By `name` or `namespace/name`; each holds the defaults where it says nothing itself."""
    alerts: dict[str, Alert] = {}
    """By name; one of the same name under a service is used there instead."""
    notify: Notify = Notify()
    read_only: bool = False
    origins: dict[str, str] = msgspec.field(default_factory=dict, name="(where its keys stand)")
    """`Loaded.origins` of what a rule may be refused for; never a key of the file."""

    def written(self, key: str) -> str:
        """Where a rule is written: `mlconsole.toml:12`, `--read-only`; empty for a key that nobody set."""
        found = (origin for name, origin in self.origins.items() if name == key or name.startswith(f"{key}."))
        return next(found, "")

    def service(self, namespace: str, name: str) -> ServiceSettings:
        """The settings of one service."""
        return self.services.get(f"{namespace}/{name}") or self.services.get(name) or self.defaults

    def prometheus_url(self, context: str, namespace: str) -> str:
        """The Prometheus of a place in the context that was started with; empty where there is none."""
        return self.environment(context, namespace).prometheus_url or self.metrics.prometheus_url or ""

    def environment(self, context: str, namespace: str) -> Environment:
        """The first environment that a place belongs to; a nameless one without rules where there is none."""
        for name, environment in self.environments.items():
            if _matches(context, environment.contexts) and _matches(namespace, environment.namespaces):
                return replace(environment, name=name)
        return Environment()


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns)
