"""What `mlconsole drift` found, for a terminal and for a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlconsole.commands.page import Page
from mlconsole.domain.drift import DriftTable, DriftVerdict, FeatureDrift, Kind
from mlconsole.domain.text import visible

if TYPE_CHECKING:
    from mlconsole.commands.drifting import Columns

FEATURE = 24
"""Columns of a name: the table fits into 80."""
WELL = 20
"""Features that are ok and shown."""
NAMED = 10


def show(page: Page, found: DriftTable, columns: Columns) -> None:
    """The table: what is not ok whole, of the rest the first."""
    page.facts([("reference", found.reference), ("current", found.current)])
    well = [row for row in found.features if row.verdict is DriftVerdict.OK]
    hidden = {id(row) for row in well[WELL:]}
    shown = [row for row in found.features if id(row) not in hidden]
    heads = ("FEATURE", "EFFECT", "Q", "PSI", "W1", "MISSING", "VERDICT")
    page.table(heads, [_row(row) for row in shown])
    if hidden:
        page.line(f"and {len(hidden)} more that are ok")
    notes = [(visible(row.feature, FEATURE), row.why) for row in shown if row.why]
    if notes:
        page.line()
        page.facts(notes)
    differ = differences(columns)
    if differ:
        page.line()
        page.facts(differ)
    page.line()
    page.line(summary(found), "bold" if found.verdict is DriftVerdict.OK else "bold yellow")


def summary(found: DriftTable) -> str:
    """One line on all of it."""
    limits = found.limits
    return f"{found.verdict}: {found.why} (q < {limits.alpha:g} and an effect of {limits.min_effect:g} or more)"


def differences(columns: Columns) -> list[tuple[str, str]]:
    """The columns that were not compared, and why."""
    found = [
        ("missing now", _some(columns.missing)),
        ("of another kind", _some(columns.other_kind)),
        ("new", _some(columns.new)),
        ("there twice", f"{_some(columns.twice)}: the first is meant" if columns.twice else ""),
        *((visible(f"{name} skipped", 80), why) for name, why in list(columns.skipped.items())[:NAMED]),
    ]
    if len(columns.skipped) > NAMED:
        found.append(("skipped", f"{len(columns.skipped) - NAMED} more"))
    return [(name, words) for name, words in found if words]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(visible(name, 40) for name in names[:NAMED]) + more


def _row(row: FeatureDrift) -> tuple[str, ...]:
    name = f"prediction: {row.feature}" if row.kind is Kind.PREDICTION else row.feature
    missing = "" if not row.missing_current and not row.missing_reference else f"{row.missing_current or 0:.1%}"
    figures = (figure(row.effect), small(sure(row)), figure(row.psi), figure(row.wasserstein))
    return (visible(name, FEATURE), *figures, missing, str(row.verdict))


def sure(row: FeatureDrift) -> float | None:
    """The q-value by which anything about the feature changed: its values, or what of them is missing."""
    return min((q for q in (row.q_value, row.missing_q_value) if q is not None), default=None)


def figure(value: float | None) -> str:
    """A distance."""
    if value is None:
        return "–"
    return f"{value:.3f}" if value < 100 else f"{value:.3g}"


def small(value: float | None) -> str:
    """A chance."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def as_json(found: DriftTable, columns: Columns, code: int) -> dict[str, Any]:
    """The whole as one object."""
    return {
        "reference": found.reference,
        "current": found.current,
        "alpha": found.limits.alpha,
        "min_effect": found.limits.min_effect,
        "max_share": found.limits.max_share,
        "share": found.share,
        "verdict": found.verdict,
        "why": found.why,
        "exit_code": int(code),
        "features": [_json(row) for row in found.features],
        "columns": columns,
    }


def _json(row: FeatureDrift) -> dict[str, Any]:
    return {
        "feature": row.feature,
        "kind": row.kind,
        "test": row.method or None,
        "ks": row.ks,
        "ks_upper": row.ks_upper,
        "chi2": row.chi2,
        "p_value": row.p_value,
        "q_value": row.q_value,
        "psi": row.psi,
        "js": row.js,
        "wasserstein": row.wasserstein,
        "n_reference": row.n_reference,
        "n_current": row.n_current,
        "missing_reference": row.missing_reference,
        "missing_current": row.missing_current,
        "missing_p_value": row.missing_p_value,
        "missing_q_value": row.missing_q_value,
        "effect": row.effect,
        "mde": row.mde,
        "unseen": row.unseen,
        "unseen_share": row.unseen_share,
        "verdict": row.verdict,
        "why": row.why,
    }
