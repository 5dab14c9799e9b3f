"""The panels: what `panels.toml` says of them, which of its dialects a service speaks, and a query filled in."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import resources

import msgspec
from msgspec import Struct

from mlconsole.metrics.matching import Scope, quoted

QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}
EXPORTED = "exported:"
"""What a need begins with whose series name the pod in `exported_pod`."""
ALWAYS = ("latency", "errors", "rate")
"""Panels that are there, and say what they would read, where none of their metrics is."""
SLOW = 120
"""Seconds that `$slow` looks back at least."""
PROBES = '"/?(metrics|health|healthz|ready|readyz|live|livez|ping|docs|openapi.json|favicon.ico)/?"'
WORDS = ("selector", "exported", "window", "slow", "probes", "quantile", "namespace", "service", "pods")
"""What stands after a `$` in a query, beside the functions."""
_FUNCTION = re.compile(r"\$(sum|max|min|avg|each)\s*(?:by\s*\(([\w\s,]*)\)\s*)?\(")
_WORD = re.compile(r"\$(\w+)\b")


class Dialect(Struct, frozen=True, forbid_unknown_fields=True):
    """One way in which a panel is exported."""

    name: str = ""
    needs: tuple[str, ...] = ()
    """Names of metrics that must all be there."""
    quantiles: str = ""
    """The query of p50, p95 and p99."""
    query: dict[str, str] = {}
    """By statistic."""
    label: str = ""
    """The label that names the lines, rather than the statistic."""
    version: str = ""
    """The label that names the release's version; none where what it names is another one, or nothing."""
    form: str = ""
    """Where it is another than the panel's."""
    unit: str | None = None

    @property
    def queries(self) -> dict[str, str]:
        """Every query, by statistic."""
        return {**(dict.fromkeys(QUANTILES, self.quantiles) if self.quantiles else {}), **self.query}


class Definition(Struct, frozen=True, forbid_unknown_fields=True):
    """What is charted together."""

    title: str
    unit: str = ""
    form: str = "lines"
    scale: str = "linear"
    statistics: tuple[str, ...] = ()
    """In the order in which they are drawn; none where a label names them."""
    dialect: tuple[Dialect, ...] = ()


class QueryFault(Exception):
    """A query that cannot be filled in; the text says what is wrong with it, and what would be right."""


@functools.cache
def definitions() -> dict[str, Definition]:
    """Every panel of the file, by its name and in its order; read when first asked for."""
    text = resources.files("mlconsole.metrics").joinpath("panels.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Definition])


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all metrics that some panel reads, those of an exporter with `EXPORTED` before them."""
    return tuple(sorted({name for panel in definitions().values() for item in panel.dialect for name in item.needs}))


def spoken(panel: Definition, known: Iterable[frozenset[str]]) -> list[Dialect]:
    """The first dialect of each colour, by the names that its pods export; in the order of the file, none twice."""
    first = [next((item for item in panel.dialect if names.issuperset(item.needs)), None) for names in known]
    return [item for item in panel.dialect if any(item is one for one in first)]


def telling(panel: Definition, stat: str, known: frozenset[str]) -> Dialect | None:
    """The first dialect of a colour that exports `known` by which a statistic is told."""
    return next((item for item in panel.dialect if known.issuperset(item.needs) and stat in item.queries), None)


def joined(dialects: Sequence[Dialect], stat: str) -> str:
    """One query for a statistic: where colours speak several dialects, for each what is its own."""
    texts = [text for item in dialects if (text := item.queries.get(stat))]
    return texts[0] if len(texts) == 1 else " or ".join(f"({text})" for text in texts)


def filled(text: str, scope: Scope, window: int, stat: str = "", by: Sequence[str] = ()) -> str:
    """A query with its words and functions filled in; `by` are more labels to group by. Raises QueryFault."""
    words = _words(scope, window, stat)
    pieces, at = [], 0
    while found := _FUNCTION.search(text, at):
        end = _closing(text, found.end())
        labels = [label.strip() for label in (found[2] or "").split(",") if label.strip()]
        inner = partial(filled, text[found.end() : end], window=window, stat=stat, by=by)
        made = scope.each(inner) if found[1] == "each" else scope.aggregated(found[1], inner(scope), *by, *labels)
        pieces += [_put(text[at : found.start()], words), made]
        at = end + 1
    return "".join([*pieces, _put(text[at:], words)])


def fault(text: str) -> str:
    """What is wrong with the words of a query of `mlconsole.toml`, or empty."""
    try:
        for found in _FUNCTION.finditer(text):
            _closing(text, found.end())
    except QueryFault as error:
        return str(error)
    rest = _FUNCTION.sub("", text)
    for found in _WORD.finditer(rest):
        if found[1] not in WORDS and not found[1].isdigit():
            known = ", ".join(f"${word}" for word in WORDS)
            return f"unknown word ${found[1]}; known: {known}, $sum(...), $sum by (label) (...)"
    return "" if text.strip() else "it is empty"


def _words(scope: Scope, window: int, stat: str) -> dict[str, str]:
    one = scope.services[0] if len(scope.services) == 1 else None
    return {
        "selector": scope.selector,
        "exported": scope.exported,
        "window": f"{window}s",
        "slow": f"{max(window, SLOW)}s",
        "probes": PROBES,
        "quantile": QUANTILES.get(stat, ""),
        "pods": quoted(scope.pods)[1:-1],
        **({"namespace": one.namespace, "service": one.name} if one else {}),
    }


def _put(text: str, words: Mapping[str, str]) -> str:
    return _WORD.sub(lambda found: words.get(found[1]) or found[0], text)


def _closing(text: str, start: int) -> int:
    """Where the parenthesis closes that was opened before `start`; what stands in quotes is only text."""
    depth, at = 1, start
    while at < len(text):
        character = text[at]
        if character in "\"'`":
            at = _quote_end(text, at)
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if not depth:
                return at
        at += 1
    raise QueryFault("a parenthesis is not closed")


def _quote_end(text: str, start: int) -> int:
    at = start + 1
    while at < len(text) and text[at] != text[start]:
        at += 2 if text[at] == "\\" and text[start] != "`" else 1
    return at
