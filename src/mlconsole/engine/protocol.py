"""What the UI and the engine say to each other.

Messages are msgspec structs in msgpack, each frame preceded by its length (`channel`). The engine publishes facts that
replace what was known before; the UI sends intents. Neither waits for the other's answer with the screen held still.
This module imports nothing heavy: the UI process loads it.
"""

from __future__ import annotations

from msgspec import Struct

from mlconsole.domain.alerts import Alert, Unjudged
from mlconsole.domain.attribution import Cause
from mlconsole.domain.chain import Link
from mlconsole.domain.drift import DriftTable
from mlconsole.domain.history import Outcome, Record
from mlconsole.domain.meter import RollbackMeter
from mlconsole.domain.operation import Operation
from mlconsole.domain.pipelines import PipelineRun
from mlconsole.domain.plans import Plan
from mlconsole.domain.registry import RegisteredModel
from mlconsole.domain.services import Health, ModelService
from mlconsole.domain.sources import SourceState
from mlconsole.domain.telemetry import Glance, Telemetry

# ---- engine -> UI


class Context(Struct, frozen=True):
    """A kubeconfig context that can be changed to."""

    name: str
    cluster: str = ""
    namespace: str = ""
    user: str = ""
    current: bool = False
    """Whether the kubeconfig names it as the current one."""


class Place(Struct, frozen=True, tag=True):
    """Where the console looks: sent at start and after each change of context or namespace."""

    context: str
    namespace: str
    """Empty for all namespaces."""
    server: str = ""
    user: str = ""
    environment: str = ""
    production: bool = False
    read_only: bool = False
    contexts: tuple[Context, ...] = ()
    namespaces: tuple[str, ...] = ()


class Sources(Struct, frozen=True, tag=True):
    """The state of every source, whole; sent when one changes, and at least every few seconds as a sign of life."""

    states: tuple[SourceState, ...]


class FleetRow(Struct, frozen=True):
    """A service in one line."""

    service: ModelService
    """Without its pods' and revisions' details."""
    health: Health
    headline: str = ""
    """The worst thing about it in a few words, or empty."""
    live: Glance | None = None
    since: float = 0.0
    """When it came into this health."""


class Fleet(Struct, frozen=True, tag=True):
    """Rows that changed. The first one after a `Place` starts from nothing (`reset`)."""

    rows: tuple[FleetRow, ...] = ()
    removed: tuple[str, ...] = ()
    """Keys `namespace/name`."""
    reset: bool = False
    pods: int = 0
    """Pods seen so far."""
    complete: bool = False
    """Whether the first listing is done; until then more rows may come."""


class EventLine(Struct, frozen=True):
    """A Kubernetes Event about one of a service's objects."""

    at: float
    kind: str
    """`Warning` or `Normal`."""
    object: str
    reason: str
    message: str
    count: int = 1


class Detail(Struct, frozen=True, tag=True):
    """All about the selected service."""

    service: ModelService
    health: Health
    headline: str
    chain: tuple[Link, ...]
    meter: RollbackMeter
    glances: tuple[Glance, ...] = ()
    history: tuple[Record, ...] = ()
    """Newest first."""
    history_problem: str = ""
    events: tuple[EventLine, ...] = ()
    """Newest first."""
    missing: dict[str, str] = {}
    """By the key's action (`deploy`, `switch`, `rollback`, `more`): the verbs that this user lacks for it, in words."""
    split: str = ""
    """Where the traffic and the registry's alias disagree, in words (I26); empty while they agree or one is silent."""


class Registry(Struct, frozen=True, tag=True):
    """The registered model of the selected service, or why there is none."""

    service: str
    model: RegisteredModel | None = None
    problem: str = ""
    names: tuple[str, ...] = ()
    """The models that the registry has, for when none is known for the service."""


class Charts(Struct, frozen=True, tag=True):
    """The panels of the selected service."""

    telemetry: Telemetry


class Drift(Struct, frozen=True, tag=True):
    """The drift table of the selected service."""

    table: DriftTable


class Pipelines(Struct, frozen=True, tag=True):
    """Runs of the selected service, newest first; of the whole namespace where none names a service."""

    service: str
    runs: tuple[PipelineRun, ...] = ()
    problem: str = ""


class Planned(Struct, frozen=True, tag=True):
    """The answer to `MakePlan`: a plan to show and its hash to confirm."""

    request: int
    plan: Plan
    hash: str


class Refused(Struct, frozen=True, tag=True):
    """The other answer to `MakePlan` or `Confirm`: why not, and what to do."""

    request: int
    service: str
    message: str
    hint: str = ""
    exit_code: int = 1


class Progress(Struct, frozen=True, tag=True):
    """A step of the operation under way, or its end when `outcome` is set."""

    request: int
    service: str
    step: str
    """A phase (`domain.phases`), or `check`, `write`, `ask`, `done`, `end`."""
    words: str
    at: float
    outcome: Outcome | None = None
    over: bool = False
    """Whether its executor says nothing more: after an outcome it may still watch, and wait for a word."""


class OperationLine(Struct, frozen=True):
    """An operation that has not ended, as every console sees it."""

    operation: Operation
    alive: bool
    """Whether an executor is at work on it."""
    holder: str = ""
    here: bool = False
    """Whether its executor runs on this machine."""
    standing: str = ""
    """What an interrupted one has come to."""
    verbs: tuple[str, ...] = ()
    """What can be asked of it: `abort`, `keep`, `approve`; of an interrupted one `resume`, `abort`, `abandon`."""
    until: float = 0.0
    """When the time of its phase is over: of its watch window, of the wait for a word; 0 where that has none."""


class Operations(Struct, frozen=True, tag=True):
    """The operations under way where the console looks, whole; sent when one changes."""

    lines: tuple[OperationLine, ...] = ()


class Present(Struct, frozen=True):
    """Another console that looks at this place, as it says of itself."""

    user: str
    host: str
    service: str = ""
    """The one that is selected there, `namespace/name`."""
    plans: str = ""
    """What is planned for it, while the plan is shown."""
    since: float = 0.0


class Presence(Struct, frozen=True, tag=True):
    """Who else is here, whole; sent when it changes."""

    lines: tuple[Present, ...] = ()


class Silence(Struct, frozen=True):
    """A silence of Alertmanager that is in force, or will be."""

    id: str
    matchers: tuple[str, ...]
    ends_at: float
    by: str
    comment: str
    starts_at: float = 0.0


class Calling(Struct, frozen=True):
    """How an alert calls the person at the terminal."""

    severity: str = "warning"
    """The least that calls."""
    bell: bool = True
    title: bool = False
    terminal: str = "off"
    """`off`, `osc9`, `osc777`."""


class Alerts(Struct, frozen=True, tag=True):
    """The alerts where the console looks, whole, the worst first; sent when one changes."""

    lines: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()
    problem: str = ""
    """What is not known, and why: a source of alerts that is away."""
    silencing: str = ""
    """Why no silence can be made; empty where one can."""
    calling: Calling = Calling()
    unjudged: tuple[Unjudged, ...] = ()
    """The rules of which nobody knows whether they hold."""


class AlertCause(Struct, frozen=True, tag=True):
    """The answer to `AskCause`."""

    id: str
    cause: Cause
    operation: Record | None = None
    """The one that the cause's words name."""


class Log(Struct, frozen=True, tag=True):
    """The last lines of a pod's log, newest last."""

    pod: str
    lines: tuple[str, ...] = ()
    problem: str = ""
    namespace: str = ""
    previous: bool = False
    """Of the container before the one that runs; these two and `pod` as they were asked for."""


class Notice(Struct, frozen=True, tag=True):
    """Something to tell the user that belongs to no pane."""

    severity: str
    """`information`, `warning`, `error`."""
    words: str


Publication = (
    Place
    | Sources
    | Fleet
    | Detail
    | Registry
    | Charts
    | Drift
    | Pipelines
    | Planned
    | Refused
    | Progress
    | Operations
    | Presence
    | Alerts
    | AlertCause
    | Log
    | Notice
)

# ---- UI -> engine


class Select(Struct, frozen=True, tag=True):
    """Show this service (`namespace/name`)."""

    service: str


class ShowRange(Struct, frozen=True, tag=True):
    """Chart `seconds` until `end`."""

    seconds: float
    end: float = 0.0
    """Seconds since the epoch; 0 for now, which moves on."""
    compare: float = 0.0
    """Show the same time so many seconds earlier as well (`Series.ghost`); 0 for nothing."""


class ShowPanel(Struct, frozen=True, tag=True):
    """Chart one panel, by its `id`: of the others no range is fetched. Empty for the first three."""

    panel: str


class Show(Struct, frozen=True, tag=True):
    """The panes on the screen: what is not shown is not fetched. Names as in `ui`: `latency`, `drift`, ..."""

    panes: tuple[str, ...]


class ChangePlace(Struct, frozen=True, tag=True):
    """Go to another context or namespace; works while the present one is down."""

    context: str
    namespace: str | None = None
    """None for the context's own; empty for all."""


class MakePlan(Struct, frozen=True, tag=True):
    """Plan an operation (`domain.history.Kind`); answered by `Planned` or `Refused` with the same `request`."""

    request: int
    kind: str
    service: str
    to_color: str = ""
    """Empty: the idle one for a switch or a deploy, the last known good for a rollback."""
    revision: int = 0
    """For a plain service's rollback."""
    version: str = ""
    """The registered version to deploy, a number or `@alias`."""
    image: str = ""
    """Its image, where the registry does not say it."""
    replicas: int = -1
    """For a scale."""
    go_on: bool = False
    """Switch to what was deployed when its gates have passed."""


class Confirm(Struct, frozen=True, tag=True):
    """Carry out the plan with this hash."""

    request: int
    hash: str
    reason: str = ""
    typed: str = ""
    """What the person typed, where the plan asks for the service's name."""
    waived: tuple[str, ...] = ()


class Discard(Struct, frozen=True, tag=True):
    """Forget a plan that was not confirmed."""

    request: int


class Ask(Struct, frozen=True, tag=True):
    """Ask something of the operation under way on a service (`OperationLine.verbs`).

    Answered by `Progress` and `Refused` with the same request: a resumed one is followed like one that was confirmed.
    """

    request: int
    service: str
    verb: str
    reason: str = ""


class Attach(Struct, frozen=True, tag=True):
    """Follow the operation under way on a service; answered by `Progress`, from its beginning."""

    request: int
    service: str


class ReadLog(Struct, frozen=True, tag=True):
    """Read the end of a pod's log."""

    namespace: str
    pod: str
    previous: bool = False


class HandleAlert(Struct, frozen=True, tag=True):
    """Do something about an alert; what came of it is told by a `Notice`, and by the next `Alerts`."""

    id: str
    verb: str
    """`acknowledge`, `snooze`, `take back`; `silence`, in Alertmanager."""
    seconds: float = 0.0
    """Of a snooze or a silence."""
    note: str = ""


class AskCause(Struct, frozen=True, tag=True):
    """Ask what an alert is likely of."""

    id: str


class Reconnect(Struct, frozen=True, tag=True):
    """Try every source that is down now, not at the end of its back-off."""


Intent = (
    Select
    | ShowRange
    | ShowPanel
    | Show
    | ChangePlace
    | MakePlan
    | Confirm
    | Discard
    | Ask
    | Attach
    | ReadLog
    | HandleAlert
    | AskCause
    | Reconnect
)
