"""A pod in the few words that are kept of it: its labels, its owner, and how it is.

Of a pod of 4 kB the console needs some 300 bytes. The row is made once, when the pod arrives, so that five thousand
pods cost little memory and discovery never looks at a container status again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping

from msgspec import Struct

from mlconsole.cluster import objects
from mlconsole.domain.services import PodState
from mlconsole.domain.text import visible

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ORDINARY = frozenset({"", "ContainerCreating", "PodInitializing", "Completed"})
"""Reasons for waiting or having ended that are part of every pod's life."""


class PodRow(Struct, frozen=True):
    """What is kept of a pod."""

    namespace: str
    state: PodState
    labels: Mapping[str, str]
    """Shared by all pods that have the same ones: not to be changed."""
    owner: str
    """The ReplicaSet (or other object) that controls it; empty for none."""
    owner_kind: str
    resource_version: str

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.state.name

    @property
    def metadata(self) -> PodRow:
        """Where tables look for namespace and name."""
        return self

    @property
    def serves(self) -> bool:
        """Whether a Service that selects it sends to it: ready and not terminating."""
        return self.state.ready and not self.state.terminating


def digest(pod: objects.Pod) -> PodRow:
    """The row of `pod`."""
    meta = pod.metadata
    owner = next((item for item in meta.owner_references or () if item.controller), None)
    return PodRow(
        namespace=sys.intern(meta.namespace),
        state=_state(meta, pod.spec, pod.status),
        labels=_shared(meta.labels),
        owner=sys.intern(owner.name) if owner else "",
        owner_kind=owner.kind if owner else "",
        resource_version=meta.resource_version,
    )


_label_sets: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
_LABEL_SETS = 20_000


def _shared(labels: dict[str, str] | None) -> Mapping[str, str]:
    """One dict for all pods with the same labels: those of a ReplicaSet are."""
    key = tuple(labels.items()) if labels else ()
    known = _label_sets.get(key)
    if known is None:
        if len(_label_sets) >= _LABEL_SETS:
            _label_sets.clear()
        known = _label_sets[key] = {sys.intern(name): sys.intern(value) for name, value in key}
    return known


def main_container(annotations: Mapping[str, str] | None, names: Iterable[str]) -> str:
    """The container that is meant when none is named: kubectl's annotation, else the first."""
    return (annotations or {}).get(DEFAULT_CONTAINER) or next(iter(names), "")


def digest_in(image: str) -> str:
    """`sha256:...` of an image reference or an imageID; empty where it holds none."""
    found = _DIGEST.search(image) if "sha256:" in image else None
    return found.group() if found else ""


def _state(meta: objects.Meta, spec: objects.RunningSpec, status: objects.PodStatus) -> PodState:
    ready = next((item for item in status.conditions or () if item.type == "Ready"), None)
    is_ready = ready is not None and ready.status == "True"
    since = ready.last_transition_time if ready and is_ready else None
    terminating = meta.deletion_timestamp is not None
    main = main_container(meta.annotations, (item.name for item in spec.containers or ()))
    statuses = status.container_statuses or ()
    image = next((item.image_id for item in statuses if item.name == main), statuses[0].image_id if statuses else "")
    reason, message = ("Terminating", "") if terminating else ("", "") if is_ready else _reason(status)
    return PodState(
        name=meta.name,
        ready=is_ready,
        phase=status.phase or "Unknown",
        reason=visible(reason, 60) if reason else "",
        message=visible(" ".join(message.split()), 200) if message else "",
        restarts=sum(item.restart_count for item in statuses),
        started_at=status.start_time.timestamp() if status.start_time else 0.0,
        ready_since=since.timestamp() if since else 0.0,
        digest=sys.intern(digest_in(image)),
        terminating=terminating,
    )


def _reason(status: objects.PodStatus) -> tuple[str, str]:
    """Why a pod is not ready: the most telling thing that its status says."""
    for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        found = _container_reason(container)
        if found:
            return found
    if status.reason:
        return status.reason, status.message
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return condition.reason or "Unschedulable", condition.message
    return "", ""


def _container_reason(container: objects.ContainerStatus) -> tuple[str, str] | None:
    state = container.state or objects.ContainerState()
    ended = container.last_state.terminated if container.last_state else None
    if state.waiting and state.waiting.reason not in _ORDINARY:
        if ended and ended.reason == "OOMKilled":
            return "OOMKilled", f"out of memory (exit code {ended.exit_code}), now {state.waiting.reason}"
        told = _told(ended) if ended and state.waiting.reason == "CrashLoopBackOff" else ""
        return state.waiting.reason, told or state.waiting.message
    if state.terminated and state.terminated.reason not in _ORDINARY:
        return state.terminated.reason, _told(state.terminated)
    if state.terminated and state.terminated.exit_code:
        return "Error", _told(state.terminated)
    if state.running and not container.ready and ended and ended.reason == "OOMKilled":
        return "OOMKilled", "killed for its memory, and started again"
    return None


def _told(ended: objects.Terminated) -> str:
    return ": ".join(part for part in (f"exit code {ended.exit_code}", ended.message.strip()) if part)
