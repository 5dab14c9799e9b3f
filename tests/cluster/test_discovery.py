"""Tables: what stands in the cluster, and what it is taken for."""

import msgspec
import pytest

from mlconsole.cluster import objects
from mlconsole.cluster.colors import Hints
from mlconsole.cluster.discovery import describe
from mlconsole.cluster.inventory import Inventory
from mlconsole.domain.services import Shape

DIGEST = "sha256:" + "b" * 64


def make(kind, **body):
    return msgspec.convert(body, kind)


def inventory_of(*deployments, pods=(), autoscalers=(), endpoints=None):
    """An inventory of (name, labels) Deployments and (name, labels) pods in namespace `ml`."""
    found = Inventory()
    for item in deployments:
        name, labels, *more = item
        found.deployments.put(deployment(name, labels, **(more[0] if more else {})))
    for name, labels, *status in pods:
        found.pods.put(pod(name, labels, *status))
    for name, target, least in autoscalers:
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": target}, "minReplicas": least}
        found.horizontalpodautoscalers.put(make(objects.Autoscaler, metadata=meta(name), spec=spec))
    if endpoints:
        found.endpoints.put(make(objects.Endpoints, metadata=meta(endpoints[0]), subsets=endpoints[1]))
    return found


def meta(name, **more):
    return {"name": name, "namespace": "ml", **more}


def service(selector, **spec):
    return make(objects.Service, metadata=meta("fraud", uid="u1"), spec={"selector": selector, **spec})


def deployment(name, labels, annotations=None, env=None, image="registry.local/m:1", conditions=None, containers=None):
    container = {"name": "model", "image": image, "env": [{"name": k, "value": v} for k, v in (env or {}).items()]}
    template = {
        "metadata": {"labels": labels, "annotations": annotations, "creationTimestamp": None},
        "spec": {"containers": containers or [container]},
    }
    status = {"conditions": conditions}
    return make(objects.Deployment, metadata=meta(name), spec={"replicas": 2, "template": template}, status=status)


def pod(name, labels, status=None):
    ready = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    return make(objects.Pod, metadata=meta(name, labels=labels), status=status or ready)


BLUE, GREEN = {"app": "x", "color": "blue"}, {"app": "x", "color": "green"}


@pytest.mark.parametrize(
    ("selector", "deployments", "shape", "live", "key"),
    [
        (BLUE, [("b", BLUE), ("g", GREEN)], Shape.BLUE_GREEN, "blue", "color"),
        (
            {"app": "x", "slot": "a"},
            [("a", {"app": "x", "slot": "a"}), ("b", {"app": "x", "slot": "b"})],
            Shape.BLUE_GREEN,
            "a",
            "slot",
        ),
        (
            {"app": "x", "version": "v1"},
            [("a", {"app": "x", "version": "v1"}), ("b", {"app": "x", "version": "v2"})],
            Shape.BLUE_GREEN,
            "v1",
            "version",
        ),
        (
            {"app": "x", "lane": "green"},
            [("b", {"app": "x", "lane": "blue"}), ("g", {"app": "x", "lane": "green"})],
            Shape.BLUE_GREEN,
            "green",
            "lane",
        ),
        ({"color": "blue"}, [("b", BLUE), ("g", GREEN)], Shape.BLUE_GREEN, "blue", "color"),
        (
            {"version": "v1"},
            [("a", {"app": "x", "version": "v1"}), ("b", {"app": "y", "version": "v2"})],
            Shape.PLAIN,
            "",
            "",
        ),
        # Two services of one tier: neither `app` nor the shared colour may be taken for what tells them apart.
        (
            {"app": "x", "tier": "ml"},
            [("x", {"app": "x", "tier": "ml"}), ("y", {"app": "y", "tier": "ml"})],
            Shape.PLAIN,
            "",
            "",
        ),
        # The other colour is still to come.
        (BLUE, [("b", BLUE)], Shape.BLUE_GREEN, "blue", "color"),
        ({"app": "x", "version": "v1"}, [("a", {"app": "x", "version": "v1"})], Shape.PLAIN, "", ""),
        ({"color": "blue"}, [("b", BLUE)], Shape.PLAIN, "", ""),
        (BLUE, [("b", BLUE), ("b2", BLUE)], Shape.MALFORMED, "blue", "color"),
        ({"app": "x"}, [("b", BLUE), ("g", GREEN)], Shape.BOTH, "", "color"),
        (
            {"app": "x"},
            [("b", {"app": "x", "lane": "blue"}), ("g", {"app": "x", "lane": "green"})],
            Shape.BOTH,
            "",
            "lane",
        ),
        # A canary behind one Service is no incident.
        (
            {"app": "x"},
            [("a", {"app": "x", "version": "v1"}), ("b", {"app": "x", "version": "v2"})],
            Shape.MALFORMED,
            "",
            "",
        ),
        (BLUE, [("b", BLUE), ("b2", BLUE), ("g", GREEN)], Shape.MALFORMED, "blue", "color"),
        (
            BLUE,
            [("b", BLUE), ("g", GREEN), ("r", {"app": "x", "color": "red"})],
            Shape.MALFORMED,
            "blue",
            "color",
        ),
        ({"app": "x", "color": "red"}, [("b", BLUE), ("g", GREEN)], Shape.BLUE_GREEN, "red", "color"),
        ({"app": "nobody"}, [("b", BLUE)], Shape.MALFORMED, "", ""),
        ({}, [("b", BLUE)], Shape.MALFORMED, "", ""),
        (None, [], Shape.MALFORMED, "", ""),
        ({"app": "x"}, [("unlabelled", None), ("b", {"app": "x"})], Shape.PLAIN, "", ""),
    ],
)
def test_shapes(selector, deployments, shape, live, key):
    found = describe(service(selector), inventory_of(*deployments))
    assert (found.shape, found.live, found.color_key) == (shape, live, key)
    clean = shape in (Shape.BLUE_GREEN, Shape.PLAIN) and live != "red"
    assert bool(found.problems) is not clean


def test_what_no_colour_has_is_said():
    found = describe(service({"app": "x", "color": "red"}), inventory_of(("b", BLUE), ("g", GREEN)))
    assert "nothing gets traffic" in found.problems[0]
    assert found.live_color is None
    assert found.color("blue") is not None, "the way out of it is a switch"


def test_the_other_colour_is_the_way_out_when_the_live_deployment_is_gone():
    found = describe(service({"app": "x", "color": "green"}), inventory_of(("b", BLUE)))
    assert (found.shape, found.live, found.color_key) == (Shape.BLUE_GREEN, "green", "color")
    assert "nothing gets traffic" in found.problems[0]
    assert [color.name for color in found.colors if color is found.idle_color] == ["blue"]


def test_a_third_version_is_no_way_out_of_a_missing_one():
    found = describe(
        service({"app": "x", "version": "blue"}), inventory_of(("canary", {"app": "x", "version": "canary"}))
    )
    assert (found.shape, found.colors) == (Shape.MALFORMED, ())


def test_hints_choose_the_key_and_the_colours():
    inventory = inventory_of(
        ("a", {"app": "x", "track": "one"}), ("b", {"app": "x", "track": "two"}), ("c", {"app": "x", "track": "dev"})
    )
    wanted = service({"app": "x", "track": "one"})
    assert describe(wanted, inventory).shape is Shape.PLAIN
    assert describe(wanted, inventory, Hints("track")).shape is Shape.MALFORMED
    found = describe(wanted, inventory, Hints("track", ("one", "two")))
    assert (found.shape, found.live, [color.name for color in found.colors]) == (
        Shape.BLUE_GREEN,
        "one",
        ["one", "two"],
    )


def test_pods_are_those_that_the_service_would_send_to():
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    inventory = inventory_of(
        ("b", BLUE),
        ("g", GREEN),
        pods=[
            ("b-1", BLUE, ready),
            ("b-2", BLUE, {"conditions": [{"type": "Ready", "status": "False"}]}),
            ("g-1", GREEN, ready),
            ("other", {"app": "y", "color": "blue"}, ready),
        ],
        autoscalers=[("hpa", "b", 3)],
        endpoints=("fraud", [{"addresses": [{"ip": "1", "targetRef": {"kind": "Pod", "name": "b-1"}}]}]),
    )
    gone = msgspec.convert(
        {"metadata": meta("b-3", labels=BLUE, deletionTimestamp="2026-01-01T00:00:00Z"), "status": ready}, objects.Pod
    )
    inventory.pods.put(gone)
    blue, green = describe(service(BLUE), inventory).colors
    assert [state.name for state in blue.pods] == ["b-1", "b-2", "b-3"]
    assert (blue.ready, blue.minimum, blue.autoscaler, green.ready) == (1, 3, "hpa", 1)
    points = describe(service(BLUE), inventory).endpoints
    assert [(point.pod, point.color, point.ready) for point in points] == [("b-1", "blue", True)]


def test_a_release_is_read_from_annotations_then_environment_then_labels():
    annotations = {
        "mlconsole.io/model": "fraud",
        "mlconsole.io/model-version": "13",
        "mlconsole.io/run-id": "r1",
        "mlconsole.io/git-sha": "3f2c1a9",
    }
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {"name": "a-sidecar", "imageID": "x@sha256:" + "c" * 64},
            {"name": "model", "imageID": f"docker-pullable://x@{DIGEST}"},
        ],
    }
    inventory = inventory_of(("b", {"app": "x"}, {"annotations": annotations, "env": {"MODEL_VERSION": "13"}}))
    running = make(
        objects.Pod,
        metadata=meta("b-1", labels={"app": "x"}),
        spec={"containers": [{"name": "model"}, {"name": "a-sidecar"}]},
        status=status,
    )
    inventory.pods.put(running)
    (color,) = describe(service({"app": "x"}), inventory).colors
    release = color.release
    assert (release.model, release.version, release.run_id, release.git_sha) == ("fraud", "13", "r1", "3f2c1a9")
    assert release.digest == DIGEST, "of the container that serves, not of the first by name"
    assert color.problems == ()
    (color,) = describe(
        service({"app": "x"}), inventory_of(("b", {"app": "x"}, {"env": {"MODEL_VERSION": "12"}}))
    ).colors
    assert (color.release.version, color.release.digest) == ("12", "")


def test_an_annotation_that_the_process_contradicts_is_told():
    said = {"annotations": {"mlconsole.io/model-version": "13"}, "env": {"MODEL_VERSION": "12"}}
    (color,) = describe(service({"app": "x"}), inventory_of(("b", {"app": "x"}, said))).colors
    assert "13" in color.problems[0]
    assert "12" in color.problems[0]


def container(**state):
    return {"containerStatuses": [{"name": "model", **state}]}


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
            "ImagePullBackOff",
            "no such",
        ),
        (
            container(
                state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                lastState={"terminated": {"reason": "Error", "exitCode": 3, "message": "model file\nis missing"}},
            ),
            "CrashLoopBackOff",
            "exit code 3: model file is missing",
        ),
        (
            container(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            ),
            "OOMKilled",
            "137",
        ),
        (container(state={"waiting": {"reason": "ContainerCreating"}}), "", ""),
        (container(state={"terminated": {"exitCode": 1}}), "Error", "exit code 1"),
        ({"phase": "Failed", "reason": "Evicted", "message": "disk"}, "Evicted", "disk"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
            "Unschedulable",
            "0/3",
        ),
        (
            {"initContainerStatuses": [{"name": "init", "state": {"waiting": {"reason": "ErrImagePull"}}}]},
            "ErrImagePull",
            "",
        ),
        (container(state={"waiting": {"reason": "\x1b[31mred", "message": "a\x07b"}}), "␛[31mred", "a␇b"),
    ],
)
def test_reasons_in_words(status, reason, words):
    inventory = inventory_of(("b", {"app": "x"}), pods=[("b-1", {"app": "x"}, status)])
    (color,) = describe(service({"app": "x"}), inventory).colors
    (state,) = color.pods
    assert state.reason == reason
    assert words in state.message
    if reason:
        assert reason in color.problems[0]


def test_a_rollout_that_is_stuck_or_refused_says_why():
    conditions = [
        {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"},
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"},
    ]
    (color,) = describe(service({"app": "x"}), inventory_of(("b", {"app": "x"}, {"conditions": conditions}))).colors
    assert color.problems == ("ProgressDeadlineExceeded: timed out", "FailedCreate: exceeded quota")


def test_the_label_that_the_traffic_was_moved_by_last_stays_the_colour():
    """Taken out of the selector, it is not another one that also tells the Deployments apart."""
    both = inventory_of(("b", {**BLUE, "slot": "blue"}), ("g", {**GREEN, "slot": "green"}))

    def moved_by(key):
        notes = {"mlconsole.io/color-key": key} if key else {}
        found = make(objects.Service, metadata=meta("fraud", annotations=notes), spec={"selector": {"app": "x"}})
        return describe(found, both)

    assert moved_by("").color_key == "color"
    found = moved_by("slot")
    assert (found.shape, found.color_key, found.live) == (Shape.BOTH, "slot", "")
    assert moved_by("app").color_key == "color", "what does not tell them apart is no colour"
