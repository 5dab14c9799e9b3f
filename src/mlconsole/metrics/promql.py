"""The part of PromQL that panels are written in, computed over what was scraped.

So that a panel is defined once: without a Prometheus its query is not another one. The same samples give the same
figures as Prometheus gives, extrapolation included: a test holds it to a real one. What is not known here (`offset`,
subqueries, joins by other labels, most functions) is refused by its name, and the panel says so.
https://prometheus.io/docs/prometheus/latest/querying/basics/
"""

from __future__ import annotations

import functools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn, Protocol

from msgspec import Struct

from mlconsole.domain.telemetry import histogram_quantile

Labels = tuple[tuple[str, str], ...]
"""Sorted by name."""
Vector = dict[Labels, float]
Value = float | Vector
LOOKBACK = 300.0
"""Seconds that a sample stands for."""
REMEMBERED = 10_000
"""Label sets of which it is known what is made of them: from one instant to the next only values change."""


class Unknown(Exception):
    """Not a part of the language that is known here; the text names it."""


class Matcher(Struct, frozen=True):
    """What a label must be."""

    name: str
    sign: str
    value: str

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is one of them; a label that is not there is empty."""
        found = labels.get(self.name, "")
        same = found == self.value if self.sign in ("=", "!=") else _pattern(self.value).fullmatch(found) is not None
        return same is not self.sign.startswith("!")


class Source(Protocol):
    """Where samples are."""

    def latest(self, matchers: Sequence[Matcher], at: float, lookback: float) -> Iterator[tuple[Labels, float]]:
        """Of each series, its name among its labels, the last sample in the `lookback` seconds before `at`."""

    def over(self, matchers: Sequence[Matcher], start: float, end: float) -> Iterator[tuple[Labels, Sample]]:
        """Of each series without its name the samples from `start` to `end`, both included."""


Sample = tuple[Sequence[float], Sequence[float]]
"""Times and values."""
Expression = Callable[[Source, float], Value]


@functools.lru_cache(512)
def parsed(text: str) -> Expression:
    """A query, ready to be computed at an instant. Raises Unknown."""
    parser = _Parser(text)
    found = parser.either()
    parser.expect("end")
    return found


@functools.lru_cache(512)
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.DOTALL)
    except re.error as error:
        raise Unknown(f"the pattern {text[:60]!r}: {error}") from error


# ---- the language


def _divided(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a)


_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)(?![\w.:])
    |(?P<duration>(?:\d+(?:ms|[smhdwy]))+)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^(){}\[\],=<>@])
    |(?P<end>$))""",
    re.VERBOSE | re.DOTALL,
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_TERMS = {"+": operator.add, "-": operator.sub}
_FACTORS: dict[str, Callable[[float, float], float]] = {"*": operator.mul, "/": _divided}
_AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "max": max,
    "min": min,
    "avg": lambda values: math.fsum(values) / len(values),
    "count": len,
}


class _Parser:
    """Reads one query from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._next()

    def _next(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            raise Unknown(f"{self._text[self._at : self._at + 20].strip()!r}")
        self.kind, self.token, self._at = found.lastgroup or "", found[found.lastgroup or 0], found.end()

    def take(self, *tokens: str) -> str:
        """The token, if it is one of these and no string; else empty."""
        token = self.token if self.kind in ("sign", "name") and self.token in tokens else ""
        if token:
            self._next()
        return token

    def expect(self, kind: str, token: str = "") -> str:
        """The token, which must be of this kind."""
        if self.kind != kind or (token and self.token != token):
            self._refuse()
        found = self.token
        if kind != "end":
            self._next()
        return found

    def _refuse(self) -> NoReturn:
        raise Unknown(f"{self.token!r}" if self.token else "an end too soon")

    def either(self) -> Expression:
        """`a or b`: what of b has other labels is added."""
        left = self._terms()
        while self.take("or"):
            left = _or(left, self._terms())
        return left

    def _terms(self) -> Expression:
        left = self._factors()
        while sign := self.take("+", "-"):
            left = _binary(_TERMS[sign], left, self._factors())
        return left

    def _factors(self) -> Expression:
        left = self._unary()
        while sign := self.take("*", "/"):
            left = _binary(_FACTORS[sign], left, self._unary())
        return left

    def _unary(self) -> Expression:
        if self.take("-"):
            return _binary(operator.mul, lambda _source, _at: -1.0, self._unary())
        return self._atom()

    def _atom(self) -> Expression:
        if self.kind == "number":
            number = float(self.token)
            self._next()
            return lambda _source, _at: number
        if self.take("("):
            inner = self.either()
            self.expect("sign", ")")
            return inner
        if self.kind == "sign" and self.token == "{":
            return self._selector("")
        name = self.expect("name")
        if name in _AGGREGATES and self.token in ("by", "("):
            return self._aggregate(name)
        if self.kind == "sign" and self.token == "(":
            return self._function(name)
        return self._selector(name)

    def _aggregate(self, name: str) -> Expression:
        by: list[str] = []
        if self.take("by"):
            self.expect("sign", "(")
            while not self.take(")"):
                by.append(self.expect("name"))
                self.take(",")
        self.expect("sign", "(")
        inner = self.either()
        self.expect("sign", ")")
        return _aggregate(_AGGREGATES[name], frozenset(by), inner)

    def _function(self, name: str) -> Expression:
        self.expect("sign", "(")
        if name in ("rate", "increase"):
            return self._rate(name)
        if name == "histogram_quantile":
            q = self.either()
            self.expect("sign", ",")
            inner = self.either()
            self.expect("sign", ")")
            return _quantile(q, inner)
        if name == "label_replace":
            inner = self.either()
            words = []
            while self.take(","):
                words.append(_unquoted(self.expect("string")))
            self.expect("sign", ")")
            if len(words) != 4:
                raise Unknown("label_replace without four words")
            return _replace(inner, *words)
        if name == "time":
            self.expect("sign", ")")
            return lambda _source, at: at
        raise Unknown(f"{name}()")

    def _rate(self, name: str) -> Expression:
        matchers, seconds = self._series("" if self.token == "{" else self.expect("name"))
        if seconds is None:
            self._refuse()
        self.expect("sign", ")")
        return _rate(matchers, seconds, seconds if name == "increase" else 1.0)

    def _selector(self, name: str) -> Expression:
        matchers, seconds = self._series(name)
        if seconds is not None:
            raise Unknown("a range without rate or increase")
        return lambda source, at: dict(source.latest(matchers, at, LOOKBACK))

    def _series(self, name: str) -> tuple[tuple[Matcher, ...], float | None]:
        matchers = [Matcher("__name__", "=", name)] if name else []
        if self.take("{"):
            while not self.take("}"):
                label = self.expect("name")
                sign = self.take("=", "=~", "!=", "!~") or self._refuse()
                matchers.append(Matcher(label, sign, _unquoted(self.expect("string"))))
                self.take(",")
        seconds = None
        if self.take("["):
            seconds = _seconds(self.expect("duration"))
            self.expect("sign", "]")
        if self.kind == "name" and self.token == "offset":
            raise Unknown("offset")
        return tuple(matchers), seconds


def _seconds(text: str) -> float:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text[1:-1], flags=re.DOTALL)


# ---- what it means


def _or(left: Expression, right: Expression) -> Expression:
    def compute(source: Source, at: float) -> Value:
        first, second = left(source, at), right(source, at)
        if isinstance(first, float) or isinstance(second, float):
            raise Unknown("`or` between numbers")
        mine = {_nameless(labels) for labels in first}
        return {**first, **{labels: value for labels, value in second.items() if _nameless(labels) not in mine}}

    return compute


def _binary(sign: Callable[[float, float], float], left: Expression, right: Expression) -> Expression:
    def compute(source: Source, at: float) -> Value:
        first, second = left(source, at), right(source, at)
        if isinstance(first, float) and isinstance(second, float):
            return sign(first, second)
        if isinstance(first, float):
            assert not isinstance(second, float)
            return {_nameless(labels): sign(first, value) for labels, value in second.items()}
        if isinstance(second, float):
            return {_nameless(labels): sign(value, second) for labels, value in first.items()}
        theirs = {_nameless(labels): value for labels, value in second.items()}
        mine = {_nameless(labels): value for labels, value in first.items()}
        return {labels: sign(value, theirs[labels]) for labels, value in mine.items() if labels in theirs}

    return compute


def _aggregate(function: Callable[[list[float]], float], by: frozenset[str], inner: Expression) -> Expression:
    @functools.lru_cache(REMEMBERED)
    def group(labels: Labels) -> Labels:
        return tuple(pair for pair in labels if pair[0] in by)

    def compute(source: Source, at: float) -> Value:
        groups: dict[Labels, list[float]] = {}
        for labels, value in _vector(inner(source, at)).items():
            groups.setdefault(group(labels), []).append(value)
        return {labels: float(function(values)) for labels, values in groups.items()}

    return compute


def _replace(inner: Expression, target: str, template: str, origin: str, pattern: str) -> Expression:
    wanted = _pattern(pattern)
    filled = re.sub(r"\$(\d+)", r"\\g<\1>", template.replace("\\", "\\\\"))

    @functools.lru_cache(REMEMBERED)
    def renamed(labels: Labels) -> Labels:
        named = dict(labels)
        found = wanted.fullmatch(named.get(origin, ""))
        if found is not None:
            named[target] = found.expand(filled)
            if not named[target]:
                del named[target]
        return tuple(sorted(named.items()))

    def compute(source: Source, at: float) -> Value:
        return {renamed(labels): value for labels, value in _vector(inner(source, at)).items()}

    return compute


def _quantile(q: Expression, inner: Expression) -> Expression:
    @functools.lru_cache(REMEMBERED)
    def bucket(labels: Labels) -> tuple[Labels, float]:
        try:
            edge = float(dict(labels).get("le", ""))
        except ValueError:
            edge = math.nan
        return tuple(pair for pair in labels if pair[0] not in ("le", "__name__")), edge

    def compute(source: Source, at: float) -> Value:
        quantile = q(source, at)
        if not isinstance(quantile, float):
            raise Unknown("a quantile that is no number")
        groups: dict[Labels, list[tuple[float, float]]] = {}
        for labels, value in _vector(inner(source, at)).items():
            rest, edge = bucket(labels)
            if not math.isnan(edge):
                groups.setdefault(rest, []).append((edge, value))
        return {labels: histogram_quantile(quantile, sorted(buckets)) for labels, buckets in groups.items()}

    return compute


def _rate(matchers: tuple[Matcher, ...], seconds: float, times: float) -> Expression:
    def compute(source: Source, at: float) -> Value:
        found = {}
        for labels, (stamps, values) in source.over(matchers, at - seconds, at):
            grown = extrapolated(stamps, values, at - seconds, at)
            if grown is not None:
                found[labels] = grown if times == seconds else grown / seconds
        return found

    return compute


def extrapolated(stamps: Sequence[float], values: Sequence[float], start: float, end: float) -> float | None:
    """How much a counter grew from `start` to `end`, as Prometheus guesses it from the samples in between.

    https://github.com/prometheus/prometheus/blob/main/promql/functions.go: extrapolatedRate
    """
    if len(stamps) < 2:
        return None
    grown = values[-1] - values[0]
    before = values[0]
    for value in values[1:]:
        if value < before:
            grown += before
        before = value
    sampled = stamps[-1] - stamps[0]
    average = sampled / (len(stamps) - 1)
    to_start, to_end = stamps[0] - start, end - stamps[-1]
    if grown > 0 and values[0] >= 0:
        # A counter was never below zero.
        to_start = min(to_start, sampled * (values[0] / grown))
    span = sampled
    span += to_start if to_start < 1.1 * average else average / 2
    span += to_end if to_end < 1.1 * average else average / 2
    return grown * (span / sampled)


def _vector(value: Value) -> Vector:
    if isinstance(value, float):
        raise Unknown("a number where series are wanted")
    return value


@functools.lru_cache(REMEMBERED)
def _nameless(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != "__name__")
