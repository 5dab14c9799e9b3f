"""What this user may do, asked of the API server before anything is tried (I23)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from mlconsole.cluster.connection import Connection
from mlconsole.cluster.errors import ServerError
from mlconsole.gathering import gather

PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Check(Struct, frozen=True):
    """One verb on one kind of object."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """`services/proxy`, `deployments.apps`."""
        kind = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{kind}.{self.group}" if self.group else kind


class Right(Struct, frozen=True):
    """The answer."""

    check: Check
    allowed: bool
    why: str = ""


class _Status(Struct, frozen=True):
    allowed: bool = False
    reason: str = ""


class _Review(Struct, frozen=True):
    status: _Status = _Status()


async def review(connection: Connection, checks: Sequence[Check]) -> list[Right]:
    """Ask for every check at once. Raises ClusterError when the API server cannot be asked."""
    return list(await gather(*(_ask(connection, check) for check in checks)))


async def _ask(connection: Connection, check: Check) -> Right:
    attributes = {
        "verb": check.verb,
        "group": check.group,
        "resource": check.resource,
        "subresource": check.subresource,
        "namespace": check.namespace,
        "name": check.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    data = await connection.request("POST", PATH, body=body)
    try:
        status = msgspec.json.decode(data, type=_Review).status
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = f"cannot read the access review of {check.verb} {check.label}"
        raise ServerError(what, str(error), "is this an API server?") from error
    return Right(check, status.allowed, status.reason)
