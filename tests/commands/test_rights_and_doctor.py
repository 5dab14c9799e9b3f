"""What `rbac` prints is enough, and no more than what is asked about; `doctor` names what is missing."""

import pytest
import yaml

from commands.conftest import live
from mlconsole.commands.rights import needs


async def test_rbac_is_yaml_with_every_need(run, home):
    ended = await run("rbac", "-n", "ml", "--user", 'a: "b"')
    role, binding = yaml.safe_load_all(ended.out)
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "ml")
    assert binding["subjects"] == [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": 'a: "b"'}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    rules = {(rule["apiGroups"][0], rule["resources"][0], tuple(rule["verbs"])) for rule in role["rules"]}
    assert rules == {(need.group, need.resource, need.verbs) for need in needs() if not need.optional}
    assert "list namespaces takes a ClusterRole" in ended.out


async def test_rbac_readonly_for_the_whole_cluster(run, home):
    ended = await run("rbac", "-A", "--readonly", "--service-account", "ops:console")
    role, binding = yaml.safe_load_all(ended.out)
    assert role["kind"] == "ClusterRole"
    rules = {(rule["resources"][0], verb) for rule in role["rules"] for verb in rule["verbs"]}
    assert ("namespaces", "list") in rules
    assert not {verb for rule in role["rules"] for verb in rule["verbs"]} - {"get", "list", "watch"}
    # One object by its name is asked for of these alone; what is listed and watched needs no more.
    alone = {"services", "pods", "configmaps", "leases", "namespaces", "pods/log", "pods/proxy", "services/proxy"}
    assert {resource for resource, verb in rules if verb == "get"} == alone
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "console", "namespace": "ops"}]


async def test_the_printed_rights_are_enough_to_operate(run, guarded, fraud):
    guarded("operator")
    checks = {item["what"]: item["state"] for item in (await run("doctor", "--output", "json")).json["checks"]}
    assert checks["rights to look"] == checks["rights to change"] == "OK"
    ended = await run("switch", "fraud", "--yes", "--reason", "x", "--waive", "answers", "--output", "json")
    assert (ended.json["outcome"], live(fraud)) == ("unverified", "green")
    assert "not recorded" not in ended.json["message"]
    assert [event["reason"] for event in fraud.store.list("events", "ml")[0]] == ["Switch"]


async def test_doctor_names_missing_rights(run, guarded, fraud):
    guarded("viewer")
    ended = await run("doctor", "--output", "json")
    found = {item["what"]: item for item in ended.json["checks"]}
    assert ended.code == 0  # looking works
    assert found["right services"]["state"] == "WARN"
    assert "patch" in found["right services"]["words"]
    assert "mlconsole rbac -n ml" in found["right services"]["hint"]
    optional = found["right to list namespaces"]
    assert (optional["state"], optional["needed"]) == ("OFF", False)
    assert "optional" in optional["words"]


async def test_doctor_fails_without_a_cluster_and_checks_the_rest(run, home):
    ended = await run("doctor", "--output", "json")
    found = {item["what"]: item["state"] for item in ended.json["checks"]}
    assert (ended.code, ended.json["ok"]) == (1, False)
    assert found["kubeconfig"] == "FAIL"
    assert found["state folder"] == "OK"
    assert found["MLflow"] == found["Prometheus"] == found["Docker"] == "OFF"
    assert all(item["hint"] for item in ended.json["checks"] if item["what"] in ("MLflow", "Prometheus", "Docker"))


async def test_doctor_goes_on_with_a_broken_configuration(run, fraud, home):
    (home / "mlconsole.toml").write_text("nope = 1\n")
    ended = await run("doctor")
    assert ended.code == 1
    assert "unknown key `nope`" in ended.out
    assert "model services" in ended.out


@pytest.mark.parametrize(
    ("variable", "what"),
    [("MLFLOW_TRACKING_URI", "MLflow"), ("PROMETHEUS_URL", "Prometheus"), ("DOCKER_HOST", "Docker")],
)
async def test_doctor_says_what_does_not_answer(run, fraud, monkeypatch, variable, what):
    monkeypatch.setenv(variable, ("tcp" if what == "Docker" else "http") + "://127.0.0.1:1")
    ended = await run("doctor", "--output", "json")
    (found,) = (item for item in ended.json["checks"] if item["what"] == what)
    assert (found["state"], ended.code) == ("FAIL", 0)
    assert "refused" in found["words"].lower()
    assert found["hint"]


async def test_doctor_names_a_namespace_that_is_not_there(run, fraud):
    ended = await run("doctor", "-n", "nope")
    assert ended.code == 1
    assert "there is no namespace nope" in ended.out


async def test_doctor_names_a_service_of_the_configuration_that_is_not_there(run, fraud, home):
    (home / "mlconsole.toml").write_text('[services.frod]\nmodel = "x"\n[services.fraud]\nmodel = "y"\n')
    found = {item["what"]: item["state"] for item in (await run("doctor", "--output", "json")).json["checks"]}
    assert found["[services.frod]"] == "WARN"
    assert "[services.fraud]" not in found


async def test_rbac_reaches_a_prometheus_in_another_namespace_and_nothing_else_there(run, home, tmp_path):
    file = tmp_path / "mlconsole.toml"
    file.write_text('[metrics]\nprometheus_url = "kube://monitoring/https:prom:web/prometheus"\n')
    ended = await run("rbac", "-n", "ml", "--config", str(file))
    role, binding, there, bound = yaml.safe_load_all(ended.out)
    assert (role["metadata"]["namespace"], there["metadata"]["namespace"]) == ("ml", "monitoring")
    assert there["rules"] == [
        {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get"], "resourceNames": ["https:prom:web"]}
    ]
    assert (bound["subjects"], bound["metadata"]["namespace"]) == (binding["subjects"], "monitoring")
    # The role itself reaches it, or everything.
    assert len(list(yaml.safe_load_all((await run("rbac", "-n", "monitoring", "--config", str(file))).out))) == 2
    assert len(list(yaml.safe_load_all((await run("rbac", "-A", "--config", str(file))).out))) == 2


async def test_doctor_asks_a_prometheus_in_the_cluster_there(run, guarded, fraud, tmp_path):
    guarded("operator")
    file = tmp_path / "mlconsole.toml"
    file.write_text('[metrics]\nprometheus_url = "kube://ml/no-such:9090"\n')
    ended = await run("doctor", "--output", "json", "--config", str(file))
    found = [item for item in ended.json["checks"] if item["what"] == "Prometheus"]
    assert [item["state"] for item in found] == ["FAIL"]
    assert "no Service ml/no-such:9090" in found[0]["words"]
