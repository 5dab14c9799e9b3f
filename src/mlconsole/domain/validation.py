"""Validation: whether a version is as good as it has to be, said of its metrics one by one and of all of them.

Words and facts alone, which the screen imports too. The arithmetic on predictions is in `domain.statistics`, which
wants numpy. A metric is held to a floor, to a ceiling, and to a baseline that it may be worse than by so much. What
decides is the figure itself; the interval says whether that holds beyond doubt, and with `sure` it has to. What is
missing, is no number, or rests on too few rows is unknown, and never a pass (I21).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.plans import Verdict

T = TypeVar("T")
MIN_ROWS = 100
"""Rows, at least."""
MAX_DROP = 0.05
"""How much worse than the baseline a metric may be of which nothing else is said."""
CONFIDENCE = 0.95
PREFIXES = ("val_", "valid_", "validation_", "test_", "eval_", "holdout_")
"""What trainers write before a metric that has its usual meaning."""


class Known(Struct, frozen=True):
    """What is known of a metric by its name."""

    higher: bool
    """Higher is better."""
    relative: bool
    """It has a unit, or no natural scale: a drop of it is a share of the baseline."""


_SHARE, _ERROR = Known(higher=True, relative=False), Known(higher=False, relative=True)
KNOWN: Mapping[str, Known] = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "f1", "f1_score", "precision", "recall"), _SHARE),
    **dict.fromkeys(("auc", "roc_auc", "average_precision", "pr_auc", "r2", "r2_score"), _SHARE),
    **dict.fromkeys(("log_loss", "logloss", "loss", "brier", "brier_score", "rmse", "mse", "mae", "mape"), _ERROR),
}
SAME: Mapping[str, str] = {
    "f1_score": "f1",
    "roc_auc": "auc",
    "r2_score": "r2",
    "logloss": "log_loss",
    "brier_score": "brier",
}
"""Two names of one thing."""


class Against(enum.StrEnum):
    """What a metric is held to."""

    FLOOR = "min"
    CEILING = "max"
    BASELINE = "baseline"
    NOTHING = ""


class Certainty(enum.StrEnum):
    """Whether the whole interval lies on one side of the limit."""

    BEYOND_DOUBT = "beyond doubt"
    MAY_BE = "may be"
    NOT_KNOWN = ""
    """There is no interval: figures alone were given."""


class BadThreshold(ValueError):
    """A threshold that says too little, or what cannot hold; the words say what would be right."""


class Threshold(Struct, frozen=True):
    """What a metric is held to, as it was said."""

    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    """How much worse than the baseline it may be, whichever way is worse."""
    relative: bool | None = None
    """`max_drop` is a share of the baseline."""
    better: str = ""
    """`higher` or `lower`."""


class Rule(Struct, frozen=True):
    """What a metric is held to, with what its name says of it."""

    higher: bool
    floor: float | None = None
    ceiling: float | None = None
    max_drop: float | None = None
    relative: bool = False


class Interval(Struct, frozen=True):
    """Between which two figures something lies, with what error."""

    low: float
    high: float
    error: float = math.nan
    """The standard error."""


class Figure(Struct, frozen=True):
    """One metric of a version, as it was given or measured."""

    value: float
    n: int | None = None
    """Rows; None where a figure alone was given."""
    interval: Interval | None = None
    baseline: float | None = None
    """Of the baseline on the same rows, where its predictions were given."""
    loss: Interval | None = None
    """How much worse than that baseline, in the unit of the rule's `max_drop`; negative is better."""


class Check(Struct, frozen=True, kw_only=True):
    """One metric held to one thing."""

    metric: str
    against: Against = Against.NOTHING
    verdict: Verdict = Verdict.UNKNOWN
    value: float | None = None
    baseline: float | None = None
    limit: float | None = None
    """The worst value that passes."""
    max_drop: float | None = None
    relative: bool = False
    loss: float | None = None
    """How much worse than the baseline, as `max_drop` counts it; negative is better."""
    n: int | None = None
    low: float | None = None
    """The interval of the value; against a baseline, of how much worse it is."""
    high: float | None = None
    certainty: Certainty = Certainty.NOT_KNOWN
    p_value: float | None = None
    """The chance of being so far beyond the limit without being worse than it."""
    q_value: float | None = None
    """Of a slice: the same among all slices."""
    slice: str = ""
    """`country=fr`; empty for all rows."""
    words: str = ""


class Validation(Struct, frozen=True, kw_only=True):
    """All that was found of one version."""

    model: str
    version: str = ""
    at: float = 0.0
    baseline: str = ""
    """What it was compared with, fit to be shown."""
    source: str = ""
    """Where its figures are from."""
    verdict: Verdict = Verdict.UNKNOWN
    why: str = ""
    checks: tuple[Check, ...] = ()
    slices: tuple[Check, ...] = ()
    worst: dict[str, str] = {}
    """Metric to the slice in which it is worst."""
    metrics: dict[str, float] = {}
    """All that is known of the version, judged or not."""
    rows: int | None = None
    confidence: float = CONFIDENCE
    resamples: int = 0
    drift: Verdict | None = None
    """Of the data, where it was asked for."""
    drift_why: str = ""
    notes: tuple[str, ...] = ()


# ---- thresholds


def known(metric: str) -> Known | None:
    """What a metric's name says of it."""
    name = metric.lower()
    bare = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
    return KNOWN.get(bare)


def same(metric: str) -> str:
    """The one name of a metric that has several."""
    return SAME.get(metric, metric)


def rule_of(metric: str, said: Threshold) -> Rule:
    """What a metric is held to. Raises BadThreshold."""
    found = known(metric)
    for name in ("min", "max", "max_drop"):
        value = getattr(said, name)
        if value is not None and not math.isfinite(value):
            raise BadThreshold(f"{name} is no number")
    if said.better not in ("", "higher", "lower"):
        raise BadThreshold(f'better is "higher" or "lower", not {said.better!r}')
    drop = said.max_drop if (said.max_drop, said.min, said.max) != (None, None, None) else MAX_DROP
    if drop is not None and drop < 0:
        raise BadThreshold("max_drop is 0 or more: how much worse it may be, whichever way is worse")
    if found is None and not said.better and drop is not None:
        raise BadThreshold('which way is better nobody knows by its name: say better = "higher" or "lower"')
    if said.min is not None and said.max is not None and said.min > said.max:
        raise BadThreshold("min is above max: nothing passes")
    higher = said.better == "higher" if said.better else found is None or found.higher
    relative = said.relative if said.relative is not None else found is not None and found.relative
    return Rule(higher, said.min, said.max, drop, relative)


def rules_of(said: Mapping[str, Threshold], there: Iterable[str], max_drop: float = MAX_DROP) -> dict[str, Rule]:
    """A rule for each metric that is named; where none is, for each of those that are there and known by name."""
    if said:
        return {metric: rule_of(metric, threshold) for metric, threshold in said.items()}
    return {metric: rule_of(metric, Threshold(max_drop=max_drop)) for metric in sorted(there) if known(metric)}


def find(metrics: Mapping[str, T], metric: str) -> T | None:
    """What is there of a metric by its name, or by another name of the same."""
    if metric in metrics:
        return metrics[metric]
    return next((value for name, value in metrics.items() if same(name) == same(metric)), None)


# ---- judging


def judge(
    metric: str, rule: Rule, figure: Figure | None, baseline: float | None, min_rows: int, *, sure: bool = False
) -> list[Check]:
    """A metric held to everything that its rule says, one check each."""
    base = Check(metric=metric)
    if figure is not None:
        base = replace(base, value=figure.value, n=figure.n)
    fault = _fault(figure, min_rows)
    checks = []
    for against, limit in ((Against.FLOOR, rule.floor), (Against.CEILING, rule.ceiling)):
        if limit is not None:
            check = replace(base, against=against, limit=limit)
            checks.append(_unknown(check, fault) if figure is None or fault else _bounded(check, figure, sure))
    if rule.max_drop is not None:
        found = figure.baseline if figure is not None and figure.baseline is not None else baseline
        check = replace(base, against=Against.BASELINE, baseline=found, max_drop=rule.max_drop, relative=rule.relative)
        checks.append(_unknown(check, fault) if figure is None or fault else _compared(check, rule, figure, sure))
    return checks


def _fault(figure: Figure | None, min_rows: int) -> str:
    """Why nothing can be said of a figure."""
    if figure is None:
        return "there is no such metric"
    if not math.isfinite(figure.value):
        return "it is no number"
    if figure.n is not None and figure.n < min_rows:
        return f"needs {min_rows} rows"
    return ""


def _unknown(check: Check, why: str) -> Check:
    return replace(check, verdict=Verdict.UNKNOWN, words=why)


def _bounded(check: Check, figure: Figure, sure: bool) -> Check:
    """Held to a floor or a ceiling: by how much it is beyond, and within what interval."""
    limit, floor = check.limit or 0.0, check.against is Against.FLOOR
    sign = 1.0 if floor else -1.0
    beyond = sign * (limit - figure.value)
    within = _toward(figure.interval, limit, sign)
    if figure.interval is not None:
        check = replace(check, low=figure.interval.low, high=figure.interval.high)
    side = "at least" if floor else "at most"
    return _settled(check, beyond, 0.0, within, sure, f"{side} {short(limit)}")


def _compared(check: Check, rule: Rule, figure: Figure, sure: bool) -> Check:
    """Held to the baseline."""
    baseline, drop = check.baseline, rule.max_drop or 0.0
    if baseline is None:
        return _unknown(check, "the baseline has no such metric")
    if not math.isfinite(baseline):
        return _unknown(check, "the baseline's is no number")
    if rule.relative and not baseline:
        return _unknown(check, "the baseline's is 0: no share of it can be said")
    sign, unit = 1.0 if rule.higher else -1.0, abs(baseline) if rule.relative else 1.0
    loss = sign * (baseline - figure.value) / unit
    within = figure.loss if figure.baseline is not None else _toward(figure.interval, baseline, sign, unit)
    check = replace(check, loss=loss, limit=baseline - sign * drop * unit)
    if within is not None:
        check = replace(check, low=within.low, high=within.high)
    told = f"{_amount(abs(loss), rule.relative)} {'worse' if loss > 0 else 'better'}" if loss else "the same"
    allowed = f"{_amount(drop, rule.relative)} worse" if drop else "no worse"
    return _settled(check, loss, drop, within, sure, f"{allowed} at most", told)


def _toward(interval: Interval | None, target: float, sign: float, unit: float = 1.0) -> Interval | None:
    """The interval of how far a value stays behind a figure that is fixed."""
    if interval is None:
        return None
    ends = sorted(sign * (target - end) / unit for end in (interval.low, interval.high))
    return Interval(ends[0], ends[1], interval.error / unit)


def _settled(
    check: Check, loss: float, allowed: float, within: Interval | None, sure: bool, rule: str, told: str = ""
) -> Check:
    """The verdict: the figure decides, the interval says whether beyond doubt."""
    failed = loss > allowed
    certainty = Certainty.NOT_KNOWN
    if within is not None:
        whole = within.low > allowed if failed else within.high <= allowed
        certainty = Certainty.BEYOND_DOUBT if whole else Certainty.MAY_BE
    verdict = Verdict.FAIL if failed else Verdict.PASS
    if sure and not failed and certainty is not Certainty.BEYOND_DOUBT:
        verdict = Verdict.UNKNOWN
    saying = {
        Certainty.BEYOND_DOUBT: "beyond doubt",
        Certainty.MAY_BE: "may be chance" if failed else "may be worse than that",
        Certainty.NOT_KNOWN: "has to be beyond doubt: give the predictions" if verdict is Verdict.UNKNOWN else "",
    }[certainty]
    words = "; ".join(part for part in (f"{told}, {rule}" if told else rule, saying) if part)
    chance = None if within is None else _chance(loss - allowed, within.error)
    return replace(check, verdict=verdict, certainty=certainty, p_value=chance, words=words)


def _chance(beyond: float, error: float) -> float | None:
    """One-sided, by the normal distribution."""
    if not math.isfinite(error) or not math.isfinite(beyond):
        return None
    if not error:
        return 0.0 if beyond > 0 else 1.0
    return 0.5 * math.erfc(beyond / error / math.sqrt(2))


def judge_slices(checks: Sequence[Check], alpha: float) -> tuple[Check, ...]:
    """Checks of many slices, each among all of them: one fails where it is beyond its limit and that is no chance.

    Of fifty slices some are beyond any limit by chance alone. One that may be is unknown, as one with few rows is.
    """
    from mlconsole.domain.statistics.verdicts import benjamini_hochberg

    q_values = benjamini_hochberg([check.p_value if check.verdict is not Verdict.UNKNOWN else None for check in checks])
    found = []
    for check, q in zip(checks, q_values, strict=True):
        settled = replace(check, q_value=q)
        if check.verdict is Verdict.FAIL:
            by_chance = q is None or q >= alpha
            rest = check.words.rpartition("; ")[0] or check.words
            words = f"{rest}; {'may be chance' if by_chance else 'beyond doubt'} among {len(checks)} checks of slices"
            certainty = Certainty.MAY_BE if by_chance else Certainty.BEYOND_DOUBT
            verdict = Verdict.UNKNOWN if by_chance else Verdict.FAIL
            settled = replace(settled, verdict=verdict, certainty=certainty, words=words)
        found.append(settled)
    return tuple(found)


def worst_slices(checks: Iterable[Check], rules: Mapping[str, Rule]) -> dict[str, str]:
    """Of each metric the slice that is furthest behind its baseline, else the one with the worst value."""
    found: dict[str, tuple[float, str]] = {}
    for check in checks:
        if check.value is None or not check.n or not math.isfinite(check.value) or check.words.startswith("needs "):
            continue
        behind = check.loss
        if behind is None:
            behind = -check.value if rules[check.metric].higher else check.value
        if check.metric not in found or behind > found[check.metric][0]:
            found[check.metric] = (behind, check.slice)
    return {metric: name for metric, (_, name) in found.items()}


def overall(found: Validation) -> tuple[Verdict, str]:
    """What is said of all of it, and why. Slices that are unknown are told, and do not decide."""
    failed = [check for check in (*found.checks, *found.slices) if check.verdict is Verdict.FAIL]
    unknown = [check for check in found.checks if check.verdict is Verdict.UNKNOWN]
    drift = [f"data: {found.drift_why}"] if found.drift else []
    if failed or found.drift is Verdict.FAIL:
        told = [*map(_named, failed), *(drift if found.drift is Verdict.FAIL else [])]
        return Verdict.FAIL, _some(told)
    if unknown or found.drift is Verdict.UNKNOWN:
        told = [*map(_named, unknown), *(drift if found.drift is Verdict.UNKNOWN else [])]
        return Verdict.UNKNOWN, _some(told)
    if not found.checks:
        return (found.drift, drift[0]) if found.drift else (Verdict.UNKNOWN, "nothing was judged")
    count = len(found.checks)
    few = sum(check.verdict is Verdict.UNKNOWN for check in found.slices)
    more = f"; {few} of {len(found.slices)} checks of slices are unknown" if few else ""
    return Verdict.PASS, f"{count} check{'s' if count > 1 else ''} passed{more}"


def _named(check: Check) -> str:
    where = f" of {check.slice}" if check.slice else ""
    return f"{check.metric}{where}: {check.words}"


def _some(told: Sequence[str]) -> str:
    return told[0] + (f"; and {len(told) - 1} more" if len(told) > 1 else "")


# ---- figures in words


def short(value: float | None) -> str:
    """A metric in few characters: `0.913`, `12.4`."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def _amount(value: float, relative: bool) -> str:
    return f"{value:.1%}" if relative else short(value)
