"""What can go wrong between the console and an API server, in words a person can act on.

Every failure of the adapter, whatever library it came from, leaves it as a `ClusterError`: what failed on what, why,
and what to do next. The words of a server or of a credential plugin are text from outside and may hold a credential
that someone printed: they are made visible and redacted here, once, and never carry a token (I27, I28).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from mlconsole.domain.redaction import redacted
from mlconsole.domain.text import visible


def redact(text: str) -> str:
    """`text` without what looks like a credential, on one visible line."""
    return visible(" ".join(redacted(text).split()), 400)


class ClusterError(Exception):
    """Something asked of a cluster failed."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        self.what = redact(what)
        """What failed, on what."""
        self.why = redact(why)
        self.hint = hint
        """What to do next."""
        super().__init__(self.what)

    @property
    def message(self) -> str:
        """What and why, without the hint: for a place that shows the hint on its own."""
        return f"{self.what}: {self.why}" if self.why else self.what

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Unreachable(ClusterError):
    """No answer: network, DNS, TLS, a timeout."""


class Silent(Unreachable):
    """A stream from which nothing came for longer than it should have: dead until proven alive (I24)."""


class Unauthorized(ClusterError):
    """401: the credentials are not, or no longer, accepted."""


class Forbidden(ClusterError):
    """403: known, and not allowed."""

    def __init__(self, what: str, why: str = "", hint: str = "", verb: str = "", resource: str = "") -> None:
        super().__init__(what, why, hint)
        self.verb = verb
        self.resource = resource


class NotFound(ClusterError):
    """404: no such object, or no such kind at this server."""


class Conflict(ClusterError):
    """409: the object changed since it was read, or exists already."""


class Invalid(ClusterError):
    """400, 422 and the like: the server refuses what it was sent."""


class Expired(ClusterError):
    """410: a resourceVersion or continue token too old to go on from."""


class TooManyRequests(ClusterError):
    """429: slow down."""

    def __init__(self, what: str, why: str = "", hint: str = "", retry_after: float = 0.0) -> None:
        super().__init__(what, why, hint)
        self.retry_after = retry_after
        """Seconds that the server asks to wait; 0 if it did not say."""


class ServerError(ClusterError):
    """5xx, or an answer that makes no sense."""

    def __init__(self, what: str, why: str = "", hint: str = "", retry_after: float = 0.0) -> None:
        super().__init__(what, why, hint)
        self.retry_after = retry_after


class ConfigInvalid(ClusterError):
    """The kubeconfig, or a credential plugin that it names, cannot be used."""


class WrongTarget(ClusterError):
    """A call meant for another cluster than this connection's (I8). Nothing was sent."""


class Details(Struct, frozen=True, rename="camel"):
    """`details` of a Status object."""

    name: str | None = None
    group: str | None = None
    kind: str | None = None
    retry_after_seconds: int | None = None


class Status(Struct, frozen=True, rename="camel"):
    """The body of a Kubernetes error, and the object of a watch's ERROR event."""

    kind: str | None = None
    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: Details | None = None


class Answer(Struct, frozen=True):
    """An HTTP answer that is not a success."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    """Names in lower case."""
    verb: str = ""
    resource: str = ""


def explain(cause: Answer | BaseException, what: str) -> ClusterError:
    """The `ClusterError` for an HTTP answer, or for an exception of the network, TLS or a file.

    `what` is what was tried: `cannot list pods in ml`.
    """
    if isinstance(cause, ClusterError):
        return cause
    if isinstance(cause, Answer):
        return _of_answer(cause, what)
    return _of_exception(cause, what)


def status_of(body: bytes) -> Status:
    """The Status in `body`; where there is none (a proxy's HTML), its text cut short."""
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status(message=visible(body[:200].decode(errors="replace").strip(), 120))


_HINTS: dict[int, tuple[type[ClusterError], str]] = {
    401: (
        Unauthorized,
        "log in again (for example `kubectl get ns` with the same context) and try again, or change the context",
    ),
    404: (NotFound, "check the name and the namespace"),
    409: (Conflict, "look at it again and try again"),
    410: (Expired, "it is listed again by itself"),
}


def _of_answer(answer: Answer, what: str) -> ClusterError:
    status = status_of(answer.body)
    code, why = answer.status, status.message or status.reason or f"HTTP {answer.status}"
    if code in _HINTS:
        kind, hint = _HINTS[code]
        return kind(what, why, hint)
    if code == 403:
        right = f"{answer.verb} {answer.resource}".strip() or "do this"
        hint = f"ask for the right to {right}; `mlconsole rbac` prints the rules"
        return Forbidden(what, why, hint, answer.verb, answer.resource)
    if code == 429:
        hint = "the server asks to slow down; it is tried again by itself"
        return TooManyRequests(what, why, hint, _retry(answer, status))
    if 400 <= code < 500:
        return Invalid(what, why)
    if code >= 500:
        hint = "the API server has a problem of its own; it is tried again"
        return ServerError(what, f"HTTP {code}: {why}", hint, _retry(answer, status))
    return ServerError(what, f"HTTP {code} where an API answer was expected", "is this address an API server's?")


def from_watch(body: bytes, what: str) -> ClusterError:
    """The error that a watch's ERROR event holds: a Status in place of an object."""
    return _of_answer(Answer(status_of(body).code or 500, body), what)


def _retry(answer: Answer, status: Status) -> float:
    try:
        return min(300.0, max(0.0, float(answer.headers.get("retry-after", ""))))
    except ValueError:
        pass
    return float(status.details.retry_after_seconds or 0) if status.details else 0.0


def _of_exception(error: BaseException, what: str) -> ClusterError:
    name = type(error).__name__
    certificate = _certificate(error)
    if certificate is not None:
        hint = "check certificate-authority(-data) and tls-server-name of this cluster in the kubeconfig"
        return Unreachable(what, f"its certificate is not trusted: {certificate.verify_message}", hint)
    if name == "InvalidURL":
        hint = "check `server` of this cluster in the kubeconfig"
        return ConfigInvalid(what, "the server's address is not a URL", hint)
    inner = getattr(error, "os_error", None) or error
    for kinds, names, why, hint in _NETWORK_WORDS:
        if isinstance(error, kinds) or isinstance(inner, kinds) or any(part in name for part in names):
            return Unreachable(what, why or _words(inner), hint)
    return ServerError(what, f"{name}: {_words(error)}", "see the log file")


_NETWORK_WORDS: tuple[tuple[tuple[type[BaseException], ...], tuple[str, ...], str, str], ...] = (
    ((ssl.SSLError,), ("SSL",), "", "TLS failed: check the client certificate and the server's address"),
    ((TimeoutError,), (), "no answer in time", "check the network or the VPN, or go to another context"),
    ((socket.gaierror,), ("DNS",), "its name is not known", "check the server's name, DNS and the VPN"),
    ((ConnectionRefusedError,), (), "connection refused", "is the API server up, and the port right?"),
    (
        (OSError, EOFError),
        ("ServerDisconnected", "ClientPayload", "ClientConnection", "ClientOS"),
        "",
        "check the network or the VPN; it is tried again by itself",
    ),
)
"""Exception types, parts of aiohttp's class names, why (empty: its own words), what to do; the first that fits."""


def _certificate(error: BaseException) -> ssl.SSLCertVerificationError | None:
    for candidate in (
        error,
        getattr(error, "certificate_error", None),
        getattr(error, "os_error", None),
        error.__cause__,
    ):
        if isinstance(candidate, ssl.SSLCertVerificationError):
            return candidate
    return None


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
