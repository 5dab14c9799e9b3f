"""What `mlconsole validate` found, for a terminal and for a script."""

from __future__ import annotations

from typing import Any

import msgspec

from mlconsole.commands.exits import Stop
from mlconsole.commands.page import Page
from mlconsole.domain.plans import Verdict
from mlconsole.domain.text import visible
from mlconsole.domain.validation import Against, Check, Validation, short
from mlconsole.registry.validations import Logged

NAME = 20
"""Columns of a name: the table fits into 80."""
SHOWN = 10
"""Slices that are shown: those that failed first."""


def show(page: Page, found: Validation, logged: Logged | None, stopped: Stop | None) -> None:
    """The table, what is to be said of each line of it, and the verdict."""
    name = f"{found.model} v{found.version}" if found.version else found.model
    page.facts([("model", name), ("figures", found.source), ("baseline", found.baseline or "none")])
    _table(page, found.checks)
    if found.slices:
        _slices(page, found)
    facts = [("data", found.drift_why), *(("note", note) for note in found.notes)]
    if any(words for _, words in facts):
        page.line()
        page.facts(facts)
    page.line()
    if logged is not None:
        page.line(logged.words)
    if stopped is not None:
        page.line(f"NOT LOGGED: {stopped.message}" + (f" ({stopped.hint})" if stopped.hint else ""), "bold yellow")
    page.line(f"{found.verdict}: {found.why}", "bold" if found.verdict is Verdict.PASS else "bold yellow")


def _table(page: Page, checks: tuple[Check, ...] | list[Check], *, slices: bool = False) -> None:
    heads = ("SLICE", "METRIC") if slices else ("METRIC",)
    rows = [(*((visible(check.slice, NAME),) if slices else ()), *_row(check)) for check in checks]
    page.table((*heads, "VALUE", "LIMIT", "ROWS", "VERDICT", "WHY"), rows)


def _slices(page: Page, found: Validation) -> None:
    order = [Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS]
    told = [check for check in found.slices if check.verdict is not Verdict.PASS]
    told.sort(key=lambda check: (order.index(check.verdict), 1.0 if check.p_value is None else check.p_value))
    page.line()
    _table(page, told[:SHOWN], slices=True)
    passed = len(found.slices) - len(told)
    rest = [f"{passed} of {len(found.slices)} checks of slices passed"] if passed else []
    rest += [f"{len(told) - SHOWN} more did not: --output json has them"] if len(told) > SHOWN else []
    for words in rest:
        page.line(words)
    for name in dict.fromkeys(found.worst.values()):
        metrics = ", ".join(metric for metric, slice_name in found.worst.items() if slice_name == name)
        page.line(f"worst slice: {name} ({metrics})")


def _row(check: Check) -> tuple[str, ...]:
    sign = "≥" if _is_floor(check) else "≤"
    limit = f"{sign} {short(check.limit)}" if check.limit is not None else ""
    beside = f" ({short(check.baseline)})" if check.baseline is not None else ""
    rows = "" if check.n is None else str(check.n)
    words = check.words
    if check.low is not None and check.high is not None:
        of = "worse by " if check.against is Against.BASELINE else ""
        words += f" ({of}{_end(check, check.low)} to {_end(check, check.high)})"
    return visible(check.metric, NAME), short(check.value), limit + beside, rows, str(check.verdict), words


def _is_floor(check: Check) -> bool:
    if check.against is Against.BASELINE and check.limit is not None and check.baseline is not None:
        if check.limit == check.baseline and check.loss is not None and check.value is not None:
            return (check.loss > 0) is (check.value < check.baseline)
        return check.limit < check.baseline
    return check.against is not Against.CEILING


def _end(check: Check, value: float) -> str:
    return f"{value:.1%}" if check.relative and check.against is Against.BASELINE else short(value)


def as_json(found: Validation, logged: Logged | None, stopped: Stop | None, code: int) -> dict[str, Any]:
    """The whole as one object."""
    whole: dict[str, Any] = msgspec.to_builtins(found)
    told: dict[str, Any] | None = msgspec.to_builtins(logged) if logged is not None else None
    if stopped is not None:
        told = {"error": stopped.message, "hint": stopped.hint, "exit_code": int(stopped.code)}
    return {**whole, "logged": told, "exit_code": int(code)}
