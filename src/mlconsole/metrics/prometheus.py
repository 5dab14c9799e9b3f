"""Questions to Prometheus, asked in a worker process: prometheus-api-client brings pandas, not for an engine to load.

`ask` is what the engine hands to the worker; nothing heavy is imported before it is called there. The client itself
returns data only, so what it throws away (warnings, the error's own words, the difference between a login page and
figures) is kept by a hook on its session, which also bounds the size and the time of an answer.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from mlconsole.config import Auth
from mlconsole.metrics import answers
from mlconsole.metrics.answers import MAX_ANSWER, Failure, Question, Reply, Row, address

__all__ = ["Endpoint", "Failure", "Question", "Reply", "Row", "address", "ask"]

SECONDS = 6.0
"""For one question."""
ALL_SECONDS = 15.0
"""After so long no further question of a round is begun."""
PARALLEL = 4
NOTHING = b'{"status":"success","data":{"result":[]}}'
"""What the client is given to read: what came is read already."""


class Endpoint(Struct, frozen=True):
    """Where Prometheus is and how to log in; secrets are named, not held."""

    url: str
    auth: Auth = Auth()
    seconds: float = SECONDS


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

    def __init__(self, failure: Failure, ahead: float | None = None) -> None:
        super().__init__(failure.why)
        self.failure = failure
        self.ahead = ahead


class _Client:
    """A connection of one thread."""

    def __init__(self, endpoint: Endpoint) -> None:
        import requests
        from prometheus_api_client import PrometheusConnect
        from urllib3.util.retry import Retry

        self.endpoint = endpoint
        self.deadline = 0.0
        self.reply = Reply()
        session = requests.Session()
        session.verify = _authority(endpoint.auth)
        session.cert = _certificate(endpoint.auth)
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
        self.reply = Reply()
        _, limits = question.parameters(self.endpoint.seconds)
        limits = {name: limits[name] for name in ("timeout", "limit")}
        if question.step:
            start, end = (datetime.fromtimestamp(at, UTC) for at in (question.start, question.end))
            self._api.custom_query_range(question.query, start, end, str(question.step), params=limits)
        else:
            self._api.custom_query(question.query, params=limits)
        return self.reply

    def _answered(self, response: Any, *_: Any, **__: Any) -> Any:
        """Read the answer within its bounds, and refuse what is none with words."""
        where = address(self.endpoint.url)
        if response.is_redirect:
            raise _Refused(answers.redirected(where, address(response.headers.get("location", ""))))
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.reply = answers.read(response.status_code, headers, self._body(response), where, time.time())
        if self.reply.failure is not None:
            raise _Refused(self.reply.failure, self.reply.ahead)
        return _replayed(response)

    def _body(self, response: Any) -> bytes:
        parts, size = [], 0
        for part in response.iter_content(65536):
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise _Refused(answers.too_large())
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
        return Reply(failure=error.failure, ahead=error.ahead)
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


def _certificate(auth: Auth) -> tuple[str, str] | str | None:
    """The client's certificate, and its key where that has a file of its own."""
    if auth.cert_file is None:
        return None
    found = []
    for key, given in (("cert_file", auth.cert_file), ("key_file", auth.key_file)):
        if given is not None:
            path = Path(given).expanduser()
            if not path.is_file():
                raise _Refused(Failure("down", f"metrics.auth.{key}: there is no file {path}", "correct the path"))
            if b"ENCRYPTED" in path.read_bytes():
                # OpenSSL would ask for its passphrase, on a terminal that nobody sees.
                why = f"metrics.auth.{key}: the key in {path} has a passphrase"
                raise _Refused(Failure("down", why, "give a key without one, in a file that only you can read"))
            found.append(str(path))
    return (found[0], found[1]) if len(found) == 2 else found[0]


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
    return answers.late(address(endpoint.url), endpoint.seconds)


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


def _replayed(response: Any) -> Any:
    """A response for the client, which would read the same again."""
    import requests

    fresh = requests.Response()
    fresh.status_code, fresh.headers, fresh.url = response.status_code, response.headers, response.url
    fresh.raw, fresh.encoding, fresh.request = io.BytesIO(NOTHING), "utf-8", response.request
    return fresh
