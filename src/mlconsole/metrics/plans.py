"""What a service's panels ask: the file's dialects that it speaks, under what `mlconsole.toml` says of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from mlconsole.config import ServiceSettings
from mlconsole.domain.services import ModelService
from mlconsole.domain.telemetry import Panel
from mlconsole.metrics import panels
from mlconsole.metrics.answers import Row
from mlconsole.metrics.matching import LABEL
from mlconsole.metrics.panels import Definition, Dialect


class Plan(Struct, frozen=True):
    """One panel of one service."""

    id: str
    title: str
    unit: str
    form: str = "lines"
    scale: str = "linear"
    thresholds: tuple[tuple[float, str], ...] = ()
    queries: Mapping[str, str] = {}
    """By statistic, in the order in which they are drawn; their words are not filled in."""
    label: str = ""
    """The label that names the lines, rather than the statistic."""
    reads: str = ""
    """What it would read, where none of that is there."""

    @property
    def panel(self) -> Panel:
        """The panel without its lines."""
        return Panel(self.id, self.title, self.unit, form=self.form, scale=self.scale, thresholds=self.thresholds)


def existing(service: ModelService, rows: Collection[Row], prefix: str = "") -> dict[str, frozenset[str]]:
    """The names that the pods of each colour export, by the answer to `queries.existing_query`."""
    found: dict[str, set[str]] = {}
    for row in rows:
        deployment, name = row.labels.get(LABEL), row.labels.get("__name__")
        if name:
            color = next((item.name for item in service.colors if item.deployment == deployment), None)
            if color is not None:
                found.setdefault(color, set()).add(prefix + name)
    return {color: frozenset(names) for color, names in found.items()}


def plans(settings: ServiceSettings, known: Mapping[str, frozenset[str]]) -> tuple[Plan, ...]:
    """The panels of a service whose pods export `known`, by colour: in the file's order, the added ones after them."""
    found = []
    for name, definition in panels.definitions().items():
        plan = _known(name, definition, settings, panels.spoken(definition, known.values()))
        if plan is not None:
            found.append(plan)
    file = panels.definitions()
    found += [_own(Plan(name, name, ""), settings) for name in settings.panels if name not in file]
    hidden = {name for name, own in settings.panels.items() if own.hidden}
    return tuple(plan for plan in found if plan.id not in hidden)


def _known(name: str, definition: Definition, settings: ServiceSettings, spoken: list[Dialect]) -> Plan | None:
    own = settings.panels.get(name)
    asked = name in panels.ALWAYS or (own is not None and (own.query or own.queries)) or _old(name, settings)
    if not spoken and not asked:
        return None
    used = spoken or (list(definition.dialect[:1]) if name in panels.ALWAYS else [])
    first = used[0] if used else Dialect()
    # A label's lines and a statistic's cannot be on one chart.
    used = [item for item in used if item.label == first.label]
    stats = (first.label,) if first.label else definition.statistics
    plan = Plan(
        name,
        definition.title,
        definition.unit if first.unit is None else first.unit,
        first.form or definition.form,
        definition.scale,
        _thresholds(name, settings),
        {stat: text for stat in stats if (text := panels.joined(used, stat))},
        first.label,
        "" if spoken else _reads(definition),
    )
    return _own(plan, settings)


def _old(name: str, settings: ServiceSettings) -> bool:
    return any(key == name or key.startswith(f"{name}.") for key in settings.queries)


def _reads(definition: Definition) -> str:
    names = list(dict.fromkeys(need for item in definition.dialect for need in item.needs))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"none of its metrics is there: {', '.join(names[:4])}{more} (docs/metrics.md)"


def _thresholds(name: str, settings: ServiceSettings) -> tuple[tuple[float, str], ...]:
    limits = {"latency": settings.thresholds.p95_seconds, "errors": settings.thresholds.error_share}
    limit = limits.get(name)
    return ((limit, "sick"),) if limit is not None else ()


def _own(plan: Plan, settings: ServiceSettings) -> Plan:
    """The panel with what the settings say of it instead."""
    own = settings.panels.get(plan.id)
    texts = dict(plan.queries)
    label, reads = plan.label, plan.reads
    for key, text in settings.queries.items():
        name, _, stat = key.partition(".")
        if name == plan.id:
            texts[stat or name], reads = text, ""
    if own is None:
        return _with(plan, texts, label, reads)
    if own.query is not None:
        label, reads = own.label or "", ""
        texts = {label or next(iter(plan.queries), plan.id): own.query}
    if own.queries:
        label, reads = "", ""
        texts = {**({} if plan.label else texts), **own.queries}
    thresholds = tuple((value, words) for words, value in own.thresholds.items()) or plan.thresholds
    return Plan(
        plan.id,
        own.title or plan.title,
        plan.unit if own.unit is None else own.unit,
        own.form or plan.form,
        own.scale or plan.scale,
        thresholds,
        texts,
        label,
        reads,
    )


def _with(plan: Plan, texts: Mapping[str, str], label: str, reads: str) -> Plan:
    return Plan(plan.id, plan.title, plan.unit, plan.form, plan.scale, plan.thresholds, texts, label, reads)
