"""JSON as the API server itself writes it.

A JSON Patch's `test` is compared as text there: in its own JSON `&`, `<`, `>` and two line separators are escaped, so
that a `test` of a command with `&&` in it would never hold if it was sent as it stands.
"""

from __future__ import annotations

from typing import Any

import msgspec

_ESCAPES = {character: f"\\u{ord(character):04x}".encode() for character in "&<>\u2028\u2029"}


def encoded(body: Any) -> bytes:
    """`body` as JSON; these characters stand in strings alone."""
    data = msgspec.json.encode(body)
    for character, escape in _ESCAPES.items():
        data = data.replace(character.encode(), escape)
    return data
