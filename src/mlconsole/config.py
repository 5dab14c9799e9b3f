"""Settings: what users already have (kubeconfig, environment), and `mlconsole.toml` for what nobody can guess.

Every setting has a type, a default, and a known origin. A key that does not exist, a value of the wrong kind or a
duration that is none is an error that names file, line and key, and says what would be right.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

FILE = "mlconsole.toml"


class ConfigError(Exception):
    """The configuration cannot be used; the text says where, what and what would be right."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file: unknown keys are errors."""


class Cluster(_Table, frozen=True):
    """Where the model services run."""

    kubeconfig: str | None = None
    """Path of the kubeconfig; default: KUBECONFIG, ~/.kube/config, the pod's service account."""
    context: str | None = None
    namespace: str | None = None
    all_namespaces: bool = False


class Registry(_Table, frozen=True):
    """The MLflow registry."""

    tracking_uri: str | None = None
    """Default: MLFLOW_TRACKING_URI; its credentials are MLflow's own variables."""
    refresh: float = 10.0
    """Seconds between two looks."""


class Auth(_Table, frozen=True):
    """How to authenticate to Prometheus. Secrets stay in the environment or in files."""

    username: str | None = None
    password_env: str | None = None
    bearer_token_env: str | None = None
    bearer_token_file: str | None = None
    headers: dict[str, str] = {}
    ca_file: str | None = None


class Metrics(_Table, frozen=True):
    """Where figures come from."""

    prometheus_url: str | None = None
    """Default: PROMETHEUS_URL."""
    refresh: float = 5.0
    scrape: bool = True
    """Scrape the pods through the API server where there is no Prometheus."""
    range: float = 900.0
    """Seconds that the charts show at first."""
    auth: Auth = Auth()


class Docker(_Table, frozen=True):
    """The Docker Engine."""

    host: str | None = None
    """Default: DOCKER_HOST."""


class Thresholds(_Table, frozen=True):
    """From where on the live colour is sick."""

    p95_seconds: float | None = None
    error_share: float | None = 0.05


class Gates(_Table, frozen=True):
    """What must hold before traffic moves to a colour."""

    max_error_share: float | None = None
    max_p95_seconds: float | None = None


class Verify(_Table, frozen=True):
    """How a model server is asked who it is."""

    path: str = "/health"
    """Answers 200, and the model's version in X-Model-Version or in JSON (`model_version`, `version`)."""
    deadline: float = 30.0
    """Seconds after which a switch that was not seen to arrive is unverified."""


class ServiceSettings(_Table, frozen=True):
    """One model service."""

    model: str | None = None
    """The registered model's name, where the cluster does not say it."""
    color_key: str | None = None
    colors: tuple[str, ...] = ()
    hidden: bool = False
    queries: dict[str, str] = {}
    """PromQL by panel and statistic: `latency.p95`, `errors`, `rate`."""
    thresholds: Thresholds = Thresholds()
    gates: Gates = Gates()
    watch_window: float = 300.0
    """Seconds that a release must live under traffic before it is known good."""
    keep_warm: float = 0.0
    """Seconds that the colour that was left is kept; 0 for no limit."""
    verify: Verify = Verify()


class Environment(_Table, frozen=True):
    """A set of contexts and namespaces with rules of their own."""

    name: str = ""
    contexts: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    production: bool = False
    read_only: bool = False
    require_reason: bool = False


class Ui(_Table, frozen=True):
    """How the console looks."""

    theme: str | None = None
    ascii: bool | None = None
    """Draw with ASCII only; default: as the terminal's encoding has it."""


class Settings(_Table, frozen=True):
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
    read_only: bool = False

    def service(self, namespace: str, name: str) -> ServiceSettings:
        """The settings of one service."""
        return self.services.get(f"{namespace}/{name}") or self.services.get(name) or self.defaults

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
_DURATIONS = frozenset({"refresh", "range", "watch_window", "keep_warm", "deadline"})
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def load(options: Mapping[str, Any], environ: Mapping[str, str]) -> Loaded:
    """Put the settings together: defaults, file, environment, command line; the later wins.

    `options` are the command line's, those not given absent or None. Raises ConfigError.
    """
    path = find_file(options.get("config"), environ)
    tree, origins = _read(path) if path else ({}, {})
    for variable, place in _FROM_ENVIRONMENT.items():
        if environ.get(variable):
            _set(tree, place, environ[variable])
            origins[".".join(place)] = f"environment {variable}"
    for option, key in _FROM_OPTIONS.items():
        value = options.get(option)
        if value not in (None, False):
            _set(tree, key, value)
            origins[".".join(key)] = f"--{option.replace('_', '-')}"
    try:
        settings = msgspec.convert(_with_defaults(tree), Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), path, origins)) from error
    return Loaded(settings, origins, path)


def find_file(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file: the one given, MLCONSOLE_CONFIG's, ./mlconsole.toml, the XDG one; None where none is.

    Raises ConfigError for a given one that does not exist.
    """
    named = given or environ.get("MLCONSOLE_CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigError(f"{named}: there is no such file; `mlconsole config init` writes one")
        return Path(named)
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    candidates = (Path(FILE), Path(home) / "mlconsole" / FILE)
    return next((path for path in candidates if path.is_file()), None)


def seconds(text: str) -> float:
    """`90s`, `5m`, `1h30m`, `250ms` as seconds. Raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError(f"{text!r} is no duration: write 90s, 5m, 1h30m or 250ms")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    places = _lines(text)
    origins: dict[str, str] = {}
    _walk(tree, (), path, places, origins)
    return tree, origins


def _walk(
    tree: dict[str, Any], at: tuple[str, ...], path: Path, places: dict[str, int], origins: dict[str, str]
) -> None:
    for key, value in tree.items():
        dotted = ".".join((*at, key))
        if isinstance(value, dict):
            _walk(value, (*at, key), path, places, origins)
            continue
        where = f"{path.name}:{places[dotted]}" if dotted in places else path.name
        origins[dotted] = where
        if key in _DURATIONS and isinstance(value, str):
            try:
                tree[key] = seconds(value)
            except ValueError as error:
                raise ConfigError(f"{where}: {dotted}: {error}") from error


def _lines(text: str) -> dict[str, int]:
    """The line of each key, as far as a look at headers and assignments tells."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        assignment = re.match(r"\s*([\w.\"'/-]+)\s*=", line)
        if header:
            table = re.sub(r"[\"' ]", "", header[1])
        elif assignment:
            key = re.sub(r"[\"']", "", assignment[1])
            found.setdefault(f"{table}.{key}".strip("."), number)
    return found


def _set(tree: dict[str, Any], key: tuple[str, ...], value: Any) -> None:
    for part in key[:-1]:
        tree = tree.setdefault(part, {})
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


_TABLES: dict[str, type[Struct]] = {
    "cluster": Cluster,
    "registry": Registry,
    "metrics": Metrics,
    "metrics.auth": Auth,
    "docker": Docker,
    "ui": Ui,
    "environments[...]": Environment,
    "defaults": ServiceSettings,
    "services[...]": ServiceSettings,
}
for _owner in ("defaults", "services[...]"):
    _TABLES |= {f"{_owner}.thresholds": Thresholds, f"{_owner}.gates": Gates, f"{_owner}.verify": Verify}


def _explain(message: str, path: Path | None, origins: Mapping[str, str]) -> str:
    """The message of msgspec with the place in the file and what would be right."""
    unknown = re.match(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", message)
    at = re.search(r" - at `\$\.?(.*)`", message)
    table = (unknown[2] if unknown else at[1] if at else "") or ""
    if unknown:
        known = _TABLES.get(table, Settings).__struct_fields__
        near = difflib.get_close_matches(unknown[1], known, 1)
        dotted = f"{table}.{unknown[1]}".strip(".")
        right = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
        return f"{_where(dotted, path, origins)}: unknown key `{dotted}`; {right}"
    return f"{_where(table, path, origins)}: `{table}`: {message.partition(' - at ')[0]}"


def _where(dotted: str, path: Path | None, origins: Mapping[str, str]) -> str:
    pattern = re.escape(dotted).replace(re.escape("[...]"), r"\.[^.]+")
    for key, origin in origins.items():
        if re.fullmatch(pattern, key):
            return origin
    return path.name if path else "command line"
