"""The drift table: features by effect, the live colour's first reason to look; and one feature with all its figures."""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.domain.drift import (
    MINIMUM_SAMPLE,
    Accuracy,
    Against,
    Basis,
    DriftTable,
    DriftVerdict,
    FeatureDrift,
    Kind,
    Picture,
    Trend,
    key_of,
)
from mlconsole.domain.telemetry import Glance
from mlconsole.ui.render import words
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, fit, hue, line, wrapped
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row

VERDICTS = {
    DriftVerdict.DRIFTED: ("▲ drifted", Slot.BAD),
    DriftVerdict.LOOK: ("◆ look", Slot.WARN),
    DriftVerdict.UNKNOWN: ("◌ unknown", Slot.DIM),
    DriftVerdict.OK: ("● ok", Slot.GOOD),
}
COLUMNS = (
    Column("feature", 13, 40, grows=True),
    Column("colour", 4, 9),
    Column("PSI", 4, 6, right=True, drop=3),
    Column("effect", 6, 6, right=True, drop=1),
    Column("n", 1, 7, right=True, drop=6),
    Column("verdict", 4, 12),
    Column("trend", 5, 12, drop=2),
    Column("since", 5, 7, right=True, drop=4),
    Column("traffic", 4, 7, right=True, drop=5),
    Column("", 0, 40, drop=7),
)
_SHORT = {
    Basis.REGISTRY: "its training",
    Basis.SERVERS: "its training",
    Basis.COLOR: "the other colour",
    Basis.PAST: "the past",
    Basis.NONE: "nothing",
}
FRAME = 15
"""Cells of the pane's frame and name, beside what its title says."""
LEVELS = "▁▂▃▄▅▆▇█"
FULL = 0.3
"""The effect at the top of a trend, where none is larger."""
TREND = 12
BOTH, BEFORE, NOW = "█", "─", "+"
"""Of a bar: what both have, what the reference has more, what is more now. They differ in ASCII and without colours."""


def rows(table: DriftTable, live: str, glances: Sequence[Glance] = (), now: float = 0.0) -> list[Row]:
    """A row for each feature of each colour, as the table orders them; accuracy first, who has no traffic last."""
    counted = {item.color for item in table.features if item.n_current or item.missing_current}
    found = [_accuracy_row(item, item.color == live, glances) for item in table.accuracy]
    found += [_row(table, item, item.color == live, glances, now) for item in table.features if item.color in counted]
    silent: dict[str, list[FeatureDrift]] = {}
    for item in table.features:
        if item.color not in counted:
            silent.setdefault(item.color, []).append(item)
    return found + [_silent_row(color, items, color == live) for color, items in silent.items()]


def _silent_row(color: str, items: Sequence[FeatureDrift], live: bool) -> Row:
    """A colour of which nothing was counted: one row says it as well as one for each feature."""
    features = sum(item.kind is not Kind.PREDICTION for item in items)
    cells = (
        line(Span(f"{features} feature{'s' if features != 1 else ''}", Slot.DIM)),
        _colour(color, live),
        EMPTY,
        line(words.UNKNOWN),
        line(Span("0", Slot.DIM)),
        line(Span("◌ no traffic", Slot.DIM)),
        *[EMPTY] * 4,
    )
    return Row(key_of(items[0]), cells)


def _accuracy_row(item: Accuracy, live: bool, glances: Sequence[Glance]) -> Row:
    sign, slot = VERDICTS[item.verdict][0][0], VERDICTS[item.verdict][1]
    few = item.n < MINIMUM_SAMPLE
    said = f"{sign} {item.n:.0f} of {MINIMUM_SAMPLE}" if few or item.value is None else f"{sign} {item.value:.1%}"
    fall = None if few or item.trained is None or item.value is None else max(0.0, item.trained - item.value)
    cells = (
        line(Span("accuracy", Slot.STRONG)),
        _colour(item.color, live),
        EMPTY,
        line(_figure(fall)),
        line(Span(_rough(round(item.n)), Slot.DIM)),
        line(Span(said, slot)),
        line(Span(sparkline(_wrong(item)), slot)),
        EMPTY,
        line(Span(traffic(item.color, glances), Slot.DIM)),
        line(Span(item.why, Slot.DIM)),
    )
    return Row(accuracy_key(item.color), cells)


def _wrong(item: Accuracy) -> list[float | None]:
    """What was wrong, step by step: it rises as a distance does."""
    return [None if share is None else 1 - share for share in item.steps]


def accuracy_key(color: str) -> str:
    """The key of a colour's accuracy among the rows."""
    return f"accuracy/{color}"


def _colour(name: str, live: bool) -> Line:
    return line(Span(f"{'●' if live else '○'} {name or 'live'}", hue(name, live)))


def _row(table: DriftTable, item: FeatureDrift, live: bool, glances: Sequence[Glance], now: float) -> Row:
    key = key_of(item)
    trend = table.trends.get(key)
    word, slot = VERDICTS[item.verdict]
    if item.verdict is DriftVerdict.UNKNOWN and item.n_current < MINIMUM_SAMPLE:
        word = f"◌ {item.n_current} of {MINIMUM_SAMPLE}"
    cells: tuple[Line, ...] = (
        line(item.feature if item.kind is not Kind.PREDICTION else Span(item.feature, Slot.STRONG)),
        _colour(item.color, live),
        line(_figure(item.psi)),
        line(_figure(item.effect)),
        line(Span(_rough(item.n_current), Slot.DIM)),
        line(Span(word, slot)),
        line(Span(sparkline(_whole(trend)), slot)),
        line(Span(_age(trend, now), Slot.DIM)),
        line(Span(traffic(item.color, glances), Slot.DIM)),
        line(Span(item.why, Slot.DIM)),
    )
    return Row(key, cells)


def _whole(trend: Trend | None) -> Sequence[float | None]:
    """The windows before, and what it is now, where those are known; else as it was watched."""
    if trend is None or not trend.earlier:
        return trend.distances if trend else ()
    return (*trend.earlier, trend.distances[-1]) if trend.distances else trend.earlier


def _age(trend: Trend | None, now: float) -> str:
    """How long a verdict stands; with a plus where it may be longer."""
    if trend is None or not now:
        return ""
    return words.rough_age(now - trend.since) + ("+" if trend.since <= trend.watched else "")


def headline(table: DriftTable, live: str, width: int) -> str:
    """What the pane's title says: what is said of the live colour, and what it is held against, as there is room."""
    word, _ = VERDICTS[table.verdict]
    held = table.references.get(live)
    said = [f"{word} · against {held.words}", f"{word} · against {_SHORT[held.basis]}"] if held else []
    return next((text for text in (*said, word) if len(text) <= width - FRAME), "")


def notice(table: DriftTable, live: str) -> str:
    """What is to be said of the table beside its rows: why part of it is not there, or its reference is a makeshift."""
    held = table.references.get(live)
    if table.problem or held is None or not held.weak:
        return table.problem
    return f"held against {held.words}: {held.instead}"


def sparkline(distances: Sequence[float | None], width: int = TREND) -> str:
    """The last distances as levels; a gap where one was unknown."""
    last = distances[-width:]
    top = max(FULL, *(one for one in last if one is not None), 0.0)
    return "".join(" " if one is None else LEVELS[min(len(LEVELS) - 1, int(one / top * len(LEVELS)))] for one in last)


def traffic(color: str, glances: Sequence[Glance]) -> str:
    """The share of the requests that a colour gets, or a dash."""
    rates = {glance.color: glance.requests_per_second or 0.0 for glance in glances}
    total = sum(rates.values())
    return f"{rates[color] / total:.0%}" if color in rates and total > 0 else words.UNKNOWN


# ---- one feature


def details(table: DriftTable, key: str, glances: Sequence[Glance], live: str, now: float, width: int) -> list[Line]:
    """The page of one row."""
    row = next(item for item in table.features if key_of(item) == key)
    trend, picture = table.trends.get(key), table.pictures.get(key)
    word, slot = VERDICTS[row.verdict]
    standing = "live" if row.color == live else "not live"
    held = table.references.get(row.color) or Against(words=table.reference or "unknown")
    found = [line(Span(word, slot)), *wrapped(meaning(row, table), width), *wrapped(row.why, width)]
    found.append(EMPTY)
    found += _facts(
        [
            ("colour", f"{row.color or 'live'}, {standing}, {traffic(row.color, glances)} of the traffic"),
            *_reference(held),
            ("since", _since(trend, now)),
        ],
        width,
    )
    if trend is not None and any(one is not None for one in trend.earlier):
        label = f"{_span(trend.step * len(trend.earlier))} before"
        found.append(line(Span(f"{label:<12}", Slot.DIM), Span(sparkline(trend.earlier, max(5, width - 12)), slot)))
    if trend is not None and len(trend.distances) > 1:
        found.append(line(Span("trend       ", Slot.DIM), Span(sparkline(trend.distances, max(5, width - 12)), slot)))
    found.append(EMPTY)
    found += drawn(picture, width) if picture else [line(Span("there is nothing to draw on each other", Slot.DIM))]
    found += [EMPTY, *_facts(_figures(row), width)]
    return [fit(item, width) if sum(len(span.text) for span in item) > width else item for item in found]


def accuracy_details(item: Accuracy, glances: Sequence[Glance], live: str, width: int) -> list[Line]:
    """The page of a colour's accuracy."""
    word, slot = VERDICTS[item.verdict]
    standing = "live" if item.color == live else "not live"
    value = words.UNKNOWN if item.value is None else f"{item.value:.1%}"
    trained = words.UNKNOWN if item.trained is None else f"{item.trained:.1%}, by the version's run"
    found = [line(Span(word, slot)), *wrapped(item.why, width), EMPTY]
    found += _facts(
        [
            ("colour", f"{item.color or 'live'}, {standing}, {traffic(item.color, glances)} of the traffic"),
            ("accuracy", f"{value} of {item.n:,.0f} labels, {item.low:.1%} to {item.high:.1%} (95 %)"),
            ("trained", trained),
            ("labels", f"{item.right:,.0f} right, {item.wrong:,.0f} wrong, of predictions made before they came"),
        ],
        width,
    )
    wide = max((len(_span(item.step * count)) for count in range(len(item.steps))), default=0)
    found += [EMPTY, line(Span(f"what was wrong, {_span(item.step)} a bar", Slot.DIM))]
    room = max(4, width - wide - 12)
    for back, share in enumerate(reversed(_wrong(item))):
        bar = words.UNKNOWN if share is None else f"{share:>6.1%}  {BOTH * round(share * room)}"
        when = "now" if not back else f"-{_span(item.step * back)}"
        found.append(
            line(Span(f"{when:>{wide + 1}}  ", Slot.DIM), Span(bar, Slot.DIM if share is None else Slot.PLAIN))
        )
    return found


def _span(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"


def _reference(held: Against) -> list[tuple[str, str]]:
    """What it is held against, what is known of that, and why it is nothing better."""
    found = [("reference", held.words), ("", held.detail)]
    if held.instead:
        found.append(("no better:" if held.weak else "registry", held.instead))
    return [(name, value) for name, value in found if value]


def meaning(row: FeatureDrift, table: DriftTable) -> str:
    """What the verdict means."""
    limit = table.limits.min_effect
    match row.verdict:
        case DriftVerdict.DRIFTED:
            return (
                f"The change is sure (q < {table.limits.alpha:g}), and {limit:.0%} of the rows or more lie elsewhere."
            )
        case DriftVerdict.LOOK:
            return f"The change is sure, but in fewer than {limit:.0%} of the rows. It does not count as drifted."
        case DriftVerdict.UNKNOWN:
            return "Nothing can be said yet: this is not taken for ok."
        case DriftVerdict.OK:
            return f"No change of {limit:.0%} of the rows that is sure; one of twice that would have been seen."


def _since(trend: Trend | None, now: float) -> str:
    if trend is None:
        return "unknown"
    words_of = f"{words.stamp(trend.since)}, {words.ago(now - trend.since)}"
    return f"{words_of} or longer: it is watched since then" if trend.since <= trend.watched else words_of


def _figures(row: FeatureDrift) -> list[tuple[str, str]]:
    n = "unknown" if row.n_reference is None else f"{row.n_reference:,}"
    distance = "variation" if row.variation is not None else "KS"
    lost = bool(row.missing_current or row.missing_reference)
    upper = f" to {row.ks_upper:.3f}" if row.ks_upper is not None else ""
    return [
        ("effect", f"{_share(row.effect)} of the rows lie elsewhere"),
        (distance, f"{_fine(row.distance)}{upper}"),
        ("q", f"{words.UNKNOWN if row.q_value is None else f'{row.q_value:.2g}'}  {row.method}".rstrip()),
        ("PSI", _fine(row.psi)),
        ("n", f"{row.n_current:,} now, {n} in the reference"),
        ("mde", f"a distance of {_fine(row.mde)} would be seen four times out of five"),
    ] + ([("missing", f"{_share(row.missing_current)} now, {_share(row.missing_reference)} before")] if lost else [])


def _facts(facts: Sequence[tuple[str, str]], width: int) -> list[Line]:
    found: list[Line] = []
    for name, value in facts:
        pieces = wrapped(value, max(8, width - 12))
        label = name
        for piece in pieces:
            found.append(line(Span(f"{label:<12}", Slot.DIM), *piece))
            label = ""
    return found


def drawn(picture: Picture, width: int) -> list[Line]:
    """A bar a bin: what both have, then what one of them has more."""
    labels = picture.names or _bins(picture.edges)
    wide = min(18, max(map(len, labels)))
    room = max(4, width - wide - 18)
    top = max(*picture.reference, *picture.current, 1e-9)
    head = f"{'':<{wide}}  before    now  "
    found = [
        line(
            Span(head, Slot.DIM),
            Span(f"{BOTH} both  "),
            Span(f"{BEFORE} before only  ", Slot.DIM),
            Span(f"{NOW} now only", Slot.WARN),
        )
    ]
    for label, before, now in zip(labels, picture.reference, picture.current, strict=True):
        both, more = round(min(before, now) / top * room), round(max(before, now) / top * room)
        rest = Span(BEFORE * (more - both), Slot.DIM) if before > now else Span(NOW * (more - both), Slot.WARN)
        figures = f"  {before:>6.1%} {now:>6.1%}  "
        found.append(line(Span(f"{label[:wide]:>{wide}}", Slot.DIM), figures, Span(BOTH * both), rest))
    return found


def _bins(edges: Sequence[float]) -> tuple[str, ...]:
    return (*(f"≤ {edge:.5g}" for edge in edges), f"> {edges[-1]:.5g}")


def _fine(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.1%}"


def _figure(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.2f}"


def _rough(n: int) -> str:
    """A count that changes seldom on the screen."""
    if n < 1000:
        return str(n)
    if n < 10_000:
        return f"{n // 100 / 10:.1f}k"
    return f"{n // 1000}k" if n < 1_000_000 else f"{n / 1e6:.1f}M"
