"""Model services as the cluster has them: a Service, its colours, and what each colour runs.

These are facts, frozen and small, made by `cluster.discovery` and sent to the UI as they are.
"""

from __future__ import annotations

import enum

from msgspec import Struct


class Shape(enum.StrEnum):
    """What kind of thing a Service turned out to be."""

    BLUE_GREEN = "blue-green"
    PLAIN = "plain"
    """One Deployment behind the Service: not yet blue-green."""
    BOTH = "both"
    """Two colours, and the selector names neither: both get traffic. An incident (I2)."""
    MALFORMED = "malformed"
    """No selector, a selector that matches nothing, more than two colours: `problems` says which."""


class Health(enum.StrEnum):
    """How a service is, in the order of concern."""

    BAD = "bad"
    WARN = "warn"
    UNKNOWN = "unknown"
    OK = "ok"


class Release(Struct, frozen=True):
    """What a colour runs. An empty string means that nobody said."""

    model: str = ""
    """The registered model's name."""
    version: str = ""
    """The registered model's version, `13`."""
    run_id: str = ""
    image: str = ""
    """The image reference as the pod template gives it."""
    digest: str = ""
    """`sha256:...`, from the running pods; empty while none runs or they disagree."""
    git_sha: str = ""

    def same_as(self, other: Release) -> bool:
        """Whether both are the same release: by image digest and registry version (I14).

        Where one side has no digest (nothing runs there), the image reference stands in for it.
        """
        if self.version != other.version or self.model != other.model:
            return False
        if self.digest and other.digest:
            return self.digest == other.digest
        return bool(self.image) and self.image == other.image

    @property
    def label(self) -> str:
        """`v13`, or the image's tag where no version is known."""
        if self.version:
            return self.version if self.version.startswith("v") else f"v{self.version}"
        return self.image.rpartition("/")[2] or "?"


class PodState(Struct, frozen=True):
    """One pod in a few words."""

    name: str
    ready: bool
    phase: str
    reason: str = ""
    """`CrashLoopBackOff`, `ImagePullBackOff`, ... or empty."""
    message: str = ""
    restarts: int = 0
    started_at: float = 0.0
    """Seconds since the epoch; 0 while not started."""
    ready_since: float = 0.0
    """When its Ready condition last turned true; 0 while it is not ready."""
    digest: str = ""
    terminating: bool = False


class Revision(Struct, frozen=True):
    """A ReplicaSet of a Deployment, as a place to go back to."""

    number: int
    replica_set: str
    release: Release
    created_at: float
    wish: int = 0
    ready: int = 0
    change_cause: str = ""


class Color(Struct, frozen=True):
    """One colour of a model service: one Deployment (the only one of a plain service is a colour without a name)."""

    name: str
    deployment: str
    wish: int
    """`spec.replicas`."""
    ready: int
    """Pods that the Service would send to, were this colour live: ready and not terminating."""
    minimum: int = 1
    """Its autoscaler's minReplicas, else 1."""
    min_ready_seconds: int = 0
    autoscaler: str = ""
    """The HPA's name, if it has one."""
    release: Release = Release()
    generation: int = 0
    observed_generation: int = 0
    updated: int = 0
    paused: bool = False
    pods: tuple[PodState, ...] = ()
    revisions: tuple[Revision, ...] = ()
    """Newest first."""
    problems: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether the Deployment's controller has seen the last change and every replica runs it."""
        return self.observed_generation >= self.generation and self.updated >= self.wish


class Endpoint(Struct, frozen=True):
    """An address behind the Service, by the pod it leads to."""

    pod: str
    color: str
    ready: bool


class Port(Struct, frozen=True):
    """A port of the Service."""

    number: int
    name: str = ""
    target: str = ""


class ModelService(Struct, frozen=True):
    """One model behind one Kubernetes Service: the unit that everything else hangs on."""

    namespace: str
    name: str
    shape: Shape
    uid: str = ""
    resource_version: str = ""
    selector: dict[str, str] = {}
    color_key: str = ""
    """The label whose value is the colour: `color`, `slot`, `mlconsole.io/color`, ..."""
    base: dict[str, str] = {}
    """The selector without the colour key."""
    live: str = ""
    """The colour that the selector names; empty when it names none."""
    colors: tuple[Color, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()
    annotations: dict[str, str] = {}
    """Only those under `mlconsole.io/`."""
    problems: tuple[str, ...] = ()
    environment: str = ""
    production: bool = False
    plain: Color | None = None
    """The Deployment beside the colours that an adoption left, as the way back from it."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def color(self, name: str) -> Color | None:
        """The colour called `name`, or None; what an adoption left is called nothing, or what its pods are."""
        found = next((color for color in self.colors if color.name == name), None)
        beside = self.plain
        return beside if found is None and beside is not None and name in ("", beside.name) else found

    @property
    def live_color(self) -> Color | None:
        """The colour with the traffic; a plain service's only Deployment; None in an incident."""
        if self.shape is Shape.PLAIN:
            return self.colors[0] if self.colors else None
        return self.color(self.live) if self.live else None

    @property
    def idle_color(self) -> Color | None:
        """The colour without the traffic; None where there is none or more than one."""
        if self.shape is not Shape.BLUE_GREEN:
            return None
        idle = [color for color in self.colors if color.name != self.live]
        return idle[0] if len(idle) == 1 else None
