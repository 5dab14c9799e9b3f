"""Why a release does not come up: each of Kubernetes' reasons as a sentence with what to do."""

import pytest

from mlconsole.domain import trouble
from mlconsole.domain.services import Color, PodState
from mlconsole.domain.trouble import Said, Weight


def color(*pods, **more):
    return Color("blue", "fraud-blue", 2, 0, pods=pods, **more)


def pod(reason="", message="", phase="Pending", name="p1", ready=False, restarts=0):
    return PodState(name, ready, phase, reason, message, restarts)


def event(reason, message, whom="Pod/p1", at=1.0):
    return Said(whom, reason, message, at)


@pytest.mark.parametrize(
    ("pods", "said", "reason", "words", "advice", "weight", "logs"),
    [
        ([pod("ImagePullBackOff", "no such tag")], (), "ImagePullBackOff", "no such tag", "pull secret", 1, False),
        ([pod("ErrImagePull")], [event("Failed", "401 denied")], "ErrImagePull", "401 denied", "pull secret", 1, False),
        ([pod("InvalidImageName", "x::y")], (), "InvalidImageName", "x::y", "deploy.image", 1, False),
        (
            [pod("CrashLoopBackOff", "exit code 3", "Running")],
            (),
            "CrashLoopBackOff",
            "exit code 3",
            "last run",
            1,
            True,
        ),
        ([pod("OOMKilled", "exit code 137", "Running")], (), "OOMKilled", "more memory", "limits.memory", 1, True),
        (
            [pod("CreateContainerConfigError", 'secret "db" not found')],
            (),
            "CreateContainerConfigError",
            'secret "db"',
            "correct the name",
            1,
            False,
        ),
        ([pod("Unschedulable", "0/3 nodes")], (), "Unschedulable", "0/3 nodes", "taints", 1, False),
        ([pod()], [event("FailedScheduling", "0/3 nodes")], "FailedScheduling", "0/3 nodes", "taints", 1, False),
        ([pod()], [event("FailedMount", "claim x")], "FailedMount", "claim x", "exist", 0, False),
        (
            [pod(phase="Running")],
            [event("Unhealthy", "HTTP 503", at=2.0), event("Unhealthy", "HTTP 500", at=1.0)],
            "NotReady",
            "its probe fails (HTTP 503)",
            "read its log",
            0,
            True,
        ),
        ([pod(phase="Running", restarts=3)], (), "NotReady", "is not ready", "too impatient", 0, True),
        (
            [],
            [event("FailedCreate", "exceeded quota: compute", "ReplicaSet/fraud-blue-5d")],
            "FailedCreate",
            "quota is used up",
            "raise the quota",
            1,
            False,
        ),
        (
            [],
            [event("FailedCreate", "pods violates PodSecurity restricted", "ReplicaSet/x")],
            "FailedCreate",
            "pod security",
            "securityContext",
            1,
            False,
        ),
        (
            [],
            [event("FailedCreate", "odd", "ReplicaSet/x")],
            "FailedCreate",
            "cannot be made (odd)",
            "message",
            1,
            False,
        ),
        (
            [],
            [event("ProgressDeadlineExceeded", "timed out", "Deployment/fraud-blue")],
            "ProgressDeadlineExceeded",
            "timed out",
            "its pods",
            0,
            False,
        ),
        (
            [pod()],
            [event("Failed", 'Failed to pull image "x": connection refused'), event("Failed", "Error: ErrImagePull")],
            "ErrImagePull",
            "connection refused",
            "pull secret",
            1,
            False,
        ),
        ([pod()], [event("BackOff", 'Back-off pulling image "x"')], "ImagePullBackOff", '"x"', "pull secret", 1, False),
        ([pod()], [event("ErrImageNeverPull", "x not present")], "ErrImageNeverPull", "not present", "load", 1, False),
        ([pod()], [event("Failed", 'Error: secret "db" not found')], "Failed", 'secret "db"', "says why", 1, False),
        ([pod("Odd", "what", "Running")], (), "Odd", "not ready (what)", "kubectl describe", 0, True),
    ],
)
def test_each_reason_has_words_and_advice(pods, said, reason, words, advice, weight, logs):
    found = trouble.read(color(*pods), said)[0]
    assert (found.reason, found.weight, found.logs) == (reason, Weight(weight), logs)
    assert words in found.words
    assert advice in found.advice
    assert found.reason in found.line
    assert found.advice in found.line


def test_nothing_is_wrong_with_ready_or_ending_pods_or_those_just_begun():
    ending = PodState("p2", False, "Running", "Terminating", terminating=True)
    assert trouble.read(color(pod(ready=True, phase="Running"), ending, pod(name="p3"))) == []


def test_what_an_event_says_counts_until_the_pod_itself_says_something():
    said = [event("Failed", "Failed to pull image"), event("BackOff", "Back-off pulling image", "Pod/p9")]
    assert [item.reason for item in trouble.read(color(pod("CreateContainerError")), said)] == ["CreateContainerError"]
    assert trouble.read(color(pod(phase="Running", ready=True)), said) == []
    both = [event("BackOff", "Back-off pulling image", "Pod/p2"), *said]
    found = trouble.read(color(pod(), pod(name="p2")), both)
    assert [(item.reason, item.pods) for item in found] == [("ImagePullBackOff", ("p2",)), ("ErrImagePull", ("p1",))]


@pytest.mark.parametrize(
    ("said", "words", "advice"),
    [
        ([], "it has not started yet", "give it longer"),
        (
            [event("Scheduled", "to n1"), event("Pulling", 'image "x"', at=2.0)],
            'still being pulled (Pulling: image "x")',
            "progress",
        ),
        (
            [event("Pulling", "x"), event("NetworkNotReady", "cni", at=2.0)],
            "not started yet (NetworkNotReady: cni)",
            "describe",
        ),
        ([event("Pulling", "x", "Pod/p2")], "it has not started yet", "give it longer"),
    ],
)
def test_at_the_end_of_the_waiting_even_a_pod_with_no_trouble_has_words(said, words, advice):
    found = trouble.on_its_way(color(pod(ready=True, name="p0"), pod()), said)
    assert (found.reason, found.pods) == ("Starting", ("p1",))
    assert words in found.words
    assert advice in found.advice


def test_pods_that_are_not_even_made_have_words_and_those_that_are_all_ready_have_none():
    assert trouble.on_its_way(color(generation=1, observed_generation=1)).reason == "NoPods"
    ready = pod(ready=True, phase="Running")
    assert trouble.on_its_way(color(ready, updated=1)).reason == "NoPods", "one of two is there"
    assert trouble.on_its_way(color(ready, ready, updated=2)) is None


def test_a_paused_or_unseen_change_is_told_where_nothing_else_is():
    assert trouble.read(color(paused=True))[0].reason == "Paused"
    assert trouble.read(color(generation=3, observed_generation=2))[0].reason == "NotObserved"
    assert [item.reason for item in trouble.read(color(pod("ErrImagePull"), paused=True))] == ["ErrImagePull"]


def test_pods_of_one_reason_are_one_trouble_and_the_lasting_come_first():
    pods = [pod(phase="Running", name="a"), pod("ErrImagePull", name="b"), pod("ErrImagePull", name="c")]
    found = trouble.read(color(*pods))
    assert [(item.reason, item.pods) for item in found] == [("ErrImagePull", ("b", "c")), ("NotReady", ("a",))]
    assert "(2 pods)" in found[0].line
    assert trouble.hopeless(found)
    assert not trouble.hopeless(found[1:])


def test_what_comes_from_the_cluster_is_only_text():
    line = trouble.read(color(pod("Bad\x1b[2J", "\x1b[31mred\nline")))[0].line
    assert "\x1b" not in line
    assert "\n" not in line
