"""Operation plans: what will change, on which grounds, and what a person has to say to it.

A plan is made from what was read fresh from the API server, shown as it is, confirmed by its hash, and carried out by
`engine.gateway` and nothing else. The rules here are pure: the selector after a write (I2), the capacity a destination
needs (I1), the precondition of the write (I6), the confirmation in proportion (I11).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mlconsole.domain.history import Good, Kind
from mlconsole.domain.phases import Phase
from mlconsole.domain.services import Color, ModelService, Release, Shape

FRESH_SECONDS = 5.0
"""Capacity is read from the API server at most this long before the write (I1)."""


ACCEPTED = "accepted"
"""What a dry run says that the server would have carried out."""


_SELECTOR = "/spec/selector/"


class Target(Struct, frozen=True):
    """The one place a plan is for; asserted at every call (I8)."""

    context: str
    server: str
    ca_digest: str
    user: str
    namespace: str
    namespace_uid: str
    uid: str = ""
    """Of the object that is written."""


class Verdict(enum.StrEnum):
    """What a gate says. Unknown is not good (I21)."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Gate(Struct, frozen=True):
    """A check with its evidence."""

    name: str
    verdict: Verdict
    value: str = ""
    limit: str = ""
    evidence: str = ""
    """Where the value is known from: the objects, or the exact query."""
    age: float = 0.0
    """Seconds between the evidence and the plan."""
    waivable: bool = True
    blocks: bool = True
    """False where it only informs: nothing blocks a rollback but its destination (I13, I21)."""

    @property
    def stops(self) -> bool:
        """Whether the plan cannot go on without a waiver of this gate."""
        return self.blocks and self.verdict is not Verdict.PASS


class Right(Struct, frozen=True):
    """The answer of an access review (I23)."""

    verb: str
    resource: str
    name: str
    allowed: bool
    why: str = ""
    needed: bool = True
    """False for what a switch can do without: an Event, a look through the proxy."""


class Diff(Struct, frozen=True):
    """One field of one object, before and after."""

    object: str
    """`Service ml/fraud-scorer`."""
    path: str
    before: str
    after: str


class PatchType(enum.StrEnum):
    """The content types of Kubernetes' patches that the console uses."""

    JSON = "application/json-patch+json"


class Write(Struct, frozen=True):
    """One write of a plan: a patch, the making of an object, or its removal."""

    resource: str
    """`services`, `deployments` or `horizontalpodautoscalers`."""
    namespace: str
    name: str
    patch: tuple[dict[str, Any], ...] = ()
    """A JSON Patch (RFC 6902) whose `test` operations are the precondition (I6)."""
    body: dict[str, Any] | None = None
    """The object to make, where there must be none."""
    delete: bool = False
    uid: str = ""
    """Of the object to remove, as it was seen."""
    phase: Phase = Phase.SWITCH
    """When it is sent."""

    @property
    def verb(self) -> str:
        """`patch`, `create` or `delete`."""
        return "delete" if self.delete else "create" if self.body is not None else "patch"

    @property
    def label(self) -> str:
        """`deployments ml/fraud-scorer-blue`."""
        return f"{self.resource} {self.namespace}/{self.name}"


class Confirmation(enum.StrEnum):
    """What a person has to do before a plan is carried out (I11)."""

    KEY = "key"
    """One key, the focus on No."""
    NAME = "name"
    """The service's name typed: production."""
    ROLLBACK = "rollback"
    """One key; never a typed name."""


class Plan(Struct, frozen=True):
    """One operation, planned: everything that its confirmation is bound to."""

    id: str
    kind: Kind
    target: Target
    service: str
    created_at: float
    from_color: str
    to_color: str
    from_release: Release
    to_release: Release
    base: dict[str, str]
    """The Service's selector without its colour, as it was seen."""
    writes: tuple[Write, ...]
    """In the order in which they are sent."""
    diffs: tuple[Diff, ...]
    gates: tuple[Gate, ...]
    rights: tuple[Right, ...]
    confirmation: Confirmation
    reason_required: bool = False
    """A gate is waived or the destination is not on record as good."""
    revision: int = 0
    """The Deployment's revision that a plain service goes back to."""
    from_revision: int = 0
    """The Deployment's revision that a plain service leaves."""
    dry_run: str = ""
    """What the server said to the same write with dryRun=All: `accepted`, `refused: ...`, or `unknown: ...`."""
    requests_per_second: float | None = None
    """Through the Service now; None when unknown."""
    pods_from: int = 0
    pods_to: int = 0
    way_back: str = ""
    """What undoes this, in words."""
    expected_seconds: float = 0.0
    from_good_since: float = 0.0
    warnings: tuple[str, ...] = ()
    route: tuple[Phase, ...] = ()
    """The phases that it goes through."""
    replicas: int = 0
    """Pods that its destination is to have; 0 where the plan does not change that."""
    cold: str = ""
    """Why the destination of a rollback is not ready, in words; empty where it is warm (I15)."""
    lease: dict[str, Any] | None = None
    """The service's Lease as it was seen, whole: taking it then needs no further look."""
    fence: str = ""
    """The fencing token on the Service as it was seen; empty for none (I7)."""
    holder: str = ""
    """Who holds the service's lock; empty for nobody. To go on breaks it (`break glass`)."""
    preempts: str = ""
    """The operation under way that a rollback takes the service from, in words."""
    returns: bool = False
    """Whether traffic goes back by itself when it is not seen to arrive, or does worse in the watch window."""
    keeps_failed: bool = False
    """Whether a release that does not come up is kept for a look, rather than undone."""

    @property
    def write(self) -> Write:
        """The write that moves the traffic; where none does, the first. Raises IndexError where nothing is written."""
        return next((write for write in self.writes if write.phase is Phase.SWITCH), None) or self.writes[0]

    @property
    def arrivals(self) -> tuple[Write, ...]:
        """The writes that have the traffic where the plan would: the one that moves it, and what ends that move."""
        main = self.write
        ends = (Phase.SWITCH, Phase.RETIRE)
        same = (write for write in self.writes if (write.resource, write.name) == (main.resource, main.name))
        return tuple(write for write in same if write == main or write.phase in ends)

    @property
    def color_key(self) -> str:
        """The label whose value the write that moves the traffic changes; empty where it changes none."""
        paths = (step["path"] for step in self.write.patch if step["op"] != "test")
        token = next((path.removeprefix(_SELECTOR) for path in paths if path.startswith(_SELECTOR)), "")
        return token.replace("~1", "/").replace("~0", "~")

    def writes_of(self, phase: Phase) -> tuple[Write, ...]:
        """What is sent in a phase."""
        return tuple(write for write in self.writes if write.phase is phase)

    @property
    def load(self) -> str:
        """How much traffic it is about, in words."""
        rate = self.requests_per_second
        return "requests/s not known" if rate is None else f"{rate:.1f} requests/s"

    @property
    def moves_traffic(self) -> bool:
        """Whether it leaves the traffic elsewhere than it was."""
        return Phase.SWITCH in self.route

    @property
    def backward(self) -> bool:
        """Whether it is the way back, which nothing but its destination may stop (I12, I13)."""
        return self.kind is Kind.ROLLBACK

    @property
    def hash(self) -> str:
        """The first 12 hex digits of SHA-256 over all that a confirmation is bound to (I10)."""
        import hashlib  # planning alone needs it, and a console is not to wait for it when it opens

        gates = [(gate.name, gate.verdict, gate.blocks, gate.waivable) for gate in self.gates]
        bound: list[object] = [
            self.id,
            self.kind,
            self.target,
            self.service,
            self.from_color,
            self.to_color,
            self.from_release,
        ]
        bound += [
            self.to_release,
            self.writes,
            self.route,
            self.replicas,
            self.holder,
            self.preempts,
            self.diffs,
            self.confirmation,
            self.reason_required,
            self.revision,
            self.dry_run,
            gates,
        ]
        return hashlib.sha256(msgspec.json.encode(bound, order="deterministic")).hexdigest()[:12]

    @property
    def missing_rights(self) -> tuple[Right, ...]:
        """The rights that the access reviews refused and that the operation cannot do without."""
        return tuple(right for right in self.rights if right.needed and not right.allowed)

    def stopping(self, waived: Iterable[str] = ()) -> tuple[Gate, ...]:
        """The gates that stop this plan, those named in `waived` left out where they may be."""
        names = set(waived)
        return tuple(gate for gate in self.gates if gate.stops and not (gate.waivable and gate.name in names))


class PlanError(Exception):
    """No plan can be made. `exit_code` is what the shell twin ends with."""

    def __init__(self, message: str, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


def selector_write(service: ModelService, to_color: str) -> Write:
    """The write that moves the traffic: the colour key of the Service's selector, tested to be what was seen (I2, I6).

    Raises PlanError for a service that is not blue-green, or a colour that it does not have.
    """
    if service.shape not in (Shape.BLUE_GREEN, Shape.BOTH):
        raise PlanError(
            f"{service.key} is {service.shape}, not blue-green: there is no colour to move its traffic to", exit_code=2
        )
    if service.color(to_color) is None:
        known = ", ".join(color.name for color in service.colors)
        raise PlanError(f"{service.key} has no colour {to_color!r}; it has {known}", exit_code=2)
    seen = dict(service.base) | ({service.color_key: service.live} if service.live else {})
    if seen != service.selector:
        raise PlanError(f"the selector of {service.key} is not its base labels and a colour", exit_code=1)
    path = "/spec/selector/" + escape_pointer(service.color_key)
    patch = (
        {"op": "test", "path": "/spec/selector", "value": seen},
        {"op": "replace" if service.live else "add", "path": path, "value": to_color},
    )
    return Write("services", service.namespace, service.name, patch)


def escape_pointer(token: str) -> str:
    """A token of a JSON Pointer (RFC 6901, section 3)."""
    return token.replace("~", "~0").replace("/", "~1")


def well_formed(selector: dict[str, str], service: ModelService) -> bool:
    """Whether `selector` is the service's base labels and exactly one of its colours (I2)."""
    color = selector.get(service.color_key)
    return selector == {**service.base, service.color_key: color} and service.color(color or "") is not None


def needed(destination: Color, current: Color | None, kind: Kind) -> int:
    """Ready pods that `destination` must have before traffic moves there (I1).

    What goes forward also asks for as many as the current colour has; a rollback names its destination only (I13).
    """
    own = max(1, destination.minimum, destination.wish)
    return max(own, current.ready) if kind in (Kind.SWITCH, Kind.DEPLOY) and current else own


def held(destination: Color, now: float) -> int:
    """Ready pods that have been so for the Deployment's minReadySeconds.

    Without one the clocks are not asked: this machine's may be behind the cluster's.
    """
    least = destination.min_ready_seconds
    return sum(
        1
        for pod in destination.pods
        if pod.ready and not pod.terminating and (not least or 0 < pod.ready_since <= now - least)
    )


def capacity_gate(destination: Color, current: Color | None, kind: Kind, now: float) -> Gate:
    """Enough pods, ready for long enough, on the destination (I1). None ready is never waivable."""
    ready, limit = held(destination, now), needed(destination, current, kind)
    why = f"pods of Deployment {destination.deployment}, read now"
    if destination.min_ready_seconds:
        why += f", ready for {destination.min_ready_seconds} s or more"
    verdict = Verdict.PASS if ready >= limit else Verdict.FAIL
    return Gate("capacity", verdict, f"{ready} ready", f"{limit} or more", why, waivable=ready > 0)


def counted(pods: int) -> str:
    """`1 pod`, `3 pods`."""
    return "1 pod" if pods == 1 else f"{pods} pods"


TOLD = 3
"""Fields of one write that are told in a line; more are counted."""


def changes(plan: Plan, write: Write) -> str:
    """What a write of a plan changes, in a line: `image: a -> b; replicas: 1 -> 3; and 2 more`.

    What serves is told before labels and annotations. Empty where the diffs do not say which write is whose, and for
    one that is not the plan's: what undoes it, or says on the object what is under way.
    """
    if write not in (plan.write, *plan.writes):
        return ""
    named = f"{write.resource[:-1]} {write.namespace}/{write.name}"
    mine = [diff for diff in plan.diffs if diff.object.lower() == named]
    if sum(other.label == write.label for other in plan.writes) > 1:
        # Another write changes the same object at another time: only the traffic's own field is surely this one's.
        traffic = write == plan.write and plan.moves_traffic
        mine = [diff for diff in mine if traffic and diff.path.startswith("spec.selector")][:1]
    mine.sort(key=lambda diff: ".labels" in diff.path or "annotations" in diff.path)
    told = [f"{diff.path}: {diff.before} -> {diff.after}" for diff in mine[:TOLD]]
    return "; ".join([*told, *([f"and {len(mine) - TOLD} more"] if len(mine) > TOLD else [])])


def place_of(service: ModelService, goods: Sequence[Good]) -> tuple[Good, Color] | None:
    """The first of the known good releases that stands on a colour without traffic, and that colour (I14)."""
    for good in goods:
        for color in service.colors:
            if color.name != service.live and color.release.same_as(good.release):
                return good, color
    return None


def confirmation_for(kind: Kind, production: bool) -> Confirmation:
    """The confirmation in proportion to what is at stake (I11)."""
    if kind is Kind.ROLLBACK:
        return Confirmation.ROLLBACK
    # A drill changes nothing.
    return Confirmation.NAME if production and kind is not Kind.DRILL else Confirmation.KEY
