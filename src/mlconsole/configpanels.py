"""The settings of a chart: another query for one of the panels, or a panel that is not in the file of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from mlconsole.configtypes import Table

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class PanelSettings(Table, frozen=True):
    """One panel of a service."""

    title: str | None = None
    unit: str | None = None
    """`s`, `ratio`, `1/s`, `B`, `cores`; another word stands after the figures as it is."""
    query: str | None = None
    """PromQL of all that it shows, instead of the panel's own."""
    queries: dict[str, str] = {}
    """PromQL by statistic, beside those of the panel's own that are not named here."""
    label: str | None = None
    """The label of `query`'s result that tells its lines apart, beside the colour's."""
    thresholds: dict[str, float] = {}
    """Lines across the chart, by their words."""
    form: Literal["lines", "stacked", "heat"] | None = None
    scale: Literal["linear", "log"] | None = None
    hidden: bool = False
    """Leave it out."""


def mistakes(table: str, settings: Mapping[str, PanelSettings]) -> Iterator[tuple[str, str]]:
    """(key, words) of everything that is wrong with the panels of `table`."""
    if not settings:
        return
    from mlconsole.metrics import panels  # most settings have none, and a console opens without the file of them

    file = panels.definitions()
    for name, panel in settings.items():
        key = f"{table}.{name}"
        if not NAME.fullmatch(name):
            yield key, "a panel is named with lower-case letters, digits, _ and -, as `tokens_per_second`"
            continue
        if name not in file and not (panel.query or panel.queries or panel.hidden):
            near = difflib.get_close_matches(name, file, 1)
            right = f"did you mean {near[0]!r}?" if near else f"those there are: {', '.join(file)}"
            yield key, f"no panel is called {name!r}, and it has no `query` of its own; {right}"
        if panel.query is not None and panel.queries:
            yield f"{key}.queries", "it has a `query` too: one or the other"
        if panel.label and panel.query is None:
            yield f"{key}.label", "it names the lines of a `query`, and there is none"
        if panel.form == "heat" and panel.label != "le" and panel.query is not None:
            yield f"{key}.form", 'a heat map takes a query by bucket: `label = "le"`'
        texts = {f"{key}.queries.{stat}": text for stat, text in panel.queries.items()}
        if panel.query is not None:
            texts[f"{key}.query"] = panel.query
        for where, text in texts.items():
            fault = panels.fault(text)
            if fault:
                yield where, fault


def old_mistakes(table: str, queries: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(key, words) of everything that is wrong with `queries`."""
    if not queries:
        return
    from mlconsole.metrics import panels

    file = panels.definitions()
    known = {name for name, panel in file.items() if len(panel.statistics) == 1}
    known |= {f"{name}.{stat}" for name, panel in file.items() for stat in panel.statistics}
    for key, text in queries.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            right = f"did you mean {near[0]!r}?" if near else "a new panel is [services.NAME.panels.PANEL]"
            yield f"{table}.{key}", f"no panel has {key!r}; {right}"
        elif not text.strip():
            yield f"{table}.{key}", "it is empty"
