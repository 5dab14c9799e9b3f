"""Who else writes what a plan writes (I25): found where it is so, and not where it is not."""

import pytest

from mlconsole.domain import owners
from mlconsole.domain.plans import Write

SELECTOR = Write(
    "services",
    "ml",
    "fraud",
    (
        {"op": "test", "path": "/spec/selector", "value": {"app": "fraud", "color": "blue"}},
        {"op": "replace", "path": "/spec/selector/color", "value": "green"},
    ),
)
IMAGE = Write(
    "deployments", "ml", "fraud-green", ({"op": "replace", "path": "/spec/template/spec/containers/1/image"},)
)
MARK = "argocd.argoproj.io/instance"
FINE = {"f:spec": {"f:selector": {"f:app": {}, "f:color": {}}}}
ATOMIC = {"f:spec": {"f:selector": {}}}
ELSEWHERE = {"f:spec": {"f:ports": {}, "f:selector": {".": {}, "f:app": {}}}}


def entry(manager, fields, operation="Update", **more):
    return {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def service(*entries, **metadata):
    spec = {"selector": {"app": "fraud", "color": "blue"}}
    return {("services", "fraud"): {"metadata": {"managedFields": list(entries), **metadata}, "spec": spec}}


@pytest.mark.parametrize("fields", [FINE, ATOMIC])
@pytest.mark.parametrize(
    ("manager", "operation", "who"),
    [
        ("argocd-controller", "Update", "Argo CD"),
        ("argocd-controller", "Apply", "Argo CD"),
        ("kustomize-controller", "Apply", "Flux"),
        ("helm", "Update", "Helm"),
        ("flagger", "Update", "Flagger"),
        ("acme-operator", "Update", "acme-operator"),
        ("some-pipeline", "Apply", "some-pipeline"),
    ],
)
def test_who_writes_the_field_again_and_again_is_named(manager, operation, who, fields):
    (words,) = owners.foreign(service(entry(manager, fields, operation)), [SELECTOR])
    assert words.startswith(who)
    assert manager in words
    assert "/spec/selector/color of Service ml/fraud" in words


@pytest.mark.parametrize("fields", [FINE, ATOMIC])
@pytest.mark.parametrize(
    "manager", ["mlconsole", "kubectl-client-side-apply", "kubectl-edit", "kube-controller-manager", "python-requests"]
)
def test_people_and_kubernetes_itself_are_nobody_else(manager, fields):
    assert owners.foreign(service(entry(manager, fields)), [SELECTOR]) == []


def test_kubectl_that_applies_is_a_person_too():
    assert owners.foreign(service(entry("kubectl", FINE, "Apply")), [SELECTOR]) == []


def test_other_fields_of_the_object_do_not_count():
    assert owners.foreign(service(entry("kustomize-controller", ELSEWHERE, "Apply")), [SELECTOR]) == []


def test_what_a_status_was_written_with_does_not_count():
    assert owners.foreign(service(entry("acme-operator", FINE, subresource="status")), [SELECTOR]) == []


def test_a_container_is_found_by_its_name():
    containers = {
        'k:{"name":"sidecar"}': {".": {}, "f:image": {}},
        'k:{"name":"model"}': {".": {}, "f:env": {}},
    }
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": containers}}}}
    spec = {"containers": [{"name": "sidecar"}, {"name": "model"}]}
    item = {
        "metadata": {"managedFields": [entry("flux", fields, "Apply")]},
        "spec": {"template": {"spec": spec}},
    }
    objects = {("deployments", "fraud-green"): item}
    assert owners.foreign(objects, [IMAGE]) == []
    containers['k:{"name":"model"}']["f:image"] = {}
    assert "Flux" in owners.foreign(objects, [IMAGE])[0]
    whole = Write("deployments", "ml", "fraud-green", ({"op": "replace", "path": "/spec/template", "value": {}},))
    assert owners.foreign(objects, [whole]), "who owns a part owns of the whole"


@pytest.mark.parametrize(
    ("part", "mark", "who"),
    [
        ("labels", "argocd.argoproj.io/instance", "Argo CD"),
        ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
        ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux"),
        ("annotations", "meta.helm.sh/release-name", "Helm"),
    ],
)
def test_a_mark_is_enough_once_the_field_is_ours(part, mark, who):
    found = owners.foreign(service(entry("mlconsole", FINE), **{part: {mark: "x"}}), [SELECTOR])
    assert len(found) == 1
    assert found[0].startswith(who)
    assert mark in found[0]


def test_a_mark_of_who_applies_other_fields_does_not_count():
    marks = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    entries = (entry("kustomize-controller", ELSEWHERE, "Apply"), entry("mlconsole", FINE))
    assert owners.foreign(service(*entries, labels=marks), [SELECTOR]) == []


def test_an_object_that_is_left_alone_by_annotation_is_nobodys():
    item = service(
        labels={"kustomize.toolkit.fluxcd.io/name": "apps"},
        annotations={"kustomize.toolkit.fluxcd.io/reconcile": "disabled"},
    )
    assert owners.foreign(item, [SELECTOR]) == []


def test_each_owner_is_named_once():
    item = service(entry("argocd-controller", FINE), labels={"argocd.argoproj.io/instance": "ml"})
    assert len(owners.foreign(item, [SELECTOR, SELECTOR])) == 1


def test_a_controlling_owner_is_named_and_a_mere_reference_is_not():
    ref = {"kind": "InferenceService", "name": "fraud", "uid": "1", "controller": True}
    (words,) = owners.foreign(service(ownerReferences=[ref]), [SELECTOR])
    assert "InferenceService fraud" in words
    assert owners.foreign(service(ownerReferences=[{**ref, "controller": False}]), [SELECTOR]) == []


def test_a_removal_is_weighed_and_what_is_made_is_not():
    item = service(labels={"argocd.argoproj.io/instance": "ml"})
    assert owners.foreign(item, [Write("services", "ml", "fraud", delete=True, uid="1")])
    assert owners.foreign(item, [Write("services", "ml", "fraud", body={})]) == []
    assert owners.foreign({}, [SELECTOR]) == []


def test_the_consoles_own_notes_are_nobody_elses():
    item = service(entry("argocd-controller", {"f:metadata": {"f:annotations": {}}}), labels={MARK: "ml"})
    fence = {"op": "add", "path": "/metadata/annotations/mlconsole.io~1fence", "value": "3"}
    note = {"op": "add", "path": "/metadata/annotations/note", "value": "3"}
    assert owners.foreign(item, [Write("services", "ml", "fraud", (fence,))]) == []
    (words,) = owners.foreign(item, [Write("services", "ml", "fraud", (note,))])
    assert MARK in words, "by its mark: nobody owns annotations that are not there"


def test_names_from_outside_are_only_text():
    (words,) = owners.foreign(service(entry("evil\x1b[31m-operator", FINE)), [SELECTOR])
    assert "\x1b" not in words


@pytest.mark.parametrize("broken", [None, "x", {}, {"f:spec": None}, {"f:spec": "x"}])
def test_fields_that_cannot_be_read_own_nothing(broken):
    assert owners.foreign(service(entry("flux", broken)), [SELECTOR]) == []
    assert owners.foreign({("services", "fraud"): {}}, [SELECTOR]) == []


def test_the_last_writer_of_a_field():
    entries = (
        entry("argocd-controller", FINE, time="2026-01-01T00:00:02Z"),
        entry("mlconsole", FINE, time="2026-01-01T00:00:01Z"),
        entry("someone", ELSEWHERE, time="2026-01-01T00:00:03Z"),
    )
    (item,) = service(*entries).values()
    assert owners.last_writer(item, "/spec/selector/color") == ("argocd-controller", "2026-01-01T00:00:02Z")
    assert owners.last_writer(item, "/spec/type") == ("", "")


def test_a_copy_carries_no_mark_of_another_tool():
    labels = {"app": "fraud", "argocd.argoproj.io/instance": "ml", "app.kubernetes.io/managed-by": "Helm"}
    metadata = {"name": "x", "labels": labels, "annotations": {"meta.helm.sh/release-name": "ml", "note": "y"}}
    found = owners.without_marks(metadata)
    assert found["labels"] == {"app": "fraud", "app.kubernetes.io/managed-by": "mlconsole"}
    assert found["annotations"] == {"note": "y"}
    assert metadata["labels"] is labels
    assert len(labels) == 3
