"""An analysis: measurements, taken again and again, and what they say together.

Interval, count and limits mean what they do in an AnalysisTemplate of Argo Rollouts: it fails as soon as more than
`failure_limit` measurements failed, is unknown as soon as more than `inconclusive_limit` gave no answer, and otherwise
ends with `count` measurements, or with the time that it was given. Two things are stricter than there: without a single
measurement that passed nothing is good (I21), and what could not be measured at all counts as one without an answer,
unless the template has a limit of its own for errors in a row.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from mlconsole.domain.plans import Gate, Verdict

KEPT = 10
"""Measurements that are kept; the counts are of all."""
WORST_FIRST = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS)


class Spec(Struct, frozen=True):
    """What is measured, how often, and what must hold of it."""

    name: str
    condition: str = ""
    """What must hold of a measurement that passes."""
    failure: str = ""
    """What holds of one that fails; without it, all that does not pass does. With both, the rest is inconclusive."""
    query: str = ""
    """PromQL; without one the condition is about the built-in figures."""
    interval: float = 10.0
    delay: float = 0.0
    """Seconds before the first measurement."""
    count: int | None = 3
    """None: until the time is over."""
    failure_limit: int = 0
    inconclusive_limit: int = 3
    error_limit: int | None = None
    """Errors in a row that are let pass, and not counted as measurements; None: an error is one without an answer."""
    origin: str = ""
    """Where it is written: `AnalysisTemplate ml/success-rate`."""
    problem: str = ""
    """Why it cannot be measured at all; it is unknown then."""


class Measurement(Struct, frozen=True):
    """One look."""

    at: float
    verdict: Verdict
    value: str = ""
    """The figures in words, or why there are none."""
    n: float | None = None
    """Requests (or observations) that it rests on; None where nobody can say."""
    age: float = 0.0
    """Seconds between the newest of what it rests on and the look."""
    query: str = ""
    """What exactly was asked."""
    error: bool = False
    """Nothing could be measured: the source is away, or refuses."""
    early: bool = False
    """No answer yet only because there was little traffic so far: more may come."""


class Analysis(Struct, frozen=True):
    """The state of one analysis."""

    spec: Spec
    began_at: float
    due: float
    """When it is measured next."""
    measurements: tuple[Measurement, ...] = ()
    """The last ones."""
    passed: int = 0
    failed: int = 0
    unknown: int = 0
    errors: int = 0
    """In a row, where errors are counted apart."""
    most_errors: int = 0
    """The longest such row."""
    waiting: int = 0
    """Looks that came too early to count."""

    @property
    def count(self) -> int:
        """Measurements that count."""
        return self.passed + self.failed + self.unknown

    @property
    def last(self) -> Measurement | None:
        """The newest."""
        return self.measurements[-1] if self.measurements else None


def begin(spec: Spec, now: float) -> Analysis:
    """An analysis of which nothing was measured yet."""
    return Analysis(spec, now, now + spec.delay)


def measured(state: Analysis, measurement: Measurement) -> Analysis:
    """The analysis with one measurement more."""
    kept = (*state.measurements, measurement)[-KEPT:]
    state = replace(state, measurements=kept, due=measurement.at + state.spec.interval)
    if measurement.error and state.spec.error_limit is not None:
        errors = state.errors + 1
        return replace(state, errors=errors, most_errors=max(errors, state.most_errors))
    state = replace(state, errors=0)
    if measurement.verdict is Verdict.PASS:
        return replace(state, passed=state.passed + 1)
    if measurement.verdict is Verdict.FAIL:
        return replace(state, failed=state.failed + 1)
    if measurement.early:
        return replace(state, waiting=state.waiting + 1)
    return replace(state, unknown=state.unknown + 1)


def verdict(state: Analysis, *, over: bool = False) -> Verdict | None:
    """What it comes to; None while it goes on. `over` when its time is."""
    return judged(state, over=over)[0]


def judged(state: Analysis, *, over: bool = False) -> tuple[Verdict | None, str]:
    """The verdict, and what it rests on in words."""
    spec = state.spec
    broken = _broken(state)
    if broken is not None:
        return broken
    done = spec.count is not None and state.count >= spec.count
    if not done and not over:
        wanted = f" of {spec.count}" if spec.count is not None else ""
        early = f", {state.waiting} came too early" if state.waiting else ""
        return None, f"{state.passed} passed, {state.count}{wanted} measured{early}"
    if not state.passed:
        looks = f"{state.count + state.waiting} measurements" if state.count + state.waiting else "nothing measured"
        return Verdict.UNKNOWN, f"none passed: {looks}"
    return Verdict.PASS, f"{state.passed} of {state.count} measurements passed"


def _broken(state: Analysis) -> tuple[Verdict, str] | None:
    """The verdict where a limit is passed; it stays, but that a failure is worse than what is unknown."""
    spec, count = state.spec, state.count
    if spec.problem:
        return Verdict.UNKNOWN, spec.problem
    if state.failed > spec.failure_limit:
        return Verdict.FAIL, f"{state.failed} of {count} measurements failed, {spec.failure_limit} are let pass"
    if state.unknown > spec.inconclusive_limit:
        words = f"{state.unknown} of {count} measurements gave no answer, {spec.inconclusive_limit} are let pass"
        return Verdict.UNKNOWN, words
    if spec.error_limit is not None and state.most_errors > spec.error_limit:
        return Verdict.UNKNOWN, f"{state.most_errors} errors in a row, {spec.error_limit} are let pass"
    return None


def gate(state: Analysis, now: float, *, over: bool = False) -> Gate:
    """The gate with its evidence; an analysis that goes on is unknown."""
    found, counted = judged(state, over=over)
    last = state.last
    parts = [counted] if last is None else [last.value, counted]
    spec = state.spec
    asked = [last.query if last else spec.query, _rests_on(last), spec.origin]
    return Gate(
        spec.name,
        found or Verdict.UNKNOWN,
        "; ".join(filter(None, parts)),
        " unless ".join(filter(None, (spec.condition, spec.failure))) if spec.condition else _fails_if(spec.failure),
        "; ".join(filter(None, asked)),
        max(0.0, now - last.at) + last.age if last else 0.0,
    )


def together(name: str, gates: tuple[Gate, ...]) -> Gate:
    """One gate for the metrics of one template: as good as the worst of them."""
    worst = min(gates, key=lambda item: WORST_FIRST.index(item.verdict))
    value = ", ".join(f"{item.name} {item.verdict}" for item in gates)
    return replace(worst, name=name, value=f"{value}: {worst.value}", age=max(item.age for item in gates))


def _rests_on(last: Measurement | None) -> str:
    if last is None:
        return ""
    return "n not known" if last.n is None else f"n = {last.n:.0f}"


def _fails_if(failure: str) -> str:
    return f"not {failure}" if failure else ""
