"""A terminal without UTF-8 gets ASCII: the one place where the screen's bytes leave, so that no glyph slips through.

Glyphs become letters of the same width; what is not known becomes `?`.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len

_GLYPHS = {
    "─━═╌╍┄┅┈": "-",
    "│┃║╎╏┆┇┊▎▏▌▐": "|",
    "┌┐└┘╭╮╰╯├┤┬┴┼╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋": "+",
    "●✔": "*",
    "○◌◇": "o",
    "▲": "!",
    "◆◈": "~",
    "■": "#",
    "⇄": "=",
    "✖": "x",
    "▶▸→": ">",
    "◀←↶": "<",
    "↑↥": "^",
    "↓▼": "v",
    "·": ".",
    "…": ".",
    "–—": "-",
    "Δ": "d",
    "█▉▊▋▇▆▅": "#",
    "▄▃▂▁▀": "_",
    "░▒▓": ":",
    "≤": "<",
    "≥": ">",
    "µ": "u",
    "×": "x",
}
_TABLE = {ord(glyph): letter for glyphs, letter in _GLYPHS.items() for glyph in glyphs}
_BRAILLE = range(0x2800, 0x2900)


def to_ascii(text: str) -> str:
    """`text` in ASCII, each character as wide as before."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else _letter(char) for char in text)


def _letter(char: str) -> str:
    code = ord(char)
    if code in _TABLE:
        return _TABLE[code]
    if code in _BRAILLE:
        dots = (code - 0x2800).bit_count()
        return " " if not dots else "." if dots < 3 else ":" if dots < 6 else "#"
    return "?" * cell_len(char)


def without_utf8(environ: Mapping[str, str]) -> bool:
    """Whether the terminal cannot show UTF-8, as far as the environment tells.

    The first of LC_ALL, LC_CTYPE and LANG that is set decides, as in POSIX; Python itself sets LC_CTYPE to C.UTF-8
    where LANG is C (PEP 538), so that one counts as not set. The Linux console and older terminals have few glyphs.
    """
    if environ.get("TERM", "") in ("linux", "vt100", "vt102", "vt220", "dumb", "ansi"):
        return True
    names = [environ.get("LC_ALL"), environ.get("LC_CTYPE"), environ.get("LANG")]
    if names[1] == "C.UTF-8":
        names[1] = None
    charset = next((name for name in names if name), "UTF-8").upper().replace("-", "")
    return "UTF8" not in charset
