"""Kubeconfigs as people have them: several files, plugins, tokens that end, and the ones that are wrong."""

import json
import os
import stat
import sys
import time

import pytest
from aiohttp import web

from mlconsole.cluster import credentials, exec_plugin
from mlconsole.cluster.connection import Connection, contexts
from mlconsole.cluster.errors import ConfigInvalid

from .conftest import kubeconfig_of

SECRET = "s3cr3t-t0ken-value"


def config(user, server="http://127.0.0.1:1", **cluster):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}],
        "current-context": "x",
    }


def write(path, value):
    path.write_text(json.dumps(value))
    return str(path)


def plugin(tmp_path, body, **more):
    script = tmp_path / "plugin"
    script.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")
    script.chmod(0o755)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), **more}}


def answer(token):
    return f"print(json.dumps({{'apiVersion': 'v', 'kind': 'ExecCredential', 'status': {{'token': {token!r}}}}}))"


async def token_of(connection):
    return (await connection._headers()).get("Authorization")


# ---- which contexts there are


def test_no_file_is_no_context(tmp_path):
    assert contexts(str(tmp_path / "none")) == []


def test_several_files_are_merged_and_the_first_wins(tmp_path):
    first = {"contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}], "current-context": "a"}
    second = config({}, "http://second")
    second["contexts"].append({"name": "a", "context": {"cluster": "other", "namespace": "no"}})
    files = os.pathsep.join([write(tmp_path / "1", first), str(tmp_path / "missing"), write(tmp_path / "2", second)])
    found = {item.name: item for item in contexts(files)}
    assert set(found) == {"a", "x"}
    assert (found["a"].namespace, found["a"].server, found["a"].current) == ("", "http://second", True)
    assert (found["x"].namespace, found["x"].current) == ("ml", False)


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not YAML"), ("- 1", "not a mapping"), (f"token: {SECRET}\n\tx: 1", "line 2")],
)
def test_a_file_that_is_none_says_which_and_why(tmp_path, text, words):
    with pytest.raises(ConfigInvalid) as refused:
        contexts(kubeconfig_of(tmp_path, text))
    assert words in str(refused.value)
    assert "kubeconfig" in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("value", [{"contexts": None}, {"contexts": [None, 1, {"context": {}}]}, {}])
def test_holes_in_a_file_break_nothing(tmp_path, value):
    assert contexts(write(tmp_path / "k", value)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contexts": []}, "names no context"),
        ({"current-context": "gone"}, "context gone of"),
        ({"current-context": "gone"}, "there is no context of that name (there are: x)"),
        ({"current-context": ""}, "none is current (there are: x)"),
        ({"clusters": []}, "c"),
        ({"clusters": [{"name": "c", "cluster": {"server": "ftp://x"}}]}, "correct `server`"),
        ({"users": [{"name": "u", "user": {"client-certificate": "/no/such/file"}}]}, ""),
    ],
)
async def test_a_context_that_cannot_be_used(tmp_path, change, words):
    server = "https://127.0.0.1:1" if "users" in change else "http://127.0.0.1:1"
    path = write(tmp_path / "k", config({}, server) | change)
    with pytest.raises(ConfigInvalid) as refused:
        await Connection.open(kubeconfig=path)
    assert words in str(refused.value)


async def test_a_context_that_is_not_there_names_the_nearest_first(tmp_path):
    names = [*(f"dev-{n}" for n in range(12)), "prod-eu"]
    many = [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in names]
    path = write(tmp_path / "k", config({}) | {"contexts": many})
    with pytest.raises(ConfigInvalid) as refused:
        await Connection.open(kubeconfig=path, context="prod-ue")
    assert refused.value.why == "there is no context of that name"
    assert refused.value.hint.startswith("there are: prod-eu, dev-0")
    assert refused.value.hint.endswith("and 3 more")


async def test_no_configuration_at_all_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigInvalid, match="mlconsole demo"):
        await Connection.open()


async def test_a_context_without_a_user_is_anonymous(tmp_path):
    value = config({})
    del value["contexts"][0]["context"]["user"]
    connection = await Connection.open(kubeconfig=write(tmp_path / "k", value))
    assert (connection.identity.user, connection.namespace) == ("anonymous", "ml")
    assert await token_of(connection) is None
    await connection.close()


# ---- credential plugins


async def test_a_plugin_gives_the_token_and_a_new_one_before_it_ends(tmp_path):
    counter = tmp_path / "count"
    body = f"n = os.path.getsize({str(counter)!r}) if os.path.exists({str(counter)!r}) else 0\n"
    body += f"open({str(counter)!r}, 'a').write('x')\n"
    body += "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\nassert info['spec']['interactive'] is False\n"
    body += "assert os.environ['EXTRA'] == 'yes'\n"
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
    body += f"end = {end!r} if n == 0 else '2099-01-01T00:00:00Z'\n"
    body += "status = {'token': 'token-%d' % n, 'expirationTimestamp': end}\n"
    body += "print(json.dumps({'apiVersion': 'v', 'kind': 'ExecCredential', 'status': status}))"
    user = plugin(tmp_path, body, env=[{"name": "EXTRA", "value": "yes"}])
    connection = await Connection.open(kubeconfig=write(tmp_path / "k", config(user)))
    assert await token_of(connection) == "Bearer token-1"
    assert await token_of(connection) == "Bearer token-1"
    assert counter.read_text() == "xx"
    await connection.close()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "sys.stderr.write('session ended, run aws sso login'); sys.exit(3)",
            "exit code 3: session ended, run aws sso login",
        ),
        (f"sys.stderr.write('refused: token={SECRET}'); sys.exit(1)", "exit code 1: refused: token=<redacted>"),
        ("print('not json')", "not an ExecCredential"),
        (f'print(\'{{"status": {{"tok": "{SECRET}"}}}}\')', "neither a token nor a certificate"),
        ("sys.stderr.write('x' * 2_000_000); sys.exit(1)", "exit code 1"),
    ],
)
async def test_a_plugin_that_fails_is_quoted_without_its_secrets(tmp_path, body, words):
    path = write(tmp_path / "k", config(plugin(tmp_path, body)))
    with pytest.raises(ConfigInvalid) as refused:
        await Connection.open(kubeconfig=path)
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)


async def test_a_plugin_that_hangs_is_ended(tmp_path):
    pid = tmp_path / "pid"
    spec = plugin(tmp_path, f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")["exec"]
    with pytest.raises(ConfigInvalid, match="no answer within"):
        await exec_plugin.run(spec, tmp_path, seconds=3.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_a_plugin_that_is_not_there_gives_its_own_hint(tmp_path):
    spec = {"command": "no-such-plugin-anywhere", "installHint": "install it from the intranet"}
    with pytest.raises(ConfigInvalid, match="install it from the intranet"):
        await exec_plugin.run(spec, tmp_path)
    with pytest.raises(ConfigInvalid, match="terminal"):
        await exec_plugin.run({"command": "x", "interactiveMode": "Always"}, tmp_path)


async def test_a_plugin_beside_its_kubeconfig_is_found(tmp_path):
    user = plugin(tmp_path, answer("beside"))
    user["exec"]["command"] = "./plugin"
    connection = await Connection.open(kubeconfig=write(tmp_path / "k", config(user)))
    assert await token_of(connection) == "Bearer beside"
    await connection.close()


# ---- tokens


async def test_a_token_file_is_read_again(tmp_path, monkeypatch):
    token = tmp_path / "token"
    token.write_text("one\n")
    connection = await Connection.open(kubeconfig=write(tmp_path / "k", config({"tokenFile": "token"})))
    assert await token_of(connection) == "Bearer one"
    token.write_text("two\n")
    connection._credentials._expires = 0.0
    assert await token_of(connection) == "Bearer two"
    await connection.close()


async def test_a_reload_never_follows_a_context_that_moved(tmp_path):
    path = tmp_path / "k"
    connection = await Connection.open(kubeconfig=write(path, config({"token": "a"})))
    write(path, config({"token": "b"}, "http://127.0.0.1:2"))
    with pytest.raises(ConfigInvalid, match="points elsewhere"):
        await connection.reload()
    assert connection.identity.server == "http://127.0.0.1:1"
    assert await token_of(connection) == "Bearer a"
    await connection.close()


async def test_an_oidc_login_is_refreshed_and_kept(tmp_path):
    seen = []

    async def discovery(request):
        return web.json_response({"token_endpoint": f"{request.url.origin()}/token"})

    async def token(request):
        seen.append(dict(await request.post()))
        return web.json_response({"id_token": "new-id", "refresh_token": "new-refresh"})

    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", discovery)
    app.router.add_post("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    given = {"idp-issuer-url": issuer, "client-id": "console", "refresh-token": "old-refresh"}
    path = tmp_path / "k"
    write(path, config({"auth-provider": {"name": "oidc", "config": given}}))
    path.chmod(0o600)
    connection = await Connection.open(kubeconfig=str(path))
    assert await token_of(connection) == "Bearer new-id"
    assert seen == [{"grant_type": "refresh_token", "refresh_token": "old-refresh", "client_id": "console"}]
    assert "new-refresh" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await connection.close()
    await runner.cleanup()
    assert [item.name for item in tmp_path.iterdir()] == ["k"]


@pytest.mark.parametrize("name", ["x/../y", "ML", "a b", "ml?watch=1", "-ml", "m" * 64, "\x1b[2J", "kaput[b]", "ml\n"])
async def test_what_cannot_be_a_namespaces_name_gets_into_no_path(tmp_path, name):
    path = tmp_path / "k"
    path.write_text(json.dumps(config({"token": SECRET})))
    with pytest.raises(ConfigInvalid, match="cannot be a namespace's name") as refused:
        await Connection.open(kubeconfig=str(path), namespace=name)
    assert str(refused.value).isprintable()


async def test_nothing_of_a_key_stays_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    real = os.environ.get("MLCONSOLE_TEST_KUBECONFIG")
    if not real:
        pytest.skip("needs a kubeconfig with a client certificate")
    connection = await Connection.open(kubeconfig=real)
    assert list(tmp_path.iterdir()) == []
    await connection.close()


def test_a_credential_is_never_printed():
    assert SECRET not in repr(exec_plugin.Credential(token=SECRET))
    assert credentials._jwt_end("a.b") == float("inf")
    assert credentials._jwt_end("a.eyJleHAiOiAxMjN9.c") == 123.0
    assert credentials._jwt_end("a.!!!.c") == float("inf")
