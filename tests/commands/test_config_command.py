"""`mlconsole config`: what it writes loads, what it shows is what is in force."""

import os

import pytest

from mlconsole.config import load


async def test_init_writes_what_is_there_and_it_loads(run, fraud, home):
    ended = await run("config", "init")
    path = home / "config" / "mlconsole" / "mlconsole.toml"
    assert ended.code == 0, ended.err
    assert str(path) in ended.out
    (home / "mlconsole.toml").unlink()
    loaded = load({}, dict(os.environ))
    assert loaded.path == path
    assert set(loaded.settings.services) == {"ml/fraud"}
    assert "context demo (current)" in path.read_text()


async def test_init_overwrites_only_when_told(run, fraud, home):
    target = home / "here.toml"
    target.write_text("mine")
    ended = await run("config", "init", "--path", str(target))
    assert (ended.code, target.read_text()) == (2, "mine")
    assert "--force" in ended.err
    assert (await run("config", "init", "--path", str(target), "--force")).code == 0
    assert "[cluster]" in target.read_text()
    assert [item.name for item in home.glob(".here*")] == []


async def test_init_without_a_cluster_says_so_and_loads(run, home):
    ended = await run("config", "init", "--path", "-")
    (home / "made.toml").write_text(ended.out)
    assert "no cluster is configured" in ended.out
    assert load({"config": str(home / "made.toml")}, {}).settings.services == {}


async def test_init_keeps_no_login(run, home, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_URL", "http://me:hunter2@127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:1")
    assert "hunter2" not in (await run("config", "init", "--path", "-")).out


async def test_show_says_where_each_value_is_from(run, home, monkeypatch):
    (home / "mlconsole.toml").write_text(
        '[metrics]\nrefresh = "7s"\n[metrics.auth.headers]\nX-Key = "hunter2"\n'
        '[defaults.verify]\npath = "/ping"\n[services."ml/a.b"]\nmodel = "m"\n'
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@host")
    found = (await run("config", "show", "-n", "ml", "--output", "json")).json["settings"]
    assert found["metrics.refresh"] == {"value": 7.0, "from": "mlconsole.toml:2"}
    assert found["cluster.namespace"] == {"value": "ml", "from": "--namespace"}
    assert found["registry.tracking_uri"]["from"] == "environment MLFLOW_TRACKING_URI"
    assert found["services.ml/a.b.model"] == {"value": "m", "from": "mlconsole.toml:8"}
    assert found["services.ml/a.b.verify.path"] == {"value": "/ping", "from": "mlconsole.toml:6"}
    assert found["metrics.scrape"] == {"value": True, "from": "default"}
    text = await run("config", "show")
    assert "hunter2" not in str(found) + text.out


@pytest.mark.parametrize("arguments", [(), ("nope",)])
async def test_an_action_is_needed(run, home, arguments):
    assert (await run("config", *arguments)).code == 2
