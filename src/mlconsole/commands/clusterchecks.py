"""What `doctor` checks of the cluster: the way to it, who one is there, each right, and what is there to operate."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import msgspec
from msgspec import Struct

from mlconsole.cluster import access
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, NotFound
from mlconsole.commands import localchecks
from mlconsole.commands.findings import Finding, State, within
from mlconsole.commands.rights import Need, needs
from mlconsole.config import Settings
from mlconsole.domain.services import Shape
from mlconsole.domain.text import visible
from mlconsole.engine.offload import Offload
from mlconsole.engine.session import Session
from mlconsole.engine.through import through
from mlconsole.gathering import gather
from mlconsole.metrics import kube
from mlconsole.metrics.asking import Asker
from mlconsole.metrics.prometheus import Endpoint, Question

SECONDS = 15.0
"""For each of the checks that talk to the API server."""
SLOW = 0.5
OLDEST = (1, 20)


async def check(settings: Settings) -> list[Finding]:
    """Everything about the cluster."""
    try:
        async with asyncio.timeout(SECONDS):
            opened = Session.open(settings)
            session = await opened.__aenter__()
    except (ClusterError, TimeoutError) as error:
        return [_failed("kubeconfig", error)]
    try:
        identity = session.connection.identity
        found = [Finding("kubeconfig", State.OK, f"context {identity.context}, {identity.server}", needed=True)]
        server = await within(SECONDS, "API server", _server(session.connection), True)
        found += server
        if server[0].state is State.FAIL:
            return found
        parts = await gather(
            within(SECONDS, "rights", _rights(session.connection, settings), True),
            within(SECONDS, "model services", _services(session, settings), True),
            within(SECONDS, "Prometheus", _prometheus(session.connection, settings), False),
        )
        return found + [finding for part in parts for finding in part]
    finally:
        await opened.__aexit__(None, None, None)


def _failed(what: str, error: ClusterError | TimeoutError) -> Finding:
    words = error.message if isinstance(error, ClusterError) else "no answer in time"
    return Finding(what, State.FAIL, words, getattr(error, "hint", ""), needed=True)


class _Version(Struct, rename="camel"):
    git_version: str = ""
    major: str = ""
    minor: str = ""


async def _server(connection: Connection) -> list[Finding]:
    try:
        user = await connection.whoami()
        started = time.monotonic()
        body = await connection.get("/version")
        took = time.monotonic() - started
    except ClusterError as error:
        return [_failed("API server", error)]
    try:
        version = msgspec.json.decode(body, type=_Version)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return [Finding("API server", State.FAIL, f"/version: {error}", "is this an API server?", needed=True)]
    words = f"{visible(version.git_version, 60)}, {took * 1000:.0f} ms a request, as {visible(user)}"
    if _number(version) < OLDEST:
        return [Finding("API server", State.WARN, words, "older than 1.20: not tried with it", needed=True)]
    if took > SLOW:
        return [Finding("API server", State.WARN, words, "slow: a nearer bastion makes a rollback faster", needed=True)]
    return [Finding("API server", State.OK, words, needed=True)]


def _number(version: _Version) -> tuple[int, int]:
    digits = ["".join(filter(str.isdigit, part)) for part in (version.major, version.minor)]
    return (int(digits[0] or 0), int(digits[1] or 0)) if any(digits) else OLDEST


async def _rights(connection: Connection, settings: Settings) -> list[Finding]:
    """A line for each kind with a right missing, and one for those with all: they are many."""
    wanted, namespace = needs(), connection.namespace

    checks = [check for need in wanted for check in need.checks(namespace)]
    try:
        answers = {right.check: right.allowed for right in await access.review(connection, checks)}
    except ClusterError as error:
        return [_failed("rights", error)]
    found, complete = [], {False: 0, True: 0}
    for need in wanted:
        missing = [check.verb for check in need.checks(namespace) if not answers[check]]
        if missing:
            found.append(_missing(need, missing, namespace, settings))
        else:
            complete[need.writes] += not need.optional
    where = f"in {namespace}" if namespace else "in every namespace"
    summary = []
    for writes, words in ((False, "to look"), (True, "to change")):
        number = sum(need.writes is writes and not need.optional for need in wanted)
        state = State.OK if complete[writes] == number else State.WARN
        summary.append(Finding(f"rights {words}", state, f"{complete[writes]} of {number} kinds {where}"))
    return [*summary, *found]


def _missing(need: Need, missing: list[str], namespace: str, settings: Settings) -> Finding:
    words = f"may not {', '.join(missing)}: {need.purpose}"
    if need.writes and settings.read_only:
        return Finding(f"right {need.label}", State.OFF, f"{words} (read-only anyway)")
    if need.optional:
        return Finding(f"right to {missing[0]} {need.label}", State.OFF, words, "`mlconsole rbac -A` prints the rule")
    state = State.FAIL if need.needed else State.WARN
    place = f" -n {namespace}" if namespace else " -A"
    return Finding(f"right {need.label}", state, words, f"`mlconsole rbac{place}` prints the rule", need.needed)


async def _prometheus(connection: Connection, settings: Settings) -> list[Finding]:
    """Whether a Prometheus behind the API server answers; of another it is told beside the cluster."""
    url = settings.prometheus_url(connection.identity.context, connection.namespace)
    if not url.startswith(kube.SCHEME):
        return []
    offload = Offload()
    try:
        asker = Asker(offload, partial(through, connection))
        place = Endpoint(url, settings.metrics.auth, localchecks.SECONDS)
        replies = await asker.ask(place, [Question("count(up)")], 2 * localchecks.SECONDS)
    finally:
        await offload.close()
    return localchecks.prometheus_said(url, replies[0])


async def _services(session: Session, settings: Settings) -> list[Finding]:
    try:
        services = await session.services()
    except ClusterError as error:
        return [_failed("model services", error)]
    namespace = session.connection.namespace
    where = f"in {namespace}" if namespace else "in every namespace"
    if not services and namespace:
        try:
            await session.connection.namespace_uid(namespace)
        except NotFound:
            hint = "correct -n, cluster.namespace or the context's namespace"
            return [Finding("model services", State.FAIL, f"there is no namespace {namespace}", hint, needed=True)]
        except ClusterError as error:
            return [_failed("model services", error)]
    if not services:
        hint = "look elsewhere with -n or -A: a model service is a Service that selects Deployments"
        return [Finding("model services", State.WARN, f"none {where}", hint)]
    counts = {shape: sum(item.shape is shape for item in services) for shape in Shape}
    words = ", ".join(f"{number} {shape}" for shape, number in counts.items() if number)
    found = [Finding("model services", State.OK, f"{words} {where}")]
    found += [
        Finding(f"service {item.key}", State.WARN, "; ".join(item.problems), "see `mlconsole status`")
        for item in services
        if item.shape is Shape.BOTH
    ]
    names = {name for item in services for name in (item.name, item.key)}
    for name in sorted(set(settings.services) - names):
        if "/" not in name or not namespace or name.partition("/")[0] == namespace:
            hint = "is it in another namespace, or misspelt?"
            found.append(Finding(f"[services.{name}]", State.WARN, f"no such service {where}", hint))
    return found
