"""Areas on numpy: layers on top of each other, and the buckets of a histogram over time as a heat map.

Both have whole cells for each column. Of the samples that share a column a stack shows the one with the highest sum,
and a whisker down to the lowest; a heat map shows the highest of each bucket: no spike is hidden. Where a column has no
sample but lies between two that are known, it is drawn as on a line between them; a missing sample is a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlconsole.ui.chart.scale import HUGE, Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Line = tuple[Sequence[float], Sequence[float]]

STEPS = 8
"""Colours of a heat map."""
EIGHTHS = "▁▂▃▄▅▆▇█"
_PARTS = 8
"""Levels of a cell."""


class Columns(NamedTuple):
    """The samples of several series by instant, and the columns of the instants."""

    places: Ints
    values: Floats
    """A row a series, a column an instant; NaN where a series has no sample."""


def columns_of(lines: Sequence[Line], view: Window) -> Columns:
    """The samples of the lines that lie in the window, negative ones as zero."""
    import numpy as np

    kept = []
    for times, values in lines:
        count = min(len(times), len(values))
        at, value = np.asarray(times[:count], np.float64), np.asarray(values[:count], np.float64)
        with np.errstate(all="ignore"):
            place = np.floor(at / view.cell) - view.first
            inside = np.isfinite(at) & (place >= 0) & (place < view.columns)
        kept.append((at[inside], np.clip(value[inside], 0.0, HUGE)))
    instants = np.unique(np.concatenate([at for at, _ in kept])) if kept else np.empty(0)
    found = np.full((len(kept), len(instants)), np.nan)
    for row, (at, value) in enumerate(kept):
        found[row, np.searchsorted(instants, at)] = value
    return Columns((np.floor(instants / view.cell) - view.first).astype(np.int64), found)


class Stack(NamedTuple):
    """What a stack is in each column; NaN in a gap."""

    tops: Floats
    """A row a layer, from the lowest: where it ends."""
    lowest: Floats
    """The lowest sum of the column's samples."""


def stack(lines: Sequence[Line], view: Window) -> Stack:
    """Layers by column, the first line the lowest."""
    import numpy as np

    found = columns_of(lines, view)
    tops, lowest = np.full((len(lines), view.columns), np.nan), np.full(view.columns, np.nan)
    if not found.places.size:
        return Stack(tops, lowest)
    known: Bools = np.asarray(np.isfinite(found.values).any(axis=0))
    heaped = np.cumsum(np.nan_to_num(found.values), axis=0)
    total = heaped[-1]
    order = np.lexsort((np.where(known, total, -1.0), found.places))
    ends = np.flatnonzero(np.diff(found.places[order], append=view.columns))
    chosen = order[ends]
    starts = np.concatenate(([0], ends[:-1] + 1))
    least = np.minimum.reduceat(np.where(known, total, np.inf)[order], starts)
    places = found.places[chosen]
    values = np.where(known[chosen], np.vstack((heaped[:, chosen], least)), np.nan)
    spread = _between(places, values, view.columns)
    return Stack(spread[:-1], spread[-1])


def _between(places: Ints, values: Floats, columns: int) -> Floats:
    """The values of every column: those between two known ones on a line between them."""
    import numpy as np

    at = np.arange(columns)
    left = np.searchsorted(places, at, "right") - 1
    right = np.minimum(left + 1, len(places) - 1)
    outside = (left < 0) | ((left == len(places) - 1) & (at > places[-1]))
    left = np.maximum(left, 0)
    apart = np.maximum(places[right] - places[left], 1)
    share = np.where(places[left] == at, 0.0, (at - places[left]) / apart)
    with np.errstate(all="ignore"):
        found = np.where(share > 0, values[:, left] + (values[:, right] - values[:, left]) * share, values[:, left])
    found[:, outside] = np.nan
    return found


def stack_cells(
    found: Stack, high: float, rows: int, fills: Sequence[str], slots: Sequence[int], whisker: str, *, plain: bool
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Code points and slots of the cells, row 0 the uppermost. Every sum over zero has a part of a cell at least."""
    import numpy as np

    layers = len(found.tops)
    scale = rows * _PARTS / high
    with np.errstate(all="ignore"):
        ends = np.nan_to_num(np.clip(found.tops * scale, 0, rows * _PARTS))
        lowest = np.nan_to_num(np.clip(found.lowest * scale, 0, rows * _PARTS))
    total = np.where(ends[-1] > 0, np.maximum(np.rint(ends[-1]), 1), 0)
    base = (np.arange(rows)[::-1] * _PARTS)[:, None]
    covered = np.clip(total - base, 0, _PARTS).astype(np.int64)
    # The layer at the cell's middle, or just under the edge where the stack ends below it.
    probe = np.minimum(base + _PARTS / 2, ends[-1] - 1e-6)
    layer = np.minimum(sum((ends[index] <= probe).astype(np.int64) for index in range(layers)), layers - 1)
    codes = np.array([ord(char) for char in fills], np.uint32)[layer]
    if plain:
        codes = np.where(covered >= _PARTS / 2, codes, ord("_"))
    else:
        edge = np.array([0, *(ord(char) for char in EIGHTHS)], np.uint32)
        codes = np.where(covered < _PARTS, edge[covered], codes)
    codes = np.where((covered == _PARTS) & (base >= np.maximum(lowest, 1)), ord(whisker), codes)
    codes = np.where(covered > 0, codes, 0).astype(np.uint32)
    return codes, np.array(slots, np.uint8)[layer]


class Heat(NamedTuple):
    """A histogram over time."""

    edges: tuple[float, ...]
    """The upper edges of the buckets that are shown, rising."""
    floor: float
    """The lower edge of the first; -inf where there is none."""
    rates: Floats
    """A row a bucket, a column of the window each; NaN in a gap."""


def heat(lines: Sequence[tuple[float, Line]], view: Window) -> Heat:
    """The buckets of cumulative series (edge, line), those of one edge added up; empty ones above and below left out.

    What falls from one edge to the next, as it may where a scrape tore, counts as nothing in between.
    """
    import numpy as np

    edges = tuple(sorted({edge for edge, _ in lines}))
    found = columns_of([line for _, line in lines], view)
    if not found.places.size:
        return Heat((), -np.inf, np.full((0, view.columns), np.nan))
    own = np.array([edges.index(edge) for edge, _ in lines])
    heaped = np.zeros((len(edges), found.values.shape[1]))
    for row, edge in enumerate(own):
        heaped[edge] += np.nan_to_num(found.values[row])
    known: Bools = np.asarray(np.isfinite(found.values).any(axis=0))
    each = np.diff(np.maximum.accumulate(heaped, axis=0), axis=0, prepend=0.0)
    each[:, ~known] = -1.0
    starts = np.flatnonzero(np.diff(found.places, prepend=-1))
    highest = np.maximum.reduceat(each, starts, axis=1)
    places = found.places[starts]
    values = np.where(highest < 0, np.nan, highest)
    rates = _between(places, values, view.columns)
    used = np.flatnonzero(np.nan_to_num(rates).any(axis=1))
    first = max(0, int(used[0]) - 1) if used.size else 0
    last = min(len(edges), int(used[-1]) + 2) if used.size else len(edges)
    return Heat(edges[first:last], edges[first - 1] if first else -np.inf, rates[first:last])


def heat_steps(rates: Floats, top: float) -> Ints:
    """The step of each rate: 0 for none, 1 to STEPS, never lower for a higher one; -1 in a gap.

    By the square root, so that the few slow requests among many quick ones are seen.
    """
    import numpy as np

    with np.errstate(all="ignore"):
        share = np.sqrt(np.clip(rates / top, 0.0, 1.0))
    steps = np.where(rates > 0, 1 + np.minimum(np.floor(np.nan_to_num(share) * STEPS), STEPS - 1), 0)
    return np.where(np.isnan(rates), -1, steps).astype(np.int64)


def heat_rows(steps: Ints, rows: int) -> Ints:
    """The steps of `rows` rows, row 0 the uppermost; of buckets that share a row the highest."""
    import numpy as np

    buckets = len(steps)
    first = np.arange(rows) * buckets // rows
    cells: Ints = np.maximum.reduceat(steps, first, axis=0) if rows < buckets else steps[first]
    return cells[::-1]
