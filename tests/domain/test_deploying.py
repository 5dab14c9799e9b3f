"""A release as a Deployment: what is exchanged, what is kept, and the way back from it."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.demo.apiserver.patches import json_patch
from mlconsole.domain import deploying
from mlconsole.domain.deploying import Asked
from mlconsole.domain.patches import reversed_write
from mlconsole.domain.plans import Write
from mlconsole.domain.services import Color, ModelService, Release, Shape

P = "mlconsole.io/"
NEW = Release("fraud", "14", "run-14", "registry.local/fraud:14", "sha256:" + "c" * 64, "abc")


def asked(color="blue", release=NEW, replicas=3, cause=""):
    return Asked(color, "color", release, replicas, cause)


def deployment(color="green", version="13", env=(), annotations=None, replicas=3, own=None, labels=None):
    pods = {"app": "fraud", "color": color, **(labels or {})}
    container = {"name": "model", "image": f"registry.local/fraud:{version}", "imagePullPolicy": "IfNotPresent"}
    if env:
        container["env"] = list(env)
    return {
        "metadata": {
            "name": f"fraud-{color}",
            "namespace": "ml",
            "uid": "u1",
            "resourceVersion": "7",
            "managedFields": [{}],
            "labels": dict(pods),
            "annotations": {"deployment.kubernetes.io/revision": "4", **(own or {})},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "fraud", "color": color}},
            "template": {
                "metadata": {"labels": pods, **({"annotations": annotations} if annotations else {})},
                "spec": {"containers": [container, {"name": "sidecar", "image": "registry.local/proxy:2"}]},
            },
        },
        "status": {"readyReplicas": 3},
    }


def environment(template, name="model"):
    container = next(item for item in template["spec"]["containers"] if item["name"] == name)
    return {item["name"]: item.get("value") for item in container.get("env", ())}


def test_a_template_gets_the_release_and_the_color_and_keeps_the_rest():
    env = [
        {"name": "MODEL_VERSION", "value": "13"},
        {"name": "MODEL_NAME", "value": "old"},
        {"name": "COLOR", "value": "green"},
        {"name": "THEME", "value": "green"},
        {"name": "THREADS", "value": "4"},
    ]
    before = deployment(
        env=env,
        annotations={P + "model-version": "13", P + "run-id": "r", "team": "risk", deploying.RESTARTED: "then"},
        labels={deploying.COLOR_LABEL: "green", deploying.VERSION_LABEL: "13", deploying.HASH: "x"},
    )["spec"]["template"]
    after = deploying.template_for(before, asked())
    assert environment(after) == {
        "MODEL_VERSION": "14",
        "MODEL_NAME": "fraud",
        "COLOR": "blue",
        "THEME": "green",
        "THREADS": "4",
    }
    assert [item["image"] for item in after["spec"]["containers"]] == [NEW.image, "registry.local/proxy:2"]
    assert after["metadata"]["labels"] == {
        "app": "fraud",
        "color": "blue",
        deploying.COLOR_LABEL: "blue",
        deploying.VERSION_LABEL: "14",
    }
    assert after["metadata"]["annotations"] == {
        "team": "risk",
        P + "model": "fraud",
        P + "model-version": "14",
        P + "run-id": "run-14",
        P + "git-sha": "abc",
        P + "image-digest": NEW.digest,
    }


def test_what_is_not_known_of_the_new_release_is_not_told_of_the_old_one():
    before = deployment(annotations={P + "run-id": "r13", P + "git-sha": "old", P + "image-digest": "sha256:1"})
    after = deploying.template_for(before["spec"]["template"], asked(release=Release(version="14", image="x:14")))
    assert after["metadata"]["annotations"] == {P + "model-version": "14"}


@pytest.mark.parametrize(
    ("old", "new", "written"), [("v12", "14", "v14"), ("12", "14", "14"), ("v12", "v14", "v14"), ("vienna", "14", "14")]
)
def test_the_version_is_written_as_it_was(old, new, written):
    before = deployment(env=[{"name": "MODEL_VERSION", "value": old}])["spec"]["template"]
    after = deploying.template_for(before, asked(release=Release(version=new, image="x")))
    assert environment(after)["MODEL_VERSION"] == written


def test_a_version_from_elsewhere_becomes_literal_and_a_missing_one_is_added_to_the_model_alone():
    elsewhere = {"name": "MODEL_VERSION", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
    after = deploying.template_for(deployment(env=[elsewhere])["spec"]["template"], asked())
    assert after["spec"]["containers"][0]["env"] == [{"name": "MODEL_VERSION", "value": "14"}]
    after = deploying.template_for(deployment()["spec"]["template"], asked())
    assert environment(after) == {"MODEL_VERSION": "14"}
    assert environment(after, "sidecar") == {}


def test_kubectls_own_annotation_says_which_container_is_the_model():
    before = deployment(annotations={deploying.DEFAULT_CONTAINER: "sidecar"})["spec"]["template"]
    after = deploying.template_for(before, asked())
    assert [item["image"] for item in after["spec"]["containers"]] == ["registry.local/fraud:13", NEW.image]


def test_a_deployment_that_is_made_carries_nothing_of_the_server_or_of_another_owner():
    live = deployment(
        own={
            "argocd.argoproj.io/tracking-id": "x",
            "meta.helm.sh/release-name": "y",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            P + "model-version": "13",
            "note": "kept",
        },
        labels={"app.kubernetes.io/instance": "prod"},
    )
    live["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    live["spec"]["paused"] = True
    made = deploying.deployment_for(live, "fraud-blue", asked(cause="deploy v14"))
    assert made["metadata"] == {
        "name": "fraud-blue",
        "namespace": "ml",
        "labels": {
            "app": "fraud",
            "color": "blue",
            deploying.COLOR_LABEL: "blue",
            "app.kubernetes.io/managed-by": "mlconsole",
        },
        "annotations": {"note": "kept", deploying.CHANGE_CAUSE: "deploy v14"},
    }
    assert made["spec"]["selector"] == {"matchLabels": {"app": "fraud", "color": "blue"}}
    assert made["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "prod", "Services may use it"
    assert "paused" not in made["spec"]
    assert "status" not in made


def test_a_selector_without_the_color_gets_it_and_loses_the_version():
    live = deployment()
    live["spec"]["selector"] = {
        "matchLabels": {"app": "fraud", deploying.VERSION_LABEL: "13"},
        "matchExpressions": [
            {"key": "color", "operator": "In", "values": ["green"]},
            {"key": "tier", "operator": "Exists"},
        ],
    }
    made = deploying.deployment_for(live, "fraud-blue", asked())
    assert made["spec"]["selector"] == {
        "matchLabels": {"app": "fraud", "color": "blue"},
        "matchExpressions": [{"key": "tier", "operator": "Exists"}],
    }


@pytest.mark.parametrize(
    ("live", "color", "name"),
    [
        ("fraud-green", "green", "fraud-blue"),
        ("green-fraud", "green", "blue-fraud"),
        ("fraud", "green", "fraud-blue"),
        ("evergreen", "green", "evergreen-blue"),
        ("green-green", "green", "green-blue"),
    ],
)
def test_names_swap_the_color(live, color, name):
    assert deploying.name_for(live, color, "blue") == name


@pytest.mark.parametrize(("wish", "ready", "wished", "pods"), [(3, 2, 0, 3), (3, 5, 0, 5), (3, 3, 7, 7), (0, 0, 0, 1)])
def test_as_many_pods_as_the_live_one_has_or_wants(wish, ready, wished, pods):
    assert deploying.replicas_for(Color("green", "d", wish, ready), wished) == pods
    assert deploying.replicas_for(None) == 1


@pytest.mark.parametrize(
    ("colors", "other"), [(("green",), "blue"), (("blue",), "green"), (("blue", "green"), ""), (("a",), ""), ((), "")]
)
def test_the_color_that_is_not_there_yet(colors, other):
    service = ModelService("ml", "f", Shape.BLUE_GREEN, colors=tuple(Color(name, name, 1, 1) for name in colors))
    assert deploying.other_color(service) == other


def test_what_an_idle_deployment_says_of_its_release_is_changed_with_it():
    seen = deployment("blue", "12", own={P + "model-version": "12", P + "run-id": "r", deploying.CHANGE_CAUSE: "v12"})
    seen["metadata"]["labels"][deploying.VERSION_LABEL] = "12"
    release = Release("fraud", "14", image="x:14")
    steps = deploying.patch_for(seen, deployment()["spec"]["template"], asked(release=release, cause="deploy v14"))
    after = json_patch(seen, list(steps))
    assert after["metadata"]["labels"][deploying.VERSION_LABEL] == "14"
    assert after["metadata"]["annotations"] == {
        "deployment.kubernetes.io/revision": "4",
        P + "model-version": "14",
        deploying.CHANGE_CAUSE: "deploy v14",
    }


def test_nothing_to_change_is_no_step():
    seen = deployment("blue", "14", replicas=3)
    once = json_patch(seen, list(deploying.patch_for(seen, deployment()["spec"]["template"], asked())))
    assert deploying.patch_for(once, deployment()["spec"]["template"], asked()) == ()


texts = st.text("abcdefghij/~-", min_size=1, max_size=6)
annotated = st.dictionaries(
    st.one_of(texts, st.sampled_from([P + "run-id", P + "model-version", deploying.CHANGE_CAUSE])), texts, max_size=4
)
envs = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["MODEL_VERSION", "MODEL_NAME", "COLOR", "X", "Y"]), "value": texts}
    ),
    max_size=4,
    unique_by=lambda item: item["name"],
)
releases = st.builds(
    Release, texts, st.text("0123456789v", max_size=3), st.one_of(st.just(""), texts), texts, st.just(""), texts
)


@given(
    envs,
    envs,
    annotated,
    annotated,
    annotated,
    releases,
    st.integers(0, 4),
    st.integers(1, 9),
    st.sampled_from(["", "c"]),
)
def test_the_patch_gives_the_wanted_template_and_its_reverse_the_original(
    live_env, idle_env, live_said, idle_said, own, release, before, after, cause
):
    source = deployment("green", "13", live_env, live_said)["spec"]["template"]
    seen = deployment("blue", "12", idle_env, idle_said, before, own)
    wanted = asked(release=release, replicas=after, cause=cause)
    untouched = copy.deepcopy((source, seen))
    steps = deploying.patch_for(seen, source, wanted)
    assert (source, seen) == untouched
    there = json_patch(seen, list(steps))
    assert there["spec"]["template"] == deploying.template_for(source, wanted)
    assert there["spec"]["replicas"] == after
    assert there["spec"]["selector"] == seen["spec"]["selector"]
    back = reversed_write(Write("deployments", "ml", "fraud-blue", steps))
    assert (json_patch(there, list(back.patch)) if back else there) == seen


@given(annotated)
def test_a_restart_can_be_done_and_undone(said):
    seen = deployment(annotations=said)
    steps = tuple(deploying.restart_steps(seen, "now"))
    there = json_patch(seen, list(steps))
    assert there["spec"]["template"]["metadata"]["annotations"] == {**said, deploying.RESTARTED: "now"}
    back = reversed_write(Write("deployments", "ml", "fraud-blue", steps))
    assert back is not None
    assert json_patch(there, list(back.patch)) == seen


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ([{"name": "DB_PASSWORD", "value": "x"}], ("DB_PASSWORD",)),
        ([{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}], ()),
        ([{"name": "DSN", "value": "postgres://user:pw@db/x"}], ("DSN",)),
        ([{"name": "KEY", "value": "-----BEGIN PRIVATE KEY-----"}], ("KEY",)),
        ([{"name": "URL", "value": "http://db:5432/x@y"}], ()),
        ([{"name": "THREADS", "value": "4"}], ()),
    ],
)
def test_templates_that_hold_secrets_are_told(env, names):
    assert deploying.literal_secrets(deployment(env=env)["spec"]["template"], ("passw", "token")) == names


def test_a_deployment_is_rebuilt_of_a_template_that_was_kept():
    template = deployment("blue", "12", annotations={P + "model-version": "12"})["spec"]["template"]
    made = deploying.rebuilt(
        template,
        {"app": "fraud"},
        "ml",
        "fraud-blue",
        asked(release=Release(version="12", image="registry.local/fraud:12")),
    )
    assert made["spec"]["selector"]["matchLabels"] == {"app": "fraud", "color": "blue"}
    assert made["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.local/fraud:12"
    assert made["spec"]["replicas"] == 3
