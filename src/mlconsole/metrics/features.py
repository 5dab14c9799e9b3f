"""The drift table: what the servers saw of each feature lately, against the best reference that there is.

The reference belongs to the model version: the artifact that was logged when it was trained, else the same as its
servers export it. Where there is neither, it is what the other colour sees at the same time, else what was seen in an
earlier window; which one it is, and why no better one, is told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.drift import MINIMUM_SAMPLE, Against, Basis, DriftTable, Kind, by_effect, key_of
from mlconsole.domain.reference import Brought, Distribution, Reference
from mlconsole.domain.services import Color, ModelService
from mlconsole.domain.statistics import accuracy, verdicts
from mlconsole.domain.statistics.judging import Pair, judge_all
from mlconsole.domain.statistics.pictures import picture
from mlconsole.domain.text import visible
from mlconsole.metrics.exposition import PREDICTION
from mlconsole.metrics.prometheus import Row
from mlconsole.metrics.queries import LABEL_STEP, LABEL_STEPS
from mlconsole.metrics.seen import FeatureLedger, Place, Seen, Side, seen_by_prometheus

__all__ = ["FeatureLedger", "Past", "Seen", "seen_by_prometheus", "table", "wants_past"]

MOST_FEATURES = 2000
MOST_PICTURES = 100
NO_FEATURES = "the servers export no ml_feature_value: monitor.features of the serving contract would"


class Past(Struct, frozen=True):
    """What was seen in an earlier window."""

    ago: float = 0.0
    seen: Mapping[Place, Seen] = {}
    problem: str = "no earlier window is known"
    """Why it is not known, where it is not."""


NO_PAST = Past()


class _Held(Struct, frozen=True):
    """What a colour is held against: its columns, and what there is to say of them."""

    against: Against
    reference: Reference | None = None
    seen: Seen | None = None
    """Of another colour, of the past, or the colour's own with what its servers export."""

    def side(self, name: str) -> Side:
        """The reference of a feature."""
        if self.reference is not None:
            return Side(_of(self.reference, name))
        if self.seen is None:
            return Side(None)
        return self.seen.reference(name) if self.against.basis is Basis.SERVERS else self.seen.current.side(name)


def table(
    service: ModelService,
    at: float,
    seen: Mapping[Place, Seen],
    brought: Mapping[str, Brought] | None = None,
    past: Past = NO_PAST,
) -> DriftTable:
    """The table of a service from what was seen by colour and version, and what the registry brought by colour."""
    pairs: dict[str, list[Pair]] = {}
    against: dict[str, Against] = {}
    problems: list[str] = []
    known = brought or {}
    of_color = {color.name: _of_version(color, seen) for color in service.colors}
    for color in service.colors:
        found = of_color[color.name]
        if isinstance(found, str):
            problems.append(found)
            continue
        names = sorted(found.current.names | found.exported.names)
        if len(names) > MOST_FEATURES:
            problems.append(f"{color.name}: {len(names)} features, the first {MOST_FEATURES} are shown")
        if names:
            held = _held(color, found, of_color, known.get(color.name, Brought()), past, service.live)
            against[color.name] = held.against
            pairs[color.name] = [_pair(name, color.name, found, held) for name in names[:MOST_FEATURES]]
    problem = "; ".join(problems)
    if not pairs and not problem:
        problem = NO_FEATURES
    labelled = [(color, item) for color, item in of_color.items() if isinstance(item, Seen) and item.labels]
    return replace(
        _judged(service, at, pairs, against, problem),
        accuracy=tuple(
            accuracy.judge(name, item.labels, LABEL_STEP, LABEL_STEPS, known.get(name, Brought()).accuracy, at)
            for name, item in labelled
        ),
    )


def _judged(
    service: ModelService, at: float, pairs: Mapping[str, list[Pair]], against: dict[str, Against], problem: str
) -> DriftTable:
    """Each colour is a family of its own; what is said of all of them is said of the live one."""
    tables = {color: verdicts.table(judge_all(mine)) for color, mine in pairs.items()}
    live = service.live_color
    first = live.name if live and live.name in tables else next(iter(tables), "")
    made = tables.get(first) or verdicts.table([])
    rows = by_effect([row for one in tables.values() for row in one.features])
    columns = {(one.color, one.prediction, one.feature): one for mine in pairs.values() for one in mine}
    pictures = {}
    for row in rows[:MOST_PICTURES]:
        one = columns[row.color, row.kind is Kind.PREDICTION, row.feature]
        drawn = picture(one.reference, one.current)
        if drawn is not None:
            pictures[key_of(row)] = drawn
    words = f"{first}: {made.why}" if len(tables) > 1 else made.why
    return replace(
        made,
        service=service.key,
        at=at,
        features=rows,
        problem=problem,
        reference=against[first].words if first in against else "",
        references=against,
        why=words,
        pictures=pictures,
    )


def _pair(name: str, color: str, found: Seen, held: _Held) -> Pair:
    """A feature (or the prediction) and its reference. What is missing is compared where both sides tell it."""
    now, before = found.current.side(name), held.side(name)
    reference, current = before.column, now.column
    if not (now.missing_known and before.missing_known):
        reference, current = _whole(reference), _whole(current)
    return Pair(
        visible(name, 80) or "prediction",
        reference,
        current,
        color,
        prediction=name == PREDICTION,
        known_rows=before.rows_known,
    )


def _whole(column: Distribution | None) -> Distribution | None:
    return None if column is None else replace(column, missing=0.0)


def _of(reference: Reference, name: str) -> Distribution | None:
    return reference.prediction if name == PREDICTION else reference.features.get(name)


# ---- which reference


def _held(
    color: Color,
    found: Seen,
    of_color: Mapping[str, Seen | str],
    brought: Brought,
    past: Past,
    live: str,
) -> _Held:
    """The best reference that there is, and why the better ones are not there."""
    names = found.current.names | found.exported.names
    version = f"v{visible(color.release.version, 20)}" if color.release.version else "its version"
    why = [brought.problem] if brought.problem else []
    if brought.reference is not None:
        if any(_of(brought.reference, name) is not None for name in names):
            return _Held(_by_registry(brought.reference, brought.words, names), brought.reference)
        why.append(f"{brought.words} has none of the features that the servers export")
    if found.exported.names:
        against = Against(Basis.SERVERS, f"training of {version}, by its servers", instead="; ".join(why))
        return _Held(against, seen=found)
    why.append("the servers export none")
    others = [(name, item) for name, item in of_color.items() if name != color.name and isinstance(item, Seen)]
    for name, item in others:
        if item.current.most >= MINIMUM_SAMPLE:
            standing = "live" if name == live else "not live"
            return _Held(Against(Basis.COLOR, f"{name} now, {standing}", instead="; ".join(why)), seen=item)
    why.append(
        f"{others[0][0]} counted {others[0][1].current.most:.0f} values, of {MINIMUM_SAMPLE}"
        if others
        else "there is no other colour"
    )
    earlier = _earlier(color, past)
    if earlier is not None:
        (name, of_version), item = earlier
        what = f"{name} v{visible(of_version, 20)}" if of_version else name
        return _Held(Against(Basis.PAST, f"{what} {_span(past.ago)} earlier", instead="; ".join(why)), seen=item)
    why.append(past.problem or f"{_span(past.ago)} earlier nothing was counted")
    return _Held(Against(Basis.NONE, "nothing", instead="; ".join(why)))


def _by_registry(reference: Reference, words: str, names: set[str]) -> Against:
    made = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(reference.made_at)) if 0 < reference.made_at < 1e11 else ""
    what = visible(reference.source, 120) or (f"{reference.rows:,} rows" if reference.rows else "")
    facts = [what, f"made {made}" if made else ""]
    unseen = [name for name in reference.features if name not in names]
    if unseen:
        more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
        facts.append(f"{visible(unseen[0], 40)}{more} of it not exported by the servers")
    return Against(Basis.REGISTRY, words, "; ".join(fact for fact in facts if fact))


def _earlier(color: Color, past: Past) -> tuple[Place, Seen] | None:
    """What the same version was seen of then, else what most was."""
    enough = [(place, item) for place, item in past.seen.items() if item.current.most >= MINIMUM_SAMPLE]
    return max(
        enough,
        key=lambda one: (one[0][1] == color.release.version, one[0][0] == color.name, one[1].current.most),
        default=None,
    )


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min"


def earlier(
    service: ModelService,
    rows: Sequence[Row],
    references: Sequence[Row],
    brought: Mapping[str, Brought] | None = None,
    past: Past = NO_PAST,
) -> tuple[DriftTable, ...]:
    """The tables of windows that ended before now, the oldest first, by what is held against now.

    `rows` are those of `feature_query` over a range.
    """
    windows: dict[float, list[Row]] = {}
    for row in rows:
        for at, value in zip(row.times, row.values, strict=True):
            windows.setdefault(at, []).append(Row(row.labels, [at], [value]))
    found = []
    for at, counts in sorted(windows.items()):
        told = seen_by_prometheus(service, counts, references, at)
        found.append(replace(table(service, at, told, brought, past), pictures={}))
    return tuple(found)


def wants_past(made: DriftTable | None) -> bool:
    """Whether an earlier window would be of use."""
    return made is not None and any(one.basis in (Basis.PAST, Basis.NONE) for one in made.references.values())


def _of_version(color: Color, seen: Mapping[Place, Seen]) -> Seen | str:
    """What was seen of the version that a colour runs; words where it is another one's."""
    known = {version: item for (name, version), item in seen.items() if name == color.name}
    wanted = color.release.version
    if wanted in known:
        return known[wanted]
    if not wanted or set(known) <= {""}:
        return max(known.values(), key=lambda item: item.at, default=Seen())
    others = ", ".join(visible(version, 20) for version in sorted(known))
    return f"{color.name or color.deployment} runs v{visible(wanted, 20)}, its features are those of v{others}"
