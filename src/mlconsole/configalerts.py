"""The settings of alerts: the rules, and how they reach a person."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mlconsole.configtypes import Count, Seconds, Table

Level = Literal["page", "warning", "info"]


class Alert(Table, frozen=True):
    """A rule."""

    condition: str | None = None
    """What is wrong: `p95 > 0.5`, `error_share > 0.05`, `drift.share > 0.2`; with a `query`: `result > 0.05`."""
    query: str | None = None
    """PromQL; `{namespace}`, `{service}`, `{color}`, `{version}` are filled in."""
    hold: Seconds = msgspec.field(default=60.0, name="for")
    """How long the condition must be seen to hold before it fires."""
    severity: Level = "warning"
    clear: str | None = None
    """What must hold for it to be over; default: that `condition` does not hold."""
    keep_firing_for: Seconds = 60.0
    """How long it must be seen to be clear before it is over."""
    services: tuple[str, ...] = ()
    """Patterns on `name` or `namespace/name`; none for all. Not needed under a service."""
    color: Literal["live", "idle"] = "live"
    """The colour that the condition is about; `live.p95` is the live one's all the same."""
    summary: str | None = None
    """What it means, for whoever is woken."""
    enabled: bool = True
    """False turns off a rule that stands elsewhere, such as the console's own `slow` and `errors`."""


class Webhook(Table, frozen=True):
    """Where an alert is posted as JSON."""

    url: str | None = None
    """http or https."""
    headers: dict[str, str] = {}
    bearer_token_env: str | None = None
    """The environment variable that holds a token for `Authorization: Bearer`."""
    timeout: Annotated[float, Meta(ge=0.5, le=60)] = 5.0
    retries: Annotated[int, Meta(ge=0, le=5)] = 2
    """More tries, after a failure that may pass."""


class Notify(Table, frozen=True):
    """How an alert that fires reaches a person."""

    severity: Level = "warning"
    """The least that calls anybody; all of them are listed."""
    bell: bool = True
    title: bool = False
    """The number of alerts in the terminal's title."""
    terminal: Literal["off", "osc9", "osc777"] = "off"
    """A notification of the terminal's own: iTerm2 and WezTerm know OSC 9; rxvt, foot and Ghostty OSC 777."""
    command: tuple[str, ...] = ()
    """A program and its arguments, run without a shell, with the alert as JSON on its standard input."""
    command_timeout: Annotated[float, Meta(ge=0.5, le=300)] = 10.0
    webhook: Webhook = Webhook()
    resolved: bool = True
    """Tell the command and the webhook also when it is over."""
    per_minute: Count = 10
    """Commands and posts a minute, at most; what is more is counted in the next one."""
