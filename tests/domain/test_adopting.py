"""What an adoption makes of a plain Deployment: pure, on raw objects."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.domain import adopting
from mlconsole.domain.deploying import COLOR_LABEL, OPERATION, Asked
from mlconsole.domain.services import Release

KEY = COLOR_LABEL
RELEASE = Release("eta", "5", image="registry.local/eta:5")
ASKED = Asked("blue", KEY, RELEASE, 3, "mlconsole: adopt eta")
PLAIN = {
    "metadata": {
        "name": "eta",
        "namespace": "ml",
        "uid": "u",
        "resourceVersion": "7",
        "labels": {"app": "eta", "team": "a"},
        "annotations": {"deployment.kubernetes.io/revision": "4", "rollout.argoproj.io/revision": "2", "note": "x"},
        "ownerReferences": [{"kind": "Thing", "name": "y", "uid": "z"}],
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {
        "replicas": 3,
        "minReadySeconds": 5,
        "selector": {"matchLabels": {"app": "eta"}},
        "template": {
            "metadata": {"labels": {"app": "eta", "app.kubernetes.io/version": "5"}, "annotations": {"a": "b"}},
            "spec": {"containers": [{"name": "model", "image": "registry.local/eta:5", "env": [{"name": "X"}]}]},
        },
    },
    "status": {"replicas": 3},
}


def test_the_copy_runs_the_very_same_pods_under_a_colour():
    before = copy.deepcopy(PLAIN)
    made = adopting.copied(PLAIN, ASKED, "eta-blue", "eta-api", {"app": "eta"})
    assert before == PLAIN, "what was read is not touched"
    assert made["spec"]["template"]["spec"] == PLAIN["spec"]["template"]["spec"]
    assert made["spec"]["template"]["metadata"] == {
        "labels": {"app": "eta", "app.kubernetes.io/version": "5", KEY: "blue", adopting.SERVICE_LABEL: "eta-api"},
        "annotations": {"a": "b"},
    }
    assert made["spec"]["selector"] == {"matchLabels": {adopting.SERVICE_LABEL: "eta-api", KEY: "blue"}}
    assert (made["spec"]["replicas"], made["spec"]["minReadySeconds"]) == (3, 5)
    assert set(made["metadata"]) == {"name", "namespace", "labels", "annotations"}
    assert set(made["metadata"]["annotations"]) == {"note", "kubernetes.io/change-cause"}
    assert made["metadata"]["labels"]["team"] == "a"


NAMES = st.sampled_from(["app", "team", "tier", adopting.SERVICE_LABEL])
PAIRS = st.dictionaries(NAMES, st.sampled_from("ab"), max_size=4)


@given(PAIRS, st.sets(NAMES, min_size=1), st.sets(NAMES))
def test_a_pod_out_of_the_service_is_its_deployments_still(labels, selected, expressed):
    base = {name: labels.get(name, "a") for name in selected}
    labels = {**labels, **base}
    own = {name: labels[name] for name in labels if name not in expressed}
    expressions = [{"key": name, "operator": "Exists"} for name in sorted(expressed)]
    spec = {
        "selector": {"matchLabels": own, "matchExpressions": expressions},
        "template": {"metadata": {"labels": {**labels, **dict.fromkeys(expressed - labels.keys(), "a")}}},
    }
    made = adopting.copied({"metadata": {"name": "eta"}, "spec": spec}, ASKED, "eta-blue", "api", base)
    pod = made["spec"]["template"]["metadata"]["labels"]
    assert base.items() <= pod.items(), "it serves"
    assert adopting.selects(made["spec"]["selector"], pod), "its Deployment knows it"
    label = adopting.way_out(made["spec"]["selector"], base)
    if set(base) == {adopting.SERVICE_LABEL}:
        assert not label, "they cannot leave it"
        return
    out = {name: value for name, value in pod.items() if name != label}
    assert not base.items() <= out.items(), "no request reaches it"
    assert adopting.selects(made["spec"]["selector"], out), "its Deployment makes no other in its place"


def test_a_pod_leaves_its_service_once():
    write = adopting.withdrawn("ml", "eta-blue-x", "a/b", "eta")
    assert (write.verb, write.label) == ("patch", "pods ml/eta-blue-x")
    assert write.patch == (
        {"op": "test", "path": "/metadata/labels/a~1b", "value": "eta"},
        {"op": "remove", "path": "/metadata/labels/a~1b"},
    )
    assert adopting.way_out({}, {"app": "eta"}) == "", "of what is not made here"


@given(
    st.dictionaries(
        st.sampled_from(["app", "team", KEY, "pod-template-hash", "a"]), st.text("ab", min_size=1), max_size=4
    ),
    st.sampled_from([KEY, "slot"]),
    st.sampled_from(["blue", "plain"]),
)
def test_a_template_recoloured_differs_in_its_colour_alone(labels, key, color):
    found = adopting.recolored({"metadata": {"labels": labels}, "spec": {"x": 1}}, key, color)
    kept = {name: value for name, value in labels.items() if name not in ("pod-template-hash", key, KEY)}
    assert kept.items() <= found["metadata"]["labels"].items()
    assert found["metadata"]["labels"][key] == color
    assert found["metadata"]["labels"].keys() <= {*kept, key, KEY}
    assert found["spec"] == {"x": 1}


def test_an_autoscaler_is_copied_without_its_status_and_with_its_metrics():
    scaler = {
        "metadata": {
            "name": "eta",
            "namespace": "ml",
            "uid": "u",
            "annotations": {
                "autoscaling.alpha.kubernetes.io/conditions": "[]",
                "autoscaling.alpha.kubernetes.io/current-metrics": "[]",
                "autoscaling.alpha.kubernetes.io/metrics": '[{"type": "Pods"}]',
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
            "labels": {"helm.toolkit.fluxcd.io/name": "x"},
        },
        "spec": {"minReplicas": 2, "maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "eta"}},
        "status": {"desiredReplicas": 3},
    }
    made = adopting.copied_autoscaler(scaler, "autoscaling/v1", "eta-blue")
    assert (made["apiVersion"], made["kind"]) == ("autoscaling/v1", "HorizontalPodAutoscaler")
    assert made["spec"] == {
        "minReplicas": 2,
        "maxReplicas": 5,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "eta-blue"},
    }
    assert made["metadata"] == {
        "name": "eta-blue",
        "namespace": "ml",
        "annotations": {"autoscaling.alpha.kubernetes.io/metrics": '[{"type": "Pods"}]'},
    }
    assert "status" not in made
    assert scaler["spec"]["scaleTargetRef"]["name"] == "eta"


def test_whose_controller_makes_an_autoscaler():
    owned = {"metadata": {"ownerReferences": [{"controller": True, "kind": "Rollout", "name": "x"}, {"kind": "Y"}]}}
    assert adopting.controlled(owned) == "Rollout x"
    assert adopting.controlled({"metadata": {"labels": {"scaledobject.keda.sh/name": "s"}}}) == "ScaledObject s"
    assert adopting.controlled({"metadata": {"labels": {"argocd.argoproj.io/instance": "x"}}}) == ""


@given(st.text(max_size=60))
def test_what_stands_in_the_annotation_is_an_adoption_or_nothing(text):
    found = adopting.decode(text)
    assert found is None or (found.service and found.key)


def test_the_annotation_is_read_as_it_was_written():
    adopted = adopting.Adopted("eta", "eta-blue", KEY, 3)
    deployment = {"metadata": {"annotations": {adopting.ADOPTED: adopting.encode(adopted)}}}
    assert adopting.of(deployment) == adopted
    assert adopting.of({"metadata": {}}) is None
    assert adopting.made_here({"metadata": {"annotations": {OPERATION: "abc"}}})
    assert not adopting.made_here(deployment)


@pytest.mark.parametrize(
    ("metadata", "path", "value"),
    [
        ({}, "/metadata/annotations", {adopting.ADOPTED: "note"}),
        ({"annotations": {"a": "b"}}, "/metadata/annotations/mlconsole.io~1adopted", "note"),
    ],
)
def test_the_mark_is_put_where_there_was_none(metadata, path, value):
    test, add = adopting.annotate({"metadata": metadata}, "note")
    assert test == {"op": "test", "path": path, "value": None}
    assert add == {"op": "add", "path": path, "value": value}


@pytest.mark.parametrize(
    ("selector", "taken"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "eta"}}, True),
        ({"matchLabels": {"app": "eta", "x": "y"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["eta"]}]}, False),
        ({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["eta"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_which_pods_a_selector_takes(selector, taken):
    assert adopting.selects(selector, {"app": "eta", KEY: "blue"}) is taken
