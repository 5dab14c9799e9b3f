"""Compose a commented mlconsole.toml from what is found: a file that loads as it is, and teaches what it could say."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from mlconsole.cluster import kubeconfig
from mlconsole.cluster.errors import ClusterError
from mlconsole.commands.localchecks import models as registered
from mlconsole.config import Settings
from mlconsole.domain.services import ModelService, Shape
from mlconsole.domain.text import visible
from mlconsole.engine.session import Session
from mlconsole.gathering import gather

SECONDS = 15.0
SHOWN = 40
PRODUCTION = ("prod", "live")
"""Parts of a context's name that make one think of production; written as a comment, for a person to decide."""


class Found(Struct, frozen=True):
    """What there is, each with the words why not if it could not be looked at."""

    contexts: tuple[kubeconfig.ContextInfo, ...] = ()
    contexts_problem: str = ""
    services: tuple[ModelService, ...] = ()
    services_problem: str = ""
    models: tuple[str, ...] = ()
    models_problem: str = ""


async def compose(settings: Settings) -> str:
    """The file's text. Never fails for what cannot be reached: it says so in a comment."""
    contexts, contexts_problem = _contexts(settings)
    (services, services_problem), (models, models_problem) = await gather(
        _services(settings), registered(settings, os.environ)
    )
    found = Found(contexts, contexts_problem, services, services_problem, models, models_problem)
    return text_of(settings, found)


def _contexts(settings: Settings) -> tuple[tuple[kubeconfig.ContextInfo, ...], str]:
    try:
        return tuple(kubeconfig.contexts(settings.cluster.kubeconfig)), ""
    except ClusterError as error:
        return (), error.message


async def _services(settings: Settings) -> tuple[tuple[ModelService, ...], str]:
    try:
        async with asyncio.timeout(SECONDS), Session.open(settings) as session:
            found = await session.services()
    except (ClusterError, TimeoutError) as error:
        return (), getattr(error, "message", "") or "the cluster did not answer in time"
    return tuple(item for item in found if item.shape is not Shape.MALFORMED), ""


def text_of(settings: Settings, found: Found) -> str:
    """The file's text from what was found."""
    parts = [_HEAD, _cluster(settings, found), _registry(settings, found), _metrics(settings)]
    parts += [_environments(found), _DEFAULTS, _of_services(found)]
    return "\n".join(parts)


def _value(value: object) -> str:
    """A TOML value: JSON's strings, numbers, booleans and lists of them are TOML's too."""
    if isinstance(value, str):
        # TOML wants the control characters that JSON lets through escaped.
        return json.dumps(value).replace("\x7f", "\\u007f")
    return msgspec.json.encode(value).decode()


def _line(key: str, value: object, example: object, comment: str = "") -> str:
    """An assignment, commented out with an example where there is no value."""
    note = f"  # {comment}" if comment else ""
    return f"{key} = {_value(value)}{note}" if value not in (None, "", False) else f"# {key} = {_value(example)}{note}"


_HEAD = """\
# mlconsole.toml: what the console cannot find out by itself. Everything is optional; what is commented out is as it
# would be without this file, or an example. `mlconsole config show` says what is in force and where it is from.

# read_only = true  # refuse every change, everywhere
"""


def _cluster(settings: Settings, found: Found) -> str:
    here = settings.cluster
    lines = ["[cluster]", "# Default: what kubectl would use."]
    lines += [f"# {found.contexts_problem}"] if found.contexts_problem else []
    for item in found.contexts[:SHOWN]:
        mark = " (current)" if item.current else ""
        lines.append(f"#   context {visible(item.name)}{mark}: {visible(item.server)}")
    first = found.contexts[0].name if found.contexts else "prod-eu"
    lines += [
        _line("kubeconfig", here.kubeconfig, "~/.kube/config"),
        _line("context", here.context, first),
        _line("namespace", here.namespace, "ml"),
        _line("all_namespaces", here.all_namespaces, True),
    ]
    return "\n".join(lines) + "\n"


def _registry(settings: Settings, found: Found) -> str:
    lines = ["[registry]", "# MLflow. Its credentials are MLflow's own variables: MLFLOW_TRACKING_USERNAME and so on."]
    lines.append(_line("tracking_uri", _plain(settings.registry.tracking_uri), "http://mlflow.example:5000"))
    lines.append('# refresh = "10s"')
    if found.models_problem:
        lines.append(f"# models: {visible(found.models_problem)}")
    if found.models:
        lines.append(f"# models there: {', '.join(visible(name) for name in found.models[:SHOWN])}")
    return "\n".join(lines) + "\n"


def _metrics(settings: Settings) -> str:
    url = _line("prometheus_url", _plain(settings.metrics.prometheus_url), "http://prometheus.example:9090")
    return f"""\
[metrics]
{url}
# scrape = true  # without Prometheus: the pods' own /metrics, through the API server
# refresh = "5s"
# range = "15m"  # that the charts show at first

# [metrics.auth]  # secrets stay in the environment or in files
# username = "console"
# password_env = "PROMETHEUS_PASSWORD"
# bearer_token_file = "/var/run/secrets/token"
# ca_file = "/etc/ssl/prometheus-ca.pem"

[ui]
# theme = "..."  # the console's palette (ctrl+p) lists them
# ascii = true
# presence = false  # other consoles are not told who looks at which service
"""


def _plain(uri: str | None) -> str | None:
    """An address without a login in it: secrets are not for this file (I27)."""
    return None if uri and "@" in uri.partition("://")[2].partition("/")[0] else uri


def _environments(found: Found) -> str:
    likely = [item.name for item in found.contexts if any(part in item.name.lower() for part in PRODUCTION)]
    lines = [
        "# Which places are production: a switch there takes the service's name typed. The first that fits counts;",
        "# patterns as in a shell.",
        f"# [environments.production]{'  # by their names; is that so?' if likely else ''}",
        f"# contexts = {_value(likely or ['prod-*'])}",
        '# namespaces = ["*"]',
        "# production = true",
        "# require_reason = true",
        "# read_only = false",
        '# prometheus_url = "http://prometheus.example:9090"  # of these places, rather than that of [metrics]',
    ]
    return "\n".join(lines) + "\n"


_DEFAULTS = """\
[defaults]
# For every service; [services.NAME] says otherwise for one.
# watch_window = "5m"  # that a release must live under traffic before it is known good
# keep_warm = "0s"  # that the colour that was left is kept; 0 for no limit

[defaults.verify]
# path = "/health"  # answers 200 and names the model's version
# deadline = "30s"

[defaults.thresholds]
# error_share = 0.05  # from where on the live colour is sick
# p95_seconds = "300ms"

[defaults.gates]
# max_error_share = 0.01  # what the colour must hold before traffic moves to it
# max_p95_seconds = "250ms"
"""


def _of_services(found: Found) -> str:
    if not found.services:
        why = found.services_problem or "none were found"
        return f'# Model services: {visible(why)}\n# [services."ml/fraud-scorer"]\n# model = "fraud-scorer"\n'
    return "\n".join(_of_service(item, found.models) for item in found.services[:SHOWN])


def _of_service(service: ModelService, models: Sequence[str]) -> str:
    live = service.live_color or next(iter(service.colors), None)
    model = live.release.model if live else ""
    guess = service.name if service.name in models else ""
    lines = [f"[services.{_value(service.key)}]  # {service.shape}"]
    if model:
        lines.append(f"# model = {_value(model)}  # said by its pods")
    else:
        lines.append(_line("model", guess, service.name, "the registered model's name"))
    if service.color_key:
        names = ", ".join(visible(color.name) for color in service.colors)
        lines.append(f"# color_key = {_value(service.color_key)}  # found, with colours {names}")
    return "\n".join(lines) + "\n"
