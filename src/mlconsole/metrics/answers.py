"""What an answer of Prometheus' HTTP API says: the series in it, its warnings, its clock, or why it is none.

VictoriaMetrics, Thanos and Mimir speak the same API with accents: a `result` that is null, `isPartial` beside
`warnings`, fields that are left out. Whatever way the bytes came, they are read here.
"""

from __future__ import annotations

import email.utils
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from mlconsole.domain.text import visible

MAX_ANSWER = 16 * 2**20
"""Bytes that are read of an answer."""
MAX_SERIES = 10_000
SHOWN_WARNINGS = 5
NARROWER = "the query needs a narrower selector, or a sum; those of mlconsole.toml are yours to correct"
PARTIAL = "the answer is partial: a part of its storage did not answer"


class Question(Struct, frozen=True):
    """One query, at an instant (`step` 0) or over a range on whole seconds."""

    query: str
    start: int = 0
    end: int = 0
    step: int = 0

    def parameters(self, seconds: float) -> tuple[str, dict[str, str]]:
        """The API's last word, and what is sent with it."""
        # `limit` is new with Prometheus 3; who does not know it ignores it.
        found = {"query": self.query, "timeout": f"{seconds:g}s", "limit": str(MAX_SERIES + 1)}
        if self.step:
            return "query_range", {**found, "start": str(self.start), "end": str(self.end), "step": str(self.step)}
        return "query", found


class Row(Struct, frozen=True):
    """One series of an answer; NaN where Prometheus gave no finite number."""

    labels: dict[str, str]
    times: list[float]
    values: list[float]


class Failure(Struct, frozen=True):
    """Why there is no answer."""

    kind: str
    """`denied` (401, 403), `query` (Prometheus refuses this one query), `down` (all else)."""
    why: str
    hint: str = ""


class Reply(Struct, frozen=True):
    """The answer to one question."""

    rows: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None
    ahead: float | None = None
    """By how many seconds the server's clock is ahead of ours, to the second; None where it did not say."""


def address(url: str) -> str:
    """The address to show: without a login and a query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is not a URL"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path.rstrip('/')}"


class _Data(Struct):
    result: Any


class _Document(Struct, rename="camel"):
    status: str = ""
    data: _Data | None = None
    error: str | None = None
    warnings: list[str] | None = None
    infos: list[str] | None = None
    is_partial: bool | None = None


def read(status: int, headers: Mapping[str, str], body: bytes, where: str, now: float) -> Reply:
    """The reply that an answer is, which came at `now`; `headers` by names in lower case.

    Raises nothing that a server can cause.
    """
    ahead = _ahead(headers, now)
    if len(body) > MAX_ANSWER:
        return Reply(failure=too_large(), ahead=ahead)
    document = _document(body)
    if status != 200 or document is None or document.status == "error":
        return Reply(failure=_refusal(status, document, body, where), ahead=ahead)
    if document.data is None:
        why = f"{where}: the answer has no data, not as Prometheus' API answers"
        return Reply(failure=Failure("down", why, "check metrics.prometheus_url"), ahead=ahead)
    result = document.data.result
    if isinstance(result, list) and len(result) > MAX_SERIES:
        return Reply(failure=_too_many(), ahead=ahead)
    try:
        rows = _rows(result)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Reply(failure=Failure("down", f"{where}: {type(error).__name__}: {error}"), ahead=ahead)
    partial = (PARTIAL,) if document.is_partial else ()
    warnings = (*partial, *(document.warnings or ()), *(document.infos or ()))
    return Reply(rows, warnings[:SHOWN_WARNINGS], ahead=ahead)


def too_large() -> Failure:
    """Why an answer is not read to its end."""
    return Failure("query", f"an answer of over {MAX_ANSWER >> 20} MiB", NARROWER)


def _too_many() -> Failure:
    return Failure("query", f"over {MAX_SERIES:,} series", NARROWER)


def redirected(where: str, to: str) -> Failure:
    """What is said of a redirection: it is not followed, since the login would go with it."""
    hint = "a login page needs [metrics.auth]; a moved server needs its new address as metrics.prometheus_url"
    return Failure("down", f"{where} redirects to {to}", hint)


def late(where: str, seconds: float) -> Failure:
    """No answer in time."""
    why = f"{where} gave no answer within {seconds:g} s"
    return Failure("down", why, "it is slow or overloaded; it is tried again by itself")


def _ahead(headers: Mapping[str, str], now: float) -> float | None:
    """By the header Date. A cache in between says an old one, and its age."""
    text = headers.get("date", "")
    if not text or headers.get("age", "0") != "0":
        return None
    try:
        # The header has whole seconds, cut off.
        return email.utils.parsedate_to_datetime(text).timestamp() + 0.5 - now
    except (ValueError, TypeError, OverflowError):
        return None


def _document(body: bytes) -> _Document | None:
    try:
        return msgspec.json.decode(body, type=_Document)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _rows(result: Any) -> tuple[Row, ...]:
    """The series of a vector or a matrix. Raises TypeError, ValueError and KeyError for anything else."""
    if result is None:
        return ()
    if not isinstance(result, list):
        raise TypeError("the answer's result is not a list")
    rows = []
    for item in result:
        if not isinstance(item, dict):
            continue  # a scalar: no labels, so of no colour
        samples: Sequence[Any] = item.get("values") or ([item["value"]] if "value" in item else [])
        times = [float(at) for at, _ in samples]
        labels = {str(key): str(value) for key, value in (item.get("metric") or {}).items()}
        rows.append(Row(labels, times, [_finite(value) for _, value in samples]))
    return tuple(rows)


def _finite(text: Any) -> float:
    value = float(text)
    return value if math.isfinite(value) else math.nan


def _refusal(status: int, document: _Document | None, body: bytes, where: str) -> Failure:
    own = str((document.error if document else _plain(body)) or "")[:300]
    if status in (401, 403):
        why = f"{where} answered {status}: " + ("login needed" if status == 401 else "this login may not query")
        hint = "check [metrics.auth] in mlconsole.toml: username, bearer token, headers"
        if "no org id" in own:
            why, hint = (
                f"{where} wants a tenant's name",
                'give it: headers = { X-Scope-OrgID = "..." } in [metrics.auth]',
            )
        return Failure("denied", why, hint)
    if document is None and status == 200:
        kind = "HTML" if body.lstrip()[:1] == b"<" else "no JSON"
        why = f"{where} answered with {kind}, not as Prometheus' API does"
        return Failure(
            "down", why, "check metrics.prometheus_url (its path, too), and whether a login stands before it"
        )
    if status in (400, 422) and document is not None:
        return Failure("query", f"Prometheus refuses the query: {own or status}", "correct it in mlconsole.toml")
    if status == 404:
        return Failure("down", f"{where} has no /api/v1 (404)", "check the path of metrics.prometheus_url")
    hint = "it is tried again by itself"
    if status == 429:
        hint = "too much is asked of it at once: it is asked less often now; a longer metrics.refresh helps"
    return Failure("down", f"{where} answered {status}" + (f": {own}" if own else ""), hint)


def _plain(body: bytes) -> str:
    """What a server says that does not speak JSON; a page for browsers says nothing."""
    start = body[:1000].strip()
    return "" if start[:1] == b"<" else visible(start.decode(errors="replace"), 200)
