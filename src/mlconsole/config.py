"""Settings: what users already have (kubeconfig, environment), and `mlconsole.toml` for what nobody can guess.

Every setting has a type, a default, and a known origin. A key that does not exist, a value of the wrong kind or a
duration that is none is an error that names file, line and key, and says what would be right.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mlconsole import configcheck, configfile
from mlconsole.configalerts import Alert, Notify, Webhook
from mlconsole.configfile import ConfigError, seconds
from mlconsole.configoperations import Analysis, Deploy, Freeze, Parity, Smoke, Watch
from mlconsole.configpanels import PanelSettings
from mlconsole.configsettings import (
    Auth,
    Cluster,
    Docker,
    Environment,
    Gates,
    Metrics,
    Registry,
    ServiceSettings,
    Settings,
    Thresholds,
    Ui,
    Verify,
)
from mlconsole.configvalidation import Limit, Validation
from mlconsole.configwrong import explain, pin, where

__all__ = [
    "Alert",
    "Analysis",
    "Auth",
    "Cluster",
    "ConfigError",
    "Deploy",
    "Docker",
    "Environment",
    "Freeze",
    "Gates",
    "Limit",
    "Loaded",
    "Metrics",
    "Notify",
    "PanelSettings",
    "Parity",
    "Registry",
    "ServiceSettings",
    "Settings",
    "Smoke",
    "Thresholds",
    "Ui",
    "Validation",
    "Verify",
    "Watch",
    "Webhook",
    "load",
    "seconds",
]

FILE = "mlconsole.toml"


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
        raise ConfigError(explain(*pin(tree, error), path, origins)) from error
    wrong = configcheck.mistake(settings)
    if wrong is not None:
        raise ConfigError(f"{where(wrong.key, path, origins)}: `{wrong.key}`: {wrong.words}")
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
