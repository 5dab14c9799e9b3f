"""Ask a model server who it is: through one pod, or through the Service as its clients would (I3).

A bastion reaches no pod network, so both go through the API server's proxy. The version is read from the header
`X-Model-Version`, else from `model_version` or `version` of a JSON answer.
"""

from __future__ import annotations

import enum

import msgspec
from msgspec import Struct

from mlconsole.cluster import proxy
from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ClusterError, Status
from mlconsole.domain.services import ModelService, Release
from mlconsole.domain.text import visible

SECONDS = 5.0
"""For an answer, unless somebody is in more of a hurry."""
VERSION_HEADER = "x-model-version"
VERSION_KEYS = ("model_version", "version")


class Match(enum.StrEnum):
    """How an answer compares to the release that was expected."""

    SAME = "same"
    OTHER = "other"
    UNNAMED = "unnamed"
    """It answered, and named no version."""
    FAILED = "failed"
    SILENT = "silent"
    """No answer came: down, not allowed, or too slow."""


class Answer(Struct, frozen=True):
    """What came back."""

    match: Match
    words: str


def port_of(service: ModelService) -> str:
    """The port that a request through the proxy goes to: the first of the Service, by name where it has one."""
    if not service.ports:
        return ""
    return service.ports[0].name or str(service.ports[0].number)


async def through_service(
    connection: Connection, service: ModelService, path: str, expected: Release, timeout: float | None = None
) -> Answer:
    """One GET through the Service."""
    try:
        reply = await proxy.service_get(
            connection, service.namespace, service.name, port_of(service), path, timeout or SECONDS
        )
    except (ClusterError, TimeoutError) as error:
        return Answer(Match.SILENT, f"the Service gave no answer: {error or 'in time'}")
    return judge(reply.status, reply.headers, reply.body, expected)


async def through_pod(
    connection: Connection, service: ModelService, pod: str, path: str, expected: Release, timeout: float | None = None
) -> Answer:
    """One GET to one pod, on the port that the Service sends to."""
    target = service.ports[0].target if service.ports else ""
    try:
        reply = await proxy.pod_get(connection, service.namespace, pod, target, path, timeout or SECONDS)
    except (ClusterError, TimeoutError) as error:
        return Answer(Match.SILENT, f"pod {pod} gave no answer: {error or 'in time'}")
    return judge(reply.status, reply.headers, reply.body, expected)


def judge(status: int, headers: dict[str, str], body: bytes, expected: Release) -> Answer:
    """Compare an answer to the release that should have given it. `headers` have lower-case names."""
    if status == 403 and (refusal := _refusal(body)):
        return Answer(Match.SILENT, f"was not asked, the API server does not allow it: {refusal}")
    if status != 200:
        return Answer(Match.FAILED, f"answered {status}: {visible(body[:200].decode(errors='replace'), 120)}")
    named = _version(headers, body)
    if not named:
        return Answer(Match.UNNAMED, "answered 200 and named no version")
    if not expected.version:
        return Answer(Match.UNNAMED, f"answered as {visible(named, 40)}; the release names no version to compare")
    same = named.removeprefix("v") == expected.version.removeprefix("v")
    return Answer(Match.SAME if same else Match.OTHER, f"answered as v{visible(named.removeprefix('v'), 40)}")


def _refusal(body: bytes) -> str:
    """The API server's own word that this user may not ask; empty where it is the model server's."""
    try:
        said = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return visible(said.message or "", 200) if (said.kind, said.reason) == ("Status", "Forbidden") else ""


def _version(headers: dict[str, str], body: bytes) -> str:
    if headers.get(VERSION_HEADER):
        return headers[VERSION_HEADER]
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    if not isinstance(value, dict):
        return ""
    return next((str(value[key]) for key in VERSION_KEYS if value.get(key) not in (None, "")), "")
