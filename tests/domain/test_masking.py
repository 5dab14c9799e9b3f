"""Secrets that a pod template holds do not leave with the operation that changes it."""

import msgspec
from msgspec.structs import replace
from test_plans import plan

from mlconsole.domain.history import Kind
from mlconsole.domain.masking import HIDDEN, masked
from mlconsole.domain.operation import begin
from mlconsole.domain.plans import Write
from mlconsole.domain.services import Release

SECRET = "hunter2-hunter2"


def template(value, name="DB_PASSWORD"):
    env = [{"name": name, "value": value}, {"name": "MODEL_VERSION", "value": "14"}]
    return {"spec": {"containers": [{"name": "model", "image": "m:14", "env": env}]}}


def operation(*writes):
    return begin(replace(plan(kind=Kind.DEPLOY, to_release=Release(version="14")), writes=writes), "ann", 1.0)


def deployments(*steps, **more):
    return Write("deployments", "ml", "m-blue", tuple(steps), **more)


def test_what_is_tested_what_is_put_and_what_is_made():
    patch = deployments(
        {"op": "test", "path": "/spec/template", "value": template(SECRET)},
        {"op": "replace", "path": "/spec/template", "value": template(SECRET + "-new")},
    )
    made = deployments(body={"metadata": {"name": "m-blue"}, "spec": {"template": template(SECRET)}})
    hidden = masked(operation(patch, made))
    assert hidden.masked
    text = msgspec.json.encode(hidden).decode()
    assert SECRET not in text
    assert text.count(HIDDEN) == 3
    assert '"value":"14"' in text


def test_a_login_in_an_address_is_one_whatever_its_name():
    whole = operation(deployments(body=template("postgres://app:s3cret@db/ml", name="STORE")))
    assert "s3cret" not in msgspec.json.encode(masked(whole)).decode()


def test_what_holds_none_stays_whole():
    whole = operation(deployments({"op": "replace", "path": "/spec/replicas", "value": 3}, phase="bring-up"))
    assert masked(whole) is whole
    from_secret = template(SECRET)
    from_secret["spec"]["containers"][0]["env"][0] = {
        "name": "DB_PASSWORD",
        "valueFrom": {"secretKeyRef": {"name": "db"}},
    }
    whole = operation(deployments(body=from_secret))
    assert masked(whole) is whole
