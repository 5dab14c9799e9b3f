"""What `doctor` checks beside the cluster: Prometheus, MLflow, Docker, the terminal, the folders."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from mlconsole.cluster.connection import contexts
from mlconsole.cluster.errors import ClusterError, redact
from mlconsole.commands.findings import Finding, State
from mlconsole.config import Settings, default_path
from mlconsole.domain.sources import Condition
from mlconsole.engine.offload import Offload, WorkerError
from mlconsole.images import engine
from mlconsole.logplace import place
from mlconsole.metrics import kube, prometheus

SECONDS = 6.0
MODELS = "/api/2.0/mlflow/registered-models/search"
MOST = 2**20
"""Bytes of an answer that are read."""


async def metrics(settings: Settings, offload: Offload) -> list[Finding]:
    """Whether the Prometheus of the place that is looked at answers a query; one in the cluster is asked there."""
    url = settings.prometheus_url(*_place(settings))
    if url.startswith(kube.SCHEME):
        return []
    if not url:
        words = "figures are scraped from the pods" if settings.metrics.scrape else "no figures"
        hint = "PROMETHEUS_URL, or metrics.prometheus_url"
        return [Finding("Prometheus", State.OFF, f"not configured: {words}", hint)]
    place = prometheus.Endpoint(url, settings.metrics.auth, SECONDS)
    question = [prometheus.Question("count(up)")]
    try:
        reply = (await offload.run(prometheus.ask, place, question, timeout=2 * SECONDS))[0]
    except (WorkerError, TimeoutError, OSError) as error:
        return [Finding("Prometheus", State.FAIL, redact(str(error)))]
    return prometheus_said(url, reply)


def prometheus_said(url: str, reply: prometheus.Reply) -> list[Finding]:
    """What `count(up)` was answered."""
    if reply.failure:
        return [Finding("Prometheus", State.FAIL, redact(reply.failure.why), reply.failure.hint)]
    targets = f"{reply.rows[0].values[0]:.0f} targets" if reply.rows else "no targets"
    return [Finding("Prometheus", State.OK if reply.rows else State.WARN, f"{prometheus.address(url)}, {targets}")]


def _place(settings: Settings) -> tuple[str, str]:
    """The context and the namespace, by the settings and the kubeconfig alone: the cluster may not answer."""
    here = settings.cluster
    try:
        known = contexts(here.kubeconfig)
    except ClusterError:
        known = []  # what is wrong with it is told of the cluster
    found = next((item for item in known if item.name == here.context or (not here.context and item.current)), None)
    namespace = here.namespace or (found.namespace if found else "") or "default"
    return here.context or (found.name if found else ""), "" if here.all_namespaces else namespace


async def registry(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Whether the tracking server answers, and lets this user read models; a light request, not a client's import."""
    uri = settings.registry.tracking_uri
    if not uri:
        return [Finding("MLflow", State.OFF, "not configured", "MLFLOW_TRACKING_URI, or registry.tracking_uri")]
    if urlsplit(uri).scheme not in ("http", "https"):
        return [_store(uri)]
    shown = prometheus.address(uri)
    try:
        status, body = await _get(f"{uri.rstrip('/')}{MODELS}?max_results=1", environ)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number) if number else str(error) or "no answer in time"
        return [Finding("MLflow", State.FAIL, redact(f"{shown}: {why}"), "check the address, the network or the VPN")]
    if status in (401, 403):
        hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return [Finding("MLflow", State.FAIL, f"{shown} answered {status}: login needed", hint)]
    if status != 200 or not body.lstrip().startswith(b"{"):
        return [Finding("MLflow", State.FAIL, f"{shown} answered {status}, not as a registry does", "check its path")]
    return [Finding("MLflow", State.OK, f"{shown}, its registry answers")]


class _Model(Struct):
    name: str = ""


class _Models(Struct):
    registered_models: tuple[_Model, ...] = ()


async def models(settings: Settings, environ: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """The first registered models' names, and why there are none."""
    found = (await registry(settings, environ))[0]
    uri = settings.registry.tracking_uri or ""
    if found.state is not State.OK or urlsplit(uri).scheme not in ("http", "https"):
        return (), found.words if found.state is State.FAIL else ""
    try:
        _, body = await _get(f"{uri.rstrip('/')}{MODELS}?max_results=100", environ)
        return tuple(item.name for item in msgspec.json.decode(body, type=_Models).registered_models), ""
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.DecodeError) as error:
        return (), redact(str(error) or "no answer in time")


async def _get(url: str, environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Status and body (what of it is not too much), logged in as MLflow's own client would be."""
    user, token = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_TOKEN")
    login = aiohttp.BasicAuth(user, environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
    headers = {"Authorization": f"Bearer {token}"} if token and not login else {}
    insecure = environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true"
    limit = aiohttp.ClientTimeout(total=SECONDS)
    async with (
        aiohttp.ClientSession(timeout=limit, trust_env=True, headers=headers) as session,
        session.get(url, auth=login, ssl=not insecure, allow_redirects=False) as answer,
    ):
        return answer.status, await _bounded(answer.content)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for chunk in content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > MOST:
            break
    return b"".join(parts)


def _store(uri: str) -> Finding:
    """A registry in a file or a database: the file has to be there; a database is the reader's to ask."""
    parts = urlsplit(uri)
    path = Path(unquote(parts.path if parts.scheme in ("file", "sqlite") else uri))
    if parts.scheme == "sqlite":
        path = Path(unquote(uri.removeprefix("sqlite:///")))
    elif parts.scheme not in ("", "file"):
        return Finding("MLflow", State.WARN, f"a database ({parts.scheme}): not checked from here")
    if path.exists():
        return Finding("MLflow", State.OK, f"{path}")
    return Finding("MLflow", State.FAIL, f"{path} is not there", "correct registry.tracking_uri")


async def docker(settings: Settings, offload: Offload, environ: Mapping[str, str]) -> list[Finding]:
    """Whether the Docker Engine answers."""
    host = engine.where(settings.docker.host, environ)
    if not host:
        hint = "start the Docker Engine, or set DOCKER_HOST or docker.host, where images are to be looked at from here"
        return [Finding("Docker", State.OFF, "neither DOCKER_HOST nor a socket", hint)]
    try:
        pong = await offload.run(engine.ping, host, timeout=2 * SECONDS)
    except (WorkerError, TimeoutError, OSError) as error:
        return [Finding("Docker", State.WARN, redact(str(error)))]
    if pong.condition is not Condition.LIVE:
        return [Finding("Docker", State.FAIL if settings.docker.host else State.WARN, pong.message, pong.hint)]
    return [Finding("Docker", State.OK, f"{pong.version}, API {pong.api}, {engine.address(host)}")]


def terminal(environ: Mapping[str, str]) -> list[Finding]:
    """Whether the console can be drawn as it is meant to be."""
    if not sys.stdout.isatty():
        return [Finding("terminal", State.OFF, "standard output is not a terminal")]
    size = shutil.get_terminal_size()
    encoding, term = (sys.stdout.encoding or "ascii").lower(), environ.get("TERM", "")
    colors = "no colours (NO_COLOR)" if environ.get("NO_COLOR") else _colors(environ)
    words = f"{size.columns}x{size.lines}, {encoding}, {term or 'TERM is not set'}, {colors}"
    if term in ("", "dumb"):
        return [Finding("terminal", State.WARN, words, "set TERM, for example to xterm-256color")]
    if encoding.replace("-", "") != "utf8":
        hint = "drawn in ASCII; a UTF-8 locale (LANG=C.UTF-8) draws charts finer"
        return [Finding("terminal", State.WARN, words, hint)]
    if size.columns < 80 or size.lines < 24:
        return [Finding("terminal", State.WARN, words, "at least 80x24 shows every pane")]
    return [Finding("terminal", State.OK, words)]


def _colors(environ: Mapping[str, str]) -> str:
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "true colour"
    return "256 colours" if "256color" in environ.get("TERM", "") else "16 colours or fewer"


def folders(environ: Mapping[str, str]) -> list[Finding]:
    """Whether the journal and the log can be written: a switch is refused without its record."""
    state = place(environ).parent
    problem = _unwritable(state)
    if problem:
        hint = "a switch needs its local record: make the folder writable, or set XDG_STATE_HOME"
        return [Finding("state folder", State.FAIL, f"{state}: {problem}", hint, needed=True)]
    found = [Finding("state folder", State.OK, f"{state}", needed=True)]
    home = default_path(environ).parent
    problem = _unwritable(home)
    if problem:
        hint = "`mlconsole config init --path FILE` writes elsewhere"
        return [*found, Finding("config folder", State.WARN, f"{home}: {problem}", hint)]
    return [*found, Finding("config folder", State.OK, f"{home}")]


def _unwritable(folder: Path) -> str:
    """Why no file can be made in `folder` (or, where it is not there yet, in the nearest that is); empty if one can."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return (error.strerror or "not writable") + ("" if place == folder else f" ({place})")
