"""What `mlconsole drift` found as one HTML page: nothing is fetched for it, nothing in it is run.

Every name is text from outside: escaped, and made visible before (I28).
"""

from __future__ import annotations

import html
import itertools
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlconsole.commands.driftpage import differences, figure, small, summary, sure
from mlconsole.domain.drift import DriftTable, FeatureDrift, Kind
from mlconsole.domain.statistics.pictures import Picture
from mlconsole.domain.text import visible

if TYPE_CHECKING:
    from mlconsole.commands.drifting import Columns

MOST_ROWS = 2000
"""With a picture each of 2 kB."""
Pictures = dict[tuple[str, bool], Picture]
"""By the feature as it is shown, and whether it is the prediction."""
WIDTH, HEIGHT, BAR = 240.0, 56.0, 12.0
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--paper:#fff;--dim:#69717a;--line:#d8dce0;--ref:#9aa4ae;--cur:#c2410c}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8ea;--paper:#16191c;--dim:#98a1aa;--line:#343a40;--ref:#6b757f;
--cur:#fb923c}}
body{font:14px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2em auto;max-width:75em;
padding:0 1em}
h1{font-size:1.3em}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35em .7em;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.name{overflow-wrap:anywhere;max-width:22em}
small,.dim{color:var(--dim)}.drifted{color:#b91c1c;font-weight:600}.look,.unknown{color:#a16207}.ok{color:#15803d}
svg{display:block}svg text{font:9px system-ui,sans-serif;fill:var(--dim)}
.r{fill:var(--ref);fill-opacity:.55}.c{fill:var(--cur)}.l{fill:none;stroke:var(--cur);stroke-width:1.5}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_HEADS = ("effect", "q", "KS", "PSI", "JS", "W1", "missing", "n")
_LEGEND = (
    "Grey: the reference. Orange: now. Effect: the share of rows that lie elsewhere. W1: Wasserstein's distance in "
    "standard deviations of the reference. What lies beyond a picture's ends is in its outermost bins."
)


def page(found: DriftTable, columns: Columns, pictures: Pictures, at: float) -> str:
    """The page."""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
    facts = [("reference", found.reference), ("current", found.current), ("made", when), *differences(columns)]
    heads = "".join(f'<th class="n">{head}</th>' for head in _HEADS)
    rows = "\n".join(_row(row, pictures) for row in found.features[:MOST_ROWS])
    more = len(found.features) - MOST_ROWS
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>Drift: {_text(found.verdict)}</title>
<style>{_STYLE}</style></head><body>
<h1 class="{found.verdict}">{_text(summary(found), 1000)}</h1>
<table>{"".join(f"<tr><th>{_text(name)}</th><td>{_text(words, 1000)}</td></tr>" for name, words in facts)}</table>
<p class="dim">{_LEGEND}</p>
<table><thead><tr><th>feature</th><th></th>{heads}<th>verdict</th></tr></thead><tbody>
{rows}
</tbody></table>{f"<p>and {more} more, with smaller effects</p>" if more > 0 else ""}
</body></html>
"""


def _row(row: FeatureDrift, pictures: Pictures) -> str:
    drawn = pictures.get((row.feature, row.kind is Kind.PREDICTION))
    missing = f"{row.missing_current:.1%}" if row.missing_current is not None else "–"
    figures = (figure(row.effect), small(sure(row)), *map(figure, (row.ks, row.psi, row.js, row.wasserstein)))
    cells = "".join(f'<td class="n">{_text(value)}</td>' for value in (*figures, missing, f"{row.n_current}"))
    why = f"<br><small>{_text(row.why, 500)}</small>" if row.why else ""
    return (
        f'<tr><td class="name">{_text(row.feature)}<br><small>{_text(row.kind)}, {_text(row.method or "not compared")}'
        f"</small></td><td>{_svg(drawn) if drawn else ''}</td>{cells}"
        f'<td class="name"><span class="{row.verdict}">{_text(row.verdict)}</span>{why}</td></tr>'
    )


def _text(words: str, limit: int = 200) -> str:
    return html.escape(visible(words, limit))


def _svg(drawn: Picture) -> str:
    return _numbers(drawn) if drawn.edges else _categories(drawn)


def _numbers(drawn: Picture) -> str:
    """Densities: the reference as a surface, the current as a line on it; the open ends as wide as their neighbours."""
    edges = drawn.edges
    low = edges[1] - edges[0] if len(edges) > 1 else 1.0
    high = edges[-1] - edges[-2] if len(edges) > 1 else 1.0
    ends = (edges[0] - low, *edges, edges[-1] + high)
    width = ends[-1] - ends[0]
    if not math.isfinite(width):
        return ""
    places = [(end - ends[0]) / width * WIDTH for end in ends]
    # A bin that is next to nothing wide would be a needle that dwarfs the rest.
    widths = [max(after - before, WIDTH / 500) for before, after in itertools.pairwise(places)]
    sides = [
        [share / width for share, width in zip(shares, widths, strict=True)]
        for shares in (drawn.reference, drawn.current)
    ]
    top = max(max(side) for side in sides) or 1.0
    reference, current = (_steps(places, [value / top for value in side]) for side in sides)
    return (
        f'<svg width="{WIDTH:.0f}" height="{HEIGHT + 12:.0f}" role="img" aria-label="both distributions">'
        f'<path class="r" d="{reference}V{HEIGHT}H0Z"/><path class="l" d="{current}"/>'
        f'<text x="0" y="{HEIGHT + 10}">{edges[0]:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 10}" text-anchor="end">{edges[-1]:.4g}</text></svg>'
    )


def _steps(places: Sequence[float], heights: Sequence[float]) -> str:
    parts = [f"M{places[0]:.1f} {HEIGHT:.0f}"]
    parts += [f"V{HEIGHT * (1 - height):.1f}H{after:.1f}" for height, after in zip(heights, places[1:], strict=True)]
    return "".join(parts)


def _categories(drawn: Picture) -> str:
    """A pair of bars each."""
    top = max(*drawn.reference, *drawn.current) or 1.0
    start, room = 90.0, WIDTH - 90.0
    parts = []
    for index, (name, one, other) in enumerate(zip(drawn.names, drawn.reference, drawn.current, strict=True)):
        y = index * BAR
        parts.append(
            f'<text x="0" y="{y + 8}">{_text(name, 16)}</text>'
            f'<rect class="r" x="{start}" y="{y}" width="{one / top * room:.1f}" height="5"/>'
            f'<rect class="c" x="{start}" y="{y + 5}" width="{other / top * room:.1f}" height="4"/>'
        )
    size = f'width="{WIDTH:.0f}" height="{len(drawn.names) * BAR:.0f}"'
    return f'<svg {size} role="img" aria-label="both distributions">{"".join(parts)}</svg>'
