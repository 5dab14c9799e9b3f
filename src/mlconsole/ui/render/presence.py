"""Who else has the selected service open: `also here: bob@bastion2 (plans rollback to blue v12)`."""

from __future__ import annotations

from collections.abc import Sequence

from mlconsole.engine.protocol import Present
from mlconsole.ui.spans import EMPTY, Line, Slot, Span, joined, line

SHOWN = 3
"""By name; who plans something comes first."""


def also_here(lines: Sequence[Present], service: str) -> Line:
    """The other consoles on a service; nothing where it is looked at from here alone."""
    mine = sorted((item for item in lines if item.service == service), key=lambda item: not item.plans)
    if not mine:
        return EMPTY
    more = f" +{len(mine) - SHOWN}" if len(mine) > SHOWN else ""
    return line(Span("also here: ", Slot.DIM), *joined([_who(item) for item in mine[:SHOWN]], ", "), more)


def _who(item: Present) -> Line:
    name = f"{item.user}@{item.host}" if item.host else item.user
    return line(name, Span(f" (plans {item.plans})", Slot.WARN) if item.plans else "")
