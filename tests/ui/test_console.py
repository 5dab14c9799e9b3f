"""What an operator does all day, by keys, on the embedded world."""

import asyncio
import random
import re
import time

import msgspec
import pytest

from mlconsole.cluster.errors import Conflict
from mlconsole.domain.history import decode
from mlconsole.ui.keys import CHART, KEYS, MORE


async def selector(cluster, name):
    body = await cluster.get(f"/api/v1/namespaces/ml/services/{name}")
    return msgspec.json.decode(body)["spec"]["selector"]


async def outcome(cluster, name, wanted):
    """The last record of a service, once it says so: what carries an operation out needs no console."""
    end = time.monotonic() + 90
    while True:
        body = await cluster.get(f"/api/v1/namespaces/ml/configmaps/mlconsole-history-{name}")
        records, complaints = decode(msgspec.json.decode(body)["data"]["records"])
        assert not complaints
        if records[-1].outcome == wanted:
            return records[-1]
        assert time.monotonic() < end, records[-1]
        await asyncio.sleep(0.1)


async def test_everything_about_a_service_stands_on_one_screen(console):
    async with console() as driver:
        await driver.look_at("fraud-scorer")
        text = await driver.until(
            *("k8s ok", "scrape ok", "mlflow off", "chain", "p95", "verified", "ship-fraud-scorer"),
            "rollback to blue v12, 3/3 ready",
        )
        assert "LIVE green v13 3/3" in text
        assert "idle blue v12 3/3" in text
        assert "way back READY" in text
        assert "feature-store" in text
        assert text.count("k8s live") == 3
        assert text.count("scrape live") == 2


async def test_a_switch_and_a_rollback_by_the_keyboard(console, cluster):
    assert await selector(cluster, "fraud-scorer") == {"app": "fraud-scorer", "color": "green"}
    async with console() as driver:
        await driver.look_at("fraud-scorer")
        await driver.press("s")
        text = await driver.until("Switch fraud-scorer to blue v12", "accepted by the API server", "way back", "plan ")
        assert "- green" in text
        assert "+ blue" in text
        assert driver.app.focused.id == "no"
        assert await selector(cluster, "fraud-scorer") == {"app": "fraud-scorer", "color": "green"}
        await driver.press("y")
        await driver.until(
            "3 answers in a row by v12", "▶ watch", "watching it under traffic", "a abort: back to green"
        )
        assert await selector(cluster, "fraud-scorer") == {"app": "fraud-scorer", "color": "blue"}
        assert "ml/fraud-scorer: verified" not in driver.text
        await driver.press("escape")
        await driver.until("LIVE blue v12", "rollback to green v13")
        await driver.press("r")
        await driver.until("Roll back fraud-scorer to green v13", "accepted by the API server")
        assert driver.app.focused.id == "yes"
        await driver.press("enter")
        await driver.until("3 answers in a row by v13", "esc close")
        assert await selector(cluster, "fraud-scorer") == {"app": "fraud-scorer", "color": "green"}
        await driver.press("escape", "a")
        await driver.until("operations on fraud-scorer", "rollback", "switch", "world")


async def test_no_and_escape_change_nothing(console, cluster):
    async with console() as driver:
        await driver.look_at("churn")
        before = await selector(cluster, "churn")
        for leave in ("n", "escape", "enter"):
            await driver.press("s")
            await driver.until("Switch churn to green", "plan ")
            await driver.press(leave)
            await driver.until("1 Fleet", gone=("Switch churn to green",))
        assert await selector(cluster, "churn") == before


async def test_production_asks_for_the_name_and_a_rollback_never_does(console, cluster, at_home, monkeypatch):
    config = at_home / "mlconsole.toml"
    config.write_text('[cluster]\nnamespace = "ml"\n[environments.prod]\nproduction = true\n')
    monkeypatch.setenv("MLCONSOLE_CONFIG", str(config))
    async with console() as driver:
        await driver.look_at("ranker")
        await driver.until("PRODUCTION")
        before = await selector(cluster, "ranker")
        await driver.press("s")
        await driver.until("Switch ranker to blue", "type the service's name", "plan ")
        await driver.press(*"rankex", "enter", "y")
        await driver.until("production: type the service's name, ranker")
        assert await selector(cluster, "ranker") == before
        await driver.press("escape")
        await driver.until("1 Fleet", gone=("Switch ranker",))
        await driver.press("r")
        await driver.until("Roll back ranker to blue", "plan ", gone=("type the service's name",))
        await driver.press("escape")


async def test_what_changed_meanwhile_refuses_the_old_plan(console, cluster):
    path = "/api/v1/namespaces/ml/services/churn"
    before = await selector(cluster, "churn")
    async with console() as driver:
        await driver.look_at("churn")
        await driver.press("s")
        await driver.until("Switch churn to green", "plan ")
        await cluster.request("PATCH", path, {"spec": {"selector": {"slot": "green"}}}, "application/merge-patch+json")
        try:
            await driver.press("y")
            await driver.until("plan again", "esc close")
            assert await selector(cluster, "churn") == {"app": "churn", "slot": "green"}
        finally:
            await cluster.request("PATCH", path, {"spec": {"selector": before}}, "application/merge-patch+json")


async def test_a_plain_service_goes_back_to_a_chosen_revision(console):
    async with console() as driver:
        await driver.look_at("eta")
        await driver.press("s")
        await driver.until("it has one Deployment")
        await driver.press("r")
        await driver.until("roll eta back to", "ship eta v4")
        await driver.press("enter")
        await driver.until("Roll back eta to revision", "v4", "accepted by the API server", "plan ")
        await driver.press("escape")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("e", ("events of fraud-scorer", "Scheduled")),
        ("a", ("operations on fraud-scorer", "set up by the embedded")),
        ("i", ("serving chain of fraud-scorer", "selector", "known from", "pod template of Deployment")),
        ("l", ("logs of fraud-scorer", '"event": "start"')),
        ("c", ("change the context", "demo")),
        ("N", ("change the namespace", "all namespaces")),
        ("question_mark", ("keys", "plan the way back")),
    ],
)
async def test_every_page_opens_and_closes(console, key, words):
    async with console() as driver:
        await driver.look_at("fraud-scorer")
        await driver.press(key)
        await driver.until(*words)
        await driver.press("escape")
        await driver.until("1 Fleet", gone=(words[0],))


async def test_help_tells_every_key(console):
    async with console(size=(120, 100)) as driver:
        await driver.press("question_mark")
        text = re.sub(r"[│\s]+", " ", await driver.until("keys"))
        for key in (*KEYS, *CHART, *MORE):
            assert f"{key.written} {key.help[:30]}".split("  ")[0][:20] in text, key


async def test_the_palette_finds_an_action(console):
    async with console() as driver:
        await driver.until("fraud-scorer")
        await driver.press("ctrl+p", *"rollb")
        await driver.until("rollback (r)")
        await driver.press("escape")


async def test_the_filter_narrows_and_escape_ends_it(console):
    async with console() as driver:
        await driver.until("fraud-scorer", "ranker", "churn")
        await driver.press("slash", *"fraud", "enter")
        await driver.until("1 of 5")
        await driver.press("slash", *"x")
        await driver.until("nothing matches 'fraudx'")
        await driver.press("escape")
        await driver.until("ranker", "churn", "eta")


async def test_zoom_and_panes_by_number(console):
    async with console() as driver:
        await driver.until("fraud-scorer")
        await driver.press("4", "z")
        await driver.until("[4 Latency]", gone=("╭─ 6 Deployment",))
        await driver.press("5")
        await driver.until("[5 Drift]")
        await driver.press("tab")
        await driver.until("[6 Deployment]")
        await driver.press("z")
        await driver.until(
            *(f"╭─ {name}" for name in ("1 Fleet", "2 Pipeline", "3 Registry", "4 Latency", "5 Drift", "6 Deployment"))
        )


async def test_every_pane_is_reachable_in_a_small_terminal(console):
    async with console(size=(80, 24)) as driver:
        await driver.until("fraud-scorer")
        for number, name in enumerate(("Fleet", "Pipeline", "Registry", "Latency", "Drift", "Deployment"), 1):
            await driver.press(str(number))
            await driver.until(f"[{number} {name}]", f"{number} {name} ")


async def test_any_size_at_any_time_breaks_nothing(console):
    dice = random.Random(7)
    async with console() as driver:
        await driver.look_at("fraud-scorer")
        for key in ("", "question_mark", "s", "l", "i"):
            for _ in range(4):
                await driver.pilot.resize_terminal(dice.randint(1, 220), dice.randint(1, 70))
            await driver.pilot.resize_terminal(20, 5)
            if key:
                await driver.press(key)
                await driver.pilot.pause()
                await driver.press("escape")
        await driver.pilot.resize_terminal(120, 40)
        await driver.until("fraud-scorer", "4 Latency", "6 Deployment")


async def test_the_chart_shows_another_panel_and_another_range(console):
    async with console() as driver:
        await driver.look_at("fraud-scorer")
        await driver.until("atency · 5m")
        await driver.press("m")
        await driver.until("rror", "· 5m")
        await driver.press("t")
        await driver.until("· 15m")


async def test_an_engine_that_is_killed_is_started_again(console):
    async with console() as driver:
        await driver.look_at("fraud-scorer")
        before = driver.app._link.state["pid"]
        driver.app._link._engine._process.kill()
        await driver.until("engine")
        end = time.monotonic() + 20
        while driver.app.known.engine_problem or driver.app._link.state["pid"] == before:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        await driver.until("LIVE green v13 3/3", "k8s ok")


async def test_malformed_and_hostile_objects_are_shown_as_what_they_are(console, cluster):
    hostile = "\x1b[31m[bold]x[/bold]\u202e" + "y" * 2000
    core, apps = "/api/v1/namespaces/ml", "/apis/apps/v1/namespaces/ml"
    template = {
        "metadata": {"labels": {"app": "hostile"}, "annotations": {"mlconsole.io/model-version": hostile}},
        "spec": {
            "containers": [
                {"name": "m", "image": "nowhere.local/x:1", "env": [{"name": "MODEL_NAME", "value": hostile}]}
            ]
        },
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "hostile"}}, "template": template}
    meta = {"name": "hostile", "annotations": {"kubernetes.io/change-cause": hostile}}
    await cluster.request("POST", f"{apps}/deployments", {"metadata": meta, "spec": spec})
    ports = [{"port": 80}]
    await cluster.request(
        "POST",
        f"{core}/services",
        {"metadata": {"name": "hostile"}, "spec": {"selector": {"app": "hostile"}, "ports": ports}},
    )
    try:
        async with console() as driver:
            await driver.look_at("hostile")
            text = await driver.until("scaled to 0", "hostile")
            assert "\x1b" not in text
            assert "\u202e" not in text
            await driver.press("i")
            text = await driver.until("serving chain of hostile")
            assert "\x1b" not in text
            assert "[bold]" in text
            await driver.press("escape")
    finally:
        for path in (f"{core}/services/hostile", f"{apps}/deployments/hostile"):
            try:
                await cluster.request("DELETE", path)
            except Conflict:
                await cluster.request("DELETE", path)


async def test_a_cluster_that_is_not_there_says_so_and_the_context_can_be_changed(console, world, at_home, monkeypatch):
    dead = at_home / "dead"
    dead.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: dead\n"
        "clusters: [{name: dead, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "users: [{name: nobody, user: {}}]\n"
        "contexts: [{name: dead, context: {cluster: dead, user: nobody, namespace: ml}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", f"{dead}:{world['kubeconfig']}")
    async with console() as driver:
        await driver.until("k8s DOWN", "connection refused")
        await driver.press("s")
        await driver.until("no service is selected")
        await driver.press("c")
        await driver.until("change the context", "demo", "dead")
        await driver.press("down", "enter")
        await driver.until("fraud-scorer", "k8s ok", seconds=60)


async def test_an_operation_whose_page_was_left_tells_its_end(console, cluster):
    before = await selector(cluster, "ranker")
    async with console() as driver:
        await driver.look_at("ranker")
        await driver.press("s")
        await driver.until("Switch ranker to blue", "plan ")
        await driver.press("y", "escape")
        await driver.until("ml/ranker: verified", gone=("Switch ranker to blue",))
        await driver.press("r")
        await driver.until("Roll back ranker to green", "plan ")
        await driver.press("enter")
        await driver.until("3 answers in a row", "esc close")
    assert await selector(cluster, "ranker") == before


async def test_an_operation_goes_on_when_the_console_is_left(console, cluster):
    path = "/api/v1/namespaces/ml/services/churn"
    before = await selector(cluster, "churn")
    async with console() as driver:
        await driver.look_at("churn")
        await driver.press("s")
        await driver.until("Switch churn to green", "plan ")
        await driver.press("y", "escape", "q", "q")
    try:
        record = await outcome(cluster, "churn", "verified")
        assert (record.kind, record.to_color) == ("switch", "green")
        assert await selector(cluster, "churn") == {"app": "churn", "slot": "green"}
    finally:
        await cluster.request("PATCH", path, {"spec": {"selector": before}}, "application/merge-patch+json")


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (40, 10)])
async def test_what_a_plan_asks_is_in_sight_in_a_small_terminal(console, at_home, monkeypatch, size):
    config = at_home / "mlconsole.toml"
    config.write_text('[cluster]\nnamespace = "ml"\n[environments.prod]\nproduction = true\nrequire_reason = true\n')
    monkeypatch.setenv("MLCONSOLE_CONFIG", str(config))
    async with console(size=size) as driver:
        await driver.look_at("fraud-scorer")
        await driver.press("s")
        await driver.until("Switch fraud-scorer", "type the service's", "reason", "it goes on", " No ")
        await driver.press(*"wrong", "enter", "enter", "y")
        # What another test left of its history may stop it first.
        assert re.search("production: type|stopped by", await driver.until("wrong", " No "))
        await driver.press(*["pagedown"] * 12)
        await driver.until("takes", " No ")
        await driver.press("escape")
        await driver.until("Fleet", gone=("wrong",))


async def test_credentials_that_are_refused_say_so_and_leave_the_way_to_another_context(
    console, world, at_home, monkeypatch
):
    refused = at_home / "refused"
    names = (at_home / world["kubeconfig"]).read_text().replace("demo", "refused")
    refused.write_text(re.sub(r"token: .*", "token: expired", names))
    monkeypatch.setenv("KUBECONFIG", f"{refused}:{world['kubeconfig']}")
    async with console() as driver:
        await driver.until("k8s DENIED", "Unauthorized", "log in again")
        await driver.press("c")
        await driver.until("change the context", "refused", "demo")
        await driver.press("down", "enter")
        await driver.until("fraud-scorer", "k8s ok")


async def test_a_namespace_that_cannot_be_one_reads_nothing_and_says_why(console):
    async with console() as driver:
        await driver.until("fraud-scorer", "k8s ok")
        await driver.press("N")
        await driver.until("change the namespace")
        await driver.press(*"x/../ml", "enter")
        await driver.until("cannot be a namespace's name", gone=("fraud-scorer",))
        await driver.press("N", *"ml", "enter")
        await driver.until("fraud-scorer", "k8s ok")


async def test_a_registry_that_is_away_is_said_beside_the_runs_and_one_that_is_off_is_not(console, monkeypatch):
    async with console() as driver:
        await driver.look_at("churn")
        await driver.until("ship-churn", "no registry is configured", gone=("training runs:",))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    async with console() as driver:
        await driver.look_at("churn")
        await driver.until("ship-churn", "mlflow DOWN", "training runs:")
