"""The versions of a registered model, newest first: what they score, and where they serve."""

from __future__ import annotations

import itertools

from mlconsole.domain import validated
from mlconsole.domain.plans import Verdict
from mlconsole.domain.registry import ModelVersion, RegisteredModel
from mlconsole.domain.services import ModelService
from mlconsole.ui.render import words
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, hue, line, wrapped
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row

PREFERRED = ("f1", "f1_score", "auc", "roc_auc", "accuracy", "r2", "rmse", "mae", "loss")
"""The metric that stands for a version: the first of these that any version has, else the first by name."""
COLUMNS = (
    Column("version", 3, 8),
    Column("alias", 0, 24, drop=3),
    Column("score", 4, 16, right=True, drop=2),
    Column("Δ live", 4, 8, right=True, drop=5),
    Column("serves", 0, 14, drop=1),
    Column("validated", 0, 9, drop=4),
    Column("against", 0, 20, drop=6),
    Column("made", 2, 5, right=True, drop=7),
    Column("git", 0, 7, drop=8),
    Column("by", 0, 14, drop=9),
)
SKEW = 300.0
"""Seconds that the clock of whoever validated may be ahead."""
VALIDATED = {
    Verdict.PASS: ("✔ PASS", Slot.GOOD),
    Verdict.FAIL: ("✖ FAIL", Slot.BAD),
    Verdict.UNKNOWN: ("? UNKNOWN", Slot.WARN),
}


def main_metric(model: RegisteredModel) -> str:
    """The metric shown for every version, or empty."""
    names = {name for version in model.versions if version.run for name in version.run.metrics}
    names = {name for name in names if not name.startswith(validated.METRICS)}
    return next((name for name in PREFERRED if name in names), min(names, default=""))


def rows(model: RegisteredModel, service: ModelService | None, now: float) -> list[Row]:
    """A row for each version."""
    metric = main_metric(model)
    live = service.live_color if service else None
    reference = _score(model.find(live.release.version), metric) if live else None
    return [_row(version, metric, reference, service, now) for version in model.versions]


def _score(version: ModelVersion | None, metric: str) -> float | None:
    return version.run.metrics.get(metric) if version and version.run else None


def _row(version: ModelVersion, metric: str, reference: float | None, service: ModelService | None, now: float) -> Row:
    score = _score(version, metric)
    delta = EMPTY
    if score is not None and reference is not None and score != reference:
        delta = line(Span(words.difference(score - reference), Slot.DIM))
    serves = _serves(version, service)
    stage = line(Span(version.stage.lower(), Slot.DIM)) if version.stage else EMPTY
    aliases = line(*_between([Span(f"@{alias}", Slot.MARK) for alias in version.aliases]))
    cells: tuple[Line, ...] = (
        line(Span(f"v{version.version}", Slot.STRONG if serves else Slot.PLAIN)),
        aliases or stage,
        line(Span(f"{metric} ", Slot.DIM), words.metric(score)) if metric else EMPTY,
        delta,
        serves or _status(version),
        *_validated(version, now),
        line(Span(words.rough_age(now - version.created_at), Slot.DIM)) if version.created_at else EMPTY,
        line(Span(version.run.git_sha[:7] if version.run else "", Slot.DIM)),
        line(Span(version.user or (version.run.user if version.run else ""), Slot.DIM)),
    )
    return Row(version.version, cells)


def _validated(version: ModelVersion, now: float) -> tuple[Line, Line]:
    """What its last validation said; how long ago, and against what."""
    stamp = validated.stamp_of(version.tags)
    if stamp is None:
        return EMPTY, EMPTY
    age, against = _age(stamp, now), f"vs {stamp.baseline}" if stamp.baseline else ""
    return line(Span(*VALIDATED[stamp.verdict])), line(Span(f"{age} {against}".strip(), Slot.DIM))


def _age(stamp: validated.Stamp, now: float) -> str:
    """A time that lies ahead is no age."""
    return words.rough_age(now - stamp.at) if 0 < stamp.at <= now + SKEW else ""


def _between(spans: list[Span]) -> list[Span]:
    return [piece for span in spans for piece in (Span(" "), span)][1:]


def _serves(version: ModelVersion, service: ModelService | None) -> Line:
    parts = []
    for color in service.colors if service else ():
        if color.release.version != version.version or color.release.model not in ("", version.model):
            continue
        live = service is not None and service.live_color is color
        name = color.name or "live"
        parts.append(Span(f"● {name}" if live else f"○ {name}", hue(color.name, live)))
    return line(*_between(parts))


def _status(version: ModelVersion) -> Line:
    if version.status in ("", "READY"):
        return EMPTY
    return line(Span(version.status.lower().replace("_", " "), Slot.WARN))


def details(model: RegisteredModel, version: ModelVersion, width: int, now: float) -> list[Line]:
    """Everything about one version, for a page of its own."""
    found: list[Line] = [line(Span(f"{model.name} v{version.version}", Slot.STRONG))]
    stamp = validated.stamp_of(version.tags)
    facts = [
        ("aliases", " ".join(f"@{alias}" for alias in version.aliases)),
        ("stage", f"{version.stage} (deprecated in MLflow)" if version.stage else ""),
        ("status", version.status),
        ("made", f"{words.stamp(version.created_at)}, {words.rough_age(now - version.created_at)} ago"),
        ("by", version.user),
        ("source", version.source),
        ("validated", _validation(stamp, now)),
        ("input example", "yes" if version.has_input_example else "none"),
        ("inputs", ", ".join(f"{field.name} {field.type}" for field in version.inputs)),
        ("outputs", ", ".join(f"{field.name} {field.type}".strip() for field in version.outputs)),
        ("about", version.description),
    ]
    run = version.run
    if run:
        facts += [
            ("run", f"{run.name} {run.run_id}"),
            ("experiment", run.experiment),
            ("run status", run.status),
            ("git", run.git_sha),
            ("trained", f"{words.stamp(run.started_at)}, took {words.age(run.ended_at - run.started_at)}")
            if run.ended_at
            else ("trained", words.stamp(run.started_at)),
        ]
    else:
        facts.append(("run", version.run_problem or "none"))
    for name, value in facts:
        found += _fact(name, value, width)
    sections = (
        ("metrics", {name: words.metric(value) for name, value in run.metrics.items()} if run else {}),
        ("parameters", run.params if run else {}),
        ("tags", {name: value for name, value in version.tags.items() if name != validated.TAG or not stamp}),
        ("run tags", run.tags if run else {}),
    )
    return found + list(itertools.chain.from_iterable(_section(title, items, width) for title, items in sections))


def _validation(stamp: validated.Stamp | None, now: float) -> str:
    """`PASS 3h ago vs v13: 6 checks passed`."""
    if stamp is None:
        return ""
    age = _age(stamp, now)
    facts = (str(stamp.verdict), f"{age} ago" if age else "", f"vs {stamp.baseline}" if stamp.baseline else "")
    return f"{' '.join(fact for fact in facts if fact)}: {stamp.why}"


def _section(title: str, items: dict[str, str], width: int) -> list[Line]:
    if not items:
        return []
    found: list[Line] = [EMPTY, line(Span(title, Slot.MARK))]
    for name, value in sorted(items.items()):
        found += _fact(name, value, width)
    return found


def _fact(name: str, value: str, width: int) -> list[Line]:
    if not value:
        return []
    label = f"{name:<16} "
    first, *more = wrapped(value, max(10, width - len(label)), most=6)
    return [line(Span(label, Slot.DIM), *first), *(line(Span(" " * len(label)), *rest) for rest in more)]
