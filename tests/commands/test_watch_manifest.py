"""docs/watch.yaml at its word: applied to the embedded cluster, with its own rights, settings and command."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from mlconsole.demo.apiserver.auth import Rule, User
from mlconsole.demo.apiserver.server import serve

from .test_alerts import MERGE, unready

MANIFEST = Path(__file__).parents[2] / "docs" / "watch.yaml"
DEADLINE = 60.0
COLLECTIONS = {
    "ServiceAccount": "/api/v1/namespaces/ml/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/ml/configmaps",
    "Deployment": "/apis/apps/v1/namespaces/ml/deployments",
}


@dataclass(frozen=True)
class Watched(User):
    """A user of whom it is kept what was asked, and what was refused."""

    asked: set = field(default_factory=set)
    refused: set = field(default_factory=set)

    def may(self, verb, group, resource, namespace="", name=""):
        allowed = super().may(verb, group, resource, namespace, name)
        (self.asked if allowed else self.refused).add((verb, group, resource))
        return allowed


@pytest.fixture
def documents():
    """The manifest's objects by kind."""
    return {item["kind"]: item for item in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.fixture
async def hook():
    """A webhook that refuses once, and keeps what came."""
    heard = []

    async def take(request):
        heard.append((request.headers.get("Authorization"), await request.json()))
        return web.Response(status=503 if len(heard) == 1 else 204)

    app = web.Application()
    app.router.add_post("/ml", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/ml", heard
    await runner.cleanup()


def rules(role):
    """The rules of a Role, as the embedded API server has them."""
    return tuple(
        Rule(
            tuple(rule["verbs"]),
            tuple(rule["resources"]),
            tuple(rule["apiGroups"]),
            ("ml",),
            tuple(rule.get("resourceNames", ())),
        )
        for rule in role["rules"]
    )


def rights(role):
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_it_is_bound_to_its_own_account_alone_and_may_change_nothing(documents):
    binding, pod = documents["RoleBinding"], documents["Deployment"]["spec"]["template"]["spec"]
    assert [item["name"] for item in binding["subjects"]] == [documents["ServiceAccount"]["metadata"]["name"]]
    assert pod["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"]
    assert {verb for verb, _, _ in rights(documents["Role"])} <= {"get", "list", "watch"}
    assert "secrets" not in {resource for _, _, resource in rights(documents["Role"])}
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {item["name"] for item in container["volumeMounts"]}
    assert mounted == {item["name"] for item in pod["volumes"]}


async def test_it_runs_with_its_rights_tells_the_webhook_once_and_ends_on_sigterm(fraud, home, documents, hook):
    for kind, path in COLLECTIONS.items():
        await fraud.post(path, documents[kind])
    await fraud.merge(f"{fraud.core}/services/fraud", {"spec": {"ports": [{"port": 80, "targetPort": "http"}]}})
    for pod in fraud.store.list("pods", "ml")[0]:
        ports = [{"name": "http", "containerPort": 8000}]
        body = {"spec": {"containers": [{**pod["spec"]["containers"][0], "ports": ports}]}}
        fraud.store.patch("pods", "ml", pod["metadata"]["name"], body, MERGE)
    url, heard = hook
    settings = documents["ConfigMap"]["data"]["mlconsole.toml"]
    assert "http://prometheus.monitoring:9090" in settings
    settings = settings.replace("https://hooks.example.com/ml", url)
    settings = settings.replace("http://prometheus.monitoring:9090", "http://127.0.0.1:9")
    (home / "mounted.toml").write_text(settings)
    (container,) = documents["Deployment"]["spec"]["template"]["spec"]["containers"]
    given = {item["name"]: item.get("value", "from-the-secret") for item in container["env"]}
    assert given["MLCONSOLE_CONFIG"] == "/etc/mlconsole/mlconsole.toml"
    environ = {
        **os.environ,
        **given,
        "MLCONSOLE_CONFIG": str(home / "mounted.toml"),
        "XDG_STATE_HOME": str(home / "state"),
    }
    user = Watched("system:serviceaccount:ml:mlconsole-watch", rules=rules(documents["Role"]))
    server = await serve(fraud.store, users={"t-watch": user})
    (home / "account").write_text(server.kubeconfig("t-watch", namespace="ml"))
    program, *arguments = container["args"]
    assert program == "mlconsole"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mlconsole", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**environ, "KUBECONFIG": str(home / "account")},
    )
    lines = []

    async def until(event, **wanted):
        async with asyncio.timeout(DEADLINE):
            while raw := await process.stdout.readline():
                lines.append(json.loads(raw))
                if lines[-1]["event"] == event and wanted.items() <= lines[-1].items():
                    return lines[-1]
        raise AssertionError(lines)

    try:
        await until("source", name="k8s", condition="live")
        unready(fraud)
        fired = await until("firing", alert="serving", service="fraud")
        unready(fraud, "True")
        await until("resolved", alert="serving", id=fired["id"])
        async with asyncio.timeout(DEADLINE):
            while len(heard) < 3 or not user.asked >= rights(documents["Role"]):
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert (await until("stopped"))["signal"] == "SIGTERM"
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await server.close()
    # The one that was refused for a moment came again; each firing and its end once.
    assert [(who, body["alert"], body["status"]) for who, body in heard] == [
        ("Bearer from-the-secret", "serving", "firing"),
        ("Bearer from-the-secret", "serving", "firing"),
        ("Bearer from-the-secret", "serving", "resolved"),
    ]
    assert "from-the-secret" not in json.dumps(lines)
    # What there is to choose from on a screen is asked for there too, and done without.
    assert user.refused <= {("list", "", "namespaces")}
    assert user.asked == rights(documents["Role"])
