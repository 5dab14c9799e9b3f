"""What the types of the settings do not see: a freeze that is none, an unknown gate, an analysis of nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from mlconsole import configpanels
from mlconsole.domain.freezes import FreezeError, window
from mlconsole.domain.policy import PLANNED, STEPS

if TYPE_CHECKING:
    from mlconsole.config import Environment, Settings
    from mlconsole.configalerts import Alert, Notify
    from mlconsole.configoperations import Analysis, Freeze
    from mlconsole.configvalidation import Limit


class Mistake(Struct, frozen=True):
    """What is wrong, on which dotted key, and what would be right."""

    key: str
    words: str


def mistake(settings: Settings) -> Mistake | None:
    """The first thing wrong, or None."""
    return next(_mistakes(settings), None)


def _mistakes(settings: Settings) -> Iterator[Mistake]:
    tables = {"defaults": settings.defaults} | {f"services.{name}": item for name, item in settings.services.items()}
    for table, service in tables.items():
        yield from _analyses(f"{table}.analysis", service.analysis)
        for key, words in (
            *configpanels.mistakes(f"{table}.panels", service.panels),
            *configpanels.old_mistakes(f"{table}.queries", service.queries),
        ):
            yield Mistake(key, words)
        yield from _alerts(f"{table}.alerts", service.alerts)
        yield from _limits(f"{table}.validation.metrics", service.validation.metrics)
    yield from _alerts("alerts", settings.alerts)
    yield from _notify(settings.notify)
    known = [*STEPS, *PLANNED, *sorted({name for service in tables.values() for name in service.analysis})]
    yield from _prometheus("metrics", settings.metrics.prometheus_url, settings)
    for name, environment in settings.environments.items():
        yield from _environment(f"environments.{name}", environment, known)
        yield from _prometheus(f"environments.{name}", environment.prometheus_url, settings)


def _prometheus(table: str, url: str | None, settings: Settings) -> Iterator[Mistake]:
    """An address through the API server that leads nowhere, or what would not reach Prometheus by it."""
    if not url or not url.startswith("kube:"):
        return
    from mlconsole.metrics import kube

    auth = settings.metrics.auth
    login = auth.username is not None or bool(auth.bearer_token_env or auth.bearer_token_file)
    if fault := kube.fault(url, tuple(auth.headers), login=login):
        yield Mistake(f"{table}.prometheus_url", f"{url!r}: {fault}")


def _analyses(table: str, analyses: Mapping[str, Analysis]) -> Iterator[Mistake]:
    if not analyses:
        return
    from mlconsole.domain import conditions  # most settings have none, and a console opens without it

    for name, analysis in analyses.items():
        key = f"{table}.{name}"
        if analysis.template:
            continue
        if not (analysis.condition or analysis.query):
            yield Mistake(key, "it measures nothing: give it a `condition`, a `query` or a `template`")
        elif not analysis.condition:
            yield Mistake(key, "it has a query and no `condition`: say what must hold of the `result`")
        elif fault := conditions.fault(analysis.condition, analysis.query or ""):
            yield Mistake(f"{key}.condition", fault)


def _alerts(table: str, alerts: Mapping[str, Alert]) -> Iterator[Mistake]:
    if not alerts:
        return
    from mlconsole.domain import conditions

    for name, alert in alerts.items():
        key = f"{table}.{name}"
        if not alert.enabled:
            continue
        if not alert.condition:
            words = "it has a query and no `condition`: say what is wrong with the `result`" if alert.query else ""
            yield Mistake(key, words or "it looks at nothing: give it a `condition`, or a `query` and a `condition`")
        elif fault := conditions.fault(alert.condition, alert.query or ""):
            yield Mistake(f"{key}.condition", fault)
        elif alert.clear and (fault := conditions.fault(alert.clear, alert.query or "")):
            yield Mistake(f"{key}.clear", fault)


def _notify(notify: Notify) -> Iterator[Mistake]:
    url = notify.webhook.url
    if url is not None and not re.match(r"https?://[^/\s]", url):
        yield Mistake("notify.webhook.url", f"{url!r} is not an address like https://hooks.example/alerts")
    if notify.command and not notify.command[0].strip():
        yield Mistake("notify.command", "its first word is the program to run, and it is empty")


def _limits(table: str, limits: Mapping[str, Limit]) -> Iterator[Mistake]:
    if not limits:
        return
    from mlconsole.domain.validation import BadThreshold, rule_of

    for metric, limit in limits.items():
        try:
            rule_of(metric, limit.threshold())
        except BadThreshold as error:
            yield Mistake(f"{table}.{metric}", str(error))


def _environment(table: str, environment: Environment, known: Iterable[str]) -> Iterator[Mistake]:
    for gate in environment.required_gates:
        if gate not in known:
            near = difflib.get_close_matches(gate, known, 1)
            right = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            yield Mistake(f"{table}.required_gates", f"no gate or analysis is called {gate!r}; {right}")
    for name, freeze in environment.freeze.items():
        yield from _freeze(f"{table}.freeze.{name}", name, freeze)


def _freeze(table: str, name: str, freeze: Freeze) -> Iterator[Mistake]:
    try:
        window(name, freeze.days, freeze.start, freeze.end, freeze.timezone)
    except FreezeError as error:
        yield Mistake(f"{table}.{error.key}", error.message)
