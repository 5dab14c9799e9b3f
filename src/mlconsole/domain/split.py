"""SPLIT: the traffic and the registry's alias name different versions (I26)."""

from __future__ import annotations

from mlconsole.domain.chain import LIVE_ALIASES
from mlconsole.domain.registry import RegisteredModel
from mlconsole.domain.services import ModelService


def split(service: ModelService, model: RegisteredModel | None, alias: str = "", problem: str = "") -> str:
    """Where the two ledgers disagree, in words; empty while they agree, or while one of them does not say.

    `alias` is the one that is configured to follow the traffic; without it those count that claim to, where they are
    set. `problem` is why the registry has nothing newer than this.
    """
    live = service.live_color
    version = live.release.version.removeprefix("v") if live else ""
    if live is None or not version or model is None or (live.release.model and live.release.model != model.name):
        return ""
    for name in (alias,) if alias else LIVE_ALIASES:
        points = model.aliases.get(name, "")
        if points.removeprefix("v") == version or not (points or alias):
            continue
        where = f"v{points.removeprefix('v')}" if points else "no version"
        said = " when the registry last answered" if problem else ""
        return f"traffic is on {live.name or live.deployment} v{version}, @{name} names {where}{said}"
    return ""
