"""Settings: what users already have (kubeconfig, environment), and `mlconsole.toml` for what nobody can guess.

Every setting has a type, a default, and a known origin. A key that does not exist, a value of the wrong kind or a
duration that is none is an error that names file, line and key, and says what would be right.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from mlconsole import configcheck, configfile
from mlconsole.configalerts import Alert, Notify, Webhook
from mlconsole.configfile import ConfigError, seconds
from mlconsole.configoperations import Analysis, Deploy, Freeze, Parity, Smoke, Watch
from mlconsole.configpanels import PanelSettings
from mlconsole.configtypes import Path as UrlPath
from mlconsole.configtypes import Pause, Seconds, Share, Table
from mlconsole.configvalidation import Limit, Validation

__all__ = ["ConfigError", "Loaded", "Settings", "load", "seconds"]

FILE = "mlconsole.toml"


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


class Loaded(Struct, frozen=True):
    """The settings in force, and where each that is not a default comes from."""

    settings: Settings
    origins: dict[str, str]
    """Dotted key to `mlconsole.toml:12`, `environment PROMETHEUS_URL`, `--context`."""
    path: Path | None = None


_FROM_ENVIRONMENT = {
    "MLFLOW_TRACKING_URI": ("registry", "tracking_uri"),
    "PROMETHEUS_URL": ("metrics", "prometheus_url"),
    "DOCKER_HOST": ("docker", "host"),
}
_FROM_OPTIONS = {
    "kubeconfig": ("cluster", "kubeconfig"),
    "context": ("cluster", "context"),
    "namespace": ("cluster", "namespace"),
    "all_namespaces": ("cluster", "all_namespaces"),
    "theme": ("ui", "theme"),
    "ascii": ("ui", "ascii"),
    "read_only": ("read_only",),
}


def load(options: Mapping[str, Any], environ: Mapping[str, str], *, file: bool = True) -> Loaded:
    """Put the settings together: defaults, file, environment, command line; the later wins.

    `options` are the command line's, those not given absent or None. Without `file` no file is read, for whoever goes
    on although it is broken: what the command line asks for, read-only above all, still holds. Raises ConfigError.
    """
    path = find_file(options.get("config"), environ) if file else None
    tree, origins = configfile.read(path) if path else ({}, {})
    for variable, place in _FROM_ENVIRONMENT.items():
        if environ.get(variable):
            _set(tree, place, environ[variable])
            origins[".".join(place)] = f"environment {variable}"
    for option, key in _FROM_OPTIONS.items():
        value = options.get(option)
        if value not in (None, False):
            _set(tree, key, value)
            origins[".".join(key)] = f"--{option.replace('_', '-')}"
    if options.get("namespace") and not options.get("all_namespaces") and "cluster.all_namespaces" in origins:
        _set(tree, ("cluster", "all_namespaces"), False)
        origins["cluster.all_namespaces"] = "--namespace"
    try:
        settings = msgspec.convert(_with_defaults(tree), Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(*_pin(tree, error), path, origins)) from error
    wrong = configcheck.mistake(settings)
    if wrong is not None:
        raise ConfigError(f"{_where(wrong.key, path, origins)}: `{wrong.key}`: {wrong.words}")
    rules = {key: origin for key, origin in origins.items() if key == "read_only" or key.startswith("environments.")}
    return Loaded(replace(settings, origins=rules), origins, path)


def find_file(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file: the one given, MLCONSOLE_CONFIG's, ./mlconsole.toml, the XDG one; None where none is.

    Raises ConfigError for a given one that does not exist.
    """
    named = given or environ.get("MLCONSOLE_CONFIG")
    if named:
        path = Path(named).expanduser()
        if not _is_file(path):
            who = "--config" if given else "MLCONSOLE_CONFIG"
            raise ConfigError(f"{named}, named by {who}: there is no such file; `mlconsole config init` writes one")
        return path
    return next((path for path in (Path(FILE), default_path(environ)) if _is_file(path)), None)


def default_path(environ: Mapping[str, str]) -> Path:
    """`$XDG_CONFIG_HOME/mlconsole/mlconsole.toml`."""
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "mlconsole" / FILE


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be looked for: {error.strerror}") from error


def _set(tree: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    for part in key[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            return  # not a table: that is the error to tell
        tree = inner
    tree[key[-1]] = value


def _with_defaults(tree: dict[str, Any]) -> dict[str, Any]:
    """Put `[defaults]` under every `[services.X]`, so that each is whole."""
    defaults, services = tree.get("defaults"), tree.get("services")
    if not isinstance(defaults, dict) or not isinstance(services, dict):
        return tree
    whole = {name: _under(defaults, table) if isinstance(table, dict) else table for name, table in services.items()}
    return {**tree, "services": whole}


def _under(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _under(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _pin(tree: Mapping[str, Any], error: msgspec.ValidationError) -> tuple[str, str]:
    """(the table, msgspec's words) of the first thing wrong. msgspec alone does not say in which of several tables."""
    tables: dict[str, tuple[Any, type[Struct]]] = {"defaults": (tree.get("defaults", {}), ServiceSettings)}
    for section, type_ in (("environments", Environment), ("services", ServiceSettings)):
        of_section = tree.get(section)
        for name, table in of_section.items() if isinstance(of_section, dict) else ():
            tables[f"{section}.{name}"] = table, type_
    for name, (table, kind) in tables.items():
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError as found:
            return _pin_inner(name, table) or (name, str(found))
    return "", str(error)


def _pin_inner(name: str, table: Any) -> tuple[str, str] | None:
    """The same within one table, of the tables there that people name."""
    for inner in _NAMED:
        made = table.get(inner) if isinstance(table, dict) else None
        for key, value in made.items() if isinstance(made, dict) else ():
            try:
                msgspec.convert(value, _INNER[inner])
            except msgspec.ValidationError as found:
                return f"{name}.{inner}.{key}", str(found)
    return None


_TABLES: dict[str, type[Struct]] = {
    "": Settings,
    "cluster": Cluster,
    "registry": Registry,
    "metrics": Metrics,
    "metrics.auth": Auth,
    "docker": Docker,
    "ui": Ui,
    "alerts": Alert,
    "notify": Notify,
    "notify.webhook": Webhook,
}


_INNER: dict[str, type[Struct]] = {
    "thresholds": Thresholds,
    "gates": Gates,
    "verify": Verify,
    "deploy": Deploy,
    "smoke": Smoke,
    "parity": Parity,
    "analysis": Analysis,
    "watch": Watch,
    "freeze": Freeze,
    "validation": Validation,
    "validation.metrics": Limit,
    "panels": PanelSettings,
    "alerts": Alert,
}
"""By the first words under an environment or a service."""
_NAMED = ("analysis", "panels", "alerts", "freeze")
"""Those of which there are several, by names that people give them."""


def _table(table: str, inner: str) -> type[Struct]:
    """The type of a table: `inner` is its path under `table`, which is one environment or one service, or nothing."""
    if table:
        _, named, _ = ["", "", *table.rsplit(".", 2)][-3:]
        if named in _NAMED:
            return _INNER[named]
        of_one = Environment if table.startswith("environments.") else ServiceSettings
        return _inner(inner, of_one)
    if inner.startswith("defaults"):
        return _inner(inner.partition(".")[2], ServiceSettings)
    return _TABLES.get(inner, Settings)


def _inner(path: str, otherwise: type[Struct]) -> type[Struct]:
    first, second = [*path.split("."), ""][:2]
    return _INNER.get(f"{first}.{second}") or _INNER.get(first, otherwise)


def _explain(table: str, message: str, path: Path | None, origins: Mapping[str, str]) -> str:
    """The message of msgspec with the place in the file and what would be right. `table` is what `message` is about."""
    what, _, at = message.partition(" - at `$")
    inner = re.sub(r"\[[^]]*\]", "", at.rstrip("`")).strip(".")
    dotted = ".".join(part for part in (table, inner) if part)
    unknown = re.match(r"Object contains unknown field `(.+)`", what)
    if unknown:
        known = [name for name in _table(table, inner).__struct_encode_fields__ if name.isidentifier()]
        near = difflib.get_close_matches(unknown[1], known, 1)
        key = ".".join(part for part in (dotted, unknown[1]) if part)
        right = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
        return f"{_where(key, path, origins)}: unknown key `{key}`; {right}"
    return f"{_where(dotted, path, origins)}: `{dotted}`: {_plainly(what)}"


_KINDS = {
    "object": "a table",
    "array": "a list",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
}


def _plainly(what: str) -> str:
    """What msgspec says, in the words of the file: `expected true or false, got text`."""
    if "matching regex '^/'" in what:
        return "expected a path that begins with /"
    what = re.sub(r" \| null|null \| ", "", what.replace("Expected", "expected"))
    return re.sub(r"`(\w+)`", lambda kind: _KINDS.get(kind[1], kind[1]), what)


def _where(dotted: str, path: Path | None, origins: Mapping[str, str]) -> str:
    """Where a key, or the first one under it, was said; of one that nobody set, where its table was."""
    while dotted:
        for key, origin in origins.items():
            if key == dotted or key.startswith(dotted + "."):
                return origin
        dotted = dotted.rpartition(".")[0]
    return path.name if path else "command line"
