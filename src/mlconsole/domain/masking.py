"""An operation as it may be kept where others read it: without the secrets that a pod template shows (I27).

A plan's writes hold whole templates, as they were seen and as they will be. Whoever takes up an operation whose plan
was masked cannot send its writes again: that is for the machine that has it whole.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from mlconsole.domain.deploying import looks_secret
from mlconsole.domain.operation import Operation
from mlconsole.domain.plans import Write

HIDDEN = "(hidden)"
SECRET_WORDS = ("passw", "pwd", "secret", "token", "credential", "apikey", "api_key", "access_key", "private", "auth")
"""In a variable's name they make its value a secret."""


def masked(operation: Operation) -> Operation:
    """`operation` with its secrets hidden, and marked so where there were any."""
    writes = tuple(_write(write) for write in operation.plan.writes)
    if writes == operation.plan.writes:
        return operation
    return replace(operation, plan=replace(operation.plan, writes=writes), masked=True)


def _write(write: Write) -> Write:
    return replace(write, patch=tuple(_hidden(step) for step in write.patch), body=_hidden(write.body))


def _hidden(value: Any) -> Any:
    """A value of JSON with the values of what is called a secret, or looks like one, hidden."""
    if isinstance(value, dict):
        name = str(value.get("name") or "").lower()
        found = {key: _hidden(item) for key, item in value.items()}
        text = value.get("value")
        if (
            isinstance(text, str)
            and text
            and name
            and (any(word in name for word in SECRET_WORDS) or looks_secret(text))
        ):
            found["value"] = HIDDEN
        return found
    if isinstance(value, list | tuple):
        return [_hidden(item) for item in value]
    return HIDDEN if isinstance(value, str) and looks_secret(value) else value
