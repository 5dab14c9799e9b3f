"""Why a release does not come up, in words, and what to do about it: from its pods, its events and its Deployment.

Kubernetes says it in a dozen places and dialects. Here each becomes a sentence with the message as it was given, and
the next step of somebody who has seen it before.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from msgspec import Struct

from mlconsole.domain.services import Color, PodState
from mlconsole.domain.text import visible


class Weight(enum.IntEnum):
    """How sure it is that waiting does not help."""

    PASSING = 0
    """It often passes by itself."""
    LASTING = 1
    """It lasts until somebody does something."""


class Said(Struct, frozen=True):
    """An Event, or a condition of the Deployment."""

    object: str
    """`Pod/fraud-blue-x`, `ReplicaSet/fraud-blue-5d`."""
    reason: str
    message: str
    at: float = 0.0


class Trouble(Struct, frozen=True):
    """One thing that is wrong."""

    reason: str
    """As Kubernetes calls it."""
    words: str
    """What that means here, with the message."""
    advice: str
    weight: Weight = Weight.PASSING
    pods: tuple[str, ...] = ()
    """Whom it concerns, the first to be asked for its log."""
    logs: bool = False
    """Whether the log of such a pod tells more."""

    @property
    def line(self) -> str:
        """All of it."""
        whom = f" ({len(self.pods)} pods)" if len(self.pods) > 1 else f" ({self.pods[0]})" if self.pods else ""
        return f"{self.reason}{whom}: {self.words}; {self.advice}"


class Kind(Struct, frozen=True):
    """What is known of a reason."""

    words: str
    advice: str
    weight: Weight = Weight.LASTING
    logs: bool = False


_PULL = "check the image's name, its tag, and the pull secret of the pods' service account"
_KNOWN: dict[str, Kind] = {
    "ErrImagePull": Kind("the image cannot be pulled", _PULL),
    "ImagePullBackOff": Kind("the image cannot be pulled, it is tried ever less often", _PULL),
    "InvalidImageName": Kind("this is no image's name", "correct deploy.image or the version's tag"),
    "ErrImageNeverPull": Kind(
        "the image is not on the node, and imagePullPolicy is Never", "load it there, or change the policy"
    ),
    "RegistryUnavailable": Kind("the image's registry does not answer", "is it up?", Weight.PASSING),
    "CrashLoopBackOff": Kind(
        "the container ends soon after each start", "read the log of its last run: p in the logs", logs=True
    ),
    "Error": Kind("the container ended with an error", "read the log of its last run: p in the logs", logs=True),
    "StartError": Kind("the container could not be started", "check its command and its mounts"),
    "RunContainerError": Kind("the container could not be started", "check its command and its mounts"),
    "OOMKilled": Kind("it needs more memory than its limit", "raise resources.limits.memory", logs=True),
    "CreateContainerConfigError": Kind(
        "a ConfigMap, a Secret or a key of one that the container names is missing", "make it, or correct the name"
    ),
    "CreateContainerError": Kind("the container runtime cannot make the container", "check its command and its mounts"),
    "Unschedulable": Kind(
        "no node takes the pod", "free or add nodes; lower its requests; check taints, affinity and volumes"
    ),
    "SchedulingGated": Kind("the pod waits behind a scheduling gate", "whoever set the gate has to lift it"),
    "Evicted": Kind("its node ran out of something", "look at the node: kubectl describe node"),
    "ContainerCannotRun": Kind("the container could not be run", "check its command and its mounts"),
    "DeadlineExceeded": Kind("its activeDeadlineSeconds are over", "remove the deadline from the template"),
    "NodeLost": Kind("its node does not answer", "look at the nodes", Weight.PASSING),
    "ProgressDeadlineExceeded": Kind(
        "the Deployment's own deadline for a new pod is over", "look at its pods", Weight.PASSING
    ),
}

_EVENTS: dict[str, Kind] = {
    "FailedMount": Kind(
        "a volume cannot be mounted", "does the Secret, the ConfigMap or the claim exist?", Weight.PASSING
    ),
    "FailedAttachVolume": Kind("a volume cannot be attached", "is another node still using it?", Weight.PASSING),
    "FailedCreatePodSandBox": Kind(
        "the pod's network cannot be made", "look at the node's network plugin", Weight.PASSING
    ),
    "FailedScheduling": _KNOWN["Unschedulable"],
    "InspectFailed": _KNOWN["InvalidImageName"],
    "Failed": Kind("its container cannot be started", "the message says why"),
    **{
        reason: _KNOWN[reason]
        for reason in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "CrashLoopBackOff")
    },
}
"""Reasons of Events that say more than the pod's own state does, or say it sooner."""

_AS_A_STATE: tuple[tuple[str, str], ...] = (
    ("Failed to pull image", "ErrImagePull"),
    ("Error: ErrImagePull", "ErrImagePull"),
    ("Error: ErrImageNeverPull", "ErrImageNeverPull"),
    ("Error: ImagePullBackOff", "ImagePullBackOff"),
    ("Back-off pulling image", "ImagePullBackOff"),
    ("Back-off restarting failed", "CrashLoopBackOff"),
)
"""How the message of an Event begins, and what the pod's own state is going to call it: the kubelet of a busy node says
it there up to a quarter of a minute later, when it looks at the pod again."""

_REFUSED: tuple[tuple[str, Kind], ...] = (
    ("exceeded quota", Kind("the namespace's quota is used up", "raise the quota, or scale something else down")),
    (
        "violates podsecurity",
        Kind("the namespace's pod security forbids such a pod", "correct the template's securityContext"),
    ),
    ("serviceaccount", Kind("its service account is missing", "make it, or correct serviceAccountName")),
    ("limitrange", Kind("the namespace's LimitRange forbids it", "correct the template's resources")),
    ("minimum memory", Kind("the namespace's LimitRange forbids it", "correct the template's resources")),
    ("maximum memory", Kind("the namespace's LimitRange forbids it", "correct the template's resources")),
    ("admission webhook", Kind("an admission webhook refuses the pods", "its message says what it wants")),
)
"""What a ReplicaSet is told when it may not make its pods, by words in the message."""


def read(color: Color, said: Sequence[Said] = ()) -> list[Trouble]:
    """What keeps a colour from being ready, the most lasting first; nothing where there is nothing to say.

    `said` are the Events of its pods, its ReplicaSets and itself, and the conditions of its Deployment.
    """
    pods = [pod for pod in color.pods if not pod.ready and not pod.terminating]
    found = [*_of_pods(pods, said), *_of_refusals(said), *_of_events(pods, said), *_unready(pods, said)]
    told = {pod for trouble in found for pod in trouble.pods}
    if not found and color.paused:
        words = "the rollout of its Deployment is paused: nothing new comes up"
        found.append(Trouble("Paused", words, "unpause it", Weight.LASTING))
    if not found and color.observed_generation < color.generation:
        words = "the Deployment's controller has not looked at the last change"
        found.append(Trouble("NotObserved", words, "is the controller manager up?"))
    found += [trouble for trouble in _of_conditions(said) if not told]
    return sorted(found, key=lambda trouble: -trouble.weight)


def hopeless(troubles: Iterable[Trouble]) -> bool:
    """Whether something lasts until somebody does something about it."""
    return any(trouble.weight is Weight.LASTING for trouble in troubles)


def on_its_way(color: Color, said: Sequence[Said] = ()) -> Trouble | None:
    """How far a colour has come against which `read` has nothing; None where all its pods are ready.

    Only for the end of the waiting: until then it is how every release begins.
    """
    pods = [pod for pod in color.pods if not pod.ready and not pod.terminating]
    if not pods:
        if color.pods and color.settled:
            return None
        return Trouble("NoPods", "no other pod is on its way", "look at it with kubectl describe deployment")
    name = pods[0].name
    mine = sorted((item for item in said if item.object == f"Pod/{name}"), key=_when)
    last = f"{mine[-1].reason}: {mine[-1].message}" if mine else ""
    words, advice = "it has not started yet", "give it longer, or look at it with kubectl describe pod"
    if mine and mine[-1].reason == "Pulling":
        words, advice = "its image is still being pulled", "give it longer: deploy.progress_deadline"
    return Trouble("Starting", _with(words, last), advice, pods=tuple(pod.name for pod in pods))


def _of_pods(pods: Sequence[PodState], said: Sequence[Said]) -> list[Trouble]:
    by_reason: dict[str, list[PodState]] = {}
    for pod in pods:
        if pod.reason:
            by_reason.setdefault(pod.reason, []).append(pod)
    found = []
    for reason, some in by_reason.items():
        kind = _KNOWN.get(reason) or _strange(some[0])
        message = some[0].message or _event_of(some[0], said, ("Failed", "FailedScheduling", "BackOff"))
        found.append(
            Trouble(
                visible(reason, 60),
                _with(kind.words, message),
                kind.advice,
                kind.weight,
                tuple(pod.name for pod in some),
                kind.logs,
            )
        )
    return found


def _strange(pod: PodState) -> Kind:
    """A reason that nobody here has met."""
    return Kind(
        "the pod is not ready", "look at it with kubectl describe pod", Weight.PASSING, logs=pod.phase == "Running"
    )


def _unready(pods: Sequence[PodState], said: Sequence[Said]) -> list[Trouble]:
    """Pods that run and do not get ready: their readiness probe says why."""
    silent = [pod for pod in pods if pod.phase == "Running" and not pod.reason]
    if not silent:
        return []
    message = next((text for pod in silent if (text := _event_of(pod, said, ("Unhealthy", "ProbeError")))), "")
    words = "it runs, and is not ready"
    if message:
        words = "its probe fails"
    restarted = [pod for pod in silent if pod.restarts]
    advice = "read its log: does it load the model, and answer on the probe's path and port?"
    if restarted:
        advice = "it is started again and again: is the liveness probe too impatient for it?"
    names = tuple(pod.name for pod in silent)
    return [Trouble("NotReady", _with(words, message), advice, Weight.PASSING, names, logs=True)]


def _of_events(pods: Sequence[PodState], said: Sequence[Said]) -> list[Trouble]:
    waiting = {f"Pod/{pod.name}" for pod in pods if pod.phase == "Pending" and not pod.reason}
    told: dict[str, dict[str, str]] = {}
    for item in said:
        if item.object in waiting and (reason := _named(item)) in _EVENTS:
            messages = told.setdefault(reason, {})
            # `Failed to pull image X: why`, and then `Error: ErrImagePull`.
            messages[item.object] = max(messages.get(item.object, ""), item.message, key=len)
    found = []
    for reason, messages in told.items():
        kind, names = _EVENTS[reason], tuple(name.rpartition("/")[2] for name in messages)
        words = _with(kind.words, next(iter(messages.values())))
        found.append(Trouble(visible(reason, 60), words, kind.advice, kind.weight, names, kind.logs))
    return found


def _named(item: Said) -> str:
    """What an Event tells of, as a pod's own state calls it."""
    return next((reason for begins, reason in _AS_A_STATE if item.message.startswith(begins)), item.reason)


def _of_refusals(said: Sequence[Said]) -> list[Trouble]:
    """Pods that could not even be made."""
    last = max((item for item in said if item.reason == "FailedCreate"), key=_when, default=None)
    if last is None:
        return []
    message = last.message.lower()
    kind = next(
        (kind for word, kind in _REFUSED if word in message),
        Kind("its pods cannot be made", "the message says why"),
    )
    return [Trouble("FailedCreate", _with(kind.words, last.message), kind.advice, kind.weight)]


def _of_conditions(said: Sequence[Said]) -> list[Trouble]:
    found = []
    for item in said:
        kind = _KNOWN.get(item.reason)
        if item.object.startswith("Deployment/") and kind is not None:
            found.append(Trouble(item.reason, _with(kind.words, item.message), kind.advice, kind.weight))
    return found[:1]


def _event_of(pod: PodState, said: Sequence[Said], reasons: Sequence[str]) -> str:
    """The newest thing said of a pod for one of these reasons."""
    mine = [item for item in said if item.object == f"Pod/{pod.name}" and item.reason in reasons]
    return max(mine, key=_when).message if mine else ""


def _when(item: Said) -> float:
    return item.at


def _with(words: str, message: str) -> str:
    shown = visible(" ".join(message.split()), 200)
    return f"{words} ({shown})" if shown else words
