"""The language of an analysis' condition: `p95 < 1.2 * live`, `error_share < 0.01`, `result[0] >= 0.95`.

As much of the expressions of Argo Rollouts as its templates use, and names for the figures of the candidate and of the
live colour. What is missing, or no number, is unknown, and so is whatever follows from it: a condition holds only where
it would hold whatever the missing figures were (I21). Only a condition that itself asks whether something is missing
(`isNaN`, `isNil`, `default`, `len`) can hold because of that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NoReturn

from msgspec import Struct

from mlconsole.domain import computing
from mlconsole.domain.computing import Compute, Facts, Part

LATENCIES = ("p50", "p95", "p99")
FIGURES = (*LATENCIES, "error_share", "rate", "drift.share", "drift.worst")
"""Of the candidate; with `live.` before them, of the live colour."""
LIVE = "live"
LONGEST = 1000
DEEPEST = 40
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class ConditionError(ValueError):
    """A text that is no condition; the words say where and why."""


class Condition(Struct, frozen=True):
    """A condition that was read."""

    text: str
    figures: frozenset[str]
    """The figures that it is about: `p95`, `live.p95`."""
    with_result: bool
    """Whether it is about the result of a query."""
    judge: Callable[[Facts], bool | None]

    def holds(self, facts: Facts) -> bool | None:
        """Whether it holds; None where that is unknown."""
        return self.judge(facts)


def fault(condition: str, query: str) -> str:
    """What is wrong with a condition on the result of `query`, or of none, in words; empty for nothing."""
    try:
        found = parse(condition)
    except ConditionError as error:
        return str(error)
    if found.with_result and not query:
        return "`result` is that of a query, and there is none"
    return "" if found.with_result or not query else "the condition does not look at the `result` of its query"


def parse(text: str) -> Condition:
    """Read a condition. Raises ConditionError."""
    return _Parser(text).condition()


def words(name: str, value: float | None) -> str:
    """A figure as a person reads it: `180 ms`, `1.20%`."""
    if value is None or not math.isfinite(value):
        return "unknown"
    figure = name.removeprefix("live.")
    if figure in LATENCIES:
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
    if figure in ("error_share", "drift.share", "accuracy"):
        return f"{value:.2%}"
    if figure == "drift.distance":
        return f"{value:.2f}"
    return f"{value:.1f}/s" if figure == "rate" else f"{value:.4g}"


# ---- how it is read

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<duration>(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+)(?![\w.])
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)(?![\w.])
    | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<sign><=|>=|==|!=|&&|\|\||[-+*/<>!()\[\]{},\#])
    )""",
    re.VERBOSE,
)
_WORDS = {"and": "&&", "or": "||", "not": "not"}
_CHECKS: dict[str, Callable[[float], bool | None]] = {
    "isNaN": math.isnan,
    "isInf": lambda value: None if math.isnan(value) else False,
}
"""Prometheus' infinities reach the console as what they are good for: no number."""
_EACH = ("all", "any", "none")
_FUNCTIONS = (*_CHECKS, "isNil", "default", "len", "abs", "min", "max", "asFloat", "asInt", *_EACH)


class _Token(Struct, frozen=True):
    kind: str
    text: str
    at: int


class _Live:
    """A bare `live`, until it is known which figure it stands for."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.compute: Compute = computing.figure("")

    def __call__(self, facts: Facts) -> float:
        """The value of that figure."""
        value: float = self.compute(facts)
        return value


class _Parser:
    """Reads one condition, by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._figures: set[str] = set()
        self._result = False
        self._depth = 0
        self._lives: list[_Live] = []
        self._seen: set[str] = set()
        """The candidate's figures in the comparison that is being read."""
        self._element = False
        if len(text) > LONGEST:
            self._wrong(f"longer than {LONGEST} characters")
        self._tokens = self._split()
        self._next = 0

    def condition(self) -> Condition:
        """The whole."""
        if not self._tokens:
            self._wrong("it is empty")
        part = self._either()
        if self._next < len(self._tokens):
            self._wrong("this does not belong here", self._tokens[self._next])
        if part.kind != "truth":
            self._wrong("it is a value, not a condition: compare it with <, <=, >, >=, == or !=")
        return Condition(self._text.strip(), frozenset(self._figures), self._result, part.compute)

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        end = len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None or found.lastgroup is None:
                rest = self._text[at:].lstrip()
                hint = ": write 5 % as 0.05" if rest[:1] == "%" else ""
                self._wrong(f"{rest[:12]!r} is not understood{hint}", _Token("", rest[:1], end - len(rest.rstrip())))
            text = found[found.lastgroup]
            kind = "sign" if text in _WORDS else found.lastgroup
            tokens.append(_Token(kind, _WORDS.get(text, text), found.start(found.lastgroup)))
            at = found.end()
        return tokens

    # ---- tokens

    def _sign(self, *wanted: str) -> str:
        """The next sign, taken, if it is one of `wanted`; else empty."""
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.kind == "sign" and token.text in wanted:
                self._next += 1
                return token.text
        return ""

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            self._wrong(f"{sign!r} is missing", self._here())

    def _here(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _wrong(self, why: str, token: _Token | None = None) -> NoReturn:
        where = f"at {token.text!r}, character {token.at + 1}: " if token is not None else ""
        shown = self._text if len(self._text) <= 80 else self._text[:80] + "…"
        raise ConditionError(f"the condition {shown!r}: {where}{why}")

    def _as(self, part: Part, kind: str, token: _Token | None) -> Compute:
        if part.kind == kind:
            return part.compute
        if part.kind == "list" and kind == "number":
            return computing.alone(part.compute)
        wanted = {"number": "a number", "truth": "a condition", "list": "the result of a query"}
        self._wrong(f"{wanted[kind]} is wanted here, and this is {wanted[part.kind]}", token)

    # ---- the grammar, loosest first

    def _either(self) -> Part:
        self._depth += 1
        if self._depth > DEEPEST:
            self._wrong("too many brackets in each other")
        first = self._here()
        part = self._all()
        parts = [part]
        while self._sign("||"):
            parts.append(self._all())
        self._depth -= 1
        return (
            part
            if len(parts) == 1
            else Part("truth", computing.either([self._as(one, "truth", first) for one in parts]))
        )

    def _all(self) -> Part:
        first = self._here()
        part = self._not()
        parts = [part]
        while self._sign("&&"):
            parts.append(self._not())
        return (
            part if len(parts) == 1 else Part("truth", computing.both([self._as(one, "truth", first) for one in parts]))
        )

    def _not(self) -> Part:
        negate = False
        while self._sign("not"):
            negate = not negate
        first = self._here()
        part = self._comparison()
        return Part("truth", computing.negated(self._as(part, "truth", first))) if negate else part

    def _comparison(self) -> Part:
        outer_lives, outer_seen = self._lives, self._seen
        self._lives, self._seen = [], set()
        first = self._here()
        left = self._sum()
        sign = self._sign(*computing.COMPARE)
        if sign:
            second = self._here()
            right = self._sum()
            if self._sign(*computing.COMPARE):
                self._wrong("one comparison at a time: `0 < p95 and p95 < 1`", self._tokens[self._next - 1])
            compute = computing.compared(sign, self._as(left, "number", first), self._as(right, "number", second))
            left = Part("truth", compute)
            self._resolve()
        elif self._depth == 1 and self._lives:
            self._wrong("`live` stands for the live colour's same figure, and nothing is compared here")
        self._lives, self._seen = outer_lives + self._lives, outer_seen | self._seen
        return left

    def _resolve(self) -> None:
        """Say of each bare `live` which figure it is: the one that it is compared with."""
        if self._lives and len(self._seen) != 1:
            named = ", ".join(sorted(self._seen)) or "none"
            token = _Token("name", LIVE, self._lives[0].at)
            self._wrong(f"`live` is the live colour's same figure, and here there is {named}: write live.p95", token)
        for live in self._lives:
            name = f"{LIVE}.{next(iter(self._seen))}"
            self._figures.add(name)
            live.compute = computing.figure(name)
        self._lives, self._seen = [], set()

    def _sum(self) -> Part:
        return self._chain(self._product, ("+", "-"))

    def _product(self) -> Part:
        return self._chain(self._unary, ("*", "/"))

    def _chain(self, operand: Callable[[], Part], signs: tuple[str, ...]) -> Part:
        first = self._here()
        part = operand()
        while sign := self._sign(*signs):
            second = self._here()
            other = operand()
            compute = computing.combined(sign, self._as(part, "number", first), self._as(other, "number", second))
            part = Part("number", compute)
        return part

    def _unary(self) -> Part:
        signs = []
        while sign := self._sign("-", "+", "!"):
            signs.append(sign)
        first = self._here()
        part = self._indexed()
        for sign in reversed(signs):
            if sign == "!":
                part = Part("truth", computing.negated(self._as(part, "truth", first)))
            else:
                value = self._as(part, "number", first)
                part = Part("number", computing.combined("*", lambda _: -1.0, value) if sign == "-" else value)
        return part

    def _indexed(self) -> Part:
        first = self._here()
        part = self._primary()
        if self._sign("["):
            values = self._as(part, "list", first)
            token = self._here()
            if token is None or not token.text.isdecimal():
                self._wrong("the number of a series is wanted, such as result[0]", token)
            self._next += 1
            self._expect("]")
            return Part("number", computing.at(values, int(token.text)))
        return part

    def _primary(self) -> Part:
        token = self._here()
        if token is None:
            self._wrong("a value is missing at its end")
        self._next += 1
        if token.kind == "number":
            number = float(token.text)
            return Part("number", lambda _: number)
        if token.kind == "duration":
            seconds = sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)(us|ms|s|m|h)", token.text))
            return Part("number", lambda _: seconds)
        if token.text == "(":
            part = self._either()
            self._expect(")")
            return part
        if token.text == "#" and self._element:
            return Part("number", lambda facts: facts.element)
        if token.kind == "name":
            return self._named(token)
        self._wrong("a value is wanted here", token)

    def _named(self, token: _Token) -> Part:
        name = token.text
        if self._sign("("):
            return self._call(token)
        if name in ("true", "false"):
            return Part("truth", lambda _: name == "true")
        if name == "result":
            self._result = True
            return Part("list", lambda facts: facts.result)
        if name == LIVE:
            live = _Live(token.at)
            self._lives.append(live)
            return Part("number", live)
        if name.removeprefix(f"{LIVE}.") not in FIGURES:
            self._wrong(f"there is no such figure; there are {', '.join(FIGURES)}, live.p95 and result", token)
        self._figures.add(name)
        if not name.startswith(f"{LIVE}."):
            self._seen.add(name)
        return Part("number", computing.figure(name))

    # ---- functions

    def _call(self, token: _Token) -> Part:
        name = token.text
        if name not in _FUNCTIONS:
            self._wrong(f"there is no such function; there are {', '.join(_FUNCTIONS)}", token)
        first = self._either()
        if name in _EACH:
            return self._each(name, self._as(first, "list", token), token)
        if name in ("len", "isNil"):
            values = self._as(first, "list", token)
            self._expect(")")
            if name == "len":
                return Part("number", lambda facts: float(len(values(facts))))
            return Part("truth", lambda facts: not values(facts))
        args = [self._as(first, "number", token)]
        while self._sign(","):
            args.append(self._as(self._either(), "number", token))
        self._expect(")")
        wanted = 2 if name in ("default", "min", "max") else 1
        if len(args) != wanted:
            self._wrong(f"{name} takes {wanted} value{'s' if wanted > 1 else ''}", token)
        return self._computed(name, args)

    def _each(self, name: str, values: Compute, token: _Token) -> Part:
        """`all(result, # < 1)`, also `all(result, {# < 1})`."""
        self._expect(",")
        braces = self._sign("{")
        before, self._element = self._element, True
        predicate = self._as(self._either(), "truth", token)
        self._element = before
        if braces:
            self._expect("}")
        self._expect(")")
        return Part("truth", computing.of_each(name, values, predicate))

    def _computed(self, name: str, args: list[Compute]) -> Part:
        first, last = args[0], args[-1]
        if name in _CHECKS:
            check = _CHECKS[name]
            return Part("truth", lambda facts: check(first(facts)))
        if name == "default":
            return Part("number", lambda facts: last(facts) if math.isnan(first(facts)) else first(facts))
        if name in ("asFloat", "asInt"):
            return Part("number", first)
        if name == "abs":
            return Part("number", lambda facts: abs(first(facts)))
        choose = min if name == "min" else max

        def chosen(facts: Facts) -> float:
            values = (first(facts), last(facts))
            return math.nan if any(map(math.isnan, values)) else choose(values)

        return Part("number", chosen)
