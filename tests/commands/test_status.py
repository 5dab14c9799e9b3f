"""`mlconsole status`: the fleet and one service, for people and as JSON; text from outside stays text."""

import msgspec
import pytest

from mlconsole.demo.apiserver.patches import MERGE


async def test_fleet_as_json(run, fraud):
    ended = await run("status", "--output", "json")
    assert ended.code == 0, ended.err
    assert ended.json["namespace"] == "ml"
    (service,) = ended.json["services"]
    assert (service["service"], service["shape"], service["live"]) == ("ml/fraud", "blue-green", "blue")
    assert [(c["color"], c["live"], c["version"], c["ready"], c["p95"]) for c in service["colors"]] == [
        ("blue", True, "12", 2, None),
        ("green", False, "13", 2, None),
    ]


async def test_fleet_as_text_and_options_on_either_side(run, fraud):
    for arguments in (("-n", "ml", "status"), ("status", "-n", "ml"), ("status", "-A")):
        ended = await run(*arguments)
        assert ended.code == 0, ended.err
        assert "blue v12" in ended.out
        assert "\x1b" not in ended.out
        assert not any(line != line.rstrip() for line in ended.out.splitlines())
    assert "ml/fraud" in ended.out


async def test_an_empty_namespace_says_where_to_look(run, fraud):
    fraud.store.create("namespaces", {"metadata": {"name": "empty"}})
    ended = await run("status", "-n", "empty")
    assert ended.code == 0
    assert "-A" in ended.out


@pytest.mark.parametrize("words", [("status",), ("operations",), ("audit", "fraud"), ("switch", "fraud", "--yes")])
async def test_a_namespace_that_is_not_there_is_said_with_the_nearest_ones(run, fraud, words):
    ended = await run(*words, "-n", "mll")
    assert ended.code == 2
    assert "there is no namespace mll in context" in ended.err
    assert "(there is ml" in ended.err


async def test_detail(run, fraud):
    ended = await run("status", "ml/fraud")
    assert ended.code == 0, ended.err
    for words in ("blue", "green", "ready pods", "rollback", "v12"):
        assert words in ended.out
    found = (await run("status", "fraud", "--output", "json")).json["services"][0]
    assert {"chain", "rollback", "history", "history_problem"} <= set(found)
    assert [link["name"] for link in found["chain"]][:2] == ["selector", "ready pods"]


async def test_text_from_outside_is_only_text(run, fraud):
    evil = "\x1b[31m[bold]v12\u202e"
    container = {"name": "model", "image": "x:1", "env": [{"name": "MODEL_VERSION", "value": evil}]}
    fraud.store.patch(
        "deployments", "ml", "fraud-blue", {"spec": {"template": {"spec": {"containers": [container]}}}}, MERGE
    )
    ended = await run("status")
    assert "[bold]" in ended.out
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out


async def test_a_viewer_may_look(run, guarded):
    guarded("viewer")
    assert (await run("status")).code == 0
    assert (await run("status", "fraud")).code == 0


async def test_figures_say_where_they_are_from(run, fraud, home):
    (home / "mlconsole.toml").write_text("[metrics]\nscrape = false\n")
    found = msgspec.json.decode((await run("status", "--figures", "--output", "json")).out)
    assert "metrics.prometheus_url" in found["figures"]


@pytest.fixture
def registry(home, monkeypatch):
    """A registry with thirteen versions of fraud; gives its client."""
    import mlflow

    uri = f"sqlite:///{home}/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model("fraud")
    for _ in range(13):
        client.create_model_version("fraud", "nowhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return client


async def test_traffic_and_alias_that_disagree_are_split(run, fraud, registry):
    registry.set_registered_model_alias("fraud", "champion", "13")
    ended = await run("status", "fraud", "--registry")
    assert ended.code == 0, ended.err
    assert "SPLIT: traffic is on blue v12, @champion names v13\n" in ended.out
    (found,) = (await run("status", "fraud", "--registry", "--output", "json")).json["services"]
    assert (found["split"], found["registry"]) == ("traffic is on blue v12, @champion names v13", "asked")
    registry.set_registered_model_alias("fraud", "champion", "12")
    (found,) = (await run("status", "fraud", "--registry", "--output", "json")).json["services"]
    assert found["split"] == ""


async def test_whether_they_disagree_is_not_known_unless_the_registry_said(run, fraud, monkeypatch):
    ended = await run("status", "fraud", "--output", "json")
    assert (ended.json["services"][0]["split"], ended.json["services"][0]["registry"]) == (
        None,
        "not asked: --registry does",
    )
    (found,) = (await run("status", "fraud", "--registry", "--output", "json")).json["services"]
    assert (found["split"], found["registry"]) == (None, "no registry is configured: set MLFLOW_TRACKING_URI")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
    (found,) = (await run("status", "fraud", "--registry", "--output", "json")).json["services"]
    assert found["split"] is None
    assert "there is no database" in found["registry"]
    assert (await run("status", "--registry")).code == 2


@pytest.mark.parametrize("name", ["fraud/../x", "ml/../../x", "Fraud", "", "ml/", "a" * 64, "fraud?x=1"])
async def test_what_cannot_be_a_service_is_not_asked_for(run, fraud, name):
    ended = await run("status", name or " ")
    assert ended.code == 2
    assert "cannot be a service" in ended.err
    assert "NAME or NAMESPACE/NAME" in ended.err
