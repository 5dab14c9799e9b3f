"""What is wrong with an answer of a model server: its status, its JSON, its key, its schema, its time.

A signature says what a model gives for a table, and a server what it gives for a row, so shapes are taken loosely (a
value, or a list of one) and scalars strictly: a word where a number is declared is no answer, nor is 0.7 for a class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.domain.plans import Gate, Verdict
from mlconsole.domain.registry import Field
from mlconsole.domain.text import visible

DEEPEST = 20
"""Lists and objects within each other in an answer."""
SHOWN = 120
"""Characters of an answer that are shown."""
_INTEGERS = re.compile(r"u?int\d*|long|integer|short|byte")
_NUMBERS = re.compile(r"float\d*|double")
_WORDS = re.compile(r"str(ing)?\d*|object_|<?U\d*|datetime.*|binary")
_TENSOR = re.compile(r"(?P<type>[^\[\]]+)\[(?P<shape>[-\d,]*)\]")


class Answer(Struct, frozen=True):
    """What a pod answered to one payload, or why it was not asked."""

    pod: str
    status: int = 0
    seconds: float = 0.0
    body: bytes = b""
    silent: str = ""
    """Why there is no answer, where that does not speak of the pod: not allowed, the API server away."""
    wrong: str = ""
    """What was wrong beyond the answer itself: too late, another version's."""


class Wanted(Struct, frozen=True):
    """What an answer has to be."""

    key: str = "prediction"
    """Of the JSON answer; empty for any JSON."""
    max_seconds: float | None = None
    outputs: tuple[Field, ...] = ()
    """Of the version's signature; none for any value."""


def fault(answer: Answer, wanted: Wanted) -> str:
    """What is wrong with an answer, in words; empty for nothing."""
    if answer.wrong:
        return answer.wrong
    if not 200 <= answer.status < 300:
        return f"answered {answer.status}: {_shown(answer.body)}"
    try:
        value = value_of(answer.body, wanted.key)
    except ValueError as error:
        return str(error)
    problem = misfit(value, wanted.outputs)
    if problem:
        return problem
    if wanted.max_seconds is not None and answer.seconds > wanted.max_seconds:
        return f"took {answer.seconds:.2f} s"
    return ""


def value_of(body: bytes, key: str) -> Any:
    """What a JSON answer holds under `key`; the whole of it without a key. Raises ValueError with words."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"answered no JSON: {_shown(body)}") from None
    if _depth(value) > DEEPEST:
        raise ValueError(f"answered JSON that is nested more than {DEEPEST} deep")
    if not key:
        return value
    if not isinstance(value, dict) or key not in value:
        raise ValueError(f"answered without {visible(key, 40)!r}: {_shown(body)}")
    if value[key] is None:
        raise ValueError(f"answered {visible(key, 40)!r} as null")
    return value[key]


def misfit(value: Any, outputs: Sequence[Field]) -> str:
    """Where a value is not what a signature's outputs say, in words; empty where it fits."""
    if not outputs:
        return ""
    if len(outputs) == 1:
        field = outputs[0]
        if isinstance(value, dict) and field.name in value:
            value = value[field.name]
        return _scalars(value, field)
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        if len(value) != len(outputs):
            return f"gave {len(value)} values where the signature has {len(outputs)}"
        value = dict(zip((field.name for field in outputs), value, strict=True))
    if not isinstance(value, dict):
        return f"gave {_kind(value)} where the signature has {len(outputs)} columns"
    missing = [field.name for field in outputs if field.required and field.name not in value]
    if missing:
        return f"gave no {visible(', '.join(missing), 80)}"
    found = (_scalars(value[field.name], field) for field in outputs if field.name in value)
    return next((words for words in found if words), "")


def _scalars(value: Any, field: Field) -> str:
    tensor = _TENSOR.fullmatch(field.type)
    kind = tensor["type"] if tensor else field.type.removeprefix("array<").removesuffix(">")
    sizes = [int(size) for size in tensor["shape"].split(",") if size.lstrip("-")] if tensor else []
    if len(sizes) > 1 and sizes[-1] > 0 and isinstance(value, list):
        wrong = next((len(row) for row in _innermost(value) if len(row) != sizes[-1]), None)
        if wrong is not None:
            return f"gave {wrong} values a row, the signature {field.type}"
    odd = [leaf for leaf in _leaves(value) if not _fits(leaf, kind)]
    named = f"{field.name}: " if field.name else ""
    return f"gave {_kind(odd[0])} where the signature says {named}{field.type}" if odd else ""


def _fits(value: Any, kind: str) -> bool:
    if _INTEGERS.fullmatch(kind):
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if _NUMBERS.fullmatch(kind):
        return not isinstance(value, bool) and isinstance(value, int | float)
    if kind in ("boolean", "bool"):
        return isinstance(value, bool) or value in (0, 1)
    return isinstance(value, str) if _WORDS.fullmatch(kind) else True


def _depth(value: Any) -> int:
    """How deep lists and objects are within each other; without recursion, as it is what guards others from it."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, list | dict)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _leaves(value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        return (value,)
    return (leaf for item in value for leaf in _leaves(item))


def _innermost(value: list[Any]) -> Iterable[list[Any]]:
    if any(isinstance(item, list) for item in value):
        return (row for item in value if isinstance(item, list) for row in _innermost(item))
    return (value,)


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return visible(msgspec.json.encode(value).decode(), 40)


def _shown(body: bytes) -> str:
    return visible(body[: SHOWN * 4].decode(errors="replace"), SHOWN) or "nothing"


def judge(answers: Sequence[Answer], wanted: Wanted, asked: str) -> Gate:
    """The gate: every answer is right. `asked` is what was posted where; the worst answer is the value."""
    faults = [(answer, words) for answer in answers if not answer.silent and (words := fault(answer, wanted))]
    silent = [answer for answer in answers if answer.silent]
    heard = [answer.seconds for answer in answers if not answer.silent]
    limit = "all answer" + (f" {wanted.key!r}" if wanted.key else " JSON")
    limit += f" within {wanted.max_seconds:g} s" if wanted.max_seconds is not None else ""
    schema = ", ".join(f"{field.name} {field.type}".strip() for field in wanted.outputs)
    evidence = f"{asked}; schema: {visible(schema, 200) or 'none in the signature'}"
    evidence += f"; slowest {max(heard):.3f} s" if heard else ""
    if faults:
        answer, words = max(faults, key=lambda found: (found[0].status, found[0].seconds))
        value = f"{len(faults)} of {len(answers)} wrong; pod {answer.pod} {words}"
        return Gate("smoke", Verdict.FAIL, visible(value, 400), limit, evidence)
    if silent or not answers:
        why = f"pod {silent[0].pod}: {silent[0].silent}" if silent else "nothing was asked"
        value = f"{len(silent)} of {len(answers)} not known; {why}"
        return Gate("smoke", Verdict.UNKNOWN, visible(value, 400), limit, evidence)
    return Gate("smoke", Verdict.PASS, f"{len(answers)} right, slowest {max(heard):.3f} s", limit, evidence)
