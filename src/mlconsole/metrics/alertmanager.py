"""The alerts that others know: Prometheus' own (/api/v1/alerts) and Alertmanager's (/api/v2/alerts), with its silences.

Asked in the worker, like every question to Prometheus, with the same login. What comes is text from outside: it is read
by its shape and handed on as `domain.alerts.Alert`; what has another shape is left out, and counted.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.alerts import Alert, Severity, State, panel_of, severity_of
from mlconsole.domain.text import visible
from mlconsole.metrics import prometheus
from mlconsole.metrics.prometheus import Endpoint, Failure, address

MOST = 2000
"""Alerts that are taken from one source."""
MAX_ANSWER = 8 * 2**20
LABEL = 200
_UNLISTED = ("alertname", "severity", "prometheus", "prometheus_replica", "replica")
"""Labels that say nothing of what it is about: Alertmanager's copy has some that Prometheus' own has not."""


class Silence(Struct, frozen=True):
    """A silence of Alertmanager."""

    id: str
    matchers: tuple[str, ...]
    """`service="fraud"`, as amtool writes them."""
    starts_at: float
    ends_at: float
    by: str
    comment: str
    state: str
    """`active`, `pending`, `expired`."""


class Others(Struct, frozen=True):
    """What the sources said."""

    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    answered: tuple[str, ...] = ()
    """`prometheus`, `alertmanager`."""
    failures: dict[str, Failure] = {}
    """By source."""


class Wanted(Struct, frozen=True):
    """A silence to make."""

    labels: dict[str, str]
    """What an alert must bear, each exactly."""
    seconds: float
    by: str
    comment: str


def read(own: Endpoint | None, manager: Endpoint | None) -> Others:
    """Ask both, the one that is configured. Raises nothing that the network or a server can cause."""
    alerts: list[Alert] = []
    silences: tuple[Silence, ...] = ()
    answered, failures = [], {}
    if own is not None:
        document = _get(own, "/api/v1/alerts")
        if isinstance(document, Failure):
            failures["prometheus"] = document
        else:
            answered.append("prometheus")
            alerts += _of_prometheus(document)
    if manager is not None:
        known, made = _get(manager, "/api/v2/silences"), _get(manager, "/api/v2/alerts")
        failure = next((item for item in (made, known) if isinstance(item, Failure)), None)
        if failure is not None:
            failures["alertmanager"] = failure
        else:
            answered.append("alertmanager")
            silences = _silences(known)
            alerts += _of_manager(made, {item.id: item for item in silences})
    return Others(tuple(alerts[:MOST]), silences, tuple(answered), failures)


def with_own(others: Others, document: object) -> Others:
    """The same with what Prometheus' own API said, or with why it said nothing."""
    if isinstance(document, Failure):
        return Others(others.alerts, others.silences, others.answered, {**others.failures, "prometheus": document})
    found = (*_of_prometheus(document), *others.alerts)
    return Others(found[:MOST], others.silences, ("prometheus", *others.answered), others.failures)


def silence(manager: Endpoint, wanted: Wanted) -> str | Failure:
    """Make a silence; its id. One whose answer was lost is looked for before it is said to be none."""
    now = time.time()
    body = {
        "matchers": [
            {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in wanted.labels.items()
        ],
        "startsAt": _stamp(now),
        "endsAt": _stamp(now + wanted.seconds),
        "createdBy": wanted.by,
        "comment": wanted.comment,
    }
    answer = _ask(manager, "POST", "/api/v2/silences", body)
    if isinstance(answer, Failure):
        return _made(manager, body) or answer
    found = answer.get("silenceID") if isinstance(answer, dict) else None
    return str(found) if found else Failure("down", f"{address(manager.url)} made a silence and did not say which")


def _made(manager: Endpoint, body: Mapping[str, Any]) -> str:
    """The id of the silence that was asked for, if it is there all the same."""
    wanted = {(one["name"], one["value"]) for one in body["matchers"]}
    for item in _items(_get(manager, "/api/v2/silences")):
        matchers = {(one.get("name"), one.get("value")) for one in _items(item.get("matchers"))}
        same = matchers == wanted and all(item.get(key) == body[key] for key in ("createdBy", "comment"))
        if same and _seconds(item.get("endsAt")) == _seconds(body["endsAt"]):
            return visible(str(item.get("id", "")), 60)
    return ""


# ---- what they say


def _of_prometheus(document: Any) -> list[Alert]:
    data = document.get("data") if isinstance(document, dict) else None
    found = data.get("alerts") if isinstance(data, dict) else None
    return [alert for item in _items(found) if (alert := _own(item)) is not None]


def _own(item: Mapping[str, Any]) -> Alert | None:
    labels, notes = _texts(item.get("labels")), _texts(item.get("annotations"))
    state = {"firing": State.FIRING, "pending": State.PENDING}.get(str(item.get("state")))
    if state is None or "alertname" not in labels:
        return None
    value = visible(str(item.get("value", "")), 40)
    words = "; ".join(filter(None, (_summary(notes), f"value {value}" if value else "")))
    return _alert(labels, state, _seconds(item.get("activeAt")), "prometheus", words)


def _of_manager(document: Any, silences: Mapping[str, Silence]) -> list[Alert]:
    return [alert for item in _items(document) if (alert := _managed(item, silences)) is not None]


def _managed(item: Mapping[str, Any], silences: Mapping[str, Silence]) -> Alert | None:
    labels, status = _texts(item.get("labels")), item.get("status")
    if "alertname" not in labels:
        return None
    status = status if isinstance(status, dict) else {}
    silenced = tuple(_by(str(name), silences) for name in status.get("silencedBy") or ())
    inhibited = tuple(f"inhibited by {visible(str(name), 40)}" for name in status.get("inhibitedBy") or ())
    words = _summary(_texts(item.get("annotations")))
    at, origin = _seconds(item.get("startsAt")), visible(str(item.get("generatorURL") or ""), LABEL)
    found = _alert(labels, State.FIRING, at, "alertmanager", words, silenced + inhibited, origin)
    return replace(found, altered=labels != item["labels"])


def _by(name: str, silences: Mapping[str, Silence]) -> str:
    known = silences.get(name)
    if known is None:
        return f"silence {visible(name, 40)}"
    return f"{known.by or 'somebody'} until {time.strftime('%m-%d %H:%MZ', time.gmtime(known.ends_at))}"


def _alert(
    labels: dict[str, str],
    state: State,
    since: float,
    source: str,
    words: str,
    silenced: tuple[str, ...] = (),
    origin: str = "",
) -> Alert:
    name, severity = labels["alertname"], severity_of(labels.get("severity", ""))
    told = {key: value for key, value in labels.items() if key not in _UNLISTED}
    digest = hashlib.sha256(json.dumps([name, sorted(told.items())]).encode()).hexdigest()[:12]
    return Alert(
        id=f"{name}|{digest}|{since:.0f}",
        name=name,
        service="",
        severity=severity if "severity" in labels else Severity.WARNING,
        state=state,
        sources=(source,),
        since=since,
        fired_at=since if state is State.FIRING else 0.0,
        value=words,
        panel=panel_of((), name),
        labels=told,
        origin=origin,
        silenced_by=silenced,
    )


def _silences(document: Any) -> tuple[Silence, ...]:
    found = [_silence(item) for item in _items(document)]
    return tuple(sorted((item for item in found if item.state != "expired"), key=lambda item: item.ends_at))


def _silence(item: Mapping[str, Any]) -> Silence:
    status = item.get("status")
    state = str(status.get("state", "")) if isinstance(status, dict) else ""
    matchers = tuple(_matcher(one) for one in _items(item.get("matchers")))
    return Silence(
        visible(str(item.get("id", "")), 60),
        matchers,
        _seconds(item.get("startsAt")),
        _seconds(item.get("endsAt")),
        visible(str(item.get("createdBy", "")), 60),
        visible(str(item.get("comment", "")), LABEL),
        visible(state, 20),
    )


def _matcher(one: Mapping[str, Any]) -> str:
    equal, regex = one.get("isEqual", True) is not False, one.get("isRegex") is True
    sign = {(True, False): "=", (True, True): "=~", (False, False): "!=", (False, True): "!~"}[equal, regex]
    return visible(f'{one.get("name", "")}{sign}"{one.get("value", "")}"', LABEL)


def _items(found: Any) -> Sequence[Mapping[str, Any]]:
    return [item for item in found[:MOST] if isinstance(item, dict)] if isinstance(found, list) else []


def _texts(found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {visible(str(key), 60): visible(str(value), LABEL) for key, value in list(found.items())[:40]}


def _summary(notes: Mapping[str, str]) -> str:
    return next((notes[key] for key in ("summary", "message", "description") if notes.get(key)), "")


def _seconds(stamp: Any) -> float:
    try:
        return datetime.fromisoformat(str(stamp).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


# ---- the line


def _get(endpoint: Endpoint, path: str) -> Any:
    return _ask(endpoint, "GET", path, None)


def _ask(endpoint: Endpoint, method: str, path: str, body: Any) -> Any:
    """The JSON of an answer, or why there is none. Bounded in size and in time."""
    import requests

    where = address(endpoint.url)
    try:
        with requests.Session() as session:
            session.verify = prometheus._authority(endpoint.auth)
            session.cert = prometheus._certificate(endpoint.auth)
            session.auth = prometheus._login(endpoint)
            session.headers.update(endpoint.auth.headers)
            url = endpoint.url.rstrip("/") + path
            with session.request(
                method, url, json=body, timeout=endpoint.seconds, stream=True, allow_redirects=False
            ) as response:
                return _answer(response, where, time.monotonic() + endpoint.seconds)
    except prometheus._Refused as error:
        return error.failure
    except requests.RequestException as error:
        return prometheus._network(endpoint, error)
    except (OSError, ValueError) as error:
        return Failure("down", f"{where}: {type(error).__name__}: {error}")


def _answer(response: Any, where: str, deadline: float) -> Any:
    parts, size = [], 0
    for part in response.iter_content(65536):
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER:
            return Failure("down", f"{where} answered with more than {MAX_ANSWER >> 20} MiB")
        if time.monotonic() > deadline:
            return Failure("down", f"{where} did not come to an end in time")
    text = b"".join(parts)
    if response.status_code in (401, 403):
        hint = "check [metrics.auth] in mlconsole.toml"
        return Failure("denied", f"{where} answered {response.status_code}", hint)
    if response.status_code != 200:
        said = visible(text[:200].decode(errors="replace"), 200)
        return Failure("down", f"{where} answered {response.status_code}: {said}", "check the address and its path")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return Failure("down", f"{where} answered with no JSON", "check the address, and whether a login is before it")
