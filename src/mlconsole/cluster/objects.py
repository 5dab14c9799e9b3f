"""Kubernetes objects, only the fields that are used, decoded from JSON by msgspec.

Tolerant where servers and people are: unknown fields are skipped, a null stands for an empty list or map.
"""

from __future__ import annotations

import datetime

from msgspec import Struct, field


class Fields(Struct, frozen=True, rename="camel", gc=False):
    """What all of them are."""


class OwnerReference(Fields, frozen=True):
    """Who made an object."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Meta(Fields, frozen=True):
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


class ServicePort(Fields, frozen=True):
    """A port of a Service."""

    port: int = 0
    name: str = ""
    target_port: int | str | None = None


class ServiceSpec(Fields, frozen=True):
    """What a Service selects."""

    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] | None = None
    type: str = ""


class Service(Fields, frozen=True):
    """A Service."""

    metadata: Meta
    spec: ServiceSpec = ServiceSpec()


class EnvVar(Fields, frozen=True):
    """An environment variable of a container; a value that comes from elsewhere is empty."""

    name: str
    value: str | None = None


class Container(Fields, frozen=True):
    """A container of a pod template."""

    name: str = ""
    image: str = ""
    env: tuple[EnvVar, ...] | None = None


class PodSpec(Fields, frozen=True):
    """The containers of a pod."""

    containers: tuple[Container, ...] | None = None


class Template(Fields, frozen=True):
    """A pod template."""

    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()


class WorkloadSpec(Fields, frozen=True):
    """The common part of Deployment and ReplicaSet."""

    replicas: int | None = None
    template: Template = Template()
    min_ready_seconds: int = 0
    paused: bool = False


class Condition(Fields, frozen=True):
    """A condition of a pod, a Deployment or a Job."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime.datetime | None = None


class WorkloadStatus(Fields, frozen=True):
    """What the controller says."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    conditions: tuple[Condition, ...] | None = None


class Deployment(Fields, frozen=True):
    """A Deployment."""

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ReplicaSet(Fields, frozen=True):
    """A ReplicaSet."""

    metadata: Meta
    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class Waiting(Fields, frozen=True):
    """Why a container waits."""

    reason: str = ""
    message: str = ""


class Terminated(Fields, frozen=True):
    """How a container ended."""

    reason: str = ""
    message: str = ""
    exit_code: int = 0


class Running(Fields, frozen=True):
    """A container that runs."""


class ContainerState(Fields, frozen=True):
    """One of waiting, running, terminated."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Fields, frozen=True):
    """A container as the kubelet sees it."""

    name: str = ""
    image: str = ""
    image_id: str = field(default="", name="imageID")
    restart_count: int = 0
    ready: bool = False
    state: ContainerState | None = None
    last_state: ContainerState | None = None


class PodStatus(Fields, frozen=True):
    """The state of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: datetime.datetime | None = None
    conditions: tuple[Condition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class PodContainer(Fields, frozen=True):
    """A container of a pod's spec, by name."""

    name: str = ""


class RunningSpec(Fields, frozen=True):
    """What is read of a pod's spec: which container is the first."""

    containers: tuple[PodContainer, ...] | None = None


class Pod(Fields, frozen=True):
    """A pod as it arrives; `pods.digest` makes of it the small row that is kept."""

    metadata: Meta
    spec: RunningSpec = RunningSpec()
    status: PodStatus = PodStatus()


class TargetRef(Fields, frozen=True):
    """The pod behind an address."""

    kind: str = ""
    name: str = ""


class EndpointAddress(Fields, frozen=True):
    """An address of Endpoints."""

    ip: str = ""
    target_ref: TargetRef | None = None


class EndpointSubset(Fields, frozen=True):
    """Ready and not ready addresses."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None


class Endpoints(Fields, frozen=True):
    """Endpoints of a Service."""

    metadata: Meta
    subsets: tuple[EndpointSubset, ...] | None = None


class SliceConditions(Fields, frozen=True):
    """Whether an address takes traffic; a null `ready` counts as true."""

    ready: bool | None = None


class SliceEndpoint(Fields, frozen=True):
    """An address of an EndpointSlice."""

    addresses: tuple[str, ...] | None = None
    conditions: SliceConditions = SliceConditions()
    target_ref: TargetRef | None = None


class EndpointSlice(Fields, frozen=True):
    """A slice of a Service's endpoints."""

    metadata: Meta
    endpoints: tuple[SliceEndpoint, ...] | None = None


class ObjectRef(Fields, frozen=True):
    """What an Event is about."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class Event(Fields, frozen=True):
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


class ScaleTarget(Fields, frozen=True):
    """What an autoscaler scales."""

    kind: str = ""
    name: str = ""


class AutoscalerSpec(Fields, frozen=True):
    """What an autoscaler scales, and how far down."""

    scale_target_ref: ScaleTarget = ScaleTarget()
    min_replicas: int | None = None


class Autoscaler(Fields, frozen=True):
    """A HorizontalPodAutoscaler of any version."""

    metadata: Meta
    spec: AutoscalerSpec = AutoscalerSpec()


class JobStatus(Fields, frozen=True):
    """How a Job stands."""

    active: int = 0
    failed: int = 0
    start_time: datetime.datetime | None = None
    completion_time: datetime.datetime | None = None
    conditions: tuple[Condition, ...] | None = None


class Job(Fields, frozen=True):
    """A Job."""

    metadata: Meta
    status: JobStatus = JobStatus()


class ConfigMap(Fields, frozen=True):
    """A ConfigMap."""

    metadata: Meta
    data: dict[str, str] | None = None


class LeaseSpec(Fields, frozen=True):
    """Who holds a Lease, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime.datetime | None = None
    lease_transitions: int | None = None


class Lease(Fields, frozen=True):
    """A Lease."""

    metadata: Meta
    spec: LeaseSpec = LeaseSpec()
