"""What looks like a credential, taken out of text that others wrote before it is shown or kept (I27)."""

from __future__ import annotations

import re

_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 <redacted>"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*){0,2}"), "<redacted>"),
    (
        re.compile(
            r"(?i)([\"']?\b[\w-]*(?:token|password|passwd|secret|api[_-]?key)[\w-]*[\"']?\s*[=:]\s*)[\"']?[^\s\"',}]{4,}[\"']?"
        ),
        r"\1<redacted>",
    ),
    (re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"), "<redacted>"),
    (re.compile(r"(\w+://)[^/\s@]+@"), r"\1<redacted>@"),
)


def redacted(text: str) -> str:
    """`text` without what looks like a credential; of any size, its lines as they were."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
