"""`kube://NAMESPACE/SERVICE:PORT[/path]`: a Prometheus behind the API server's proxy of Services, with no port-forward.

Asked by the engine's own connection, with the user's own credentials, and of that cluster alone. What it takes is `get`
on `services/proxy`, which can be given for this one Service: `mlconsole rbac` prints it.
"""

from __future__ import annotations

import re

from msgspec import Struct

SCHEME = "kube://"
FORM = "kube://NAMESPACE/SERVICE:PORT, or kube://NAMESPACE/https:SERVICE:PORT/path"
_FORM = re.compile(
    r"kube://(?P<namespace>[a-z0-9]([-a-z0-9]*[a-z0-9])?)/"
    r"(?:(?P<scheme>https?):)?(?P<service>[a-z0-9]([-a-z0-9.]*[a-z0-9])?)(?::(?P<port>[a-z0-9-]+))?(?P<path>/[^?#]*)?"
)
FORBIDDEN = re.compile(r"(?i)authorization|impersonate-.*|cookie|host|x-remote-.*")
"""Headers that would change who asks the API server, rather than what Prometheus is told."""


class Place(Struct, frozen=True):
    """A Service that answers as Prometheus does."""

    namespace: str
    service: str
    """As the proxy wants it: `prometheus`, `https:prometheus`."""
    port: str
    path: str

    @property
    def resource(self) -> str:
        """The name that a role has to give: with the port, as the request has it."""
        return f"{self.service}:{self.port}" if self.port else self.service


def place(url: str) -> Place | None:
    """Where an address of this scheme leads; None for one that leads nowhere, or that is of another scheme."""
    found = _FORM.fullmatch(url)
    if found is None or ".." in (found["path"] or "").split("/"):
        return None
    service = f"{found['scheme']}:{found['service']}" if found["scheme"] else found["service"]
    return Place(found["namespace"], service, found["port"] or "", (found["path"] or "").rstrip("/"))


def fault(url: str, headers: tuple[str, ...], *, login: bool) -> str:
    """What is wrong with an address of this scheme and what goes with it, or empty."""
    if place(url) is None:
        return f"it is not like {FORM}"
    if login:
        return "the API server takes the login of [metrics.auth] for its own: Prometheus would never see it"
    wrong = next((name for name in headers if FORBIDDEN.fullmatch(name)), None)
    return f"the header {wrong} of [metrics.auth] would be the API server's" if wrong else ""
