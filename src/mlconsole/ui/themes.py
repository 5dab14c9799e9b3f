"""Themes as data: those that come with the console, and the user's own from the XDG config folder.

A theme is a TOML file of colours by Textual's names (`primary`, `success`, ...) and the console's own: `green` and
`blue` for the colours of a service, `frame` for the border of a pane without the focus.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from textual.theme import Theme

DEFAULT = "night-watch"
_COLORS = (
    "primary",
    "secondary",
    "warning",
    "error",
    "success",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "boost",
)
_OWN = ("green", "blue", "frame")
_KEYS = {*_COLORS, "name", "dark", "variables", *_OWN}
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class ThemeError(Exception):
    """A theme's file cannot be used; the text says which, where and what would be right."""


def folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Where themes are: the package's (the checkout's while it is not installed), then the user's."""
    package = Path(__file__).parents[1]
    yield packaged if (packaged := package / "themes").is_dir() else package.parents[1] / "themes"
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    yield Path(home) / "mlconsole" / "themes"


def load(environ: Mapping[str, str] = os.environ) -> tuple[dict[str, Theme], list[str]]:
    """Every theme by name, a user's own before the console's; and what is wrong with those that cannot be used."""
    found: dict[str, Theme] = {}
    problems = []
    for folder in folders(environ):
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            try:
                theme = read(path)
            except ThemeError as error:
                problems.append(str(error))
                continue
            found[theme.name] = theme
    return found, problems


def read(path: Path) -> Theme:
    """The theme in a file. Raises ThemeError."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ThemeError(f"{path.name}: {error}") from error
    unknown = sorted(set(tree) - _KEYS)
    if unknown:
        raise ThemeError(f"{path.name}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
    variables = tree.get("variables", {})
    if not isinstance(variables, dict) or not isinstance(tree.get("primary"), str):
        raise ThemeError(f"{path.name}: needs `primary`, a colour such as #4ea1d3; `variables` is a table")
    own: dict[str, str] = {name: tree[name] for name in _OWN if name in tree}
    colors = {name: tree[name] for name in _COLORS if name in tree}
    for name, value in {**colors, **own, **variables}.items():
        if not isinstance(value, str) or (name not in variables and not _COLOR.fullmatch(value)):
            raise ThemeError(f"{path.name}: {name} = {value!r} is no colour such as #4ea1d3")
    return Theme(
        name=str(tree.get("name", path.stem)),
        dark=bool(tree.get("dark", True)),
        variables={**variables, **own},
        **colors,
    )
