"""Questions to Prometheus, asked in a worker process: prometheus-api-client brings pandas, not for an engine to load.

`ask` is what the engine hands to the worker; nothing heavy is imported before it is called there. The client itself
returns data only, so what it throws away (warnings, the error's own words, the difference between a login page and
figures) is kept by a hook on its session, which also bounds the size and the time of an answer.
"""

from __future__ import annotations

import io
import json
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from mlconsole.config import Auth

SECONDS = 6.0
"""For one question."""
ALL_SECONDS = 15.0
"""After so long no further question of a round is begun."""
PARALLEL = 4
MAX_ANSWER = 16 * 2**20


class Endpoint(Struct, frozen=True):
    """Where Prometheus is and how to log in; secrets are named, not held."""

    url: str
    auth: Auth = Auth()
    seconds: float = SECONDS


class Question(Struct, frozen=True):
    """One query, at an instant (`step` 0) or over a range on whole seconds."""

    query: str
    start: int = 0
    end: int = 0
    step: int = 0


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


def address(url: str) -> str:
    """The address to show: without a login and a query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is not a URL"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path.rstrip('/')}"


def ask(endpoint: Endpoint, questions: Sequence[Question]) -> list[Reply]:
    """The reply to each question, in order. Raises nothing that the network or the server can cause."""
    if not questions:
        return []
    until = time.monotonic() + ALL_SECONDS
    first = _one(endpoint, until, questions[0])
    if first.failure is not None and first.failure.kind != "query":
        # Down for one is down for all: nobody waits for the same timeout again.
        return [first] * len(questions)
    return [first, *_pool().map(partial(_one, endpoint, until), questions[1:])]


# ---- in the worker


class _Refused(Exception):
    """What the hook found: not an answer to use."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.why)
        self.failure = failure


class _Client:
    """A connection of one thread."""

    def __init__(self, endpoint: Endpoint) -> None:
        import requests
        from prometheus_api_client import PrometheusConnect
        from urllib3.util.retry import Retry

        self.endpoint = endpoint
        self.deadline = 0.0
        self.warnings: tuple[str, ...] = ()
        session = requests.Session()
        session.verify = _authority(endpoint.auth)
        session.hooks["response"].append(self._answered)
        self._api = PrometheusConnect(
            endpoint.url.rstrip("/"),
            headers=dict(endpoint.auth.headers) or None,
            retry=Retry(total=0, redirect=False),
            auth=_login(endpoint),
            session=session,
            timeout=endpoint.seconds,
        )

    def ask(self, question: Question) -> Reply:
        self.deadline = time.monotonic() + self.endpoint.seconds
        self.warnings = ()
        limit = {"timeout": f"{self.endpoint.seconds:g}s"}
        if question.step:
            start, end = (datetime.fromtimestamp(at, UTC) for at in (question.start, question.end))
            data = self._api.custom_query_range(question.query, start, end, str(question.step), params=limit)
        else:
            data = self._api.custom_query(question.query, params=limit)
        return Reply(_rows(data), self.warnings)

    def _answered(self, response: Any, *_: Any, **__: Any) -> Any:
        """Read the answer within its bounds, and refuse what is none with words."""
        where = address(self.endpoint.url)
        if response.is_redirect:
            to = address(response.headers.get("location", ""))
            hint = "a login page needs [metrics.auth]; a moved server needs its new address as metrics.prometheus_url"
            raise _Refused(Failure("down", f"{where} redirects to {to}", hint))
        body = self._body(response)
        document = _json(body)
        if response.status_code != 200 or document is None:
            raise _Refused(_refusal(response.status_code, document, body, where))
        warnings = [*(document.get("warnings") or ()), *(document.get("infos") or ())]
        self.warnings = tuple(str(text) for text in warnings[:5])
        return _replayed(response, body)

    def _body(self, response: Any) -> bytes:
        parts, size = [], 0
        for part in response.iter_content(65536):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                why = f"an answer of over {MAX_ANSWER >> 20} MiB"
                raise _Refused(Failure("query", why, "a query in mlconsole.toml needs a narrower selector"))
            if time.monotonic() > self.deadline:
                raise _Refused(_late(self.endpoint))
        return b"".join(parts)


_local = threading.local()
_threads: list[ThreadPoolExecutor] = []


def _pool() -> ThreadPoolExecutor:
    if not _threads:
        _threads.append(ThreadPoolExecutor(PARALLEL, "prometheus"))
    return _threads[0]


def _one(endpoint: Endpoint, until: float, question: Question) -> Reply:
    import requests
    from prometheus_api_client.exceptions import PrometheusApiClientException

    if time.monotonic() > until:
        return Reply(failure=_late(endpoint))
    try:
        client = getattr(_local, "client", None)
        if client is None or client.endpoint != endpoint:
            client = _local.client = _Client(endpoint)
        reply: Reply = client.ask(question)
    except _Refused as error:
        return Reply(failure=error.failure)
    except requests.RequestException as error:
        return Reply(failure=_network(endpoint, error))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, PrometheusApiClientException) as error:
        # A file of [metrics.auth] that is not there; data of another shape than the API's.
        return Reply(failure=Failure("down", f"{address(endpoint.url)}: {type(error).__name__}: {error}"))
    return reply


def _login(endpoint: Endpoint) -> Callable[[Any], Any] | tuple[str, str] | None:
    """What requests calls on each request: read anew, so that a rotated token is used. Raises _Refused."""
    auth = endpoint.auth
    if auth.username is not None:
        return auth.username, _secret(auth.password_env, "password_env") if auth.password_env else ""
    if auth.bearer_token_env or auth.bearer_token_file:

        def bearer(request: Any) -> Any:
            request.headers["Authorization"] = f"Bearer {_token(auth)}"
            return request

        return bearer
    return None


def _authority(auth: Auth) -> str | bool:
    if auth.ca_file is None:
        return True
    path = Path(auth.ca_file).expanduser()
    if not path.is_file():
        raise _Refused(Failure("down", f"metrics.auth.ca_file: there is no file {path}", "correct the path"))
    return str(path)


def _token(auth: Auth) -> str:
    if auth.bearer_token_file:
        path = Path(auth.bearer_token_file).expanduser()
        try:
            return path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = f"metrics.auth.bearer_token_file cannot be read: {error}"
            raise _Refused(Failure("denied", why, "correct the path or the file's mode")) from error
    return _secret(auth.bearer_token_env or "", "bearer_token_env")


def _secret(variable: str, key: str) -> str:
    value = os.environ.get(variable)
    if not value:
        why = f"metrics.auth.{key} names {variable}, which is not set"
        raise _Refused(Failure("denied", why, f"export {variable} and start mlconsole again"))
    return value.strip()


def _rows(data: Any) -> tuple[Row, ...]:
    """The series of a vector or a matrix. Raises TypeError, ValueError and KeyError for anything else."""
    if not isinstance(data, list):
        raise TypeError("the answer's result is not a list")
    rows = []
    for item in data:
        if not isinstance(item, dict):
            continue  # a scalar: no labels, so of no colour
        samples = item.get("values") or ([item["value"]] if "value" in item else [])
        times = [float(at) for at, _ in samples]
        rows.append(Row({str(k): str(v) for k, v in item["metric"].items()}, times, [_finite(v) for _, v in samples]))
    return tuple(rows)


def _finite(text: Any) -> float:
    value = float(text)
    return value if math.isfinite(value) else math.nan


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _refusal(status: int, document: dict[str, Any] | None, body: bytes, where: str) -> Failure:
    own = str((document or {}).get("error") or "")[:300]
    if status in (401, 403):
        why = f"{where} answered {status}: " + ("login needed" if status == 401 else "this login may not query")
        return Failure("denied", why, "check [metrics.auth] in mlconsole.toml: username, bearer token, headers")
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
    return Failure("down", f"{where} answered {status}" + (f": {own}" if own else ""), hint)


def _network(endpoint: Endpoint, error: Exception) -> Failure:
    import requests

    where = address(endpoint.url)
    if isinstance(error, requests.exceptions.SSLError):
        return Failure("down", f"{where}: TLS failed: {_inner(error)}", "check metrics.auth.ca_file and the address")
    if isinstance(error, requests.Timeout):
        return _late(endpoint)
    if isinstance(
        error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema)
    ):
        hint = "metrics.prometheus_url (or PROMETHEUS_URL) must be like http://prometheus:9090"
        return Failure("down", f"{where} is not an address to ask", hint)
    return Failure("down", f"{where} cannot be reached: {_inner(error)}", "check the address, the network or the VPN")


def _late(endpoint: Endpoint) -> Failure:
    why = f"{address(endpoint.url)} gave no answer within {endpoint.seconds:g} s"
    return Failure("down", why, "it is slow or overloaded; it is tried again by itself")


def _inner(error: BaseException) -> str:
    """The innermost words: requests and urllib3 wrap an OSError three times."""
    seen: BaseException = error
    while True:
        reason = getattr(seen, "reason", None)
        inner = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__
        inner = inner or next((item for item in seen.args if isinstance(item, BaseException)), None)
        if inner is None:
            break
        seen = inner
    return getattr(seen, "strerror", None) or str(seen) or type(seen).__name__


def _replayed(response: Any, body: bytes) -> Any:
    """The response with a body that can be read (again)."""
    import requests

    fresh = requests.Response()
    fresh.status_code, fresh.headers, fresh.url = response.status_code, response.headers, response.url
    fresh.raw, fresh.encoding, fresh.request = io.BytesIO(body), "utf-8", response.request
    return fresh
