"""Kubernetes objects, only the fields that are used, decoded from JSON by msgspec.

Decoding is tolerant where servers and people are: unknown fields are skipped, a null stands for an empty list or map,
and an object that is none of what its kind should be costs only itself (`Malformed`), never the list it came in.
"""

from __future__ import annotations

import datetime
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct, field

from mlconsole.cluster.errors import ServerError


class _Base(Struct, frozen=True, rename="camel", gc=False):
    pass


class OwnerReference(_Base, frozen=True):
    """Who made an object."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Meta(_Base, frozen=True):
    """Object metadata."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime.datetime | None = None
    deletion_timestamp: datetime.datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None

    @property
    def owner(self) -> str:
        """The name of the controlling owner, or empty."""
        return next((owner.name for owner in self.owner_references or () if owner.controller), "")

    @property
    def created(self) -> float:
        """Creation, seconds since the epoch."""
        return self.creation_timestamp.timestamp() if self.creation_timestamp else 0.0


class ServicePort(_Base, frozen=True):
    """A port of a Service."""

    port: int = 0
    name: str = ""
    target_port: int | str | None = None


class ServiceSpec(_Base, frozen=True):
    """What a Service selects."""

    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] | None = None
    type: str = ""


class Service(_Base, frozen=True):
    """A Service."""

    metadata: Meta
    spec: ServiceSpec = ServiceSpec()


class EnvVar(_Base, frozen=True):
    """An environment variable of a container; a value that comes from elsewhere is empty."""

    name: str
    value: str | None = None


class Container(_Base, frozen=True):
    """A container of a pod template."""

    name: str = ""
    image: str = ""
    env: tuple[EnvVar, ...] | None = None


class PodSpec(_Base, frozen=True):
    """The containers of a pod."""

    containers: tuple[Container, ...] | None = None


class Template(_Base, frozen=True):
    """A pod template."""

    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()


class WorkloadSpec(_Base, frozen=True):
    """The common part of Deployment and ReplicaSet."""

    replicas: int | None = None
    template: Template = Template()
    min_ready_seconds: int = 0
    paused: bool = False


class Condition(_Base, frozen=True):
    """A condition of a pod, a Deployment or a Job."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime.datetime | None = None


class WorkloadStatus(_Base, frozen=True):
    """What the controller says."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    conditions: tuple[Condition, ...] | None = None


class Deployment(_Base, frozen=True):
    """A Deployment."""

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ReplicaSet(_Base, frozen=True):
    """A ReplicaSet."""

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class Waiting(_Base, frozen=True):
    """Why a container waits."""

    reason: str = ""
    message: str = ""


class Terminated(_Base, frozen=True):
    """How a container ended."""

    reason: str = ""
    message: str = ""
    exit_code: int = 0


class Running(_Base, frozen=True):
    """A container that runs."""


class ContainerState(_Base, frozen=True):
    """One of waiting, running, terminated."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Base, frozen=True):
    """A container as the kubelet sees it."""

    name: str = ""
    image: str = ""
    image_id: str = field(default="", name="imageID")
    restart_count: int = 0
    ready: bool = False
    state: ContainerState | None = None
    last_state: ContainerState | None = None


class PodStatus(_Base, frozen=True):
    """The state of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: datetime.datetime | None = None
    conditions: tuple[Condition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class PodContainer(_Base, frozen=True):
    """A container of a pod's spec, by name."""

    name: str = ""


class RunningSpec(_Base, frozen=True):
    """What is read of a pod's spec: which container is the first."""

    containers: tuple[PodContainer, ...] | None = None


class Pod(_Base, frozen=True):
    """A pod as it arrives; `pods.digest` makes of it the small row that is kept."""

    metadata: Meta
    spec: RunningSpec = RunningSpec()
    status: PodStatus = PodStatus()


class TargetRef(_Base, frozen=True):
    """The pod behind an address."""

    kind: str = ""
    name: str = ""


class EndpointAddress(_Base, frozen=True):
    """An address of Endpoints."""

    ip: str = ""
    target_ref: TargetRef | None = None


class EndpointSubset(_Base, frozen=True):
    """Ready and not ready addresses."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None


class Endpoints(_Base, frozen=True):
    """Endpoints of a Service."""

    metadata: Meta
    subsets: tuple[EndpointSubset, ...] | None = None


class SliceConditions(_Base, frozen=True):
    """Whether an address takes traffic; a null `ready` counts as true."""

    ready: bool | None = None


class SliceEndpoint(_Base, frozen=True):
    """An address of an EndpointSlice."""

    addresses: tuple[str, ...] | None = None
    conditions: SliceConditions = SliceConditions()
    target_ref: TargetRef | None = None


class EndpointSlice(_Base, frozen=True):
    """A slice of a Service's endpoints."""

    metadata: Meta
    endpoints: tuple[SliceEndpoint, ...] | None = None


class ObjectRef(_Base, frozen=True):
    """What an Event is about."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class Event(_Base, frozen=True):
    """An Event."""

    metadata: Meta
    involved_object: ObjectRef = ObjectRef()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    last_timestamp: datetime.datetime | None = None
    event_time: datetime.datetime | None = None

    @property
    def at(self) -> float:
        """When it last happened, seconds since the epoch."""
        moment = self.last_timestamp or self.event_time
        return moment.timestamp() if moment else self.metadata.created


class ScaleTarget(_Base, frozen=True):
    """What an autoscaler scales."""

    kind: str = ""
    name: str = ""


class AutoscalerSpec(_Base, frozen=True):
    """What an autoscaler scales, and how far down."""

    scale_target_ref: ScaleTarget = ScaleTarget()
    min_replicas: int | None = None


class Autoscaler(_Base, frozen=True):
    """A HorizontalPodAutoscaler of any version."""

    metadata: Meta
    spec: AutoscalerSpec = AutoscalerSpec()


class JobStatus(_Base, frozen=True):
    """How a Job stands."""

    active: int = 0
    failed: int = 0
    start_time: datetime.datetime | None = None
    completion_time: datetime.datetime | None = None
    conditions: tuple[Condition, ...] | None = None


class Job(_Base, frozen=True):
    """A Job."""

    metadata: Meta
    status: JobStatus = JobStatus()


class ConfigMap(_Base, frozen=True):
    """A ConfigMap."""

    metadata: Meta
    data: dict[str, str] | None = None


class LeaseSpec(_Base, frozen=True):
    """Who holds a Lease, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime.datetime | None = None
    lease_transitions: int | None = None


class Lease(_Base, frozen=True):
    """A Lease."""

    metadata: Meta
    spec: LeaseSpec = LeaseSpec()


class Malformed(Struct, frozen=True):
    """An object that could not be read, and why."""

    kind: str
    name: str
    why: str


class ListMeta(_Base, frozen=True):
    """Metadata of a list."""

    resource_version: str = ""
    continue_: str = field(default="", name="continue")


class RawList(_Base, frozen=True):
    """A list whose items are decoded one by one."""

    metadata: ListMeta = ListMeta()
    items: tuple[msgspec.Raw, ...] | None = None


class WatchEvent(_Base, frozen=True):
    """An event of a watch; `object` is a Status for ERROR."""

    type: str
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _Name(_Base, frozen=True):
    name: str = ""
    namespace: str = ""


class _NameOnly(_Base, frozen=True):
    metadata: _Name = _Name()


class _Version(_Base, frozen=True):
    resource_version: str = ""


class _VersionOnly(_Base, frozen=True):
    metadata: _Version = _Version()


Kind = TypeVar("Kind", bound=Struct)
_NAMES = msgspec.json.Decoder(_NameOnly)
_VERSIONS = msgspec.json.Decoder(_VersionOnly)
_RAW_LIST = msgspec.json.Decoder(RawList)


class _Chunk(Struct, Generic[Kind], frozen=True):
    metadata: ListMeta = ListMeta()
    items: list[Kind] | None = None


class ItemDecoder(Generic[Kind]):
    """Decodes objects of one kind, and says of the others what is wrong with them."""

    def __init__(self, kind: type[Kind]) -> None:
        self._kind = kind.__name__
        self._decoder: msgspec.json.Decoder[Kind] = msgspec.json.Decoder(kind)
        self._chunk: msgspec.json.Decoder[_Chunk[Kind]] = msgspec.json.Decoder(_Chunk[kind])  # type: ignore[valid-type]

    def decode(self, raw: bytes | msgspec.Raw) -> Kind | Malformed:
        """The object, or why it is none."""
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Malformed(self._kind, _name(raw), str(error))

    def chunk(self, body: bytes) -> tuple[ListMeta, list[Kind | Malformed]]:
        """A list's metadata and its items. Raises msgspec.DecodeError when `body` is no list at all.

        In one pass, which takes two thirds of the time; item by item only where one of them is malformed.
        """
        try:
            whole = self._chunk.decode(body)
            return whole.metadata, list(whole.items or ())
        except msgspec.ValidationError:
            rough = _RAW_LIST.decode(body)
            return rough.metadata, [self.decode(raw) for raw in rough.items or ()]


def raw_list(body: bytes, what: str) -> RawList:
    """A list whose items stay as they were sent. Raises ServerError for a body that is no list."""
    try:
        return _RAW_LIST.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerError(f"cannot read {what}", f"the answer is no list: {error}", "is this an API server?") from error


def version_of(raw: bytes | msgspec.Raw) -> str:
    """The resourceVersion of an object, whatever else is wrong with it; empty where it has none."""
    try:
        return _VERSIONS.decode(raw).metadata.resource_version
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def key_of(raw: bytes | msgspec.Raw) -> tuple[str, str]:
    """(namespace, name) of an object, whatever else is wrong with it."""
    try:
        meta = _NAMES.decode(raw).metadata
        return meta.namespace, meta.name
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", "?"


def _name(raw: bytes | msgspec.Raw) -> str:
    return "/".join(key_of(raw)).strip("/")
