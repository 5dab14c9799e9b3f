"""Text from outside, made safe to show.

Names, tags, log lines and error messages come from clusters and registries that anyone may write to. A terminal would
obey the escape sequences in them, and a bidirectional override would make a line read backwards. Everything that
leaves the adapters for a screen, a table or a record passes through here (invariant I28).
"""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
_CONTROL_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, limit: int = 200) -> str:
    """Return `text` on one line with control characters made visible, cut to `limit` characters.

    C0 controls become their Unicode control pictures (ESC is `␛`), every other invisible character (C1 controls,
    bidirectional overrides, zero-width characters, lone surrogates) becomes `<U+XXXX>`.
    """
    cut = text[: limit + 1]
    if not cut.isprintable():
        cut = "".join(_shown(char) for char in cut)
    return cut if len(cut) <= limit else cut[: max(0, limit - 1)] + ELLIPSIS


def _shown(char: str) -> str:
    code = ord(char)
    if code in _CONTROL_PICTURES:
        return _CONTROL_PICTURES[code]
    category = unicodedata.category(char)
    if category in _HIDDEN_CATEGORIES:
        return f"<U+{code:04X}>"
    return " " if category == "Zs" else char


def lines(text: str, limit: int = 500, width: int = 2000) -> list[str]:
    """Return the last lines of `text`, each passed through `visible`: `limit` at most, and then the first says so."""
    found = text.splitlines()
    if len(found) <= limit:
        return [visible(line, width) for line in found]
    return [
        f"{ELLIPSIS} earlier lines are not shown",
        *(visible(line, width) for line in found[len(found) - limit + 1 :]),
    ]
