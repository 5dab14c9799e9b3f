"""The drift table: features by effect, the live colour's first reason to look."""

from __future__ import annotations

from mlconsole.domain.drift import MINIMUM_SAMPLE, DriftTable, DriftVerdict, FeatureDrift
from mlconsole.ui.render import words
from mlconsole.ui.spans import Line, Slot, Span, hue, line
from mlconsole.ui.widgets.columns import Column
from mlconsole.ui.widgets.table import Row

VERDICTS = {
    DriftVerdict.DRIFTED: ("▲ drifted", Slot.BAD),
    DriftVerdict.LOOK: ("◆ look", Slot.WARN),
    DriftVerdict.UNKNOWN: ("◌ unknown", Slot.DIM),
    DriftVerdict.OK: ("● ok", Slot.GOOD),
}
COLUMNS = (
    Column("feature", 11, 40, grows=True),
    Column("colour", 4, 9),
    Column("PSI", 4, 6, right=True, drop=1),
    Column("effect", 6, 6, right=True, drop=2),
    Column("n", 1, 7, right=True, drop=4),
    Column("verdict", 4, 12),
    Column("", 0, 40, drop=5),
)


def rows(table: DriftTable, live: str) -> list[Row]:
    """A row for each feature of each colour, as the table orders them."""
    return [_row(item, item.color == live) for item in table.features]


def _row(item: FeatureDrift, live: bool) -> Row:
    word, slot = VERDICTS[item.verdict]
    if item.verdict is DriftVerdict.UNKNOWN and item.n_current < MINIMUM_SAMPLE:
        word = f"◌ {item.n_current} of {MINIMUM_SAMPLE}"
    cells: tuple[Line, ...] = (
        line(item.feature),
        line(Span(f"{'●' if live else '○'} {item.color or 'live'}", hue(item.color, live))),
        line(_figure(item.psi)),
        line(_figure(item.effect)),
        line(Span(_rough(item.n_current), Slot.DIM)),
        line(Span(word, slot)),
        line(Span(item.why, Slot.DIM)),
    )
    return Row(f"{item.feature}/{item.color}", cells)


def _figure(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.2f}"


def _rough(n: int) -> str:
    """A count that changes seldom on the screen."""
    if n < 1000:
        return str(n)
    if n < 10_000:
        return f"{n // 100 / 10:.1f}k"
    return f"{n // 1000}k" if n < 1_000_000 else f"{n / 1e6:.1f}M"
